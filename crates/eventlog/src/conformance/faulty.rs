//! A store that cannot be written and read for a moment, and what a reader must
//! not forget meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

use super::bench::Bench;
use super::reader::{Start, about, notes, put};
use crate::append::{Append, AppendError, Appended, Checkpoint, CommandKey, RowKey};
use crate::consumer::PARKED_VIEW;
use crate::event::{StoredRecord, StreamName};
use crate::sequence::{Head, Remembered};
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::{EventStore, FormerId, LogSource, Row, StoreError, ViewSnapshot};

/// A store that refuses the next appends, and the next looks at what is parked.
struct Faulty {
    inner: Arc<dyn EventStore>,
    appends: AtomicU32,
    scans: AtomicU32,
}

fn one_less(faults: &AtomicU32) -> bool {
    let less = |left: u32| left.checked_sub(1);
    faults
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

pub(super) async fn a_store_that_fails_meanwhile_forgets_nothing_parked(bench: Bench) {
    put(&bench, [about("a", "poison")]).await;
    let store = Arc::new(Faulty {
        inner: bench.store().clone(),
        appends: AtomicU32::new(0),
        scans: AtomicU32::new(0),
    });
    let start = Start {
        store: store.clone(),
        ..Start::on(&bench)
    };
    let reader = start.reader(&bench);
    reader.reaches(1).await;
    store.scans.store(3, Ordering::SeqCst);
    store.appends.store(1, Ordering::SeqCst);
    put(&bench, [about("a", "1"), about("b", "1")]).await;
    reader.reaches(3).await;
    assert_eq!(store.appends.load(Ordering::SeqCst), 0, "the faults struck");
    assert_eq!(store.scans.load(Ordering::SeqCst), 0, "the faults struck");
    assert_eq!(reader.parked(), [("a".to_owned(), 2)]);
    assert_eq!(notes(&bench, "a").await, "", "nothing passes what waits");
    assert_eq!(notes(&bench, "b").await, "1;");

    // The same while it is tried again: the first is applied, and no more can be written.
    put(&bench, [about("a", "2")]).await;
    reader.reaches(4).await;
    reader.notes.mended.store(2, Ordering::SeqCst);
    store.scans.store(3, Ordering::SeqCst);
    store.appends.store(1, Ordering::SeqCst);
    let replayed = reader.replay("a").await;
    assert_eq!((replayed.applied, replayed.left), (0, 3), "{replayed:?}");
    put(&bench, [about("a", "3")]).await;
    reader.reaches(5).await;
    let replayed = reader.replay("a").await;
    assert_eq!((replayed.applied, replayed.left), (4, 0), "{replayed:?}");
    assert_eq!(notes(&bench, "a").await, "poison;1;2;3;", "in order");
    assert!(reader.parked().is_empty());
    reader.end().await;
}

#[async_trait]
impl LogSource for Faulty {
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
impl EventStore for Faulty {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        if one_less(&self.appends) {
            let refused = |_| Err(AppendError::Busy);
            return appends.iter().map(refused).collect();
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
        // While a write fails: what is looked up before it is not the matter here.
        let armed = self.appends.load(Ordering::SeqCst) == 0;
        if view == PARKED_VIEW && armed && one_less(&self.scans) {
            return Err(StoreError::new("injected"));
        }
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
