//! A reader that has applied records which the log no longer has, since it was
//! restored from a backup, goes back to what both have.
//!
//! Its views become what the records that are left make of them; what it did on
//! account of the others, its process manager puts right, or it holds the subject
//! for somebody to look at.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::parked::{self, ParkedEvent};
use super::runner::{Ask, Halt, Runner};
use super::{Consumer, Fold, Progress, ReactError};
use crate::append::{Checkpoint, RowKey, ViewWrite};
use crate::event::Recorded;
use crate::merkle::Hash;
use crate::shard::{LogName, Shard};
use crate::store::{FormerId, StoreError, has_place};

/// Records, or rows, read at a time.
const BATCH: usize = 1_000;

/// Why a reader has stopped that goes back by this.
pub(super) const DIVERGED: &str = "LOG_DIVERGED";

/// A row of a reader's views that is another one without the lost records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedRow {
    /// The row.
    pub row: RowKey,
    /// What it was with them.
    pub before: Option<Bytes>,
    /// What it is without them.
    pub now: Option<Bytes>,
}

/// Records that a reader has applied and that the log does not have any more.
#[derive(Debug, Clone)]
pub struct Lost {
    /// The log.
    pub log: LogName,
    /// The shard.
    pub shard: Shard,
    /// Id of the log as the reader knew it last.
    pub applied_log_id: Uuid,
    /// Id of the log now.
    pub log_id: Uuid,
    /// How many records both have: the first that is lost had this position.
    pub common: u64,
    /// How many the reader had applied.
    pub applied: u64,
    /// Rows that are other ones without them, in order.
    pub rows: Vec<ChangedRow>,
}

/// What was done about a subject, or is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The subject.
    pub subject: String,
    /// What, for the operator, without personal data.
    pub what: String,
    /// True: nobody but an officer can say how the subject stands, so that whatever comes
    /// about it waits among the parked events until it is replayed.
    pub hold: bool,
}

/// A reader that went back, or would.
#[derive(Debug, Clone)]
pub struct Reconciled {
    /// What it lost.
    pub lost: Lost,
    /// What became of its effects.
    pub settled: Vec<Settled>,
}

/// Why a reader does not go back. It is where it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReconcileError {
    /// It has stopped for another reason, or the process ends.
    #[error("the reader has stopped, and not because the log diverged; start it again first")]
    Stopped,
    /// Another process holds the shard.
    #[error("another replica of this role holds shard {shard}; ask that one")]
    Elsewhere {
        /// The shard.
        shard: Shard,
    },
    /// The log was never the one that was read, so far as it knows.
    #[error(
        "{log} was never log {applied_log_id}, which was read up to {log}/{shard}/{applied}: it is \
         another log, or it was restored twice; put back a newer backup of its role, or restore \
         this role from a backup that is not newer than its"
    )]
    NeverTheSame {
        /// The log.
        log: LogName,
        /// The shard.
        shard: Shard,
        /// Id of the log that was read.
        applied_log_id: Uuid,
        /// How many records of it.
        applied: u64,
    },
    /// The part that should be common is not.
    #[error(
        "{log}/{shard} has another record, or none, where both must have the same: {what}; run \
         `tally verify`"
    )]
    NotCommon {
        /// The log.
        log: LogName,
        /// The shard.
        shard: Shard,
        /// What was found.
        what: String,
    },
    /// It could not be done now: ask again.
    #[error("{reason}; ask again")]
    Retry {
        /// Why.
        reason: String,
    },
}

impl From<StoreError> for ReconcileError {
    fn from(error: StoreError) -> Self {
        Self::Retry {
            reason: error.to_string(),
        }
    }
}

impl From<Halt> for ReconcileError {
    fn from(halt: Halt) -> Self {
        let reason = match halt {
            Halt::Retry(reason) => reason,
            Halt::Stop(stopped) => stopped.message,
        };
        Self::Retry { reason }
    }
}

