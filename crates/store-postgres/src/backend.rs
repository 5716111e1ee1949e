//! The transactions of group commit, on one connection.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::PgConnection;
use sqlx::postgres::PgPool;
use tally_eventlog::BoxError;
use tally_eventlog::group::{Backend, CommitError};
use tally_eventlog::sequence::{CheckpointRef, Loaded, Rows, Wanted};
use tokio::sync::Notify;

use crate::connect::{Connector, had_ended, is_broken, is_constraint, is_refusal};
use crate::load;
use crate::logs::Logs;
use crate::months::{Month, Months, Reached, month_of};
use crate::partitions::Partitions;
use crate::views::ViewNames;
use crate::write::{WriteError, write};

pub(crate) struct PostgresBackend {
    pub(crate) connector: Connector,
    /// For what is not part of the transaction: partitions, names of views.
    pub(crate) pool: PgPool,
    pub(crate) logs: Arc<Logs>,
    pub(crate) views: Arc<ViewNames>,
    pub(crate) months: Arc<Months>,
    pub(crate) committed: Arc<Notify>,
    /// Nothing while it works or is lost: whoever takes it puts it back when it is
    /// sound, so that one that was left in the middle of something is never used.
    pub(crate) connection: Option<PgConnection>,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) known: KnownRows,
}

/// The open transaction.
#[derive(Debug)]
pub(crate) struct Transaction {
    checkpoints: Vec<CheckpointRef>,
}

/// What stands for good, whoever put it there.
#[derive(Debug, Default)]
pub(crate) struct KnownRows {
    partitions: Partitions,
    /// Checkpoints that have a row to lock.
    checkpoints: HashSet<CheckpointRef>,
    /// The latest month that was written to.
    month: Option<Month>,
}

impl Backend for PostgresBackend {
    async fn begin(&mut self, wanted: &Wanted) -> Result<Loaded, BoxError> {
        self.make_next_partition().await;
        let reused = self.connection.is_some();
        match self.open(wanted).await {
            Err(error) if reused && error.downcast_ref().is_some_and(had_ended) => {
                self.open(wanted).await
            }
            loaded => loaded,
        }
    }

    async fn commit(&mut self, rows: &Rows) -> Result<(), CommitError> {
        let reached = self.prepare(rows).await.map_err(not_applied)?;
        let mut connection = self
            .connection
            .take()
            .ok_or_else(|| not_applied("no transaction is open"))?;
        let write = write(&mut connection, &self.logs, &self.views, rows, &reached);
        match self.connector.bounded(write).await {
            Ok(()) => {}
            Err(WriteError::Rows(what)) => {
                self.connection = Some(connection);
                return Err(CommitError::Constraint(what.into()));
            }
            Err(WriteError::Database(error)) => {
                self.put_back(connection, &error);
                return Err(match is_constraint(&error) {
                    true => CommitError::Constraint(error.into()),
                    false => not_applied(error),
                });
            }
        }
        let commit = sqlx::raw_sql("COMMIT").execute(&mut connection);
        if let Err(error) = self.connector.bounded(commit).await {
            // An answer that it failed means that it was taken back. No answer, or
            // the end of the session, leaves that open.
            let refused = is_refusal(&error);
            self.put_back(connection, &error);
            return Err(match refused {
                true if is_constraint(&error) => CommitError::Constraint(error.into()),
                true => not_applied(error),
                false => CommitError::Unknown(error.into()),
            });
        }
        self.connection = Some(connection);
        self.committed(rows, reached);
        Ok(())
    }

    async fn rollback(&mut self) {
        if self.transaction.take().is_none() {
            return;
        }
        // Without a connection the database has ended the transaction, or will.
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let ended = sqlx::raw_sql("ROLLBACK").execute(&mut connection);
        match self.connector.bounded(ended).await {
            Ok(_) => self.connection = Some(connection),
            Err(error) => {
                tracing::warn!(error = %error, "transaction not rolled back, connection replaced");
            }
        }
    }
}

impl PostgresBackend {
    async fn open(&mut self, wanted: &Wanted) -> Result<Loaded, BoxError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connector.connect_writer().await?,
        };
        self.transaction = Some(Transaction {
            checkpoints: wanted.checkpoints.iter().copied().collect(),
        });
        let standing = &self.known.checkpoints;
        let open = load::open(&mut connection, &self.logs, wanted, standing);
        let loaded = self.connector.bounded(open).await;
        match &loaded {
            Ok(_) => self.connection = Some(connection),
            Err(error) => match error.downcast_ref::<sqlx::Error>() {
                Some(error) => self.put_back(connection, error),
                None => self.connection = Some(connection),
            },
        }
        loaded
    }

    fn put_back(&mut self, connection: PgConnection, error: &sqlx::Error) {
        if !is_broken(error) {
            self.connection = Some(connection);
        }
    }

    /// Makes what the rows need and what is not part of the transaction.
    async fn prepare(&self, rows: &Rows) -> Result<Vec<Reached>, sqlx::Error> {
        let (mut views, mut month) = (Vec::new(), None);
        for key in rows.views.keys() {
            if views.last() != Some(&key.view) {
                views.push(key.view);
            }
        }
        let give = self.views.give(&self.pool, views);
        self.connector.bounded(give).await?;
        for row in &rows.events {
            let of_row = month_of(row.recorded_at);
            if month != Some(of_row) && !self.known.partitions.has(of_row) {
                let ensure = self.known.partitions.ensure(&self.pool, of_row);
                self.connector.bounded(ensure).await?;
            }
            month = Some(of_row);
        }
        Ok(self.months.reached(rows))
    }

    /// Long before the next month begins, so that no append waits for it then.
    async fn make_next_partition(&self) {
        let Some(next) = self.known.month.map(|month| month + 1) else {
            return;
        };
        if !self.known.partitions.has(next) {
            let ensure = self.known.partitions.ensure(&self.pool, next);
            if let Err(error) = self.connector.bounded(ensure).await {
                tracing::warn!(error = %error, "partition of the next month not made, trying again");
            }
        }
    }

    fn committed(&mut self, rows: &Rows, reached: Vec<Reached>) {
        self.months.add(reached);
        if let Some(transaction) = self.transaction.take() {
            self.known.checkpoints.extend(transaction.checkpoints);
        }
        if let Some(last) = rows.events.last() {
            let month = month_of(last.recorded_at);
            self.known.month = Some(self.known.month.map_or(month, |known| known.max(month)));
        }
        self.committed.notify_one();
    }
}

fn not_applied(error: impl Into<BoxError>) -> CommitError {
    CommitError::NotApplied(error.into())
}
