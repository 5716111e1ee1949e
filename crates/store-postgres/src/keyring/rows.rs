//! Rows of the key ring.

use std::collections::HashMap;
use std::hash::Hash;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use tally_eventlog::sealing::{
    KeyById, KeyStoreError, Lookup, PseudonymKind, PseudonymRow, StreamKeyRow,
};
use uuid::Uuid;

pub(super) async fn keep_check(
    connection: &mut PgConnection,
    candidate: &[u8; 32],
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO master_check (id, value) VALUES (0, $1) ON CONFLICT DO NOTHING")
        .bind(&candidate[..])
        .execute(connection)
        .await
        .map(|_| ())
}

pub(super) async fn check(connection: &mut PgConnection) -> Result<[u8; 32], sqlx::Error> {
    let found = find_check(connection).await?;
    found.ok_or(sqlx::Error::RowNotFound)
}

pub(super) async fn find_check(
    connection: &mut PgConnection,
) -> Result<Option<[u8; 32]>, sqlx::Error> {
    let row = sqlx::query("SELECT value FROM master_check WHERE id = 0")
        .fetch_optional(connection)
        .await?;
    row.map(|row| array(&row, 0)).transpose()
}

pub(super) async fn keys(
    connection: &mut PgConnection,
    lookups: &[Lookup],
) -> Result<Vec<StreamKeyRow>, sqlx::Error> {
    let rows = sqlx::query("SELECT lookup, key_id, wrapped FROM data_key WHERE lookup = ANY($1)")
        .bind(lookups)
        .fetch_all(connection)
        .await?;
    rows.iter().map(stream_key).collect()
}

/// Inserts those that are not there; returns how many. Whoever inserts the same ones
/// does it in the same order, and waits for the first.
pub(super) async fn insert_keys(
    connection: &mut PgConnection,
    rows: &[StreamKeyRow],
) -> Result<u64, sqlx::Error> {
    let lookups: Vec<&[u8]> = rows.iter().map(|row| &row.lookup[..]).collect();
    let key_ids: Vec<Uuid> = rows.iter().map(|row| row.key_id).collect();
    let wrapped: Vec<&[u8]> = rows.iter().map(|row| &row.wrapped[..]).collect();
    let done = sqlx::query(
        "INSERT INTO data_key (lookup, key_id, wrapped) \
         SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::bytea[]) w(lookup, key_id, wrapped) \
         ORDER BY w.lookup ON CONFLICT DO NOTHING",
    )
    .bind(lookups)
    .bind(key_ids)
    .bind(wrapped)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

pub(super) async fn keys_by_id(
    connection: &mut PgConnection,
    key_ids: &[Uuid],
) -> Result<Vec<KeyById>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT lookup, key_id, wrapped FROM data_key WHERE key_id = ANY($1) \
         UNION ALL SELECT NULL, key_id, NULL FROM erased_key WHERE key_id = ANY($1)",
    )
    .bind(key_ids)
    .fetch_all(connection)
    .await?;
    let by_id = |row: &PgRow| match row.try_get::<Option<&[u8]>, _>(0)? {
        Some(_) => stream_key(row).map(KeyById::Live),
        None => row.try_get(1).map(KeyById::Erased),
    };
    rows.iter().map(by_id).collect()
}

pub(super) async fn pseudonyms(
    connection: &mut PgConnection,
    wanted: &[(PseudonymKind, Lookup)],
) -> Result<Vec<PseudonymRow>, sqlx::Error> {
    let lookups: Vec<&[u8]> = wanted.iter().map(|(_, lookup)| &lookup[..]).collect();
    // By hash alone: no hash is that of two kinds.
    let rows =
        sqlx::query("SELECT kind, lookup, id, wrapped FROM pseudonym WHERE lookup = ANY($1)")
            .bind(lookups)
            .fetch_all(connection)
            .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        let row = pseudonym(row)?;
        if wanted.contains(&(row.kind, row.lookup)) {
            found.push(row);
        }
    }
    Ok(found)
}

pub(super) async fn insert_pseudonyms(
    connection: &mut PgConnection,
    rows: &[PseudonymRow],
) -> Result<(), sqlx::Error> {
    let kinds: Vec<i16> = rows.iter().map(|row| kind_number(row.kind)).collect();
    let lookups: Vec<&[u8]> = rows.iter().map(|row| &row.lookup[..]).collect();
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
    let wrapped: Vec<&[u8]> = rows.iter().map(|row| &row.wrapped[..]).collect();
    sqlx::query(
        "INSERT INTO pseudonym (kind, lookup, id, wrapped) \
         SELECT * FROM unnest($1::smallint[], $2::bytea[], $3::uuid[], $4::bytea[]) \
             w(kind, lookup, id, wrapped) \
         ORDER BY w.lookup, w.kind ON CONFLICT DO NOTHING",
    )
    .bind(kinds)
    .bind(lookups)
    .bind(ids)
    .bind(wrapped)
    .execute(connection)
    .await
    .map(|_| ())
}

pub(super) async fn pseudonym_by_id(
    connection: &mut PgConnection,
    kind: PseudonymKind,
    id: Uuid,
) -> Result<Option<PseudonymRow>, sqlx::Error> {
    let row =
        sqlx::query("SELECT kind, lookup, id, wrapped FROM pseudonym WHERE id = $1 AND kind = $2")
            .bind(id)
            .bind(kind_number(kind))
            .fetch_optional(connection)
            .await?;
    row.as_ref().map(pseudonym).transpose()
}

/// The rows kept for `wanted`, in that order.
pub(super) fn in_order<K: Eq + Hash, R: Clone>(
    wanted: &[K],
    kept: Vec<R>,
    place: impl Fn(&R) -> K,
) -> Result<Vec<R>, KeyStoreError> {
    let kept: HashMap<K, R> = kept.into_iter().map(|row| (place(&row), row)).collect();
    let rows: Option<Vec<R>> = wanted.iter().map(|at| kept.get(at).cloned()).collect();
    rows.ok_or_else(|| KeyStoreError::unknown("a row is missing right after its insertion"))
}

pub(super) fn stream_key(row: &PgRow) -> Result<StreamKeyRow, sqlx::Error> {
    Ok(StreamKeyRow {
        lookup: array(row, 0)?,
        key_id: row.try_get(1)?,
        wrapped: row.try_get(2)?,
    })
}

pub(super) fn pseudonym(row: &PgRow) -> Result<PseudonymRow, sqlx::Error> {
    Ok(PseudonymRow {
        kind: match row.try_get::<i16, _>(0)? {
            1 => PseudonymKind::Officer,
            _ => PseudonymKind::Person,
        },
        lookup: array(row, 1)?,
        id: row.try_get(2)?,
        wrapped: row.try_get(3)?,
    })
}

pub(super) fn kind_number(kind: PseudonymKind) -> i16 {
    match kind {
        PseudonymKind::Officer => 1,
        PseudonymKind::Person => 2,
    }
}

/// A column of exactly `N` bytes.
fn array<const N: usize>(row: &PgRow, column: usize) -> Result<[u8; N], sqlx::Error> {
    row.try_get(column)
}
