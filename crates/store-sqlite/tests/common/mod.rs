//! What the store's tests share.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use tally_eventlog::append::{Append, Appended, CommandKey, ExpectedVersion, StreamAppend};
use tally_eventlog::clock::SystemClock;
use tally_eventlog::event::{EventContext, NewEvent, StreamName};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::pb;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::EventStore as _;
use tally_store_sqlite::{CreateOptions, SqliteOptions, SqliteStore};
use uuid::Uuid;

pub const LOG: LogName = LogName("collection");
pub const SHARD: Shard = Shard(1);

pub fn options(path: &Path) -> SqliteOptions {
    SqliteOptions {
        path: path.to_owned(),
        logs: vec![LOG, LogName("lists")],
        shards: ShardCount::new(4).expect("in range"),
        clock: Arc::new(SystemClock::default()),
        group: GroupOptions::default(),
        linker: None,
        create: Some(CreateOptions::default()),
    }
}

pub async fn open(path: &Path) -> SqliteStore {
    SqliteStore::open(options(path))
        .await
        .expect("the store opens")
}

/// A remembered command with one event on a stream of its own.
pub fn command(id: Uuid) -> Append {
    let mut append = Append::to(LOG, SHARD);
    append.command = Some(CommandKey {
        department: "d".to_owned(),
        id,
        digest: [1; 32],
    });
    append.note = Bytes::from_static(b"note");
    append.streams.push(StreamAppend {
        stream: stream(id),
        expected: ExpectedVersion::NoStream,
        events: vec![event(id)],
    });
    append
}

pub fn stream(id: Uuid) -> StreamName {
    StreamName::new("record", id.to_string())
}

fn event(id: Uuid) -> NewEvent {
    NewEvent {
        event_id: id,
        event_type: "test.Event",
        subject: String::new(),
        payload: Bytes::copy_from_slice(id.as_bytes()),
        effective_at: Timestamp::UNIX_EPOCH,
        context: Arc::new(EventContext {
            actor: pb::Actor::default(),
            pack_version: String::new(),
            command_id: id,
            causation_id: id,
            correlation_id: id,
            traceparent: String::new(),
        }),
        legal_basis: None,
    }
}

/// Appends one, which must succeed.
pub async fn append(store: &SqliteStore, append: Append) -> Appended {
    let mut outcomes = store.append(vec![append]).await;
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0).expect("it commits")
}
