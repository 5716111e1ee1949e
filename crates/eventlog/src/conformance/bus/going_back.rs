//! Cases on readers that go back to what they and a restored log both have.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::bench::{BusBench, Process, SUBJECT};
use crate::conformance::reader::{Reader, SHARD, WAIT_MAX, about, append_to, notes_in};
use crate::consumer::{
    Lost, ProcessManager, ReactError, ReconcileError, Reconciled, Settled, ViewRows,
};
use crate::event::Recorded;
use crate::ids::Cause;

/// Effects of which nobody but an officer can say what becomes of them.
#[derive(Default)]
struct ForOfficers {
    /// Whether it was asked to settle, or only to say what it would.
    asked: Mutex<Vec<bool>>,
}

#[async_trait]
impl ProcessManager for ForOfficers {
    async fn react(&self, _: &Recorded, _: &ViewRows, _: Cause) -> Result<(), ReactError> {
        Ok(())
    }

    async fn settle(&self, lost: &Lost, apply: bool) -> Result<Vec<Settled>, ReactError> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(apply);
        let rows = lost.rows.iter();
        let settled = rows.map(|changed| Settled {
            subject: String::from_utf8_lossy(&changed.row.key).into_owned(),
            what: "for an officer".to_owned(),
            hold: true,
        });
        Ok(settled.collect())
    }
}

/// A reader that had applied 30 records of a log of which 20 are left.
async fn diverged(bench: &BusBench, process: Option<Arc<dyn ProcessManager>>) -> (Process, Reader) {
    bench.put(0..30).await;
    let before = bench.process().await;
    let reader = before.reader();
    reader.reaches(30).await;
    reader.end().await;
    bench.relayed(30).await;
    bench.restore(20).await;
    bench.put(100..105).await;
    bench.start_relay().await;
    let after = bench.process_on(before.store.clone(), |_| {}).await;
    let reader = after.reader_with(process);
    assert_eq!(reader.stops().await, "LOG_DIVERGED");
    (after, reader)
}

async fn reconcile(reader: &Reader, apply: bool) -> Result<Reconciled, ReconcileError> {
    let divergences = reader.handle().divergences();
    let asked = tokio::time::timeout(WAIT_MAX, divergences.reconcile(apply));
    let mut all = asked.await.expect("it is answered");
    let (shard, outcome) = all.pop().expect("a shard has diverged");
    assert_eq!((shard, all.len()), (SHARD, 0), "and only that one");
    outcome
}

pub(super) async fn a_diverged_reader_goes_back_to_what_is_common(bench: &BusBench) {
    let (process, reader) = diverged(bench, None).await;
    let would = reconcile(&reader, false).await.expect("it can be told");
    let lost = would.lost;
    assert_eq!((lost.common, lost.applied), (20, 30));
    assert_ne!(lost.applied_log_id, lost.log_id);
    assert_eq!(lost.rows.len(), 1, "all is about one subject");
    process.has_applied(0..30).await;
    assert_eq!(process.checkpoint().await.map(|at| at.next), Some(30));
    reconcile(&reader, true).await.expect("it goes back");
    reader.reaches(25).await;
    process.has_applied((0..20).chain(100..105)).await;
    bench.put(105..110).await;
    reader.reaches(30).await;
    process.has_applied((0..20).chain(100..110)).await;
    let again = reader.handle().divergences().reconcile(true).await;
    assert!(again.is_empty(), "{again:?}");
    reader.end().await;
}

pub(super) async fn a_subject_that_only_an_officer_can_settle_is_held(bench: &BusBench) {
    let effects = Arc::new(ForOfficers::default());
    let (process, reader) = diverged(bench, Some(effects.clone())).await;
    reconcile(&reader, false).await.expect("it can be told");
    assert_eq!(reader.parked(), []);
    reconcile(&reader, true).await.expect("it goes back");
    let asked = effects
        .asked
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    assert_eq!(asked, [false, true]);
    // What came since waits until somebody has decided.
    reader.reaches(25).await;
    assert_eq!(reader.parked(), [(SUBJECT.to_owned(), 6)]);
    process.has_applied(0..20).await;
    let parked = reader.handle().parked().events(SUBJECT, 0, 10).await;
    let parked = parked.expect("they can be read");
    let first = parked.first().map(|event| event.parked.position);
    let last = parked.last().map(|event| event.parked.reason.as_str());
    assert_eq!((first, last), (Some(20), Some("for an officer")));
    let replayed = reader.replay(SUBJECT).await;
    assert_eq!((replayed.applied, replayed.left), (6, 0), "{replayed:?}");
    process.has_applied((0..20).chain(100..105)).await;
    reader.end().await;
}

pub(super) async fn nobody_goes_back_to_a_log_that_never_was_the_same(bench: &BusBench) {
    let (process, reader) = diverged(bench, None).await;
    reconcile(&reader, true).await.expect("it goes back");
    reader.reaches(25).await;
    reader.end().await;
    bench.restore_from_the_first(10).await;
    bench.start_relay().await;
    let process = bench.process_on(process.store.clone(), |_| {}).await;
    let reader = process.reader();
    assert_eq!(reader.stops().await, "LOG_DIVERGED");
    let refused = reconcile(&reader, true)
        .await
        .expect_err("nobody knows what is common");
    assert!(
        matches!(refused, ReconcileError::NeverTheSame { applied: 25, .. }),
        "{refused}"
    );
    process.has_applied((0..20).chain(100..105)).await;
    reader.end().await;
}

pub(super) async fn a_subject_whose_parked_events_are_lost_is_held(bench: &BusBench) {
    bench.put(0..20).await;
    let before = bench.process().await;
    let reader = before.reader();
    bench
        .append(vec![append_to(SHARD, about("b", "poison"))])
        .await;
    bench.append(vec![append_to(SHARD, about("b", "1"))]).await;
    reader.reaches(22).await;
    assert_eq!(reader.parked(), [("b".to_owned(), 2)]);
    reader.end().await;
    bench.relayed(22).await;
    bench.restore(20).await;
    bench.start_relay().await;
    let process = bench.process_on(before.store.clone(), |_| {}).await;
    let reader = process.reader();
    assert_eq!(reader.stops().await, "LOG_DIVERGED");
    let reconciled = reconcile(&reader, true).await.expect("it goes back");
    assert_eq!(reconciled.lost.rows, [], "nothing was applied");
    bench.append(vec![append_to(SHARD, about("b", "2"))]).await;
    reader.reaches(21).await;
    assert_eq!(reader.parked(), [("b".to_owned(), 2)], "it is not let go");
    let replayed = reader.replay("b").await;
    assert_eq!((replayed.applied, replayed.left), (2, 0), "{replayed:?}");
    assert_eq!(notes_in(&*process.store, SHARD, "b").await, "2;");
    reader.end().await;
}
