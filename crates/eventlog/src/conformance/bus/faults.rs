//! Cases on relays that fail, and on an owner that is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::bench::{BusBench, reaches};
use crate::conformance::reader::{SHARD, WAIT_MAX};
use crate::event::StoredRecord;
use crate::relay::{Delivered, Sent, Transport};
use crate::shard::Shard;

/// Delivers, and does not say so.
struct Silent {
    bus: Arc<dyn Transport>,
    delivered: watch::Sender<usize>,
}

#[async_trait]
impl Transport for Silent {
    async fn send(&self, shard: Shard, records: &[StoredRecord]) -> Sent {
        let Sent { producer, delivery } = self.bus.send(shard, records).await;
        let delivered = self.delivered.clone();
        let delivery = Box::pin(async move {
            let known = delivery.await;
            delivered.send_modify(|count| *count += known.records);
            std::future::pending().await
        });
        Sent { producer, delivery }
    }

    fn discard(&self, producer: u64) {
        self.bus.discard(producer);
    }
}

pub(super) async fn a_crash_between_delivery_and_checkpoint(bench: &BusBench) {
    let process = bench.process().await;
    let mut reader = process.reader();
    if let Some(bus) = bench.bus.transport().await {
        let delivered = watch::Sender::new(0);
        let mut seen = delivered.subscribe();
        let silent = Arc::new(Silent { bus, delivered });
        bench.relay_by(silent, 1).await;
        bench.put(0..10).await;
        reaches(&mut seen, |count| *count == 10).await;
    } else {
        bench.put(0..10).await;
    }
    reader.reaches(10).await;
    bench.start_relay().await;
    if bench.in_process {
        reader.end().await;
        reader = process.reader();
    }
    bench.relayed(10).await;
    bench.put(10..20).await;
    reader.reaches(20).await;
    process.has_applied(0..20).await;
    reader.end().await;
}

/// Fails in the midst of each third batch; what was handed over after that is
/// not delivered either, until the producer is given up.
struct Failing {
    bus: Arc<dyn Transport>,
    batches: AtomicU32,
    failed: Arc<AtomicBool>,
}

#[async_trait]
impl Transport for Failing {
    async fn send(&self, shard: Shard, records: &[StoredRecord]) -> Sent {
        let batch = self.batches.fetch_add(1, Ordering::SeqCst);
        let passing = match self.failed.load(Ordering::SeqCst) {
            true => 0,
            false if batch % 3 == 2 => records.len() / 2,
            false => records.len(),
        };
        if passing < records.len() {
            self.failed.store(true, Ordering::SeqCst);
        }
        let Sent { producer, delivery } = self.bus.send(shard, &records[..passing]).await;
        let all = passing == records.len();
        let delivery = Box::pin(async move {
            let delivered = delivery.await;
            let failure = (!all).then(|| "injected".to_owned());
            Delivered {
                failure: delivered.failure.or(failure),
                ..delivered
            }
        });
        Sent { producer, delivery }
    }

    fn discard(&self, producer: u64) {
        self.failed.store(false, Ordering::SeqCst);
        self.bus.discard(producer);
    }
}

pub(super) async fn a_failed_delivery_is_sent_again(bench: &BusBench) {
    let process = bench.process().await;
    let reader = process.reader();
    if let Some(bus) = bench.bus.transport().await {
        let failing = Failing {
            bus,
            batches: AtomicU32::new(0),
            failed: Arc::default(),
        };
        bench.relay_by(Arc::new(failing), 1).await;
    }
    for from in [0, 25, 50, 75] {
        bench.put(from..from + 25).await;
    }
    reader.reaches(100).await;
    bench.relayed(100).await;
    process.has_applied(0..100).await;
    reader.end().await;
}

pub(super) async fn a_relay_of_an_older_lease_is_fenced(bench: &BusBench) {
    let process = bench.process().await;
    let reader = process.reader();
    bench.put(0..10).await;
    bench.relayed(10).await;
    if let Some(transport) = bench.bus.transport().await {
        let stop = CancellationToken::new();
        let former = bench.relay(transport.clone(), 2).start(stop.clone());
        former.progress().pause();
        let reached = former.progress().wait_for(SHARD, 10, WAIT_MAX).await;
        assert!(reached, "the former holder has begun");
        bench.relay_by(transport, 3).await;
        bench.put(10..15).await;
        bench.relayed(15).await;
        former.progress().unpause();
        bench.put(15..20).await;
        let mut states = former.progress().watch(SHARD);
        reaches(&mut states, |state| state.stopped.is_some()).await;
        let stopped = states.borrow().stopped.clone();
        assert_eq!(stopped.map(|stopped| stopped.reason), Some("FENCED"));
        stop.cancel();
        former.join().await;
    } else {
        bench.put(10..20).await;
    }
    reader.reaches(20).await;
    process.has_applied(0..20).await;
    reader.end().await;
}

pub(super) async fn an_owner_that_is_away_delays_nothing_that_has_come(bench: &BusBench) {
    let process = bench.process().await;
    let reader = process.reader();
    bench.put(0..10).await;
    reader.reaches(10).await;
    bench.owner.set_away(true);
    bench.put(10..20).await;
    if bench.in_process {
        bench.owner_is_asked().await;
        assert_eq!(reader.state().next, 10, "there is no other way");
        bench.owner.set_away(false);
    }
    reader.reaches(20).await;
    bench.owner.set_away(false);
    process.has_applied(0..20).await;
    reader.end().await;
}
