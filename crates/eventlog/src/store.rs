//! What every event store offers.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;
use uuid::Uuid;

use crate::BoxError;
use crate::append::{Append, AppendError, Appended, Checkpoint, CommandKey, RowKey};
use crate::event::{StoredRecord, StreamName};
use crate::merkle::Hash;
use crate::sequence::{Head, Remembered};
use crate::shard::{LogName, Shard, ShardCount};

/// A store could not be read. Nothing was changed; retry.
#[derive(Debug, Clone, thiserror::Error)]
#[error("event store cannot be read: {source}")]
pub struct StoreError {
    /// Why.
    #[source]
    pub source: Arc<BoxError>,
}

impl StoreError {
    /// From any error of the store's driver.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self {
            source: Arc::new(source.into()),
        }
    }
}

/// A key and a value of a view.
pub type Row = (Bytes, Bytes);

/// What a consumer's views hold, at pinned positions of its source.
#[derive(Debug, Clone, Default)]
pub struct ViewSnapshot {
    /// The consumer's checkpoints.
    pub checkpoints: Vec<(Shard, Checkpoint)>,
    /// All rows of its views, in order of view, shard and key.
    pub rows: Vec<(RowKey, Bytes)>,
}

/// An id that a log had until it was restored from a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormerId {
    /// The id.
    pub log_id: Uuid,
    /// Number of records of each shard that are left of it, in order, those under
    /// still earlier ids included.
    pub sizes: Vec<u64>,
}

impl FormerId {
    /// Id under which the record at a position was recorded, by the ids that the
    /// log had before its present one, the oldest first.
    pub fn at(former: &[Self], present: Uuid, shard: Shard, position: u64) -> Uuid {
        let covers = |id: &&Self| {
            let size = id.sizes.get(usize::from(shard.0));
            size.is_some_and(|size| position < *size)
        };
        former.iter().find(covers).map_or(present, |id| id.log_id)
    }
}

/// How a log stands, and under which ids it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogHistory {
    /// Head of every shard, in order.
    pub heads: Vec<Head>,
    /// The ids that it had before, the oldest first.
    pub former: Vec<FormerId>,
}

impl LogHistory {
    /// Number of records of a shard.
    pub fn size(&self, shard: Shard) -> u64 {
        let head = self.heads.get(usize::from(shard.0));
        head.map_or(0, Head::size)
    }

    /// Whether that is its id now.
    pub fn is_at(&self, shard: Shard, log_id: Uuid) -> bool {
        let head = self.heads.get(usize::from(shard.0));
        head.is_some_and(|head| head.log_id == log_id)
    }

    /// Whether the log has the first `count` records of what had an id: it has that id
    /// now, or had it until it was restored from a backup with so many of them.
    pub fn still_has(&self, shard: Shard, log_id: Uuid, count: u64) -> bool {
        if count == 0 {
            return true;
        }
        if self.is_at(shard, log_id) {
            return count <= self.size(shard);
        }
        self.left_of(shard, log_id)
            .is_some_and(|left| count <= left)
    }

    /// Whether who has applied `count` records, the last of them under that id, has read
    /// this log and no other: under its present id it may have grown since.
    pub fn is_read_by(&self, shard: Shard, log_id: Uuid, count: u64) -> bool {
        self.is_at(shard, log_id) || self.still_has(shard, log_id, count)
    }

    /// Number of records of a shard that are left of what had an id before; nothing if
    /// the log never had it.
    pub fn left_of(&self, shard: Shard, log_id: Uuid) -> Option<u64> {
        let former = self.former.iter().find(|former| former.log_id == log_id)?;
        former.sizes.get(usize::from(shard.0)).copied()
    }
}

/// A log that can be read from any position: the role's own, or another
/// role's in process, over Kafka or over `ReadLog`.
#[async_trait]
pub trait LogSource: Send + Sync + 'static {
    /// Number of shards.
    fn shards(&self) -> ShardCount;

    /// Records of a shard from a position on, at most `limit`, in order and
    /// without a gap. Fewer or none: that is the head.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError>;

    /// The same, but never from memory: what verification reads.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn read_durable(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.read(log, shard, from, limit).await
    }

    /// Head of every shard, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError>;

    /// The ids that the log had before its present one, the oldest first: it has
    /// a new one each time that it is restored from a backup.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError>;

    /// Both at once.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn history(&self, log: LogName) -> Result<LogHistory, StoreError> {
        let heads = self.heads(log).await?;
        let former = self.former_ids(log).await?;
        Ok(LogHistory { heads, former })
    }

    /// The size of a shard as it grows: how far it can be read.
    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64>;

    /// What more there is to it where records come over a transport; nothing
    /// where the log itself is read, which can neither lag nor repeat.
    fn remote(&self) -> Option<&dyn Remote> {
        None
    }
}

