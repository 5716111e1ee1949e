//! Connections, and how long they are waited for.

use std::io;
use std::str::FromStr as _;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgDatabaseError, PgPool, PgPoolOptions, PgSeverity};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection};

use crate::options::{Database, Limits, OpenError};

/// How much longer than the database itself the client waits for an answer: it
/// only matters where the database, or the way to it, hangs.
const GRACE: Duration = Duration::from_secs(2);

/// A connection that rested longer is asked whether it still stands before use.
const PING_AFTER: Duration = Duration::from_secs(1);

/// How to connect to the schema of a store.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    options: PgConnectOptions,
    pub(crate) schema: String,
    limits: Limits,
}

impl Connector {
    pub(crate) fn new(database: &Database, limits: &Limits) -> Result<Self, OpenError> {
        let schema = database.schema.clone();
        if !is_schema_name(&schema) {
            return Err(OpenError::SchemaName { name: schema });
        }
        let statement = limits.statement_timeout.as_millis().to_string();
        let idle = limits.transaction_idle_max.as_millis().to_string();
        let options = PgConnectOptions::from_str(&database.url)
            .map_err(OpenError::Url)?
            .application_name(&format!("tally {schema}"))
            .options([
                ("search_path", schema.as_str()),
                ("statement_timeout", &statement),
                ("idle_in_transaction_session_timeout", &idle),
                // Every statement here finds its rows by a key. Statistics lag behind a
                // table that grows fast, and a plan made for a few rows is kept: it must
                // not read all of them.
                ("enable_seqscan", "off"),
                ("enable_hashjoin", "off"),
                ("enable_mergejoin", "off"),
                ("jit", "off"),
            ])
            .disable_statement_logging();
        Ok(Self {
            options,
            schema,
            limits: limits.clone(),
        })
    }

    /// A connection of its own.
    pub(crate) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let connecting = self.options.connect();
        let connected = tokio::time::timeout(self.limits.connect_timeout, connecting).await;
        connected.map_err(|_| late("a connection"))?
    }

    /// A connection that appends.
    pub(crate) async fn connect_writer(&self) -> Result<PgConnection, sqlx::Error> {
        let mut connection = self.connect().await?;
        self.bounded(make_durable(&mut connection)).await?;
        // Ends what waits for a lock on behalf of a process that has died. Not every
        // platform that Postgres runs on can.
        let watchful = "SELECT set_config('client_connection_check_interval', '1000', false)";
        match self.bounded(connection.execute(watchful)).await {
            Err(error) if is_broken(&error) => Err(error),
            _ => Ok(connection),
        }
    }

    /// Connections for short statements, made when they are needed.
    pub(crate) fn pool(&self, connections: u32) -> PgPool {
        PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(self.limits.connect_timeout)
            .test_before_acquire(false)
            .after_connect(|connection, _| Box::pin(make_durable(connection)))
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    // A round trip is worth it only where the connection may be dead.
                    if meta.idle_for > PING_AFTER {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            })
            .connect_lazy_with(self.options.clone())
    }

    /// Waits for an answer a little longer than the database works on it.
    pub(crate) async fn bounded<T, E: From<sqlx::Error>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let done = tokio::time::timeout(self.limits.statement_timeout + GRACE, work).await;
        done.unwrap_or_else(|_| Err(late("the database's answer").into()))
    }
}

/// A commit is on disk before it is answered, whatever the server's default.
async fn make_durable(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let text = "SELECT set_config('synchronous_commit', 'on', false) \
                WHERE current_setting('synchronous_commit') = 'off'";
    connection.execute(text).await.map(|_| ())
}

fn late(what: &str) -> sqlx::Error {
    let text = format!("{what} did not come in time");
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, text))
}

/// True if the connection had ended before anything was done on it, as after a
/// restart of the database. What only takes long would take as long again.
pub(crate) fn had_ended(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() != io::ErrorKind::TimedOut,
        error => postgres(error).is_some() && is_broken(error),
    }
}

/// True if the connection cannot be used any more, or may not be.
pub(crate) fn is_broken(error: &sqlx::Error) -> bool {
    !is_refusal(error)
}

/// True if the database answered that the statement, and with it the transaction,
/// has failed, and stays connected. At a COMMIT it then was not applied; a session
/// that is ended leaves that open.
pub(crate) fn is_refusal(error: &sqlx::Error) -> bool {
    postgres(error)
        .is_some_and(|error| !matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// True if a constraint refused a row.
pub(crate) fn is_constraint(error: &sqlx::Error) -> bool {
    // Class 23: https://www.postgresql.org/docs/current/errcodes-appendix.html
    is_refusal(error) && postgres(error).is_some_and(|error| error.code().starts_with("23"))
}

fn postgres(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}

/// Names that need no quotes and mean the same everywhere.
fn is_schema_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain)
        && name.len() <= 63
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_a_plain_name() {
        for good in ["tally_lists", "a", "t1"] {
            assert!(is_schema_name(good), "{good}");
        }
        let long = "x".repeat(64);
        for bad in ["", "Tally", "1a", "a-b", "a b", "a\"; DROP", "ä", &long] {
            assert!(!is_schema_name(bad), "{bad}");
        }
    }
}
