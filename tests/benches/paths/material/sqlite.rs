//! The rows of a load as SQLite has them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::Path;
use std::time::Duration;

use futures::TryStreamExt as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection};
use tally_eventlog::shard::LogName;

use super::{
    CheckpointRow, CommandRow, Counts, EventRow, Found, HeadRow, KeyRow, Material, ViewRow,
    command_ids,
};

/// How long a store may be closed by others before it is read.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// What was in a store before the load.
pub struct Before {
    /// Records per log and shard.
    sizes: HashMap<(i64, i64), i64>,
    /// Hashes of the values of rows, by hashes of their keys.
    views: HashMap<u64, u64>,
    checkpoints: HashMap<(String, i64), i64>,
    /// Rows per table that bare inserts into.
    counts: Counts,
}

impl Counts {
    /// Counts them.
    pub async fn read(store: &Path) -> Self {
        let connection = &mut open(store).await;
        Self {
            events: count(connection, "event").await,
            commands: count(connection, "command").await,
            views: count(connection, "view_row").await,
        }
    }
}

impl Before {
    /// Reads what is there.
    pub async fn read(store: &Path) -> Self {
        let counts = Counts::read(store).await;
        let connection = &mut open(store).await;
        let heads = heads(connection).await.into_iter();
        let checkpoints = checkpoints(connection).await.into_iter();
        let mut views = HashMap::new();
        each_view_row(connection, |row| {
            views.insert(row.place(), hash(&row.value));
        })
        .await;
        Self {
            sizes: heads.map(|row| ((row.log, row.shard), row.size)).collect(),
            views,
            checkpoints: checkpoints
                .map(|row| ((row.consumer, row.shard), row.next))
                .collect(),
            counts,
        }
    }
}

impl ViewRow {
    /// What stands for its key: rows are told apart by it, of which there may be millions.
    fn place(&self) -> u64 {
        hash(&(self.view, self.shard, &self.key))
    }
}

fn hash(value: &impl Hash) -> u64 {
    // Without a seed: the same in the whole run.
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Material {
    /// Reads the rows that a load on `log` has added since `before`.
    ///
    /// # Panics
    ///
    /// If there are not as many events and commands as there were requests.
    pub async fn read(
        store: &Path,
        keyring: &Path,
        log: LogName,
        before: &Before,
        requests: usize,
    ) -> Self {
        let connection = &mut open(store).await;
        let number: i64 = sqlx::query_scalar("SELECT number FROM log WHERE name = ?")
            .bind(log.0)
            .fetch_one(&mut *connection)
            .await
            .expect("the store has the log");
        let heads = heads(connection).await.into_iter();
        let heads: Vec<HeadRow> = heads.filter(|row| row.log == number).collect();
        let mut loaded = Vec::with_capacity(requests);
        for head in &heads {
            let from = before.sizes.get(&(head.log, head.shard)).copied();
            loaded.extend(events(connection, head, from.unwrap_or_default()).await);
        }
        let (first, last) = command_ids(&loaded);
        let moved = |row: &CheckpointRow| {
            let then = before.checkpoints.get(&(row.consumer.clone(), row.shard));
            then.is_none_or(|next| *next != row.next)
        };
        let checkpoints = checkpoints(connection).await.into_iter();
        let found = Found {
            commands: commands(connection, number, &first, &last).await,
            events: loaded,
            heads,
            checkpoints: checkpoints.filter(moved).collect(),
            keys: keys(keyring).await,
        };
        let (mut material, places) = Self::of(found, requests);
        material.before = before.counts;
        let changed = |row: &ViewRow| before.views.get(&row.place()) != Some(&hash(&row.value));
        each_view_row(connection, |row| material.take_view(&places, row, changed)).await;
        material
    }
}

async fn open(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        // A store of some gigabytes takes its time to be closed by those before.
        .busy_timeout(BUSY_TIMEOUT);
    options.connect().await.expect("the store can be read")
}

async fn rows<T>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    read: impl Fn(&SqliteRow) -> T,
) -> Vec<T> {
    let rows = sqlx::query(sql)
        .fetch_all(connection)
        .await
        .expect("the store can be read");
    rows.iter().map(read).collect()
}

