//! What is parked, for whoever looks after it: subjects, their events, another try.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::parked::{self, ParkedEvent};
use super::runner::{Ask, Replay};
use super::{Consumer, Progress};
use crate::event::Recorded;
use crate::shard::{LogName, Shard};
use crate::store::StoreError;

/// The parked subjects of a running consumer.
#[derive(Clone)]
pub struct ParkedSubjects {
    consumer: Arc<Consumer>,
    progress: Arc<Progress>,
    asks: Vec<mpsc::Sender<Ask>>,
}

/// A subject with events that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedSubject {
    /// Where it is.
    pub shard: Shard,
    /// How many of its events wait.
    pub events: usize,
    /// The first of them, which keeps the others waiting.
    pub first: ParkedRecord,
}

/// A parked event, and what the log says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedRecord {
    /// What is written down of it.
    pub parked: ParkedEvent,
    /// Its type and when it was recorded; nothing where the log does not have it any more.
    pub recorded: Option<(String, Timestamp)>,
}

/// What became of another try.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replayed {
    /// How many events were applied.
    pub applied: usize,
    /// How many of the subject's events still wait.
    pub left: usize,
    /// Where it ended before the last, and why.
    pub stopped: Option<(u64, String)>,
}

/// Why a reader could not be asked to try again. Nothing was tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It has stopped, or the process ends.
    #[error("the reader has stopped; start it again first")]
    Stopped,
    /// Another process holds the shard.
    #[error(
        "another replica of this role holds shard {shard}, and only that one can apply what waits \
         there; ask it: `tally status` of each replica says which shards it holds"
    )]
    Elsewhere {
        /// The shard.
        shard: Shard,
    },
}

impl ParkedSubjects {
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

    /// The parked subjects after a place, by shard and subject, at most `limit`.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    pub async fn list(
        &self,
        after: Option<(Shard, &str)>,
        limit: usize,
    ) -> Result<Vec<ParkedSubject>, StoreError> {
        let mut found = Vec::new();
        for shard in self.consumer.source.shards().all() {
            let mut subjects: Vec<(String, usize)> = self.progress.with(shard, |state| {
                let parked = state.parked.iter();
                parked
                    .filter(|(subject, _)| {
                        after.is_none_or(|after| (shard, subject.as_str()) > after)
                    })
                    .map(|(subject, events)| (subject.clone(), *events))
                    .collect()
            });
            subjects.sort_unstable();
            for (subject, events) in subjects {
                if found.len() == limit {
                    return Ok(found);
                }
                // None are left where it was tried again with success meanwhile.
                let first = self.events_on(shard, &subject, 0, 1).await?.pop();
                found.extend(first.map(|first| ParkedSubject {
                    shard,
                    events,
                    first,
                }));
            }
        }
        Ok(found)
    }

    /// A subject's parked events from a position on, in order, at most `limit`.
    /// None: it is not parked.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    pub async fn events(
        &self,
        subject: &str,
        from: u64,
        limit: usize,
    ) -> Result<Vec<ParkedRecord>, StoreError> {
        match self.shard_of(subject) {
            Some(shard) => self.events_on(shard, subject, from, limit).await,
            None => Ok(Vec::new()),
        }
    }

    /// Where a subject is parked; nothing where it is not.
    pub fn shard_of(&self, subject: &str) -> Option<Shard> {
        let parked = |shard: &Shard| {
            self.progress
                .with(*shard, |state| state.parked.contains_key(subject))
        };
        self.consumer.source.shards().all().find(parked)
    }

    /// Tries the parked events of a subject again, in order, up to the first
    /// that cannot be applied. It is the reader that does it, at the head of its log.
    ///
    /// # Errors
    ///
    /// [`ReplayError`]: who can do it, or what to do first.
    pub async fn replay(&self, subject: &str) -> Result<Replayed, ReplayError> {
        let Some(shard) = self.shard_of(subject) else {
            return Ok(Replayed::default());
        };
        let (held, stopped) = self
            .progress
            .with(shard, |state| (state.held, state.stopped.is_some()));
        if stopped {
            return Err(ReplayError::Stopped);
        }
        if !held && self.consumer.held.is_shared() {
            return Err(ReplayError::Elsewhere { shard });
        }
        let (reply, answer) = oneshot::channel();
        let replay = Ask::Replay(Replay {
            subject: subject.to_owned(),
            reply,
        });
        let queue = &self.asks[usize::from(shard.0)];
        queue.send(replay).await.map_err(|_| ReplayError::Stopped)?;
        answer.await.map_err(|_| ReplayError::Stopped)
    }

    async fn events_on(
        &self,
        shard: Shard,
        subject: &str,
        from: u64,
        limit: usize,
    ) -> Result<Vec<ParkedRecord>, StoreError> {
        let (store, name) = (&*self.consumer.store, self.consumer.name);
        let waiting = parked::of_subject(store, name, shard, subject, from, limit).await?;
        let mut events = Vec::with_capacity(waiting.len());
        for parked in waiting {
            let recorded = self.recorded(shard, parked.position).await?;
            events.push(ParkedRecord { parked, recorded });
        }
        Ok(events)
    }

    async fn recorded(
        &self,
        shard: Shard,
        position: u64,
    ) -> Result<Option<(String, Timestamp)>, StoreError> {
        let Consumer { log, source, .. } = &*self.consumer;
        let records = source.read(*log, shard, position, 1).await?;
        let found = records.first().filter(|found| found.position == position);
        let event = found.and_then(|record| Recorded::decode(*log, record).ok());
        Ok(event.map(|event| (event.envelope.event_type, event.recorded_at)))
    }
}
