//! What group commit does when a transaction fails, on the memory store, the
//! only one whose commits can be made to fail at will.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tally_eventlog::append::ExpectedVersion::{Any, Exact, NoStream};
use tally_eventlog::append::{
    Append, AppendError, Appended, CommandKey, ExpectedVersion, Outcome, RowKey, StreamAppend,
    ViewWrite,
};
use tally_eventlog::conformance::TestClock;
use tally_eventlog::event::{EventContext, NewEvent, StreamName};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::memory::CommitFault::{
    Constraint, NotApplied, UnknownApplied, UnknownAppliedThenGone, UnknownNotApplied,
};
use tally_eventlog::memory::{CommitFault, MemoryStore};
use tally_eventlog::pb;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{EventStore as _, LogSource as _};
use uuid::Uuid;

const LOG: LogName = LogName("faults");
const SHARD: Shard = Shard(0);

fn store() -> MemoryStore {
    store_by(Arc::new(TestClock::default()), GroupOptions::default())
}

fn store_by(clock: Arc<TestClock>, options: GroupOptions) -> MemoryStore {
    let shards = ShardCount::new(2).expect("2 is in range");
    MemoryStore::open(&[LOG], shards, clock, options, None)
}

/// A command that appends an event to a stream and counts itself in a view.
fn command(stream: &str, expected: ExpectedVersion, id: u128) -> Append {
    let context = EventContext {
        actor: pb::Actor::default(),
        pack_version: String::new(),
        command_id: Uuid::from_u128(id),
        causation_id: Uuid::nil(),
        correlation_id: Uuid::nil(),
        traceparent: String::new(),
    };
    let event = NewEvent {
        event_id: Uuid::from_u128(id),
        event_type: "tally.faults.v1.Happened",
        subject: String::new(),
        payload: Bytes::from_static(b"payload"),
        effective_at: Timestamp::UNIX_EPOCH,
        context: Arc::new(context),
        legal_basis: None,
    };
    let stream = StreamName::new("case", stream);
    Append {
        command: Some(CommandKey {
            department: "d".to_owned(),
            id: Uuid::from_u128(id),
            digest: [1; 32],
        }),
        streams: vec![StreamAppend {
            stream,
            expected,
            events: vec![event],
        }],
        views: vec![ViewWrite {
            row: row(id),
            value: Some(Bytes::from_static(b"x")),
        }],
        ..Append::to(LOG, SHARD)
    }
}

fn row(id: u128) -> RowKey {
    RowKey {
        view: "faults",
        shard: SHARD,
        key: Bytes::copy_from_slice(&id.to_be_bytes()),
    }
}

async fn append(store: &MemoryStore, append: Append) -> Result<Appended, AppendError> {
    store.append(vec![append]).await.remove(0)
}

fn outcome(answer: &Result<Appended, AppendError>) -> Outcome {
    match answer {
        Err(AppendError::Unavailable { outcome, .. }) => *outcome,
        other => panic!("not a failure of the store: {other:?}"),
    }
}

fn place(answer: Result<Appended, AppendError>) -> (u64, bool) {
    let answer = answer.expect("it holds");
    (
        answer.last.expect("it has an event").position,
        answer.repeated,
    )
}

/// Positions that a reader finds from the start.
async fn positions(store: &MemoryStore) -> Vec<u64> {
    let records = store
        .read(LOG, SHARD, 0, 100)
        .await
        .expect("memory can be read");
    records.iter().map(|record| record.position).collect()
}

async fn rows(store: &MemoryStore) -> usize {
    store
        .scan("faults", SHARD, b"", None, 100)
        .await
        .expect("memory can be read")
        .len()
}

