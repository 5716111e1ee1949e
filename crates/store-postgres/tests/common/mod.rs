//! What the tests share: a schema of their own on the server that they are given.

#![allow(dead_code, reason = "not every test uses everything")]

pub mod own;
pub mod proxy;

use std::str::FromStr as _;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, PgConnection};
use tally_eventlog::append::{Append, Appended, CommandKey, ExpectedVersion, StreamAppend};
use tally_eventlog::clock::SystemClock;
use tally_eventlog::event::{EventContext, NewEvent, StreamName};
use tally_eventlog::pb;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::EventStore as _;
use tally_store_postgres::{Database, MigrateOptions, PostgresOptions, PostgresStore};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub const LOG: LogName = LogName("collection");
pub const OTHER: LogName = LogName("lists");
pub const SHARD: Shard = Shard(1);

/// The server.
pub fn url() -> String {
    std::env::var("DATABASE_URL")
        .expect("DATABASE_URL names no Postgres: run `make services`, or set it to a server's URL")
}

/// A schema of its own, empty at first and dropped at the end.
#[derive(Debug)]
pub struct Schema {
    pub database: Database,
}

impl Schema {
    pub fn new() -> Self {
        let schema = format!("test_{}", Uuid::new_v4().simple());
        Self {
            database: Database { url: url(), schema },
        }
    }

    /// A connection to it, beside the store.
    pub async fn connect(&self) -> PgConnection {
        let options = PgConnectOptions::from_str(&self.database.url).expect("a URL");
        let options = options.options([("search_path", &self.database.schema)]);
        options.connect().await.expect("the server answers")
    }

    pub fn migrate_options() -> MigrateOptions {
        MigrateOptions {
            logs: vec![LOG, OTHER],
            shards: ShardCount::new(4).expect("in range"),
            test_clock: None,
        }
    }

    /// The same with a store in it.
    pub async fn with_store() -> Self {
        let schema = Self::new();
        PostgresStore::migrate(&schema.database, &Self::migrate_options())
            .await
            .expect("it is created");
        schema
    }

    pub fn options(&self) -> PostgresOptions {
        let MigrateOptions { logs, shards, .. } = Self::migrate_options();
        let clock = Arc::new(SystemClock::default());
        PostgresOptions::new(self.database.clone(), logs, shards, clock)
    }

    /// Opens the store, once more for each call.
    pub async fn open(&self) -> PostgresStore {
        PostgresStore::open(self.options())
            .await
            .expect("the store opens")
    }

    /// Runs statements in it.
    pub async fn run(&self, text: &str) {
        let mut connection = self.connect().await;
        sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
            .execute(&mut connection)
            .await
            .expect(text);
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let name = self.database.schema.clone();
        let options = PgConnectOptions::from_str(&self.database.url).expect("a URL");
        let drop = async move {
            let mut connection = options.connect().await?;
            let text = format!("DROP SCHEMA IF EXISTS \"{name}\" CASCADE");
            sqlx::raw_sql(AssertSqlSafe(text))
                .execute(&mut connection)
                .await
        };
        // Whoever drops this may be on a runtime, which must not be blocked on.
        let dropping = std::thread::spawn(|| current_thread().block_on(drop));
        let dropped = dropping.join().expect("it does not panic");
        if let Err(error) = dropped {
            eprintln!("schema {} is left behind: {error}", self.database.schema);
        }
    }
}

fn current_thread() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

/// A store whose tasks run on a runtime of their own, as those of a process do.
pub struct Process {
    pub store: Arc<PostgresStore>,
    runtime: Option<Runtime>,
}

impl Process {
    pub async fn start(options: PostgresOptions) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let opened = runtime.spawn(PostgresStore::open(options)).await;
        Self {
            store: Arc::new(opened.expect("no panic").expect("the store opens")),
            runtime: Some(runtime),
        }
    }

    /// Does something on its runtime.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.as_ref().expect("it runs").spawn(work)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A remembered command with one event on a stream of its own.
pub fn command(id: Uuid) -> Append {
    let mut append = Append::to(LOG, SHARD);
    append.command = Some(CommandKey {
        department: "d".to_owned(),
        id,
        digest: [1; 32],
    });
    append.note = Bytes::from_static(b"note");
    append.streams.push(StreamAppend {
        stream: stream(id),
        expected: ExpectedVersion::NoStream,
        events: vec![event(id)],
    });
    append
}

pub fn stream(id: Uuid) -> StreamName {
    StreamName::new("record", id.to_string())
}

/// An event whose payload is an id.
pub fn event(id: Uuid) -> NewEvent {
    NewEvent {
        event_id: id,
        event_type: "test.Event",
        subject: String::new(),
        payload: Bytes::copy_from_slice(id.as_bytes()),
        effective_at: Timestamp::UNIX_EPOCH,
        context: Arc::new(EventContext {
            actor: pb::Actor::default(),
            pack_version: String::new(),
            command_id: id,
            causation_id: id,
            correlation_id: id,
            traceparent: String::new(),
        }),
        legal_basis: None,
    }
}

/// Appends one, which must succeed.
pub async fn append(store: &PostgresStore, append: Append) -> Appended {
    let mut outcomes = store.append(vec![append]).await;
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0).expect("it commits")
}

/// Position of an append's event.
pub fn position(appended: &Appended) -> u64 {
    appended.last.expect("an event").position
}
