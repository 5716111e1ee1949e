//! The runner of one shard.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::parked::{self, ParkedEvent};
use super::{Consumer, Poison, Progress, Projection, ReactError, Stopped, ViewRows};
use crate::append::{Append, AppendError, Checkpoint, CheckpointMove, ViewWrite};
use crate::event::{Recorded, StoredRecord};
use crate::ids::Cause;
use crate::shard::Shard;
use crate::store::{EventStore, StoreError};

/// Asks a runner to try a subject's parked events again.
pub(super) struct Replay {
    pub(super) subject: String,
    pub(super) reply: oneshot::Sender<Result<usize, Poison>>,
}

pub(super) struct Runner {
    consumer: Arc<Consumer>,
    shard: Shard,
    progress: Arc<Progress>,
    stop: CancellationToken,
    replays: mpsc::Receiver<Replay>,
    checkpoint: Checkpoint,
    /// Rows that the last batches read. Nobody else writes them while the
    /// checkpoint is held.
    rows: ViewRows,
    /// Parked subjects and how many events of theirs wait.
    parked: HashMap<String, usize>,
    /// Positions at which a subject was newly parked, the latest last.
    newly_parked: VecDeque<u64>,
}

/// Why a batch ended before its end.
enum Halt {
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
struct Applied {
    next: u64,
    last: Option<(uuid::Uuid, crate::merkle::Hash)>,
    writes: Vec<ViewWrite>,
    parked: Vec<ParkedEvent>,
    halt: Option<Halt>,
}

impl Runner {
    pub(super) fn new(
        consumer: Arc<Consumer>,
        shard: Shard,
        progress: Arc<Progress>,
        stop: CancellationToken,
        replays: mpsc::Receiver<Replay>,
    ) -> Self {
        let checkpoint = Checkpoint::start(consumer.epoch);
        Self {
            consumer,
            shard,
            progress,
            stop,
            replays,
            checkpoint,
            rows: ViewRows::default(),
            parked: HashMap::new(),
            newly_parked: VecDeque::new(),
        }
    }

