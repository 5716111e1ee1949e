//! How far a consumer is, for those who wait for it or judge its freshness.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::shard::{LogName, Shard, ShardCount};

/// Why a shard's runner has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Stable reason: `LOG_DIVERGED`, `DECODE`, `UNKNOWN_EVENT_TYPE`, `TOO_MANY_PARKED`,
    /// `POISON_WITHOUT_SUBJECT`, `GAP`, `FENCED`, `PANICKED`.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// State of one shard's runner.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShardProgress {
    /// Number of records applied.
    pub next: u64,
    /// Wall-clock time at which it had all that the source had; nothing before that.
    pub seen_at: Option<Timestamp>,
    /// Parked subjects and the number of their events.
    pub parked: HashMap<String, usize>,
    /// Why it stopped.
    pub stopped: Option<Stopped>,
}

/// State of a consumer.
#[derive(Debug)]
pub struct Progress {
    consumer: &'static str,
    log: LogName,
    shards: Vec<watch::Sender<ShardProgress>>,
    paused: watch::Sender<bool>,
}

impl Progress {
    pub(crate) fn new(consumer: &'static str, log: LogName, shards: ShardCount) -> Self {
        let shards = shards
            .all()
            .map(|_| watch::Sender::new(ShardProgress::default()))
            .collect();
        Self {
            consumer,
            log,
            shards,
            paused: watch::Sender::new(false),
        }
    }

    /// Name of the consumer.
    pub fn consumer(&self) -> &'static str {
        self.consumer
    }

    /// The log it reads.
    pub fn log(&self) -> LogName {
        self.log
    }

    /// State of a shard's runner.
    ///
    /// # Panics
    ///
    /// If there is no such shard.
    pub fn shard(&self, shard: Shard) -> ShardProgress {
        self.sender(shard).borrow().clone()
    }

    /// Reads what is needed of a shard's state without copying it.
    ///
    /// # Panics
    ///
    /// If there is no such shard.
    pub fn with<T>(&self, shard: Shard, read: impl FnOnce(&ShardProgress) -> T) -> T {
        read(&self.sender(shard).borrow())
    }

    /// All shards' states, in order.
    pub fn all(&self) -> Vec<ShardProgress> {
        self.shards
            .iter()
            .map(|sender| sender.borrow().clone())
            .collect()
    }

    /// Waits until a shard's runner has applied `next` records. False: it had
    /// not within `wait`, or has stopped.
    ///
    /// # Panics
    ///
    /// If there is no such shard.
    pub async fn wait_for(&self, shard: Shard, next: u64, wait: Duration) -> bool {
        let mut receiver = self.sender(shard).subscribe();
        let reached = receiver.wait_for(|state| state.next >= next || state.stopped.is_some());
        match tokio::time::timeout(wait, reached).await {
            Ok(Ok(state)) => state.next >= next,
            _ => false,
        }
    }

    /// Holds the reader where it is: maintenance, and tests of what happens then.
    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Lets a held reader go on.
    pub fn unpause(&self) {
        self.paused.send_replace(false);
    }

    /// True while it is held.
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    pub(crate) fn paused(&self) -> watch::Receiver<bool> {
        self.paused.subscribe()
    }

    pub(crate) fn update(&self, shard: Shard, change: impl FnOnce(&mut ShardProgress)) {
        self.sender(shard).send_modify(change);
    }

    /// Changes whenever the shard's state does.
    ///
    /// # Panics
    ///
    /// If there is no such shard.
    pub fn watch(&self, shard: Shard) -> watch::Receiver<ShardProgress> {
        self.sender(shard).subscribe()
    }

    fn sender(&self, shard: Shard) -> &watch::Sender<ShardProgress> {
        &self.shards[usize::from(shard.0)]
    }
}