/// Asks a runner to go back to what it and the log both have.
pub(super) struct Reconcile {
    /// False: only to say what that would do.
    apply: bool,
    reply: oneshot::Sender<Result<Option<Reconciled>, ReconcileError>>,
}

impl Reconcile {
    /// There is nothing to go back over.
    pub(super) fn nothing(self) {
        let _ = self.reply.send(Ok(None));
    }
}

/// The way to a running consumer's readers where they have diverged.
#[derive(Clone)]
pub struct Divergences {
    consumer: Arc<Consumer>,
    progress: Arc<Progress>,
    asks: Vec<mpsc::Sender<Ask>>,
}

impl Divergences {
    pub(super) fn new(
        consumer: Arc<Consumer>,
        progress: Arc<Progress>,
        asks: Vec<mpsc::Sender<Ask>>,
    ) -> Self {
        Self {
            consumer,
            progress,
            asks,
        }
    }

    /// Name of the consumer.
    pub fn consumer(&self) -> &'static str {
        self.consumer.name
    }

    /// The log it reads.
    pub fn log(&self) -> LogName {
        self.consumer.log
    }

    /// Takes each shard's reader that has diverged back to what it and the log both
    /// have; without `apply`, only says what that would do. In order of the shards.
    pub async fn reconcile(&self, apply: bool) -> Vec<(Shard, Result<Reconciled, ReconcileError>)> {
        let mut all = Vec::new();
        for shard in self.consumer.source.shards().all() {
            let outcome = self.reconcile_shard(shard, apply).await.transpose();
            all.extend(outcome.map(|outcome| (shard, outcome)));
        }
        all
    }

    async fn reconcile_shard(
        &self,
        shard: Shard,
        apply: bool,
    ) -> Result<Option<Reconciled>, ReconcileError> {
        let (held, reason) = self.progress.with(shard, |state| {
            let stopped = state.stopped.as_ref();
            (state.held, stopped.map(|stopped| stopped.reason))
        });
        match reason {
            Some(DIVERGED) => {}
            Some(_) => return Err(ReconcileError::Stopped),
            None if held || !self.consumer.held.is_shared() => return Ok(None),
            None if self.stored_place_holds(shard).await? => return Ok(None),
            None => return Err(ReconcileError::Elsewhere { shard }),
        }
        let (reply, answer) = oneshot::channel();
        let ask = Ask::Reconcile(Reconcile { apply, reply });
        let queue = &self.asks[usize::from(shard.0)];
        queue.send(ask).await.map_err(|_| ReconcileError::Stopped)?;
        answer.await.map_err(|_| ReconcileError::Stopped)?
    }

    /// Whether the log has what another process has written down as applied last.
    async fn stored_place_holds(&self, shard: Shard) -> Result<bool, StoreError> {
        let Consumer {
            name,
            log,
            source,
            store,
            ..
        } = &*self.consumer;
        let mut places = store.checkpoints(name).await?;
        match places.get_mut(usize::from(shard.0)).and_then(Option::take) {
            Some(at) => has_place(&**source, *log, shard, at.next, &at.leaf).await,
            None => Ok(true),
        }
    }
}

/// The records that the reader and the log both have, folded.
struct Common {
    rows: BTreeMap<RowKey, Bytes>,
    /// The leaf and the log's id of the last of them.
    last: Option<(Hash, Uuid)>,
}

impl Runner {
    /// Waits, after the log was found to have diverged, until it is told to go back
    /// and has done so.
    pub(super) async fn until_reconciled(&mut self) {
        while let Some(ask) = self.asks.recv().await {
            // Whoever wants something replayed is told that the reader has stopped.
            let Ask::Reconcile(Reconcile { apply, reply }) = ask else {
                continue;
            };
            let outcome = self.reconcile(apply).await;
            let done = apply && outcome.is_ok();
            if done {
                self.progress
                    .update(self.shard, |state| state.stopped = None);
            }
            // Whoever asked may have gone; what was done stands.
            let _ = reply.send(outcome.map(Some));
            if done {
                return;
            }
        }
        // Nobody can ask any more: the process ends.
        std::future::pending().await
    }

