//! The event store of a role in one schema.

use std::sync::{Arc, Mutex, PoisonError, RwLock};

use jiff::SignedDuration;
use sqlx::Connection as _;
use sqlx::postgres::PgPool;
use tally_eventlog::BoxError;
use tally_eventlog::append::{Append, AppendError, Appended};
use tally_eventlog::detached::detached;
use tally_eventlog::group::{Tail, Writer};
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::StoreError;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::backend::{KnownRows, PostgresBackend};
use crate::connect::Connector;
use crate::follow::{Follow, Followed};
use crate::heads::verified_heads;
use crate::logs::{Log, Logs};
use crate::months::Months;
use crate::options::{Database, Limits, MigrateOptions, OpenError, PostgresOptions, StoreInfo};
use crate::renewal;
use crate::schema;
use crate::views::ViewNames;

/// Connections for upkeep.
const UPKEEP: u32 = 2;

/// The logs, remembered commands, checkpoints and views of a role in one schema
/// of a Postgres database. Any number of processes may have it open.
#[derive(Debug)]
pub struct PostgresStore {
    pub(crate) connector: Connector,
    pub(crate) readers: PgPool,
    /// For what must not wait for somebody's long read: sizes of shards, leases,
    /// partitions.
    pub(crate) upkeep: PgPool,
    pub(crate) logs: Arc<Logs>,
    pub(crate) months: Arc<Months>,
    pub(crate) views: Arc<ViewNames>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) follow: Follow,
    writer: RwLock<Option<Writer>>,
    writing: Mutex<Option<JoinHandle<()>>>,
    epoch: u64,
    ahead: Mutex<Option<SignedDuration>>,
}

