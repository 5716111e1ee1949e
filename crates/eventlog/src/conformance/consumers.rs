//! Cases on consumers: crashes, repeats, gaps and other logs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::SignedDuration;
use tokio::sync::watch;

use super::bench::{Bench, LOG, OTHER};
use super::reader::{Effects, FAN_OUT, SHARD, Start, about, notes, options, put};
use crate::clock::Clock as _;
use crate::consumer::ConsumerOptions;
use crate::event::StoredRecord;
use crate::group::GroupOptions;
use crate::memory::MemoryStore;
use crate::sequence::Head;
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::{EventStore, FormerId, LogSource, StoreError};

pub(super) async fn crash_between_view_and_checkpoint(mut bench: Bench) {
    const ROUNDS: u64 = 10;
    let mut expected = String::new();
    for round in 0..ROUNDS {
        let texts: Vec<String> = (0..6).map(|n| format!("{round}.{n}")).collect();
        put(&bench, texts.iter().map(|text| about("a", text))).await;
        expected.extend(texts.iter().map(|text| format!("{text};")));
        let options = ConsumerOptions {
            batch_records_max: 2,
            ..options()
        };
        let reader = Start {
            options,
            ..Start::on(&bench)
        }
        .reader(&bench);
        // A crash after one, two or no commits of this round, in the midst of the next.
        reader.reaches(round * 6 + 2 * (round % 3)).await;
        reader.end().await;
        bench.crash().await;
    }
    let reader = Start::on(&bench).reader(&bench);
    reader.reaches(6 * ROUNDS).await;
    assert_eq!(
        notes(&bench, "a").await,
        expected,
        "each event was applied exactly once"
    );
    let checkpoint = bench.checkpoint(SHARD).await.expect("it has read");
    let last = bench
        .records(LOG, SHARD)
        .await
        .pop()
        .expect("there are records");
    assert_eq!((checkpoint.next, checkpoint.leaf), (6 * ROUNDS, last.leaf));
    reader.end().await;
}

/// Payloads of all effects, sorted.
async fn effects(bench: &Bench) -> Vec<String> {
    let mut effects = Vec::new();
    for shard in bench.shards() {
        effects.extend(bench.payloads(OTHER, shard).await);
    }
    effects.sort();
    effects
}

pub(super) async fn crash_between_two_appends_of_a_fan_out(mut bench: Bench) {
    for applied in 0..=FAN_OUT {
        put(&bench, [about("a", "cause")]).await;
        let position = u64::from(applied);
        let process = Effects::hanging_after(bench.store(), applied);
        let start = Start {
            process: Some(process.clone()),
            ..Start::on(&bench)
        };
        let reader = start.reader(&bench);
        let mut reached = process.applied.subscribe();
        reached
            .wait_for(|n| *n == applied)
            .await
            .expect("the process manager is here");
        assert_eq!(
            bench.checkpoint(SHARD).await.map_or(0, |at| at.next),
            position
        );
        reader.end().await;
        drop(process);
        bench.crash().await;

        let process = Effects::all(bench.store());
        let start = Start {
            process: Some(process.clone()),
            ..Start::on(&bench)
        };
        let reader = start.reader(&bench);
        reader.reaches(position + 1).await;
        reader.end().await;
        let expected: Vec<String> = (0..=position)
            .flat_map(|position| (0..FAN_OUT).map(move |_| format!("{SHARD}/{position}")))
            .collect();
        assert_eq!(
            effects(&bench).await,
            expected,
            "after {applied} of {FAN_OUT}"
        );
    }
}