/// Whether a log has, after its first `next` records, the record of this leaf as the
/// last; of none it always has. Asked of what is durable, and of the owner.
///
/// # Errors
///
/// [`StoreError`]: retry.
pub async fn has_place(
    source: &dyn LogSource,
    log: LogName,
    shard: Shard,
    next: u64,
    leaf: &Hash,
) -> Result<bool, StoreError> {
    let Some(last) = next.checked_sub(1) else {
        return Ok(true);
    };
    let found = source.read_durable(log, shard, last, 1).await?;
    let found = found.first().filter(|record| record.position == last);
    Ok(found.is_some_and(|record| record.leaf == *leaf))
}

/// A log of another process, whose records come over a transport that may lag,
/// lose and repeat. What the owner says is then another thing than what has come.
pub trait Remote: Send + Sync {
    /// A reader begins to follow a shard: it has applied `next` records and
    /// goes on there. Until it ends, what comes is held for it.
    ///
    /// `hint` is what [`hint`](Remote::hint) said of that place, if it did. It
    /// may be wrong.
    fn follow(&self, log: LogName, shard: Shard, next: u64, hint: Option<u64>);

    /// A reader that followed a shard has ended.
    fn unfollow(&self, log: LogName, shard: Shard);

    /// Where the transport goes on after the first `next` records, if known.
    fn hint(&self, log: LogName, shard: Shard, next: u64) -> Option<u64>;

    /// When the owner is last known to have held no more than the first `next`
    /// records: the wall-clock time, of this process, at which it was asked.
    ///
    /// The end of what has come says nothing: the relay may have stopped.
    fn complete_at(&self, log: LogName, shard: Shard, next: u64) -> Option<Timestamp>;

    /// How often something was seen that a growing log does not show: its owner
    /// has less than it had, it has another id, a record came again as another.
    ///
    /// Where that has changed since a reader verified its place, it verifies it
    /// again before it applies anything more.
    fn doubts(&self, log: LogName, shard: Shard) -> u64;
}

/// A shard that is followed, until it is dropped.
pub struct Following {
    source: Arc<dyn LogSource>,
    log: LogName,
    shard: Shard,
}

impl Following {
    /// Begins to follow a shard, as [`Remote::follow`] says; nothing where the
    /// log itself is read.
    pub fn begin(
        source: &Arc<dyn LogSource>,
        log: LogName,
        shard: Shard,
        next: u64,
        hint: Option<u64>,
    ) -> Option<Self> {
        source.remote()?.follow(log, shard, next, hint);
        let source = source.clone();
        Some(Self { source, log, shard })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if let Some(remote) = self.source.remote() {
            remote.unfollow(self.log, self.shard);
        }
    }
}

/// An event store: logs, remembered commands, checkpoints and views.
#[async_trait]
pub trait EventStore: LogSource {
    /// Appends. Each [`Append`] commits as a whole or not at all, and is
    /// answered for itself; the order is kept.
    ///
    /// # Errors
    ///
    /// [`AppendError`], per append; each says what to do.
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>>;

    /// All records of each stream, by version.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn read_streams(
        &self,
        log: LogName,
        streams: &[StreamName],
    ) -> Result<Vec<Vec<StoredRecord>>, StoreError>;

    /// What is remembered of each command.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn remembered(
        &self,
        log: LogName,
        commands: &[CommandKey],
    ) -> Result<Vec<Option<Remembered>>, StoreError>;

    /// Checkpoint of a consumer on every shard of its source, in order.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn checkpoints(
        &self,
        consumer: &'static str,
    ) -> Result<Vec<Option<Checkpoint>>, StoreError>;

    /// The rows with these keys.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// Rows of a view on one shard with keys from `from` up to, not including,
    /// `to` (nothing: the end), in order, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn scan(
        &self,
        view: &'static str,
        shard: Shard,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError>;

    /// A consumer's views and checkpoints, from one moment.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn snapshot(
        &self,
        consumer: &'static str,
        views: &[&'static str],
    ) -> Result<ViewSnapshot, StoreError>;

    /// Forgets commands that are older than the ids the caller accepts.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    async fn forget_commands(&self, older_than: Uuid) -> Result<u64, StoreError>;
}

/// The end of the keys that start with `prefix`, for [`EventStore::scan`];
/// nothing if there is none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_of_a_prefix() {
        assert_eq!(prefix_end(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(prefix_end(&[1, 255]), Some(vec![2]));
        assert_eq!(prefix_end(&[255]), None);
    }
}
