//! The key ring, archived and filled.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row as _, Sqlite};
use tally_eventlog::archive::ArchiveError;
use tally_eventlog::archive::keys::{KeyPart, KeyParts, KeySink, KeySource, KeyTarget};
use tally_eventlog::sealing::{KeyById, PseudonymRow, StreamKeyRow};
use uuid::Uuid;

use super::SqliteKeyStore;
use super::connections::STATEMENT_ROWS_MAX;
use super::rows::{check, key_by_id, kind_number, pseudonym};

/// Rows per part.
const ROWS: i64 = 1_000;

#[async_trait]
impl KeySource for SqliteKeyStore {
    async fn read(&mut self, to: &mut dyn KeySink) -> Result<(), ArchiveError> {
        let begun = self.connections.readers.begin().await;
        let mut reader = begun.map_err(ArchiveError::store)?;
        if let Some(check) = check(&mut reader).await.map_err(ArchiveError::store)? {
            to.put(&KeyPart::Check(check))?;
        }
        let mut after = 0;
        loop {
            let rows = sqlx::query(
                "SELECT lookup, key_id, wrapped, erased, number FROM data_key \
                 WHERE number > ? ORDER BY number LIMIT ?",
            );
            let rows = rows.bind(after).bind(ROWS).fetch_all(&mut *reader).await;
            let rows = rows.map_err(ArchiveError::store)?;
            let Some(last) = rows.last() else { break };
            after = last.try_get(4).map_err(ArchiveError::store)?;
            let (mut live, mut erased) = (Vec::new(), Vec::new());
            for row in &rows {
                match key_by_id(row).map_err(ArchiveError::store)? {
                    KeyById::Live(key) => live.push(key),
                    KeyById::Erased(id) => erased.push(id),
                }
            }
            to.put(&KeyPart::Keys(live))?;
            to.put(&KeyPart::Erased(erased))?;
        }
        let mut after = 0;
        loop {
            let rows = sqlx::query(
                "SELECT kind, lookup, id, wrapped, number FROM pseudonym \
                 WHERE number > ? AND erased = 0 ORDER BY number LIMIT ?",
            );
            let rows = rows.bind(after).bind(ROWS).fetch_all(&mut *reader).await;
            let rows = rows.map_err(ArchiveError::store)?;
            let Some(last) = rows.last() else { break };
            after = last.try_get(4).map_err(ArchiveError::store)?;
            let rows: Result<Vec<_>, _> =
                rows.iter().map(|row: &SqliteRow| pseudonym(row)).collect();
            to.put(&KeyPart::Pseudonyms(rows.map_err(ArchiveError::store)?))?;
        }
        reader.rollback().await.map_err(ArchiveError::store)
    }
}

#[async_trait]
impl KeyTarget for SqliteKeyStore {
    async fn load(&mut self, parts: &mut KeyParts) -> Result<(), ArchiveError> {
        let begun = self.connections.writer.begin_with("BEGIN IMMEDIATE").await;
        let mut tx = begun.map_err(ArchiveError::store)?;
        let there: (i64, i64) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM data_key), (SELECT count(*) FROM pseudonym)",
        )
        .fetch_one(&mut *tx)
        .await
        .map_err(ArchiveError::store)?;
        ArchiveError::unless_none(
            "the key ring cannot be loaded, because it is not empty",
            tally_eventlog::archive::counted(&[("keys", there.0), ("pseudonyms", there.1)]),
        )?;
        while let Some(part) = parts.next_part()? {
            let taken = match part {
                KeyPart::Check(value) => keep_check(&mut tx, value).await?,
                KeyPart::Keys(keys) => insert_keys(&mut tx, &keys).await,
                KeyPart::Erased(ids) => insert_erased(&mut tx, &ids).await,
                KeyPart::Pseudonyms(rows) => insert_pseudonyms(&mut tx, &rows).await,
            };
            taken.map_err(ArchiveError::store)?;
        }
        tx.commit().await.map_err(ArchiveError::store)
    }
}

/// The key ring may have been made under the master key already, not under another.
async fn keep_check(
    connection: &mut SqliteConnection,
    value: [u8; 32],
) -> Result<sqlx::Result<()>, ArchiveError> {
    let kept = check(connection).await.map_err(ArchiveError::store)?;
    if kept.is_some_and(|kept| kept != value) {
        return Err(tally_eventlog::archive::keys::other_master());
    }
    let done = sqlx::query("INSERT OR IGNORE INTO master_check (id, value) VALUES (0, ?)")
        .bind(value.to_vec())
        .execute(connection)
        .await;
    Ok(done.map(|_| ()))
}

async fn insert_keys(connection: &mut SqliteConnection, keys: &[StreamKeyRow]) -> sqlx::Result<()> {
    for chunk in keys.chunks(STATEMENT_ROWS_MAX) {
        let mut query =
            QueryBuilder::<Sqlite>::new("INSERT INTO data_key (lookup, key_id, wrapped, erased) ");
        query.push_values(chunk, |mut values, row| {
            values
                .push_bind(row.lookup.to_vec())
                .push_bind(row.key_id.as_bytes().to_vec())
                .push_bind(row.wrapped.clone())
                .push("0");
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Of an erased key there is its id, and that it was erased.
async fn insert_erased(connection: &mut SqliteConnection, ids: &[Uuid]) -> sqlx::Result<()> {
    for chunk in ids.chunks(STATEMENT_ROWS_MAX) {
        let mut query =
            QueryBuilder::<Sqlite>::new("INSERT INTO data_key (lookup, key_id, wrapped, erased) ");
        query.push_values(chunk, |mut values, id| {
            values
                .push_bind(vec![0u8; 32])
                .push_bind(id.as_bytes().to_vec())
                .push_bind(Vec::<u8>::new())
                .push("1");
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn insert_pseudonyms(
    connection: &mut SqliteConnection,
    rows: &[PseudonymRow],
) -> sqlx::Result<()> {
    for chunk in rows.chunks(STATEMENT_ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "INSERT INTO pseudonym (kind, lookup, id, wrapped, erased) ",
        );
        query.push_values(chunk, |mut values, row| {
            values
                .push_bind(kind_number(row.kind))
                .push_bind(row.lookup.to_vec())
                .push_bind(row.id.as_bytes().to_vec())
                .push_bind(row.wrapped.clone())
                .push("0");
        });
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}
