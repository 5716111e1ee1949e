//! Clock, store and key ring of a process.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tally_auth::OfficerDirectory;
use tally_domain::department::{DepartmentId, OfficerId};
use tally_eventlog::BoxError;
use tally_eventlog::clock::{Clock, MovableClock, SystemClock};
use tally_eventlog::group::{GroupOptions, SpanLinker};
use tally_eventlog::sealing::{KeyRing, KeyStore, PseudonymKind};
use tally_eventlog::shard::{LogName, ShardCount};
use tally_eventlog::store::{EventStore, StoreError};
use tally_store_postgres::keyring::PostgresKeyStore;
use tally_store_postgres::{
    Database, Limits, MigrateOptions, OpenError as PostgresError, PostgresOptions, PostgresStore,
};
use tally_store_sqlite::keyring::SqliteKeyStore;
use tally_store_sqlite::{CreateOptions, SqliteOptions, SqliteStore};

use super::{MeshOptions, StartError};
use crate::data_dir::{DataDir, DataDirError};
use crate::node::TestClock;
use crate::role::Role;

/// Where a role keeps what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// Postgres for the event store; nothing: a SQLite file of the data directory.
    pub events: Option<Schema>,
    /// Postgres for the key ring; nothing: a SQLite file of the data directory.
    pub keyring: Option<Schema>,
}

/// A schema of a Postgres database.
#[derive(Clone, PartialEq, Eq)]
pub struct Schema {
    /// Where the database is, and as whom.
    pub url: String,
    /// Name of the schema.
    pub name: String,
}

// A URL may hold a password.
impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Schema {
    pub(crate) fn database(&self) -> Database {
        Database {
            url: self.url.clone(),
            schema: self.name.clone(),
        }
    }
}

/// The event store of a process.
#[derive(Debug, Clone)]
pub enum Store {
    /// A file that this process alone has open.
    Sqlite(Arc<SqliteStore>),
    /// A schema that other processes of the role share.
    Postgres(Arc<PostgresStore>),
}

impl Store {
    /// What is read and written.
    pub fn events(&self) -> Arc<dyn EventStore> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }

    /// Keeps the distance of the movable clock over a restart.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the store has no movable clock, or retry.
    pub async fn keep_ahead(&self, ahead: SignedDuration) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.keep_ahead(ahead).await,
            Self::Postgres(store) => store.keep_ahead(ahead).await,
        }
    }

    pub(super) async fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => {
                store.close().await;
                Ok(())
            }
        }
    }
}

pub(super) async fn open_store(options: &MeshOptions) -> Result<(NodeClock, Store), StartError> {
    match &options.storage.events {
        None => open_sqlite(options).await,
        Some(schema) => open_postgres(options, schema).await,
    }
}

async fn open_sqlite(options: &MeshOptions) -> Result<(NodeClock, Store), StartError> {
    let path = options.dir.store(options.extent.role());
    let info = SqliteStore::inspect(&path).await?;
    let whole = options.extent.role().is_none();
    if whole && info.is_none() && options.dir.keyring().exists() {
        // A first start makes the store before the key ring, so this one had a store.
        return Err(DataDirError::StoreMissing { path }.into());
    }
    let clock = match (&info, options.test_clock) {
        (Some(info), start) => kept_clock(info.ahead, start, || {
            options.dir.path().display().to_string()
        })?,
        (None, Some(start)) => NodeClock::movable(start.duration_since(Timestamp::now())),
        (None, None) => NodeClock::System(Arc::new(SystemClock::default())),
    };
    let store = SqliteStore::open(SqliteOptions {
        path,
        logs: options.extent.logs(),
        shards: info.map_or(options.shards, |info| info.shards),
        clock: clock.shared(),
        group: GroupOptions::default(),
        linker: Some(linker()),
        create: Some(CreateOptions {
            test_clock: clock.ahead(),
        }),
    })
    .await?;
    Ok((clock, Store::Sqlite(Arc::new(store))))
}

async fn open_postgres(
    options: &MeshOptions,
    schema: &Schema,
) -> Result<(NodeClock, Store), StartError> {
    let database = schema.database();
    // It is made by `tally migrate`, which is also who gives it a movable clock.
    let info = PostgresStore::inspect(&database).await?;
    let info = info.ok_or_else(|| PostgresError::Missing {
        schema: schema.name.clone(),
    })?;
    let clock = kept_clock(info.ahead, options.test_clock, || {
        format!("schema {}", schema.name)
    })?;
    let (logs, shards) = (options.extent.logs(), info.shards);
    let store = PostgresStore::open(PostgresOptions {
        linker: Some(linker()),
        ..PostgresOptions::new(database, logs, shards, clock.shared())
    })
    .await?;
    Ok((clock, Store::Postgres(Arc::new(store))))
}

/// The clock of a store that is there.
fn kept_clock(
    ahead: Option<SignedDuration>,
    start: Option<Timestamp>,
    place: impl FnOnce() -> String,
) -> Result<NodeClock, StartError> {
    match (ahead, start) {
        (Some(ahead), _) => Ok(NodeClock::movable(ahead)),
        (None, Some(_)) => Err(StartError::ClockFixed { place: place() }),
        (None, None) => Ok(NodeClock::System(Arc::new(SystemClock::default()))),
    }
}

fn linker() -> SpanLinker {
    Arc::new(|span, parents| {
        for parent in parents {
            tally_telemetry::link(span, parent);
        }
    })
}

