//! The key ring, archived and filled.

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Connection as _, PgConnection, Row as _};
use tally_eventlog::archive::keys::{
    KeyPart, KeyParts, KeySink, KeySource, KeyTarget, other_master,
};
use tally_eventlog::archive::{ArchiveError, counted};
use uuid::Uuid;

use super::PostgresKeyStore;
use super::rows::{find_check, insert_keys, insert_pseudonyms, keep_check, pseudonym, stream_key};

/// Rows per part.
const ROWS: i64 = 1_000;

#[async_trait]
impl KeySource for PostgresKeyStore {
    async fn read(&mut self, to: &mut dyn KeySink) -> Result<(), ArchiveError> {
        let mut connection = self.patient().await.map_err(ArchiveError::store)?;
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begun = sqlx::raw_sql(begin).execute(&mut connection).await;
        begun.map_err(ArchiveError::store)?;
        let check = find_check(&mut connection).await;
        if let Some(check) = check.map_err(ArchiveError::store)? {
            to.put(&KeyPart::Check(check))?;
        }
        let mut after: Vec<u8> = Vec::new();
        loop {
            let rows = sqlx::query(
                "SELECT lookup, key_id, wrapped FROM data_key WHERE lookup > $1 ORDER BY lookup LIMIT $2",
            );
            let rows = rows
                .bind(&after)
                .bind(ROWS)
                .fetch_all(&mut connection)
                .await;
            let keys: Result<Vec<_>, _> =
                rows.and_then(|rows| rows.iter().map(stream_key).collect());
            let keys = keys.map_err(ArchiveError::store)?;
            let Some(last) = keys.last() else { break };
            after = last.lookup.to_vec();
            to.put(&KeyPart::Keys(keys))?;
        }
        let mut after = None;
        loop {
            let ids: Result<Vec<Uuid>, _> = sqlx::query_scalar(
                "SELECT key_id FROM erased_key WHERE $1::uuid IS NULL OR key_id > $1 ORDER BY key_id LIMIT $2",
            )
            .bind(after)
            .bind(ROWS)
            .fetch_all(&mut connection)
            .await;
            let ids = ids.map_err(ArchiveError::store)?;
            let Some(last) = ids.last() else { break };
            after = Some(*last);
            to.put(&KeyPart::Erased(ids))?;
        }
        let mut after: (Vec<u8>, i16) = (Vec::new(), 0);
        loop {
            let rows = sqlx::query(
                "SELECT kind, lookup, id, wrapped FROM pseudonym \
                 WHERE (lookup, kind) > ($1, $2) ORDER BY lookup, kind LIMIT $3",
            );
            let rows = rows.bind(&after.0).bind(after.1).bind(ROWS);
            let rows = rows
                .fetch_all(&mut connection)
                .await
                .map_err(ArchiveError::store)?;
            let Some(last) = rows.last() else { break };
            let at = |row: &PgRow| Ok((row.try_get(1)?, row.try_get(0)?));
            after = at(last).map_err(|error: sqlx::Error| ArchiveError::store(error))?;
            let rows: Result<Vec<_>, _> = rows.iter().map(pseudonym).collect();
            to.put(&KeyPart::Pseudonyms(rows.map_err(ArchiveError::store)?))?;
        }
        connection.close().await.map_err(ArchiveError::store)
    }
}

#[async_trait]
impl KeyTarget for PostgresKeyStore {
    async fn load(&mut self, parts: &mut KeyParts) -> Result<(), ArchiveError> {
        let mut connection = self.patient().await.map_err(ArchiveError::store)?;
        // What fails ends with the connection.
        let begun = sqlx::raw_sql("BEGIN; LOCK TABLE master_check IN EXCLUSIVE MODE");
        begun
            .execute(&mut connection)
            .await
            .map_err(ArchiveError::store)?;
        let there: (i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM data_key), (SELECT count(*) FROM erased_key), \
                (SELECT count(*) FROM pseudonym)",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(ArchiveError::store)?;
        let there = counted(&[
            ("keys", there.0),
            ("erased keys", there.1),
            ("pseudonyms", there.2),
        ]);
        let what = "the key ring cannot be loaded, because it is not empty";
        ArchiveError::unless_none(what, there)?;
        while let Some(part) = parts.next_part()? {
            let taken = match part {
                KeyPart::Check(value) => check(&mut connection, value).await?,
                KeyPart::Keys(keys) => insert_keys(&mut connection, &keys).await.map(|_| ()),
                KeyPart::Erased(ids) => insert_erased(&mut connection, ids).await,
                KeyPart::Pseudonyms(rows) => insert_pseudonyms(&mut connection, &rows).await,
            };
            taken.map_err(ArchiveError::store)?;
        }
        let ended = sqlx::raw_sql("COMMIT").execute(&mut connection).await;
        ended.map_err(ArchiveError::store)?;
        connection.close().await.map_err(ArchiveError::store)
    }
}

impl PostgresKeyStore {
    /// A connection that takes as long as it takes.
    async fn patient(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.connector.connect_writer().await?;
        crate::archive::patient(&mut connection).await?;
        Ok(connection)
    }
}

/// The key ring may have been made under the master key already, not under another.
async fn check(
    connection: &mut PgConnection,
    value: [u8; 32],
) -> Result<Result<(), sqlx::Error>, ArchiveError> {
    let kept = find_check(connection).await.map_err(ArchiveError::store)?;
    match kept {
        Some(kept) if kept != value => Err(other_master()),
        Some(_) => Ok(Ok(())),
        None => Ok(keep_check(connection, &value).await),
    }
}

async fn insert_erased(connection: &mut PgConnection, ids: Vec<Uuid>) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO erased_key (key_id) SELECT * FROM unnest($1::uuid[])")
        .bind(ids)
        .execute(connection)
        .await
        .map(|_| ())
}
