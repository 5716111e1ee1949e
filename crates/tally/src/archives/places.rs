//! Where a role's store, or the key ring, is; to be read or to be filled.

use std::fmt;
use std::path::PathBuf;

use tally_eventlog::archive::keys::{KeySource, KeyTarget};
use tally_eventlog::archive::{Source, Target};
use tally_eventlog::shard::{LogName, ShardCount};
use tally_service::logs;
use tally_store_postgres::{
    Database, Limits, OpenError, PostgresKeyStore, PostgresSnapshot, PostgresStore, PostgresTarget,
};
use tally_store_sqlite::keyring::SqliteKeyStore;
use tally_store_sqlite::{SqliteSnapshot, SqliteTarget};

use super::{ArchivesError, Stores};
use crate::data_dir::DataDirError;
use crate::role::Role;

/// Where a store is.
#[derive(Clone)]
pub(super) enum Place {
    File(PathBuf),
    Schema(Database),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Schema(database) => write!(f, "schema {}", database.schema),
        }
    }
}

impl Place {
    /// The store of a role.
    pub(super) fn of(stores: &Stores, role: Role) -> Self {
        match &stores.storage(role).events {
            Some(schema) => Self::Schema(schema.database()),
            None => Self::File(stores.dir.store(Some(role))),
        }
    }

    /// To be read, with the logs that this version knows there.
    pub(super) async fn source(&self, logs: &[LogName]) -> Result<Box<dyn Source>, ArchivesError> {
        Ok(match self {
            Self::File(path) => Box::new(SqliteSnapshot::open(path, logs).await?),
            Self::Schema(database) => Box::new(PostgresSnapshot::open(database, logs).await?),
        })
    }

    /// The same, unless what is there is not settled yet: its ids are not yet its own.
    pub(super) async fn settled(&self, logs: &[LogName]) -> Result<Box<dyn Source>, ArchivesError> {
        if let Self::Schema(database) = self {
            let info = PostgresStore::inspect(database).await?;
            if info.is_some_and(|info| info.unfinished) {
                let schema = database.schema.clone();
                return Err(OpenError::Unfinished { schema }.into());
            }
        }
        self.source(logs).await
    }

    /// To be filled.
    pub(super) async fn filling(
        &self,
        shards: Option<ShardCount>,
    ) -> Result<Filling, ArchivesError> {
        Ok(match self {
            Self::File(path) => Filling::File(SqliteTarget::at(path, shards)?),
            Self::Schema(database) => {
                let target = PostgresTarget::open(database).await?;
                Filling::Schema(Box::new(target), database.clone())
            }
        })
    }
}

/// A store that is being filled.
pub(super) enum Filling {
    File(SqliteTarget),
    Schema(Box<PostgresTarget>, Database),
}

impl Filling {
    pub(super) fn target(&mut self) -> &mut dyn Target {
        match self {
            Self::File(target) => target,
            Self::Schema(target, _) => &mut **target,
        }
    }

    /// What was loaded, to be read back.
    pub(super) async fn loaded(&self, logs: &[LogName]) -> Result<Box<dyn Source>, ArchivesError> {
        let place = match self {
            Self::File(target) => Place::File(target.draft().to_owned()),
            Self::Schema(_, database) => Place::Schema(database.clone()),
        };
        place.source(logs).await
    }

    /// Settles what was loaded and has been read back, until which nobody opens it: under
    /// the ids of its archive, or new ones for these logs.
    pub(super) async fn settle(self, renewed: Option<&[LogName]>) -> Result<(), ArchivesError> {
        match (self, renewed) {
            (Self::File(mut target), renewed) => {
                if let Some(logs) = renewed {
                    target.renew_log_ids(logs).await?;
                }
                target.finish().await?;
            }
            (Self::Schema(_, database), Some(logs)) => {
                PostgresStore::renew_log_ids(&database, logs).await?;
            }
            (Self::Schema(_, database), None) => PostgresStore::settle(&database).await?,
        }
        Ok(())
    }
}

/// The key ring's store.
pub(super) enum KeyPlace {
    Sqlite(SqliteKeyStore),
    Postgres(Box<PostgresKeyStore>),
}

impl KeyPlace {
    /// The key ring of a mesh; nothing where it would be a file that is not there.
    pub(super) async fn find(stores: &Stores) -> Result<Option<Self>, ArchivesError> {
        let in_file = stores.storage(Role::Catalog).keyring.is_none();
        match in_file && !stores.dir.keyring().exists() {
            true => Ok(None),
            false => Self::make(stores).await.map(Some),
        }
    }

    /// The key ring of a mesh, which must be there.
    pub(super) async fn open(stores: &Stores) -> Result<Self, ArchivesError> {
        let missing = || {
            let path = stores.dir.keyring();
            DataDirError::KeyRingMissing { path }.into()
        };
        Self::find(stores).await?.ok_or_else(missing)
    }

    /// The same; where it would be a file, that is made if it is not there.
    pub(super) async fn make(stores: &Stores) -> Result<Self, ArchivesError> {
        // It is the same for every role.
        if let Some(schema) = &stores.storage(Role::Catalog).keyring {
            let store = PostgresKeyStore::open(&schema.database(), &Limits::default()).await?;
            return Ok(Self::Postgres(Box::new(store)));
        }
        Ok(Self::Sqlite(
            SqliteKeyStore::open(stores.dir.keyring()).await?,
        ))
    }

    pub(super) fn source(&mut self) -> &mut dyn KeySource {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => &mut **store,
        }
    }

    pub(super) fn target(&mut self) -> &mut dyn KeyTarget {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => &mut **store,
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}

/// All logs, for a store that all roles share.
pub(super) fn all_logs() -> &'static [LogName] {
    &logs::ALL
}
