//! What is done on the connections of a key ring.

use std::collections::HashMap;
use std::hash::Hash;

use sqlx::pool::PoolConnection;
use sqlx::sqlite::SqlitePool;
use sqlx::{QueryBuilder, Row, Sqlite, Transaction};
use tally_eventlog::sealing::{
    KeyById, KeyStoreError, Lookup, PseudonymKind, PseudonymRow, StreamKeyRow,
};
use uuid::Uuid;

use super::rows::{
    check, key_by_id, kind_number, pseudonym, push_list, select_keys, select_pseudonyms,
};

/// Rows per statement: the cost of a statement outweighs that of its rows.
pub(super) const STATEMENT_ROWS_MAX: usize = 100;

/// The connections, and what is done on them.
#[derive(Debug, Clone)]
pub(super) struct Connections {
    pub writer: SqlitePool,
    pub readers: SqlitePool,
}

impl Connections {
    async fn reader(&self) -> Result<PoolConnection<Sqlite>, KeyStoreError> {
        let reader = self.readers.acquire().await;
        reader.map_err(KeyStoreError::not_applied)
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, KeyStoreError> {
        let begun = self.writer.begin_with("begin IMMEDIATE").await;
        begun.map_err(KeyStoreError::not_applied)
    }

    /// Moves the log's content into the file and empties the log, so that what
    /// was erased is in neither.
    async fn empty_wal(&self) -> Result<(), KeyStoreError> {
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&self.writer)
            .await
            .map_err(KeyStoreError::unknown)?;
        let busy: i64 = row.try_get(0).map_err(KeyStoreError::unknown)?;
        if busy != 0 {
            return Err(KeyStoreError::unknown(
                "a reader keeps erased bytes in the write-ahead log",
            ));
        }
        Ok(())
    }
}