/// Creates what a role keeps in Postgres, or brings it to this version.
/// Several processes may do it at once.
///
/// # Errors
///
/// [`StartError`]; it says what to do.
pub async fn migrate(
    storage: &Storage,
    role: Role,
    shards: ShardCount,
    test_clock: Option<Timestamp>,
) -> Result<(), StartError> {
    if let Some(schema) = &storage.events {
        let options = MigrateOptions {
            logs: role.logs().to_vec(),
            shards,
            test_clock: test_clock.map(|start| start.duration_since(Timestamp::now())),
        };
        PostgresStore::migrate(&schema.database(), &options).await?;
    }
    if let Some(schema) = &storage.keyring {
        PostgresKeyStore::migrate(&schema.database()).await?;
    }
    Ok(())
}

/// The clock of this process.
#[derive(Clone)]
pub enum NodeClock {
    /// The system's.
    System(Arc<SystemClock>),
    /// One that can be moved.
    Movable(Arc<MovableClock>),
}

impl NodeClock {
    fn movable(ahead: SignedDuration) -> Self {
        Self::Movable(Arc::new(MovableClock::new(ahead)))
    }

    pub(super) fn shared(&self) -> Arc<dyn Clock> {
        match self {
            Self::System(clock) => clock.clone(),
            Self::Movable(clock) => clock.clone(),
        }
    }

    fn ahead(&self) -> Option<SignedDuration> {
        self.test_clock().map(|clock| clock.ahead())
    }

    /// The movable clock, if it is one.
    pub fn test_clock(&self) -> Option<&TestClock> {
        match self {
            Self::System(_) => None,
            Self::Movable(clock) => Some(clock),
        }
    }
}

/// The key ring's store of a process.
#[derive(Debug, Clone)]
pub(super) enum Keys {
    Sqlite(Arc<SqliteKeyStore>),
    Postgres(Arc<PostgresKeyStore>),
}

impl Keys {
    fn store(&self) -> Arc<dyn KeyStore> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }

    /// The check value that the first opening has left.
    async fn kept_check(&self, options: &MeshOptions) -> Result<Option<[u8; 32]>, StartError> {
        Ok(match &options.storage.keyring {
            Some(schema) => PostgresKeyStore::kept_check(&schema.database()).await?,
            None => SqliteKeyStore::kept_check(options.dir.keyring()).await?,
        })
    }

    fn place(&self, options: &MeshOptions) -> String {
        match &options.storage.keyring {
            Some(schema) => format!("schema {}", schema.name),
            None => options.dir.keyring().display().to_string(),
        }
    }

    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

pub(super) async fn open_keyring(
    options: &MeshOptions,
    records: &dyn EventStore,
) -> Result<(Arc<KeyRing>, Keys), StartError> {
    let dir = &options.dir;
    let keys_missing = options.storage.keyring.is_none() && !dir.keyring().exists();
    // A first start that was cut off leaves a store without key ring, but also without records.
    if keys_missing && has_records(records, &options.extent.logs()).await? {
        let path = dir.keyring();
        return Err(DataDirError::KeyRingMissing { path }.into());
    }
    // Before the key ring: one without the other would be a master key that was lost.
    let master = dir.master_key()?;
    let keys = match &options.storage.keyring {
        Some(schema) => {
            let store = PostgresKeyStore::open(&schema.database(), &Limits::default()).await?;
            Keys::Postgres(Arc::new(store))
        }
        None => Keys::Sqlite(Arc::new(SqliteKeyStore::open(dir.keyring()).await?)),
    };
    // One that nobody has opened yet cannot be the one that these records were sealed under.
    let unused = keys.kept_check(options).await?.is_none();
    if unused && has_records(records, &options.extent.logs()).await? {
        return Err(StartError::KeyRingEmpty {
            place: keys.place(options),
        });
    }
    let keyring = KeyRing::new(keys.store(), master);
    keyring.verify_master_key().await?;
    Ok((Arc::new(keyring), keys))
}

/// Makes what the processes of a mesh share, before the first of them starts:
/// two that make it at once would be in each other's way. `hosts` are the names
/// or addresses under which the roles are reached, besides this machine's own.
///
/// # Errors
///
/// [`StartError`]; it says what to do. What was made is kept.
pub async fn init(dir: &DataDir, hosts: &[String]) -> Result<(), StartError> {
    dir.init(hosts)?;
    let store = Arc::new(SqliteKeyStore::open(dir.keyring()).await?);
    let keyring = KeyRing::new(store.clone(), dir.master_key()?);
    keyring.verify_master_key().await?;
    store.close().await;
    Ok(dir.verify_shared()?)
}

async fn has_records(store: &dyn EventStore, logs: &[LogName]) -> Result<bool, StartError> {
    for log in logs {
        let heads = store.heads(*log).await?;
        if heads.iter().any(|head| head.size() > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Officers' ids are pseudonyms of the key ring.
pub(super) struct KeyRingDirectory {
    pub(super) keyring: Arc<KeyRing>,
}

#[async_trait]
impl OfficerDirectory for KeyRingDirectory {
    async fn officer_id(
        &self,
        department: &DepartmentId,
        number: &str,
    ) -> Result<OfficerId, BoxError> {
        // A number means something within its department only.
        let identifier = format!("{department}/{number}");
        let id = self
            .keyring
            .pseudonym(PseudonymKind::Officer, &identifier)
            .await?;
        Ok(OfficerId(id))
    }
}
