//! The event store on one SQLite file.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use jiff::SignedDuration;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tally_eventlog::append::{Append, AppendError, Appended};
use tally_eventlog::group::{Tail, Writer};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::StoreError;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::backend::{SqliteBackend, WriteConnection, WriteTurn};
use crate::known::{Known, Log, Logs, SharedKnown};
use crate::lock::{StoreLock, create_for_owner_only};
use crate::options::{OpenError, SqliteOptions, StoreInfo};
use crate::renewal;
use crate::schema::{self, Wish};
use crate::wal::WalGauge;

/// Connections for reading. Reads are short; more of them than cores only wait
/// for each other.
const READERS: u32 = 3;

/// Page cache of the writer, in KiB: the right edges of all shards and the
/// upper levels of the indexes stay in it.
const WRITER_CACHE_KIB: i32 = 32 << 10;

/// Page cache of each reader, in KiB. The operating system has the rest.
const READER_CACHE_KIB: i32 = 4 << 10;

/// How long a connection waits for another one's lock. Only the recovery after
/// a crash and a closing connection ever hold one that long.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The logs, remembered commands, checkpoints and views of all roles in one
/// SQLite file. One process at a time has it open.
#[derive(Debug)]
pub struct SqliteStore {
    pub(crate) readers: SqlitePool,
    pub(crate) logs: Arc<Logs>,
    pub(crate) known: SharedKnown,
    pub(crate) tail: Arc<Tail>,
    pub(crate) turn: WriteTurn,
    writer: RwLock<Option<Writer>>,
    tasks: Mutex<Option<Tasks>>,
    epoch: u64,
    ahead: Mutex<Option<SignedDuration>>,
}

#[derive(Debug)]
struct Tasks {
    writer: JoinHandle<()>,
    wal: JoinHandle<SqliteConnection>,
}

impl SqliteStore {
    /// Opens a store, and creates it if there is none and the options say so.
    ///
    /// Heads are held against their checksums and last records; the records
    /// themselves are not read. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do. The store is as it was.
    pub async fn open(options: SqliteOptions) -> Result<Self, OpenError> {
        let path = options.path.clone();
        Self::open_at(options)
            .await
            .map_err(|error| error.at(&path))
    }

    async fn open_at(options: SqliteOptions) -> Result<Self, OpenError> {
        let path = &options.path;
        if options.create.is_none() && !path.exists() {
            return Err(OpenError::Missing { path: path.clone() });
        }
        let lock = StoreLock::acquire(path)?;
        if options.create.is_some() {
            create_for_owner_only(path).map_err(|source| OpenError::Io {
                path: path.clone(),
                source,
            })?;
        }
        let write_options = write_options(path).create_if_missing(options.create.is_some());
        let mut connection = write_options.connect().await?;
        let wish = Wish {
            path,
            logs: &options.logs,
            shards: options.shards,
            create: options.create.as_ref(),
        };
        let opened = prepare(&mut connection, &wish).await?;
        let known = Known::load(&mut connection, &opened.logs).await?;

        let size = |log, shard| known.heads.get(&(log, shard)).map_or(0, |head| head.size());
        let tail = Tail::new(&options.logs, options.shards, size, &options.group);
        let tail = Arc::new(tail);
        let known = SharedKnown::new(known);
        let logs = Arc::new(opened.logs);
        let readers = read_pool(path).await?;
        let (wal, wal_task) = WalGauge::start(write_options.connect().await?);
        let turn = WriteConnection::new(write_options, connection, lock);
        let turn = Arc::new(tokio::sync::Mutex::new(turn));
        let backend = SqliteBackend {
            turn: turn.clone(),
            logs: logs.clone(),
            known: known.clone(),
            tail: tail.clone(),
            wal,
            transaction: None,
            stale: false,
        };
        let (writer, writer_task) = Writer::start(
            backend,
            tail.clone(),
            options.clock,
            options.group,
            options.linker,
        );
        Ok(Self {
            readers,
            logs,
            known,
            tail,
            turn,
            writer: RwLock::new(Some(writer)),
            tasks: Mutex::new(Some(Tasks {
                writer: writer_task,
                wal: wal_task,
            })),
            epoch: opened.epoch,
            ahead: Mutex::new(opened.ahead),
        })
    }

