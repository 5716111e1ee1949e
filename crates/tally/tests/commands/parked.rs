//! A subject of which an event cannot be applied: found, looked at, mended, applied.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tally_eventlog::append::{Append, RowKey, ViewWrite};
use tally_eventlog::clock::SystemClock;
use tally_eventlog::group::GroupOptions;
use tally_eventlog::store::{EventStore as _, LogSource as _, Row};
use tally_sanctions::view;
use tally_service::logs;
use tally_store_sqlite::{SqliteOptions, SqliteStore};

use super::{COMPANY, ask, list, mailbox, mesh, push, refused, tally, text};
use crate::process::Place;

const READER: &str = "sanctions.lists";

/// Bound on waiting; only a test that fails waits that long.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Does something to the store of a mesh that does not run.
fn on_store<T, F: Future<Output = T>>(place: &Place, work: impl FnOnce(SqliteStore) -> F) -> T {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let path = tally::data_dir::DataDir::new(place.data()).store(None);
        let info = SqliteStore::inspect(&path).await.expect("readable");
        let store = SqliteStore::open(SqliteOptions {
            path,
            logs: logs::ALL.to_vec(),
            shards: info.expect("the mesh has made it").shards,
            clock: Arc::new(SystemClock::default()),
            group: GroupOptions::default(),
            linker: None,
            create: None,
        });
        work(store.await.expect("nobody else has it open")).await
    })
}

/// What sanctions knows of the company, as a row.
async fn write_row(store: SqliteStore, key: &[u8], value: Option<Row>) {
    let shard = store.shards().of(COMPANY);
    let row = RowKey {
        view: view::SUBJECT,
        shard,
        key: key.to_vec().into(),
    };
    let value = value.map(|(_, value)| value);
    let append = Append {
        views: vec![ViewWrite { row, value }],
        ..Append::to(logs::SANCTIONS, shard)
    };
    for written in store.append(vec![append]).await {
        written.expect("written");
    }
    store.close().await.expect("closed");
}

/// Takes the row away, as what damages a store would, and gives it.
fn lose_row(place: &Place) -> Row {
    on_store(place, |store| async move {
        let shard = store.shards().of(COMPANY);
        let rows = store.scan(view::SUBJECT, shard, &[], None, 100).await;
        let about = |row: &&Row| row.0.as_ref() == COMPANY.as_bytes();
        let rows = rows.expect("readable");
        let row = rows.iter().find(about).expect("it is listed").clone();
        write_row(store, &row.0, None).await;
        row
    })
}

/// The parked subjects, once there are as many waiting events as that.
fn parked(place: &Place, events: u64) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let listed = tally(place, "--json parked list").exits(0).lines();
        let waiting = listed.iter().map(|one| number(&one["events"])).sum::<u64>();
        if waiting == events {
            return listed;
        }
        assert!(began.elapsed() < WAIT_MAX, "{listed:?}");
    }
}

/// Numbers of 64 bits are texts in JSON.
#[track_caller]
fn number(value: &Value) -> u64 {
    text(value).parse().expect("a number")
}

#[test]
fn what_could_not_be_applied_is_found_mended_and_applied() {
    let (place, server) = mesh();
    tally(&place, "parked list")
        .exits(0)
        .says(&["nothing is parked"]);
    let entry = list(&place, &push(&place, "penalty 1"));
    mailbox(&place, "tax", 2);
    assert!(server.terminate().success());
    let row = lose_row(&place);

    let server = place.up();
    ask(
        &place,
        "market-3",
        &format!("object accept {entry} --document 'objection 1'"),
    );
    ask(
        &place,
        "market-4",
        &format!("object uphold {entry} --reason holds --document 'decision 1'"),
    );
    let listed = parked(&place, 2);
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (text(&listed[0]["consumer"]), text(&listed[0]["subject"])),
        (READER, COMPANY)
    );
    assert_eq!(
        text(&listed[0]["first"]["event_type"]),
        "tally.lists.v1.EntrySuspended"
    );
    let never = format!("entry {entry} was never listed");
    assert_eq!(text(&listed[0]["first"]["reason"]), never);
    let for_people = tally(&place, "parked list --reader sanctions.lists").exits(0);
    for_people.says(&[READER, COMPANY, "2 events", "EntrySuspended", &never]);
    let readers = ask(&place, "operator", "status")["readers"].clone();
    let reader = readers
        .as_array()
        .expect("readers")
        .iter()
        .find(|one| one["consumer"] == READER);
    assert_eq!(number(&reader.expect("it runs")["parked"]), 1);
    let why = "--purpose procurement --case 1 --basis tally-credit-regulations/18@1";
    let check = format!("--as tax check {COMPANY} {why}");
    tally(&place, &check)
        .exits(0)
        .says(&["UNDETERMINED", "SUBJECT_PARKED"]);

    let show = format!("parked show {READER} {COMPANY}");
    let events = tally(&place, &format!("--json {show}")).exits(0).lines();
    let types: Vec<&str> = events
        .iter()
        .map(|event| text(&event["event_type"]))
        .collect();
    assert_eq!(
        types,
        [
            "tally.lists.v1.EntrySuspended",
            "tally.lists.v1.EntryUpheld"
        ]
    );
    assert!(number(&events[0]["position"]) < number(&events[1]["position"]));
    tally(&place, &show)
        .exits(0)
        .says(&[&never, "waits behind an earlier event"]);
    let replay = format!("parked replay {READER} {COMPANY}");
    let tried = tally(&place, &replay).exits(1);
    tried.says(&["0 applied, 2 left", "stopped at", &never]);

    // Mended: the row is as it was. No department may try again.
    assert!(server.terminate().success());
    on_store(&place, |store| async move {
        let key = row.0.clone();
        write_row(store, &key, Some(row)).await;
    });
    let _server = place.up();
    let (reason, _) = refused(&place, "market-1", &replay, 3);
    assert_eq!(reason, "RIGHT_MISSING");
    parked(&place, 2);
    let done = tally(&place, &format!("--json parked replay {READER}"))
        .exits(0)
        .line();
    assert_eq!((number(&done["applied"]), number(&done["left"])), (2, 0));
    assert_eq!(
        (text(&done["subject"]), &done["stopped_at"]),
        (COMPANY, &Value::Null)
    );
    tally(&place, "parked list")
        .exits(0)
        .says(&["nothing is parked"]);
    let (reason, people) = refused(&place, "operator", &replay, 3);
    assert_eq!(reason, "SUBJECT_NOT_PARKED");
    people.says(&[READER]);
    let (reason, people) = refused(&place, "operator", "parked show sanctions.none x", 3);
    assert_eq!(reason, "READER_UNKNOWN");
    people.says(&["there are: ", READER]);
    // What waited has its effects: the directives were held and go on.
    tally(&place, &check).exits(0).says(&["IN_FORCE"]);
    let all = mailbox(&place, "tax", 6);
    assert_eq!(all.len(), 6, "{all:?}");
    tally(&place, "rebuild").exits(0);
    tally(&place, "verify").exits(0);
}
