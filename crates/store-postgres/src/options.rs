//! How a store is opened, and why it may refuse.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use tally_eventlog::clock::Clock;
use tally_eventlog::group::{GroupOptions, SpanLinker};
use tally_eventlog::shard::{LogName, Shard, ShardCount};

/// Where a store is.
#[derive(Clone)]
pub struct Database {
    /// `postgres://user:password@host:port/database?sslmode=verify-full`; what it
    /// leaves out is taken from the environment (`PGHOST`, `PGPASSWORD`, …).
    pub url: String,
    /// The role's schema: lower-case letters, digits and underscores.
    pub schema: String,
}

// A URL may hold a password.
impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database")
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// How to open a store.
pub struct PostgresOptions {
    /// The database and the schema.
    pub database: Database,
    /// The logs that are read and written.
    pub logs: Vec<LogName>,
    /// Number of shards of every log. The store must have been created with it.
    pub shards: ShardCount,
    /// The clock that dates the records. For a store with a movable clock, one
    /// at the distance that [`inspect`](crate::store::PostgresStore::inspect) says.
    pub clock: Arc<dyn Clock>,
    /// Bounds of group commit.
    pub group: GroupOptions,
    /// What links a batch's span to the commands in it.
    pub linker: Option<SpanLinker>,
    /// Connections for reading, besides one that appends, one that listens and two
    /// for upkeep.
    pub readers: u32,
    /// How long the database is waited for.
    pub limits: Limits,
    /// Listens for what other processes append. Without it, as behind a pooler
    /// that keeps no sessions, they are noticed by polling only.
    pub listen: bool,
    /// After how long what other processes appended is looked for unasked.
    pub poll_interval: Duration,
}

impl PostgresOptions {
    /// Options for a store, the rest as it is by default.
    pub fn new(
        database: Database,
        logs: Vec<LogName>,
        shards: ShardCount,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            database,
            logs,
            shards,
            clock,
            group: GroupOptions::default(),
            linker: None,
            readers: 4,
            limits: Limits::default(),
            listen: true,
            poll_interval: Duration::from_secs(1),
        }
    }
}

/// How long the database is waited for, so that nothing hangs on it.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Until a statement is answered, its wait for locks included.
    pub statement_timeout: Duration,
    /// How long a process that hangs may keep locks that others wait for; then
    /// the database ends its transaction.
    pub transaction_idle_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(10),
            transaction_idle_max: Duration::from_secs(5),
        }
    }
}

/// What is settled when a store is created; `migrate` checks that it still holds.
#[derive(Debug, Clone)]
pub struct MigrateOptions {
    /// The logs of the role; those that the store lacks are added.
    pub logs: Vec<LogName>,
    /// Number of shards of every log.
    pub shards: ShardCount,
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
    /// How many times it was opened, by whichever process.
    pub epoch: u64,
    /// Format of its tables.
    pub format: u64,
    /// True while what was loaded into it is not settled: it cannot be opened.
    pub unfinished: bool,
}

/// Why a store cannot be opened or migrated. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is none: correct it.
    #[error(
        "the database's URL cannot be read: {0}; it has the form postgres://user@host/database"
    )]
    Url(#[source] sqlx::Error),
    /// The schema's name is none: choose another.
    #[error(
        "`{name}` cannot be the name of a schema here; use lower-case letters, digits and \
         underscores, a letter first, at most 63"
    )]
    SchemaName {
        /// The name.
        name: String,
    },
    /// There is no store: create it.
    #[error(
        "there is no store in schema `{schema}`; check database and schema, or run `tally migrate`"
    )]
    Missing {
        /// The schema.
        schema: String,
    },
    /// The schema holds something else: choose another.
    #[error("schema `{schema}` holds tables of something else; use another schema")]
    NotAStore {
        /// The schema.
        schema: String,
    },
    /// An older version wrote it: migrate.
    #[error(
        "schema `{schema}` has format {found}, this version needs {known}; run `tally migrate`"
    )]
    OlderFormat {
        /// The schema.
        schema: String,
        /// Its format.
        found: u64,
        /// The format of this version.
        known: u64,
    },
    /// A newer version wrote it: run that version.
    #[error(
        "schema `{schema}` has format {found}, and this version, which is older than the store, \
         reads up to {known}; run the version that migrated it or a newer one"
    )]
    NewerFormat {
        /// The schema.
        schema: String,
        /// Its format.
        found: u64,
        /// Newest format that this version reads.
        known: u64,
    },
    /// What was being loaded into it has not been settled: repeat the command.
    #[error(
        "schema `{schema}` is being filled, or was when the command was cut off: wait for `tally restore` or \
         `tally import-log`, or repeat it"
    )]
    Unfinished {
        /// The schema.
        schema: String,
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
    /// The store lacks logs of this version: migrate.
    #[error("the store has no log {names}; run `tally migrate`")]
    MissingLogs {
        /// The logs, as text.
        names: String,
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
        "the store is damaged: {what}; put the schema back from its backup, and keep this one for examination"
    )]
    Damaged {
        /// What is wrong, and where.
        what: String,
    },
    /// Postgres cannot be reached or refuses: check server, credentials and rights.
    #[error(
        "the store cannot be opened or read; check that the database runs, its address, \
         credentials and rights (Postgres says: {0})"
    )]
    Database(#[source] sqlx::Error),
}

impl From<sqlx::Error> for OpenError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl OpenError {
    pub(crate) fn damaged_head(log: LogName, shard: Shard, what: &str) -> Self {
        Self::Damaged {
            what: format!("head of {log}, shard {shard}: {what}"),
        }
    }
}
