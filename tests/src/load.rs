//! A load that never gives up a command: each is sent again under its id until
//! it is acknowledged, and what was acknowledged is written down.

mod case;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tally::client::{Client, command_id};
use tally_proto::tally::collection::v1 as collection;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Response, Status};

use crate::harness::{Harness, MARKET, TAX, penalty, question};
use crate::organisations::subjects;
use crate::patience::{PATIENCE, PAUSE, is_late, may_pass};
use case::Case;

pub use case::Course;

/// Who pushes, each in turn about the same few organisations.
const PUSHERS: usize = 4;
/// Organisations that records are about.
const PUSHED_ABOUT: usize = 12;
/// Who lists, each one organisation after the other.
const LISTERS: usize = 3;
/// Who asks before a decision.
const CHECKERS: usize = 2;

/// How long one attempt may take: whoever hangs longer has failed the test.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(25);

/// What was acknowledged.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Records by id, with their document's number.
    pub records: BTreeMap<String, String>,
    /// Listed entries by id, with their subject and what came of them.
    pub entries: BTreeMap<String, (String, Course)>,
    /// The cases in which they were listed.
    cases: Vec<Case>,
}

/// A load that runs.
pub struct Load {
    shared: Arc<Shared>,
    stop: CancellationToken,
    workers: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    /// Commands that were sent and not answered.
    in_flight: AtomicU64,
    /// A log was restored from a backup: what was acknowledged may be lost.
    restored: AtomicBool,
    /// What calls need stands still, or did: they may be answered late.
    hung: AtomicBool,
    /// Attempts that met a fault.
    faults: AtomicU64,
    /// The longest attempt since that was asked last.
    slowest: Mutex<Duration>,
    /// Commands that were acknowledged.
    acknowledged: watch::Sender<u64>,
}

/// Who takes part.
#[derive(Clone)]
struct Cast {
    system: Client,
    /// Officers; the third accepts objections, the fourth decides them.
    first: Client,
    second: Client,
    third: Client,
    fourth: Client,
    responder: Client,
}

impl Load {
    /// Starts it.
    ///
    /// # Panics
    ///
    /// If nobody can be let in: it is a test.
    pub async fn start(mesh: &Harness) -> Self {
        let cast = Cast::of(mesh).await;
        let shared = Arc::new(Shared::default());
        let stop = CancellationToken::new();
        let mut workers = JoinSet::new();
        // No organisation is pushed about and listed by two of them.
        let organisations = Arc::new(subjects(4_000));
        for worker in 0..PUSHERS {
            let (cast, shared, stop) = (cast.clone(), shared.clone(), stop.clone());
            let organisations = organisations.clone();
            workers.spawn(async move {
                for n in 0.. {
                    if stop.is_cancelled() {
                        return;
                    }
                    let subject = &organisations[n % PUSHED_ABOUT];
                    cast.push(&shared, subject, &format!("penalty {worker}.{n}"))
                        .await;
                }
            });
        }
        for worker in 0..LISTERS {
            let (cast, shared, stop) = (cast.clone(), shared.clone(), stop.clone());
            let organisations = organisations.clone();
            workers.spawn(async move {
                let own = organisations
                    .iter()
                    .skip(PUSHED_ABOUT + worker)
                    .step_by(LISTERS);
                let own = own.zip(Course::in_turn());
                for (subject, course) in own.take_while(|_| !stop.is_cancelled()) {
                    cast.list(&shared, subject, course).await;
                }
            });
        }
        for worker in 0..CHECKERS {
            let (cast, shared, stop) = (cast.clone(), shared.clone(), stop.clone());
            let organisations = organisations.clone();
            workers.spawn(async move {
                for n in (worker..).step_by(CHECKERS) {
                    if stop.is_cancelled() {
                        return;
                    }
                    let request = question(&organisations[n % 64]);
                    let client = &cast.responder;
                    shared
                        .insist("check", || async {
                            client.sanctions().check(request.clone()).await
                        })
                        .await
                        .unwrap_or_else(|status| panic!("check: {status:?}"));
                }
            });
        }
        Self {
            shared,
            stop,
            workers,
        }
    }

