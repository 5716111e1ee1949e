//! Bare inserts into SQLite.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{
    Arguments as _, AssertSqlSafe, ConnectOptions as _, Connection as _, Encode, Sqlite,
    SqliteConnection, Type,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{InsertTask, Inserts, Table};
use crate::material::{Item, KeyRow, Material, ViewRow};

const SCHEMA: &str = include_str!("../../../../migrations/sqlite/store/0001_event_store.sql");
const KEY_SCHEMA: &str = include_str!("../../../../migrations/sqlite/keyring/0001_key_ring.sql");

/// Rows per statement: more gains nothing (FACTS: 86,000 rows a second at 100).
const STATEMENT_ROWS: usize = 200;

/// Rows after which pages are copied out of the write-ahead log, beside the writer.
const CHECKPOINT_ROWS: usize = 4_096;

impl Inserts {
    /// Inserts into the event store at `path`, a fresh one if there is none.
    pub async fn into_store(path: &Path, material: Arc<Material>) -> (Self, InsertTask) {
        let connection = opened(path, SCHEMA).await;
        let copier = options(path).connect().await.expect("the new file opens");
        let (copy, copied) = mpsc::channel(1);
        let copier = tokio::spawn(copy_pages(copier, copied));
        Self::start(Store {
            connection,
            material,
            copy,
            copier,
            rows: 0,
        })
    }

    /// Inserts the keys into the key ring at `path`, a fresh one if there is none.
    pub async fn into_keyring(path: &Path, material: Arc<Material>) -> (Self, InsertTask) {
        let connection = opened(path, KEY_SCHEMA).await;
        Self::start(Keys {
            connection,
            material,
        })
    }
}

struct Store {
    connection: SqliteConnection,
    material: Arc<Material>,
    copy: mpsc::Sender<()>,
    copier: JoinHandle<()>,
    rows: usize,
}

impl Table for Store {
    async fn commit(&mut self, batch: &[std::ops::Range<usize>]) -> Result<(), sqlx::Error> {
        static EVENTS: Insert = Insert::new(
            "INSERT OR FAIL INTO event (id, stream, version, leaf, record) VALUES ",
            5,
        );
        static COMMANDS: Insert = Insert::new(
            "INSERT OR FAIL INTO command (id, log, department, digest, result) VALUES ",
            5,
        );
        static VIEWS: Insert = Insert::new(
            "INSERT OR REPLACE INTO view_row (view, shard, key, value) VALUES ",
            4,
        );
        static HEADS: Insert = Insert::new(
            "INSERT OR REPLACE INTO shard_head (log, shard, size, leaf, frontier, recorded_at, checksum) VALUES ",
            7,
        );
        static CHECKPOINTS: Insert = Insert::new(
            "INSERT OR REPLACE INTO checkpoint (consumer, shard, next, log_id, leaf, seen_at, epoch) VALUES ",
            7,
        );
        let material = self.material.clone();
        let mut items: Vec<&Item> = batch
            .iter()
            .flat_map(|places| &material.items[places.clone()])
            .collect();
        // Neighbours in the table one after the other, as ours does it.
        items.sort_unstable_by_key(|item| item.event.id);
        let mut views: Vec<&ViewRow> = items
            .iter()
            .flat_map(|item| &item.views)
            .chain(&material.views)
            .collect();
        views.sort_unstable_by(|a, b| (a.view, a.shard, &a.key).cmp(&(b.view, b.shard, &b.key)));
        let connection = &mut self.connection;
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut *connection)
            .await?;
        EVENTS
            .run(connection, &items, |item, row| {
                let event = &item.event;
                row.add(event.id)?
                    .add(&event.stream[..])?
                    .add(event.version)?;
                row.add(&event.leaf[..])?.add(&event.record[..]).map(drop)
            })
            .await?;
        COMMANDS
            .run(connection, &items, |item, row| {
                let command = &item.command;
                row.add(&command.id[..])?
                    .add(command.log)?
                    .add(&command.department[..])?;
                row.add(&command.digest[..])?
                    .add(&command.result[..])
                    .map(drop)
            })
            .await?;
        VIEWS
            .run(connection, &views, |view, row| {
                row.add(view.view)?
                    .add(view.shard)?
                    .add(&view.key[..])?
                    .add(&view.value[..])
                    .map(drop)
            })
            .await?;
        HEADS
            .run(connection, &material.heads, |head, row| {
                row.add(head.log)?
                    .add(head.shard)?
                    .add(head.size)?
                    .add(&head.leaf[..])?;
                row.add(&head.frontier[..])?
                    .add(&head.recorded_at[..])?
                    .add(&head.checksum[..])
                    .map(drop)
            })
            .await?;
        CHECKPOINTS
            .run(connection, &material.checkpoints, |checkpoint, row| {
                row.add(&checkpoint.consumer[..])?
                    .add(checkpoint.shard)?
                    .add(checkpoint.next)?;
                row.add(&checkpoint.log_id[..])?.add(&checkpoint.leaf[..])?;
                row.add(&checkpoint.seen_at[..])?
                    .add(checkpoint.epoch)
                    .map(drop)
            })
            .await?;
        sqlx::query("COMMIT").execute(connection).await?;
        self.rows += items.len() + views.len();
        if self.rows >= CHECKPOINT_ROWS {
            self.rows = 0;
            // If it is still copying, it takes these pages along next time.
            let _ = self.copy.try_send(());
        }
        Ok(())
    }

    async fn close(self) -> Result<(), sqlx::Error> {
        drop(self.copy);
        self.copier.await.expect("copying pages does not panic");
        self.connection.close().await
    }
}

