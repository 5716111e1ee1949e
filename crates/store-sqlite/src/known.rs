//! What the store keeps in memory of its committed state. It is the only
//! writer, so nobody else changes heads, checkpoints or names of views.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};
use tally_eventlog::append::Checkpoint;
use tally_eventlog::merkle::{Frontier, Hash, leaf_hash};
use tally_eventlog::sequence::{Head, Rows};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use uuid::Uuid;

use crate::options::OpenError;
use tally_eventlog::encoding::{event_id, head_checksum, position_of};

/// A log of this store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    pub(crate) name: LogName,
    pub(crate) number: u8,
    pub(crate) id: Uuid,
}

/// The logs that the store was opened with.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    pub(crate) shards: ShardCount,
    pub(crate) all: Vec<Log>,
}

impl Logs {
    pub(crate) fn get(&self, name: LogName) -> Option<&Log> {
        self.all.iter().find(|log| log.name == name)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) heads: HashMap<(LogName, Shard), Head>,
    pub(crate) checkpoints: HashMap<String, BTreeMap<Shard, Checkpoint>>,
    pub(crate) views: HashMap<String, i64>,
}

impl Known {
    pub(crate) async fn load(
        connection: &mut SqliteConnection,
        logs: &Logs,
    ) -> Result<Self, OpenError> {
        let mut known = Self::default();
        for log in &logs.all {
            let heads = load_heads(connection, log, logs.shards).await?;
            known.heads.extend(
                heads
                    .into_iter()
                    .enumerate()
                    .map(|(n, head)| ((log.name, Shard(n as u16)), head)),
            );
        }
        let rows = sqlx::query(
            "SELECT consumer, shard, next, log_id, leaf, seen_at, epoch, hint FROM checkpoint",
        );
        for row in rows.fetch_all(&mut *connection).await? {
            let (consumer, shard, checkpoint) = read_checkpoint(&row)?;
            known
                .checkpoints
                .entry(consumer)
                .or_default()
                .insert(shard, checkpoint);
        }
        let rows = sqlx::query_as("SELECT name, number FROM view_name");
        known.views = rows.fetch_all(connection).await?.into_iter().collect();
        Ok(known)
    }

    /// Takes over what was committed.
    pub(crate) fn committed(&mut self, rows: &Rows, views: Vec<(String, i64)>) {
        for (key, head) in &rows.heads {
            self.heads.insert(*key, head.clone());
        }
        for ((consumer, shard), checkpoint) in &rows.checkpoints {
            match self.checkpoints.get_mut(*consumer) {
                Some(shards) => {
                    shards.insert(*shard, checkpoint.clone());
                }
                None => {
                    let shards = BTreeMap::from([(*shard, checkpoint.clone())]);
                    self.checkpoints.insert((*consumer).to_owned(), shards);
                }
            }
        }
        self.views.extend(views);
    }
}

/// Shared between the writer and the readers; held for moments only.
#[derive(Debug, Clone)]
pub(crate) struct SharedKnown(Arc<RwLock<Known>>);

