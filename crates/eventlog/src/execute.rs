//! Executes commands: load, decide, append; again when another was first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::BoxError;
use crate::aggregate::Codec;
use crate::append::{
    Append, AppendError, Appended, CommandKey, ExpectedVersion, Guard, HeadGuard, Outcome,
    StreamAppend,
};
use crate::clock::Clock;
use crate::event::{DecodeError, EventContext, NewEvent, Recorded, StoredRecord, StreamName};
use crate::shard::LogName;
use crate::store::{EventStore, StoreError};

/// How often a command is decided before it is given up.
pub const TRIES_MAX: u32 = 8;

/// A command for one aggregate.
#[derive(Debug, Clone)]
pub struct Task<A: crate::aggregate::Aggregate> {
    /// Id of the stream within the aggregate's category.
    pub stream_id: String,
    /// Whom it is about, as text: also the shard key. Empty: the stream's id is the shard key.
    pub subject: String,
    /// What is asked.
    pub command: A::Command,
    /// Identity of the command.
    pub key: CommandKey,
    /// What the events have in common.
    pub context: Arc<EventContext>,
    /// What the reply is made from, remembered with the command.
    pub note: Bytes,
    /// The stream probably does not exist: decide without loading it first.
    pub fresh: bool,
    /// Checkpoints that the command's look-ups relied on.
    pub guards: Vec<Guard>,
}

/// Why a command was not executed.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: std::fmt::Debug> {
    /// Refused by the aggregate.
    #[error("rejected: {0:?}")]
    Rejected(R),
    /// The same id came with other content: use a new id.
    #[error("command id {id} was used before for another command; use a new id")]
    CommandReused {
        /// The id.
        id: Uuid,
    },
    /// Others were first, again and again: retry with the same command id.
    #[error(
        "others changed `{stream}` {TRIES_MAX} times meanwhile; retry with the same command id"
    )]
    Aborted {
        /// The stream.
        stream: StreamName,
    },
    /// A look-up is outdated: look up and decide again.
    #[error("a look-up is outdated; look up and decide again")]
    Outdated,
    /// The queue is full: nothing was applied; retry later.
    #[error("the log is busy; nothing was applied, retry later")]
    Busy,
    /// The store failed; the outcome says whether it took effect.
    #[error("event store unavailable ({outcome:?}): {source}")]
    Unavailable {
        /// Why.
        source: Arc<BoxError>,
        /// Whether it took effect.
        outcome: Outcome,
    },
    /// The stream cannot be read: verify the log.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl<R: std::fmt::Debug> From<StoreError> for ExecuteError<R> {
    fn from(error: StoreError) -> Self {
        Self::Unavailable {
            source: error.source,
            outcome: Outcome::NotApplied,
        }
    }
}

/// What comes of one task.
type TaskResult<A> = Result<Appended, ExecuteError<<A as crate::aggregate::Aggregate>::Rejection>>;

/// Executes commands on one store.
#[derive(Clone)]
pub struct Executor {
    /// The store.
    pub store: Arc<dyn EventStore>,
    /// The clock that event ids take their time from.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Executor")
    }
}

/// The state of a stream and where it ends.
#[derive(Debug, Clone)]
pub struct Loaded<A> {
    /// The state.
    pub state: A,
    /// Version of the last event; nothing if the stream does not exist.
    pub version: Option<u64>,
}

impl<A: Default> Default for Loaded<A> {
    fn default() -> Self {
        Self {
            state: A::default(),
            version: None,
        }
    }
}

impl<A: crate::aggregate::Aggregate> Loaded<A> {
    fn after(&self, events: &[A::Event]) -> Self {
        let mut state = self.state.clone();
        for event in events {
            state.evolve(event);
        }
        let next = self.version.map_or(0, |version| version + 1);
        Self {
            state,
            version: (next + events.len() as u64).checked_sub(1),
        }
    }
}

/// Streams that more than one of these tasks is for.
fn shared_streams<'a, A: crate::aggregate::Aggregate>(
    tasks: &'a [Task<A>],
    open: &[usize],
) -> HashSet<&'a str> {
    let mut seen = HashSet::with_capacity(open.len());
    let streams = open.iter().map(|index| tasks[*index].stream_id.as_str());
    streams.filter(|stream| !seen.insert(*stream)).collect()
}

impl Executor {
    /// Executes one command.
    ///
    /// # Errors
    ///
    /// [`ExecuteError`]; each says what to do.
    pub async fn execute<A: Codec>(
        &self,
        log: LogName,
        task: Task<A>,
    ) -> Result<Appended, ExecuteError<A::Rejection>> {
        self.execute_many(log, vec![task])
            .await
            .pop()
            .expect("one result per task")
    }

    /// The same, if these logs still end where the command's look-ups saw them end.
    ///
    /// # Errors
    ///
    /// [`ExecuteError`]; each says what to do.
    pub async fn execute_at<A: Codec>(
        &self,
        log: LogName,
        task: Task<A>,
        heads: Vec<HeadGuard>,
    ) -> Result<Appended, ExecuteError<A::Rejection>> {
        self.execute_all(log, vec![task], &heads)
            .await
            .pop()
            .expect("one result per task")
    }

