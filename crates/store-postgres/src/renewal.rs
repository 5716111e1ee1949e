//! The ids of logs, over the restores of the store.

use sqlx::postgres::PgPool;
use sqlx::{Connection as _, PgConnection};
use tally_eventlog::encoding::{former_ids, head_checksum};
use tally_eventlog::shard::LogName;
use tally_eventlog::store::FormerId;
use uuid::Uuid;

use crate::connect::Connector;
use crate::heads::verified_heads;
use crate::logs::{Log, Logs, shard_column};
use crate::options::OpenError;
use crate::schema;

/// Gives logs of a store that nobody has open a new id from here on. What is
/// recorded stays as it is, and its ids are kept beside it.
pub(crate) async fn renew(connector: &Connector, names: &[LogName]) -> Result<(), OpenError> {
    let mut connection = connector.connect_writer().await?;
    let mut renewing = connection.begin().await?;
    let logs = schema::logs(&mut renewing, &connector.schema, names).await?;
    for log in &logs.all {
        renew_log(&mut renewing, log, &logs).await?;
    }
    // A store that was being filled has its new ids with the moment that it can be opened.
    schema::end_unfinished(&mut renewing).await?;
    renewing.commit().await?;
    connection.close().await?;
    Ok(())
}

/// Lets a store be opened whose content was loaded, and read back, under its old ids.
pub(crate) async fn settle(connector: &Connector) -> Result<(), OpenError> {
    let mut connection = connector.connect_writer().await?;
    schema::STORE
        .verify(&mut connection, &connector.schema)
        .await?;
    schema::end_unfinished(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

async fn renew_log(connection: &mut PgConnection, log: &Log, logs: &Logs) -> Result<(), OpenError> {
    let heads = verified_heads(connection, log, logs).await?;
    let shards: Vec<i16> = logs.shards.all().map(shard_column).collect();
    let sizes: Vec<i64> = heads.iter().map(|head| head.size().cast_signed()).collect();
    sqlx::query(
        "INSERT INTO former_log_id (log, number, shard, log_id, size) \
         SELECT $1, f.number, w.shard, $2, w.size \
         FROM unnest($3::smallint[], $4::bigint[]) w(shard, size), \
           (SELECT coalesce(max(number) + 1, 0)::smallint AS number \
            FROM former_log_id WHERE log = $1) f",
    )
    .bind(i16::from(log.number))
    .bind(log.id)
    .bind(&shards)
    .bind(sizes)
    .execute(&mut *connection)
    .await?;
    let id = Uuid::new_v4();
    sqlx::query("UPDATE log SET log_id = $1 WHERE number = $2")
        .bind(id)
        .bind(i16::from(log.number))
        .execute(&mut *connection)
        .await?;
    // The id is under the checksums.
    let checksums: Vec<[u8; 32]> = logs
        .shards
        .all()
        .zip(heads)
        .map(|(shard, mut head)| {
            head.log_id = id;
            head_checksum(shard, &head)
        })
        .collect();
    sqlx::query(
        "UPDATE shard_head h SET checksum = w.checksum \
         FROM unnest($2::smallint[], $3::bytea[]) w(shard, checksum) \
         WHERE h.log = $1 AND h.shard = w.shard",
    )
    .bind(i16::from(log.number))
    .bind(shards)
    .bind(checksums)
    .execute(connection)
    .await?;
    Ok(())
}

/// The ids that a log had before.
pub(crate) async fn former(pool: PgPool, number: u8) -> Result<Vec<FormerId>, sqlx::Error> {
    former_of(&mut *pool.acquire().await?, number).await
}

/// The same, on a connection.
pub(crate) async fn former_of(
    connection: &mut PgConnection,
    number: u8,
) -> Result<Vec<FormerId>, sqlx::Error> {
    let rows: Vec<(i16, Uuid, i64)> = sqlx::query_as(
        "SELECT number, log_id, size FROM former_log_id WHERE log = $1 ORDER BY number, shard",
    )
    .bind(i16::from(number))
    .fetch_all(connection)
    .await?;
    let rows = rows.into_iter();
    Ok(former_ids(rows.map(|(number, id, size)| {
        (i64::from(number), id, size.cast_unsigned())
    })))
}
