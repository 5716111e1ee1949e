//! The event store in memory: for tests, and for rebuilding views beside the
//! store that serves. Group commit and sequencing are those of every store;
//! only the transaction differs.

mod archive;
mod data;

use std::ops::Bound;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

use crate::append::{Append, AppendError, Appended, Checkpoint, CommandKey, RowKey};
use crate::clock::Clock;
use crate::event::{StoredRecord, StreamName};
use crate::group::{GroupOptions, SpanLinker, Tail, Writer};
use crate::sequence::{Head, Remembered};
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::{EventStore, FormerId, LogSource, Row, StoreError, ViewSnapshot};

pub use archive::MemoryArchive;
pub use data::CommitFault;
use data::{Data, MemoryBackend, lock};

/// An event store that ends with the process.
pub struct MemoryStore {
    data: Arc<Mutex<Data>>,
    shards: ShardCount,
    tail: Arc<Tail>,
    writer: Writer,
    writing: tokio::task::JoinHandle<()>,
}

impl MemoryStore {
    /// An empty store with these logs, each with a fresh id.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn open(
        logs: &[LogName],
        shards: ShardCount,
        clock: Arc<dyn Clock>,
        options: GroupOptions,
        linker: Option<SpanLinker>,
    ) -> Self {
        let data = Arc::new(Mutex::new(Data::new(logs, shards)));
        Self::on(data, shards, clock, options, linker)
    }

    /// Opens the store again on the same data, as after a crash: what the
    /// first writer had not committed is lost, and it commits no more.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn crash_and_reopen(&self, clock: Arc<dyn Clock>, options: GroupOptions) -> Self {
        self.writing.abort();
        Self::on(self.data.clone(), self.shards, clock, options, None)
    }

    /// Opens what a backup kept: of each shard no more than so many records, and
    /// from there on another log.
    ///
    /// Without checkpoints, as if they had been kept before anything was read:
    /// what relays have sent is sent again.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn restored(
        &self,
        records_max: usize,
        clock: Arc<dyn Clock>,
        options: GroupOptions,
    ) -> Self {
        let data = lock(&self.data).restored(self.shards, records_max);
        let data = Arc::new(Mutex::new(data));
        Self::on(data, self.shards, clock, options, None)
    }

    /// Its content, to be archived or filled.
    pub fn archive(&self) -> MemoryArchive {
        MemoryArchive {
            data: self.data.clone(),
            shards: self.shards,
        }
    }

    /// A way to make commits fail, for tests of what others do then.
    pub fn faults(&self) -> MemoryFaults {
        MemoryFaults {
            data: self.data.clone(),
        }
    }

    fn on(
        data: Arc<Mutex<Data>>,
        shards: ShardCount,
        clock: Arc<dyn Clock>,
        options: GroupOptions,
        linker: Option<SpanLinker>,
    ) -> Self {
        let (tail, owner) = {
            let mut data = lock(&data);
            data.owner += 1;
            let logs: Vec<LogName> = data.logs.keys().copied().collect();
            let size = |log, shard| data.heads.get(&(log, shard)).map_or(0, Head::size);
            (
                Arc::new(Tail::new(&logs, shards, size, &options)),
                data.owner,
            )
        };
        let backend = MemoryBackend {
            data: data.clone(),
            owner,
        };
        let (writer, writing) = Writer::start(backend, tail.clone(), clock, options, linker);
        Self {
            data,
            shards,
            tail,
            writer,
            writing,
        }
    }
}

/// Makes commits of a [`MemoryStore`] fail, for tests of what others do then.
#[derive(Clone)]
pub struct MemoryFaults {
    data: Arc<Mutex<Data>>,
}

impl MemoryFaults {
    /// What the next commits meet, in order; nothing lets one pass. Commits
    /// after the last one pass.
    pub fn script(&self, faults: impl IntoIterator<Item = Option<CommitFault>>) {
        lock(&self.data).faults.extend(faults);
    }

    /// So many transactions cannot be opened from now on.
    pub fn fail_to_begin(&self, transactions: u32) {
        lock(&self.data).unreadable = transactions;
    }
}