pub(super) async fn redelivery_is_a_duplicate(bench: Bench) {
    put(&bench, [about("a", "1"), about("b", "2")]).await;
    let first = Effects::hanging_after(bench.store(), 2 * FAN_OUT);
    let start = Start {
        process: Some(first.clone()),
        ..Start::on(&bench)
    };
    let reader = start.reader(&bench);
    let mut applied = first.applied.subscribe();
    applied
        .wait_for(|n| *n == 2 * FAN_OUT)
        .await
        .expect("the process manager is here");
    let before = effects(&bench).await;
    assert_eq!(before.len() as u32, 2 * FAN_OUT);
    // Both had all their effects; neither has a checkpoint.
    reader.end().await;
    let second = Effects::all(bench.store());
    let reader = Start {
        process: Some(second.clone()),
        ..Start::on(&bench)
    }
    .reader(&bench);
    reader.reaches(2).await;
    assert_eq!(
        second.calls.load(Ordering::SeqCst),
        2,
        "both are delivered again"
    );
    assert_eq!(effects(&bench).await, before, "and have no second effect");
    assert_eq!(notes(&bench, "a").await, "1;");
    reader.end().await;
    // With the checkpoint, nothing is delivered again.
    let third = Effects::all(bench.store());
    let reader = Start {
        process: Some(third.clone()),
        ..Start::on(&bench)
    }
    .reader(&bench);
    reader.until(|state| state.seen_at.is_some()).await;
    assert_eq!(third.calls.load(Ordering::SeqCst), 0);
    reader.end().await;
}

/// A log that lacks one record.
struct WithGap {
    log: Arc<dyn EventStore>,
    lacks: u64,
}

#[async_trait]
impl LogSource for WithGap {
    fn shards(&self) -> ShardCount {
        self.log.shards()
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let mut records = self.log.read(log, shard, from, limit).await?;
        records.retain(|record| record.position != self.lacks);
        Ok(records)
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        self.log.heads(log).await
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        self.log.former_ids(log).await
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.log.watch(log, shard)
    }
}

pub(super) async fn gap_is_noticed(bench: Bench) {
    put(&bench, ["1", "2", "3", "4"].map(|text| about("a", text))).await;
    let source = Arc::new(WithGap {
        log: bench.store().clone(),
        lacks: 2,
    });
    let reader = Start {
        source,
        ..Start::on(&bench)
    }
    .reader(&bench);
    assert_eq!(reader.stops().await, "GAP");
    assert_eq!(reader.state().next, 2);
    assert_eq!(
        notes(&bench, "a").await,
        "1;2;",
        "what is before the gap is applied"
    );
    assert_eq!(reader.state().seen_at, None, "it has not seen all");
    reader.end().await;
    let reader = Start::on(&bench).reader(&bench);
    reader.reaches(4).await;
    assert_eq!(notes(&bench, "a").await, "1;2;3;4;");
    reader.end().await;
}

/// A store of its own with so many records in the shard.
async fn another_log(bench: &Bench, records: usize) -> Arc<MemoryStore> {
    let shards = bench.store().shards();
    let clock = bench.clock.clone();
    let store = MemoryStore::open(&[LOG], shards, clock, GroupOptions::default(), None);
    for n in 0..records {
        let append = crate::append::Append {
            shard: SHARD,
            ..bench.one(&n.to_string(), crate::append::ExpectedVersion::Any)
        };
        store
            .append(vec![append])
            .await
            .remove(0)
            .expect("any version is right");
    }
    Arc::new(store)
}

pub(super) async fn a_log_of_another_store_is_read(bench: Bench) {
    const ELSEWHERE: LogName = LogName("conformance-elsewhere");
    let (shards, clock) = (bench.store().shards(), bench.clock.clone());
    let owner = MemoryStore::open(&[ELSEWHERE], shards, clock, GroupOptions::default(), None);
    let append = crate::append::Append {
        log: ELSEWHERE,
        shard: SHARD,
        ..bench.one("a", crate::append::ExpectedVersion::Any)
    };
    let appended = owner.append(vec![append]).await.remove(0);
    appended.expect("it is the owner's log");
    let reader = Start {
        log: ELSEWHERE,
        source: Arc::new(owner),
        ..Start::on(&bench)
    }
    .reader(&bench);
    reader.reaches(1).await;
    assert_eq!(bench.checkpoint(SHARD).await.map(|at| at.next), Some(1));
    assert_eq!(bench.total(LOG).await, 0, "nothing is recorded here");
    reader.end().await;
}