#[tokio::test]
async fn constraint_replay_one_by_one() {
    let store = store();
    // The batch as a whole, then its second append by itself.
    store
        .faults()
        .script([Some(Constraint), None, Some(Constraint)]);
    let answers = store
        .append(vec![
            command("a", NoStream, 1),
            command("b", NoStream, 2),
            command("a", Exact(0), 3),
            command("c", Exact(9), 4),
            command("a", NoStream, 1),
        ])
        .await;
    assert_eq!(outcome(&answers[1]), Outcome::NotApplied);
    assert!(matches!(
        answers[3],
        Err(AppendError::WrongExpectedVersion { .. })
    ));
    let mut answers = answers.into_iter();
    assert_eq!(place(answers.next().expect("5 answers")), (0, false));
    assert_eq!(place(answers.nth(1).expect("5 answers")), (1, false));
    assert_eq!(place(answers.nth(1).expect("5 answers")), (0, true));
    assert_eq!(positions(&store).await, [0, 1]);
    assert_eq!(rows(&store).await, 2);
    assert_eq!(
        place(append(&store, command("b", NoStream, 2)).await),
        (2, false)
    );
}

#[tokio::test]
async fn a_single_violation_is_not_replayed() {
    let store = store();
    store.faults().script([Some(Constraint)]);
    let answer = append(&store, command("a", NoStream, 1)).await;
    assert_eq!(outcome(&answer), Outcome::NotApplied);
    assert!(
        positions(&store).await.is_empty(),
        "a second try would have passed"
    );
}

#[tokio::test]
async fn not_applied_leaves_nothing() {
    let store = store();
    store.faults().script([Some(NotApplied)]);
    let answers = store
        .append(vec![command("a", NoStream, 1), command("b", NoStream, 2)])
        .await;
    assert!(
        answers
            .iter()
            .all(|answer| outcome(answer) == Outcome::NotApplied)
    );
    assert!(positions(&store).await.is_empty());
    assert_eq!(*store.watch(LOG, SHARD).borrow(), 0);
    assert_eq!(rows(&store).await, 0);
    assert_eq!(
        place(append(&store, command("b", NoStream, 2)).await),
        (0, false)
    );
}

async fn unknown_is_resolved(fault: CommitFault) {
    let store = store();
    assert_eq!(
        place(append(&store, command("a", NoStream, 1)).await),
        (0, false)
    );
    store.faults().script([Some(fault)]);
    let answer = append(&store, command("a", Exact(0), 2)).await;
    assert_eq!(outcome(&answer), Outcome::Unknown);
    // The retry cannot know which it was, and it does not matter.
    let applied = fault == UnknownApplied;
    assert_eq!(
        place(append(&store, command("a", Exact(0), 2)).await),
        (1, applied)
    );
    assert_eq!(
        place(append(&store, command("a", Exact(1), 3)).await),
        (2, false)
    );
    assert_eq!(positions(&store).await, [0, 1, 2], "a reader skips nothing");
    assert_eq!(rows(&store).await, 3);
}

#[tokio::test]
async fn unknown_but_applied_is_resolved_by_retry() {
    unknown_is_resolved(UnknownApplied).await;
}

#[tokio::test]
async fn unknown_and_not_applied_is_resolved_by_retry() {
    unknown_is_resolved(UnknownNotApplied).await;
}

#[tokio::test]
async fn a_reader_skips_nothing_after_an_unknown_outcome() {
    let store = store();
    append(&store, command("a", Any, 1))
        .await
        .expect("it holds");
    store.faults().script([Some(UnknownApplied)]);
    append(&store, command("a", Any, 2))
        .await
        .expect_err("its outcome is unknown");
    // Nobody retries; the next append is another one.
    append(&store, command("a", Any, 3))
        .await
        .expect("it holds");
    for from in 0..3 {
        let records = store
            .read(LOG, SHARD, from, 1)
            .await
            .expect("memory can be read");
        assert_eq!(records[0].position, from);
    }
    assert_eq!(positions(&store).await, [0, 1, 2]);
}

#[tokio::test]
async fn readers_learn_of_an_unknown_outcome_without_a_retry() {
    let store = store();
    append(&store, command("a", NoStream, 1))
        .await
        .expect("it holds");
    let mut size = store.watch(LOG, SHARD);
    store.faults().script([Some(UnknownApplied)]);
    append(&store, command("a", Any, 2))
        .await
        .expect_err("its outcome is unknown");
    let seen = tokio::time::timeout(Duration::from_secs(30), size.wait_for(|size| *size == 2));
    assert_eq!(
        *seen
            .await
            .expect("readers wait in vain")
            .expect("the store is open"),
        2
    );
    let found = store
        .read(LOG, SHARD, 1, 10)
        .await
        .expect("memory can be read");
    assert_eq!(found.len(), 1, "what is told can be read");
    assert_eq!(positions(&store).await, [0, 1]);
}

