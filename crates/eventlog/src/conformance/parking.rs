//! Cases on events that cannot be applied.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::sync::watch;

use super::bench::{Bench, CONSUMER, LOG, checkpoint, decode, moved};
use super::reader::{SHARD, Start, about, notes, options, put};
use crate::append::{Append, Checkpoint};
use crate::consumer::{
    ConsumerOptions, Lost, PARKED_VIEW, ParkedRecord, ParkedSubjects, ProcessManager, ReactError,
    Replayed, Settled, ViewRows,
};
use crate::event::Recorded;
use crate::ids::Cause;

/// Parked events as they are stored.
async fn stored(bench: &Bench) -> usize {
    let rows = bench
        .store()
        .scan(PARKED_VIEW, SHARD, CONSUMER.as_bytes(), None, 1_000)
        .await;
    rows.expect("the store can be read").len()
}

pub(super) async fn poison_parks_the_subject_and_order_is_kept(mut bench: Bench) {
    put(
        &bench,
        [
            about("a", "1"),
            about("b", "1"),
            about("a", "poison"),
            about("a", "2"),
        ],
    )
    .await;
    put(&bench, [about("b", "2"), about("a", "3")]).await;
    let reader = Start::on(&bench).reader(&bench);
    reader.reaches(6).await;
    assert_eq!(
        notes(&bench, "a").await,
        "1;",
        "nothing passes the event that waits"
    );
    assert_eq!(notes(&bench, "b").await, "1;2;", "others go on");
    assert_eq!(reader.parked(), [("a".to_owned(), 3)]);
    reader.end().await;
    bench.crash().await;
    // Parked durably: a reader that is started again parks behind it.
    put(&bench, [about("a", "4"), about("b", "3")]).await;
    let reader = Start::on(&bench).reader(&bench);
    reader.reaches(8).await;
    assert_eq!(reader.parked(), [("a".to_owned(), 4)]);
    assert_eq!(stored(&bench).await, 4);
    assert_eq!(notes(&bench, "a").await, "1;");
    assert_eq!(notes(&bench, "b").await, "1;2;3;");
    assert_eq!(reader.state().stopped, None);
    reader.end().await;
}

fn applied(applied: usize) -> Replayed {
    Replayed {
        applied,
        ..Replayed::default()
    }
}

pub(super) async fn replay_of_a_parked_subject(mut bench: Bench) {
    put(
        &bench,
        ["1", "poison", "2", "poison too", "3"].map(|text| about("a", text)),
    )
    .await;
    put(&bench, [about("ab", "poison")]).await;
    let reader = Start::on(&bench).reader(&bench);
    reader.reaches(6).await;
    let replayed = Replayed {
        applied: 0,
        left: 4,
        stopped: Some((1, "injected".to_owned())),
    };
    assert_eq!(reader.replay("a").await, replayed, "it is still poison");
    assert_eq!(reader.parked(), [("a".to_owned(), 4), ("ab".to_owned(), 1)]);
    assert_eq!(notes(&bench, "a").await, "1;");
    reader.end().await;
    bench.crash().await;
    let reader = Start::on(&bench).reader(&bench);
    reader.reaches(6).await;
    reader.notes.mended.store(2, Ordering::SeqCst);
    assert_eq!(reader.replay("a").await, applied(4));
    assert_eq!(
        notes(&bench, "a").await,
        "1;poison;2;poison too;3;",
        "in order"
    );
    assert_eq!(reader.parked(), [("ab".to_owned(), 1)], "only this subject");
    assert_eq!(stored(&bench).await, 1);
    let none = applied(0);
    assert_eq!(reader.replay("a").await, none, "nothing waits any more");
    put(&bench, [about("a", "4")]).await;
    reader.reaches(7).await;
    assert_eq!(notes(&bench, "a").await, "1;poison;2;poison too;3;4;");
    assert_eq!(bench.checkpoint(SHARD).await.map(|at| at.next), Some(7));
    reader.end().await;
    assert_eq!(bench.total(LOG).await, 7, "replay makes no event");
}

