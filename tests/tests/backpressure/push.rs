//! Callers of a stream that send and do not read, or read and are slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prost::Message as _;
use tally::client::{Client, command_id};
use tally::role::Role;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tally_tests::harness::*;
use tally_tests::memory::Watch;
use tally_tests::organisations::subjects;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use crate::{SETTLES, START, large, mebibytes};

/// Records that the caller would like to send.
const OFFERED: usize = 30_000;

/// A caller from whom nothing is taken for so long is held back.
const HELD_BACK: Duration = Duration::from_secs(3);

/// Streams that nobody reads, on so many connections.
const STREAMS: usize = 32;
const CONNECTIONS: usize = 8;

/// What a connection of ours takes in before somebody reads it.
const WINDOW: u64 = 4 << 20;

/// How long a reader may wait for what is there.
const COMES: Duration = Duration::from_secs(120);

async fn follow(client: &Client) -> Streaming<collection::FollowPublicationsResponse> {
    let request = collection::FollowPublicationsRequest::default();
    let opened = client.collection().follow_publications(request).await;
    opened.expect("it follows").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_reads_no_receipts_is_held_back_and_followers_cost_little_memory() {
    let _alone = tally_tests::outage::alone().await;
    let mut mesh = Harness::in_processes(START).await;
    let system = mesh.system(MARKET).await;
    push(&system, large(COMPANY, "the first")).await;
    mesh.settle_within(SETTLES).await;
    let dir = mesh.dir.path().to_owned();

    // It sends, and reads no receipt.
    let watch = Watch::start(mesh.processes());
    let taken = Arc::new(AtomicU64::new(0));
    let (sender, receiver) = mpsc::channel(1);
    let sent = taken.clone();
    let sending = tokio::spawn(async move {
        let subjects = subjects(64);
        for n in 0..OFFERED {
            let request = collection::PushRecordsRequest {
                command_id: command_id(),
                record: Some(large(&subjects[n % 64], &format!("offered {n}"))),
                ..Default::default()
            };
            let bytes = request.encoded_len() as u64;
            if sender.send(request).await.is_err() {
                return n;
            }
            sent.fetch_add(bytes, Ordering::SeqCst);
        }
        OFFERED
    });
    let mut caller = system.collection();
    let answers = caller.push_records(ReceiverStream::new(receiver)).await;
    let mut answers = answers.expect("a stream").into_inner();
    let mut looks_alike = 0;
    while looks_alike < 3 {
        let before = taken.load(Ordering::SeqCst);
        // Only time tells that nothing more is taken.
        tokio::time::sleep(HELD_BACK).await;
        assert!(!sending.is_finished(), "it is never held back");
        let alike = taken.load(Ordering::SeqCst) == before;
        looks_alike = if alike { looks_alike + 1 } else { 0 };
    }
    let (growth, taken) = (watch.growth(Role::Collection), taken.load(Ordering::SeqCst));
    watch.report("a caller reads no receipts");
    println!(
        "held back after {:.0} MiB; collection grew by {:.0} MiB",
        mebibytes(taken),
        mebibytes(growth)
    );
    assert!(growth < taken / 2, "what is not answered is held in memory");
    drop(watch);

    // It reads on, and all that was sent is answered.
    sending.abort();
    let mut accepted = 0_u64;
    while let Some(answer) = answers.message().await.expect("the stream goes on") {
        assert!(
            matches!(answer.outcome, Some(Outcome::Accepted(_))),
            "{answer:?}"
        );
        accepted += 1;
    }
    println!("{accepted} records were sent and answered");
    mesh.settle_within(SETTLES).await;

    // Others follow what is published of them, and do not read.
    let watch = Watch::start(mesh.processes());
    let mut unread = Vec::new();
    for _ in 0..CONNECTIONS {
        let client = Client::of_dir(&dir, &format!("system-{MARKET}")).await;
        let client = client.expect("the mesh answers");
        for _ in 0..STREAMS / CONNECTIONS {
            unread.push(follow(&client).await);
        }
    }
    // Nobody else is held up: one that reads gets everything.
    let reader = mesh.system(TAX).await;
    let (count, bytes) = read_all(follow(&reader).await, accepted + 1).await;
    assert_eq!(count, accepted + 1, "each is published once");
    let growth = watch.growth(Role::Collection);
    watch.report("followers do not read");
    let withheld = STREAMS as u64 * bytes - CONNECTIONS as u64 * WINDOW;
    println!(
        "{STREAMS} streams of {:.0} MiB, {:.0} MiB withheld; collection grew by {:.0} MiB",
        mebibytes(bytes),
        mebibytes(withheld),
        mebibytes(growth)
    );
    assert!(growth < withheld / 2, "what nobody reads is held in memory");
    let late = unread.swap_remove(0);
    drop(unread);
    assert_eq!(
        read_all(late, count).await,
        (count, bytes),
        "who reads on gets all"
    );
    mesh.stop().await;
}

/// Reads so many items, and says how many bytes they have.
async fn read_all(
    mut items: Streaming<collection::FollowPublicationsResponse>,
    wanted: u64,
) -> (u64, u64) {
    let (mut count, mut bytes) = (0, 0);
    while count < wanted {
        let next = tokio::time::timeout(COMES, items.message()).await;
        let next = next.expect("it comes").expect("the stream goes on");
        let next = next.expect("there is more");
        if next.record.is_some() {
            count += 1;
            bytes += next.encoded_len() as u64;
        }
    }
    (count, bytes)
}
