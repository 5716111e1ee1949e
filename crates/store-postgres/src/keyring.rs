//! The key ring in a schema of its own, with credentials of its own.
//!
//! # What erasing means here
//!
//! Postgres overwrites nothing in place. Once an erasure has succeeded, the erased
//! bytes are in no file of the key ring's tables and indexes, nor in statistics: the
//! row is deleted, and the partition it was in is written anew, into new files.
//!
//! Not in the store's hand, and so the operator's to see to: the server's write-ahead
//! log holds the bytes as they were once written, until its segments are overwritten;
//! archived segments, standby servers, base backups and dumps hold them as long as
//! they are kept; and so do freed blocks of the disk. What is there is wrapped by the
//! master key. See `docs/adr/2026-11-22-erasing-a-key-in-postgres.md`.
//!
//! An erasure waits for transactions of the same database that began before it, as
//! they may still read what is erased. The key ring should have a database of its own.

mod archive;
mod erase;
mod rows;

use async_trait::async_trait;
use sqlx::postgres::PgPool;
use sqlx::{Connection as _, PgConnection};
use tally_eventlog::detached::detached;
use tally_eventlog::sealing::{
    KeyById, KeyStore, KeyStoreError, Lookup, PseudonymKind, PseudonymRow, StreamKeyRow,
};
use uuid::Uuid;

use crate::connect::{Connector, is_refusal};
use crate::options::{Database, Limits, OpenError};
use crate::schema::Tables;

const TABLES: Tables = Tables {
    steps: &[include_str!(
        "../../../migrations/postgres/keyring/0001_key_ring.sql"
    )],
    signs: &["meta", "master_check", "data_key"],
};

/// Connections. Keys are kept in memory by the ring; only new ones come here.
const CONNECTIONS: u32 = 4;

/// Wrapped keys in one schema. Clones share its connections.
#[derive(Debug, Clone)]
pub struct PostgresKeyStore {
    connector: Connector,
    pool: PgPool,
}

impl PostgresKeyStore {
    /// Creates the key ring's tables, or brings them to this version. Several
    /// processes may do it at once.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn migrate(database: &Database) -> Result<(), OpenError> {
        let connector = Connector::new(database, &Limits::default())?;
        let mut connection = connector.connect().await?;
        TABLES
            .migrate(&mut connection, &connector.schema, &[])
            .await
    }

    /// Opens a key ring that was migrated to this version.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn open(database: &Database, limits: &Limits) -> Result<Self, OpenError> {
        let connector = Connector::new(database, limits)?;
        let mut connection = connector.connect().await?;
        TABLES.verify(&mut connection, &connector.schema).await?;
        let pool = connector.pool(CONNECTIONS);
        Ok(Self { connector, pool })
    }

    /// The check value of the master key under which a key ring was created; nothing
    /// where no process has opened it yet. Changes nothing.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn kept_check(database: &Database) -> Result<Option<[u8; 32]>, OpenError> {
        let connector = Connector::new(database, &Limits::default())?;
        let mut connection = connector.connect().await?;
        TABLES.verify(&mut connection, &connector.schema).await?;
        let kept = rows::find_check(&mut connection).await?;
        connection.close().await?;
        Ok(kept)
    }

    /// Finishes what is under way and ends the connections; calls fail afterwards.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Does something on a connection, whoever waits for it.
    async fn on<T, Work>(&self, work: impl FnOnce(Connection) -> Work) -> Result<T, KeyStoreError>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, KeyStoreError>> + Send + 'static,
    {
        let work = work(Connection {
            connector: self.connector.clone(),
            pool: self.pool.clone(),
        });
        detached(work).await
    }
}

/// A connection to be had.
#[derive(Debug)]
struct Connection {
    connector: Connector,
    pool: PgPool,
}

impl Connection {
    /// Reads.
    async fn read<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, KeyStoreError> {
        let mut connection = self
            .pool
            .acquire()
            .await
            .map_err(KeyStoreError::not_applied)?;
        let done = self.connector.bounded(work(&mut connection)).await;
        done.map_err(KeyStoreError::not_applied)
    }

