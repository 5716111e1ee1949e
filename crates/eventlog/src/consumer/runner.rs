//! The runner of one shard.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::parked::{self, ParkedEvent};
use super::place::fenced;
use super::reconcile::{DIVERGED, Reconcile};
use super::{Consumer, Progress, Replayed, Stopped, ViewRows};
use crate::append::{Checkpoint, ViewWrite};
use crate::page::Page;
use crate::shard::Shard;
use crate::store::{Following, StoreError};
use crate::throttle::Throttle;

/// Asks a runner to try a subject's parked events again.
pub(super) struct Replay {
    pub(super) subject: String,
    pub(super) reply: oneshot::Sender<Replayed>,
}

/// What a runner is asked.
pub(super) enum Ask {
    Replay(Replay),
    Reconcile(Reconcile),
}

/// Where a shard's runner, whichever it is, is asked.
pub(super) type Asks = OwnedMutexGuard<mpsc::Receiver<Ask>>;

pub(super) struct Runner {
    pub(super) consumer: Arc<Consumer>,
    pub(super) shard: Shard,
    /// Of the lease that it runs under.
    pub(super) epoch: u64,
    pub(super) progress: Arc<Progress>,
    pub(super) asks: Asks,
    pub(super) checkpoint: Checkpoint,
    /// Rows that the last batches read. Nobody else writes them while the
    /// checkpoint is held.
    pub(super) rows: ViewRows,
    /// Parked subjects and how many events of theirs wait.
    pub(super) parked: HashMap<String, usize>,
    /// Positions at which a subject was newly parked, the latest last.
    pub(super) newly_parked: VecDeque<u64>,
    /// That the source is followed, once the place in it is verified.
    pub(super) following: Option<Following>,
    /// How many doubts of the source the place was verified after.
    pub(super) doubts_settled: u64,
    page: Page,
    /// What is kept here may not be what is stored.
    stale: bool,
}

/// Bytes of a batch, about: it is held, decoded, and written in one transaction.
const BATCH_BYTES: usize = 4 << 20;

/// How much there was to read.
enum Read {
    Nothing,
    /// Less than a batch holds: what there was.
    Part,
    Full,
}

/// Why a batch ended before its end.
pub(super) enum Halt {
    /// Try again from the checkpoint.
    Retry(String),
    /// Stop for good.
    Stop(Stopped),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Retry(error.to_string())
    }
}

/// What a batch leaves to commit.
pub(super) struct Applied {
    pub(super) next: u64,
    pub(super) last: Option<(uuid::Uuid, crate::merkle::Hash)>,
    pub(super) writes: Vec<ViewWrite>,
    pub(super) parked: Vec<ParkedEvent>,
    pub(super) halt: Option<Halt>,
}

impl Runner {
    pub(super) fn new(
        consumer: Arc<Consumer>,
        shard: Shard,
        epoch: u64,
        progress: Arc<Progress>,
        asks: Asks,
    ) -> Self {
        Self {
            page: Page::new(consumer.options.batch_records_max, BATCH_BYTES),
            consumer,
            shard,
            epoch,
            progress,
            asks,
            checkpoint: Checkpoint::start(epoch),
            rows: ViewRows::default(),
            parked: HashMap::new(),
            newly_parked: VecDeque::new(),
            following: None,
            doubts_settled: 0,
            stale: false,
        }
    }

    /// Runs until it has to stop, by itself or because `stop` is cancelled.
    pub(super) async fn run(mut self, stop: CancellationToken) -> Asks {
        loop {
            let Some(stopped) = stop.run_until_cancelled(self.run_caught()).await else {
                return self.asks;
            };
            let diverged = stopped.reason == DIVERGED;
            self.say(stopped);
            if !diverged {
                return self.asks;
            }
            let going_back = stop.run_until_cancelled(self.until_reconciled());
            if going_back.await.is_none() {
                return self.asks;
            }
        }
    }

    async fn run_caught(&mut self) -> Stopped {
        // A handler that panics must be seen as a stopped reader, not as one that lags.
        let running = AssertUnwindSafe(self.run_until_stopped()).catch_unwind();
        running.await.unwrap_or_else(|_| Stopped {
            reason: "PANICKED",
            message: "a handler failed on an event, which is a bug: report it with the log's \
                      last lines, and start the process again"
                .to_owned(),
        })
    }

