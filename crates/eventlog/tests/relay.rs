//! What a relay hands over, how much of it at once, and what it does when that
//! is not delivered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tally_eventlog::append::{Append, Checkpoint, CheckpointMove, ExpectedVersion, StreamAppend};
use tally_eventlog::conformance::TestClock;
use tally_eventlog::event::{EventContext, NewEvent, StoredRecord, StreamName};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::pb;
use tally_eventlog::relay::{Delivered, Relay, RelayHandle, RelayOptions, Sent, Transport};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::EventStore as _;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const LOG: LogName = LogName("relayed");
const RELAY: &str = "relay.relayed";
const SHARD: Shard = Shard(0);
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Holds what it is given until the test says what became of it.
#[derive(Default)]
struct Held {
    producer: Mutex<u64>,
    /// Positions of each batch, and how to say what became of it.
    batches: Mutex<VecDeque<(Vec<u64>, oneshot::Sender<Delivered>)>>,
    sent: watch::Sender<usize>,
}

#[async_trait]
impl Transport for Held {
    async fn send(&self, _: Shard, records: &[StoredRecord]) -> Sent {
        let (say, said) = oneshot::channel();
        let positions = records.iter().map(|record| record.position).collect();
        let mut batches = self.batches.lock().expect("not poisoned");
        batches.push_back((positions, say));
        self.sent.send_modify(|sent| *sent += 1);
        Sent {
            producer: *self.producer.lock().expect("not poisoned"),
            delivery: Box::pin(async {
                let lost = |_| Delivered {
                    records: 0,
                    failure: Some("given up".to_owned()),
                };
                said.await.unwrap_or_else(lost)
            }),
        }
    }

    fn discard(&self, producer: u64) {
        let mut current = self.producer.lock().expect("not poisoned");
        if *current == producer {
            *current += 1;
        }
    }
}

impl Held {
    /// Waits until so many batches were handed over since the start.
    async fn has_sent(&self, batches: usize) {
        let mut sent = self.sent.subscribe();
        let waited = tokio::time::timeout(WAIT_MAX, sent.wait_for(|sent| *sent >= batches)).await;
        assert!(waited.is_ok(), "it was handed less");
    }

    /// The oldest batch's positions, and what became of it.
    fn settle(&self, records: Option<usize>) -> Vec<u64> {
        let batch = self.batches.lock().expect("not poisoned").pop_front();
        let (positions, say) = batch.expect("there is one");
        let delivered = Delivered {
            records: records.unwrap_or(positions.len()),
            failure: records.map(|_| "injected".to_owned()),
        };
        // A relay that has begun anew no longer wants to know.
        let _ = say.send(delivered);
        positions
    }

    fn waiting(&self) -> usize {
        self.batches.lock().expect("not poisoned").len()
    }

    fn producer(&self) -> u64 {
        *self.producer.lock().expect("not poisoned")
    }
}

struct Bench {
    store: Arc<MemoryStore>,
    transport: Arc<Held>,
    relay: RelayHandle,
    stop: CancellationToken,
}

fn store() -> Arc<MemoryStore> {
    let shards = ShardCount::new(1).expect("1 is in range");
    let clock = Arc::new(TestClock::default());
    let options = GroupOptions::default();
    Arc::new(MemoryStore::open(&[LOG], shards, clock, options, None))
}

/// A relay of two records a batch, and three batches in flight.
fn start(store: Arc<MemoryStore>) -> Bench {
    start_with(store, RelayOptions::default().bytes_in_flight_max)
}

/// The same with so many bytes in flight.
fn start_with(store: Arc<MemoryStore>, bytes_in_flight_max: usize) -> Bench {
    let transport = Arc::new(Held::default());
    let stop = CancellationToken::new();
    let relay = Relay {
        name: RELAY,
        log: LOG,
        store: store.clone(),
        transport: transport.clone(),
        held: tally_eventlog::lease::Held::all(1),
        options: RelayOptions {
            batch_records_max: 2,
            batches_in_flight_max: 3,
            bytes_in_flight_max,
            gather: Duration::from_millis(1),
            retry_pause: Duration::from_millis(1),
            retry_pause_max: Duration::from_millis(2),
        },
    };
    Bench {
        store,
        transport,
        relay: relay.start(stop.clone()),
        stop,
    }
}

impl Bench {
    async fn reaches(&self, next: u64) {
        let progress = self.relay.progress();
        let reached = progress.wait_for(SHARD, next, WAIT_MAX).await;
        assert!(reached, "it is at {:?}", progress.shard(SHARD));
    }

    async fn end(self) {
        self.stop.cancel();
        self.relay.join().await;
    }
}

async fn checkpoint(store: &MemoryStore) -> Option<Checkpoint> {
    let all = store.checkpoints(RELAY).await;
    all.expect("it can be read").remove(0)
}

async fn put(store: &MemoryStore, events: usize) {
    put_large(store, events, 0).await;
}

