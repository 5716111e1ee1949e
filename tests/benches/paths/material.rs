//! What a bare path inserts: the very rows that ours made of the same requests.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::path::Path;
use std::time::Duration;

use futures::TryStreamExt as _;
use prost::Message as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions as _, Row as _, SqliteConnection};
use tally_eventlog::pb::{Envelope, Record};
use tally_eventlog::shard::LogName;
use tally_proto::tally::collection::v1::RecordAccepted;
use tally_proto::tally::collection::v1::stored_field::Value;
use tally_proto::tally::sanctions::v1::CheckAnswered;

use crate::load::{IN_FORCE, PLAIN};

/// How long a store may be closed by others before it is read.
const BUSY_TIMEOUT: Duration = Duration::from_secs(60);

/// Bytes of a name: a UUID as text.
const NAME_BYTES: usize = 36;

/// A row of `event`.
pub struct EventRow {
    pub id: i64,
    pub stream: Vec<u8>,
    pub version: i64,
    pub leaf: Vec<u8>,
    pub record: Vec<u8>,
}

/// A row of `command`.
pub struct CommandRow {
    pub id: Vec<u8>,
    pub log: i64,
    pub department: String,
    pub digest: Vec<u8>,
    pub result: Vec<u8>,
}

/// A row of `view_row`.
pub struct ViewRow {
    pub view: i64,
    pub shard: i64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// A row of `shard_head`.
pub struct HeadRow {
    pub log: i64,
    pub shard: i64,
    pub size: i64,
    pub leaf: Vec<u8>,
    pub frontier: Vec<u8>,
    pub recorded_at: String,
    pub checksum: Vec<u8>,
}

/// A row of `checkpoint`.
pub struct CheckpointRow {
    pub consumer: String,
    pub shard: i64,
    pub next: i64,
    pub log_id: Vec<u8>,
    pub leaf: Vec<u8>,
    pub seen_at: String,
    pub epoch: i64,
}

/// A row of the key ring's `data_key`.
pub struct KeyRow {
    pub lookup: Vec<u8>,
    pub key_id: Vec<u8>,
    pub wrapped: Vec<u8>,
}

/// The rows of one request.
pub struct Item {
    pub event: EventRow,
    pub command: CommandRow,
    pub views: Vec<ViewRow>,
    pub key: Option<KeyRow>,
    /// Kind of its answer.
    pub kind: usize,
}

/// All rows of a load.
#[derive(Default)]
pub struct Material {
    /// One per request, in the order of the command ids.
    pub items: Vec<Item>,
    /// What each batch writes anew: heads, checkpoints, and the view rows that
    /// are no single request's.
    pub heads: Vec<HeadRow>,
    pub checkpoints: Vec<CheckpointRow>,
    pub views: Vec<ViewRow>,
    /// Rows that were there before.
    pub before: Counts,
}

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

/// Rows of the tables that both insert into.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Rows of `event`.
    pub events: i64,
    /// Rows of `command`.
    pub commands: i64,
    /// Rows of `view_row`.
    pub views: i64,
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
        let shards = heads(connection).await.into_iter();
        let shards: Vec<HeadRow> = shards.filter(|row| row.log == number).collect();
        let mut loaded = Vec::with_capacity(requests);
        for head in &shards {
            let from = before.sizes.get(&(head.log, head.shard)).copied();
            loaded.extend(events(connection, head, from.unwrap_or_default()).await);
        }
        let loaded: Vec<(EventRow, Envelope)> = loaded
            .into_iter()
            .map(|event| {
                let envelope = envelope(&event);
                (event, envelope)
            })
            .collect();
        let ids = || loaded.iter().map(|(_, envelope)| &envelope.command_id[..]);
        let (first, last) = (
            ids().min().unwrap_or_default(),
            ids().max().unwrap_or_default(),
        );
        let mut commands: HashMap<Vec<u8>, CommandRow> = commands(connection, number, first, last)
            .await
            .into_iter()
            .map(|row| (row.id.clone(), row))
            .collect();
        let mut keys = keys(keyring).await;
        let mut items = Vec::with_capacity(requests);
        let mut places: HashMap<Vec<u8>, usize> = HashMap::with_capacity(requests);
        for (event, envelope) in loaded {
            let command = commands
                .remove(&envelope.command_id[..])
                .expect("one event per command");
            let (name, kind) = name_and_kind(&envelope);
            places.insert(name.into_bytes(), items.len());
            items.push(Item {
                event,
                command,
                views: Vec::new(),
                key: take_key(&envelope, &mut keys),
                kind,
            });
        }
        assert_eq!(
            (items.len(), commands.len()),
            (requests, 0),
            "one event per request"
        );

        let mut material = Self::default();
        each_view_row(connection, |row| {
            // A time may stand right before a name.
            let named = |part: &[u8]| {
                let name = part.len().checked_sub(NAME_BYTES).map(|from| &part[from..]);
                name.and_then(|name| places.get(name)).copied()
            };
            match row.key.split(|byte| *byte == 0).find_map(named) {
                Some(at) => items[at].views.push(row),
                None if before.views.get(&row.place()) == Some(&hash(&row.value)) => {}
                None => material.views.push(row),
            }
        })
        .await;
        items.sort_unstable_by(|a, b| a.command.id.cmp(&b.command.id));
        material.items = items;
        material.heads = shards;
        material.before = before.counts;
        let moved = |row: &CheckpointRow| {
            before
                .checkpoints
                .get(&(row.consumer.clone(), row.shard))
                .is_none_or(|next| *next != row.next)
        };
        material.checkpoints = checkpoints(connection)
            .await
            .into_iter()
            .filter(moved)
            .collect();
        material
    }

    /// Bytes of the records, without what SQLite adds.
    pub fn record_bytes(&self) -> usize {
        self.items.iter().map(|item| item.event.record.len()).sum()
    }

    /// Rows of views that belong to single requests.
    pub fn view_rows(&self) -> usize {
        self.items.iter().map(|item| item.views.len()).sum()
    }
}

fn envelope(event: &EventRow) -> Envelope {
    let record = Record::decode(&event.record[..]).expect("what is stored is a record");
    Envelope::decode(record.envelope).expect("a record has an envelope")
}

/// The text by which rows of views name the event, and the kind of its answer.
fn name_and_kind(envelope: &Envelope) -> (String, usize) {
    if envelope.category != "check" {
        return (envelope.stream_id.clone(), PLAIN);
    }
    let answered = CheckAnswered::decode(envelope.payload.clone()).expect("a check was answered");
    let kind = if answered.entry_ids.is_empty() {
        PLAIN
    } else {
        IN_FORCE
    };
    (answered.check_id, kind)
}

fn take_key(envelope: &Envelope, keys: &mut HashMap<Vec<u8>, KeyRow>) -> Option<KeyRow> {
    if keys.is_empty() {
        return None;
    }
    let content = RecordAccepted::decode(envelope.payload.clone())
        .ok()?
        .content?;
    let sealed = content.fields.iter().find_map(|field| match &field.value {
        Some(Value::Sealed(sealed)) => Some(sealed),
        _ => None,
    })?;
    keys.remove(&sealed.key_id[..])
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
