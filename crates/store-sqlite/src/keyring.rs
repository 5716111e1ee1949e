//! The key ring in a SQLite file of its own.

mod rows;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{QueryBuilder, Row, SqlStr, Sqlite, Transaction};
use tally_eventlog::BoxError;
use tally_eventlog::sealing::{
    KeyById, KeyStore, KeyStoreError, Lookup, PseudonymKind, PseudonymRow, StreamKeyRow,
};
use uuid::Uuid;

use crate::lock::create_for_owner_only;
use rows::{array, key_by_id, kind_number, pseudonym, push_list, select_keys, select_pseudonyms};

/// Rows per statement: the cost of a statement outweighs that of its rows.
const STATEMENT_ROWS_MAX: usize = 100;

/// How long a statement waits for another connection to let go.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const MIGRATION: &str = include_str!("../../../migrations/sqlite/keyring/0001_key_ring.sql");

/// Wrapped keys in one SQLite file: WAL, fsync at every commit, one writing
/// connection. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteKeyStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// The key ring's file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot open the key ring {path}: see to the file, its disk and its rights; if it was cut off or \
     altered, put it back from its backup",
    path = path.display()
)]
pub struct OpenKeyRingError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub source: BoxError,
}

impl SqliteKeyStore {
    /// Opens the key ring at `path`, creating it (for its owner only) or bringing
    /// it up to this version.
    ///
    /// # Errors
    ///
    /// [`OpenKeyRingError`]: see to what it names as its source: rights of the
    /// file or its directory, a file that is no key ring, or one written by a
    /// newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenKeyRingError> {
        let path = path.as_ref();
        Self::connect(path)
            .await
            .map_err(|source| OpenKeyRingError {
                path: path.to_owned(),
                source,
            })
    }

    async fn connect(path: &Path) -> Result<Self, BoxError> {
        create_for_owner_only(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("secure_delete", "ON")
            // Rebuilding an index sorts, and a sorter's spill file would hold
            // hashes outside the key ring.
            .pragma("temp_store", "MEMORY");
        let writer = pool(1).connect_with(options.clone()).await?;
        let first = Migration::new(
            1,
            "key ring".into(),
            MigrationType::Simple,
            SqlStr::from_static(MIGRATION),
            false,
        );
        Migrator::with_migrations(vec![first]).run(&writer).await?;
        let readers = pool(2).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, readers })
    }

    /// Finishes what is under way and closes the file; calls fail afterwards.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, KeyStoreError> {
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
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

#[async_trait]
impl KeyStore for SqliteKeyStore {
    async fn master_check(&self, candidate: [u8; 32]) -> Result<[u8; 32], KeyStoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("INSERT INTO master_check (id, value) VALUES (0, ?) ON CONFLICT DO NOTHING")
            .bind(candidate.to_vec())
            .execute(&mut *tx)
            .await
            .map_err(KeyStoreError::not_applied)?;
        let row = sqlx::query("SELECT value FROM master_check WHERE id = 0")
            .fetch_one(&mut *tx)
            .await
            .map_err(KeyStoreError::not_applied)?;
        let kept = array(&row, 0).map_err(KeyStoreError::not_applied)?;
        tx.commit().await.map_err(KeyStoreError::unknown)?;
        Ok(kept)
    }

    async fn stream_keys(&self, lookups: &[Lookup]) -> Result<Vec<StreamKeyRow>, KeyStoreError> {
        let mut reader = self
            .readers
            .acquire()
            .await
            .map_err(KeyStoreError::not_applied)?;
        let found = select_keys(&mut reader, lookups).await;
        found.map_err(KeyStoreError::not_applied)
    }

    async fn insert_stream_keys(
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

    async fn stream_keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyById>, KeyStoreError> {
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

    async fn erase_stream_key(&self, lookup: &Lookup) -> Result<bool, KeyStoreError> {
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

    async fn pseudonyms(
        &self,
        wanted: &[(PseudonymKind, Lookup)],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError> {
        let mut reader = self
            .readers
            .acquire()
            .await
            .map_err(KeyStoreError::not_applied)?;
        let found = select_pseudonyms(&mut reader, wanted).await;
        found.map_err(KeyStoreError::not_applied)
    }

    async fn insert_pseudonyms(
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

    async fn pseudonym_by_id(
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

    async fn erase_pseudonym(&self, kind: PseudonymKind, id: Uuid) -> Result<bool, KeyStoreError> {
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

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
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