impl Connections {
    pub async fn master_check(&self, candidate: [u8; 32]) -> Result<[u8; 32], KeyStoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("INSERT INTO master_check (id, value) VALUES (0, ?) ON CONFLICT DO NOTHING")
            .bind(candidate.to_vec())
            .execute(&mut *tx)
            .await
            .map_err(KeyStoreError::not_applied)?;
        let kept = check(&mut tx).await.map_err(KeyStoreError::not_applied)?;
        let kept = kept.ok_or_else(|| KeyStoreError::not_applied(sqlx::Error::RowNotFound))?;
        tx.commit().await.map_err(KeyStoreError::unknown)?;
        Ok(kept)
    }

    pub async fn stream_keys(
        &self,
        lookups: &[Lookup],
    ) -> Result<Vec<StreamKeyRow>, KeyStoreError> {
        let found = select_keys(&mut *self.reader().await?, lookups).await;
        found.map_err(KeyStoreError::not_applied)
    }

    pub async fn insert_stream_keys(
        &self,
        rows: &[StreamKeyRow],
    ) -> Result<Vec<StreamKeyRow>, KeyStoreError> {
        let mut tx = self.begin().await?;
        let mut inserted = 0;
        for chunk in rows.chunks(STATEMENT_ROWS_MAX) {
            let done = QueryBuilder::<Sqlite>::new(
                "INSERT INTO data_key (lookup, key_id, wrapped, erased) ",
            )
            .push_values(chunk, |mut values, row| {
                values
                    .push_bind(row.lookup.to_vec())
                    .push_bind(row.key_id.as_bytes().to_vec())
                    .push_bind(row.wrapped.clone())
                    .push("0");
            })
            .push(" ON CONFLICT DO NOTHING")
            .build()
            .execute(&mut *tx)
            .await
            .map_err(KeyStoreError::not_applied)?;
            inserted += done.rows_affected();
        }
        if inserted == rows.len() as u64 {
            // Nobody had one of them before, which is the rule.
            tx.commit().await.map_err(KeyStoreError::unknown)?;
            return Ok(rows.to_vec());
        }
        let lookups: Vec<Lookup> = rows.iter().map(|row| row.lookup).collect();
        let kept = select_keys(&mut tx, &lookups).await;
        let kept = kept.map_err(KeyStoreError::not_applied)?;
        tx.commit().await.map_err(KeyStoreError::unknown)?;
        in_order(&lookups, kept, |row| row.lookup)
    }

    pub async fn stream_keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyById>, KeyStoreError> {
        let mut found = Vec::with_capacity(key_ids.len());
        for chunk in key_ids.chunks(STATEMENT_ROWS_MAX) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "SELECT lookup, key_id, wrapped, erased FROM data_key WHERE key_id IN ",
            );
            push_list(&mut query, chunk.iter().map(|id| id.as_bytes().to_vec()));
            let rows = query.build().fetch_all(&self.readers).await;
            for row in rows.map_err(KeyStoreError::not_applied)? {
                found.push(key_by_id(&row).map_err(KeyStoreError::not_applied)?);
            }
        }
        Ok(found)
    }

    pub async fn erase_stream_key(&self, lookup: &Lookup) -> Result<bool, KeyStoreError> {
        let mut tx = self.begin().await?;
        let erased = sqlx::query(
            "UPDATE data_key SET wrapped = zeroblob(length(wrapped)), erased = 1
             WHERE lookup = ? AND erased = 0",
        )
        .bind(lookup.to_vec())
        .execute(&mut *tx)
        .await
        .map_err(KeyStoreError::not_applied)?;
        tx.commit().await.map_err(KeyStoreError::unknown)?;
        // Also if there was nothing to erase: this may be the second try after a
        // first that failed here.
        self.empty_wal().await?;
        Ok(erased.rows_affected() > 0)
    }

    pub async fn pseudonyms(
        &self,
        wanted: &[(PseudonymKind, Lookup)],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError> {
        let found = select_pseudonyms(&mut *self.reader().await?, wanted).await;
        found.map_err(KeyStoreError::not_applied)
    }

    pub async fn insert_pseudonyms(
        &self,
        rows: &[PseudonymRow],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError> {
        let mut tx = self.begin().await?;
        for chunk in rows.chunks(STATEMENT_ROWS_MAX) {
            QueryBuilder::<Sqlite>::new(
                "INSERT INTO pseudonym (kind, lookup, id, wrapped, erased) ",
            )
            .push_values(chunk, |mut values, row| {
                values
                    .push_bind(kind_number(row.kind))
                    .push_bind(row.lookup.to_vec())
                    .push_bind(row.id.as_bytes().to_vec())
                    .push_bind(row.wrapped.clone())
                    .push("0");
            })
            .push(" ON CONFLICT DO NOTHING")
            .build()
            .execute(&mut *tx)
            .await
            .map_err(KeyStoreError::not_applied)?;
        }
        let places: Vec<_> = rows.iter().map(|row| (row.kind, row.lookup)).collect();
        let kept = select_pseudonyms(&mut tx, &places).await;
        let kept = kept.map_err(KeyStoreError::not_applied)?;
        tx.commit().await.map_err(KeyStoreError::unknown)?;
        in_order(&places, kept, |row| (row.kind, row.lookup))
    }

    pub async fn pseudonym_by_id(
        &self,
        kind: PseudonymKind,
        id: Uuid,
    ) -> Result<Option<PseudonymRow>, KeyStoreError> {
        let row = sqlx::query(
            "SELECT kind, lookup, id, wrapped FROM pseudonym
             WHERE id = ? AND kind = ? AND erased = 0",
        )
        .bind(id.as_bytes().to_vec())
        .bind(kind_number(kind))
        .fetch_optional(&self.readers)
        .await
        .map_err(KeyStoreError::not_applied)?;
        let row = row.as_ref().map(pseudonym).transpose();
        row.map_err(KeyStoreError::not_applied)
    }

    pub async fn erase_pseudonym(
        &self,
        kind: PseudonymKind,
        id: Uuid,
    ) -> Result<bool, KeyStoreError> {
        let mut tx = self.begin().await?;
        let erased = sqlx::query(
            "UPDATE pseudonym SET lookup = zeroblob(32), id = zeroblob(16),
                 wrapped = zeroblob(length(wrapped)), erased = 1
             WHERE id = ? AND kind = ? AND erased = 0",
        )
        .bind(id.as_bytes().to_vec())
        .bind(kind_number(kind))
        .execute(&mut *tx)
        .await
        .map_err(KeyStoreError::not_applied)?;
        let erased = erased.rows_affected() > 0;
        if erased {
            // Index entries do move between pages, and about one in 50,000 leaves
            // a copy behind that would still link hash and pseudonym. A rebuilt
            // index has none, and the pages of the old one are wiped. The cost
            // grows with the pseudonyms there are: 5 s per million on 2 cores.
            sqlx::raw_sql("REINDEX pseudonym_by_lookup; REINDEX pseudonym_by_id;")
                .execute(&mut *tx)
                .await
                .map_err(KeyStoreError::not_applied)?;
        }
        tx.commit().await.map_err(KeyStoreError::unknown)?;
        self.empty_wal().await?;
        Ok(erased)
    }
}

/// The rows kept for `wanted`, in that order.
fn in_order<K: Eq + Hash, R: Clone>(
    wanted: &[K],
    kept: Vec<R>,
    place: impl Fn(&R) -> K,
) -> Result<Vec<R>, KeyStoreError> {
    let kept: HashMap<K, R> = kept.into_iter().map(|row| (place(&row), row)).collect();
    let rows: Option<Vec<R>> = wanted.iter().map(|at| kept.get(at).cloned()).collect();
    rows.ok_or_else(|| KeyStoreError::unknown("a row is missing right after its insertion"))
}
