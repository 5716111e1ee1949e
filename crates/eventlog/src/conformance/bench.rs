//! What the cases have in common: an open store, and short ways to say what
//! is appended to it and what is found there.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use super::{Fixture, Setup, TestClock};
use crate::append::{
    Append, AppendError, Appended, Checkpoint, CheckpointMove, CommandKey, ExpectedVersion, RowKey,
    StreamAppend, ViewWrite,
};
use crate::event::{EventContext, NewEvent, Recorded, StoredRecord, StreamName};
use crate::group::GroupOptions;
use crate::ids::first_at;
use crate::pb;
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::EventStore;

/// The log that cases append to.
pub const LOG: LogName = LogName("conformance");
/// Another log of the same store.
pub const OTHER: LogName = LogName("conformance-other");
/// Category of the streams.
const CATEGORY: &str = "case";
/// Name of the consumer whose checkpoints move.
pub const CONSUMER: &str = "conformance.consumer";
/// Name of a view.
pub const VIEW: &str = "conformance.view";

/// Bound on a case: one that hangs has failed.
const CASE_MAX: Duration = Duration::from_secs(120);

/// Ends a case that hangs.
pub(crate) async fn bounded(case: impl Future<Output = ()>) {
    tokio::time::timeout(CASE_MAX, case)
        .await
        .expect("the case hangs");
}

/// A store under test.
pub struct Bench {
    fixture: Box<dyn Fixture>,
    /// Nothing only while it crashes.
    store: Option<Arc<dyn EventStore>>,
    /// Its clock.
    pub clock: Arc<TestClock>,
    setup: Setup,
}

impl Bench {
    /// Opens a fresh store with four shards.
    pub async fn open(mut fixture: Box<dyn Fixture>) -> Self {
        let clock = Arc::new(TestClock::default());
        let setup = Setup {
            logs: vec![LOG, OTHER],
            shards: ShardCount::new(4).expect("4 is in range"),
            clock: clock.clone(),
            group: GroupOptions::default(),
        };
        let store = Some(fixture.open(&setup).await);
        Self {
            fixture,
            store,
            clock,
            setup,
        }
    }

    /// Ends the store as a crash would, and opens it again on what it left.
    pub async fn crash(&mut self) {
        self.store = None;
        self.store = Some(self.fixture.open(&self.setup).await);
    }

    /// Ends the store as a crash would, and opens what was put back from a backup.
    pub async fn restore(&mut self) {
        self.store = None;
        self.fixture.restore(&self.setup).await;
        self.store = Some(self.fixture.open(&self.setup).await);
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        self.store
            .as_ref()
            .expect("it is gone only while it crashes")
    }

    /// The same with other bounds of group commit.
    pub async fn reopen_with(&mut self, group: GroupOptions) {
        self.setup.group = group;
        self.crash().await;
    }

    /// Appends one.
    pub async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.store()
            .append(vec![append])
            .await
            .pop()
            .expect("one answer per append")
    }

    /// Appends several that must all hold.
    pub async fn append_all(&self, appends: Vec<Append>) -> Vec<Appended> {
        let answers = self.store().append(appends).await;
        answers
            .into_iter()
            .map(|answer| answer.expect("every append holds"))
            .collect()
    }

    /// The shard of a key.
    pub fn shard(&self, key: &str) -> Shard {
        self.setup.shards.of(key)
    }

    /// All shards.
    pub fn shards(&self) -> impl Iterator<Item = Shard> + use<> {
        self.setup.shards.all()
    }

    /// An append of one event to a stream, which is its own shard key.
    pub fn one(&self, stream: &str, expected: ExpectedVersion) -> Append {
        self.many(stream, expected, 1)
    }

    /// The same with several events.
    pub fn many(&self, stream: &str, expected: ExpectedVersion, events: usize) -> Append {
        Append {
            streams: vec![StreamAppend {
                stream: name(stream),
                expected,
                events: (0..events)
                    .map(|n| event(&format!("{stream} {n}")))
                    .collect(),
            }],
            ..Append::to(LOG, self.shard(stream))
        }
    }

    /// The records of a shard, as a reader from the start finds them.
    pub async fn records(&self, log: LogName, shard: Shard) -> Vec<StoredRecord> {
        let mut records = Vec::new();
        loop {
            let from = records.len() as u64;
            let more = self
                .store()
                .read(log, shard, from, 50)
                .await
                .expect("the store can be read");
            if more.is_empty() {
                return records;
            }
            records.extend(more);
        }
    }

    /// The payloads of a shard, as text.
    pub async fn payloads(&self, log: LogName, shard: Shard) -> Vec<String> {
        self.records(log, shard)
            .await
            .iter()
            .map(|record| payload(log, record))
            .collect()
    }

    /// The versions of a stream's records, as they are stored.
    pub async fn versions(&self, stream: &str) -> Vec<u64> {
        let records = self.store().read_streams(LOG, &[name(stream)]).await;
        let records = records.expect("the store can be read").remove(0);
        records
            .iter()
            .map(|record| decode(LOG, record).envelope.version)
            .collect()
    }

    /// Number of records in a log.
    pub async fn total(&self, log: LogName) -> u64 {
        let heads = self
            .store()
            .heads(log)
            .await
            .expect("the store can be read");
        heads.iter().map(crate::sequence::Head::size).sum()
    }

    /// The value of a row, as text.
    pub async fn row(&self, row: RowKey) -> Option<String> {
        let values = self
            .store()
            .rows(&[row])
            .await
            .expect("the store can be read")
            .remove(0);
        values.map(|value| String::from_utf8_lossy(&value).into_owned())
    }

    /// The consumer's checkpoint on a shard.
    pub async fn checkpoint(&self, shard: Shard) -> Option<Checkpoint> {
        let mut all = self
            .store()
            .checkpoints(CONSUMER)
            .await
            .expect("the store can be read");
        all.swap_remove(usize::from(shard.0))
    }

    /// What is remembered of a command.
    pub async fn remembers(&self, log: LogName, command: &CommandKey) -> bool {
        let found = self
            .store()
            .remembered(log, std::slice::from_ref(command))
            .await;
        found.expect("the store can be read").remove(0).is_some()
    }
}

