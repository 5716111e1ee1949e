//! Consumers: whatever follows a log. Each has a projection (views, pure) and
//! may have a process manager (effects), and runs once per shard.
//!
//! A shard's runner reads records from its checkpoint on, applies them in
//! order, and commits the view rows together with the checkpoint. Effects are
//! commands with ids derived from their cause; the checkpoint moves when all
//! of them are known applied.

mod apply;
mod elsewhere;
mod fold;
mod parked;
mod parked_subjects;
mod place;
mod progress;
mod reconcile;
mod replay;
mod rows;
mod runner;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::sync::mpsc::Receiver;
use tokio_util::sync::CancellationToken;

pub(crate) use elsewhere::Elsewhere;
pub use fold::Fold;
pub use parked::{PARKED_CHANGES_VIEW, PARKED_VIEW, ParkedEvent, consumer_of_row};
pub use parked_subjects::{ParkedRecord, ParkedSubject, ParkedSubjects, ReplayError, Replayed};
pub(crate) use place::fenced;
pub use progress::{PAUSED_VIEW, Progress, ShardProgress, Stopped};
pub use reconcile::{ChangedRow, Divergences, Lost, ReconcileError, Reconciled, Settled};
pub use rows::ViewRows;
use runner::{Ask, Runner};

use crate::append::RowKey;
use crate::clock::Clock;
use crate::event::Recorded;
use crate::ids::Cause;
use crate::lease::{Held, Places};
use crate::shard::{LogName, Shard};
use crate::store::{EventStore, LogSource, StoreError};

/// An event that a handler cannot apply. Its subject is parked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Poison {
    /// What is wrong, without personal data.
    pub reason: String,
}

impl Poison {
    /// A poison with its reason.
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
        }
    }
}

impl From<crate::event::DecodeError> for Poison {
    fn from(error: crate::event::DecodeError) -> Self {
        Self::new(error.to_string())
    }
}

/// Turns events into view rows. Pure: the same events make the same rows, on
/// the first run and in every rebuild.
pub trait Projection: Send + Sync + 'static {
    /// Views that it owns; nobody else writes them.
    fn views(&self) -> &'static [&'static str];

    /// True for the event types it knows, also those it passes over. An
    /// unknown type stops the shard: a newer version wrote it.
    fn knows(&self, event_type: &str) -> bool;

    /// Rows that `apply` will read for this event.
    ///
    /// # Errors
    ///
    /// [`Poison`]: the event cannot be applied.
    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison>;

    /// Applies the event to the rows. Rows are on the event's own shard.
    ///
    /// # Errors
    ///
    /// [`Poison`]: the event cannot be applied; what it wrote is undone.
    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison>;
}

/// Why a process manager did not finish.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReactError {
    /// It never will: the subject is parked.
    #[error(transparent)]
    Poison(#[from] Poison),
    /// It may, later: the event is tried again.
    #[error("{reason}")]
    Retry {
        /// Why.
        reason: String,
    },
}

impl From<StoreError> for ReactError {
    fn from(error: StoreError) -> Self {
        Self::Retry {
            reason: error.to_string(),
        }
    }
}

/// Turns events into commands. It may be called again for the same event:
/// commands carry ids derived from `cause`.
#[async_trait]
pub trait ProcessManager: Send + Sync + 'static {
    /// Reacts to an event; `rows` are the views after it. Returns when all
    /// effects are known applied.
    ///
    /// # Errors
    ///
    /// [`ReactError`]: whether to try again or to park the subject.
    async fn react(
        &self,
        event: &Recorded,
        rows: &ViewRows,
        cause: Cause,
    ) -> Result<(), ReactError>;

    /// Puts right what it did on account of records that the log lost when it was
    /// restored from a backup, before the views and the place go back; without
    /// `apply`, only says what that would be. It may be called again for the same.
    ///
    /// # Errors
    ///
    /// [`ReactError`]: nothing goes back; it can be asked again.
    async fn settle(&self, lost: &Lost, apply: bool) -> Result<Vec<Settled>, ReactError>;
}

