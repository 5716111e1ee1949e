//! The clients that load the mesh until it is killed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use super::cases::{Dates, Listing};
use super::desk::Desk;
use super::request::{Reply, Request, Who, check, penalty};
use super::round::{Counted, Round, sizes};

/// Records on a push stream without an answer.
const WINDOW: usize = 128;

/// Clients that push one record after the other.
const UNARY_PUSHERS: usize = 6;

/// Clients that check one subject after the other.
const CHECKERS: usize = 6;

/// Listings begun in each life of the process.
const LISTINGS: usize = 3;

/// Organisations that the load is about, besides those listed.
const ORGANISATIONS: usize = 200;

/// The load, over every life of the process.
pub struct Load {
    dates: Dates,
    numbers: AtomicUsize,
    listings: Mutex<Vec<Listing>>,
    listed: AtomicUsize,
    /// The responding departments.
    pub desks: [Arc<Desk>; 2],
}

impl Load {
    /// Nothing sent yet.
    pub fn new(dates: Dates) -> Self {
        let desks = [
            Arc::new(Desk::new(Who::TaxSystem, Who::TaxOfficer, &dates)),
            Arc::new(Desk::new(
                Who::ResourcesSystem,
                Who::ResourcesOfficer,
                &dates,
            )),
        ];
        Self {
            dates,
            numbers: AtomicUsize::new(0),
            listings: Mutex::default(),
            listed: AtomicUsize::new(0),
            desks,
        }
    }

    /// Loads the mesh until it is killed.
    pub async fn run(self: &Arc<Self>, round: &Arc<Round>) {
        let mut clients = JoinSet::new();
        for who in [Who::MarketSystem, Who::TaxSystem] {
            clients.spawn(self.clone().push_stream(round.clone(), who));
        }
        for _ in 0..UNARY_PUSHERS {
            clients.spawn(
                self.clone()
                    .repeat(round.clone(), |load| load.record(Who::MarketSystem)),
            );
        }
        for _ in 0..CHECKERS {
            clients.spawn(self.clone().repeat(round.clone(), Load::question));
        }
        for desk in &self.desks {
            let (desk, round) = (desk.clone(), round.clone());
            clients.spawn(async move { desk.work(round).await });
        }
        self.clone().list(round.clone()).await;
        while let Some(ended) = clients.join_next().await {
            ended.expect("no command is refused");
        }
    }

    /// Pushes records whose answers nobody reads, until most are committed;
    /// then kills the process: it dies between commit and reply.
    pub async fn run_unread(self: &Arc<Self>, round: &Arc<Round>, records: usize) {
        let (sender, receiver) = mpsc::channel(records);
        for _ in 0..records {
            let (_, request) = self.written(round, Who::MarketSystem);
            sender
                .send(request)
                .await
                .expect("the channel has room for all");
        }
        let mut client = round.client(Who::MarketSystem).collection();
        let before = collected(round).await;
        let answers = client
            .push_records(ReceiverStream::new(receiver))
            .await
            .expect("the stream opens");
        let most = before + records.div_ceil(2) as u64;
        let committed = async { while collected(round).await < most {} };
        tokio::time::timeout(Duration::from_secs(60), committed)
            .await
            .expect("most are committed within a minute");
        round.trigger.fire();
        drop((answers, sender));
    }

