//! Cases on an owner that comes back restored from a backup.

use super::bench::{BusBench, Process};
use crate::conformance::reader::Reader;

/// In process, the owner does not come back without its readers.
async fn restarted(bench: &BusBench, process: &Process, reader: Reader) -> Reader {
    if !bench.in_process {
        return reader;
    }
    reader.end().await;
    process.reader()
}

async fn stops(process: &Process, reader: Reader, applied: u64) {
    let before = process.checkpoint().await;
    assert_eq!(reader.stops().await, "LOG_DIVERGED");
    let message = reader.state().stopped.map(|stopped| stopped.message);
    let message = message.unwrap_or_default();
    assert!(message.contains("`tally reconcile`"), "{message}");
    let former = before.as_ref().map(|at| at.log_id.to_string());
    assert!(message.contains(&former.unwrap_or_default()), "{message}");
    reader.end().await;
    process.has_applied(0..applied).await;
    let after = process.checkpoint().await;
    assert_eq!(after.map(|at| at.leaf), before.map(|at| at.leaf));
}

pub(super) async fn a_diverged_log_stops_the_reader_at_start(bench: &BusBench) {
    bench.put(0..30).await;
    let before = bench.process().await;
    let reader = before.reader();
    reader.reaches(30).await;
    reader.end().await;
    bench.restore(20).await;
    bench.start_relay().await;
    let process = bench.process_on(before.store.clone(), |_| {}).await;
    stops(&process, process.reader(), 30).await;
}

pub(super) async fn a_diverged_log_stops_a_running_reader(bench: &BusBench) {
    bench.put(0..30).await;
    let process = bench.process().await;
    let reader = process.reader();
    reader.reaches(30).await;
    bench.relayed(30).await;
    bench.restore(20).await;
    bench.start_relay().await;
    bench.put(100..105).await;
    let reader = restarted(bench, &process, reader).await;
    stops(&process, reader, 30).await;
}

pub(super) async fn a_diverged_log_is_noticed_in_silence(bench: &BusBench) {
    bench.put(0..30).await;
    let process = bench.process().await;
    let reader = process.reader();
    reader.reaches(30).await;
    bench.relayed(30).await;
    bench.restore(20).await;
    let reader = restarted(bench, &process, reader).await;
    stops(&process, reader, 30).await;
}

pub(super) async fn a_restored_log_that_grew_past_the_reader(bench: &BusBench) {
    bench.put(0..30).await;
    let process = bench.process().await;
    let reader = process.reader();
    reader.reaches(30).await;
    bench.relayed(30).await;
    reader.handle().progress().pause();
    bench.restore(20).await;
    bench.put(100..120).await;
    bench.start_relay().await;
    bench.relayed(40).await;
    reader.handle().progress().unpause();
    let reader = restarted(bench, &process, reader).await;
    stops(&process, reader, 30).await;
}

pub(super) async fn a_reader_behind_the_restore_point_goes_on(bench: &BusBench) {
    bench.put(0..10).await;
    let running = bench.process().await;
    let reader = running.reader();
    reader.reaches(10).await;
    // One is held while it runs, one stands still.
    reader.handle().progress().pause();
    let ended = bench.process().await;
    let other = ended.reader();
    other.reaches(10).await;
    other.end().await;
    bench.put(10..20).await;
    bench.relayed(20).await;
    bench.restore(15).await;
    bench.start_relay().await;
    bench.put(100..106).await;
    bench.relayed(21).await;
    if !bench.in_process {
        // What had come before the owner was asked again is applied, and diverges.
        bench.owner_is_asked().await;
    }
    reader.handle().progress().unpause();
    let reader = restarted(bench, &running, reader).await;
    let again = bench.process_on(ended.store.clone(), |_| {}).await;
    let other = again.reader();
    for (process, reader) in [(running, reader), (again, other)] {
        reader
            .until(|state| state.next >= 21 || state.stopped.is_some())
            .await;
        assert_eq!(reader.state().stopped, None);
        process.has_applied((0..15).chain(100..106)).await;
        reader.end().await;
    }
}
