//! Cases on commands that come again.

use bytes::Bytes;

use super::bench::{Bench, LOG, OTHER, VIEW, command, position, row, set, time};
use crate::append::ExpectedVersion::{Any, Exact, NoStream};
use crate::append::{Append, AppendError, Appended, CommandKey};
use crate::ids::first_at;

/// An append under a command, with a note, that would leave a trace each time.
fn of(bench: &Bench, key: &CommandKey) -> Append {
    Append {
        command: Some(key.clone()),
        note: Bytes::from_static(b"a note"),
        ..bench.many("s", Any, 2)
    }
}

pub(super) async fn repeated_command_id_returns_the_first_result(mut bench: Bench) {
    let key = command("d", 2, 1);
    let first = bench.append(of(&bench, &key)).await.expect("it holds");
    assert!(!first.repeated);
    assert_eq!(first.note, "a note");
    assert_eq!(position(&first), 1);
    bench
        .append(bench.one("s", Exact(1)))
        .await
        .expect("something else happens meanwhile");
    let expected = Appended {
        repeated: true,
        ..first
    };
    // What it would do now is not looked at: it would lose.
    let again = || Append {
        note: Bytes::from_static(b"other"),
        ..of(&bench, &key)
    };
    let losing = || {
        let mut append = again();
        append.streams[0].expected = NoStream;
        append.views = vec![set(row(VIEW, append.shard, b"k"), "x")];
        append
    };
    assert_eq!(bench.append(again()).await.expect("it is known"), expected);
    assert_eq!(bench.append(losing()).await.expect("it is known"), expected);
    let losing = losing();
    let again = again();
    bench.crash().await;
    assert_eq!(bench.append(losing).await.expect("it is known"), expected);
    assert_eq!(bench.append(again).await.expect("it is known"), expected);
    assert_eq!(bench.versions("s").await, [0, 1, 2]);
    assert_eq!(bench.row(row(VIEW, bench.shard("s"), b"k")).await, None);
    let found = bench
        .store()
        .remembered(LOG, &[key])
        .await
        .expect("the store can be read")
        .remove(0);
    let found = found.expect("it is remembered");
    assert_eq!(found.digest, [1; 32]);
    assert_eq!(
        found.first,
        Appended {
            repeated: false,
            ..expected
        }
    );
}

pub(super) async fn repeated_command_id_within_a_batch(bench: Bench) {
    let key = command("d", 2, 1);
    let other = CommandKey {
        digest: [9; 32],
        ..key.clone()
    };
    let answers = bench
        .store()
        .append(vec![of(&bench, &key), of(&bench, &key), of(&bench, &other)])
        .await;
    let first = answers[0].as_ref().expect("it holds");
    let second = answers[1].as_ref().expect("it is known");
    assert_eq!(
        *second,
        Appended {
            repeated: true,
            ..first.clone()
        }
    );
    assert!(matches!(answers[2], Err(AppendError::CommandReused { .. })));
    assert_eq!(bench.versions("s").await, [0, 1]);
}

pub(super) async fn command_id_with_other_content_is_refused(mut bench: Bench) {
    let key = command("d", 2, 1);
    bench.append(of(&bench, &key)).await.expect("it holds");
    let other = CommandKey {
        digest: [9; 32],
        ..key.clone()
    };
    for _ in 0..2 {
        let answer = bench.append(of(&bench, &other)).await;
        assert!(matches!(answer, Err(AppendError::CommandReused { id }) if id == key.id));
        bench.crash().await;
    }
    assert_eq!(bench.versions("s").await, [0, 1]);
    assert!(
        bench
            .append(of(&bench, &key))
            .await
            .expect("the first one stands")
            .repeated
    );
}

pub(super) async fn command_ids_are_per_department(bench: Bench) {
    let one = command("one", 2, 1);
    // Same id and, to be mean, a digest of its own: it is another command.
    let two = CommandKey {
        department: "two".to_owned(),
        digest: [2; 32],
        ..one.clone()
    };
    let mesh = CommandKey {
        department: String::new(),
        ..one.clone()
    };
    for key in [&one, &two, &mesh] {
        assert!(
            !bench
                .append(of(&bench, key))
                .await
                .expect("it holds")
                .repeated
        );
    }
    for key in [&one, &two, &mesh] {
        assert!(
            bench
                .append(of(&bench, key))
                .await
                .expect("it is known")
                .repeated
        );
    }
    assert_eq!(bench.versions("s").await.len(), 6);
    assert!(!bench.remembers(OTHER, &one).await, "and per log");
    let three = CommandKey {
        department: "three".to_owned(),
        ..one.clone()
    };
    assert!(!bench.remembers(LOG, &three).await);
}

pub(super) async fn refused_commands_are_not_remembered(bench: Bench) {
    let key = command("d", 2, 1);
    let mut early = of(&bench, &key);
    early.streams[0].expected = Exact(0);
    let refused = bench.append(early.clone()).await;
    assert!(matches!(
        refused,
        Err(AppendError::WrongExpectedVersion { .. })
    ));
    assert!(!bench.remembers(LOG, &key).await);
    bench
        .append(bench.one("s", NoStream))
        .await
        .expect("now it exists");
    assert!(
        !bench
            .append(early)
            .await
            .expect("it is decided afresh")
            .repeated
    );
    assert!(bench.remembers(LOG, &key).await);
}

pub(super) async fn forgotten_commands(mut bench: Bench) {
    let old = [command("d", 1, 1), command("e", 2, 2), command("", 3, 3)];
    let new = [command("d", 4, 4), command("e", 5, 5)];
    for key in old.iter().chain(&new) {
        bench.append(of(&bench, key)).await.expect("it holds");
    }
    let elsewhere = Append {
        log: OTHER,
        ..of(&bench, &old[0])
    };
    bench.append(elsewhere).await.expect("it holds");
    let border = first_at(time("2026-01-04T00:00:00Z"));
    let forgotten = bench
        .store()
        .forget_commands(border)
        .await
        .expect("the store can be written");
    assert_eq!(forgotten, 4, "three in one log, one in the other");
    bench.crash().await;
    for key in &old {
        assert!(!bench.remembers(LOG, key).await);
        assert!(!bench.remembers(OTHER, key).await);
    }
    for key in &new {
        assert!(
            bench
                .append(of(&bench, key))
                .await
                .expect("it is known")
                .repeated
        );
    }
    assert_eq!(
        bench
            .store()
            .forget_commands(border)
            .await
            .expect("the store can be written"),
        0
    );
    let again = bench
        .append(of(&bench, &old[0]))
        .await
        .expect("it is new to the store");
    assert!(!again.repeated);
    assert_eq!(
        bench.versions("s").await.len(),
        12,
        "events are never forgotten"
    );
}