    fn say(&self, stopped: Stopped) {
        tracing::error!(
            consumer = self.consumer.name,
            shard = self.shard.0,
            reason = stopped.reason,
            message = stopped.message,
            "reader stopped"
        );
        self.progress
            .update(self.shard, |state| state.stopped = Some(stopped));
    }

    async fn run_until_stopped(&mut self) -> Stopped {
        loop {
            match self.start().await {
                Ok(()) => break,
                Err(Halt::Retry(reason)) => self.pause(&reason).await,
                Err(Halt::Stop(stopped)) => return stopped,
            }
        }
        let mut grown = self.consumer.source.watch(self.consumer.log, self.shard);
        let mut paused = self.progress.paused();
        loop {
            // An error means that the progress is gone, and with it everyone who could pause.
            let _ = paused.wait_for(|paused| !paused).await;
            grown.borrow_and_update();
            match self.step().await {
                Ok(Read::Full) => {}
                Ok(Read::Part) => self.gather().await,
                Ok(Read::Nothing) => {
                    if self.idle(&mut grown, &mut paused).await {
                        self.gather().await;
                    }
                }
                Err(Halt::Retry(reason)) => self.pause(&reason).await,
                Err(Halt::Stop(stopped)) => return stopped,
            }
        }
    }

    async fn pause(&self, reason: &str) {
        static THROTTLE: Throttle = Throttle::minutely();
        let name = self.consumer.name;
        if let Some(held_back) = THROTTLE.pass(&format!("{name}: {reason}")) {
            tracing::warn!(
                consumer = name,
                shard = self.shard.0,
                reason,
                held_back,
                "reader tries again"
            );
        }
        tokio::time::sleep(self.consumer.options.retry_pause).await;
    }

    /// Gives records time to come, where a commit for each few would cost more than
    /// their being late does.
    async fn gather(&self) {
        if let Some(gather) = self.consumer.options.gather {
            tokio::time::sleep(gather).await;
        }
    }

