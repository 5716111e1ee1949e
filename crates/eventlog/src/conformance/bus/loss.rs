//! Cases on what the bus has lost, or never had.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;

use super::bench::BusBench;
use crate::conformance::reader::SHARD;
use crate::event::StoredRecord;
use crate::relay::{Sent, Transport};
use crate::shard::Shard;

/// Says of some records that they were delivered, and delivers them not.
struct Lossy {
    bus: Arc<dyn Transport>,
    loses: fn(u64) -> bool,
}

#[async_trait]
impl Transport for Lossy {
    async fn send(&self, shard: Shard, records: &[StoredRecord]) -> Sent {
        let kept = records
            .iter()
            .filter(|record| !(self.loses)(record.position));
        let kept: Vec<StoredRecord> = kept.cloned().collect();
        let Sent { producer, delivery } = self.bus.send(shard, &kept).await;
        let lost = records.len() - kept.len();
        let delivery = Box::pin(async move {
            let mut delivered = delivery.await;
            delivered.records += lost;
            delivered
        });
        Sent { producer, delivery }
    }

    fn discard(&self, producer: u64) {
        self.bus.discard(producer);
    }
}

pub(super) async fn a_gap_is_filled_from_the_owner(bench: &BusBench) {
    if let Some(bus) = bench.bus.transport().await {
        let loses = |position| matches!(position, 0 | 10..15 | 20);
        bench.relay_by(Arc::new(Lossy { bus, loses }), 1).await;
    }
    let process = bench.process().await;
    let reader = process.reader();
    bench.put(0..30).await;
    reader.reaches(30).await;
    process.has_applied(0..30).await;
    if !bench.in_process {
        let gave = bench.owner.gave.load(Ordering::SeqCst);
        assert_eq!(gave, 7, "the owner was asked for what was lost");
    }
    reader.end().await;
}

pub(super) async fn expired_retention_is_filled_from_the_owner(bench: &BusBench) {
    bench.put(0..30).await;
    let early = bench.process().await;
    let reader = early.reader();
    reader.reaches(30).await;
    reader.end().await;
    bench.put(30..40).await;
    bench.relayed(40).await;
    bench.bus.expire(SHARD).await;
    bench.put(40..45).await;
    // One has a hint to what is gone, the other begins before it.
    let again = bench.process_on(early.store.clone(), |_| {}).await;
    for process in [again, bench.process().await] {
        let reader = process.reader();
        reader.reaches(45).await;
        process.has_applied(0..45).await;
        reader.end().await;
    }
}

pub(super) async fn a_topic_made_anew_in_mid_flow(bench: &BusBench) {
    let process = bench.process().await;
    let reader = process.reader();
    bench.put(0..20).await;
    reader.reaches(20).await;
    bench.bus.lose_all().await;
    for from in [20, 30, 40] {
        bench.put(from..from + 10).await;
        reader.reaches(from + 10).await;
    }
    process.has_applied(0..50).await;
    reader.end().await;
    let late = bench.process().await;
    let reader = late.reader();
    reader.reaches(50).await;
    late.has_applied(0..50).await;
    reader.end().await;
}

pub(super) async fn a_topic_lost_in_silence(bench: &BusBench) {
    bench.put(0..20).await;
    let process = bench
        .process_with(|setup| setup.stalled_after = Duration::from_millis(300))
        .await;
    let reader = process.reader();
    reader.reaches(20).await;
    reader.handle().progress().pause();
    bench.put(20..30).await;
    bench.relayed(30).await;
    reader.end().await;
    bench.bus.lose_all().await;
    let process = bench
        .process_on(process.store.clone(), |setup| {
            setup.stalled_after = Duration::from_millis(300);
        })
        .await;
    // Nothing is published that would show the gap.
    let reader = process.reader();
    reader.reaches(30).await;
    process.has_applied(0..30).await;
    bench.put(30..35).await;
    reader.reaches(35).await;
    process.has_applied(0..35).await;
    reader.end().await;
}
