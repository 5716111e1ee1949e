//! Tampering is noticed and located: any byte of any record, a row of each view.

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Row as _};
use tally::data_dir::DataDir;
use tally::mesh::MeshOptions;
use tally_eventlog::verify::ShardVerifier;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_service::logs;
use tally_tests::harness::*;

/// A mesh in which every view has a row and every log a record.
async fn full_mesh() -> Harness {
    let scene = Scene::start().await;
    let mut record = penalty(COMPANY, "penalty 1", "2026-03-01");
    record.fields.push(collection::Field {
        name: "legal_representative".to_owned(),
        value: "Zhuge Testperson".to_owned(),
    });
    let (record_id, _) = push(&scene.system, record).await;
    let request = collection::GetRecordRequest {
        record_id,
        case_number: "case 1".to_owned(),
    };
    scene
        .system
        .collection()
        .get_record(request)
        .await
        .expect("opened, and logged");
    scene.listed(COMPANY).await;
    let (_, receipt) = scene.listed(OTHER_COMPANY).await;
    let answer = scene.check_after(OTHER_COMPANY, &receipt).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);
    scene.mesh.settle().await;
    let directive = mailbox(&scene.responder).await[0]
        .directive
        .clone()
        .expect("a directive");
    let officer = scene.mesh.officer(TAX, "7").await;
    let (id, on) = (&directive.directive_id, "2026-03-02");
    execute(&scene.responder, &officer, id, on).await;
    report(&scene.responder, id, on).await;
    scene.mesh.settle().await;
    scene.mesh
}

#[tokio::test(flavor = "multi_thread")]
async fn any_byte_of_any_record() {
    let mesh = full_mesh().await;
    let mut flips = 0;
    for log in logs::ALL {
        let heads = mesh.whole().store.heads(log).await.expect("heads");
        for (shard, head) in mesh.whole().store.shards().all().zip(heads) {
            let size = usize::try_from(head.size()).expect("small");
            let records = mesh
                .whole()
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
                    let mut verifier = ShardVerifier::new(log, shard, head.clone(), Vec::new());
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
    let expected = (
        "lists".to_owned(),
        u32::try_from((id >> 40) & 0xffff).expect("a shard"),
        Some(u64::try_from(id & 0xff_ffff_ffff).expect("a position")),
        "LEAF".to_owned(),
    );
    let named = mesh.faults().await;
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
        // The last byte of the value becomes another; where there is none, one comes.
        sqlx::query(
            "UPDATE view_row SET value = CASE length(value) WHEN 0 THEN x'01' \
             ELSE substr(value, 1, length(value) - 1) || \
             CASE WHEN substr(value, -1) = x'01' THEN x'02' ELSE x'01' END END \
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
    assert_eq!(mesh.differing_views().await, expected);
    mesh.stop().await;
}