impl SharedKnown {
    pub(crate) fn new(known: Known) -> Self {
        Self(Arc::new(RwLock::new(known)))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the heads of a log as they are stored, and holds each against its
/// checksum and the last record of its shard.
pub(crate) async fn load_heads(
    connection: &mut SqliteConnection,
    log: &Log,
    shards: ShardCount,
) -> Result<Vec<Head>, OpenError> {
    // The greatest id within a shard's range is one seek.
    let rows = sqlx::query(
        "SELECT h.shard, h.size, h.leaf, h.frontier, h.recorded_at, h.checksum, e.id, e.leaf, e.record \
         FROM shard_head h LEFT JOIN event e ON e.id = (\
             SELECT id FROM event WHERE id >= (h.log << 56) + (h.shard << 40) \
             AND id < (h.log << 56) + ((h.shard + 1) << 40) ORDER BY id DESC LIMIT 1) \
         WHERE h.log = ? ORDER BY h.shard",
    )
    .bind(i64::from(log.number))
    .fetch_all(connection)
    .await?;
    let mut heads = Vec::with_capacity(usize::from(shards.get()));
    let mut rows = rows.iter();
    for shard in shards.all() {
        let row = rows
            .next()
            .filter(|row| row.try_get::<u16, _>(0).is_ok_and(|n| n == shard.0));
        let row = row.ok_or_else(|| OpenError::damaged_head(log.name, shard, "it is missing"))?;
        let head = read_head(row, log, shard)
            .map_err(|what| OpenError::damaged_head(log.name, shard, &what))?;
        heads.push(head);
    }
    Ok(heads)
}

fn read_head(row: &SqliteRow, log: &Log, shard: Shard) -> Result<Head, String> {
    let text = |error: sqlx::Error| error.to_string();
    let size = row.try_get::<i64, _>(1).map_err(text)?;
    let size = u64::try_from(size).map_err(|_| format!("size {size} is negative"))?;
    let peaks: Vec<u8> = row.try_get(3).map_err(text)?;
    let head = Head {
        log_id: log.id,
        recorded_at: row
            .try_get::<&str, _>(4)
            .map_err(text)?
            .parse()
            .map_err(|error| format!("recorded_at: {error}"))?,
        leaf: read_hash(row, 2).map_err(text)?,
        frontier: Frontier::from_bytes(size, &peaks)
            .ok_or_else(|| format!("its tree is not one of {size} records"))?,
    };
    if head_checksum(shard, &head) != read_hash(row, 5).map_err(text)? {
        return Err("its checksum does not match".to_owned());
    }
    let last: Option<i64> = row.try_get(6).map_err(text)?;
    if last.map_or(0, |id| position_of(id) + 1) != size {
        let last = last.map_or_else(
            || "there is no record".to_owned(),
            |id| format!("the last record is {}", position_of(id)),
        );
        return Err(format!("it counts {size} records, but {last}"));
    }
    if let Some(id) = last {
        let bytes: &[u8] = row.try_get(8).map_err(text)?;
        let stored = read_hash(row, 7).map_err(text)?;
        if stored != head.leaf || leaf_hash(bytes) != head.leaf {
            return Err(format!("it does not match record {}", position_of(id)));
        }
        debug_assert_eq!(id, event_id(log.number, shard, size - 1));
    }
    Ok(head)
}

/// Reads a row of `checkpoint`: consumer, shard, next, log_id, leaf, seen_at, epoch, hint.
pub(crate) fn read_checkpoint(row: &SqliteRow) -> Result<(String, Shard, Checkpoint), sqlx::Error> {
    let seen_at: &str = row.try_get(5)?;
    let log_id: Vec<u8> = row.try_get(3)?;
    let checkpoint = Checkpoint {
        next: row.try_get::<i64, _>(2)?.cast_unsigned(),
        log_id: Uuid::from_slice(&log_id).map_err(|error| sqlx::Error::Decode(error.into()))?,
        leaf: read_hash(row, 4)?,
        seen_at: seen_at
            .parse()
            .map_err(|error: jiff::Error| sqlx::Error::Decode(error.into()))?,
        epoch: row.try_get::<i64, _>(6)?.cast_unsigned(),
        hint: row.try_get::<Option<i64>, _>(7)?.map(i64::cast_unsigned),
    };
    Ok((row.try_get(0)?, Shard(row.try_get(1)?), checkpoint))
}

/// Reads a column of 32 bytes.
pub(crate) fn read_hash(row: &SqliteRow, column: usize) -> Result<Hash, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get(column)?;
    bytes.try_into().map_err(|bytes: Vec<u8>| {
        sqlx::Error::Decode(format!("a hash has 32 bytes, here are {}", bytes.len()).into())
    })
}
