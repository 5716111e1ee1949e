//! Group commit: many concurrent commands, one transaction, one fsync.
//!
//! One task owns the backend. While a transaction commits, the queue fills;
//! the next transaction takes all that waits. The queue is bounded by weight,
//! so that a slow disk pushes back on callers instead of filling memory.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tracing::Instrument as _;

use crate::BoxError;
use crate::append::{Append, AppendError, Appended, Outcome};
use crate::clock::Clock;
use crate::event::StoredRecord;
use crate::sequence::{Loaded, Rows, Wanted, sequence};
use crate::shard::{LogName, Shard, ShardCount};

/// Bounds of group commit.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// Appends in one transaction. More raise throughput and the latency of each.
    pub batch_appends_max: usize,
    /// Bytes in one transaction, roughly.
    pub batch_weight_max: usize,
    /// Bytes that may wait, roughly. Beyond it callers wait, then are refused.
    pub queue_weight_max: usize,
    /// How long a caller waits for a place in the queue before it is refused.
    pub enqueue_deadline: Duration,
    /// Records per shard that tailing readers find in memory.
    pub tail_records_max: usize,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            batch_appends_max: 2_048,
            batch_weight_max: 8 << 20,
            queue_weight_max: 64 << 20,
            enqueue_deadline: Duration::from_secs(5),
            tail_records_max: 2_048,
        }
    }
}

impl GroupOptions {
    /// Splits appends into transactions: one caller may bring more than one holds.
    fn split<'a>(&self, mut appends: &'a [Append]) -> Vec<&'a [Append]> {
        let mut batches = Vec::with_capacity(1);
        while !appends.is_empty() {
            let mut weight = 0;
            let fits = |append: &&Append| {
                weight += append.weight();
                weight <= self.batch_weight_max
            };
            let count = appends
                .iter()
                .take(self.batch_appends_max)
                .take_while(fits)
                .count();
            let (batch, rest) = appends.split_at(count.max(1));
            batches.push(batch);
            appends = rest;
        }
        batches
    }
}

/// What happens to a batch's trace: given the batch's span and the trace
/// contexts of its commands, links them.
pub type SpanLinker = Arc<dyn Fn(&tracing::Span, &[&str]) + Send + Sync>;

/// Why a transaction did not commit.
#[derive(Debug)]
pub enum CommitError {
    /// It certainly took no effect.
    NotApplied(BoxError),
    /// It may have taken effect.
    Unknown(BoxError),
    /// A constraint that the rules should have kept was violated: a bug. The
    /// batch is replayed one append at a time.
    Constraint(BoxError),
}

/// A store's transactions, as group commit drives them.
pub trait Backend: Send + 'static {
    /// Opens a transaction, locks what it appends to, and reads what the batch
    /// refers to.
    fn begin(&mut self, wanted: &Wanted) -> impl Future<Output = Result<Loaded, BoxError>> + Send;

    /// Writes the rows and commits durably.
    fn commit(&mut self, rows: &Rows) -> impl Future<Output = Result<(), CommitError>> + Send;

    /// Ends the transaction without effect.
    fn rollback(&mut self) -> impl Future<Output = ()> + Send;
}

struct Job {
    appends: Vec<Append>,
    reply: oneshot::Sender<Vec<Result<Appended, AppendError>>>,
    // Given back when the job is done.
    _place: OwnedSemaphorePermit,
}

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

    fn publish(&self, rows: &Rows) {
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

    fn catch_up_all(&self, loaded: &Loaded) {
        for ((log, shard), head) in &loaded.heads {
            self.catch_up(*log, *shard, head.size());
        }
    }
}

/// The way into the group commit of one store.
#[derive(Debug, Clone)]
pub struct Writer {
    queue: mpsc::UnboundedSender<Job>,
    places: Arc<Semaphore>,
    options: GroupOptions,
}

impl Writer {
    /// Starts the task that owns `backend`. It ends when the last writer is dropped.
    pub fn start(
        backend: impl Backend,
        tail: Arc<Tail>,
        clock: Arc<dyn Clock>,
        options: GroupOptions,
        linker: Option<SpanLinker>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        // The semaphore bounds the queue by weight; the channel itself needs no bound.
        let (queue, jobs) = mpsc::unbounded_channel();
        let places = Arc::new(Semaphore::new(options.queue_weight_max));
        let group = Group {
            backend,
            tail,
            clock,
            options: options.clone(),
            linker,
        };
        let task = tokio::spawn(group.run(jobs));
        (
            Self {
                queue,
                places,
                options,
            },
            task,
        )
    }

    /// Appends; see [`crate::store::EventStore::append`].
    pub async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        if appends.is_empty() {
            return Vec::new();
        }
        let count = appends.len();
        let weight: usize = appends.iter().map(Append::weight).sum();
        let weight = u32::try_from(weight.min(self.options.queue_weight_max)).unwrap_or(u32::MAX);
        let place = self.places.clone().acquire_many_owned(weight);
        let Ok(Ok(place)) = tokio::time::timeout(self.options.enqueue_deadline, place).await else {
            return (0..count).map(|_| Err(AppendError::Busy)).collect();
        };
        let (reply, answer) = oneshot::channel();
        if self
            .queue
            .send(Job {
                appends,
                reply,
                _place: place,
            })
            .is_err()
        {
            return unavailable(count, "the store is closed".into(), Outcome::NotApplied);
        }
        match answer.await {
            Ok(outcomes) => outcomes,
            // The writer ended between taking the job and answering it.
            Err(_) => unavailable(
                count,
                "the store was closed meanwhile".into(),
                Outcome::Unknown,
            ),
        }
    }
}