#[async_trait]
impl LogSource for MemoryStore {
    fn shards(&self) -> ShardCount {
        self.shards
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        if let Some(records) = self.tail.read(log, shard, from, limit) {
            return Ok(records);
        }
        let data = lock(&self.data);
        let records = data.records.get(&(log, shard));
        let records = records.ok_or_else(|| no_shard(log, shard))?;
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(records.iter().skip(from).take(limit).cloned().collect())
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        let data = lock(&self.data);
        self.shards
            .all()
            .map(|shard| {
                data.heads
                    .get(&(log, shard))
                    .cloned()
                    .ok_or_else(|| no_shard(log, shard))
            })
            .collect()
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        let former = lock(&self.data).former.get(&log).cloned();
        Ok(former.unwrap_or_default())
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.tail.watch(log, shard)
    }
}

fn no_shard(log: LogName, shard: Shard) -> StoreError {
    StoreError::new(format!("the store has no shard {log}/{shard}"))
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let lacks = |log, shard| {
            let there = lock(&self.data).heads.contains_key(&(log, shard));
            (!there).then(|| no_shard(log, shard))
        };
        Writer::append_where(Some(self.writer.clone()), appends, lacks).await
    }

    async fn read_streams(
        &self,
        log: LogName,
        streams: &[StreamName],
    ) -> Result<Vec<Vec<StoredRecord>>, StoreError> {
        let data = lock(&self.data);
        let record = |&(shard, position): &(Shard, u64)| {
            let records = &data.records[&(log, shard)];
            records[usize::try_from(position).expect("it is an index of a vector")].clone()
        };
        let places = |stream: &StreamName| data.streams.get(&(log, stream.clone()));
        Ok(streams
            .iter()
            .map(|stream| places(stream).into_iter().flatten().map(record).collect())
            .collect())
    }

    async fn remembered(
        &self,
        log: LogName,
        commands: &[CommandKey],
    ) -> Result<Vec<Option<Remembered>>, StoreError> {
        let data = lock(&self.data);
        Ok(commands
            .iter()
            .map(|command| (command.id, log, command.department.clone()))
            .map(|key| data.commands.get(&key).cloned())
            .collect())
    }

    async fn checkpoints(
        &self,
        consumer: &'static str,
    ) -> Result<Vec<Option<Checkpoint>>, StoreError> {
        let data = lock(&self.data);
        let of = |shard| data.checkpoints.get(&(consumer, shard)).cloned();
        Ok(self.shards.all().map(of).collect())
    }

    async fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let data = lock(&self.data);
        Ok(keys
            .iter()
            .map(|key| data.views.get(key).cloned())
            .collect())
    }

    async fn scan(
        &self,
        view: &'static str,
        shard: Shard,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let data = lock(&self.data);
        let start = RowKey {
            view,
            shard,
            key: Bytes::copy_from_slice(from),
        };
        Ok(data
            .views
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(|(row, _)| row.view == view && row.shard == shard)
            .take_while(|(row, _)| to.is_none_or(|to| row.key.as_ref() < to))
            .take(limit)
            .map(|(row, value)| (row.key.clone(), value.clone()))
            .collect())
    }

    async fn snapshot(
        &self,
        consumer: &'static str,
        views: &[&'static str],
    ) -> Result<ViewSnapshot, StoreError> {
        let data = lock(&self.data);
        let checkpoints = data
            .checkpoints
            .iter()
            .filter(|((name, _), _)| *name == consumer);
        let rows = data
            .views
            .iter()
            .filter(|(row, _)| views.contains(&row.view));
        Ok(ViewSnapshot {
            checkpoints: checkpoints
                .map(|((_, shard), at)| (*shard, at.clone()))
                .collect(),
            rows: rows
                .map(|(row, value)| (row.clone(), value.clone()))
                .collect(),
        })
    }

    async fn forget_commands(&self, older_than: Uuid) -> Result<u64, StoreError> {
        let mut data = lock(&self.data);
        let kept = data
            .commands
            .split_off(&(older_than, LogName(""), String::new()));
        let forgotten = std::mem::replace(&mut data.commands, kept);
        Ok(forgotten.len() as u64)
    }
}