/// The records of a shard from a position on.
async fn events(connection: &mut SqliteConnection, head: &HeadRow, from: i64) -> Vec<EventRow> {
    let start = (head.log << 56) + (head.shard << 40);
    let sql = "SELECT id, stream, version, leaf, record FROM event WHERE id >= ? AND id < ?";
    let rows = sqlx::query(sql)
        .bind(start + from)
        .bind(start + head.size)
        .fetch_all(connection)
        .await
        .expect("the store can be read");
    let event = |row: &SqliteRow| EventRow {
        id: row.get(0),
        stream: row.get(1),
        version: row.get(2),
        leaf: row.get(3),
        record: row.get(4),
    };
    rows.iter().map(event).collect()
}

/// The commands of a log within a range of ids, which are in the order of time.
async fn commands(
    connection: &mut SqliteConnection,
    log: i64,
    first: &[u8],
    last: &[u8],
) -> Vec<CommandRow> {
    let sql = "SELECT id, log, department, digest, result FROM command \
               WHERE log = ? AND id BETWEEN ? AND ?";
    let rows = sqlx::query(sql)
        .bind(log)
        .bind(first)
        .bind(last)
        .fetch_all(connection)
        .await
        .expect("the store can be read");
    let command = |row: &SqliteRow| CommandRow {
        id: row.get(0),
        log: row.get(1),
        department: row.get(2),
        digest: row.get(3),
        result: row.get(4),
    };
    rows.iter().map(command).collect()
}

/// One row at a time: there may be millions.
async fn each_view_row(connection: &mut SqliteConnection, mut take: impl FnMut(ViewRow)) {
    let mut rows = sqlx::query("SELECT view, shard, key, value FROM view_row").fetch(connection);
    while let Some(row) = rows.try_next().await.expect("the store can be read") {
        take(ViewRow {
            view: row.get(0),
            shard: row.get(1),
            key: row.get(2),
            value: row.get(3),
        });
    }
}

async fn heads(connection: &mut SqliteConnection) -> Vec<HeadRow> {
    let sql = "SELECT log, shard, size, leaf, frontier, recorded_at, checksum FROM shard_head";
    rows(connection, sql, |row| HeadRow {
        log: row.get(0),
        shard: row.get(1),
        size: row.get(2),
        leaf: row.get(3),
        frontier: row.get(4),
        recorded_at: row.get(5),
        checksum: row.get(6),
    })
    .await
}

async fn checkpoints(connection: &mut SqliteConnection) -> Vec<CheckpointRow> {
    let sql = "SELECT consumer, shard, next, log_id, leaf, seen_at, epoch FROM checkpoint";
    rows(connection, sql, |row| CheckpointRow {
        consumer: row.get(0),
        shard: row.get(1),
        next: row.get(2),
        log_id: row.get(3),
        leaf: row.get(4),
        seen_at: row.get(5),
        epoch: row.get(6),
    })
    .await
}

async fn keys(keyring: &Path) -> HashMap<Vec<u8>, KeyRow> {
    let connection = &mut open(keyring).await;
    let keys = rows(
        connection,
        "SELECT lookup, key_id, wrapped FROM data_key",
        |row| KeyRow {
            lookup: row.get(0),
            key_id: row.get(1),
            wrapped: row.get(2),
        },
    );
    keys.await
        .into_iter()
        .map(|key| (key.key_id.clone(), key))
        .collect()
}

async fn count(connection: &mut SqliteConnection, table: &str) -> i64 {
    let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    let count = sqlx::query_scalar(sql).fetch_one(connection).await;
    count.expect("the table is there")
}
