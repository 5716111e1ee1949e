//! What is loaded besides records, commands and views.

use sqlx::PgConnection;
use tally_eventlog::archive::{CheckpointPart, StoreFacts};

use crate::logs::shard_column;
use crate::schema;

/// The clock is settled when a store is created, which for this one is now.
pub(super) async fn set_clock(
    to: &mut PgConnection,
    facts: &StoreFacts,
) -> Result<(), sqlx::Error> {
    match facts.ahead {
        Some(ahead) => schema::set_ahead(to, ahead).await,
        None => sqlx::query("DELETE FROM meta WHERE key = 'ahead'")
            .execute(to)
            .await
            .map(|_| ()),
    }
}

/// Writes checkpoints.
pub(super) async fn write_checkpoints(
    to: &mut PgConnection,
    checkpoints: &[CheckpointPart],
) -> Result<(), sqlx::Error> {
    let all = || checkpoints.iter().map(|one| &one.checkpoint);
    let consumers: Vec<&str> = checkpoints
        .iter()
        .map(|one| one.consumer.as_str())
        .collect();
    let shards: Vec<i16> = checkpoints
        .iter()
        .map(|one| shard_column(one.shard))
        .collect();
    let next: Vec<i64> = all().map(|at| at.next.cast_signed()).collect();
    let log_ids: Vec<_> = all().map(|at| at.log_id).collect();
    let leaves: Vec<&[u8]> = all().map(|at| &at.leaf[..]).collect();
    let seen: Vec<String> = all().map(|at| at.seen_at.to_string()).collect();
    let epochs: Vec<i64> = all().map(|at| at.epoch.cast_signed()).collect();
    let hints: Vec<Option<i64>> = all().map(|at| at.hint.map(u64::cast_signed)).collect();
    sqlx::query(
        "INSERT INTO checkpoint (consumer, shard, next, log_id, leaf, seen_at, epoch, hint) \
         SELECT * FROM unnest($1::text[], $2::smallint[], $3::bigint[], $4::uuid[], $5::bytea[], \
            $6::text[], $7::bigint[], $8::bigint[])",
    )
    .bind(consumers)
    .bind(shards)
    .bind(next)
    .bind(log_ids)
    .bind(leaves)
    .bind(seen)
    .bind(epochs)
    .bind(hints)
    .execute(to)
    .await
    .map(|_| ())
}