    async fn reconcile(&mut self, apply: bool) -> Result<Reconciled, ReconcileError> {
        let consumer = self.consumer.clone();
        self.load_checkpoint().await?;
        let mut lost = self.lost().await?;
        let parked = parked::load(&*consumer.store, consumer.name, self.shard).await?;
        let (held, waiting): (Vec<ParkedEvent>, Vec<ParkedEvent>) = parked
            .into_iter()
            .partition(|event| event.position == parked::HELD);
        let (gone, kept): (Vec<ParkedEvent>, Vec<ParkedEvent>) = waiting
            .into_iter()
            .partition(|event| event.position >= lost.common);
        let kept: HashSet<u64> = kept.iter().map(|event| event.position).collect();
        let stored = self.stored_rows().await?;
        let common = self.common(lost.common, &kept).await?;
        lost.rows = changed_rows(&stored, &common.rows);
        let mut settled = match &consumer.process {
            Some(process) => process.settle(&lost, apply).await?,
            None => Vec::new(),
        };
        settled.extend(of_waiting(&gone, &settled));
        let reconciled = Reconciled { lost, settled };
        if apply {
            let held = held.into_iter().map(|event| event.subject).collect();
            self.go_back(&reconciled, &gone, common.last, &held).await?;
        }
        Ok(reconciled)
    }

    /// What the log does not have any more of what was applied.
    async fn lost(&self) -> Result<Lost, ReconcileError> {
        let (consumer, shard, at) = (&self.consumer, self.shard, &self.checkpoint);
        let (source, log) = (&consumer.source, consumer.log);
        let history = source.history(log).await?;
        let log_id = history.heads[usize::from(shard.0)].log_id;
        let left = history.left_of(shard, at.log_id);
        let left = left.ok_or(ReconcileError::NeverTheSame {
            log,
            shard,
            applied_log_id: at.log_id,
            applied: at.next,
        })?;
        Ok(Lost {
            log,
            shard,
            applied_log_id: at.log_id,
            log_id,
            common: at.next.min(left),
            applied: at.next,
            rows: Vec::new(),
        })
    }

    /// All rows of the views on the shard, in order.
    async fn stored_rows(&self) -> Result<BTreeMap<RowKey, Bytes>, StoreError> {
        let (store, shard) = (&self.consumer.store, self.shard);
        let mut all = BTreeMap::new();
        for view in self.consumer.projection.views() {
            let mut from = Vec::new();
            loop {
                let rows = store.scan(view, shard, &from, None, BATCH).await?;
                let more = rows.len() == BATCH;
                if let Some((last, _)) = rows.last() {
                    from = last.to_vec();
                    from.push(0);
                }
                let rows = rows.into_iter();
                all.extend(rows.map(|(key, value)| (RowKey { view, shard, key }, value)));
                if !more {
                    break;
                }
            }
        }
        Ok(all)
    }

    /// Folds the first records of the shard, without those that are parked.
    async fn common(&self, records: u64, parked: &HashSet<u64>) -> Result<Common, ReconcileError> {
        let (consumer, shard) = (&self.consumer, self.shard);
        let (source, log) = (&consumer.source, consumer.log);
        let former = source.former_ids(log).await?;
        let not_common = |what: String| ReconcileError::NotCommon { log, shard, what };
        let mut fold = Fold::new(&*consumer.projection);
        let mut last = None;
        let mut next = 0;
        while next < records {
            let limit = usize::try_from(records - next).map_or(BATCH, |left| left.min(BATCH));
            let read = source.read_durable(log, shard, next, limit).await?;
            if read.is_empty() {
                return Err(not_common(format!("there is no record {next}")));
            }
            for stored in read {
                let event = Recorded::decode(log, &stored)
                    .map_err(|error| not_common(error.to_string()))?;
                let applied_under =
                    FormerId::at(&former, self.checkpoint.log_id, shard, stored.position);
                if stored.position != next || event.log_id != applied_under {
                    return Err(not_common(format!(
                        "record {next} is {} of log {}",
                        stored.position, event.log_id
                    )));
                }
                next += 1;
                last = Some((stored.leaf, event.log_id));
                if !parked.contains(&stored.position) {
                    // What cannot be applied now could not be then, or had been parked
                    // and was replayed by another version: the views show it.
                    if let Err(poison) = fold.apply(&event) {
                        return Err(not_common(format!("record {}: {poison}", stored.position)));
                    }
                }
            }
        }
        Ok(Common {
            rows: fold.into_rows(),
            last,
        })
    }

