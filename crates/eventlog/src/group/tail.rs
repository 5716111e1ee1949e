//! What readers that follow a log find in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use crate::event::StoredRecord;
use crate::sequence::{Loaded, Rows};
use crate::shard::{LogName, Shard, ShardCount};

/// The newest records of each shard in memory, and each shard's size as it grows.
#[derive(Debug)]
pub struct Tail {
    shards: HashMap<(LogName, Shard), ShardTail>,
    records_max: usize,
}

#[derive(Debug)]
struct ShardTail {
    recent: Mutex<VecDeque<StoredRecord>>,
    size: watch::Sender<u64>,
}

impl Tail {
    /// A tail over these logs, whose shards have these sizes now.
    pub fn new(
        logs: &[LogName],
        shards: ShardCount,
        size: impl Fn(LogName, Shard) -> u64,
        records_max: usize,
    ) -> Self {
        let shards = logs
            .iter()
            .flat_map(|log| shards.all().map(|shard| (*log, shard)))
            .map(|(log, shard)| {
                let tail = ShardTail {
                    recent: Mutex::new(VecDeque::new()),
                    size: watch::Sender::new(size(log, shard)),
                };
                ((log, shard), tail)
            })
            .collect();
        Self {
            shards,
            records_max,
        }
    }

    /// The size of a shard as it grows.
    ///
    /// # Panics
    ///
    /// If the store has no such log or shard.
    pub fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.shard(log, shard).size.subscribe()
    }

    /// Records from a position on, if all of them are still in memory.
    pub fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Option<Vec<StoredRecord>> {
        let tail = self.shards.get(&(log, shard))?;
        if from >= *tail.size.borrow() {
            return Some(Vec::new());
        }
        let recent = tail.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let first = recent.front()?.position;
        let skip = usize::try_from(from.checked_sub(first)?).ok()?;
        Some(recent.iter().skip(skip).take(limit).cloned().collect())
    }

    fn shard(&self, log: LogName, shard: Shard) -> &ShardTail {
        self.shards
            .get(&(log, shard))
            .expect("the store was opened with this log and shard")
    }

    /// Takes over the size that a store found after a commit of unknown outcome.
    /// If it took effect, its records never came through here: readers then
    /// find them in the store.
    pub fn catch_up(&self, log: LogName, shard: Shard, size: u64) {
        let tail = self.shard(log, shard);
        if *tail.size.borrow() == size {
            return;
        }
        // Records in memory must be contiguous, or a reader would skip some.
        tail.recent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        tail.size.send_replace(size);
    }

    pub(super) fn publish(&self, rows: &Rows) {
        for row in &rows.events {
            let mut recent = self
                .shard(row.log, row.record.shard)
                .recent
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            if recent.len() >= self.records_max.max(1) {
                recent.pop_front();
            }
            recent.push_back(row.record.clone());
        }
        for ((log, shard), head) in &rows.heads {
            self.shard(*log, *shard).size.send_replace(head.size());
        }
    }

    pub(super) fn catch_up_all(&self, loaded: &Loaded) {
        for ((log, shard), head) in &loaded.heads {
            self.catch_up(*log, *shard, head.size());
        }
    }
}
