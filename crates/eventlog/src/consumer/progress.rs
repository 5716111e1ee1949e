//! How far a consumer is, for those who wait for it or judge its freshness.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::append::{Append, AppendError, RowKey, ViewWrite};
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::EventStore;

/// The view in which it is kept which readers an operator holds, where several
/// processes share a reader's shards.
pub const PAUSED_VIEW: &str = "reader.paused";

/// How long a change of that view is waited for.
const PAUSE_WAIT: Duration = Duration::from_secs(2);

pub(super) fn paused_row(consumer: &str) -> RowKey {
    RowKey {
        view: PAUSED_VIEW,
        shard: Shard(0),
        key: Bytes::copy_from_slice(consumer.as_bytes()),
    }
}

/// Why a shard's runner has stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// Stable reason: `LOG_DIVERGED`, `DECODE`, `UNKNOWN_EVENT_TYPE`, `TOO_MANY_PARKED`,
    /// `POISON_WITHOUT_SUBJECT`, `GAP`, `FENCED`, `PANICKED`.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

/// State of one shard's runner. Where another process holds the shard, what that
/// one has written down, a moment ago.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShardProgress {
    /// True if it runs in this process.
    pub held: bool,
    /// Number of records applied.
    pub next: u64,
    /// Id that the log had when the last of them was recorded; nil where there is none.
    pub log_id: Uuid,
    /// Wall-clock time at which it had all that the source had; nothing before that.
    pub seen_at: Option<Timestamp>,
    /// Parked subjects and the number of their events.
    pub parked: HashMap<String, usize>,
    /// Why it stopped; only known where it ran.
    pub stopped: Option<Stopped>,
}

/// State of a consumer.
pub struct Progress {
    consumer: &'static str,
    log: LogName,
    shards: Vec<watch::Sender<ShardProgress>>,
    paused: watch::Sender<bool>,
    /// Where other processes write down how far they are, if there may be others.
    shared: OnceLock<Arc<dyn EventStore>>,
    /// Somebody waits for what another process does.
    asked: Notify,
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Progress")
            .field("consumer", &self.consumer)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
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
            shared: OnceLock::new(),
            asked: Notify::new(),
        }
    }

    /// Says that other processes hold what this one does not, and write it there.
    pub(crate) fn share_by(&self, store: Arc<dyn EventStore>) {
        // Said once, where it is started.
        let _ = self.shared.set(store);
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
        let ask = |state: &ShardProgress| !state.held && state.next < next;
        if ask(&receiver.borrow()) {
            // What another process has done is read at once, and not only in turn.
            self.asked.notify_one();
        }
        let reached = receiver.wait_for(|state| state.next >= next || state.stopped.is_some());
        match tokio::time::timeout(wait, reached).await {
            Ok(Ok(state)) => state.next >= next,
            _ => false,
        }
    }

    /// Holds the reader where it is, or lets it go on, in every process that runs it;
    /// this one has done so when it returns. Where there are several, it is kept in
    /// the store, over restarts, until it is taken back.
    ///
    /// # Errors
    ///
    /// [`AppendError`]: whether it took effect; repeat it.
    pub async fn hold(&self, paused: bool) -> Result<(), AppendError> {
        let Some(store) = self.shared.get() else {
            self.set_paused(paused);
            return Ok(());
        };
        let write = ViewWrite {
            row: paused_row(self.consumer),
            value: paused.then(Bytes::new),
        };
        let append = Append {
            views: vec![write],
            ..Append::to(self.log, Shard(0))
        };
        let outcome = store.append(vec![append]).await.pop();
        outcome.expect("one result per append")?;
        self.asked.notify_one();
        let mut seen = self.paused();
        let seen = seen.wait_for(|now| *now == paused);
        // Later, where the store does not answer now.
        let _ = tokio::time::timeout(PAUSE_WAIT, seen).await;
        Ok(())
    }

    /// Holds the reader where it is, in a process that is the only one: tests of
    /// what happens then.
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Lets a held reader go on, in a process that is the only one.
    pub fn unpause(&self) {
        self.set_paused(false);
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        self.paused.send_if_modified(|before| {
            let changed = *before != paused;
            *before = paused;
            changed
        });
    }

    /// True while it is held.
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Whether it is held, as that changes.
    pub fn paused(&self) -> watch::Receiver<bool> {
        self.paused.subscribe()
    }

    pub(crate) fn update(&self, shard: Shard, change: impl FnOnce(&mut ShardProgress)) {
        self.sender(shard).send_modify(change);
    }

    /// The shards that run in no task of this process.
    pub(crate) fn elsewhere(&self) -> Vec<Shard> {
        let shards = (0..).map(Shard).zip(&self.shards);
        let elsewhere = shards.filter(|(_, state)| !state.borrow().held);
        elsewhere.map(|(shard, _)| shard).collect()
    }

    /// Changes the state of a shard that runs elsewhere, still.
    pub(crate) fn update_elsewhere(&self, shard: Shard, change: impl FnOnce(&mut ShardProgress)) {
        self.sender(shard).send_if_modified(|state| {
            if state.held {
                return false;
            }
            let before = state.clone();
            change(state);
            *state != before
        });
    }

    /// Waits until somebody waits for what another process does.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
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

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    const SHARD: Shard = Shard(0);

    fn progress(held: bool) -> Progress {
        let shards = ShardCount::new(1).expect("in range");
        let progress = Progress::new("test.self", LogName("test"), shards);
        progress.update(SHARD, |state| (state.held, state.next) = (held, 5));
        progress
    }

    #[test]
    fn what_runs_here_is_not_told_from_elsewhere() {
        for (held, next) in [(true, 5), (false, 3)] {
            let progress = progress(held);
            progress.update_elsewhere(SHARD, |state| state.next = 3);
            assert_eq!(progress.shard(SHARD).next, next);
        }
    }

    #[tokio::test]
    async fn who_waits_for_another_process_has_it_asked_at_once() {
        for (held, next, asks) in [(false, 6, true), (false, 5, false), (true, 6, false)] {
            let progress = progress(held);
            let reached = progress.wait_for(SHARD, next, Duration::ZERO).await;
            assert_eq!(reached, next == 5);
            assert_eq!(progress.asked().now_or_never().is_some(), asks);
        }
    }
}