    /// Writes the views down as they are without the lost records, and the place
    /// after the last that is left.
    async fn go_back(
        &mut self,
        reconciled: &Reconciled,
        gone: &[ParkedEvent],
        last: Option<(Hash, Uuid)>,
        held: &HashSet<String>,
    ) -> Result<(), ReconcileError> {
        let (name, shard) = (self.consumer.name, self.shard);
        let rows = reconciled.lost.rows.iter().cloned();
        let mut writes: Vec<ViewWrite> = rows
            .map(|changed| ViewWrite {
                row: changed.row,
                value: changed.now,
            })
            .collect();
        let gone = gone.iter().map(|event| parked::unpark(name, shard, event));
        writes.extend(gone);
        // One waits for the first that is said of it.
        let mut held = held.clone();
        for settled in reconciled.settled.iter().filter(|settled| settled.hold) {
            if held.insert(settled.subject.clone()) {
                let event = ParkedEvent {
                    subject: settled.subject.clone(),
                    position: parked::HELD,
                    reason: settled.what.clone(),
                };
                writes.push(parked::park(name, shard, &event));
            }
        }
        writes.push(parked::changed(name, shard, self.epoch));
        let (leaf, log_id) = last.unwrap_or_default();
        let to = Checkpoint {
            next: reconciled.lost.common,
            log_id,
            leaf,
            hint: None,
            ..self.checkpoint.clone()
        };
        // What is held for it is of the log as it was.
        self.following = None;
        self.write(to, writes).await?;
        tracing::warn!(
            consumer = name,
            shard = shard.0,
            lost = reconciled.lost.applied - reconciled.lost.common,
            log_id = %reconciled.lost.log_id,
            "reader went back to what the restored log has"
        );
        Ok(())
    }
}

/// Subjects of which lost events waited among the parked ones: what those said is not
/// known any more, and must not be taken for nothing.
fn of_waiting(gone: &[ParkedEvent], settled: &[Settled]) -> Vec<Settled> {
    let mut told: HashSet<&str> = settled
        .iter()
        .filter(|settled| settled.hold)
        .map(|settled| settled.subject.as_str())
        .collect();
    let gone = gone.iter().map(|event| event.subject.as_str());
    gone.filter(|subject| told.insert(subject))
        .map(|subject| Settled {
            subject: subject.to_owned(),
            what: "events of it that waited among the parked ones are lost: have them repeated, \
                   under their command ids, and replay the subject"
                .to_owned(),
            hold: true,
        })
        .collect()
}

impl From<ReactError> for ReconcileError {
    fn from(error: ReactError) -> Self {
        Self::Retry {
            reason: error.to_string(),
        }
    }
}

/// The rows in which two states of views differ, in order.
fn changed_rows(
    before: &BTreeMap<RowKey, Bytes>,
    now: &BTreeMap<RowKey, Bytes>,
) -> Vec<ChangedRow> {
    let added = now.keys().filter(|row| !before.contains_key(*row));
    let mut rows: Vec<&RowKey> = before.keys().chain(added).collect();
    rows.sort_unstable();
    let pairs = rows.into_iter().map(|row| ChangedRow {
        row: row.clone(),
        before: before.get(row).cloned(),
        now: now.get(row).cloned(),
    });
    pairs.filter(|row| row.before != row.now).collect()
}