pub(super) async fn replay_stops_at_the_next_poison(bench: Bench) {
    put(
        &bench,
        ["poison", "1", "poison too", "2"].map(|text| about("a", text)),
    )
    .await;
    let reader = Start::on(&bench).reader(&bench);
    reader.reaches(4).await;
    reader.notes.mended.store(1, Ordering::SeqCst);
    let replayed = Replayed {
        applied: 2,
        left: 2,
        stopped: Some((2, "injected".to_owned())),
    };
    assert_eq!(reader.replay("a").await, replayed);
    assert_eq!(
        notes(&bench, "a").await,
        "poison;1;",
        "what could be applied is"
    );
    assert_eq!(stored(&bench).await, 2);
    assert_eq!(
        reader.parked(),
        [("a".to_owned(), 2)],
        "and is not counted any more"
    );
    put(&bench, [about("a", "3")]).await;
    reader.reaches(5).await;
    assert_eq!(reader.parked(), [("a".to_owned(), 3)]);
    reader.notes.mended.store(2, Ordering::SeqCst);
    assert_eq!(reader.replay("a").await, applied(3));
    assert_eq!(notes(&bench, "a").await, "poison;1;poison too;2;3;");
    assert!(reader.parked().is_empty());
    reader.end().await;
}

/// Positions and reasons.
fn places(events: &[ParkedRecord]) -> Vec<(u64, &str)> {
    events
        .iter()
        .map(|event| (event.parked.position, event.parked.reason.as_str()))
        .collect()
}

pub(super) async fn what_is_parked_is_listed_with_its_reasons(bench: Bench) {
    let first = ["poison", "poison too"].map(|text| about("a", text));
    put(&bench, [about("ab", "poison")].into_iter().chain(first)).await;
    put(&bench, [about("b", "1"), about("a", "2")]).await;
    let reader = Start::on(&bench).reader(&bench);
    reader.reaches(5).await;
    let parked = reader.handle().parked();
    let listed = parked.list(None, 10).await.expect("the store can be read");
    let brief = listed
        .iter()
        .map(|one| (one.first.parked.subject.as_str(), one.events));
    assert_eq!(brief.collect::<Vec<_>>(), [("a", 3), ("ab", 1)]);
    assert_eq!(listed[0].shard, SHARD);
    assert_eq!(
        places(std::slice::from_ref(&listed[0].first)),
        [(1, "injected")]
    );
    let event = decode(LOG, &bench.records(LOG, SHARD).await[1]);
    let recorded = Some((event.envelope.event_type, event.recorded_at));
    assert_eq!(listed[0].first.recorded, recorded);
    let one = parked.list(None, 1).await.expect("the store can be read");
    assert_eq!(one, listed[..1], "no more than was asked for");
    let after = parked.list(Some((SHARD, "a")), 10).await;
    assert_eq!(after.expect("the store can be read"), listed[1..]);

    let behind = "waits behind an earlier event of its subject";
    let events = of_subject(parked, 0).await;
    assert_eq!(places(&events), [(1, "injected"), (2, behind), (4, behind)]);
    assert_eq!(
        places(&of_subject(parked, 2).await),
        [(2, behind), (4, behind)]
    );
    assert_eq!(parked.shard_of("b"), None);
    // The first can be applied; the next, that waited, now keeps the others waiting.
    reader.notes.mended.store(1, Ordering::SeqCst);
    assert_eq!(reader.replay("a").await.applied, 1);
    let events = of_subject(parked, 0).await;
    assert_eq!(places(&events), [(2, "injected"), (4, behind)]);
    reader.end().await;
}

async fn of_subject(parked: &ParkedSubjects, from: u64) -> Vec<ParkedRecord> {
    let events = parked.events("a", from, 10).await;
    events.expect("the store can be read")
}

pub(super) async fn more_than_20_parked_in_1000_stops_the_shard(bench: Bench) {
    let poison = |n: u32| about(&format!("s{n}"), "poison");
    put(&bench, (0..20).map(poison)).await;
    // More events of the same subjects are not newly parked subjects.
    put(&bench, (0..20).map(poison)).await;
    let reader = Start::on(&bench).reader(&bench);
    reader.reaches(40).await;
    assert_eq!(reader.parked().len(), 20);
    assert_eq!(reader.state().stopped, None);
    put(
        &bench,
        [about("healthy", "1"), poison(20), about("healthy", "2")],
    )
    .await;
    assert_eq!(reader.stops().await, "TOO_MANY_PARKED");
    assert_eq!(reader.state().next, 41, "it stops before the one too many");
    assert_eq!(notes(&bench, "healthy").await, "1;");
    reader.end().await;
}

