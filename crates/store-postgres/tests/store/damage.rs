//! Damage is noticed, and said where.

use tally_eventlog::append::{AppendError, Outcome};
use tally_eventlog::store::{EventStore as _, LogSource as _};
use tally_store_postgres::OpenError;
use uuid::Uuid;

use crate::common::{LOG, SHARD, Schema, append, command};
use crate::refusal;

#[tokio::test]
async fn a_damaged_head_is_noticed_on_opening() {
    for (statement, sign) in [
        (
            "UPDATE shard_head SET frontier = decode(repeat('00', length(frontier)), 'hex') WHERE size > 0",
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
            "record 2 is missing",
        ),
        (
            "UPDATE event SET record = '\\x00' WHERE id = (SELECT max(id) FROM event)",
            "record 2",
        ),
        (
            "INSERT INTO event SELECT id + 1, month, gen_random_uuid(), 0, leaf, record FROM event \
             ORDER BY id DESC LIMIT 1",
            "the last record is 3",
        ),
    ] {
        let schema = Schema::with_store().await;
        let store = schema.open().await;
        for _ in 0..3 {
            append(&store, command(Uuid::now_v7())).await;
        }
        store.close().await;
        schema.run(statement).await;
        let refused = refusal(schema.options()).await;
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
        let text = refused.to_string();
        assert!(
            text.contains("collection, shard 1") && text.contains(sign),
            "{statement}: {text}"
        );
    }
}

#[tokio::test]
async fn nothing_is_built_on_a_head_that_was_damaged_since() {
    let schema = Schema::with_store().await;
    let store = schema.open().await;
    append(&store, command(Uuid::now_v7())).await;
    schema
        .run("UPDATE shard_head SET leaf = decode(repeat('00', 32), 'hex') WHERE size > 0")
        .await;
    let refused = store.append(vec![command(Uuid::now_v7())]).await.remove(0);
    let Err(AppendError::Unavailable { source, outcome }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(outcome, Outcome::NotApplied);
    assert!(
        source.to_string().contains("collection, shard 1"),
        "{source}"
    );
    let error = store.heads(LOG).await.expect_err("it is damaged");
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[tokio::test]
async fn a_missing_record_is_an_error_and_not_a_shorter_answer() {
    let schema = Schema::with_store().await;
    let store = schema.open().await;
    for _ in 0..3 {
        append(&store, command(Uuid::now_v7())).await;
    }
    schema.run("DELETE FROM event WHERE id & 255 = 1").await;
    let store = schema.open().await;
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
