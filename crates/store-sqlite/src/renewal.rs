//! The ids of logs, over the restores of the store.

use sqlx::sqlite::SqlitePool;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tally_eventlog::encoding::former_ids;
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::FormerId;
use uuid::Uuid;

use crate::known::{Log, Logs, load_heads};
use crate::lock::StoreLock;
use crate::options::OpenError;
use crate::schema::{self, Wish};
use crate::store::write_options;
use crate::write::insert_heads;

/// Gives every log of a closed store a new id from here on. What is recorded stays
/// as it is, and its ids are kept beside it.
pub(crate) async fn renew(wish: &Wish<'_>) -> Result<(), OpenError> {
    let _lock = StoreLock::acquire(wish.path)?;
    let mut connection = write_options(wish.path).connect().await?;
    let mut renewing = connection.begin_with("BEGIN IMMEDIATE").await?;
    let logs = schema::prepare(&mut renewing, wish).await?.logs;
    for log in &logs.all {
        renew_log(&mut renewing, log, &logs).await?;
    }
    renewing.commit().await?;
    connection.close().await?;
    Ok(())
}

async fn renew_log(
    connection: &mut SqliteConnection,
    log: &Log,
    logs: &Logs,
) -> Result<(), OpenError> {
    let mut heads = load_heads(connection, log, logs.shards).await?;
    let number: i64 =
        sqlx::query_scalar("SELECT coalesce(max(number) + 1, 0) FROM former_log_id WHERE log = ?")
            .bind(log.number)
            .fetch_one(&mut *connection)
            .await?;
    for (shard, head) in logs.shards.all().zip(&heads) {
        insert_former(connection, log.number, number, shard, log.id, head.size()).await?;
    }
    let id = Uuid::new_v4();
    sqlx::query("UPDATE log SET log_id = ? WHERE number = ?")
        .bind(id.as_bytes().as_slice())
        .bind(log.number)
        .execute(&mut *connection)
        .await?;
    // The id is under the checksums.
    heads.iter_mut().for_each(|head| head.log_id = id);
    let rows: Vec<(u8, Shard, &Head)> = logs
        .shards
        .all()
        .zip(&heads)
        .map(|(shard, head)| (log.number, shard, head))
        .collect();
    insert_heads(connection, &rows).await?;
    Ok(())
}

/// Keeps how many records of a shard are left of the `number`th id of a log.
pub(crate) async fn insert_former(
    connection: &mut SqliteConnection,
    log: u8,
    number: i64,
    shard: Shard,
    id: Uuid,
    size: u64,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO former_log_id (log, number, shard, log_id, size) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(log)
    .bind(number)
    .bind(shard.0)
    .bind(id.as_bytes().as_slice())
    .bind(size.cast_signed())
    .execute(connection)
    .await
    .map(|_| ())
}

/// The ids that a log had before.
pub(crate) async fn former(readers: SqlitePool, number: u8) -> Result<Vec<FormerId>, sqlx::Error> {
    former_of(&mut *readers.acquire().await?, number).await
}

/// The same, on a connection.
pub(crate) async fn former_of(
    connection: &mut SqliteConnection,
    number: u8,
) -> Result<Vec<FormerId>, sqlx::Error> {
    let rows: Vec<(i64, Vec<u8>, i64)> = sqlx::query_as(
        "SELECT number, log_id, size FROM former_log_id WHERE log = ? ORDER BY number, shard",
    )
    .bind(number)
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter().map(|(number, id, size)| {
        let id = Uuid::from_slice(&id).map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok((number, id, size.cast_unsigned()))
    });
    Ok(former_ids(rows.collect::<Result<Vec<_>, sqlx::Error>>()?))
}
