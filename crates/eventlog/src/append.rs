//! What goes into an append, and what comes out of it.

use bytes::Bytes;
use jiff::Timestamp;
use uuid::Uuid;

use crate::BoxError;
use crate::event::{NewEvent, StreamName};
use crate::merkle::Hash;
use crate::shard::{LogName, Shard};

/// Which version a stream must be at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVersion {
    /// Any, also none.
    Any,
    /// The stream must not exist.
    NoStream,
    /// The stream is named after the append's own command, so that it exists
    /// only where that command has been applied. Once it is known that it has
    /// not, nothing is looked up; should the stream exist all the same, the
    /// store's unique key refuses the append as a bug.
    NewByCommand,
    /// The stream's last event must have this version.
    Exact(u64),
}

/// Events for one stream.
#[derive(Debug, Clone)]
pub struct StreamAppend {
    /// The stream.
    pub stream: StreamName,
    /// Where it must be.
    pub expected: ExpectedVersion,
    /// The events, at least one.
    pub events: Vec<NewEvent>,
}

/// A command's identity for idempotence.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommandKey {
    /// Department that issued it; empty for the mesh itself.
    pub department: String,
    /// Id from the caller.
    pub id: Uuid,
    /// Hash of the command's content. A keyed one where the content may name persons.
    pub digest: Hash,
}

/// Moves a consumer's checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointMove {
    /// Name of the consumer.
    pub consumer: &'static str,
    /// Shard of its source.
    pub shard: Shard,
    /// Number of records applied before; it must still be so.
    pub from: u64,
    /// The new checkpoint.
    pub to: Checkpoint,
}

/// How far a consumer is in one shard of its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Number of records applied, that is, the next position wanted.
    pub next: u64,
    /// Id of the source's log; nil before the first record.
    pub log_id: Uuid,
    /// Leaf hash of the last record applied; zero before the first.
    pub leaf: Hash,
    /// Wall-clock time at which the consumer had all that the source had.
    pub seen_at: Timestamp,
    /// Epoch of the lease under which it was written.
    pub epoch: u64,
    /// Where a transport goes on after the last record applied, as that
    /// transport counts. It saves time only: nothing depends on it being right.
    pub hint: Option<u64>,
}

impl Checkpoint {
    /// Before the first record.
    pub fn start(epoch: u64) -> Self {
        Self {
            next: 0,
            log_id: Uuid::nil(),
            leaf: [0; 32],
            seen_at: Timestamp::UNIX_EPOCH,
            epoch,
            hint: None,
        }
    }
}

/// A decision relied on how far a consumer was; it must still be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Name of the consumer.
    pub consumer: &'static str,
    /// Shard of its source.
    pub shard: Shard,
    /// Number of records applied.
    pub next: u64,
}

/// A decision relied on all that a log holds, also one that it does not append
/// to; the log must still end there. Only for logs of the same store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadGuard {
    /// The log.
    pub log: LogName,
    /// The shard.
    pub shard: Shard,
    /// Number of its records.
    pub size: u64,
}

/// Address of a row of a view.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    /// Name of the view, for example `lists.entry`.
    pub view: &'static str,
    /// Shard.
    pub shard: Shard,
    /// Key within the view and shard; ordered by its bytes.
    pub key: Bytes,
}

/// Sets or deletes a row of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewWrite {
    /// The row.
    pub row: RowKey,
    /// The new value; nothing deletes.
    pub value: Option<Bytes>,
}

/// The unit of atomicity: all of it commits or none does.
#[derive(Debug, Clone)]
pub struct Append {
    /// Log that the events go to.
    pub log: LogName,
    /// Shard that the events go to.
    pub shard: Shard,
    /// The command, if it is to be remembered.
    pub command: Option<CommandKey>,
    /// What the command's reply is made from, remembered with it.
    pub note: Bytes,
    /// The events, by stream. Empty where only views and a checkpoint move.
    pub streams: Vec<StreamAppend>,
    /// Checkpoint that moves with it.
    pub checkpoint: Option<CheckpointMove>,
    /// Rows that change with it.
    pub views: Vec<ViewWrite>,
    /// Checkpoints that the decision relied on.
    pub guards: Vec<Guard>,
    /// Ends of logs that the decision relied on.
    pub heads: Vec<HeadGuard>,
}

