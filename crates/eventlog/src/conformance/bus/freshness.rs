//! Cases on when a reader may say that it has seen all.

use jiff::{SignedDuration, Timestamp};

use super::LOG;
use super::bench::{BusBench, reaches};
use crate::clock::Clock as _;
use crate::conformance::reader::{Reader, SHARD};

/// An hour goes by; returns the time then.
fn later(bench: &BusBench) -> Timestamp {
    let later = bench.clock.wall() + SignedDuration::from_hours(1);
    bench.clock.set(later);
    later
}

async fn seen(reader: &Reader, at: Timestamp) {
    reader
        .until(|state| state.seen_at.is_some_and(|seen_at| seen_at >= at))
        .await;
}

fn not_seen(reader: &Reader, at: Timestamp) {
    let seen_at = reader.state().seen_at;
    assert!(seen_at.is_some_and(|seen_at| seen_at < at), "{seen_at:?}");
}

pub(super) async fn a_stopped_relay_stops_seen_at(bench: &BusBench) {
    let process = bench.process().await;
    let reader = process.reader();
    bench.put(0..5).await;
    reader.reaches(5).await;
    seen(&reader, later(bench)).await;
    // It stands still with all relayed, which nobody can hold against it.
    bench.hold_relay(true, &reader).await;
    if !bench.in_process {
        seen(&reader, later(bench)).await;
    }
    bench.put(5..6).await;
    // In process it is the held reader itself that asks.
    let asked = async || {
        if !bench.in_process {
            bench.owner_is_asked().await;
        }
    };
    asked().await;
    let missing = later(bench);
    asked().await;
    not_seen(&reader, missing);
    if let Some(remote) = process.source.remote() {
        let complete = remote.complete_at(LOG, SHARD, 5);
        assert!(complete.is_some_and(|at| at < missing), "{complete:?}");
    }
    assert_eq!(reader.state().next, 5);
    bench.hold_relay(false, &reader).await;
    seen(&reader, missing).await;
    assert_eq!(reader.state().next, 6);
    process.has_applied(0..6).await;
    reader.end().await;
}

pub(super) async fn an_owner_that_is_away_stops_seen_at(bench: &BusBench) {
    let process = bench.process().await;
    let reader = process.reader();
    bench.put(0..5).await;
    reader.reaches(5).await;
    seen(&reader, later(bench)).await;
    bench.owner.set_away(true);
    bench.owner_is_asked().await;
    let missing = later(bench);
    bench.owner_is_asked().await;
    not_seen(&reader, missing);
    bench.owner.set_away(false);
    seen(&reader, missing).await;
    reader.end().await;
}

pub(super) async fn an_answer_that_takes_long_makes_nobody_younger(bench: &BusBench) {
    let process = bench.process().await;
    let reader = process.reader();
    bench.put(0..5).await;
    reader.reaches(5).await;
    seen(&reader, later(bench)).await;
    let mut missing = Timestamp::MAX;
    let owner = &bench.owner;
    owner
        .thinks_while(bench.in_process, || missing = later(bench))
        .await;
    if let Some(remote) = process.source.remote() {
        let complete = remote.complete_at(LOG, SHARD, 5);
        assert!(complete.is_some_and(|at| at < missing), "{complete:?}");
    }
    not_seen(&reader, missing);
    owner.answers_at_once();
    seen(&reader, missing).await;
    reader.end().await;
}

pub(super) async fn seen_at_follows_the_reader_and_not_the_topic(bench: &BusBench) {
    let process = bench.process().await;
    let reader = process.reader();
    bench.put(0..5).await;
    reader.reaches(5).await;
    seen(&reader, later(bench)).await;
    reader.handle().progress().pause();
    bench.put(5..6).await;
    let mut size = process.source.watch(LOG, SHARD);
    reaches(&mut size, |size| *size == 6).await;
    let missing = later(bench);
    if let Some(remote) = process.source.remote() {
        bench.owner_is_asked().await;
        let complete = |next| remote.complete_at(LOG, SHARD, next);
        assert!(complete(6).is_some_and(|at| at >= missing));
        assert!(complete(5).is_none_or(|at| at < missing));
    }
    not_seen(&reader, missing);
    reader.handle().progress().unpause();
    seen(&reader, missing).await;
    assert_eq!(reader.state().next, 6);
    reader.end().await;
}