    /// Commands acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        *self.shared.acknowledged.borrow()
    }

    /// Waits until so many more are acknowledged.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub async fn goes_on_by(&self, more: u64) {
        let wanted = self.acknowledged() + more;
        let mut acknowledged = self.shared.acknowledged.subscribe();
        let reached = acknowledged.wait_for(|count| *count >= wanted);
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(matches!(reached, Ok(Ok(_))), "the load stands still");
    }

    /// Commands that are under way, and attempts that have met a fault.
    pub fn under_way(&self) -> (u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::SeqCst);
        (of(&self.shared.in_flight), of(&self.shared.faults))
    }

    /// The longest attempt since this was asked last.
    pub fn slowest(&self) -> Duration {
        std::mem::take(&mut self.shared.slowest())
    }

    /// From now on what was acknowledged may be lost: officers whose earlier decision
    /// is not known any more repeat it, under its id.
    pub fn was_restored(&self) {
        self.shared.restored.store(true, Ordering::SeqCst);
    }

    /// From now on something stands still that calls need.
    pub fn may_hang(&self) {
        self.shared.hung.store(true, Ordering::SeqCst);
    }

    /// Lets what is under way end, and gives what was acknowledged.
    ///
    /// # Panics
    ///
    /// If something was refused for good, or hung.
    pub async fn end(mut self) -> Ledger {
        self.stop.cancel();
        while let Some(worker) = self.workers.join_next().await {
            worker.expect("it held");
        }
        let mut ledger = self
            .shared
            .ledger
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut ledger)
    }
}

impl Shared {
    fn may_be_late(&self, status: &Status) -> bool {
        is_late(status) && self.hung.load(Ordering::SeqCst)
    }

    fn slowest(&self) -> MutexGuard<'_, Duration> {
        self.slowest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command until it is acknowledged, or refused for good.
    async fn insist<T, Answer>(&self, what: &str, attempt: impl Fn() -> Answer) -> Result<T, Status>
    where
        Answer: Future<Output = Result<Response<T>, Status>>,
    {
        let insisted = async {
            loop {
                self.in_flight.fetch_add(1, Ordering::SeqCst);
                let began = Instant::now();
                let answer = tokio::time::timeout(ATTEMPT_MAX, attempt()).await;
                self.in_flight.fetch_sub(1, Ordering::SeqCst);
                {
                    let mut slowest = self.slowest();
                    *slowest = began.elapsed().max(*slowest);
                }
                match answer {
                    Ok(Ok(answer)) => return Ok(answer.into_inner()),
                    Ok(Err(status)) if may_pass(&status) || self.may_be_late(&status) => {
                        self.faults.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(Err(status)) => return Err(status),
                    Err(_) => panic!("{what} hangs"),
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let answer = tokio::time::timeout(PATIENCE, insisted).await;
        let answer = answer.unwrap_or_else(|_| panic!("{what} is never acknowledged"));
        let answer = answer?;
        self.acknowledged.send_modify(|count| *count += 1);
        Ok(answer)
    }
}

/// Whether a refusal says that what came before it is not known.
fn is_lost(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::FailedPrecondition)
}

impl Ledger {
    /// Repeats every command of the officers under its id, as they are told to do
    /// after a restore: what is known is answered, what was lost is decided again.
    /// Returns how many cases it repeated.
    ///
    /// # Panics
    ///
    /// If one leads to another entry.
    pub async fn repeat(&self, mesh: &Harness) -> usize {
        let cast = Cast::of(mesh).await;
        let shared = Shared::default();
        for case in &self.cases {
            let entry = cast.decide(&shared, case).await;
            let entry = entry.unwrap_or_else(|status| panic!("{status:?}"));
            let of_case = (case.listing.subject.clone(), case.course);
            assert_eq!(self.entries.get(&entry), Some(&of_case));
        }
        self.cases.len()
    }
}

impl Cast {
    async fn of(mesh: &Harness) -> Self {
        Self {
            system: mesh.system(MARKET).await,
            first: mesh.officer(MARKET, "1").await,
            second: mesh.officer(MARKET, "2").await,
            third: mesh.officer(MARKET, "3").await,
            fourth: mesh.officer(MARKET, "4").await,
            responder: mesh.system(TAX).await,
        }
    }

    async fn push(&self, shared: &Shared, subject: &str, number: &str) -> String {
        let request = collection::PushRecordRequest {
            command_id: command_id(),
            record: Some(penalty(subject, number, "2026-03-01")),
            ..Default::default()
        };
        let answer = shared
            .insist("push", || async {
                self.system.collection().push_record(request.clone()).await
            })
            .await
            .unwrap_or_else(|status| panic!("push: {status:?}"));
        let id = answer.accepted.expect("it is accepted").record_id;
        let mut ledger = shared.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger.records.insert(id.clone(), number.to_owned());
        id
    }
}
