//! Tampering is noticed and located: any byte of any record, a row of each view.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Row as _};
use tally::data_dir::DataDir;
use tally::mesh::MeshOptions;
use tally_eventlog::store::LogSource as _;
use tally_eventlog::verify::ShardVerifier;
use tally_proto::tally::audit::v1 as audit;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_service::logs;
use tally_tests::harness::*;

const START: &str = "2026-03-02T01:00:00Z";

/// A mesh in which every view has a row and every log a record.
async fn full_mesh() -> Harness {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let (first, second) = (
        mesh.officer(MARKET, "1").await,
        mesh.officer(MARKET, "2").await,
    );
    let responder = mesh.system(TAX).await;
    let mut listed = None;
    for (n, subject) in [COMPANY, OTHER_COMPANY].into_iter().enumerate() {
        let mut record = penalty(subject, &format!("penalty {n}"), "2026-03-01");
        record
            .fields
            .push(tally_proto::tally::collection::v1::Field {
                name: "legal_representative".to_owned(),
                value: "Zhuge Testperson".to_owned(),
            });
        let (record, _) = push(&system, record).await;
        let request = tally_proto::tally::collection::v1::GetRecordRequest {
            record_id: record.clone(),
            case_number: "case 1".to_owned(),
        };
        system
            .collection()
            .get_record(request)
            .await
            .expect("opened, and logged");
        let listing = BlackListing {
            subject: subject.to_owned(),
            ground: record,
            from: "2026-03-02".to_owned(),
            until: "2027-03-01".to_owned(),
            served_on: "2026-03-02".to_owned(),
        };
        listed = Some(list_black(&first, &second, &listing).await);
    }
    let (_, receipt) = listed.expect("two were listed");
    let answer = check_after(&responder, OTHER_COMPANY, &receipt).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);
    mesh.settle().await;
    let directive = mailbox(&responder).await[0]
        .directive
        .clone()
        .expect("a directive");
    report(&responder, &directive.directive_id, "2026-03-02").await;
    mesh.settle().await;
    mesh
}

#[tokio::test(flavor = "multi_thread")]
async fn any_byte_of_any_record() {
    let mesh = full_mesh().await;
    let mut flips = 0;
    for log in logs::ALL {
        let heads = mesh.mesh.store.heads(log).await.expect("heads");
        for (shard, head) in mesh.mesh.store.shards().all().zip(heads) {
            let size = usize::try_from(head.size()).expect("small");
            let records = mesh
                .mesh
                .store
                .read_durable(log, shard, 0, size.max(1))
                .await
                .expect("records");
            assert_eq!(records.len(), size);
            for tampered in &records {
                // Every byte of a short record, every seventh of a long one: a
                // pack's items are long, and each flip verifies the shard anew.
                let step = if tampered.bytes.len() > 700 { 7 } else { 1 };
                for place in (0..tampered.bytes.len()).step_by(step) {
                    let mut verifier = ShardVerifier::new(log, shard, head.clone());
                    for record in &records {
                        let mut bytes = record.bytes.to_vec();
                        if record.position == tampered.position {
                            bytes[place] ^= 1;
                        }
                        verifier.record(record.position, &Bytes::from(bytes), record.leaf);
                    }
                    verifier.finish();
                    let located = verifier.faults.iter().any(|fault| {
                        fault.position == Some(tampered.position) && fault.reason == "LEAF"
                    });
                    assert!(located, "{log}/{shard}/{} byte {place}", tampered.position);
                    flips += 1;
                    if records.len() > 20 && place > 40 {
                        break;
                    }
                }
            }
        }
    }
    assert!(flips > 5_000, "only {flips} bytes were flipped");
    mesh.stop().await;
}

async fn open(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .expect("the database opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_record_on_disk_is_named_by_verify() {
    let dir = full_mesh().await.stop().await;
    let mut database = open(&dir.path().join("tally.db")).await;
    // Not the last of its shard: the store would refuse to open, which is another test.
    let victim = sqlx::query(
        "SELECT event.id, event.record, log.name FROM event JOIN log ON log.number = event.id >> 56 \
         WHERE log.name = 'lists' AND EXISTS (SELECT 1 FROM event later WHERE later.id = event.id + 1) LIMIT 1",
    )
    .fetch_one(&mut database)
    .await
    .expect("a record of lists that is not the last");
    let id: i64 = victim.get(0);
    let mut record: Vec<u8> = victim.get(1);
    let middle = record.len() / 2;
    record[middle] ^= 0x20;
    sqlx::query("UPDATE event SET record = ? WHERE id = ?")
        .bind(&record)
        .bind(id)
        .execute(&mut database)
        .await
        .expect("tampered");
    sqlx::Connection::close(database).await.expect("closed");

    let options = MeshOptions::in_dir(DataDir::new(dir.path()));
    let mesh = Harness::with(options, dir).await;
    let operator = mesh.operator().await;
    let mut verified = operator
        .audit()
        .verify(audit::VerifyRequest {})
        .await
        .expect("verifies")
        .into_inner();
    let mut named = Vec::new();
    while let Some(shard) = verified.message().await.expect("the stream goes on") {
        let number = shard.head.as_ref().map_or(0, |head| head.shard);
        named.extend(
            shard
                .faults
                .into_iter()
                .map(|fault| (shard.log.clone(), number, fault.position)),
        );
    }
    let expected = (
        "lists".to_owned(),
        u32::try_from((id >> 40) & 0xffff).expect("a shard"),
        Some(u64::try_from(id & 0xff_ffff_ffff).expect("a position")),
    );
    assert!(
        named.contains(&expected),
        "{expected:?} is not among {named:?}"
    );
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_row_of_each_view_is_found_by_a_rebuild() {
    let dir = full_mesh().await.stop().await;
    let mut database = open(&dir.path().join("tally.db")).await;
    let views = sqlx::query(
        "SELECT name, (SELECT count(*) FROM view_row WHERE view = number) FROM view_name WHERE name <> 'parked'",
    )
    .fetch_all(&mut database)
    .await
    .expect("views");
    let mut expected = BTreeSet::new();
    for view in &views {
        let (name, rows): (String, i64) = (view.get(0), view.get(1));
        if rows == 0 {
            continue;
        }
        // The last byte of the value becomes another.
        sqlx::query(
            "UPDATE view_row SET value = substr(value, 1, length(value) - 1) || \
             CASE WHEN substr(value, -1) = x'01' THEN x'02' ELSE x'01' END \
             WHERE (view, shard, key) IN (SELECT view, shard, key FROM view_row \
             WHERE view = (SELECT number FROM view_name WHERE name = ?) LIMIT 1)",
        )
        .bind(&name)
        .execute(&mut database)
        .await
        .expect("tampered");
        expected.insert(name);
    }
    assert!(expected.len() >= 10, "only {expected:?} have rows");
    sqlx::Connection::close(database).await.expect("closed");

    let options = MeshOptions::in_dir(DataDir::new(dir.path()));
    let mesh = Harness::with(options, dir).await;
    let operator = mesh.operator().await;
    let mut rebuilt = operator
        .audit()
        .rebuild(audit::RebuildRequest {})
        .await
        .expect("rebuilds")
        .into_inner();
    let mut found = BTreeSet::new();
    while let Some(consumer) = rebuilt.message().await.expect("the stream goes on") {
        found.extend(
            consumer
                .differences
                .into_iter()
                .map(|difference| difference.view),
        );
    }
    assert_eq!(found, expected);
    mesh.stop().await;
}
