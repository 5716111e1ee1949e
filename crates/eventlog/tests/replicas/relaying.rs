//! A relay whose shards move.

use std::sync::Arc;

use async_trait::async_trait;
use tally_eventlog::event::StoredRecord;
use tally_eventlog::lease::Keeper;
use tally_eventlog::relay::{Delivered, Relay, RelayHandle, RelayOptions, Sent, Transport};
use tally_eventlog::shard::Shard;
use tally_eventlog::store::LogSource as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::bench::{LOG, Place, TERM, bounded};

const RELAY: &str = "relay.shared";

/// Delivers so many batches, and says nothing of those after them.
struct Delivering {
    batches: u64,
    handed: watch::Sender<Vec<u64>>,
}

#[async_trait]
impl Transport for Delivering {
    async fn send(&self, _: Shard, records: &[StoredRecord]) -> Sent {
        let count = records.len();
        let positions = records.iter().map(|record| record.position);
        let unknown = records[0].position / BATCH as u64 >= self.batches;
        self.handed.send_modify(|handed| handed.extend(positions));
        Sent {
            producer: 0,
            delivery: Box::pin(async move {
                if unknown {
                    std::future::pending::<()>().await;
                }
                Delivered {
                    records: count,
                    failure: None,
                }
            }),
        }
    }

    fn discard(&self, _: u64) {}
}

/// Records per batch.
const BATCH: usize = 3;

fn start(place: &Place, batches: u64) -> (Arc<Delivering>, RelayHandle, CancellationToken, Keeper) {
    let transport = Arc::new(Delivering {
        batches,
        handed: watch::Sender::new(Vec::new()),
    });
    let mut keeper = place.keeper();
    let relay = Relay {
        name: RELAY,
        log: LOG,
        store: place.store.clone(),
        transport: transport.clone(),
        held: keeper.join(RELAY, place.store.shards()),
        options: RelayOptions {
            batch_records_max: BATCH,
            batches_in_flight_max: 2,
            ..RelayOptions::default()
        },
    };
    let stop = CancellationToken::new();
    (transport, relay.start(stop.clone()), stop, keeper)
}

/// Another process relays from the checkpoint on: some come again, none is missing.
#[tokio::test]
async fn a_relay_moves_and_skips_nothing() {
    let place = Place::new();
    let shard = Shard(0);
    for n in 0..9 {
        place.put(shard, "s", &n.to_string()).await;
    }
    // It dies while more has been handed over than is known delivered.
    let (first, relay, stop, mut keeper) = start(&place, 1);
    keeper.turn(place.now()).await.expect("the store answers");
    let mut handed = first.handed.subscribe();
    let all = bounded(handed.wait_for(|handed| handed.len() == 9)).await;
    assert_eq!(*all.expect("it is here"), (0..9).collect::<Vec<u64>>());
    let far = bounded(relay.progress().wait_for(shard, 3, TERM)).await;
    assert!(far, "what was delivered is written down");
    stop.cancel();
    relay.join().await;
    let (second, relay, _stop, mut keeper) = start(&place, u64::MAX);
    keeper.turn(place.now()).await.expect("the store answers");
    assert_eq!(keeper.held(), [], "the term is not over");
    place.pass(TERM);
    keeper.turn(place.now()).await.expect("the store answers");
    let far = bounded(relay.progress().wait_for(shard, 9, TERM)).await;
    assert!(far, "it goes on");
    let handed = second.handed.borrow().clone();
    assert_eq!(handed, (3..9).collect::<Vec<u64>>());
}
