//! Rows of the key ring, to and from SQLite.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row, Sqlite};
use tally_eventlog::sealing::{KeyById, Lookup, PseudonymKind, PseudonymRow, StreamKeyRow};
use uuid::Uuid;

use super::connections::STATEMENT_ROWS_MAX;

/// The check value of the master key.
pub(super) async fn check(connection: &mut SqliteConnection) -> sqlx::Result<Option<[u8; 32]>> {
    let row = sqlx::query("SELECT value FROM master_check WHERE id = 0")
        .fetch_optional(connection)
        .await?;
    row.map(|row| array(&row, 0)).transpose()
}

pub(super) async fn select_keys(
    connection: &mut SqliteConnection,
    lookups: &[Lookup],
) -> sqlx::Result<Vec<StreamKeyRow>> {
    let mut found = Vec::with_capacity(lookups.len());
    for chunk in lookups.chunks(STATEMENT_ROWS_MAX) {
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT lookup, key_id, wrapped FROM data_key WHERE erased = 0 AND lookup IN ",
        );
        push_list(&mut query, chunk.iter().map(|lookup| lookup.to_vec()));
        for row in query.build().fetch_all(&mut *connection).await? {
            found.push(stream_key(&row)?);
        }
    }
    Ok(found)
}

pub(super) async fn select_pseudonyms(
    connection: &mut SqliteConnection,
    wanted: &[(PseudonymKind, Lookup)],
) -> sqlx::Result<Vec<PseudonymRow>> {
    let mut found = Vec::with_capacity(wanted.len());
    for chunk in wanted.chunks(STATEMENT_ROWS_MAX) {
        // By hash alone: SQLite would scan the table for pairs, and no hash is
        // that of two kinds.
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT kind, lookup, id, wrapped FROM pseudonym WHERE erased = 0 AND lookup IN ",
        );
        push_list(&mut query, chunk.iter().map(|(_, lookup)| lookup.to_vec()));
        for row in query.build().fetch_all(&mut *connection).await? {
            let row = pseudonym(&row)?;
            if chunk.contains(&(row.kind, row.lookup)) {
                found.push(row);
            }
        }
    }
    Ok(found)
}

pub(super) fn push_list(query: &mut QueryBuilder<Sqlite>, values: impl Iterator<Item = Vec<u8>>) {
    query.push("(");
    let mut list = query.separated(", ");
    for value in values {
        list.push_bind(value);
    }
    query.push(")");
}

pub(super) fn stream_key(row: &SqliteRow) -> sqlx::Result<StreamKeyRow> {
    Ok(StreamKeyRow {
        lookup: array(row, 0)?,
        key_id: Uuid::from_bytes(array(row, 1)?),
        wrapped: row.try_get(2)?,
    })
}

pub(super) fn key_by_id(row: &SqliteRow) -> sqlx::Result<KeyById> {
    let key = stream_key(row)?;
    Ok(match row.try_get::<i64, _>(3)? {
        0 => KeyById::Live(key),
        _ => KeyById::Erased(key.key_id),
    })
}

pub(super) fn pseudonym(row: &SqliteRow) -> sqlx::Result<PseudonymRow> {
    Ok(PseudonymRow {
        kind: match row.try_get::<i64, _>(0)? {
            1 => PseudonymKind::Officer,
            _ => PseudonymKind::Person,
        },
        lookup: array(row, 1)?,
        id: Uuid::from_bytes(array(row, 2)?),
        wrapped: row.try_get(3)?,
    })
}

pub(super) fn kind_number(kind: PseudonymKind) -> i64 {
    match kind {
        PseudonymKind::Officer => 1,
        PseudonymKind::Person => 2,
    }
}

/// A column of exactly `N` bytes.
fn array<const N: usize>(row: &SqliteRow, column: usize) -> sqlx::Result<[u8; N]> {
    let bytes: &[u8] = row.try_get(column)?;
    bytes.try_into().map_err(|error| sqlx::Error::ColumnDecode {
        index: column.to_string(),
        source: Box::new(error),
    })
}