pub(super) async fn parked_subjects_are_counted_over_a_window(bench: Bench) {
    let options = ConsumerOptions {
        parked_max: 2,
        parked_window: 10,
        ..options()
    };
    let poison = |n: u32| about(&format!("s{n}"), "poison");
    let healthy = |count: usize| (0..count).map(|n| about("healthy", &n.to_string()));
    // At 0, 1 and 10: the last ten records at 10 begin at 1.
    put(&bench, [poison(0), poison(1)]).await;
    put(&bench, healthy(8)).await;
    put(&bench, [poison(2)]).await;
    let reader = Start {
        options,
        ..Start::on(&bench)
    }
    .reader(&bench);
    reader.reaches(11).await;
    // At 1, 10 and 11: not any more; at 10, 11 and 19: too many.
    put(&bench, [poison(3)]).await;
    reader.reaches(12).await;
    put(&bench, healthy(7)).await;
    reader.reaches(19).await;
    assert_eq!(reader.state().stopped, None);
    put(&bench, [poison(4)]).await;
    assert_eq!(reader.stops().await, "TOO_MANY_PARKED");
    reader.end().await;
}

/// Holds the reader at the first event it can apply, until it is opened.
struct Gate {
    reached: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

#[async_trait]
impl ProcessManager for Gate {
    async fn react(&self, _: &Recorded, _: &ViewRows, _: Cause) -> Result<(), ReactError> {
        self.reached.send_replace(true);
        let opened = self
            .open
            .subscribe()
            .wait_for(|open| *open)
            .await
            .map(|_| ());
        opened.map_err(|error| ReactError::Retry {
            reason: error.to_string(),
        })
    }

    async fn settle(&self, _: &Lost, _: bool) -> Result<Vec<Settled>, ReactError> {
        Ok(Vec::new())
    }
}

pub(super) async fn what_comes_again_is_not_counted_twice(bench: Bench) {
    put(
        &bench,
        [about("a", "poison"), about("b", "poison"), about("c", "1")],
    )
    .await;
    let gate = Gate {
        reached: watch::Sender::new(false),
        open: watch::Sender::new(false),
    };
    let gate = Arc::new(gate);
    let options = ConsumerOptions {
        parked_max: 2,
        ..options()
    };
    let start = Start {
        options,
        process: Some(gate.clone()),
        ..Start::on(&bench)
    };
    let reader = start.reader(&bench);
    gate.reached
        .subscribe()
        .wait_for(|reached| *reached)
        .await
        .expect("the gate is here");
    // Meanwhile the checkpoint moves, so that the batch cannot be committed.
    let first = bench.records(LOG, SHARD).await.remove(0);
    let to = Checkpoint {
        log_id: decode(LOG, &first).log_id,
        leaf: first.leaf,
        ..checkpoint(1, 1)
    };
    let moved = Append {
        checkpoint: Some(moved(SHARD, 0, to)),
        ..Append::to(LOG, SHARD)
    };
    bench
        .append(moved)
        .await
        .expect("the reader has not committed");
    gate.open.send_replace(true);
    reader.reaches(3).await;
    assert_eq!(reader.parked(), [("b".to_owned(), 1)]);
    assert_eq!(reader.state().stopped, None);
    assert_eq!(notes(&bench, "c").await, "1;");
    reader.end().await;
}

pub(super) async fn poison_about_no_subject_stops_the_shard(bench: Bench) {
    put(
        &bench,
        [
            about("a", "1"),
            about("", "fine"),
            about("", "poison"),
            about("a", "2"),
        ],
    )
    .await;
    let reader = Start::on(&bench).reader(&bench);
    assert_eq!(reader.stops().await, "POISON_WITHOUT_SUBJECT");
    assert_eq!(reader.state().next, 2);
    assert!(reader.parked().is_empty());
    assert_eq!(notes(&bench, "a").await, "1;");
    assert_eq!(notes(&bench, "").await, "fine;");
    reader.end().await;
}
