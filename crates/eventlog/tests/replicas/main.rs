//! Several processes share the shards of a role: in memory, by a clock that the
//! tests move.

mod bench;
mod relaying;

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use bench::*;
use tally_eventlog::consumer::ReplayError;
use tally_eventlog::shard::Shard;

/// Two processes share the shards; what one of them leaves when it dies, the other
/// has after the term, and not before.
#[tokio::test]
async fn the_shards_of_a_process_that_died_move_after_the_term() {
    let place = Place::new();
    let [a, mut b] = place.two().await;
    let (of_a, of_b) = (a.held(), b.held());
    assert_eq!((of_a.len(), of_b.len()), (2, 2));
    assert!(of_a.is_disjoint(&of_b), "{of_a:?} {of_b:?}");
    for shard in SHARDS {
        place.put(shard, "s", "1").await;
    }
    a.reach_all(1).await;
    b.reach_all(1).await;
    // It dies: nothing of it runs, and nothing is given back.
    a.stop.cancel();
    place.pass(TERM / 3);
    b.turn().await;
    assert_eq!(b.held(), of_b, "a might still run");
    for shard in SHARDS {
        place.put(shard, "s", "2").await;
    }
    place.pass(TERM * 2 / 3);
    b.turn().await;
    b.reach_all(2).await;
    assert_eq!(b.held().len(), 4);
    for shard in SHARDS {
        assert_eq!(place.notes(shard, "s").await, "1;2;", "each once");
        // Each has changed its holder once: a was alone at first.
        assert_eq!(place.epoch(shard).await, 2);
    }
    assert_eq!(place.effects().await.len(), 8, "each once");
}

/// A process that stood still past its term goes on where it was: what it still
/// writes is refused, what it does has been done, and later it takes part again.
#[tokio::test]
async fn a_zombie_is_fenced_and_joins_again() {
    let place = Place::new();
    let [mut a, mut b] = place.two().await;
    let shard = *a.held().first().expect("it has its share");
    place.put(shard, "s", "1").await;
    a.reach(shard, 1).await;
    a.stands_still();
    place.put(shard, "s", "2").await;
    a.is_at_an_effect().await;
    place.pass(TERM);
    b.turn().await;
    b.reach(shard, 2).await;
    let state = a.handle.progress().shard(shard);
    assert!(
        state.held && state.next == 1,
        "it has seen nothing: {state:?}"
    );
    a.goes_on();
    assert_eq!(a.stops(shard).await, "FENCED");
    assert_eq!(place.notes(shard, "s").await, "1;2;");
    assert_eq!(
        place.effects().await.len(),
        2,
        "the second is not done twice"
    );
    assert_eq!(a.reacted(), 2, "though it was done again");
    // Its keeper comes to as well.
    a.turn().await;
    let mut state = a.handle.progress().watch(shard);
    let ended = state.wait_for(|state| !state.held && state.stopped.is_none());
    bounded(ended).await.expect("it is here");
    b.turn().await;
    a.turn().await;
    assert_eq!((a.held().len(), b.held().len()), (2, 2));
    for shard in SHARDS {
        place.put(shard, "s", "3").await;
    }
    for process in [&a, &b] {
        process.reach(shard, 3).await;
    }
    assert_eq!(place.notes(shard, "s").await, "1;2;3;");
}

/// A former holder that is about to change rows, but not its place, is fenced too,
/// as soon as there is another holder.
#[tokio::test]
async fn a_zombie_applies_nothing_that_was_parked() {
    let place = Place::new();
    let [a, mut b] = place.two().await;
    let shard = *a.held().first().expect("it has its share");
    place.put(shard, "s", "poison").await;
    a.reach(shard, 1).await;
    place.mended.store(true, Ordering::SeqCst);
    a.stands_still();
    let parked = a.handle.parked().clone();
    let late = tokio::spawn(async move { parked.replay("s").await });
    a.is_at_an_effect().await;
    place.pass(TERM);
    b.turn().await;
    // Nothing has come meanwhile, so that the place is where it was.
    a.goes_on();
    let late = late.await.expect("no panic").expect("it was asked");
    assert_eq!(late.applied, 0, "{late:?}");
    assert_eq!(place.notes(shard, "s").await, "");
    let replayed = b.handle.parked().replay("s").await.expect("it runs");
    assert_eq!((replayed.applied, replayed.left), (1, 0));
    place.put(shard, "s", "2").await;
    b.reach(shard, 2).await;
    assert_eq!(place.notes(shard, "s").await, "poison;2;");
    assert_eq!(place.effects().await.len(), 2);
}

