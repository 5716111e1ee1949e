//! Damage is noticed, and said where.

use tally_eventlog::store::LogSource as _;
use tally_store_sqlite::{OpenError, SqliteStore};
use uuid::Uuid;

use crate::common::{LOG, SHARD, append, command, open, options};
use crate::{directory, refusal, tamper};

#[tokio::test]
async fn a_damaged_head_is_noticed_on_opening() {
    for (statement, sign) in [
        (
            "UPDATE shard_head SET frontier = zeroblob(length(frontier)) WHERE size > 0",
            "checksum",
        ),
        (
            "UPDATE shard_head SET size = size + 1 WHERE shard = 1",
            "tree",
        ),
        (
            "UPDATE shard_head SET recorded_at = '1970-01-01T00:00:00Z' WHERE size > 0",
            "checksum",
        ),
        (
            "DELETE FROM shard_head WHERE log = 0 AND shard = 1",
            "missing",
        ),
        (
            "DELETE FROM event WHERE id = (SELECT max(id) FROM event)",
            "the last record is 1",
        ),
        (
            "UPDATE event SET record = x'00' WHERE id = (SELECT max(id) FROM event)",
            "record 2",
        ),
    ] {
        let directory = directory();
        let path = directory.path().join("store.db");
        let store = open(&path).await;
        for _ in 0..3 {
            append(&store, command(Uuid::now_v7())).await;
        }
        store.close().await.expect("it closes");
        tamper(&path, statement).await;
        let refused = refusal(options(&path)).await;
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
        let text = refused.to_string();
        assert!(
            text.contains("collection, shard 1") && text.contains(sign),
            "{statement}: {text}"
        );
    }
}

#[tokio::test]
async fn a_file_that_was_cut_off_says_what_to_do() {
    let directory = directory();
    let path = directory.path().join("store.db");
    let store = open(&path).await;
    for _ in 0..200 {
        append(&store, command(Uuid::now_v7())).await;
    }
    store.close().await.expect("it closes");
    let whole = std::fs::read(&path).expect("the file");
    let pages = whole.len() / 4_096;
    assert!(pages > 8, "{pages} pages");
    for cut in [100, 4_096, 4_097, whole.len() / 2, (pages - 1) * 4_096] {
        std::fs::write(&path, &whole[..cut]).expect("it is cut off");
        for refused in [
            SqliteStore::inspect(&path).await.map(drop),
            SqliteStore::open(options(&path)).await.map(drop),
        ] {
            let Err(refused) = refused else {
                panic!("opened with {cut} of {} bytes", whole.len());
            };
            assert!(
                matches!(refused, OpenError::Damaged { .. }),
                "{cut}: {refused:?}"
            );
            let text = refused.to_string();
            assert!(
                text.contains("put the store back from its backup"),
                "{text}"
            );
        }
    }
    std::fs::write(
        &path,
        "some other file, of more than a few bytes".repeat(20),
    )
    .expect("written");
    let refused = refusal(options(&path)).await;
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_row_that_belies_its_record_is_found() {
    let directory = directory();
    let path = directory.path().join("store.db");
    let store = SqliteStore::open(options(&path)).await.expect("it opens");
    for _ in 0..3 {
        append(&store, command(Uuid::now_v7())).await;
    }
    let rows = store.event_rows(LOG, SHARD, 0, 10).await.expect("rows");
    assert_eq!(
        rows.iter()
            .filter_map(|row| store.fault_in(LOG, row))
            .count(),
        0
    );
    assert_eq!(
        store.integrity_faults().await.expect("a check"),
        Vec::<String>::new()
    );
    tamper(&path, "UPDATE event SET version = 5 WHERE id & 255 = 0").await;
    tamper(
        &path,
        "UPDATE event SET stream = zeroblob(16) WHERE id & 255 = 1",
    )
    .await;
    tamper(&path, "UPDATE event SET record = x'ff' WHERE id & 255 = 2").await;
    let rows = store.event_rows(LOG, SHARD, 0, 10).await.expect("rows");
    let faults: Vec<_> = rows
        .iter()
        .filter_map(|row| store.fault_in(LOG, row))
        .collect();
    assert_eq!(
        faults
            .iter()
            .map(|fault| fault.position)
            .collect::<Vec<_>>(),
        [0, 1, 2]
    );
}

#[tokio::test]
async fn a_missing_record_is_an_error_and_not_a_shorter_answer() {
    let directory = directory();
    let path = directory.path().join("store.db");
    let store = open(&path).await;
    for _ in 0..3 {
        append(&store, command(Uuid::now_v7())).await;
    }
    store.close().await.expect("it closes");
    tamper(&path, "DELETE FROM event WHERE id & 255 = 1").await;
    let store = open(&path).await;
    let error = store
        .read(LOG, SHARD, 0, 10)
        .await
        .expect_err("a record is missing");
    assert!(
        error
            .to_string()
            .contains("record collection/1/1 is missing"),
        "{error}"
    );
    assert_eq!(
        store.read(LOG, SHARD, 2, 10).await.expect("it reads").len(),
        1
    );
    assert_eq!(
        store.read(LOG, SHARD, 3, 10).await.expect("it reads").len(),
        0
    );
}
