//! Archives of what the roles of a mesh hold: backups, and moves from one process to
//! several. What a store hands over and takes is in `eventlog::archive`; here is which
//! store that is, and what of it is whose.

mod keys;
mod load;
mod places;
mod relays;
mod save;
mod set;
mod split;
mod topics;

use std::path::PathBuf;

pub use tally_eventlog::archive::LogContent;
use tally_eventlog::archive::{ArchiveError, Content};
use tally_eventlog::shard::LogName;
use tally_store_postgres::OpenError as PostgresError;
use tally_store_sqlite::OpenError as SqliteError;
use tally_store_sqlite::keyring::OpenKeyRingError;

use crate::data_dir::{DataDir, DataDirError};
use crate::mesh::Storage;
use crate::role::Role;

pub use load::{Loading, import, restore};
pub use save::{backup, export};
pub use set::{ArchiveSet, Kind};

/// Where a mesh keeps what it has.
#[derive(Debug, Clone)]
pub struct Stores {
    /// The data directory of this machine.
    pub dir: DataDir,
    /// What each role keeps where, in the order of [`Role::ALL`].
    pub storages: [Storage; Role::ALL.len()],
}

impl Stores {
    fn storage(&self, role: Role) -> &Storage {
        &self.storages[role as usize]
    }
}

/// What of a role, or of the key ring, is in an archive now, or was in one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The role; nothing for the key ring.
    pub role: Option<Role>,
    /// Its logs.
    pub logs: Vec<(LogName, LogContent)>,
    /// How many there are of the rest, by what they are.
    pub counts: Vec<(&'static str, u64)>,
}

impl Account {
    fn of(role: Role, content: &Content) -> Self {
        Self {
            role: Some(role),
            logs: content
                .logs
                .iter()
                .map(|(name, log)| (*name, log.clone()))
                .collect(),
            counts: vec![
                ("remembered commands", content.commands.items),
                ("checkpoints", content.checkpoints.items),
                ("rows of views", content.rows.items),
            ],
        }
    }
}

/// Why it cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum ArchivesError {
    /// An archive, or what was to be archived or filled.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A store in a file.
    #[error(transparent)]
    Sqlite(#[from] SqliteError),
    /// A store in Postgres.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A key ring in a file.
    #[error(transparent)]
    KeyRing(#[from] OpenKeyRingError),
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Nothing is written over.
    #[error("{path} is there and not empty, and nothing is written over; name another directory", path = path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
}
