use std::path::Path;

use jiff::Timestamp;
use tally_eventlog::append::{
    Append, AppendError, Appended, ExpectedVersion, Outcome, StreamAppend,
};
use tally_eventlog::clock::SystemClock;
use tally_eventlog::event::{EventContext, NewEvent, StreamName};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::pb;
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{EventStore as _, LogSource as _};
use uuid::Uuid;

use super::*;
use crate::{CreateOptions, SqliteOptions, SqliteStore};

const LOG: LogName = LogName("collection");

async fn open(directory: &Path) -> SqliteStore {
    let options = SqliteOptions {
        path: directory.join("store.db"),
        logs: vec![LOG],
        shards: ShardCount::new(2).expect("in range"),
        clock: Arc::new(SystemClock::default()),
        group: GroupOptions::default(),
        linker: None,
        create: Some(CreateOptions::default()),
    };
    SqliteStore::open(options).await.expect("the store opens")
}

async fn append(store: &SqliteStore, shard: Shard) -> Result<Appended, AppendError> {
    let id = Uuid::now_v7();
    let context = EventContext {
        actor: pb::Actor::default(),
        pack_version: String::new(),
        command_id: id,
        causation_id: id,
        correlation_id: id,
        traceparent: String::new(),
    };
    let event = NewEvent {
        event_id: id,
        event_type: "test.Event",
        subject: String::new(),
        payload: bytes::Bytes::new(),
        effective_at: Timestamp::UNIX_EPOCH,
        context: Arc::new(context),
        legal_basis: None,
    };
    let append = Append {
        streams: vec![StreamAppend {
            stream: StreamName::new("record", id.to_string()),
            expected: ExpectedVersion::NoStream,
            events: vec![event],
        }],
        ..Append::to(LOG, shard)
    };
    store.append(vec![append]).await.remove(0)
}

async fn position(store: &SqliteStore, shard: Shard) -> u64 {
    let appended = append(store, shard).await.expect("it commits");
    appended.last.expect("one event").position
}

fn outcome(answer: Result<Appended, AppendError>) -> Outcome {
    match answer {
        Err(AppendError::Unavailable { outcome, .. }) => outcome,
        other => panic!("{other:?}"),
    }
}

async fn execute(store: &SqliteStore, statements: &[&'static str]) {
    let mut turn = store.turn.lock().await;
    let connection = turn.get().await.expect("it is open");
    for statement in statements {
        sqlx::query(*statement)
            .execute(&mut *connection)
            .await
            .expect("the statement runs");
    }
}

#[tokio::test]
async fn a_commit_is_on_disk_before_it_is_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).await;
    let mut turn = store.turn.lock().await;
    let connection = turn.get().await.expect("it is open");
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
        .fetch_one(&mut *connection)
        .await
        .expect("it is told");
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode")
        .fetch_one(&mut *connection)
        .await
        .expect("it is told");
    // https://www.sqlite.org/pragma.html#pragma_synchronous: 2 is FULL.
    assert_eq!((synchronous, journal.as_str()), (2, "wal"));
}

#[tokio::test]
async fn a_commit_that_fails_takes_no_position() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).await;
    assert_eq!(position(&store, Shard(1)).await, 0);
    // A deferred constraint is looked at by COMMIT only.
    let deferred = [
        "PRAGMA foreign_keys = ON",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE child (id REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TRIGGER fails AFTER INSERT ON event BEGIN INSERT INTO child VALUES (1); END",
    ];
    execute(&store, &deferred).await;
    let failed = append(&store, Shard(1)).await;
    assert_eq!(outcome(failed), Outcome::NotApplied);
    execute(&store, &["DROP TRIGGER fails"]).await;
    assert_eq!(position(&store, Shard(1)).await, 1, "neither gap nor reuse");
    let records = store.read(LOG, Shard(1), 0, 9).await.expect("readable");
    let positions: Vec<u64> = records.iter().map(|record| record.position).collect();
    assert_eq!(positions, [0, 1]);
    store.close().await.expect("it closes");
    let again = open(directory.path()).await;
    assert_eq!(position(&again, Shard(1)).await, 2);
}

#[tokio::test]
async fn after_an_unknown_outcome_nothing_in_memory_is_relied_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).await;
    assert_eq!(position(&store, Shard(0)).await, 0);
    // As if something had been taken over that was never committed.
    let take_over = |head: &mut Head| head.frontier.push([7; 32]);
    store
        .known
        .write()
        .heads
        .get_mut(&(LOG, Shard(0)))
        .map(take_over)
        .expect("it is known");
    {
        let mut turn = store.turn.lock().await;
        let connection = turn.get().await.expect("it is open");
        let mut handle = connection.lock_handle().await.expect("it is open");
        // COMMIT becomes a ROLLBACK, so that there is no transaction left to end.
        handle.set_commit_hook(|| false);
    }
    let unknown = append(&store, Shard(1)).await;
    assert_eq!(outcome(unknown), Outcome::Unknown);
    assert_eq!(position(&store, Shard(0)).await, 1, "read again");
    assert_eq!(position(&store, Shard(1)).await, 0, "it had no effect");
}

#[tokio::test]
async fn reads_that_nobody_polls_hold_no_connection() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).await;
    let streams = [StreamName::new("record", "a")];
    // More of them than there are connections.
    let mut resting: Vec<_> = (0..8).map(|_| store.read_streams(LOG, &streams)).collect();
    for read in &mut resting {
        assert!(futures::poll!(read).is_pending());
    }
    let histories = store.read_streams(LOG, &streams).await;
    assert_eq!(histories.expect("a connection was free"), [[]]);
    for read in resting {
        read.await.expect("done meanwhile");
    }
}
