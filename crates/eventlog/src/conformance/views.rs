//! Cases on rows of views.

use bytes::Bytes;

use super::bench::{Bench, CONSUMER, LOG, VIEW, checkpoint, moved, row, set};
use crate::append::{Append, ViewWrite};
use crate::shard::Shard;
use crate::store::prefix_end;

/// Views whose names begin alike.
const LONGER: &str = "conformance.view.longer";
const SHARD: Shard = Shard(1);

fn writes(views: Vec<ViewWrite>) -> Append {
    Append {
        views,
        ..Append::to(LOG, SHARD)
    }
}

fn delete(key: &[u8]) -> ViewWrite {
    ViewWrite {
        row: row(VIEW, SHARD, key),
        value: None,
    }
}

pub(super) async fn last_write_of_a_row_wins(mut bench: Bench) {
    let put = |key: &[u8], text: &str| set(row(VIEW, SHARD, key), text);
    bench
        .append_all(vec![writes(vec![put(b"old", "1"), put(b"gone", "1")])])
        .await;
    bench
        .append_all(vec![
            writes(vec![
                put(b"a", "1"),
                put(b"a", "2"),
                put(b"b", "1"),
                delete(b"gone"),
            ]),
            writes(vec![
                put(b"b", "2"),
                put(b"c", "1"),
                delete(b"old"),
                put(b"old", "2"),
            ]),
            writes(vec![
                delete(b"c"),
                put(b"d", "1"),
                delete(b"d"),
                delete(b"never"),
            ]),
            writes(vec![put(b"empty", "")]),
        ])
        .await;
    let expected = [("a", "2"), ("b", "2"), ("empty", ""), ("old", "2")];
    let expected = expected.map(|(key, value)| (Bytes::from(key), Bytes::from(value)));
    for _ in 0..2 {
        let rows = bench.store().scan(VIEW, SHARD, b"", None, 100).await;
        assert_eq!(rows.expect("the store can be read"), expected);
        assert_eq!(bench.row(row(VIEW, SHARD, b"c")).await, None);
        bench.crash().await;
    }
}

pub(super) async fn scan_is_ordered_and_bounded(bench: Bench) {
    // In the order of bytes; text or signed comparison would give another.
    let keys: [&[u8]; 9] = [
        b"",
        b"\0",
        b"\0\0",
        b"A",
        b"a",
        b"a\0",
        b"aa",
        b"b",
        b"\xff\xff",
    ];
    let mut puts: Vec<_> = keys
        .iter()
        .rev()
        .map(|key| set(row(VIEW, SHARD, key), "v"))
        .collect();
    puts.push(set(row(VIEW, Shard(0), b"a"), "other shard"));
    puts.push(set(row(VIEW, Shard(2), b"a"), "other shard"));
    puts.push(set(row(LONGER, SHARD, b"a"), "other view"));
    puts.push(set(row("conformance.vie", SHARD, b"a"), "other view"));
    bench.append_all(vec![writes(puts)]).await;
    let scan = async |from: &[u8], to: Option<&[u8]>, limit| {
        let rows = bench.store().scan(VIEW, SHARD, from, to, limit).await;
        let rows = rows.expect("the store can be read");
        assert!(rows.iter().all(|(_, value)| value == "v"));
        rows.into_iter()
            .map(|(key, _)| key.to_vec())
            .collect::<Vec<_>>()
    };
    assert_eq!(scan(b"", None, usize::MAX).await, keys);
    assert_eq!(scan(b"", None, 3).await, keys[..3]);
    assert!(scan(b"", None, 0).await.is_empty());
    assert_eq!(
        scan(b"a", Some(b"b"), 100).await,
        keys[4..7],
        "the end is not included"
    );
    assert_eq!(scan(b"a", Some(b"b"), 2).await, keys[4..6]);
    assert_eq!(
        scan(b"a\0", None, 100).await,
        keys[5..],
        "the start is included"
    );
    assert_eq!(
        scan(b"a", prefix_end(b"a").as_deref(), 100).await,
        keys[4..7]
    );
    assert_eq!(
        scan(b"\xff", prefix_end(b"\xff").as_deref(), 100).await,
        keys[8..]
    );
    assert!(scan(b"b", Some(b"a"), 100).await.is_empty());
    assert!(scan(b"c", Some(b"d"), 100).await.is_empty());
}

pub(super) async fn rows_are_answered_in_the_order_asked(bench: Bench) {
    let put = |view, shard, key: &[u8], text: &str| set(row(view, shard, key), text);
    bench
        .append_all(vec![writes(vec![
            put(VIEW, SHARD, b"a", "1"),
            put(VIEW, Shard(2), b"a", "2"),
            put(LONGER, SHARD, b"a", "3"),
            put(VIEW, SHARD, b"", "4"),
        ])])
        .await;
    let asked = [
        row(LONGER, SHARD, b"a"),
        row(VIEW, SHARD, b"missing"),
        row(VIEW, SHARD, b"a"),
        row(VIEW, SHARD, b""),
        row(VIEW, Shard(2), b"a"),
        row("conformance.unheard-of", SHARD, b"a"),
        row(VIEW, SHARD, b"a"),
    ];
    let rows = bench
        .store()
        .rows(&asked)
        .await
        .expect("the store can be read");
    let rows: Vec<_> = rows.iter().map(|value| value.as_deref()).collect();
    let text = |text: &'static str| Some(text.as_bytes());
    assert_eq!(
        rows,
        [
            text("3"),
            None,
            text("1"),
            text("4"),
            text("2"),
            None,
            text("1")
        ]
    );
}

pub(super) async fn snapshot_is_one_moment(bench: Bench) {
    const STEPS: u64 = 150;
    let store = bench.store().clone();
    let writer = tokio::spawn(async move {
        for step in 1..=STEPS {
            let views = vec![
                set(row(VIEW, SHARD, b"a"), &step.to_string()),
                set(row(LONGER, Shard(3), b"b"), &step.to_string()),
                set(row("conformance.other", SHARD, b"c"), &step.to_string()),
            ];
            let checkpoint = Some(moved(SHARD, step - 1, checkpoint(step, 1)));
            let append = Append {
                checkpoint,
                ..writes(views)
            };
            store
                .append(vec![append])
                .await
                .remove(0)
                .expect("the only writer");
        }
    });
    let mut seen = 0;
    while seen < STEPS {
        let snapshot = bench.store().snapshot(CONSUMER, &[LONGER, VIEW]).await;
        let snapshot = snapshot.expect("the store can be read");
        let Some((shard, checkpoint)) = snapshot.checkpoints.first() else {
            assert!(snapshot.rows.is_empty(), "rows without their checkpoint");
            continue;
        };
        assert_eq!((*shard, snapshot.checkpoints.len()), (SHARD, 1));
        let value = Bytes::from(checkpoint.next.to_string());
        let expected = [
            (row(VIEW, SHARD, b"a"), value.clone()),
            (row(LONGER, Shard(3), b"b"), value),
        ];
        assert_eq!(
            snapshot.rows, expected,
            "rows of another moment than the checkpoint"
        );
        assert!(checkpoint.next >= seen);
        seen = checkpoint.next;
    }
    writer.await.expect("no panic");
}
