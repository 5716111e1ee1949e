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
use crate::store::{FormerId, LogSource, StoreError};

/// An owner that other processes ask.
pub struct Owner {
    store: RwLock<Arc<MemoryStore>>,
    away: AtomicBool,
    /// How often it was asked for its heads, answered or not.
    asked: watch::Sender<u64>,
    /// How often it was asked for records, answered or not.
    reads: watch::Sender<u64>,
    /// So many questions of each kind it has answered, or will as they come.
    answers: watch::Sender<u64>,
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
            answers: watch::Sender::new(u64::MAX),
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
        let mut asked = self.questions(for_records);
        let before = *asked.borrow();
        // The first may have been under way; whoever asks a third time has taken
        // in the answer to the second.
        reaches(&mut asked, |count| *count >= before + 3).await;
    }

    /// Runs this while the owner thinks about what it was asked before, and
    /// returns when that answer has been taken in, and no other.
    pub async fn thinks_while(&self, for_records: bool, happens: impl FnOnce()) {
        let mut asked = self.questions(for_records);
        let next = *asked.borrow() + 1;
        self.answers.send_replace(next - 1);
        reaches(&mut asked, |count| *count >= next).await;
        happens();
        self.answers.send_replace(next);
        reaches(&mut asked, |count| *count > next).await;
    }

    /// Thinks about nothing any more.
    pub fn answers_at_once(&self) {
        self.answers.send_replace(u64::MAX);
    }

    fn questions(&self, for_records: bool) -> watch::Receiver<u64> {
        match for_records {
            true => self.reads.subscribe(),
            false => self.asked.subscribe(),
        }
    }

    /// Counts a question, and ends when it is to be answered.
    async fn think(&self, questions: &watch::Sender<u64>) {
        let mut number = 0;
        questions.send_modify(|count| {
            *count += 1;
            number = *count;
        });
        let mut answers = self.answers.subscribe();
        // An error means that the owner is gone.
        let _ = answers.wait_for(|count| *count >= number).await;
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
        let records = match self.reached() {
            Ok(store) => store.read(log, shard, from, limit).await,
            Err(error) => Err(error),
        };
        self.think(&self.reads).await;
        let records = records?;
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
        let heads = match self.reached() {
            Ok(store) => store.heads(log).await,
            Err(error) => Err(error),
        };
        self.think(&self.asked).await;
        heads
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        self.reached()?.former_ids(log).await
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.store().watch(log, shard)
    }
}