    pub(super) async fn run(mut self) {
        let stop = self.stop.clone();
        // A handler that panics must be seen as a stopped reader, not as one that lags.
        let running = AssertUnwindSafe(self.run_until_stopped()).catch_unwind();
        let stopped = match stop.run_until_cancelled(running).await {
            None => return,
            Some(Ok(stopped)) => stopped,
            Some(Err(_)) => Stopped {
                reason: "PANICKED",
                message: "a handler failed on an event, which is a bug: report it with the log's \
                          last lines, and start the process again"
                    .to_owned(),
            },
        };
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
                Ok(true) => {}
                Ok(false) => self.idle(&mut grown, &mut paused).await,
                Err(Halt::Retry(reason)) => self.pause(&reason).await,
                Err(Halt::Stop(stopped)) => return stopped,
            }
        }
    }

    async fn pause(&self, reason: &str) {
        tracing::warn!(
            consumer = self.consumer.name,
            shard = self.shard.0,
            reason,
            "reader tries again"
        );
        tokio::time::sleep(self.consumer.options.retry_pause).await;
    }

    /// Waits for more records, a replay, or the time of the next idle checkpoint.
    async fn idle(
        &mut self,
        grown: &mut tokio::sync::watch::Receiver<u64>,
        paused: &mut tokio::sync::watch::Receiver<bool>,
    ) {
        let idle = self.consumer.options.idle_checkpoint;
        let next_idle = async {
            match idle {
                Some(interval) => tokio::time::sleep(interval).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = grown.changed() => {}
            _ = paused.changed() => {}
            Some(replay) = self.replays.recv() => {
                let outcome = self.replay(&replay.subject).await;
                // Whoever asked may have gone; what was applied stands.
                let _ = replay.reply.send(outcome);
            }
            () = next_idle => {}
        }
    }

    /// Loads the checkpoint and what is parked, and verifies that the source
    /// is still the log that the checkpoint is of.
    async fn start(&mut self) -> Result<(), Halt> {
        let consumer = &self.consumer;
        self.rows = ViewRows::default();
        let checkpoints = consumer.store.checkpoints(consumer.name).await?;
        let stored = checkpoints
            .into_iter()
            .nth(usize::from(self.shard.0))
            .flatten();
        if let Some(checkpoint) = stored {
            if checkpoint.epoch > consumer.epoch {
                return Err(Halt::Stop(fenced(checkpoint.epoch)));
            }
            self.checkpoint = Checkpoint {
                epoch: consumer.epoch,
                ..checkpoint
            };
        }
        if let Some(last) = self.checkpoint.next.checked_sub(1) {
            let found = consumer
                .source
                .read(consumer.log, self.shard, last, 1)
                .await?;
            self.verify_place(last, found.first()).await?;
        }
        // What a failed commit had parked comes again and must not count twice.
        self.newly_parked
            .retain(|position| *position < self.checkpoint.next);
        self.parked.clear();
        for event in parked::load(&*consumer.store, consumer.name, self.shard).await? {
            *self.parked.entry(event.subject).or_default() += 1;
        }
        let (next, parked) = (self.checkpoint.next, self.parked.clone());
        self.progress.update(self.shard, |state| {
            state.next = next;
            state.parked = parked;
        });
        Ok(())
    }

    async fn verify_place(&self, last: u64, found: Option<&StoredRecord>) -> Result<(), Halt> {
        let heads = self.consumer.source.heads(self.consumer.log).await?;
        let head = &heads[usize::from(self.shard.0)];
        let same_leaf = found
            .is_some_and(|record| record.position == last && record.leaf == self.checkpoint.leaf);
        if same_leaf && head.log_id == self.checkpoint.log_id {
            return Ok(());
        }
        Err(Halt::Stop(Stopped {
            reason: "LOG_DIVERGED",
            message: format!(
                "checkpoint of {} is of log {} at {}/{}/{last}, the log there is {} with {} records; \
                 it was restored or replaced: rebuild the consumer's store from the log that stands",
                self.consumer.name,
                self.checkpoint.log_id,
                self.consumer.log,
                self.shard,
                head.log_id,
                head.size(),
            ),
        }))
    }

    /// Reads, applies and commits one batch. False: there was nothing to read.
    async fn step(&mut self) -> Result<bool, Halt> {
        let consumer = self.consumer.clone();
        // Taken before the read: what the source had at that time has been seen after it.
        let read_at = consumer.clock.wall();
        let records = consumer
            .source
            .read(
                consumer.log,
                self.shard,
                self.checkpoint.next,
                consumer.options.batch_records_max,
            )
            .await?;
        let at_head = records.len() < consumer.options.batch_records_max;
        if records.is_empty() {
            return self.idle_checkpoint(read_at).await.map(|()| false);
        }
        let applied = self.apply(&records).await?;
        let seen_at = at_head.then_some(read_at);
        let halt = self.commit(applied, seen_at).await?;
        match halt {
            Some(halt) => Err(halt),
            None => Ok(true),
        }
    }

    async fn idle_checkpoint(&mut self, read_at: Timestamp) -> Result<(), Halt> {
        if self.consumer.options.idle_checkpoint.is_some() {
            let applied = Applied {
                next: self.checkpoint.next,
                last: None,
                writes: Vec::new(),
                parked: Vec::new(),
                halt: None,
            };
            self.commit(applied, Some(read_at)).await?;
        } else {
            self.progress
                .update(self.shard, |state| state.seen_at = Some(read_at));
        }
        Ok(())
    }

    async fn apply(&mut self, records: &[StoredRecord]) -> Result<Applied, Halt> {
        let consumer = self.consumer.clone();
        let mut applied = Applied {
            next: self.checkpoint.next,
            last: None,
            writes: Vec::new(),
            parked: Vec::new(),
            halt: None,
        };
        let mut events = Vec::with_capacity(records.len());
        for record in records {
            let expected = self.checkpoint.next + events.len() as u64;
            if record.position != expected {
                applied.halt = Some(Halt::Stop(Stopped {
                    reason: "GAP",
                    message: format!(
                        "{}/{} gives position {} where {expected} should be, and the log lacks it; \
                         run `tally verify`",
                        consumer.log, self.shard, record.position
                    ),
                }));
                break;
            }
            match Recorded::decode(consumer.log, record) {
                Ok(event) => events.push(event),
                Err(error) => {
                    applied.halt = Some(Halt::Stop(Stopped {
                        reason: "DECODE",
                        message: error.to_string(),
                    }));
                    break;
                }
            }
        }
        // Left empty where the batch fails: what it read is then read again.
        let mut rows = std::mem::take(&mut self.rows);
        load_rows(&*consumer.store, &*consumer.projection, &events, &mut rows).await?;
        for event in &events {
            if !consumer.projection.knows(&event.envelope.event_type) {
                applied.halt = Some(Halt::Stop(Stopped {
                    reason: "UNKNOWN_EVENT_TYPE",
                    message: format!(
                        "{}/{}/{} is a {}, which this version does not know; upgrade this role",
                        consumer.log, self.shard, event.position, event.envelope.event_type
                    ),
                }));
                break;
            }
            if let Err(halt) = self.handle(event, &mut rows, &mut applied).await {
                applied.halt = Some(halt);
                break;
            }
            applied.next = event.position + 1;
            applied.last = Some((event.log_id, event.leaf));
        }
        applied.writes = rows.take_writes();
        self.rows = rows;
        Ok(applied)
    }

    /// Applies one event, or parks it.
    async fn handle(
        &mut self,
        event: &Recorded,
        rows: &mut ViewRows,
        applied: &mut Applied,
    ) -> Result<(), Halt> {
        let subject = &event.envelope.subject;
        if self.parked.contains_key(subject) {
            self.park(
                event,
                "waits behind an earlier event of its subject".to_owned(),
                applied,
            );
            return Ok(());
        }
        let poison = match self.try_event(event, rows).await {
            Ok(()) => return Ok(()),
            Err(ReactError::Retry { reason }) => return Err(Halt::Retry(reason)),
            Err(ReactError::Poison(poison)) => poison,
        };
        if subject.is_empty() {
            return Err(Halt::Stop(Stopped {
                reason: "POISON_WITHOUT_SUBJECT",
                message: format!(
                    "{}/{}/{} ({}) is about no subject and cannot be applied: {poison}",
                    self.consumer.log, self.shard, event.position, event.envelope.event_type
                ),
            }));
        }
        self.newly_parked.push_back(event.position);
        // The window ends with this record.
        let window = self.consumer.options.parked_window;
        self.newly_parked
            .retain(|position| event.position - *position < window);
        if self.newly_parked.len() > self.consumer.options.parked_max {
            return Err(Halt::Stop(Stopped {
                reason: "TOO_MANY_PARKED",
                message: format!(
                    "more than {} subjects were newly parked within {} records, the last at {}/{}/{}: {poison}",
                    self.consumer.options.parked_max,
                    self.consumer.options.parked_window,
                    self.consumer.log,
                    self.shard,
                    event.position
                ),
            }));
        }
        self.park(event, poison.reason, applied);
        Ok(())
    }

    fn park(&mut self, event: &Recorded, reason: String, applied: &mut Applied) {
        tracing::warn!(
            consumer = self.consumer.name,
            shard = self.shard.0,
            position = event.position,
            reason,
            "event parked"
        );
        *self
            .parked
            .entry(event.envelope.subject.clone())
            .or_default() += 1;
        applied.parked.push(ParkedEvent {
            subject: event.envelope.subject.clone(),
            position: event.position,
            reason,
        });
    }

    async fn try_event(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), ReactError> {
        if let Err(poison) = self.consumer.projection.apply(event, rows) {
            rows.undo();
            return Err(poison.into());
        }
        if let Some(process) = &self.consumer.process {
            let cause = Cause {
                at: event.recorded_at,
                log: event.log,
                shard: event.shard,
                position: event.position,
                handler: self.consumer.name,
            };
            if let Err(error) = process.react(event, rows, cause).await {
                rows.undo();
                return Err(error);
            }
        }
        rows.keep();
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
        self.write(to, views).await?;
        let parked = (!applied.parked.is_empty()).then(|| self.parked.clone());
        let next = self.checkpoint.next;
        self.progress.update(self.shard, |state| {
            state.next = next;
            if seen_at.is_some() {
                state.seen_at = seen_at;
            }
            if let Some(parked) = parked {
                state.parked = parked;
            }
        });
        Ok(applied.halt)
    }

    async fn write(&mut self, to: Checkpoint, views: Vec<ViewWrite>) -> Result<(), Halt> {
        // The log of an append without events matters to nobody; views and
        // checkpoints belong to the store.
        let append = Append {
            checkpoint: Some(CheckpointMove {
                consumer: self.consumer.name,
                shard: self.shard,
                from: self.checkpoint.next,
                to: to.clone(),
            }),
            views,
            ..Append::to(self.consumer.log, self.shard)
        };
        let outcome = self
            .consumer
            .store
            .append(vec![append])
            .await
            .pop()
            .expect("one result per append");
        match outcome {
            Ok(_) => {
                self.checkpoint = to;
                Ok(())
            }
            Err(AppendError::CheckpointMoved { .. }) => {
                // Either another holder has the shard, or an unknown outcome had
                // been applied after all: the stored checkpoint says which.
                Box::pin(self.start()).await?;
                Err(Halt::Retry("the checkpoint had moved".to_owned()))
            }
            Err(error) => {
                // What was parked in memory only must be parked again.
                Box::pin(self.start()).await?;
                Err(Halt::Retry(error.to_string()))
            }
        }
    }

    /// Tries the parked events of a subject again, in order.
    async fn replay(&mut self, subject: &str) -> Result<usize, Poison> {
        let waiting = parked::load(&*self.consumer.store, self.consumer.name, self.shard)
            .await
            .map_err(|error| Poison::new(error.to_string()))?;
        let waiting = waiting.into_iter().filter(|event| event.subject == subject);
        let waiting: Vec<ParkedEvent> = waiting.collect();
        let mut done = 0;
        let mut outcome = Ok(());
        for event in &waiting {
            outcome = self.replay_one(event).await;
            if outcome.is_err() {
                break;
            }
            done += 1;
        }
        match waiting.len() - done {
            0 => self.parked.remove(subject),
            left => self.parked.insert(subject.to_owned(), left),
        };
        // What was replayed has changed rows behind those kept here.
        self.rows = ViewRows::default();
        let parked = self.parked.clone();
        self.progress
            .update(self.shard, |state| state.parked = parked);
        outcome.map(|()| done)
    }

    async fn replay_one(&mut self, parked: &ParkedEvent) -> Result<(), Poison> {
        let consumer = self.consumer.clone();
        let unreadable = |error: StoreError| Poison::new(error.to_string());
        let source = &consumer.source;
        let stored = source
            .read(consumer.log, self.shard, parked.position, 1)
            .await
            .map_err(unreadable)?;
        let stored = stored
            .first()
            .ok_or_else(|| Poison::new("the log lacks the parked event"))?;
        let event = Recorded::decode(consumer.log, stored)?;
        let mut rows = ViewRows::default();
        load_rows(
            &*consumer.store,
            &*consumer.projection,
            std::slice::from_ref(&event),
            &mut rows,
        )
        .await
        .map_err(unreadable)?;
        self.try_event(&event, &mut rows)
            .await
            .map_err(|error| Poison::new(error.to_string()))?;
        let mut views = rows.take_writes();
        views.push(parked::unpark(consumer.name, self.shard, parked));
        match self.write(self.checkpoint.clone(), views).await {
            Ok(()) => Ok(()),
            Err(Halt::Retry(reason)) => Err(Poison::new(reason)),
            Err(Halt::Stop(stopped)) => Err(Poison::new(stopped.message)),
        }
    }
}