    /// Changes something, in one statement or transaction.
    async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, KeyStoreError> {
        let mut connection = self
            .pool
            .acquire()
            .await
            .map_err(KeyStoreError::not_applied)?;
        let done = self.connector.bounded(work(&mut connection)).await;
        done.map_err(|error| match is_refusal(&error) {
            true => KeyStoreError::not_applied(error),
            false => KeyStoreError::unknown(error),
        })
    }
}

#[async_trait]
impl KeyStore for PostgresKeyStore {
    async fn master_check(&self, candidate: [u8; 32]) -> Result<[u8; 32], KeyStoreError> {
        self.on(move |on| async move {
            on.write(async |connection| rows::keep_check(connection, &candidate).await)
                .await?;
            on.read(async |connection| rows::check(connection).await)
                .await
        })
        .await
    }

    async fn stream_keys(&self, lookups: &[Lookup]) -> Result<Vec<StreamKeyRow>, KeyStoreError> {
        let lookups = lookups.to_vec();
        self.on(move |on| async move {
            on.read(async |connection| rows::keys(connection, &lookups).await)
                .await
        })
        .await
    }

    async fn insert_stream_keys(
        &self,
        rows: &[StreamKeyRow],
    ) -> Result<Vec<StreamKeyRow>, KeyStoreError> {
        let rows = rows.to_vec();
        self.on(move |on| async move {
            let inserted = on
                .write(async |connection| rows::insert_keys(connection, &rows).await)
                .await?;
            if inserted == rows.len() as u64 {
                // Nobody had one of them before, which is the rule.
                return Ok(rows);
            }
            let lookups: Vec<Lookup> = rows.iter().map(|row| row.lookup).collect();
            let kept = on
                .read(async |connection| rows::keys(connection, &lookups).await)
                .await
                .map_err(|error| KeyStoreError::unknown(error.source))?;
            rows::in_order(&lookups, kept, |row| row.lookup)
        })
        .await
    }

    async fn stream_keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyById>, KeyStoreError> {
        let key_ids = key_ids.to_vec();
        self.on(move |on| async move {
            on.read(async |connection| rows::keys_by_id(connection, &key_ids).await)
                .await
        })
        .await
    }

    async fn erase_stream_key(&self, lookup: &Lookup) -> Result<bool, KeyStoreError> {
        let lookup = *lookup;
        self.on(move |on| async move {
            let erased = on
                .write(async |connection| erase::key(connection, &lookup).await)
                .await?;
            on.wipe().await?;
            Ok(erased)
        })
        .await
    }

    async fn pseudonyms(
        &self,
        wanted: &[(PseudonymKind, Lookup)],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError> {
        let wanted = wanted.to_vec();
        self.on(move |on| async move {
            on.read(async |connection| rows::pseudonyms(connection, &wanted).await)
                .await
        })
        .await
    }

    async fn insert_pseudonyms(
        &self,
        rows: &[PseudonymRow],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError> {
        let rows = rows.to_vec();
        self.on(move |on| async move {
            on.write(async |connection| rows::insert_pseudonyms(connection, &rows).await)
                .await?;
            let places: Vec<_> = rows.iter().map(|row| (row.kind, row.lookup)).collect();
            let kept = on
                .read(async |connection| rows::pseudonyms(connection, &places).await)
                .await
                .map_err(|error| KeyStoreError::unknown(error.source))?;
            rows::in_order(&places, kept, |row| (row.kind, row.lookup))
        })
        .await
    }

    async fn pseudonym_by_id(
        &self,
        kind: PseudonymKind,
        id: Uuid,
    ) -> Result<Option<PseudonymRow>, KeyStoreError> {
        self.on(move |on| async move {
            on.read(async |connection| rows::pseudonym_by_id(connection, kind, id).await)
                .await
        })
        .await
    }

    async fn erase_pseudonym(&self, kind: PseudonymKind, id: Uuid) -> Result<bool, KeyStoreError> {
        self.on(move |on| async move {
            let erased = on
                .write(async |connection| erase::pseudonym(connection, kind, id).await)
                .await?;
            on.wipe().await?;
            Ok(erased)
        })
        .await
    }
}
