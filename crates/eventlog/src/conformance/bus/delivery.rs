//! Cases on what arrives.

use std::sync::atomic::Ordering;

use super::LOG;
use super::bench::{BusBench, traced};
use crate::conformance::bench::decode;
use crate::conformance::reader::{SHARD, WAIT_MAX, about, append_to, notes_in};
use crate::store::LogSource as _;

pub(super) async fn records_arrive_in_order_and_byte_for_byte(bench: &BusBench) {
    const RECORDS: usize = 300;
    let put = async |from: usize| {
        let appends = (from..from + RECORDS / 2).map(|n| traced(n % 7 * 500, ""));
        bench.append(appends.collect()).await;
    };
    put(0).await;
    let process = bench.process().await;
    // The second half comes while the first is read.
    let (read, ()) = tokio::join!(process.follow(RECORDS), put(RECORDS / 2));
    assert_eq!(read, bench.records(SHARD).await);
}

pub(super) async fn all_shards_arrive(bench: &BusBench) {
    let shards = bench.owner.shards().all().collect::<Vec<_>>();
    for &shard in &shards {
        for text in ["1", "2", "3"] {
            bench.append(vec![append_to(shard, about("s", text))]).await;
        }
    }
    let process = bench.process().await;
    let reader = process.reader();
    for shard in shards {
        let progress = reader.handle().progress();
        assert!(progress.wait_for(shard, 3, WAIT_MAX).await, "shard {shard}");
        assert_eq!(notes_in(&*process.store, shard, "s").await, "1;2;3;");
    }
    reader.end().await;
}

pub(super) async fn a_reader_goes_on_from_its_checkpoint(bench: &BusBench) {
    bench.put(0..20).await;
    let first = bench.process().await;
    let reader = first.reader();
    reader.reaches(20).await;
    reader.end().await;
    let at = first.checkpoint().await.expect("it has read");
    assert_eq!(at.hint.is_none(), bench.in_process, "{:?}", at.hint);
    bench.put(20..30).await;
    bench.relayed(30).await;
    bench.owner.gave.store(0, Ordering::SeqCst);
    let second = bench.process_on(first.store.clone(), |_| {}).await;
    let reader = second.reader();
    reader.reaches(30).await;
    if !bench.in_process {
        let gave = bench.owner.gave.load(Ordering::SeqCst);
        assert_eq!(gave, 0, "the bus had all of them");
    }
    second.has_applied(0..30).await;
    reader.end().await;
}

pub(super) async fn a_wrong_hint_costs_time_only(bench: &BusBench) {
    bench.put(0..30).await;
    bench.relayed(30).await;
    let records = bench.records(SHARD).await;
    for hint in [
        None,
        Some(0),
        Some(7),
        Some(29),
        Some(1_000_000),
        Some(u64::MAX),
    ] {
        let process = bench.process().await;
        process.has_read(&records[..10], hint).await;
        let reader = process.reader();
        reader.reaches(30).await;
        process.has_applied(10..30).await;
        reader.end().await;
    }
}

pub(super) async fn published_twice_is_applied_once(bench: &BusBench) {
    bench.put(0..30).await;
    let process = bench.process().await;
    let mut reader = process.reader();
    reader.reaches(30).await;
    bench.relayed(30).await;
    bench.forget_what_was_relayed().await;
    bench.relayed(30).await;
    if bench.in_process {
        reader.end().await;
        reader = process.reader();
    }
    bench.put(30..35).await;
    reader.reaches(35).await;
    process.has_applied(0..35).await;
    reader.end().await;
    // Who begins now finds each of the first thirty twice.
    let late = bench.process().await;
    let reader = late.reader();
    reader.reaches(35).await;
    late.has_applied(0..35).await;
    reader.end().await;
}

pub(super) async fn trace_context_arrives(bench: &BusBench) {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    bench.append(vec![traced(1, TRACE), traced(1, "")]).await;
    let process = bench.process().await;
    let read = process.follow(2).await;
    let traces = read
        .iter()
        .map(|record| decode(LOG, record).envelope.traceparent);
    assert_eq!(traces.collect::<Vec<_>>(), [TRACE, ""]);
}

pub(super) async fn a_slow_reader_costs_bounded_memory(bench: &BusBench) {
    const HELD: usize = 50;
    const RECORDS: usize = 2_000;
    let process = bench.process_with(|setup| setup.records_max = HELD).await;
    let reader = process.reader();
    bench.put(0..1).await;
    reader.reaches(1).await;
    reader.handle().progress().pause();
    bench.put(1..RECORDS as u64).await;
    bench.relayed(RECORDS as u64).await;
    let held = bench.bus.held_max(&*process.source, SHARD);
    assert_eq!(held.is_none(), bench.in_process);
    reader.handle().progress().unpause();
    reader.reaches(RECORDS as u64).await;
    process.has_applied(0..RECORDS as u64).await;
    let held = bench.bus.held_max(&*process.source, SHARD).unwrap_or(1);
    assert!((1..=HELD).contains(&held), "{held} records were held");
    reader.end().await;
}

pub(super) async fn a_second_reader_reads_all_too(bench: &BusBench) {
    bench.put(0..20).await;
    let process = bench.process().await;
    let first = process.reader();
    first.reaches(20).await;
    // It shares the source, and begins behind what the first has taken.
    let mut beside = bench.process().await;
    beside.source = process.source.clone();
    let second = beside.reader();
    second.reaches(20).await;
    bench.put(20..40).await;
    first.reaches(40).await;
    second.reaches(40).await;
    // The other goes on where one has ended.
    first.end().await;
    bench.put(40..50).await;
    second.reaches(50).await;
    beside.has_applied(0..50).await;
    process.has_applied(0..40).await;
    second.end().await;
}