    /// Waits for more records, to be asked something, or the time of the next idle checkpoint.
    /// True: there are more records.
    async fn idle(
        &mut self,
        grown: &mut tokio::sync::watch::Receiver<u64>,
        paused: &mut tokio::sync::watch::Receiver<bool>,
    ) -> bool {
        let idle = self.consumer.options.idle_checkpoint;
        let next_idle = async {
            match idle {
                Some(interval) => tokio::time::sleep(interval).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = grown.changed() => true,
            _ = paused.changed() => false,
            Some(ask) = self.asks.recv() => {
                match ask {
                    Ask::Replay(replay) => {
                        let outcome = self.replay(&replay.subject).await;
                        // Whoever asked may have gone; what was applied stands.
                        let _ = replay.reply.send(outcome);
                    }
                    Ask::Reconcile(reconcile) => reconcile.nothing(),
                }
                false
            }
            () = next_idle => false,
        }
    }

    /// Loads the checkpoint and what is parked, and verifies that the source
    /// is still the log that the checkpoint is of.
    pub(super) async fn start(&mut self) -> Result<(), Halt> {
        self.load_checkpoint().await?;
        self.take_place().await?;
        let consumer = &self.consumer;
        // What a failed commit had parked comes again and must not count twice.
        self.newly_parked
            .retain(|position| *position < self.checkpoint.next);
        let mut parked: HashMap<String, usize> = HashMap::new();
        for event in parked::load(&*consumer.store, consumer.name, self.shard).await? {
            *parked.entry(event.subject).or_default() += 1;
        }
        self.parked = parked;
        self.stale = false;
        let place = (self.checkpoint.next, self.checkpoint.log_id);
        let parked = self.parked.clone();
        self.progress.update(self.shard, |state| {
            (state.next, state.log_id) = place;
            state.parked = parked;
        });
        Ok(())
    }

    /// Loads the checkpoint. What is kept here may be out of date until it starts.
    pub(super) async fn load_checkpoint(&mut self) -> Result<(), Halt> {
        self.stale = true;
        let consumer = &self.consumer;
        self.rows = ViewRows::default();
        let checkpoints = consumer.store.checkpoints(consumer.name).await?;
        let stored = checkpoints
            .into_iter()
            .nth(usize::from(self.shard.0))
            .flatten();
        if let Some(checkpoint) = stored {
            if checkpoint.epoch > self.epoch {
                return Err(Halt::Stop(fenced(checkpoint.epoch)));
            }
            let former = checkpoint.epoch < self.epoch && consumer.held.is_shared();
            self.checkpoint = Checkpoint {
                epoch: self.epoch,
                ..checkpoint
            };
            if former {
                self.fence_off().await?;
            }
        }
        Ok(())
    }

    /// Reads, applies and commits one batch.
    async fn step(&mut self) -> Result<Read, Halt> {
        // Else what is parked only in the store would be passed over.
        if self.stale {
            self.start().await?;
        }
        let consumer = self.consumer.clone();
        // Taken before the read: what the source had at that time has been seen after it.
        let read_at = consumer.clock.wall();
        let (limit, next) = (self.page.limit(), self.checkpoint.next);
        let read = consumer.source.read(consumer.log, self.shard, next, limit);
        let records = read.await.inspect_err(|_| self.page.failed())?;
        self.page.took(&records);
        let at_head = records.len() < limit;
        let seen_at = match consumer.source.remote() {
            None => at_head.then_some(read_at),
            Some(remote) => {
                let last = records.last().map(|record| record.position + 1);
                let next = last.unwrap_or(self.checkpoint.next);
                remote.complete_at(consumer.log, self.shard, next)
            }
        };
        // Asked after that time was, because what tells it may be what is doubted.
        self.settle_doubts().await?;
        if records.is_empty() {
            self.idle_checkpoint(seen_at).await?;
            return Ok(Read::Nothing);
        }
        let applied = self.apply(&records).await?;
        let halt = self.commit(applied, seen_at).await?;
        match halt {
            Some(halt) => Err(halt),
            None if at_head => Ok(Read::Part),
            None => Ok(Read::Full),
        }
    }

    async fn idle_checkpoint(&mut self, seen_at: Option<Timestamp>) -> Result<(), Halt> {
        let Some(seen_at) = seen_at else {
            return Ok(());
        };
        let written = self.checkpoint.seen_at == seen_at;
        if self.consumer.options.idle_checkpoint.is_some() && !written {
            let applied = Applied {
                next: self.checkpoint.next,
                last: None,
                writes: Vec::new(),
                parked: Vec::new(),
                halt: None,
            };
            self.commit(applied, Some(seen_at)).await?;
        } else {
            self.progress
                .update(self.shard, |state| state.seen_at = Some(seen_at));
        }
        Ok(())
    }

    /// Commits rows, parked events and the checkpoint together; returns why
    /// the batch ended early, if it did.
    async fn commit(
        &mut self,
        applied: Applied,
        seen_at: Option<Timestamp>,
    ) -> Result<Option<Halt>, Halt> {
        let consumer = &self.consumer;
        let mut to = Checkpoint {
            next: applied.next,
            ..self.checkpoint.clone()
        };
        if let Some((log_id, leaf)) = applied.last {
            to.log_id = log_id;
            to.leaf = leaf;
            let remote = consumer.source.remote();
            let hint = remote.and_then(|remote| remote.hint(consumer.log, self.shard, to.next));
            // An older one serves too: it only makes more come again.
            to.hint = hint.or(to.hint);
        }
        // A batch that ended early has not seen all.
        let seen_at = seen_at.filter(|_| applied.halt.is_none());
        if let Some(seen_at) = seen_at {
            to.seen_at = seen_at;
        }
        let mut views = applied.writes;
        views.extend(
            applied
                .parked
                .iter()
                .map(|event| parked::park(consumer.name, self.shard, event)),
        );
        if !applied.parked.is_empty() {
            views.push(parked::changed(consumer.name, self.shard, self.epoch));
        }
        self.write(to, views).await?;
        let parked = (!applied.parked.is_empty()).then(|| self.parked.clone());
        let place = (self.checkpoint.next, self.checkpoint.log_id);
        self.progress.update(self.shard, |state| {
            (state.next, state.log_id) = place;
            if seen_at.is_some() {
                state.seen_at = seen_at;
            }
            if let Some(parked) = parked {
                state.parked = parked;
            }
        });
        Ok(applied.halt)
    }
}