fn fenced(epoch: u64) -> Stopped {
    Stopped {
        reason: "FENCED",
        message: format!(
            "the shard is held under epoch {epoch} by another process; this one is out of date"
        ),
    }
}

async fn load_rows(
    store: &dyn EventStore,
    projection: &dyn Projection,
    events: &[Recorded],
    rows: &mut ViewRows,
) -> Result<(), StoreError> {
    // An event whose reads cannot be told is poison; `apply` will say so.
    let wanted = events
        .iter()
        .flat_map(|event| projection.reads(event).unwrap_or_default());
    let unknown = rows.unknown(wanted);
    if unknown.is_empty() {
        return Ok(());
    }
    let values = store.rows(&unknown).await?;
    rows.insert_stored(unknown.into_iter().zip(values));
    Ok(())
}

/// Folds events through a projection outside a store: how views are rebuilt.
pub struct Fold<'a> {
    projection: &'a dyn Projection,
    rows: std::collections::BTreeMap<crate::append::RowKey, bytes::Bytes>,
}

impl<'a> Fold<'a> {
    /// Starts with no rows.
    pub fn new(projection: &'a dyn Projection) -> Self {
        Self {
            projection,
            rows: std::collections::BTreeMap::new(),
        }
    }

    /// Applies an event.
    ///
    /// # Errors
    ///
    /// [`Poison`]: it cannot be applied; its rows are as before.
    pub fn apply(&mut self, event: &Recorded) -> Result<(), Poison> {
        let mut rows = ViewRows::default();
        let wanted = self.projection.reads(event)?;
        let stored: Vec<_> = wanted
            .into_iter()
            .map(|row| {
                let value = self.rows.get(&row).cloned();
                (row, value)
            })
            .collect();
        rows.insert_stored(stored);
        self.projection.apply(event, &mut rows)?;
        rows.keep();
        for write in rows.take_writes() {
            match write.value {
                Some(value) => self.rows.insert(write.row, value),
                None => self.rows.remove(&write.row),
            };
        }
        Ok(())
    }

    /// The rows, in order of view, shard and key.
    pub fn into_rows(self) -> std::collections::BTreeMap<crate::append::RowKey, bytes::Bytes> {
        self.rows
    }
}