impl PostgresStore {
    /// Creates the store, or brings it to this version: schema, tables, and logs
    /// that it lacks. Several processes may do it at once, also while others of the
    /// version before have it open.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn migrate(
        database: &Database,
        options: &MigrateOptions,
    ) -> Result<StoreInfo, OpenError> {
        schema::migrate(&Connector::new(database, &Limits::default())?, options).await
    }

    /// Opens a store that was migrated to this version.
    ///
    /// Heads are held against their checksums and last records; the records
    /// themselves are not read. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do. The store is as it was.
    pub async fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        let connector = Connector::new(&options.database, &options.limits)?;
        let mut connection = connector.connect_writer().await?;
        let schema = &connector.schema;
        let opened = schema::open(&mut connection, schema, &options.logs, options.shards).await?;
        let logs = Arc::new(opened.logs);
        let mut heads: Vec<(LogName, Vec<Head>)> = Vec::with_capacity(logs.all.len());
        // As of one moment: other processes append while this one opens.
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .execute(&mut connection)
            .await?;
        for log in &logs.all {
            let found = verified_heads(&mut connection, log, &logs).await?;
            heads.push((log.name, found));
        }
        sqlx::raw_sql("COMMIT").execute(&mut connection).await?;
        let months = Arc::new(Months::default());
        months.load(&mut connection, &logs, None).await?;

        let size = |log: LogName, shard: Shard| {
            let of_log = heads.iter().find(|(name, _)| *name == log);
            of_log.map_or(0, |(_, heads)| heads[usize::from(shard.0)].size())
        };
        let tail = Arc::new(Tail::new(
            &options.logs,
            options.shards,
            size,
            &options.group,
        ));
        let readers = connector.pool(options.readers);
        let upkeep = connector.pool(UPKEEP);
        let followed = Followed {
            connector: connector.clone(),
            pool: upkeep.clone(),
            logs: logs.clone(),
            tail: tail.clone(),
            poll_interval: options.poll_interval,
        };
        let follow = Follow::start(followed, options.listen);
        let views = Arc::new(ViewNames::default());
        let backend = PostgresBackend {
            connector: connector.clone(),
            pool: upkeep.clone(),
            logs: logs.clone(),
            views: views.clone(),
            months: months.clone(),
            committed: follow.announcer(),
            connection: Some(connection),
            transaction: None,
            known: KnownRows::default(),
        };
        let (writer, writing) = Writer::start(
            backend,
            tail.clone(),
            options.clock,
            options.group,
            options.linker,
        );
        Ok(Self {
            connector,
            readers,
            upkeep,
            logs,
            months,
            views,
            tail,
            follow,
            writer: RwLock::new(Some(writer)),
            writing: Mutex::new(Some(writing)),
            epoch: opened.epoch,
            ahead: Mutex::new(opened.ahead),
        })
    }

    /// Format of the tables that this version opens.
    pub const FORMAT: u64 = schema::STORE.known();

    /// What the store in a schema says of itself; nothing if there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn inspect(database: &Database) -> Result<Option<StoreInfo>, OpenError> {
        let connector = Connector::new(database, &Limits::default())?;
        let mut connection = connector.connect().await?;
        let info = schema::inspect(&mut connection, &connector.schema).await;
        connection.close().await?;
        info
    }

    /// Lets a store be opened that a [`PostgresTarget`](crate::PostgresTarget) has filled,
    /// once what was loaded has been read back; its logs keep their ids.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do. It still cannot be opened.
    pub async fn settle(database: &Database) -> Result<(), OpenError> {
        renewal::settle(&Connector::new(database, &Limits::default())?).await
    }

    /// Gives logs of a store that nobody has open a new id from here on, as it must
    /// have where it was put back from a backup: whoever has read more of it can then
    /// tell what it holds from what is lost. The ids until here are kept beside. One that was
    /// filled can be opened from then on.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do. The store is as it was.
    pub async fn renew_log_ids(database: &Database, logs: &[LogName]) -> Result<(), OpenError> {
        renewal::renew(&Connector::new(database, &Limits::default())?, logs).await
    }

    /// How many times the store was opened, by whichever process, this time included.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Id of a log; nothing if the store was not opened with it.
    pub fn log_id(&self, log: LogName) -> Option<Uuid> {
        self.logs.get(log).map(|log| log.id)
    }

    /// Distance of the movable clock as this process kept it last; nothing if the
    /// store has none.
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
        self.on(
            move |pool| async move { schema::set_ahead(&mut *pool.acquire().await?, ahead).await },
        )
        .await?;
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        Ok(())
    }

    /// Answers all appends that wait and ends the connections. Appends that come
    /// later are refused. A store that is dropped instead loses nothing.
    pub async fn close(&self) {
        drop(
            self.writer
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let writing = self
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(writing) = writing {
            // A writer that panicked has answered its callers by that.
            let _ = writing.await;
        }
        self.follow.stop();
        self.readers.close().await;
        self.upkeep.close().await;
    }

    pub(crate) fn log(&self, name: LogName, shard: Shard) -> Result<&Log, StoreError> {
        self.logs
            .get(name)
            .filter(|_| shard.0 < self.logs.shards.get())
            .ok_or_else(|| StoreError::new(not_here(name, shard)))
    }

    /// Does something on the connections for reading, whoever waits for it.
    pub(crate) async fn on<T, E, Work>(
        &self,
        work: impl FnOnce(PgPool) -> Work,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: From<sqlx::Error> + Into<BoxError> + Send + 'static,
        Work: Future<Output = Result<T, E>> + Send + 'static,
    {
        self.bounded(work(self.readers.clone())).await
    }

    /// The same on those for upkeep.
    pub(crate) async fn on_upkeep<T, Work>(
        &self,
        work: impl FnOnce(PgPool) -> Work,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    {
        self.bounded(work(self.upkeep.clone())).await
    }

    async fn bounded<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        E: From<sqlx::Error> + Into<BoxError> + Send + 'static,
    {
        let connector = self.connector.clone();
        detached(async move { connector.bounded(work).await })
            .await
            .map_err(StoreError::new)
    }
}

/// Appends, to the logs and shards that the store has.
pub(crate) async fn append(
    store: &PostgresStore,
    appends: Vec<Append>,
) -> Vec<Result<Appended, AppendError>> {
    let lacks = |log, shard| store.log(log, shard).err();
    let writer = store
        .writer
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    Writer::append_where(writer, appends, lacks).await
}

fn not_here(log: LogName, shard: Shard) -> String {
    format!("the store was not opened with log `{log}`, shard {shard}")
}