struct Keys {
    connection: SqliteConnection,
    material: Arc<Material>,
}

impl Table for Keys {
    async fn commit(&mut self, batch: &[std::ops::Range<usize>]) -> Result<(), sqlx::Error> {
        static KEYS: Insert = Insert::new(
            "INSERT INTO data_key (lookup, key_id, wrapped, erased) VALUES ",
            4,
        );
        let items = batch
            .iter()
            .flat_map(|places| &self.material.items[places.clone()]);
        let keys: Vec<&KeyRow> = items.filter_map(|item| item.key.as_ref()).collect();
        sqlx::query("BEGIN IMMEDIATE")
            .execute(&mut self.connection)
            .await?;
        KEYS.run(&mut self.connection, &keys, |key, row| {
            row.add(&key.lookup[..])?
                .add(&key.key_id[..])?
                .add(&key.wrapped[..])?
                .add(0)
                .map(drop)
        })
        .await?;
        sqlx::query("COMMIT")
            .execute(&mut self.connection)
            .await
            .map(drop)
    }

    async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}

/// An insert of many rows at once. Its texts are kept by number of rows, so that
/// the driver finds every one of them prepared.
struct Insert {
    before: &'static str,
    columns: usize,
    texts: [OnceLock<Arc<str>>; STATEMENT_ROWS],
}

impl Insert {
    const fn new(before: &'static str, columns: usize) -> Self {
        Self {
            before,
            columns,
            texts: [const { OnceLock::new() }; STATEMENT_ROWS],
        }
    }

    async fn run<T: Sync>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[T],
        bind: impl Fn(&T, &mut Row) -> Result<(), sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        for rows in rows.chunks(STATEMENT_ROWS) {
            let text = self.texts[rows.len() - 1].get_or_init(|| {
                let row = format!("({})", vec!["?"; self.columns].join(","));
                format!(
                    "{}{}",
                    self.before,
                    vec![row.as_str(); rows.len()].join(",")
                )
                .into()
            });
            let mut values = Row(SqliteArguments::default());
            values.0.reserve(rows.len() * self.columns, 0);
            for row in rows {
                bind(row, &mut values)?;
            }
            sqlx::query_with(AssertSqlSafe(text.clone()), values.0)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}

/// Values in the order of the columns.
struct Row(SqliteArguments);

impl Row {
    fn add<'a>(
        &mut self,
        value: impl Encode<'a, Sqlite> + Type<Sqlite>,
    ) -> Result<&mut Self, sqlx::Error> {
        self.0.add(value).map_err(sqlx::Error::Encode)?;
        Ok(self)
    }
}

async fn opened(path: &Path, schema: &'static str) -> SqliteConnection {
    let is_there = path.exists();
    let options = options(path).create_if_missing(true);
    let mut connection = options.connect().await.expect("the file opens");
    if is_there {
        return connection;
    }
    sqlx::raw_sql(schema)
        .execute(&mut connection)
        .await
        .expect("the schema fits a new file");
    connection
}

/// As ours opens its files.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .page_size(4_096)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(false)
        .statement_cache_capacity(2 * STATEMENT_ROWS)
        .pragma("wal_autocheckpoint", "0")
        .pragma("cache_size", "-32768")
        .pragma("temp_store", "MEMORY")
        .disable_statement_logging()
}

async fn copy_pages(mut connection: SqliteConnection, mut woken: mpsc::Receiver<()>) {
    while woken.recv().await.is_some() {
        let copied = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
            .execute(&mut connection)
            .await;
        copied.expect("pages are copied");
    }
}
