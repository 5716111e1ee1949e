//! Cases on group commit: what shares a transaction, and its bounds.

use std::collections::BTreeSet;
use std::time::Duration;

use super::bench::{Bench, CONSUMER, LOG, VIEW, command, name, payload, position, row, set};
use crate::append::ExpectedVersion::{Exact, NoStream};
use crate::append::{Append, AppendError};
use crate::group::GroupOptions;

pub(super) async fn waiting_appends_share_a_transaction(bench: Bench) {
    let mut stall = bench.clock.stall();
    let spawn = |append: Append| {
        let store = bench.store().clone();
        tokio::spawn(async move { store.append(vec![append]).await.remove(0) })
    };
    let first = spawn(bench.one("first", NoStream));
    stall.reached().await;
    let mut waiting: Vec<_> = (0..40)
        .map(|n| Box::pin(bench.append(bench.one(&format!("w{n}"), NoStream))))
        .collect();
    for append in &mut waiting {
        // Polled once, each is in the queue.
        assert!(futures::poll!(append.as_mut()).is_pending());
    }
    drop(stall);
    first.await.expect("no panic").expect("it holds");
    let answers = futures::future::join_all(waiting).await;
    let times = answers
        .into_iter()
        .map(|answer| answer.expect("it holds").last.expect("an event"));
    let times: BTreeSet<_> = times.map(|last| last.recorded_at).collect();
    assert_eq!(times.len(), 1, "each transaction has a time of its own");
}

pub(super) async fn big_batches_are_split(mut bench: Bench) {
    bench
        .reopen_with(GroupOptions {
            batch_appends_max: 4,
            ..GroupOptions::default()
        })
        .await;
    let transactions = |answers: &[crate::append::Appended]| {
        let times = answers
            .iter()
            .map(|answer| answer.last.expect("an event").recorded_at);
        times.collect::<BTreeSet<_>>().len()
    };
    // The stream is one and the same, so that a part out of order would lose.
    let appends = |bench: &Bench, from: u64| -> Vec<Append> {
        let expected =
            (from..from + 10).map(|version| version.checked_sub(1).map_or(NoStream, Exact));
        expected.map(|expected| bench.one("s", expected)).collect()
    };
    let answers = bench.append_all(appends(&bench, 0)).await;
    assert_eq!(transactions(&answers), 3, "by number");
    let one = appends(&bench, 0)[0].weight();
    let group = GroupOptions {
        batch_weight_max: 2 * one,
        ..GroupOptions::default()
    };
    bench.reopen_with(group).await;
    let answers = bench.append_all(appends(&bench, 10)).await;
    assert_eq!(transactions(&answers), 5, "by weight");
    assert_eq!(bench.versions("s").await, (0..20).collect::<Vec<_>>());
    let huge = bench.many("huge", NoStream, 10);
    bench
        .append(huge)
        .await
        .expect("one append is never split, however heavy");
    assert_eq!(bench.versions("huge").await.len(), 10);
}

pub(super) async fn queue_bound_refuses_with_busy(mut bench: Bench) {
    let weight = bench.one("a", NoStream).weight();
    let group = GroupOptions {
        queue_weight_max: weight + 10,
        enqueue_deadline: Duration::from_millis(10),
        ..GroupOptions::default()
    };
    bench.reopen_with(group).await;
    let mut stall = bench.clock.stall();
    let mut first = Box::pin(bench.append(bench.one("a", NoStream)));
    assert!(futures::poll!(first.as_mut()).is_pending());
    stall.reached().await;
    let refused = bench
        .store()
        .append(vec![bench.one("b", NoStream), bench.one("c", NoStream)])
        .await;
    assert_eq!(refused.len(), 2);
    assert!(
        refused
            .iter()
            .all(|answer| matches!(answer, Err(AppendError::Busy)))
    );
    drop(stall);
    first.await.expect("what had a place is applied");
    assert_eq!(bench.total(LOG).await, 1, "what was refused is not applied");
    bench
        .append(bench.one("b", NoStream))
        .await
        .expect("there is room again");
    let heavy = bench.many("heavy", NoStream, 20);
    bench
        .append(heavy)
        .await
        .expect("what exceeds the bound by itself goes alone");
}

