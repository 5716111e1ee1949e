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

/// Pushes all records, one stream per client, and returns the answers.
pub async fn push(
    clients: &[Client],
    requests: Vec<collection::PushRecordsRequest>,
) -> Vec<collection::PushRecordsResponse> {
    let streams = clients
        .iter()
        .zip(dealt(requests, clients.len()))
        .map(|(client, requests)| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut answers = Vec::with_capacity(requests.len());
                let requests = futures::stream::iter(requests);
                let stream = client.collection().push_records(requests).await;
                let mut stream = stream.expect("the stream opens").into_inner();
                while let Some(answer) = stream.message().await.expect("the stream goes on") {
                    answers.push(answer);
                }
                answers
            })
        });
    gathered(join_all(streams).await)
}

/// Asks all questions on streams, one per client, and returns the answers.
pub async fn check_many(
    clients: &[Client],
    requests: Vec<sanctions::CheckManyRequest>,
) -> Vec<sanctions::CheckManyResponse> {
    let streams = clients
        .iter()
        .zip(dealt(requests, clients.len()))
        .map(|(client, requests)| {
            let client = client.clone();
            tokio::spawn(async move {
                let mut answers = Vec::with_capacity(requests.len());
                let requests = futures::stream::iter(requests);
                let stream = client.sanctions().check_many(requests).await;
                let mut stream = stream.expect("the stream opens").into_inner();
                while let Some(answer) = stream.message().await.expect("the stream goes on") {
                    answers.push(answer);
                }
                answers
            })
        });
    gathered(join_all(streams).await)
}

/// Asks all questions one by one, and returns the answers and how long each took.
pub async fn check(
    clients: &[Client],
    requests: Vec<sanctions::CheckRequest>,
) -> Vec<(sanctions::CheckResponse, Duration)> {
    let callers = dealt(requests, clients.len() * IN_FLIGHT_PER_CLIENT)
        .into_iter()
        .enumerate();
    let callers = callers.map(|(n, requests)| {
        let mut client = clients[n % clients.len()].sanctions();
        tokio::spawn(async move {
            let mut answers = Vec::with_capacity(requests.len());
            for request in requests {
                let asked = Instant::now();
                let answer = client.check(request).await.expect("the check is answered");
                answers.push((answer.into_inner(), asked.elapsed()));
            }
            answers
        })
    });
    gathered(join_all(callers).await)
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

fn gathered<T>(parts: Vec<Result<Vec<T>, tokio::task::JoinError>>) -> Vec<T> {
    parts
        .into_iter()
        .flat_map(|part| part.expect("a client does not panic"))
        .collect()
}