/// Bounds of a consumer.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// Records per commit. More raise throughput, and what is repeated after a crash.
    pub batch_records_max: usize,
    /// While there is nothing to read, how often it is written down that all
    /// is known; nothing: only when records were applied.
    pub idle_checkpoint: Option<Duration>,
    /// How long what has come waits for more, so that a commit holds more of it;
    /// nothing: it is applied at once, as it must be where a caller waits for it.
    pub gather: Option<Duration>,
    /// Pause before a failed read or effect is tried again.
    pub retry_pause: Duration,
    /// More than this many subjects newly parked within `parked_window` stop the shard.
    pub parked_max: usize,
    /// Number of records over which newly parked subjects are counted.
    pub parked_window: u64,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            batch_records_max: 512,
            idle_checkpoint: None,
            gather: None,
            retry_pause: Duration::from_millis(200),
            parked_max: 20,
            parked_window: 1_000,
        }
    }
}

/// A consumer, before it is started.
pub struct Consumer {
    /// Its name, for example `sanctions.lists`: owns checkpoints and parked subjects.
    pub name: &'static str,
    /// The log that it reads.
    pub log: LogName,
    /// Where that log is read from.
    pub source: Arc<dyn LogSource>,
    /// Where its views and checkpoints are.
    pub store: Arc<dyn EventStore>,
    /// Its views.
    pub projection: Arc<dyn Projection>,
    /// Its effects.
    pub process: Option<Arc<dyn ProcessManager>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The shards that it runs on.
    pub held: Held,
    /// Bounds.
    pub options: ConsumerOptions,
}

impl Consumer {
    /// Starts one runner for each shard that is held, whenever it is. They end when
    /// `stop` is cancelled.
    pub fn start(self, stop: CancellationToken) -> ConsumerHandle {
        let shards = self.source.shards();
        let progress = Arc::new(Progress::new(self.name, self.log, shards));
        let places = self.held.places(shards);
        let mut tasks = tokio::task::JoinSet::new();
        if self.held.is_shared() {
            progress.share_by(self.store.clone());
            tasks.spawn(Elsewhere::follow(
                self.store.clone(),
                progress.clone(),
                stop.clone(),
            ));
        }
        let consumer = Arc::new(self);
        let mut asks = Vec::new();
        for shard in shards.all() {
            let (sender, receiver) = tokio::sync::mpsc::channel(4);
            asks.push(sender);
            if places.is_granted(shard) {
                // Timers look at once.
                progress.update(shard, |state| state.held = true);
            }
            let run = run(
                consumer.clone(),
                shard,
                progress.clone(),
                places.clone(),
                Arc::new(Mutex::new(receiver)),
                stop.clone(),
            );
            tasks.spawn(run);
        }
        ConsumerHandle {
            parked: ParkedSubjects::new(consumer.clone(), progress.clone(), asks.clone()),
            divergences: Divergences::new(consumer, progress.clone(), asks),
            progress,
            tasks,
        }
    }
}

/// Runs a shard, each time that it is held.
async fn run(
    consumer: Arc<Consumer>,
    shard: Shard,
    progress: Arc<Progress>,
    places: Arc<Places>,
    asks: Arc<Mutex<Receiver<Ask>>>,
    stop: CancellationToken,
) {
    let work = |epoch, stop: CancellationToken| {
        let (consumer, progress) = (consumer.clone(), progress.clone());
        let asks = asks.clone();
        async move {
            // Nobody else has it: one runner ends before the next begins.
            let mut asks = asks.lock_owned().await;
            // Whoever asked while nobody ran is told so.
            while asks.try_recv().is_ok() {}
            let runner = Runner::new(consumer, shard, epoch, progress, asks);
            let mut asks = runner.run(stop.clone()).await;
            // What stopped by itself tries nothing any more, and says so.
            stop.run_until_cancelled(async { while asks.recv().await.is_some() {} })
                .await;
        }
    };
    places.run(shard, &progress, stop, work).await;
}

/// A running consumer.
pub struct ConsumerHandle {
    progress: Arc<Progress>,
    parked: ParkedSubjects,
    divergences: Divergences,
    tasks: tokio::task::JoinSet<()>,
}

impl ConsumerHandle {
    /// How far it is.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// What is parked.
    pub fn parked(&self) -> &ParkedSubjects {
        &self.parked
    }

    /// The way to its readers where the log has diverged.
    pub fn divergences(&self) -> &Divergences {
        &self.divergences
    }

    /// Waits until all runners have ended, after `stop` was cancelled.
    pub async fn join(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
