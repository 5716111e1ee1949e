//! How a store is opened, and why it may refuse.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::SignedDuration;
use tally_eventlog::clock::Clock;
use tally_eventlog::group::{GroupOptions, SpanLinker};
use tally_eventlog::shard::{LogName, Shard, ShardCount};

/// How to open a store.
pub struct SqliteOptions {
    /// The database file. Beside it lie `-wal`, `-shm` and `.lock`.
    pub path: PathBuf,
    /// The logs that are read and written; those that the store lacks are added.
    pub logs: Vec<LogName>,
    /// Number of shards of every log. An existing store must have been created with it.
    pub shards: ShardCount,
    /// The clock that dates the records. For a store with a movable clock, one
    /// at the distance that [`inspect`](crate::store::SqliteStore::inspect) says.
    pub clock: Arc<dyn Clock>,
    /// Bounds of group commit.
    pub group: GroupOptions,
    /// What links a batch's span to the commands in it.
    pub linker: Option<SpanLinker>,
    /// Creates the store if there is none; without it a missing store is refused.
    pub create: Option<CreateOptions>,
}

/// What is settled when a store is created.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// Gives the store a movable clock at this distance from the system's.
    /// A store created without one never gets one.
    pub test_clock: Option<SignedDuration>,
}

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// Number of shards.
    pub shards: ShardCount,
    /// Distance of its movable clock from the system's; nothing if it has none.
    pub ahead: Option<SignedDuration>,
    /// How many times it was opened.
    pub epoch: u64,
}

/// Why a store cannot be opened. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process works with it: stop that one first.
    #[error("the store {path} is in use by another process{of}; stop it first", path = path.display(), of = Pid(*pid))]
    InUse {
        /// The store.
        path: PathBuf,
        /// Id of that process, if it is known.
        pid: Option<u32>,
    },
    /// There is no store: give the right path, or create one.
    #[error("there is no store at {path}; check the path, or create a store there", path = path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The file is something else: give the right path.
    #[error("{path} is not an event store; check the path", path = path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// A newer version wrote it: run that version.
    #[error(
        "the store has format {found}, this version reads up to {known}; run the version that wrote it or a newer one"
    )]
    NewerFormat {
        /// Format of the store.
        found: u64,
        /// Newest format that this version reads.
        known: u64,
    },
    /// An older version wrote it: open it once with this one.
    #[error(
        "the store has format {found}, this version reads {known}; start the mesh once with this version, \
         which brings it to that"
    )]
    OlderFormat {
        /// Format of the store.
        found: u64,
        /// The format of this version.
        known: u64,
    },
    /// Its content goes on in another mesh.
    #[error(
        "the store {path} was exported at {at}, and takes nothing any more: what it holds goes on in the mesh \
         that it was imported into; give clients that one's directory and addresses. Read it with \
         `tally backup` or `tally export`, which may be repeated",
        path = path.display()
    )]
    Exported {
        /// The store.
        path: PathBuf,
        /// When.
        at: String,
    },
    /// The number of shards is fixed at creation: open it with that number.
    #[error(
        "the store has {found} shards, {asked} were asked for; open it with {found}, or move to a new store"
    )]
    ShardCount {
        /// Shards of the store.
        found: u16,
        /// Shards asked for.
        asked: u16,
    },
    /// The store has the system's clock for good: create another for tests.
    #[error(
        "the store was created without a movable clock and cannot get one; create a new store for it"
    )]
    ClockFixed,
    /// There are more logs than ids for them.
    #[error("a store holds at most 127 logs")]
    TooManyLogs,
    /// The store is damaged: restore a backup.
    #[error(
        "the store is damaged: {what}; put the store back from its backup, and keep this file for examination"
    )]
    Damaged {
        /// What is wrong, and where.
        what: String,
    },
    /// The lock file cannot be used: check the directory and its rights.
    #[error("cannot use {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The disk is full: make room.
    #[error(
        "the disk is full, so that the store cannot be opened: make room and start again; nothing is lost"
    )]
    DiskFull,
    /// SQLite cannot open or read it: check file, disk and rights.
    #[error(
        "the store cannot be opened or read; check the file, its disk and its rights (SQLite says: {0})"
    )]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        const IOERR_SHORT_READ: u32 = 522;
        let code = error
            .as_database_error()
            .and_then(|error| error.code())
            .and_then(|code| code.parse::<u32>().ok());
        // The low byte is the kind: https://www.sqlite.org/rescode.html
        match (code, code.map(|code| code & 0xff)) {
            // SQLITE_CORRUPT, SQLITE_NOTADB, and a file that ends too early.
            (_, Some(11 | 26)) | (Some(IOERR_SHORT_READ), _) => Self::Damaged {
                what: format!("the file is cut off or altered (SQLite says: {error})"),
            },
            (_, Some(13)) => Self::DiskFull,
            _ => Self::Database(error),
        }
    }
}

impl OpenError {
    /// The error with the file that is damaged.
    pub(crate) fn at(self, path: &Path) -> Self {
        match self {
            Self::Damaged { what } => Self::Damaged {
                what: format!("{}: {what}", path.display()),
            },
            other => other,
        }
    }

    pub(crate) fn damaged_head(log: LogName, shard: Shard, what: &str) -> Self {
        Self::Damaged {
            what: format!("head of {log}, shard {shard}: {what}"),
        }
    }
}

struct Pid(Option<u32>);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |pid| write!(f, " (pid {pid})"))
    }
}
