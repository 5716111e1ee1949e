//! Group commit: many concurrent commands, one transaction, one fsync.
//!
//! One task owns the backend. While a transaction commits, the queue fills;
//! the next transaction takes all that waits. The queue is bounded by weight,
//! so that a slow disk pushes back on callers instead of filling memory.

mod tail;
mod task;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

use crate::BoxError;
use crate::append::{Append, AppendError, Appended, Outcome};
use crate::clock::Clock;
use crate::sequence::{Loaded, Prepared, Rows, Wanted};
use crate::shard::{LogName, Shard};
use crate::store::StoreError;

pub use tail::Tail;
use task::Group;

/// Bounds of group commit.
#[derive(Debug, Clone)]
pub struct GroupOptions {
    /// Appends in one transaction. More raise throughput and the latency of each.
    pub batch_appends_max: usize,
    /// Bytes in one transaction, roughly.
    pub batch_weight_max: usize,
    /// Bytes that may wait, roughly. Beyond it callers wait, then are refused.
    pub queue_weight_max: usize,
    /// How long a caller waits for a place in the queue before it is refused; and after
    /// which it is refused where those before it have just met a store that fails.
    pub enqueue_deadline: Duration,
    /// Records per shard that tailing readers find in memory.
    pub tail_records_max: usize,
    /// Their bytes; the newest record is there in any case.
    pub tail_bytes_max: usize,
}

impl Default for GroupOptions {
    fn default() -> Self {
        Self {
            batch_appends_max: 2_048,
            batch_weight_max: 8 << 20,
            queue_weight_max: 64 << 20,
            enqueue_deadline: Duration::from_secs(5),
            tail_records_max: 2_048,
            tail_bytes_max: 4 << 20,
        }
    }
}

impl GroupOptions {
    /// Splits appends into transactions: one caller may bring more than one holds.
    fn split<'a, 'b>(&self, mut appends: &'a [&'b Prepared]) -> Vec<&'a [&'b Prepared]> {
        let mut batches = Vec::with_capacity(1);
        while !appends.is_empty() {
            let mut weight = 0;
            let fits = |prepared: &&&Prepared| {
                weight += prepared.append().weight();
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
    appends: Vec<Prepared>,
    weight: usize,
    reply: oneshot::Sender<Done>,
    since: Instant,
    // Given back when the job is done.
    place: OwnedSemaphorePermit,
}

impl Job {
    fn answer(self, outcomes: Vec<Result<Appended, AppendError>>) {
        // Whoever was answered finds the place free.
        drop(self.place);
        let done = Done {
            outcomes,
            _appends: self.appends,
        };
        // A caller that went away learns nothing; its command stands.
        let _ = self.reply.send(done);
    }
}

/// What a caller gets back: also its appends, so that taking them apart is no
/// work of the one writer.
struct Done {
    outcomes: Vec<Result<Appended, AppendError>>,
    _appends: Vec<Prepared>,
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
        let group = Group::new(backend, tail, clock, options.clone(), linker);
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

    /// Appends by the writer of a store, if it is open. What goes to a log or shard
    /// that the store `lacks` is refused here, so that it cannot fail a transaction
    /// that others share.
    pub async fn append_where(
        writer: Option<Self>,
        appends: Vec<Append>,
        lacks: impl Fn(LogName, Shard) -> Option<StoreError>,
    ) -> Vec<Result<Appended, AppendError>> {
        let refused = |source| AppendError::Unavailable {
            source,
            outcome: Outcome::NotApplied,
        };
        let mut accepted = Vec::with_capacity(appends.len());
        let mut places = Vec::with_capacity(appends.len());
        for append in appends {
            let lacking = append.places().find_map(|(log, shard)| lacks(log, shard));
            places.push(match lacking {
                Some(error) => Err(refused(error.source)),
                None => {
                    accepted.push(append);
                    Ok(())
                }
            });
        }
        let Some(writer) = writer else {
            let closed = || refused(Arc::new("the store is closed".into()));
            let places = places.into_iter();
            return places
                .map(|place| place.and_then(|()| Err(closed())))
                .collect();
        };
        let mut outcomes = writer.append(accepted).await.into_iter();
        let places = places.into_iter();
        places
            .map(|place: Result<(), AppendError>| {
                place.and_then(|()| outcomes.next().expect("one outcome per append"))
            })
            .collect()
    }

    /// Appends; see [`crate::store::EventStore::append`].
    pub async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        if appends.is_empty() {
            return Vec::new();
        }
        let count = appends.len();
        let weight: usize = appends.iter().map(Append::weight).sum();
        let places = u32::try_from(weight.min(self.options.queue_weight_max)).unwrap_or(u32::MAX);
        let place = self.places.clone().acquire_many_owned(places);
        let Ok(Ok(place)) = tokio::time::timeout(self.options.enqueue_deadline, place).await else {
            return (0..count).map(|_| Err(AppendError::Busy)).collect();
        };
        let (reply, answer) = oneshot::channel();
        let job = Job {
            appends: appends.into_iter().map(Prepared::new).collect(),
            weight,
            reply,
            since: Instant::now(),
            place,
        };
        if self.queue.send(job).is_err() {
            return unavailable(count, "the store is closed".into(), Outcome::NotApplied);
        }
        match answer.await {
            Ok(done) => done.outcomes,
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
    refused(count, &Arc::new(source), outcome)
}

fn refused(
    count: usize,
    source: &Arc<BoxError>,
    outcome: Outcome,
) -> Vec<Result<Appended, AppendError>> {
    (0..count)
        .map(|_| {
            Err(AppendError::Unavailable {
                source: source.clone(),
                outcome,
            })
        })
        .collect()
}