pub(super) async fn diverged_log_stops_the_reader(bench: Bench) {
    let original = another_log(&bench, 3).await;
    let reader = Start {
        source: original.clone(),
        ..Start::on(&bench)
    }
    .reader(&bench);
    reader.reaches(3).await;
    reader.end().await;
    let before = bench.checkpoint(SHARD).await;
    // A restored backup has lost records; then others took their positions.
    for records in [0, 2, 3, 5] {
        let source = another_log(&bench, records).await;
        let reader = Start {
            source,
            ..Start::on(&bench)
        }
        .reader(&bench);
        assert_eq!(reader.stops().await, "LOG_DIVERGED", "{records} records");
        reader.end().await;
        assert_eq!(bench.checkpoint(SHARD).await, before);
    }
    // Also under the same id: the log no longer has what had been read.
    let source = Arc::new(WithGap {
        log: original.clone(),
        lacks: 2,
    });
    let reader = Start {
        source,
        ..Start::on(&bench)
    }
    .reader(&bench);
    assert_eq!(reader.stops().await, "LOG_DIVERGED");
    reader.end().await;
    let reader = Start {
        source: original,
        ..Start::on(&bench)
    }
    .reader(&bench);
    reader.until(|state| state.seen_at.is_some()).await;
    assert_eq!(reader.state().next, 3);
    reader.end().await;
}

pub(super) async fn older_lease_is_fenced(bench: Bench) {
    put(&bench, [about("a", "1")]).await;
    let former = Start {
        epoch: 1,
        ..Start::on(&bench)
    }
    .reader(&bench);
    former.reaches(1).await;
    // The former holder is held where it is, as by a long pause of its process.
    former.handle().progress().pause();
    let holder = Start {
        epoch: 2,
        ..Start::on(&bench)
    }
    .reader(&bench);
    put(&bench, [about("a", "2")]).await;
    holder.reaches(2).await;
    put(&bench, [about("a", "3")]).await;
    holder.reaches(3).await;
    former.handle().progress().unpause();
    assert_eq!(former.stops().await, "FENCED");
    assert_eq!(notes(&bench, "a").await, "1;2;3;");
    assert_eq!(
        bench.checkpoint(SHARD).await.map(|at| (at.next, at.epoch)),
        Some((3, 2))
    );
    former.end().await;
    holder.end().await;
}

pub(super) async fn unknown_event_type_stops_the_shard(bench: Bench) {
    let newer = crate::event::NewEvent {
        event_type: "tally.conformance.v2.Unheard",
        ..about("a", "newer")
    };
    put(&bench, [about("a", "1"), newer, about("b", "2")]).await;
    let reader = Start::on(&bench).reader(&bench);
    assert_eq!(reader.stops().await, "UNKNOWN_EVENT_TYPE");
    assert_eq!(
        reader.state().next,
        1,
        "it is neither passed over nor parked"
    );
    assert!(reader.parked().is_empty());
    assert_eq!(notes(&bench, "a").await, "1;");
    assert_eq!(bench.checkpoint(SHARD).await.map(|at| at.next), Some(1));
    reader.end().await;
}

pub(super) async fn idle_checkpoint_moves_seen_at(bench: Bench) {
    put(&bench, [about("a", "1")]).await;
    let idle_checkpoint = Some(Duration::from_millis(1));
    let options = ConsumerOptions {
        idle_checkpoint,
        ..options()
    };
    let reader = Start {
        options,
        ..Start::on(&bench)
    }
    .reader(&bench);
    reader.reaches(1).await;
    let later = bench.clock.wall() + SignedDuration::from_hours(1);
    bench.clock.set(later);
    reader
        .until(|state| state.seen_at.is_some_and(|seen_at| seen_at >= later))
        .await;
    let stored = bench.checkpoint(SHARD).await.expect("it has read");
    assert!(stored.seen_at >= later, "it is written down");
    assert_eq!(stored.next, 1);
    assert_eq!(bench.total(LOG).await, 1, "and makes no event");
    reader.end().await;
}

pub(super) async fn what_comes_while_it_gathers_waits(bench: Bench) {
    const GATHER: Duration = Duration::from_millis(100);
    put(&bench, [about("a", "1")]).await;
    let options = ConsumerOptions {
        gather: Some(GATHER),
        ..options()
    };
    let began = Instant::now();
    let reader = Start {
        options,
        ..Start::on(&bench)
    }
    .reader(&bench);
    reader.reaches(1).await;
    // What was there at the start is applied at once; the rest has to wait.
    put(&bench, [about("a", "2")]).await;
    put(&bench, [about("a", "3")]).await;
    reader.reaches(3).await;
    assert!(began.elapsed() >= GATHER, "it took {:?}", began.elapsed());
    assert_eq!(notes(&bench, "a").await, "1;2;3;");
    reader.end().await;
}