    /// Executes commands together: one load, one group commit, per round.
    /// Results are in the order of the tasks; each stands for itself.
    ///
    /// # Errors
    ///
    /// [`ExecuteError`], per task.
    pub async fn execute_many<A: Codec>(
        &self,
        log: LogName,
        tasks: Vec<Task<A>>,
    ) -> Vec<Result<Appended, ExecuteError<A::Rejection>>> {
        self.execute_all(log, tasks, &[]).await
    }

    async fn execute_all<A: Codec>(
        &self,
        log: LogName,
        tasks: Vec<Task<A>>,
        heads: &[HeadGuard],
    ) -> Vec<Result<Appended, ExecuteError<A::Rejection>>> {
        let mut results: Vec<Option<TaskResult<A>>> = tasks.iter().map(|_| None).collect();
        let mut open: Vec<usize> = (0..tasks.len()).collect();
        for round in 0..TRIES_MAX {
            let shared = shared_streams(&tasks, &open);
            let mut states = match self.load_round(log, &tasks, &open, round).await {
                Ok(states) => states,
                Err(error) => {
                    for index in open {
                        results[index] = Some(Err(error.clone_as()));
                    }
                    return finish(results);
                }
            };
            let mut appends = Vec::with_capacity(open.len());
            let mut appended = Vec::with_capacity(open.len());
            let mut settled = Vec::new();
            let mut ahead = HashSet::new();
            let mut again = Vec::new();
            for index in open {
                let task = &tasks[index];
                let stream = task.stream_id.as_str();
                let fresh = Loaded::default();
                let loaded = states.get(stream).unwrap_or(&fresh);
                let decision = loaded.state.decide(&task.command);
                // A refusal must rest on what has committed: wait for the round
                // in which the tasks before it on this stream have.
                let refused = decision.as_ref().map_or(true, Vec::is_empty);
                if refused && ahead.contains(stream) {
                    again.push(index);
                    continue;
                }
                match decision {
                    Ok(events) if events.is_empty() => settled.push((index, None)),
                    Ok(events) => {
                        appends.push(Append {
                            heads: heads.to_vec(),
                            ..self.append_of::<A>(log, task, loaded.version, &events)
                        });
                        appended.push(index);
                        // The next task on this stream decides on what this one makes of it.
                        if shared.contains(stream) {
                            let next = loaded.after(&events);
                            states.insert(stream, next);
                            ahead.insert(stream);
                        }
                    }
                    Err(rejection) => settled.push((index, Some(rejection))),
                }
            }
            self.settle(log, &tasks, settled, &mut results).await;
            let outcomes = self.store.append(appends).await;
            for (index, outcome) in appended.into_iter().zip(outcomes) {
                match outcome {
                    Err(AppendError::WrongExpectedVersion { .. }) => again.push(index),
                    outcome => results[index] = Some(outcome.map_err(execute_error)),
                }
            }
            if again.is_empty() {
                return finish(results);
            }
            // In the order in which they were asked.
            again.sort_unstable();
            open = again;
        }
        for index in open {
            let stream = StreamName::new(A::CATEGORY, tasks[index].stream_id.clone());
            results[index] = Some(Err(ExecuteError::Aborted { stream }));
        }
        finish(results)
    }

    /// Loads the state of streams, by id.
    ///
    /// # Errors
    ///
    /// [`LoadError`]: the store cannot be read, or a record cannot.
    pub async fn load<A: Codec>(
        &self,
        log: LogName,
        ids: &[&str],
    ) -> Result<Vec<Loaded<A>>, LoadError> {
        let streams: Vec<StreamName> = ids
            .iter()
            .map(|id| StreamName::new(A::CATEGORY, *id))
            .collect();
        let histories = self.store.read_streams(log, &streams).await?;
        histories
            .iter()
            .map(|history| fold::<A>(log, history))
            .collect::<Result<_, _>>()
            .map_err(LoadError::from)
    }