pub(super) async fn hundreds_at_once(bench: Bench) {
    // More than stores put into one statement, and not a multiple of it.
    const COUNT: u64 = 1_013;
    let shard = bench.shard("x");
    let appends = (0..COUNT).map(|n| Append {
        shard,
        command: Some(crate::append::CommandKey {
            id: uuid::Uuid::from_u128(u128::from(n) + 1),
            ..command("d", 2, 1)
        }),
        views: vec![set(row(VIEW, shard, &n.to_be_bytes()), &n.to_string())],
        ..bench.one(&format!("s{n}"), NoStream)
    });
    let appends: Vec<Append> = appends.collect();
    let answers = bench.append_all(appends.clone()).await;
    assert_eq!(
        answers.iter().map(position).collect::<Vec<_>>(),
        (0..COUNT).collect::<Vec<_>>()
    );
    let again = bench.append_all(appends.clone()).await;
    assert!(
        again
            .iter()
            .zip(&answers)
            .all(|(again, first)| again.repeated && again.last == first.last)
    );

    let streams: Vec<_> = (0..COUNT).rev().map(|n| name(&format!("s{n}"))).collect();
    let histories = bench
        .store()
        .read_streams(LOG, &streams)
        .await
        .expect("the store can be read");
    assert_eq!(histories.len(), streams.len());
    for (stream, history) in streams.iter().zip(&histories) {
        assert_eq!(history.len(), 1);
        assert_eq!(payload(LOG, &history[0]), format!("{} 0", stream.id));
    }
    let keys: Vec<_> = appends
        .iter()
        .filter_map(|append| append.command.clone())
        .collect();
    let found = bench
        .store()
        .remembered(LOG, &keys)
        .await
        .expect("the store can be read");
    assert!(
        found
            .iter()
            .zip(&answers)
            .all(|(found, first)| { found.as_ref().is_some_and(|found| found.first == *first) })
    );
    let rows: Vec<_> = (0..COUNT)
        .map(|n| row(VIEW, shard, &n.to_be_bytes()))
        .collect();
    let values = bench
        .store()
        .rows(&rows)
        .await
        .expect("the store can be read");
    assert!(values.iter().zip(0..COUNT).all(|(value, n)| {
        value
            .as_ref()
            .is_some_and(|value| value[..] == *n.to_string().as_bytes())
    }));
    assert_eq!(bench.records(LOG, shard).await.len() as u64, COUNT);
}

pub(super) async fn nothing_asked_nothing_done(bench: Bench) {
    let shard = bench.shard("s");
    assert!(bench.store().append(Vec::new()).await.is_empty());
    let answer = bench
        .append(Append::to(LOG, shard))
        .await
        .expect("nothing can be done");
    assert_eq!((answer.last, answer.repeated), (None, false));
    let read = "the store can be read";
    assert!(
        bench
            .store()
            .read_streams(LOG, &[])
            .await
            .expect(read)
            .is_empty()
    );
    assert_eq!(
        bench
            .store()
            .read_streams(LOG, &[name("s")])
            .await
            .expect(read),
        [vec![]]
    );
    assert!(
        bench
            .store()
            .remembered(LOG, &[])
            .await
            .expect(read)
            .is_empty()
    );
    assert!(bench.store().rows(&[]).await.expect(read).is_empty());
    assert!(
        bench
            .store()
            .read(LOG, shard, 0, 10)
            .await
            .expect(read)
            .is_empty()
    );
    assert!(
        bench
            .store()
            .read(LOG, shard, 99, 10)
            .await
            .expect(read)
            .is_empty()
    );
    assert_eq!(
        bench.store().checkpoints(CONSUMER).await.expect(read),
        [None, None, None, None]
    );
    assert!(
        bench
            .store()
            .snapshot(CONSUMER, &[])
            .await
            .expect(read)
            .rows
            .is_empty()
    );
    assert_eq!(bench.total(LOG).await, 0);
}