impl Append {
    /// An append of nothing, to be filled.
    pub fn to(log: LogName, shard: Shard) -> Self {
        Self {
            log,
            shard,
            command: None,
            note: Bytes::new(),
            streams: Vec::new(),
            checkpoint: None,
            views: Vec::new(),
            guards: Vec::new(),
            heads: Vec::new(),
        }
    }

    /// The shards that the store must have for it. Where only views and a
    /// checkpoint move, that is none: the log may be another role's.
    pub fn places(&self) -> impl Iterator<Item = (LogName, Shard)> {
        let appended = !self.streams.is_empty() || self.command.is_some();
        let own = appended.then_some((self.log, self.shard));
        let relied_on = self.heads.iter().map(|head| (head.log, head.shard));
        own.into_iter().chain(relied_on)
    }

    /// Number of events.
    pub fn events(&self) -> usize {
        self.streams.iter().map(|stream| stream.events.len()).sum()
    }

    /// Bytes that it holds in memory, roughly; bounds the queue.
    pub fn weight(&self) -> usize {
        let events: usize = self
            .streams
            .iter()
            .flat_map(|stream| &stream.events)
            // Twice: the payload, and the envelope encoded around it.
            .map(|event| 2 * event.payload.len() + 512)
            .sum();
        let rows: usize = self
            .views
            .iter()
            .map(|write| write.row.key.len() + write.value.as_ref().map_or(0, Bytes::len) + 64)
            .sum();
        events + rows + 128
    }
}

/// The result of an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Log.
    pub log: LogName,
    /// Id of the log.
    pub log_id: Uuid,
    /// Shard.
    pub shard: Shard,
    /// Where the last event is; nothing where there was no event.
    pub last: Option<LastRecord>,
    /// What the command's reply is made from.
    pub note: Bytes,
    /// True: the command had been applied before, and this is its first result.
    pub repeated: bool,
}

/// The last record of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRecord {
    /// Position.
    pub position: u64,
    /// Leaf hash.
    pub leaf: Hash,
    /// When the log learned it.
    pub recorded_at: Timestamp,
}

/// Whether a failed append took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did not.
    NotApplied,
    /// It cannot be said: retry with the same command id.
    Unknown,
}

/// Why an append failed.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Another writer was first: reload and decide again.
    #[error("stream `{stream}` is at {actual}, expected {expected:?}", actual = version_text(*.actual))]
    WrongExpectedVersion {
        /// The stream.
        stream: StreamName,
        /// What was expected.
        expected: ExpectedVersion,
        /// Version of its last event; nothing if it does not exist.
        actual: Option<u64>,
    },
    /// The same command id came with other content: use a new id.
    #[error("command id {id} was used before for another command; use a new id")]
    CommandReused {
        /// The id.
        id: Uuid,
    },
    /// Another consumer holds the shard, or has moved on: reload the checkpoint.
    #[error("checkpoint of `{consumer}` on shard {shard} is at {actual}, expected {expected}")]
    CheckpointMoved {
        /// The consumer.
        consumer: &'static str,
        /// The shard.
        shard: Shard,
        /// Number of records applied, as expected.
        expected: u64,
        /// Number of records applied, in truth.
        actual: u64,
    },
    /// A reader, or a log, moved on while it was decided: decide again.
    #[error("`{consumer}` moved on shard {shard} while it was decided; decide again")]
    Outdated {
        /// The consumer, or the log.
        consumer: &'static str,
        /// The shard.
        shard: Shard,
    },
    /// The queue is full: nothing was applied; retry later.
    #[error("the log is busy; nothing was applied, retry later")]
    Busy,
    /// The store failed.
    #[error("event store unavailable ({outcome:?}): {source}")]
    Unavailable {
        /// Why.
        source: std::sync::Arc<BoxError>,
        /// Whether it took effect.
        outcome: Outcome,
    },
}

fn version_text(version: Option<u64>) -> String {
    version.map_or_else(
        || "no version".to_owned(),
        |version| format!("version {version}"),
    )
}
