//! A store that lets something happen between a decision and its append.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use tally_eventlog::append::{Append, AppendError, Appended, Checkpoint, CommandKey, RowKey};
use tally_eventlog::event::{StoredRecord, StreamName};
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::sequence::{Head, Remembered};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{EventStore, FormerId, LogSource, Row, StoreError, ViewSnapshot};
use tokio::sync::watch;
use tonic::async_trait;
use uuid::Uuid;

type Meanwhile = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// Before the first append of one type of event, something happens.
pub struct Interposed {
    inner: Arc<MemoryStore>,
    meanwhile: Meanwhile,
    event_type: &'static str,
    happened: AtomicBool,
}

impl Interposed {
    pub fn new<F, T>(inner: Arc<MemoryStore>, event_type: &'static str, meanwhile: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        Self {
            inner,
            meanwhile: Box::new(move || Box::pin(meanwhile())),
            event_type,
            happened: AtomicBool::new(false),
        }
    }

    fn concerns(&self, append: &Append) -> bool {
        let mut events = append.streams.iter().flat_map(|stream| &stream.events);
        events.any(|event| event.event_type == self.event_type)
    }
}

#[async_trait]
impl LogSource for Interposed {
    fn shards(&self) -> ShardCount {
        self.inner.shards()
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.inner.read(log, shard, from, limit).await
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        self.inner.heads(log).await
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        self.inner.former_ids(log).await
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.inner.watch(log, shard)
    }
}

#[async_trait]
impl EventStore for Interposed {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        if appends.iter().any(|append| self.concerns(append))
            && !self.happened.swap(true, Ordering::SeqCst)
        {
            (self.meanwhile)().await;
        }
        self.inner.append(appends).await
    }

    async fn read_streams(
        &self,
        log: LogName,
        streams: &[StreamName],
    ) -> Result<Vec<Vec<StoredRecord>>, StoreError> {
        self.inner.read_streams(log, streams).await
    }

    async fn remembered(
        &self,
        log: LogName,
        commands: &[CommandKey],
    ) -> Result<Vec<Option<Remembered>>, StoreError> {
        self.inner.remembered(log, commands).await
    }

    async fn checkpoints(
        &self,
        consumer: &'static str,
    ) -> Result<Vec<Option<Checkpoint>>, StoreError> {
        self.inner.checkpoints(consumer).await
    }

    async fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.inner.rows(keys).await
    }

    async fn scan(
        &self,
        view: &'static str,
        shard: Shard,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        self.inner.scan(view, shard, from, to, limit).await
    }

    async fn snapshot(
        &self,
        consumer: &'static str,
        views: &[&'static str],
    ) -> Result<ViewSnapshot, StoreError> {
        self.inner.snapshot(consumer, views).await
    }

    async fn forget_commands(&self, older_than: Uuid) -> Result<u64, StoreError> {
        self.inner.forget_commands(older_than).await
    }
}