fn unavailable(
    count: usize,
    source: BoxError,
    outcome: Outcome,
) -> Vec<Result<Appended, AppendError>> {
    let source = Arc::new(source);
    (0..count)
        .map(|_| {
            Err(AppendError::Unavailable {
                source: source.clone(),
                outcome,
            })
        })
        .collect()
}

struct Group<B> {
    backend: B,
    tail: Arc<Tail>,
    clock: Arc<dyn Clock>,
    options: GroupOptions,
    linker: Option<SpanLinker>,
}

impl<B: Backend> Group<B> {
    async fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>) {
        let mut held: Option<Job> = None;
        loop {
            let Some(first) = (match held.take() {
                Some(job) => Some(job),
                None => jobs.recv().await,
            }) else {
                return;
            };
            let mut appends = Vec::new();
            let mut replies = Vec::new();
            let mut weight = 0;
            let mut next = Some(first);
            while let Some(job) = next.take() {
                let job_weight: usize = job.appends.iter().map(Append::weight).sum();
                let full = appends.len() + job.appends.len() > self.options.batch_appends_max
                    || weight + job_weight > self.options.batch_weight_max;
                if full && !appends.is_empty() {
                    held = Some(job);
                    break;
                }
                weight += job_weight;
                replies.push((job.appends.len(), job.reply, job._place));
                if appends.is_empty() {
                    appends = job.appends;
                } else {
                    appends.extend(job.appends);
                }
                next = jobs.try_recv().ok();
            }
            let mut outcomes = Vec::with_capacity(appends.len());
            for batch in self.options.split(&appends) {
                outcomes.extend(self.commit_traced(batch).await);
            }
            let mut outcomes = outcomes.into_iter();
            for (count, reply, place) in replies {
                // A caller that went away learns nothing; its command stands.
                let _ = reply.send(outcomes.by_ref().take(count).collect());
                drop(place);
            }
        }
    }

    async fn commit_traced(&mut self, appends: &[Append]) -> Vec<Result<Appended, AppendError>> {
        let span = tracing::info_span!("append_batch", appends = appends.len());
        if let Some(linker) = &self.linker {
            let mut parents: Vec<&str> = appends
                .iter()
                .flat_map(|append| &append.streams)
                .filter_map(|part| part.events.first())
                .map(|event| event.context.traceparent.as_str())
                .filter(|parent| !parent.is_empty())
                .collect();
            parents.dedup();
            linker(&span, &parents);
        }
        self.commit(appends).instrument(span).await
    }

    async fn commit(&mut self, appends: &[Append]) -> Vec<Result<Appended, AppendError>> {
        match self.transact(appends).await {
            Ok(outcomes) => outcomes,
            Err(CommitError::Constraint(error)) if appends.len() > 1 => {
                tracing::error!(error = %error, "constraint violated, batch replayed one by one");
                let mut outcomes = Vec::with_capacity(appends.len());
                for append in appends {
                    match self.transact(std::slice::from_ref(append)).await {
                        Ok(one) => outcomes.extend(one),
                        Err(error) => outcomes.extend(failed(1, error)),
                    }
                }
                outcomes
            }
            Err(error) => failed(appends.len(), error),
        }
    }

    async fn transact(
        &mut self,
        appends: &[Append],
    ) -> Result<Vec<Result<Appended, AppendError>>, CommitError> {
        let mut loaded = match self.backend.begin(&Wanted::of(appends)).await {
            Ok(loaded) => loaded,
            Err(error) => {
                self.backend.rollback().await;
                return Err(CommitError::NotApplied(error));
            }
        };
        // After an unknown outcome the store may hold more than readers were told.
        self.tail.catch_up_all(&loaded);
        let (rows, outcomes) = sequence(appends, &mut loaded, self.clock.now());
        if rows.is_empty() {
            self.backend.rollback().await;
            return Ok(outcomes);
        }
        if let Err(error) = self.backend.commit(&rows).await {
            self.backend.rollback().await;
            if matches!(error, CommitError::Unknown(_)) {
                self.look_again(&rows).await;
            }
            return Err(error);
        }
        self.tail.publish(&rows);
        Ok(outcomes)
    }

    /// Looks whether a commit of unknown outcome took effect, so that readers
    /// see its records even if nobody retries and nothing more is appended.
    async fn look_again(&mut self, rows: &Rows) {
        let heads = rows.heads.keys().copied().collect();
        match self
            .backend
            .begin(&Wanted {
                heads,
                ..Wanted::default()
            })
            .await
        {
            Ok(loaded) => self.tail.catch_up_all(&loaded),
            // The next append to the shard looks again.
            Err(error) => tracing::warn!(error = %error, "outcome of a batch stays unknown"),
        }
        self.backend.rollback().await;
    }
}

fn failed(count: usize, error: CommitError) -> Vec<Result<Appended, AppendError>> {
    let (source, outcome) = match error {
        CommitError::NotApplied(source) | CommitError::Constraint(source) => {
            (source, Outcome::NotApplied)
        }
        CommitError::Unknown(source) => (source, Outcome::Unknown),
    };
    tracing::error!(error = %source, outcome = ?outcome, "batch did not commit");
    unavailable(count, source, outcome)
}