    /// What the store at a path says of itself, also while another process has
    /// it open; nothing if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn inspect(path: &Path) -> Result<Option<StoreInfo>, OpenError> {
        if !path.exists() {
            return Ok(None);
        }
        match inspect_with(read_options(path), path).await {
            // A process died in its first transaction. Taking that back needs a
            // connection that may write; SQLite lets it only if nobody else works there.
            Err(OpenError::Database(error)) if is_interrupted(&error) => {
                inspect_with(read_options(path).read_only(false), path).await
            }
            info => info,
        }
        .map_err(|error| error.at(path))
    }

    /// Gives logs of a store that nobody has open a new id from here on, as it must
    /// have where it was put back from a backup: whoever has read more of it can then
    /// tell what it holds from what is lost. The ids until here are kept beside.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do. The store is as it was.
    pub async fn renew_log_ids(
        path: &Path,
        logs: &[LogName],
        shards: ShardCount,
    ) -> Result<(), OpenError> {
        let wish = Wish {
            path,
            logs,
            shards,
            create: None,
        };
        renewal::renew(&wish).await.map_err(|error| error.at(path))
    }

    /// How many times the store was opened, this time included: grows with
    /// every process, so it serves as the epoch of its leases.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The logs that it was opened with.
    pub fn logs(&self) -> impl Iterator<Item = LogName> + use<'_> {
        self.logs.all.iter().map(|log| log.name)
    }

    /// Id of a log; nothing if the store was not opened with it.
    pub fn log_id(&self, log: LogName) -> Option<Uuid> {
        self.logs.get(log).map(|log| log.id)
    }

    /// Distance of the movable clock as it was kept last; nothing if the store has none.
    pub fn ahead(&self) -> Option<SignedDuration> {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the distance of the movable clock over a restart.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the store has no movable clock, or retry.
    pub async fn keep_ahead(&self, ahead: SignedDuration) -> Result<(), StoreError> {
        if self.ahead().is_none() {
            return Err(StoreError::new(OpenError::ClockFixed));
        }
        let mut turn = self.turn.lock().await;
        let connection = turn.get().await.map_err(StoreError::new)?;
        schema::set_ahead(connection, ahead)
            .await
            .map_err(StoreError::new)?;
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        Ok(())
    }

    /// Answers all appends that wait, copies the write-ahead log into the
    /// database and lets go of the store. Appends that come later are refused.
    /// A store that is dropped instead loses nothing; opening it takes longer.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the write-ahead log stays beside the database, which the
    /// next opening takes in; nothing is lost.
    pub async fn close(&self) -> Result<(), StoreError> {
        drop(
            self.writer
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let tasks = self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(tasks) = tasks else {
            return Ok(());
        };
        tasks.writer.await.map_err(StoreError::new)?;
        let mut connection = tasks.wal.await.map_err(StoreError::new)?;
        self.readers.close().await;
        let outcome = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut connection)
            .await;
        connection.close().await.map_err(StoreError::new)?;
        self.turn
            .lock()
            .await
            .release()
            .await
            .map_err(StoreError::new)?;
        outcome.map(|_| ()).map_err(StoreError::new)
    }

    pub(crate) fn writer(&self) -> Option<Writer> {
        self.writer
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn log(&self, name: LogName, shard: Shard) -> Result<&Log, StoreError> {
        self.logs
            .get(name)
            .filter(|_| shard.0 < self.logs.shards.get())
            .ok_or_else(|| StoreError::new(not_here(name, shard)))
    }
}

/// Appends, to the logs and shards that the store has.
pub(crate) async fn append(
    store: &SqliteStore,
    appends: Vec<Append>,
) -> Vec<Result<Appended, AppendError>> {
    let lacks = |log, shard| store.log(log, shard).err();
    let writer = store.writer();
    Writer::append_where(writer, appends, lacks).await
}

fn not_here(log: LogName, shard: Shard) -> String {
    format!("the store was not opened with log `{log}`, shard {shard}")
}

async fn prepare(
    connection: &mut SqliteConnection,
    wish: &Wish<'_>,
) -> Result<schema::Opened, OpenError> {
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut *connection)
        .await?;
    let opened = schema::prepare(connection, wish).await;
    let end = if opened.is_ok() { "COMMIT" } else { "ROLLBACK" };
    sqlx::query(end).execute(connection).await?;
    opened
}

pub(crate) fn write_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        // An entry of the stream index changes a page of its own, as streams are
        // spread by their hash: small pages keep that from doubling the writes.
        .page_size(4_096)
        .journal_mode(SqliteJournalMode::Wal)
        // Every commit is on disk before it is answered.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(64)
        .row_buffer_size(512)
        // See `wal`: pages are copied beside the writer.
        .pragma("wal_autocheckpoint", "0")
        .pragma("cache_size", (-WRITER_CACHE_KIB).to_string())
        // What a statement might take back is kept in memory, not in a file.
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

pub(crate) fn read_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .foreign_keys(false)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(64)
        .row_buffer_size(512)
        .pragma("cache_size", (-READER_CACHE_KIB).to_string())
        .disable_statement_logging()
}

async fn inspect_with(
    options: SqliteConnectOptions,
    path: &Path,
) -> Result<Option<StoreInfo>, OpenError> {
    let mut connection = options.connect().await?;
    let info = schema::inspect(&mut connection, path).await;
    connection.close().await?;
    info
}

/// True for `SQLITE_READONLY_ROLLBACK`: a rollback journal is to be played back first.
fn is_interrupted(error: &sqlx::Error) -> bool {
    const READONLY_ROLLBACK: &str = "776";
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some(READONLY_ROLLBACK))
}

async fn read_pool(path: &Path) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .min_connections(1)
        // A file in the same machine neither hangs up nor needs a ping.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(read_options(path))
        .await
}