/// Nobody waits for the shards of a process that is stopped.
#[tokio::test]
async fn an_orderly_stop_hands_over_at_once() {
    let place = Place::new();
    let [a, mut b] = place.two().await;
    a.end().await;
    b.turn().await;
    assert_eq!(b.held().len(), 4);
    for shard in SHARDS {
        place.put(shard, "s", "1").await;
    }
    b.reach_all(1).await;
    assert_eq!(place.effects().await.len(), 4);
}

/// What cannot be renewed is stopped before its term is over, and begun again
/// when the store answers.
#[tokio::test]
async fn what_is_not_renewed_stops_before_its_term_is_over() {
    let place = Place::new();
    let mut a = place.process("a");
    a.turn().await;
    assert_eq!(a.held().len(), 4);
    place.leases.away.store(true, Ordering::SeqCst);
    place.pass(TERM / 2);
    a.keeper.turn(place.now()).await.expect_err("it is away");
    assert_eq!(a.held().len(), 4, "its term is not over");
    place.pass(TERM / 3);
    a.keeper.turn(place.now()).await.expect_err("it is away");
    for shard in SHARDS {
        a.until(shard, |state| !state.held).await;
    }
    place.leases.away.store(false, Ordering::SeqCst);
    a.turn().await;
    place.put(Shard(0), "s", "1").await;
    a.reach(Shard(0), 1).await;
    assert_eq!(place.epoch(Shard(0)).await, 1, "nobody was in between");
}

/// By its own clock, the keeper does all of it without being asked.
#[tokio::test]
async fn a_keeper_keeps_time_by_itself() {
    let place = Place::in_time();
    let a = place.process("a").keep();
    a.holds(4).await;
    let b = place.process("b").keep();
    b.holds(2).await;
    a.holds(2).await;
    // The store goes away from a alone: it stops, and b takes over.
    place.leases.away_from_first.store(true, Ordering::SeqCst);
    a.holds(0).await;
    b.holds(4).await;
    place.leases.away_from_first.store(false, Ordering::SeqCst);
    a.holds(2).await;
    b.holds(2).await;
    a.end().await;
    b.holds(4).await;
    b.end().await;
}

/// A process that holds nothing knows how far the readers are, what is parked and
/// who can be asked, and holds them for everybody.
#[tokio::test]
async fn a_process_without_shards_knows_what_the_others_do() {
    let place = Place::new();
    let mut a = place.process("a");
    a.turn().await;
    let shard = *a.held().first().expect("it holds all");
    let b = place.process("b");
    place.put(shard, "s", "poison").await;
    place.put(shard, "s", "behind").await;
    b.reach(shard, 2).await;
    let state = b.handle.progress().shard(shard);
    assert_eq!(state.parked.get("s"), Some(&2), "{state:?}");
    assert!(!state.held && state.seen_at.is_some());
    let parked = b.handle.parked();
    assert_eq!(
        parked.replay("s").await,
        Err(ReplayError::Elsewhere { shard })
    );
    place.mended.store(true, Ordering::SeqCst);
    let replayed = a.handle.parked().replay("s").await.expect("it runs");
    assert_eq!(replayed.applied, 2);
    let mut state = b.handle.progress().watch(shard);
    let mended = state.wait_for(|state| state.parked.is_empty());
    bounded(mended).await.expect("it is here");

    b.handle.progress().hold(true).await.expect("it is stored");
    let mut paused = a.handle.progress().paused();
    bounded(paused.wait_for(|paused| *paused))
        .await
        .expect("it is here");
    place.put(shard, "s", "3").await;
    // One that starts now is held too, and nobody has gone on meanwhile.
    let c = place.process("c");
    let mut paused = c.handle.progress().paused();
    bounded(paused.wait_for(|paused| *paused))
        .await
        .expect("it is here");
    assert_eq!(place.next(shard).await, 2);
    c.handle.progress().hold(false).await.expect("it is stored");
    b.reach(shard, 3).await;
    assert_eq!(place.notes(shard, "s").await, "poison;behind;3;");
}

/// What is due fires in the process that holds the shard.
#[tokio::test]
async fn timers_fire_where_the_shard_is_held() {
    let place = Place::new();
    let [a, b] = place.two().await;
    let held = [a.held(), b.held()];
    place.make_due().await;
    let (mut fired, _timers) = place.timers([&a, &b]);
    let mut seen = BTreeSet::new();
    while seen.len() < SHARDS.len() {
        let (who, shard) = bounded(fired.recv()).await.expect("it fires");
        assert!(held[who].contains(&shard), "{shard} is not held by {who}");
        seen.insert(shard);
    }
}
