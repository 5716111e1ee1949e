//! What names or identifies a person is nowhere in clear; erasing a key
//! erases, and every proof still holds.

use std::path::Path;

use tally_eventlog::sealing::KeyRing;
use tally_proto::tally::audit::v1 as audit;
use tally_proto::tally::collection::v1 as collection;
use tally_store_sqlite::keyring::SqliteKeyStore;
use tally_tests::harness::*;

const START: &str = "2026-03-02T01:00:00Z";

/// A made-up name, and a number of an unassigned region (DOMAIN.md, GB 11643).
const NAME: &str = "Zhuge Testperson";
const NUMBER: &str = "999999200002291230";
/// An officer's number that no hash or time contains by chance.
const OFFICER: &str = "OFFICER-48151623";

fn field(name: &str, value: &str) -> collection::Field {
    collection::Field {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

fn with_representative(number: &str) -> collection::RecordContent {
    let mut record = penalty(COMPANY, number, "2026-03-01");
    record.fields.push(field("legal_representative", NAME));
    record.fields.push(field("legal_representative_id", NUMBER));
    record
}

fn assert_nowhere(dir: &Path, needles: &[&str]) {
    for entry in std::fs::read_dir(dir).expect("the directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            // Certificates are the officers' own; they carry the number.
            if path.file_name().is_some_and(|name| name != "certs") {
                assert_nowhere(&path, needles);
            }
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        for needle in needles {
            let found = bytes
                .windows(needle.len())
                .any(|window| window == needle.as_bytes());
            assert!(!found, "{} contains personal data in clear", path.display());
        }
    }
}

async fn shown(
    client: &tally::client::Client,
    record_id: &str,
    case: &str,
) -> collection::GetRecordResponse {
    let request = collection::GetRecordRequest {
        record_id: record_id.to_owned(),
        case_number: case.to_owned(),
    };
    client
        .collection()
        .get_record(request)
        .await
        .expect("shown")
        .into_inner()
}

fn values(answer: &collection::GetRecordResponse) -> Vec<&str> {
    answer
        .record
        .iter()
        .flat_map(|record| &record.fields)
        .map(|field| field.value.as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn personal_data_is_sealed_opened_with_a_trace_and_erased_for_good() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let (record, _) = push(&system, with_representative("penalty 1")).await;
    for n in 2..60 {
        push(&system, with_representative(&format!("penalty {n}"))).await;
    }
    // An officer acts, so that the number would be in an envelope if it were stored.
    let officer = mesh.officer(MARKET, OFFICER).await;
    let listing = BlackListing::today(COMPANY, &record, "2027-03-01");
    nominate(&officer, &listing).await;
    mesh.settle().await;
    // With the mesh running the write-ahead log is there too.
    assert!(mesh.dir.path().join("tally.db-wal").exists());
    assert_nowhere(mesh.dir.path(), &[NAME, NUMBER, OFFICER]);

    // The department that pushed sees it, for a case; nobody else does.
    let open = shown(&system, &record, "case 7").await;
    assert!(values(&open).contains(&NAME) && values(&open).contains(&NUMBER));
    let without_case = shown(&system, &record, "").await;
    assert!(!values(&without_case).contains(&NAME));
    assert_eq!(without_case.withheld.len(), 2);
    let operator = shown(&mesh.operator().await, &record, "case 7").await;
    assert!(
        !values(&operator).contains(&NAME),
        "an operator never sees it"
    );

    // The history shows who looked, and never what.
    let history = mesh.replay(audit::ReplayRequest::default()).await;
    for line in &history {
        assert!(
            ![NAME, NUMBER, OFFICER]
                .iter()
                .any(|personal| line.contains(personal))
        );
    }
    let openings = history
        .iter()
        .filter(|line| line.contains("SealedOpened"))
        .count();
    assert_eq!(openings, 1);
    let dir = mesh.stop().await;
    assert_nowhere(dir.path(), &[NAME, NUMBER, OFFICER]);

    erase_and_look_again(dir, &record).await;
}

async fn erase_and_look_again(dir: MeshDir, record: &str) {
    let data = tally::data_dir::DataDir::new(dir.path());
    let store = std::sync::Arc::new(
        SqliteKeyStore::open(data.keyring())
            .await
            .expect("the key ring"),
    );
    let keyring = KeyRing::new(store.clone(), data.master_key().expect("the master key"));
    assert!(
        keyring
            .erase_stream(&format!("collection/record/{record}"))
            .await
            .expect("erased")
    );
    store.close().await;
    drop(keyring);

    let options = tally::mesh::MeshOptions::in_dir(tally::data_dir::DataDir::new(dir.path()));
    let mesh = Harness::with(options, dir).await;
    let system = mesh.system(MARKET).await;
    let erased = shown(&system, record, "case 8").await;
    assert!(!values(&erased).contains(&NAME) && !values(&erased).contains(&NUMBER));
    assert!(
        values(&erased).contains(&"Example Ltd"),
        "what is not personal is still there"
    );
    assert_eq!(mesh.faults().await, []);
    mesh.stop().await;
}