#[tokio::test]
async fn what_could_not_be_looked_at_is_seen_with_the_retry() {
    let store = store();
    append(&store, command("a", NoStream, 1))
        .await
        .expect("it holds");
    store.faults().script([Some(UnknownAppliedThenGone)]);
    append(&store, command("a", Any, 2))
        .await
        .expect_err("its outcome is unknown");
    assert_eq!(place(append(&store, command("a", Any, 2)).await), (1, true));
    assert_eq!(*store.watch(LOG, SHARD).borrow(), 2);
    assert_eq!(positions(&store).await, [0, 1]);
}

#[tokio::test]
async fn a_transaction_that_cannot_be_opened_is_not_applied() {
    let store = store();
    store.faults().fail_to_begin(1);
    let answer = append(&store, command("a", NoStream, 1)).await;
    assert_eq!(outcome(&answer), Outcome::NotApplied);
    assert_eq!(
        place(append(&store, command("a", NoStream, 1)).await),
        (0, false)
    );
}

/// What becomes of a caller that waited behind one whose commit failed, where nobody
/// may wait for longer than that.
async fn behind_a_failure(
    fault: CommitFault,
    enqueue_deadline: Duration,
) -> Result<Appended, AppendError> {
    let clock = Arc::new(TestClock::default());
    let options = GroupOptions {
        enqueue_deadline,
        ..GroupOptions::default()
    };
    let store = Arc::new(store_by(clock.clone(), options));
    store.faults().script([Some(fault)]);
    let mut stall = clock.stall();
    let first = store.clone();
    let first = tokio::spawn(async move { append(&first, command("a", NoStream, 1)).await });
    stall.reached().await;
    let mut waiting = std::pin::pin!(append(&store, command("b", NoStream, 2)));
    assert!(futures::poll!(&mut waiting).is_pending(), "it waits");
    drop(stall);
    let failed = first.await.expect("no panic");
    assert_eq!(outcome(&failed), Outcome::NotApplied);
    let answer = waiting.await;
    let later = append(&store, command("c", NoStream, 3)).await;
    later.expect("the store holds again");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_waited_long_behind_a_failure_does_not_wait_for_another() {
    let refused = behind_a_failure(NotApplied, Duration::ZERO).await;
    assert_eq!(outcome(&refused), Outcome::NotApplied);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_came_just_now_is_not_refused_for_a_failure_before_it() {
    let taken = behind_a_failure(NotApplied, Duration::from_secs(3_600)).await;
    assert_eq!(place(taken), (0, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bug_in_one_append_refuses_nobody_behind_it() {
    let taken = behind_a_failure(Constraint, Duration::ZERO).await;
    assert_eq!(place(taken), (0, false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_writer_from_before_a_crash_commits_no_more() {
    let clock = Arc::new(TestClock::default());
    let shards = ShardCount::new(2).expect("2 is in range");
    let store = MemoryStore::open(&[LOG], shards, clock.clone(), GroupOptions::default(), None);
    let store = Arc::new(store);
    let mut stall = clock.stall();
    let old = store.clone();
    let caller =
        tokio::spawn(async move { old.append(vec![command("a", NoStream, 1)]).await.remove(0) });
    stall.reached().await;
    // It is in the midst of a transaction, where it cannot be stopped.
    let reopened = store.crash_and_reopen(clock, GroupOptions::default());
    drop(stall);
    caller
        .await
        .expect("no panic")
        .expect_err("its store has crashed");
    assert!(positions(&reopened).await.is_empty());
    assert_eq!(
        place(append(&reopened, command("a", NoStream, 1)).await),
        (0, false)
    );
    assert_eq!(positions(&reopened).await, [0]);
}
