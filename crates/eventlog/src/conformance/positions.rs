//! Cases on what readers see, while others write.

use super::bench::{Bench, LOG, decode};
use crate::append::Append;
use crate::append::ExpectedVersion::Any;
use crate::group::GroupOptions;
use crate::shard::Shard;
use crate::store::EventStore;

/// Reads a shard from a position on until it has `size` records, and panics
/// at the first one that is not the next.
async fn tail(store: &dyn EventStore, shard: Shard, from: u64, size: u64) {
    let mut sizes = store.watch(LOG, shard);
    let mut next = from;
    while next < size {
        let seen = *sizes
            .wait_for(|size| *size > next)
            .await
            .expect("the store is open");
        let records = store
            .read(LOG, shard, next, 7)
            .await
            .expect("the store can be read");
        assert!(
            !records.is_empty(),
            "{next} of {seen} cannot be read in shard {shard}"
        );
        assert!(records.len() <= 7);
        for record in records {
            assert_eq!((record.shard, record.position), (shard, next));
            assert_eq!(decode(LOG, &record).position, next);
            next += 1;
        }
    }
}

/// Few records in memory, so that readers change between memory and store.
fn short_tail() -> GroupOptions {
    GroupOptions {
        tail_records_max: 5,
        batch_appends_max: 9,
        ..GroupOptions::default()
    }
}

pub(super) async fn positions_are_contiguous_in_commit_order(mut bench: Bench) {
    const WRITERS: u64 = 8;
    const APPENDS: u64 = 60;
    bench.reopen_with(short_tail()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for shard in bench.shards() {
        let store = bench.store().clone();
        // Each append has two events.
        tasks.spawn(async move { tail(&*store, shard, 0, WRITERS * APPENDS / 4 * 2).await });
    }
    for writer in 0..WRITERS {
        let appends = (0..APPENDS).map(|n| {
            let shard = Shard(u16::try_from(n % 4).expect("below 4"));
            Append {
                shard,
                ..bench.many(&format!("{writer} on {shard}"), Any, 2)
            }
        });
        let appends: Vec<Append> = appends.collect();
        let store = bench.store().clone();
        tasks.spawn(async move {
            for append in appends {
                store
                    .append(vec![append])
                    .await
                    .remove(0)
                    .expect("any version is right");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("no reader finds a gap");
    }
    for head in bench
        .store()
        .heads(LOG)
        .await
        .expect("the store can be read")
    {
        assert_eq!(head.size(), WRITERS * APPENDS / 4 * 2);
    }
}

pub(super) async fn a_reader_starts_anywhere(mut bench: Bench) {
    bench.reopen_with(short_tail()).await;
    let shard = bench.shard("s");
    for _ in 0..20 {
        bench
            .append(bench.one("s", Any))
            .await
            .expect("any version is right");
    }
    for from in 0..20 {
        tail(&**bench.store(), shard, from, 20).await;
    }
    bench.crash().await;
    bench
        .append(bench.one("s", Any))
        .await
        .expect("any version is right");
    for from in 0..21 {
        tail(&**bench.store(), shard, from, 21).await;
    }
    let last = bench
        .store()
        .read(LOG, shard, 20, 7)
        .await
        .expect("the store can be read");
    assert_eq!(last.len(), 1);
    let head = bench
        .store()
        .read(LOG, shard, 21, 7)
        .await
        .expect("the store can be read");
    assert!(head.is_empty());
}

pub(super) async fn watch_sees_every_growth(mut bench: Bench) {
    let shard = bench.shard("s");
    let other = bench
        .shards()
        .find(|other| *other != shard)
        .expect("there are four");
    let size = bench.store().watch(LOG, shard);
    let others = bench.store().watch(LOG, other);
    assert_eq!(*size.borrow(), 0);
    for n in 1..=5 {
        bench
            .append(bench.many("s", Any, 2))
            .await
            .expect("any version is right");
        assert_eq!(*size.borrow(), 2 * n, "what is acknowledged is visible");
        let last = bench.store().read(LOG, shard, 2 * n - 1, 1).await;
        assert_eq!(last.expect("the store can be read").len(), 1);
    }
    assert!(!others.has_changed().expect("the store is open"));
    bench.crash().await;
    let size = bench.store().watch(LOG, shard);
    assert_eq!(
        *size.borrow(),
        10,
        "a store that is opened again starts at its size"
    );
    let mut late = bench.store().watch(LOG, shard);
    let waiting = tokio::spawn(async move { late.wait_for(|size| *size == 11).await.map(|_| ()) });
    bench
        .append(bench.one("s", Any))
        .await
        .expect("any version is right");
    waiting.await.expect("no panic").expect("the store is open");
}