/// The same with payloads of so many bytes.
async fn put_large(store: &MemoryStore, events: usize, bytes: usize) {
    let context = EventContext {
        actor: pb::Actor::default(),
        pack_version: String::new(),
        command_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        correlation_id: Uuid::nil(),
        traceparent: String::new(),
    };
    let event = NewEvent {
        event_id: Uuid::nil(),
        event_type: "tally.relayed.v1.Happened",
        subject: String::new(),
        payload: Bytes::from(vec![0; bytes]),
        effective_at: Timestamp::UNIX_EPOCH,
        context: Arc::new(context),
        legal_basis: None,
    };
    let append = Append {
        streams: vec![StreamAppend {
            stream: StreamName::new("case", "a"),
            expected: ExpectedVersion::Any,
            events: vec![event; events],
        }],
        ..Append::to(LOG, SHARD)
    };
    let answer = store.append(vec![append]).await.remove(0);
    answer.expect("it commits");
}

#[tokio::test]
async fn batches_are_in_flight_together_and_no_more_than_allowed() {
    let store = store();
    put(&store, 10).await;
    let bench = start(store);
    bench.transport.has_sent(3).await;
    assert_eq!(bench.transport.waiting(), 3);
    assert_eq!(
        checkpoint(&bench.store).await,
        None,
        "nothing is known delivered"
    );
    assert_eq!(bench.transport.settle(None), [0, 1]);
    bench.reaches(2).await;
    bench.transport.has_sent(4).await;
    assert_eq!(
        bench.transport.waiting(),
        3,
        "one more, for the one delivered"
    );
    assert_eq!(bench.transport.settle(None), [2, 3]);
    bench.reaches(4).await;
    let at = checkpoint(&bench.store).await.expect("it has moved");
    assert_eq!((at.next, at.epoch), (4, 1));
    bench.end().await;
}

#[tokio::test]
async fn large_records_are_in_flight_as_far_as_their_bytes_are_allowed() {
    let store = store();
    put_large(&store, 6, 1_000).await;
    let bench = start_with(store, 1_000);
    for position in 0..6 {
        bench.transport.has_sent(position + 1).await;
        // It begins with as many as it knows nothing of, and hands over what fits.
        assert_eq!(bench.transport.waiting(), 1, "the next waits for this one");
        assert_eq!(bench.transport.settle(None), [position as u64]);
        bench.reaches(position as u64 + 1).await;
    }
    bench.end().await;
}

#[tokio::test]
async fn what_follows_a_failed_record_is_sent_again_by_another_producer() {
    let store = store();
    put(&store, 6).await;
    let bench = start(store);
    bench.transport.has_sent(3).await;
    // The first of the second batch fails; of the third nobody knows yet.
    bench.transport.settle(None);
    bench.transport.settle(Some(1));
    bench.reaches(3).await;
    bench.transport.has_sent(5).await;
    assert_eq!(bench.transport.producer(), 1);
    assert_eq!(
        bench.transport.settle(None),
        [4, 5],
        "which nobody waits for now"
    );
    assert_eq!(bench.transport.settle(None), [3, 4]);
    assert_eq!(bench.transport.settle(None), [5]);
    bench.reaches(6).await;
    bench.end().await;
}

#[tokio::test]
async fn a_paused_relay_hands_nothing_over_and_takes_note_of_what_arrives() {
    let store = store();
    put(&store, 2).await;
    let bench = start(store);
    bench.transport.has_sent(1).await;
    bench.relay.progress().pause();
    put(&bench.store, 2).await;
    bench.transport.settle(None);
    bench.reaches(2).await;
    assert_eq!(bench.transport.waiting(), 0);
    bench.relay.progress().unpause();
    bench.transport.has_sent(2).await;
    assert_eq!(bench.transport.settle(None), [2, 3]);
    bench.reaches(4).await;
    bench.end().await;
}

#[tokio::test]
async fn a_checkpoint_of_another_log_stops_it() {
    let store = store();
    put(&store, 2).await;
    let moves = CheckpointMove {
        consumer: RELAY,
        shard: SHARD,
        from: 0,
        to: Checkpoint {
            next: 1,
            leaf: [7; 32],
            ..Checkpoint::start(1)
        },
    };
    let append = Append {
        checkpoint: Some(moves),
        ..Append::to(LOG, SHARD)
    };
    store
        .append(vec![append])
        .await
        .remove(0)
        .expect("it moves");
    let bench = start(store);
    let mut state = bench.relay.progress().watch(SHARD);
    let stopped = tokio::time::timeout(WAIT_MAX, state.wait_for(|state| state.stopped.is_some()));
    assert!(stopped.await.is_ok(), "it goes on");
    let stopped = state.borrow().stopped.clone().expect("it was seen stopped");
    assert_eq!(stopped.reason, "LOG_DIVERGED");
    assert_eq!(bench.transport.waiting(), 0);
    bench.end().await;
}