    async fn push_stream(self: Arc<Self>, round: Arc<Round>, who: Who) {
        let (sender, receiver) = mpsc::channel(WINDOW);
        let waiting: Arc<Mutex<VecDeque<Uuid>>> = Arc::default();
        let window = Arc::new(Semaphore::new(WINDOW));
        let mut client = round.client(who).collection();
        let answering = client.push_records(ReceiverStream::new(receiver));
        let sending = {
            let (load, round, waiting, window) =
                (self.clone(), round.clone(), waiting.clone(), window.clone());
            tokio::spawn(async move {
                while !round.trigger.fired() {
                    let Ok(place) = window.acquire().await else {
                        return;
                    };
                    place.forget();
                    let (id, request) = load.written(&round, who);
                    waiting
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push_back(id);
                    round.trigger.count(Counted::Sent);
                    if sender.send(request).await.is_err() {
                        return;
                    }
                }
            })
        };
        match answering.await {
            Ok(answers) => {
                let mut answers = answers.into_inner();
                loop {
                    match answers.message().await {
                        Ok(Some(answer)) => {
                            let first = waiting
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .pop_front();
                            let id = first.expect("an answer is to something sent");
                            assert_eq!(answer.command_id, id.to_string(), "answers are in order");
                            let Some(Outcome::Accepted(accepted)) = answer.outcome else {
                                panic!("refused: {answer:?}");
                            };
                            round.acknowledged(id, Reply::of_record(accepted));
                            window.add_permits(1);
                        }
                        Ok(None) => {
                            break assert!(
                                round.trigger.fired(),
                                "the answers ended before the kill"
                            );
                        }
                        Err(status) => break assert!(round.lost(&status), "{status:?}"),
                    }
                }
            }
            Err(status) => assert!(round.lost(&status), "{status:?}"),
        }
        window.close();
        sending.await.expect("the sender ends");
    }

    /// One command after the other.
    async fn repeat(self: Arc<Self>, round: Arc<Round>, next: impl Fn(&Load) -> (Who, Request)) {
        while !round.trigger.fired() {
            let (who, request) = next(&self);
            let id = round.ledger.write(who, request);
            if round.perform(id).await.is_none() {
                return;
            }
        }
    }

    /// Goes on with the listings that are open, and begins new ones.
    async fn list(self: Arc<Self>, round: Arc<Round>) {
        let mut open =
            std::mem::take(&mut *self.listings.lock().unwrap_or_else(PoisonError::into_inner));
        open.extend(
            (0..LISTINGS)
                .map(|_| Listing::new(self.listed.fetch_add(1, Ordering::Relaxed), &self.dates)),
        );
        let mut running = JoinSet::new();
        for listing in open {
            running.spawn(listing.run(round.clone()));
        }
        while let Some(listing) = running.join_next().await {
            let listing = listing.expect("no listing is refused");
            if !listing.done() {
                self.listings
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(listing);
            }
        }
    }

    fn record(&self, who: Who) -> (Who, Request) {
        let n = self.numbers.fetch_add(1, Ordering::Relaxed);
        let subject = format!("name-region:ORGANISATION {}|US", n % ORGANISATIONS);
        (
            who,
            penalty(&subject, &format!("penalty {n}"), &self.dates.past),
        )
    }

    /// A new record, written down, as a message of a push stream.
    fn written(&self, round: &Round, who: Who) -> (Uuid, collection::PushRecordsRequest) {
        let (who, request) = self.record(who);
        let Request::Push(push) = request.clone() else {
            unreachable!("a record is pushed")
        };
        let id = round.ledger.write(who, request);
        (
            id,
            collection::PushRecordsRequest {
                command_id: push.command_id,
                record: push.record,
                ..Default::default()
            },
        )
    }

    fn question(&self) -> (Who, Request) {
        let n = self.numbers.fetch_add(1, Ordering::Relaxed);
        // Half about whom nothing is known, half about whom something may be.
        let listed = self.listed.load(Ordering::Relaxed).max(1);
        let subject = match n % 2 {
            0 => format!("name-region:ORGANISATION {}|US", n % ORGANISATIONS),
            _ => format!("name-region:LISTED {}|US", n % listed),
        };
        (Who::TaxSystem, check(&subject, &format!("case {n}")))
    }
}

/// Records that collection holds.
async fn collected(round: &Round) -> u64 {
    let sizes = sizes(&round.operator)
        .await
        .expect("the mesh lives until it is killed");
    sizes
        .iter()
        .filter(|((log, _), _)| log == "collection")
        .map(|(_, size)| size)
        .sum()
}
