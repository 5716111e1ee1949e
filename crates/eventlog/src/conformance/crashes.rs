//! Cases on crashes and lost answers.

use std::sync::Arc;

use super::bench::{Bench, LOG, VIEW, command, position, row, set};
use crate::append::ExpectedVersion::Any;
use crate::append::{Append, AppendError, Appended, CommandKey};
use crate::store::EventStore;

/// Loses the caller; when this returns it is gone and its answer unread.
async fn lose(caller: tokio::task::JoinHandle<Answer>) {
    caller.abort();
    // Whether it was cancelled or had its answer already does not matter.
    let _ = caller.await;
}

type Answer = Result<Appended, AppendError>;

/// Appends in a task, so that the caller can be lost.
fn spawn(store: Arc<dyn EventStore>, append: Append) -> tokio::task::JoinHandle<Answer> {
    tokio::spawn(async move { store.append(vec![append]).await.remove(0) })
}

fn of(bench: &Bench, key: &CommandKey) -> Append {
    Append {
        command: Some(key.clone()),
        views: vec![set(row(VIEW, bench.shard("s"), key.id.as_bytes()), "done")],
        ..bench.one("s", Any)
    }
}

pub(super) async fn crash_between_append_and_reply(mut bench: Bench) {
    let key = command("d", 2, 1);
    let shard = bench.shard("s");
    let mut size = bench.store().watch(LOG, shard);
    let caller = spawn(bench.store().clone(), of(&bench, &key));
    size.wait_for(|size| *size == 1)
        .await
        .expect("the store is open");
    lose(caller).await;
    bench.crash().await;
    assert_eq!(
        bench.versions("s").await,
        [0],
        "what was visible is there after a crash"
    );
    let again = bench.append(of(&bench, &key)).await.expect("it is known");
    assert!(again.repeated);
    assert_eq!(position(&again), 0);
    assert_eq!(bench.versions("s").await, [0]);
}

pub(super) async fn crash_before_the_commit(mut bench: Bench) {
    let key = command("d", 2, 1);
    bench
        .append(bench.one("s", Any))
        .await
        .expect("any version is right");
    let mut stall = bench.clock.stall();
    let caller = spawn(bench.store().clone(), of(&bench, &key));
    stall.reached().await;
    lose(caller).await;
    // The transaction is open. The crash stops the writer at its next step.
    drop(stall);
    bench.crash().await;
    // The writer may have been faster than the crash: then all of it is there.
    let there = bench.versions("s").await.len();
    assert_eq!(bench.remembers(LOG, &key).await, there == 2);
    let again = bench
        .append(of(&bench, &key))
        .await
        .expect("retried, it stands");
    assert_eq!((again.repeated, position(&again)), (there == 2, 1));
    assert_eq!(bench.versions("s").await, [0, 1]);
    assert_eq!(bench.records(LOG, bench.shard("s")).await.len(), 2);
}

pub(super) async fn unknown_outcome_is_resolved_by_retry(mut bench: Bench) {
    const ROUNDS: u8 = 12;
    const COMMANDS: u8 = 10;
    let shard = bench.shard("s");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let keys: Vec<CommandKey> = (0..COMMANDS)
            .map(|n| command("d", 2, round * COMMANDS + n))
            .collect();
        let mut callers: Vec<_> = keys
            .iter()
            .map(|key| spawn(bench.store().clone(), of(&bench, key)))
            .collect();
        // The crash comes at another moment each time: after as many answers.
        for caller in callers.drain(..usize::from(round % COMMANDS)) {
            let answer = caller.await.expect("no panic").expect("it holds");
            acknowledged.push(position(&answer));
        }
        for caller in callers {
            lose(caller).await;
        }
        bench.crash().await;
        let mut places = Vec::new();
        for key in &keys {
            let answer = bench
                .append(of(&bench, key))
                .await
                .expect("retried, it stands");
            places.push(position(&answer));
        }
        places.sort_unstable();
        places.dedup();
        assert_eq!(
            places.len(),
            usize::from(COMMANDS),
            "each has an event of its own"
        );
        let size = u64::from(round + 1) * u64::from(COMMANDS);
        assert_eq!(
            bench.total(LOG).await,
            size,
            "each was applied exactly once"
        );
        assert!(acknowledged.iter().all(|position| *position < size));
    }
    let size = u64::from(ROUNDS) * u64::from(COMMANDS);
    assert_eq!(bench.versions("s").await, (0..size).collect::<Vec<_>>());
    let rows = bench.store().scan(VIEW, shard, b"", None, usize::MAX).await;
    assert_eq!(rows.expect("the store can be read").len() as u64, size);
}

pub(super) async fn abandoned_caller_leaves_the_log_whole(bench: Bench) {
    let key = command("d", 2, 1);
    let mut stall = bench.clock.stall();
    let mut first = Box::pin(bench.append(of(&bench, &key)));
    assert!(futures::poll!(first.as_mut()).is_pending());
    stall.reached().await;
    let mut second = Box::pin(bench.append(of(&bench, &command("d", 2, 2))));
    assert!(futures::poll!(second.as_mut()).is_pending());
    drop(first);
    drop(stall);
    assert_eq!(
        position(&second.await.expect("it holds")),
        1,
        "the abandoned one was before it"
    );
    let again = bench.append(of(&bench, &key)).await.expect("it is known");
    assert_eq!((again.repeated, position(&again)), (true, 0));
    assert_eq!(bench.versions("s").await, [0, 1]);
}
