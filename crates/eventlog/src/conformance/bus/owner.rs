//! The owner of a log as other processes see it: it can be away, and it can
//! come back restored from a backup.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use tokio::sync::watch;

use super::bench::reaches;
use crate::event::StoredRecord;
use crate::memory::MemoryStore;
use crate::sequence::Head;
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::{LogSource, StoreError};

/// An owner that other processes ask.
pub struct Owner {
    store: RwLock<Arc<MemoryStore>>,
    away: AtomicBool,
    /// How often it was asked for its heads, answered or not.
    asked: watch::Sender<u64>,
    /// How often it was asked for records, answered or not.
    reads: watch::Sender<u64>,
    /// How many records it was asked for and gave, those that verify a place aside.
    pub gave: AtomicU64,
}

impl Owner {
    /// An owner of this store.
    pub fn new(store: Arc<MemoryStore>) -> Self {
        Self {
            store: RwLock::new(store),
            away: AtomicBool::new(false),
            asked: watch::Sender::new(0),
            reads: watch::Sender::new(0),
            gave: AtomicU64::new(0),
        }
    }

    /// Its store.
    pub fn store(&self) -> Arc<MemoryStore> {
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner);
        store.clone()
    }

    /// It is another store from now on.
    pub fn replace(&self, store: Arc<MemoryStore>) {
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = store;
    }

    /// It cannot be asked, or can again.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// Waits until it was asked for its heads, or for records, from now on, and
    /// whoever asked has taken in what it said.
    pub async fn is_asked(&self, for_records: bool) {
        let mut asked = match for_records {
            true => self.reads.subscribe(),
            false => self.asked.subscribe(),
        };
        let before = *asked.borrow();
        // The first may have been under way; whoever asks a third time has taken
        // in the answer to the second.
        reaches(&mut asked, |count| *count >= before + 3).await;
    }

    fn reached(&self) -> Result<Arc<MemoryStore>, StoreError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(StoreError::new("the owner is away")),
            false => Ok(self.store()),
        }
    }
}

#[async_trait]
impl LogSource for Owner {
    fn shards(&self) -> ShardCount {
        self.store().shards()
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.reads.send_modify(|count| *count += 1);
        let records = self.reached()?.read(log, shard, from, limit).await?;
        self.gave.fetch_add(records.len() as u64, Ordering::SeqCst);
        Ok(records)
    }

    async fn read_durable(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let store = self.reached()?;
        store.read_durable(log, shard, from, limit).await
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        self.asked.send_modify(|count| *count += 1);
        self.reached()?.heads(log).await
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.store().watch(log, shard)
    }
}
