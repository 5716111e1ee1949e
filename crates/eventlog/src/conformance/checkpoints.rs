//! Cases on checkpoints and guards.

use jiff::SignedDuration;

use super::bench::{Bench, CONSUMER, LOG, OTHER, VIEW, checkpoint, command, moved, row, set};
use crate::append::ExpectedVersion::{Any, NoStream};
use crate::append::{Append, AppendError, Appended, Checkpoint, Guard, HeadGuard};
use crate::shard::{LogName, Shard};

/// An append that moves a checkpoint and nothing else.
fn only(bench: &Bench, shard: Shard, from: u64, to: Checkpoint) -> Append {
    Append {
        checkpoint: Some(moved(shard, from, to)),
        ..Append::to(LOG, bench.shard("s"))
    }
}

pub(super) async fn checkpoint_and_views_commit_with_the_events(mut bench: Bench) {
    // The source's shard need not be the one that is appended to.
    let source = Shard(3);
    let key = row(VIEW, Shard(1), b"k");
    let append = Append {
        checkpoint: Some(moved(source, 0, checkpoint(5, 2))),
        views: vec![set(key.clone(), "v")],
        ..bench.one("s", NoStream)
    };
    bench.append(append.clone()).await.expect("it holds");
    // Its stream loses now, so neither checkpoint nor view may move.
    let losing = Append {
        checkpoint: Some(moved(source, 5, checkpoint(6, 2))),
        views: vec![set(key.clone(), "w")],
        ..bench.one("s", NoStream)
    };
    assert!(bench.append(losing).await.is_err());
    // And its checkpoint loses now, so neither event nor view may be there.
    let losing = Append {
        views: vec![set(key.clone(), "x")],
        ..append
    };
    let losing = Append {
        streams: bench.one("s", Any).streams,
        ..losing
    };
    assert!(matches!(
        bench.append(losing).await,
        Err(AppendError::CheckpointMoved { .. })
    ));
    for _ in 0..2 {
        assert_eq!(bench.versions("s").await, [0]);
        assert_eq!(bench.row(key.clone()).await.as_deref(), Some("v"));
        assert_eq!(
            bench.checkpoint(source).await,
            Some(checkpoint(5, 2)),
            "kept whole"
        );
        let all = bench
            .store()
            .checkpoints(CONSUMER)
            .await
            .expect("the store can be read");
        assert_eq!(all, [None, None, None, Some(checkpoint(5, 2))]);
        bench.crash().await;
    }
    let views = Append {
        checkpoint: Some(moved(source, 5, checkpoint(6, 2))),
        views: vec![set(key.clone(), "w")],
        ..Append::to(LOG, source)
    };
    let answer = bench
        .append(views)
        .await
        .expect("views and checkpoint can move by themselves");
    assert_eq!(answer.last, None);
    bench.crash().await;
    assert_eq!(bench.row(key).await.as_deref(), Some("w"));
    assert_eq!(bench.checkpoint(source).await, Some(checkpoint(6, 2)));
}

pub(super) async fn checkpoint_cas_fences(mut bench: Bench) {
    let shard = Shard(2);
    let step = |bench: &Bench, from, next, epoch| only(bench, shard, from, checkpoint(next, epoch));
    let refused = bench.append(step(&bench, 3, 4, 1)).await;
    assert!(matches!(
        refused,
        Err(AppendError::CheckpointMoved {
            expected: 3,
            actual: 0,
            ..
        })
    ));
    bench
        .append(step(&bench, 0, 4, 5))
        .await
        .expect("it starts");
    bench.crash().await;
    let behind = bench.append(step(&bench, 0, 4, 5)).await;
    assert!(matches!(
        behind,
        Err(AppendError::CheckpointMoved {
            consumer: CONSUMER,
            expected: 0,
            actual: 4,
            ..
        })
    ));
    let zombie = bench.append(step(&bench, 4, 5, 4)).await;
    assert!(
        matches!(zombie, Err(AppendError::CheckpointMoved { .. })),
        "an older lease is fenced"
    );
    assert_eq!(bench.checkpoint(shard).await, Some(checkpoint(4, 5)));
    // A new holder takes the shard over without moving on; the old one is out.
    bench
        .append(step(&bench, 4, 4, 6))
        .await
        .expect("a newer lease");
    let former = bench.append(step(&bench, 4, 5, 5)).await;
    assert!(matches!(former, Err(AppendError::CheckpointMoved { .. })));
    bench
        .append(step(&bench, 4, 5, 6))
        .await
        .expect("the holder moves on");
    assert_eq!(bench.checkpoint(shard).await, Some(checkpoint(5, 6)));
    assert_eq!(
        bench.checkpoint(Shard(1)).await,
        None,
        "each shard has its own"
    );
}

