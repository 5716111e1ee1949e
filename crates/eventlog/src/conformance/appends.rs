//! Cases on appends: versions, batches and bounds.

use std::collections::BTreeMap;

use super::bench::{
    Bench, LOG, OTHER, VIEW, checkpoint, command, decode, event, moved, name, position, row, set,
};
use crate::append::ExpectedVersion::{Any, Exact, NewByCommand, NoStream};
use crate::append::{Append, AppendError, Outcome, StreamAppend};
use crate::shard::Shard;

pub(super) async fn concurrent_appends_lose_nothing(bench: Bench) {
    const STREAMS: u64 = 48;
    const VERSIONS: u64 = 12;
    let mut writers = tokio::task::JoinSet::new();
    for stream in (0..STREAMS).map(|n| format!("s{n}")) {
        let appends = (0..VERSIONS)
            .map(|version| version.checked_sub(1).map_or(NoStream, Exact))
            .map(|expected| bench.one(&stream, expected));
        let appends: Vec<Append> = appends.collect();
        let store = bench.store().clone();
        writers.spawn(async move {
            for append in appends {
                let answer = store.append(vec![append]).await.remove(0);
                assert!(!answer.expect("its writer is the only one").repeated);
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.expect("no writer panics");
    }
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for shard in bench.shards() {
        for record in bench.records(LOG, shard).await {
            let envelope = decode(LOG, &record).envelope;
            assert_eq!(bench.shard(&envelope.stream_id), shard);
            found
                .entry(envelope.stream_id)
                .or_default()
                .push(envelope.version);
        }
    }
    assert_eq!(found.len() as u64, STREAMS);
    for (stream, versions) in found {
        assert_eq!(versions, (0..VERSIONS).collect::<Vec<_>>(), "{stream}");
        assert_eq!(bench.versions(&stream).await, versions, "{stream}");
    }
}

pub(super) async fn expected_versions_in_batch_order(bench: Bench) {
    let answers = bench
        .store()
        .append(vec![
            bench.one("s", Exact(0)),
            bench.one("s", NoStream),
            bench.many("s", Exact(0), 2),
            bench.one("s", Exact(1)),
            bench.one("s", Any),
            bench.one("s", Exact(3)),
        ])
        .await;
    let held: Vec<bool> = answers.iter().map(Result::is_ok).collect();
    assert_eq!(held, [false, true, true, false, true, true]);
    assert!(matches!(
        answers[0],
        Err(AppendError::WrongExpectedVersion { actual: None, .. })
    ));
    assert!(matches!(
        &answers[3],
        Err(AppendError::WrongExpectedVersion { actual: Some(2), expected: Exact(1), stream })
            if *stream == name("s")
    ));
    assert_eq!(bench.versions("s").await, [0, 1, 2, 3, 4]);
    let late = bench.append(bench.one("s", Exact(3))).await;
    assert!(matches!(
        late,
        Err(AppendError::WrongExpectedVersion {
            actual: Some(4),
            ..
        })
    ));
}

pub(super) async fn loser_leaves_neighbours_untouched(bench: Bench) {
    let shard = bench.shard("a");
    let on_shard = |stream: &str, expected| Append {
        shard,
        ..bench.one(stream, expected)
    };
    let lost = command("d", 2, 1);
    let loser = Append {
        command: Some(lost.clone()),
        streams: vec![
            StreamAppend {
                stream: name("b"),
                expected: NoStream,
                events: vec![event("b")],
            },
            StreamAppend {
                stream: name("c"),
                expected: Exact(7),
                events: vec![event("c")],
            },
        ],
        checkpoint: Some(moved(shard, 0, checkpoint(1, 1))),
        views: vec![set(row(VIEW, shard, b"loser"), "x")],
        ..Append::to(LOG, shard)
    };
    let answers = bench
        .store()
        .append(vec![
            on_shard("a", NoStream),
            loser,
            on_shard("d", NoStream),
        ])
        .await;
    assert!(matches!(
        answers[1],
        Err(AppendError::WrongExpectedVersion { .. })
    ));
    let place = |n: usize| position(answers[n].as_ref().expect("a neighbour is untouched"));
    assert_eq!((place(0), place(2)), (0, 1));
    assert_eq!(bench.payloads(LOG, shard).await, ["a 0", "d 0"]);
    assert!(bench.versions("b").await.is_empty());
    assert_eq!(bench.row(row(VIEW, shard, b"loser")).await, None);
    assert_eq!(bench.checkpoint(shard).await, None);
    assert!(!bench.remembers(LOG, &lost).await);
    bench
        .append(on_shard("b", NoStream))
        .await
        .expect("the loser left no trace");
}

pub(super) async fn no_stream_twice_in_one_batch(bench: Bench) {
    let answers = bench
        .store()
        .append(vec![bench.one("s", NoStream), bench.one("s", NoStream)])
        .await;
    assert!(answers[0].is_ok());
    assert!(matches!(
        answers[1],
        Err(AppendError::WrongExpectedVersion {
            actual: Some(0),
            ..
        })
    ));
    assert_eq!(bench.versions("s").await, [0]);
}

pub(super) async fn a_stream_twice_in_one_append(bench: Bench) {
    let part = |expected, text: &str| StreamAppend {
        stream: name("s"),
        expected,
        events: vec![event(text)],
    };
    let twice = |first, second| Append {
        streams: vec![part(first, "first"), part(second, "second")],
        ..Append::to(LOG, bench.shard("s"))
    };
    let answer = bench.append(twice(NoStream, NoStream)).await;
    assert!(matches!(
        answer,
        Err(AppendError::WrongExpectedVersion {
            actual: Some(0),
            ..
        })
    ));
    assert!(bench.versions("s").await.is_empty());
    bench
        .append(twice(NoStream, Exact(0)))
        .await
        .expect("the second part sees the first");
    assert_eq!(bench.versions("s").await, [0, 1]);
    assert_eq!(
        bench.payloads(LOG, bench.shard("s")).await,
        ["first", "second"]
    );
}

pub(super) async fn a_stream_named_after_its_command(bench: Bench) {
    let of = |stream: &str, key: u8| Append {
        command: Some(command("d", 2, key)),
        ..bench.many(stream, NewByCommand, 2)
    };
    let answers = bench
        .append_all(vec![of("s", 1), of("s", 1), of("t", 2)])
        .await;
    assert_eq!(
        answers
            .iter()
            .map(|answer| answer.repeated)
            .collect::<Vec<_>>(),
        [false, true, false]
    );
    assert!(
        bench
            .append(of("s", 1))
            .await
            .expect("it is known")
            .repeated
    );
    assert_eq!(bench.versions("s").await, [0, 1]);
    // Against what the caller has promised: the store's keys refuse it.
    let answers = bench
        .store()
        .append(vec![of("u", 3), of("s", 4), bench.one("t", Exact(1))])
        .await;
    assert!(matches!(
        answers[1],
        Err(AppendError::Unavailable {
            outcome: Outcome::NotApplied,
            ..
        })
    ));
    assert!(
        answers[0].is_ok() && answers[2].is_ok(),
        "neighbours are untouched"
    );
    assert!(!bench.remembers(LOG, &command("d", 2, 4)).await);
    assert_eq!(bench.versions("s").await, [0, 1]);
    assert_eq!(bench.versions("t").await, [0, 1, 2]);
}

pub(super) async fn logs_are_apart(bench: Bench) {
    let shard = bench.shard("s");
    let key = command("d", 2, 1);
    let on = |log| Append {
        log,
        command: Some(key.clone()),
        ..bench.one("s", NoStream)
    };
    let answers = bench.append_all(vec![on(LOG), on(OTHER)]).await;
    assert!(
        answers
            .iter()
            .all(|answer| position(answer) == 0 && !answer.repeated)
    );
    assert_ne!(answers[0].log_id, answers[1].log_id);
    for (log, answer) in [LOG, OTHER].into_iter().zip(&answers) {
        let records = bench.records(log, shard).await;
        assert_eq!(records.len(), 1);
        assert_eq!(decode(log, &records[0]).log_id, answer.log_id);
        assert_eq!(bench.total(log).await, 1);
    }
    let elsewhere = Append {
        log: crate::shard::LogName("no-such-log"),
        ..on(LOG)
    };
    let no_shard = Append {
        shard: Shard(4),
        ..on(LOG)
    };
    let answers = bench
        .store()
        .append(vec![elsewhere, bench.one("t", NoStream), no_shard])
        .await;
    for unknown in [&answers[0], &answers[2]] {
        let outcome = Outcome::NotApplied;
        assert!(
            matches!(unknown, Err(AppendError::Unavailable { outcome: found, .. }) if *found == outcome)
        );
    }
    assert!(answers[1].is_ok(), "a neighbour is untouched");
}
