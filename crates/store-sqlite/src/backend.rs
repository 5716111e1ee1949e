//! The transactions of group commit, on one connection.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::error::ErrorKind;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tally_eventlog::BoxError;
use tally_eventlog::group::{Backend, CommitError, Tail};
use tally_eventlog::sequence::{Loaded, Rows, Wanted};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::known::{Known, Logs, SharedKnown};
use crate::lock::StoreLock;
use crate::wal::WalGauge;
use crate::{load, write};

/// The one connection that writes. Whoever holds it is the writer; the lock is
/// fair, so that appends and housekeeping take turns.
pub(crate) type WriteTurn = Arc<Mutex<WriteConnection>>;

#[derive(Debug)]
pub(crate) struct WriteConnection {
    options: SqliteConnectOptions,
    open: Option<SqliteConnection>,
    // Held as long as anything can write.
    lock: Option<StoreLock>,
}

impl WriteConnection {
    pub(crate) fn new(
        options: SqliteConnectOptions,
        open: SqliteConnection,
        lock: StoreLock,
    ) -> Self {
        Self {
            options,
            open: Some(open),
            lock: Some(lock),
        }
    }

    /// # Errors
    ///
    /// The database cannot be opened, or the store was closed.
    pub(crate) async fn get(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        if self.lock.is_none() {
            return Err(sqlx::Error::Protocol("the store is closed".to_owned()));
        }
        let open = match self.open.take() {
            Some(open) => open,
            None => self.options.connect().await?,
        };
        Ok(self.open.insert(open))
    }

    /// Closes the connection and lets go of the store, for good.
    pub(crate) async fn release(&mut self) -> Result<(), sqlx::Error> {
        let closed = match self.open.take() {
            Some(open) => open.close().await,
            None => Ok(()),
        };
        self.lock = None;
        closed
    }

    /// Gives the connection up: its state is not known. The next use opens another.
    fn discard(&mut self) {
        self.open = None;
    }
}

pub(crate) struct SqliteBackend {
    pub(crate) turn: WriteTurn,
    pub(crate) logs: Arc<Logs>,
    pub(crate) known: SharedKnown,
    pub(crate) tail: Arc<Tail>,
    pub(crate) wal: WalGauge,
    pub(crate) transaction: Option<OwnedMutexGuard<WriteConnection>>,
    /// A commit's outcome was unknown: what is kept in memory may be wrong.
    pub(crate) stale: bool,
}

impl Backend for SqliteBackend {
    async fn begin(&mut self, wanted: &Wanted) -> Result<Loaded, BoxError> {
        if self.stale {
            self.reload().await?;
        }
        let mut turn = self.turn.clone().lock_owned().await;
        self.wal.before_transaction(turn.get().await?).await?;
        let turn = self.transaction.insert(turn);
        let connection = turn.get().await?;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *connection)
            .await?;
        let mut loaded = Loaded {
            heads: HashMap::default(),
            versions: load::versions(connection, &wanted.streams).await?,
            commands: load::commands(connection, &self.logs, &wanted.commands).await?,
            checkpoints: HashMap::default(),
        };
        let known = self.known.read();
        for key in &wanted.heads {
            let head = known.heads.get(key).ok_or_else(|| {
                format!(
                    "the store was not opened with log `{}`, shard {}",
                    key.0, key.1
                )
            })?;
            loaded.heads.insert(*key, head.clone());
        }
        for key in &wanted.checkpoints {
            if let Some(found) = known
                .checkpoints
                .get(key.0)
                .and_then(|shards| shards.get(&key.1))
            {
                loaded.checkpoints.insert(*key, found.clone());
            }
        }
        Ok(loaded)
    }

    async fn commit(&mut self, rows: &Rows) -> Result<(), CommitError> {
        let turn = self
            .transaction
            .as_mut()
            .ok_or_else(|| not_applied("no transaction is open"))?;
        let connection = turn.get().await.map_err(not_applied)?;
        let views = write::write(connection, &self.logs, &self.known, rows)
            .await
            .map_err(|error| match &error {
                sqlx::Error::Database(database) if is_constraint(database.as_ref()) => {
                    CommitError::Constraint(error.into())
                }
                _ => not_applied(error),
            })?;
        if let Err(error) = sqlx::query("COMMIT").execute(&mut *connection).await {
            // If there is still a transaction to end, nothing of it was
            // committed. If SQLite has ended it itself, its frames may be in
            // the write-ahead log and come back at the next recovery.
            let ended = sqlx::query("ROLLBACK").execute(connection).await;
            let turn = self.transaction.take();
            if ended.is_ok() {
                return Err(not_applied(error));
            }
            if let Some(mut turn) = turn {
                turn.discard();
            }
            self.stale = true;
            return Err(CommitError::Unknown(error.into()));
        }
        self.known.write().committed(rows, views);
        self.transaction = None;
        self.wal.committed(rows);
        Ok(())
    }

    async fn rollback(&mut self) {
        if let Some(mut turn) = self.transaction.take() {
            let ended = match turn.get().await {
                Ok(connection) => sqlx::query("ROLLBACK")
                    .execute(connection)
                    .await
                    .map(|_| ()),
                Err(error) => Err(error),
            };
            // Nothing was committed, but the connection may be broken.
            if let Err(error) = ended {
                tracing::warn!(error = %error, "transaction not rolled back, connection replaced");
                turn.discard();
            }
        }
        // Readers wait for the true size; the next append comes perhaps late.
        if self.stale
            && let Err(error) = self.reload().await
        {
            tracing::error!(error = %error, "heads not reloaded after an unknown outcome");
        }
    }
}

impl SqliteBackend {
    /// Reads again what the store keeps in memory.
    async fn reload(&mut self) -> Result<(), BoxError> {
        let mut turn = self.turn.clone().lock_owned().await;
        let known = Known::load(turn.get().await?, &self.logs).await?;
        let sizes: Vec<_> = known
            .heads
            .iter()
            .map(|(key, head)| (*key, head.size()))
            .collect();
        *self.known.write() = known;
        for ((log, shard), size) in sizes {
            self.tail.catch_up(log, shard, size);
        }
        self.stale = false;
        Ok(())
    }
}

fn not_applied(error: impl Into<BoxError>) -> CommitError {
    CommitError::NotApplied(error.into())
}

fn is_constraint(error: &dyn sqlx::error::DatabaseError) -> bool {
    // SQLITE_CONSTRAINT is the low byte of all its extended codes; those on
    // WITHOUT ROWID tables are not among the kinds that the driver tells apart.
    let code: Option<u32> = error.code().and_then(|code| code.parse().ok());
    error.kind() != ErrorKind::Other || code.is_some_and(|code| code & 0xff == 19)
}

#[cfg(test)]
mod tests;