pub(super) async fn checkpoints_move_in_batch_order(bench: Bench) {
    let shard = Shard(0);
    let answers = bench
        .store()
        .append(vec![
            only(&bench, shard, 0, checkpoint(1, 1)),
            only(&bench, shard, 0, checkpoint(9, 1)),
            only(&bench, shard, 1, checkpoint(2, 1)),
            only(&bench, Shard(1), 0, checkpoint(7, 1)),
        ])
        .await;
    let held: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(held, [true, false, true, true]);
    assert_eq!(bench.checkpoint(shard).await, Some(checkpoint(2, 1)));
    assert_eq!(bench.checkpoint(Shard(1)).await, Some(checkpoint(7, 1)));
}

pub(super) async fn guards_refuse_outdated_decisions(bench: Bench) {
    let shard = Shard(1);
    let guarded = |next| {
        let guard = Guard {
            consumer: CONSUMER,
            shard,
            next,
        };
        Append {
            guards: vec![guard],
            command: Some(command("d", 2, 1)),
            ..bench.one("s", Any)
        }
    };
    let early = bench.append(guarded(3)).await;
    assert!(matches!(
        early,
        Err(AppendError::Outdated {
            consumer: CONSUMER,
            ..
        })
    ));
    bench
        .append(only(&bench, shard, 0, checkpoint(3, 1)))
        .await
        .expect("the consumer moves");
    let outdated = bench.append(guarded(0)).await;
    assert!(
        matches!(outdated, Err(AppendError::Outdated { .. })),
        "decided before the move"
    );
    // Within a batch, too: the consumer moves between decision and append.
    let answers = bench
        .store()
        .append(vec![
            only(&bench, shard, 3, checkpoint(4, 1)),
            guarded(3),
            guarded(4),
        ])
        .await;
    assert!(matches!(answers[1], Err(AppendError::Outdated { .. })));
    assert!(
        !answers[2].as_ref().expect("decided on what is").repeated,
        "a refusal is not remembered"
    );
    assert_eq!(bench.versions("s").await, [0]);
    let two = Append {
        guards: vec![
            Guard {
                consumer: CONSUMER,
                shard,
                next: 4,
            },
            Guard {
                consumer: CONSUMER,
                shard: Shard(2),
                next: 1,
            },
        ],
        ..bench.one("s", Any)
    };
    assert!(matches!(
        bench.append(two).await,
        Err(AppendError::Outdated {
            shard: Shard(2),
            ..
        })
    ));
    assert_eq!(bench.versions("s").await, [0]);
}

pub(super) async fn ends_of_logs_that_were_relied_on(mut bench: Bench) {
    let shard = bench.shard("s");
    let other = |stream| Append {
        log: OTHER,
        ..bench.one(stream, Any)
    };
    let relying = |log, shard, size| Append {
        heads: vec![HeadGuard { log, shard, size }],
        command: Some(command("d", 2, 1)),
        ..bench.one("s", Any)
    };
    let early = bench.append(relying(OTHER, shard, 1)).await;
    let log = OTHER.0;
    assert!(matches!(early, Err(AppendError::Outdated { consumer, .. }) if consumer == log));
    bench.append(other("s")).await.expect("the log grows");
    let outdated = bench.append(relying(OTHER, shard, 0)).await;
    assert!(
        matches!(outdated, Err(AppendError::Outdated { .. })),
        "decided before it grew"
    );
    // Within a batch, too, and times tell which was first.
    let batch = vec![
        relying(OTHER, shard, 1),
        other("s"),
        relying(OTHER, shard, 1),
    ];
    let answers = bench.store().append(batch).await;
    let [first, grown, repeated] = &answers[..] else {
        panic!("an answer each");
    };
    let time = |answer: &Result<Appended, AppendError>| {
        let last = answer.as_ref().expect("appended").last;
        last.expect("an event").recorded_at
    };
    assert!(time(first) < time(grown));
    assert!(repeated.as_ref().expect("it is known").repeated);
    let grown = Append {
        command: None,
        ..relying(OTHER, shard, 1)
    };
    let answers = bench.store().append(vec![other("s"), grown]).await;
    assert!(matches!(answers[1], Err(AppendError::Outdated { .. })));
    assert_eq!(bench.versions("s").await, [0]);
    // A log that is not here fails the one that relies on it, and no neighbour.
    let nowhere = relying(LogName("no-such-log"), shard, 0);
    let answers = bench.store().append(vec![nowhere, other("t")]).await;
    assert!(matches!(answers[0], Err(AppendError::Unavailable { .. })));
    assert!(answers[1].is_ok());
    // In a batch of its own, too, though the clock goes back and the store is opened again.
    let size = bench.records(OTHER, shard).await.len() as u64;
    let relied = Append {
        command: None,
        ..relying(OTHER, shard, size)
    };
    let later = other("s");
    let relied = bench.store().append(vec![relied]).await.remove(0);
    bench
        .clock
        .set(time(&relied) - SignedDuration::from_hours(1));
    bench.crash().await;
    let later = bench.store().append(vec![later]).await.remove(0);
    assert!(time(&relied) < time(&later));
}