/// Name of a stream.
pub fn name(stream: &str) -> StreamName {
    StreamName::new(CATEGORY, stream)
}

/// An event with a text as its payload.
pub fn event(text: &str) -> NewEvent {
    let context = EventContext {
        actor: pb::Actor::default(),
        pack_version: "pack-1".to_owned(),
        command_id: Uuid::from_u128(1),
        causation_id: Uuid::from_u128(2),
        correlation_id: Uuid::from_u128(3),
        traceparent: String::new(),
    };
    NewEvent {
        event_id: Uuid::from_u128(4),
        event_type: "tally.conformance.v1.Happened",
        subject: "cn-uscc:9152000071430580XT".to_owned(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        effective_at: Timestamp::UNIX_EPOCH,
        context: Arc::new(context),
        legal_basis: None,
    }
}

/// A command of a department with an id of a day of January 2026.
pub fn command(department: &str, day: i8, n: u8) -> CommandKey {
    let mut bytes = *first_at(time(&format!("2026-01-{day:02}T00:00:00Z"))).as_bytes();
    bytes[15] = n;
    CommandKey {
        department: department.to_owned(),
        id: Uuid::from_bytes(bytes),
        digest: [n; 32],
    }
}

/// A time.
pub fn time(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// A checkpoint after `next` records.
pub fn checkpoint(next: u64, epoch: u64) -> Checkpoint {
    Checkpoint {
        next,
        log_id: Uuid::from_u128(77),
        leaf: [u8::try_from(next).unwrap_or(u8::MAX); 32],
        seen_at: time("2026-01-02T03:04:05.000000001Z"),
        epoch,
        hint: next.checked_mul(1_000),
    }
}

/// A move of the consumer's checkpoint.
pub fn moved(shard: Shard, from: u64, to: Checkpoint) -> CheckpointMove {
    CheckpointMove {
        consumer: CONSUMER,
        shard,
        from,
        to,
    }
}

/// Address of a row.
pub fn row(view: &'static str, shard: Shard, key: &[u8]) -> RowKey {
    RowKey {
        view,
        shard,
        key: Bytes::copy_from_slice(key),
    }
}

/// Sets a row to a text.
pub fn set(row: RowKey, text: &str) -> ViewWrite {
    ViewWrite {
        row,
        value: Some(Bytes::copy_from_slice(text.as_bytes())),
    }
}

/// A record, decoded.
pub fn decode(log: LogName, record: &StoredRecord) -> Recorded {
    Recorded::decode(log, record).expect("what was stored can be decoded")
}

/// The payload of a record, as text.
pub fn payload(log: LogName, record: &StoredRecord) -> String {
    String::from_utf8_lossy(&decode(log, record).envelope.payload).into_owned()
}

/// Position of an append's last record.
pub fn position(appended: &Appended) -> u64 {
    appended.last.expect("it had events").position
}