    async fn load_round<'a, A: Codec>(
        &self,
        log: LogName,
        tasks: &'a [Task<A>],
        open: &[usize],
        round: u32,
    ) -> Result<HashMap<&'a str, Loaded<A>>, LoadError> {
        let mut ids: Vec<&str> = open
            .iter()
            .map(|index| &tasks[*index])
            .filter(|task| round > 0 || !task.fresh)
            .map(|task| task.stream_id.as_str())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let states = self.load::<A>(log, &ids).await?;
        Ok(ids.into_iter().zip(states).collect())
    }

    fn append_of<A: Codec>(
        &self,
        log: LogName,
        task: &Task<A>,
        version: Option<u64>,
        events: &[A::Event],
    ) -> Append {
        let shard_key = if task.subject.is_empty() {
            &task.stream_id
        } else {
            &task.subject
        };
        let now = self.clock.now();
        let events = events
            .iter()
            .enumerate()
            .map(|(n, event)| {
                let encoded = A::encode(event);
                NewEvent {
                    event_id: event_id(now, &task.key, n),
                    event_type: encoded.event_type,
                    subject: task.subject.clone(),
                    payload: encoded.payload,
                    effective_at: encoded.effective_at,
                    context: task.context.clone(),
                    legal_basis: encoded.legal_basis,
                }
            })
            .collect();
        Append {
            command: Some(task.key.clone()),
            note: task.note.clone(),
            streams: vec![StreamAppend {
                stream: StreamName::new(A::CATEGORY, task.stream_id.clone()),
                expected: version.map_or(ExpectedVersion::NoStream, ExpectedVersion::Exact),
                events,
            }],
            guards: task.guards.clone(),
            ..Append::to(log, self.store.shards().of(shard_key))
        }
    }

    /// A refused or empty decision may be the repeat of a command that was
    /// applied: then its first result is the answer.
    async fn settle<A: Codec>(
        &self,
        log: LogName,
        tasks: &[Task<A>],
        settled: Vec<(usize, Option<A::Rejection>)>,
        results: &mut [Option<TaskResult<A>>],
    ) {
        if settled.is_empty() {
            return;
        }
        let keys: Vec<CommandKey> = settled
            .iter()
            .map(|(index, _)| tasks[*index].key.clone())
            .collect();
        let remembered = match self.store.remembered(log, &keys).await {
            Ok(remembered) => remembered,
            Err(error) => {
                for (index, _) in settled {
                    results[index] = Some(Err(error.clone().into()));
                }
                return;
            }
        };
        for ((index, rejection), remembered) in settled.into_iter().zip(remembered) {
            let task = &tasks[index];
            results[index] = Some(match (remembered, rejection) {
                (Some(first), _) if first.is_of(&task.key.digest) => Ok(Appended {
                    repeated: true,
                    ..first.first
                }),
                (Some(_), _) => Err(ExecuteError::CommandReused { id: task.key.id }),
                (None, Some(rejection)) => Err(ExecuteError::Rejected(rejection)),
                (None, None) => Ok(nothing_to_do(log, self, task)),
            });
        }
    }
}

fn nothing_to_do<A: Codec>(log: LogName, executor: &Executor, task: &Task<A>) -> Appended {
    let shard_key = if task.subject.is_empty() {
        &task.stream_id
    } else {
        &task.subject
    };
    Appended {
        log,
        log_id: Uuid::nil(),
        shard: executor.store.shards().of(shard_key),
        last: None,
        note: task.note.clone(),
        repeated: true,
    }
}

/// Folds a stream's records into a state.
///
/// # Errors
///
/// [`DecodeError`]: a record cannot be read.
pub fn fold<A: Codec>(log: LogName, history: &[StoredRecord]) -> Result<Loaded<A>, DecodeError> {
    let mut loaded = Loaded::<A>::default();
    for stored in history {
        let recorded = Recorded::decode(log, stored)?;
        loaded.state.evolve(&A::decode(&recorded)?);
        loaded.version = Some(recorded.envelope.version);
    }
    Ok(loaded)
}

/// Why a state could not be loaded.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// The store cannot be read: retry.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record cannot be read: verify the log.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl LoadError {
    fn clone_as<R: std::fmt::Debug>(&self) -> ExecuteError<R> {
        match self.clone() {
            Self::Store(error) => error.into(),
            Self::Decode(error) => error.into(),
        }
    }
}

/// A UUIDv7 of the clock's time whose random part is drawn from the command,
/// so that a command decided again makes the same ids within a millisecond.
fn event_id(now: jiff::Timestamp, key: &CommandKey, n: usize) -> Uuid {
    let mut hasher = Sha256::new();
    hasher.update(key.id.as_bytes());
    hasher.update(key.department.as_bytes());
    hasher.update((n as u64).to_be_bytes());
    let hash: [u8; 32] = hasher.finalize().into();
    let random: [u8; 10] = hash[..10].try_into().expect("10 of 32 bytes");
    let milliseconds = u64::try_from(now.as_millisecond()).unwrap_or(0);
    Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
}

fn execute_error<R: std::fmt::Debug>(error: AppendError) -> ExecuteError<R> {
    match error {
        AppendError::WrongExpectedVersion { stream, .. } => ExecuteError::Aborted { stream },
        AppendError::CommandReused { id } => ExecuteError::CommandReused { id },
        AppendError::CheckpointMoved { .. } | AppendError::Outdated { .. } => {
            ExecuteError::Outdated
        }
        AppendError::Busy => ExecuteError::Busy,
        AppendError::Unavailable { source, outcome } => {
            ExecuteError::Unavailable { source, outcome }
        }
    }
}

fn finish<T>(results: Vec<Option<T>>) -> Vec<T> {
    results
        .into_iter()
        .map(|result| result.expect("every task was settled or appended"))
        .collect()
}
