//! The clients: the same for ours and for bare.

use std::time::{Duration, Instant};

use futures::future::join_all;
use tally::client::Client;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_rpc::ClientTls;

/// Unary calls that each connection has open at a time.
const IN_FLIGHT_PER_CLIENT: usize = 16;

/// Connections of their own under one certificate.
pub async fn connect(endpoint: &str, tls: &ClientTls, count: usize) -> Vec<Client> {
    let clients = join_all((0..count).map(|_| Client::connect(endpoint, tls))).await;
    clients
        .into_iter()
        .map(|client| client.expect("the server listens"))
        .collect()
}

/// Kinds of answers: what was asked for, a check that found something, all else.
pub const KINDS: usize = 3;
/// A receipt, or a check that found nothing.
pub const PLAIN: usize = 0;
/// A check that found something.
pub const IN_FORCE: usize = 1;
/// A refusal, or a check that could not be answered.
pub const OTHER: usize = 2;

/// What a load keeps of its answers: not all of them, since memory that only
/// ever grows costs the first of two runs more than the second.
pub struct Kept<R> {
    /// Answers by kind.
    pub counts: [usize; KINDS],
    /// The first of each kind.
    pub samples: [Option<R>; KINDS],
    /// How long each call took, where calls were single.
    pub latencies: Vec<Duration>,
}

impl<R> Kept<R> {
    fn new() -> Self {
        Self {
            counts: [0; KINDS],
            samples: [const { None }; KINDS],
            latencies: Vec::new(),
        }
    }

    fn take(&mut self, kind: usize, answer: R) {
        self.counts[kind] += 1;
        self.samples[kind].get_or_insert(answer);
    }

    fn merge(mut self, other: Self) -> Self {
        for (kind, sample) in other.samples.into_iter().enumerate() {
            self.counts[kind] += other.counts[kind];
            self.samples[kind] = self.samples[kind].take().or(sample);
        }
        self.latencies.extend(other.latencies);
        self
    }
}

/// Pushes all records, one stream per client.
pub async fn push(
    clients: &[Client],
    requests: Vec<collection::PushRecordsRequest>,
) -> Kept<collection::PushRecordsResponse> {
    use collection::push_records_response::Outcome;
    let streams = clients
        .iter()
        .zip(dealt(requests, clients.len()))
        .map(|(client, requests)| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut kept = Kept::new();
                let requests = futures::stream::iter(requests);
                let stream = client.collection().push_records(requests).await;
                let mut stream = stream.expect("the stream opens").into_inner();
                while let Some(answer) = stream.message().await.expect("the stream goes on") {
                    let accepted = matches!(answer.outcome, Some(Outcome::Accepted(_)));
                    kept.take(if accepted { PLAIN } else { OTHER }, answer);
                }
                kept
            })
        });
    gathered(join_all(streams).await)
}

/// Asks all questions on streams, one per client.
pub async fn check_many(
    clients: &[Client],
    requests: Vec<sanctions::CheckManyRequest>,
) -> Kept<sanctions::CheckResponse> {
    use sanctions::check_many_response::Outcome;
    let streams = clients
        .iter()
        .zip(dealt(requests, clients.len()))
        .map(|(client, requests)| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut kept = Kept::new();
                let requests = futures::stream::iter(requests);
                let stream = client.sanctions().check_many(requests).await;
                let mut stream = stream.expect("the stream opens").into_inner();
                while let Some(answer) = stream.message().await.expect("the stream goes on") {
                    let Some(Outcome::Answer(answer)) = answer.outcome else {
                        panic!("every check is answered");
                    };
                    kept.take(kind_of(&answer), answer);
                }
                kept
            })
        });
    gathered(join_all(streams).await)
}

/// Asks all questions one by one.
pub async fn check(
    clients: &[Client],
    requests: Vec<sanctions::CheckRequest>,
) -> Kept<sanctions::CheckResponse> {
    let callers = dealt(requests, clients.len() * IN_FLIGHT_PER_CLIENT)
        .into_iter()
        .enumerate();
    let callers = callers.map(|(n, requests)| {
        let mut client = clients[n % clients.len()].sanctions();
        tokio::spawn(async move {
            let mut kept = Kept::new();
            for request in requests {
                let asked = Instant::now();
                let answer = client.check(request).await.expect("the check is answered");
                kept.latencies.push(asked.elapsed());
                let answer = answer.into_inner();
                kept.take(kind_of(&answer), answer);
            }
            kept
        })
    });
    gathered(join_all(callers).await)
}

fn kind_of(answer: &sanctions::CheckResponse) -> usize {
    match answer.outcome() {
        sanctions::CheckOutcome::Clear => PLAIN,
        sanctions::CheckOutcome::InForce => IN_FORCE,
        _ => OTHER,
    }
}

/// Deals `items` out in turn.
fn dealt<T>(items: Vec<T>, hands: usize) -> Vec<Vec<T>> {
    let mut dealt: Vec<Vec<T>> = (0..hands)
        .map(|_| Vec::with_capacity(items.len() / hands + 1))
        .collect();
    for (n, item) in items.into_iter().enumerate() {
        dealt[n % hands].push(item);
    }
    dealt
}

fn gathered<R>(parts: Vec<Result<Kept<R>, tokio::task::JoinError>>) -> Kept<R> {
    parts
        .into_iter()
        .map(|part| part.expect("a client does not panic"))
        .fold(Kept::new(), Kept::merge)
}
