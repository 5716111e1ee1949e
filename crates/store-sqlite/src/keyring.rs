//! The key ring in a SQLite file of its own.

mod archive;
mod connections;
mod rows;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqlStr};
use tally_eventlog::BoxError;
use tally_eventlog::sealing::{
    KeyById, KeyStore, KeyStoreError, Lookup, PseudonymKind, PseudonymRow, StreamKeyRow,
};
use uuid::Uuid;

use crate::lock::create_for_owner_only;
use connections::Connections;
use tally_eventlog::detached::detached;

/// How long a statement waits for another connection to let go.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const MIGRATION: &str = include_str!("../../../migrations/sqlite/keyring/0001_key_ring.sql");

/// Wrapped keys in one SQLite file: WAL, fsync at every commit, one writing
/// connection. Clones share it.
#[derive(Debug, Clone)]
pub struct SqliteKeyStore {
    connections: Connections,
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

    /// The check value of the master key under which the key ring at `path` was created;
    /// nothing where no process has opened it yet. Changes nothing.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub async fn kept_check(path: impl AsRef<Path>) -> Result<Option<[u8; 32]>, OpenKeyRingError> {
        let path = path.as_ref();
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(BUSY_TIMEOUT);
        let kept = async {
            let mut connection = options.connect().await?;
            let kept = rows::check(&mut connection).await?;
            connection.close().await?;
            Ok::<_, sqlx::Error>(kept)
        };
        kept.await.map_err(|source| OpenKeyRingError {
            path: path.to_owned(),
            source: source.into(),
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
        let connections = Connections { writer, readers };
        Ok(Self { connections })
    }

    /// Finishes what is under way and closes the file; calls fail afterwards.
    pub async fn close(&self) {
        self.connections.readers.close().await;
        self.connections.writer.close().await;
    }

    /// Does something on the connections, whoever waits for it.
    async fn on<T, Work>(&self, work: impl FnOnce(Connections) -> Work) -> T
    where
        T: Send + 'static,
        Work: Future<Output = T> + Send + 'static,
    {
        detached(work(self.connections.clone())).await
    }
}

#[async_trait]
impl KeyStore for SqliteKeyStore {
    async fn master_check(&self, candidate: [u8; 32]) -> Result<[u8; 32], KeyStoreError> {
        self.on(|on| async move { on.master_check(candidate).await })
            .await
    }

    async fn stream_keys(&self, lookups: &[Lookup]) -> Result<Vec<StreamKeyRow>, KeyStoreError> {
        let lookups = lookups.to_vec();
        self.on(|on| async move { on.stream_keys(&lookups).await })
            .await
    }

    async fn insert_stream_keys(
        &self,
        rows: &[StreamKeyRow],
    ) -> Result<Vec<StreamKeyRow>, KeyStoreError> {
        let rows = rows.to_vec();
        self.on(|on| async move { on.insert_stream_keys(&rows).await })
            .await
    }

    async fn stream_keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyById>, KeyStoreError> {
        let key_ids = key_ids.to_vec();
        self.on(|on| async move { on.stream_keys_by_id(&key_ids).await })
            .await
    }

    async fn erase_stream_key(&self, lookup: &Lookup) -> Result<bool, KeyStoreError> {
        let lookup = *lookup;
        self.on(|on| async move { on.erase_stream_key(&lookup).await })
            .await
    }

    async fn pseudonyms(
        &self,
        wanted: &[(PseudonymKind, Lookup)],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError> {
        let wanted = wanted.to_vec();
        self.on(|on| async move { on.pseudonyms(&wanted).await })
            .await
    }

    async fn insert_pseudonyms(
        &self,
        rows: &[PseudonymRow],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError> {
        let rows = rows.to_vec();
        self.on(|on| async move { on.insert_pseudonyms(&rows).await })
            .await
    }

    async fn pseudonym_by_id(
        &self,
        kind: PseudonymKind,
        id: Uuid,
    ) -> Result<Option<PseudonymRow>, KeyStoreError> {
        self.on(|on| async move { on.pseudonym_by_id(kind, id).await })
            .await
    }

    async fn erase_pseudonym(&self, kind: PseudonymKind, id: Uuid) -> Result<bool, KeyStoreError> {
        self.on(|on| async move { on.erase_pseudonym(kind, id).await })
            .await
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
}
