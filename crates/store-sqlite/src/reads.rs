//! Reads, each one short statement or transaction on a connection of its own.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row as _, SqliteConnection};
use tally_eventlog::append::{Append, AppendError, Appended, Checkpoint, CommandKey, RowKey};
use tally_eventlog::event::{StoredRecord, StreamName};
use tally_eventlog::sequence::{Head, Remembered, command_ref};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{EventStore, FormerId, LogSource, Row, StoreError, ViewSnapshot};
use tokio::sync::watch;
use uuid::Uuid;

use crate::chunk::Chunked;
use crate::known::{read_checkpoint, read_hash};
use crate::load;
use crate::renewal::former;
use crate::store::{SqliteStore, append};
use tally_eventlog::detached::detached;
use tally_eventlog::encoding::{StreamKey, event_id, position_of, stream_key};

static STREAMS: Chunked = Chunked::new(
    "SELECT e.id, e.leaf, e.record, e.version, e.stream FROM ",
    1,
    " w CROSS JOIN event e ON e.stream = w.column1",
);
static VIEW_ROWS: Chunked = Chunked::new(
    "SELECT r.view, r.shard, r.key, r.value FROM ",
    3,
    " w CROSS JOIN view_row r ON r.view = w.column1 AND r.shard = w.column2 AND r.key = w.column3",
);

/// Commands forgotten in one statement, so that appends wait for some
/// milliseconds at most.
const FORGET_ROWS: i64 = 1_000;

#[async_trait]
impl LogSource for SqliteStore {
    fn shards(&self) -> ShardCount {
        self.logs.shards
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let found = self.log(log, shard)?;
        if let Some(records) = self.tail.read(log, shard, from, limit) {
            return Ok(records);
        }
        let number = found.number;
        let size = self
            .known
            .read()
            .heads
            .get(&(log, shard))
            .map_or(0, Head::size);
        let rows = sqlx::query(
            "SELECT id, leaf, record FROM event WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        )
        .bind(event_id(number, shard, from))
        .bind(event_id(number, shard, u64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let readers = self.readers.clone();
        let rows = detached(async move { rows.fetch_all(&readers).await });
        let rows = rows.await.map_err(StoreError::new)?;
        let records: Vec<StoredRecord> = rows
            .iter()
            .map(|row| read_record(row, shard))
            .collect::<Result<_, _>>()
            .map_err(StoreError::new)?;
        let wanted = size.saturating_sub(from).min(limit as u64);
        let missing = (from..from + wanted.max(records.len() as u64))
            .zip(
                records
                    .iter()
                    .map(|record| Some(record.position))
                    .chain(std::iter::repeat(None)),
            )
            .find(|(position, found)| Some(*position) != *found);
        match missing {
            None => Ok(records),
            Some((position, _)) => Err(StoreError::new(format!(
                "record {log}/{shard}/{position} is missing; run `tally verify`"
            ))),
        }
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        self.log(log, Shard(0))?;
        let known = self.known.read();
        let heads = self
            .logs
            .shards
            .all()
            .filter_map(|shard| known.heads.get(&(log, shard)));
        Ok(heads.cloned().collect())
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        let number = self.log(log, Shard(0))?.number;
        let former = detached(former(self.readers.clone(), number));
        former.await.map_err(StoreError::new)
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.tail.watch(log, shard)
    }
}

#[async_trait]
impl EventStore for SqliteStore {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        append(self, appends).await
    }

    async fn read_streams(
        &self,
        log: LogName,
        streams: &[StreamName],
    ) -> Result<Vec<Vec<StoredRecord>>, StoreError> {
        self.log(log, Shard(0))?;
        let keys: Vec<StreamKey> = streams
            .iter()
            .map(|stream| stream_key(log, stream.category, &stream.id))
            .collect();
        let unique: Vec<StreamKey> = keys
            .iter()
            .copied()
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        let readers = self.readers.clone();
        let found = detached(async move { histories(&readers, &unique).await });
        let mut found = found.await.map_err(StoreError::new)?;
        for records in found.values_mut() {
            records.sort_unstable_by_key(|(version, _)| *version);
        }
        let records = |key| {
            found
                .get(key)
                .map(|found| found.iter().map(|(_, record)| record.clone()))
        };
        Ok(keys
            .iter()
            .map(|key| records(key).map(Iterator::collect).unwrap_or_default())
            .collect())
    }

    async fn remembered(
        &self,
        log: LogName,
        commands: &[CommandKey],
    ) -> Result<Vec<Option<Remembered>>, StoreError> {
        self.log(log, Shard(0))?;
        let keys: Vec<_> = commands
            .iter()
            .map(|command| command_ref(log, command))
            .collect();
        let wanted = keys.iter().cloned().collect();
        let (readers, logs) = (self.readers.clone(), self.logs.clone());
        let found = detached(async move {
            let mut reader = readers.acquire().await?;
            load::commands(&mut reader, &logs, &wanted).await
        });
        let found = found.await.map_err(StoreError::new)?;
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn checkpoints(
        &self,
        consumer: &'static str,
    ) -> Result<Vec<Option<Checkpoint>>, StoreError> {
        let known = self.known.read();
        let found = known.checkpoints.get(consumer);
        Ok(self
            .logs
            .shards
            .all()
            .map(|shard| found?.get(&shard).cloned())
            .collect())
    }

    async fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut wanted: Vec<(i64, RowKey)> = {
            let known = self.known.read();
            let view = |key: &RowKey| known.views.get(key.view).copied();
            keys.iter()
                .filter_map(|key| Some((view(key)?, key.clone())))
                .collect()
        };
        // Neighbours in the table one after the other: a page is found once.
        wanted.sort_unstable_by(|a, b| (a.0, a.1.shard, &a.1.key).cmp(&(b.0, b.1.shard, &b.1.key)));
        let numbers: HashMap<&str, i64> =
            wanted.iter().map(|(view, key)| (key.view, *view)).collect();
        let readers = self.readers.clone();
        let found = detached(async move { view_rows(&readers, &wanted).await });
        let found = found.await.map_err(StoreError::new)?;
        let value = |key: &RowKey| {
            let view = *numbers.get(key.view)?;
            found.get(&(view, key.shard.0, key.key.to_vec())).cloned()
        };
        Ok(keys.iter().map(value).collect())
    }

    async fn scan(
        &self,
        view: &'static str,
        shard: Shard,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let found = self.known.read().views.get(view).copied();
        let Some(number) = found else {
            return Ok(Vec::new());
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = match to {
            Some(to) => sqlx::query(
                "SELECT key, value FROM view_row WHERE view = ? AND shard = ? AND key >= ? AND key < ? \
                 ORDER BY key LIMIT ?",
            )
            .bind(number)
            .bind(shard.0)
            .bind(from.to_vec())
            .bind(to.to_vec())
            .bind(limit),
            None => sqlx::query(
                "SELECT key, value FROM view_row WHERE view = ? AND shard = ? AND key >= ? \
                 ORDER BY key LIMIT ?",
            )
            .bind(number)
            .bind(shard.0)
            .bind(from.to_vec())
            .bind(limit),
        };
        let readers = self.readers.clone();
        let rows = detached(async move { rows.fetch_all(&readers).await });
        let rows = rows.await.map_err(StoreError::new)?;
        let pairs: Result<Vec<Row>, sqlx::Error> = rows
            .iter()
            .map(|row| Ok((bytes(row, 0)?, bytes(row, 1)?)))
            .collect();
        pairs.map_err(StoreError::new)
    }

    async fn snapshot(
        &self,
        consumer: &'static str,
        views: &[&'static str],
    ) -> Result<ViewSnapshot, StoreError> {
        let mut views = views.to_vec();
        views.sort_unstable();
        views.dedup();
        let readers = self.readers.clone();
        let snapshot = detached(async move {
            let mut reader = readers.begin().await?;
            let snapshot = read_snapshot(&mut reader, consumer, &views).await?;
            reader.rollback().await?;
            Ok::<_, sqlx::Error>(snapshot)
        });
        snapshot.await.map_err(StoreError::new)
    }

    async fn forget_commands(&self, older_than: Uuid) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            // The lock is fair: an append that waits comes between two chunks.
            let mut turn = self.turn.lock().await;
            let connection = turn.get().await.map_err(StoreError::new)?;
            let done = sqlx::query(
                "DELETE FROM command WHERE id < ?1 AND id <= \
                 (SELECT max(id) FROM (SELECT id FROM command WHERE id < ?1 ORDER BY id LIMIT ?2))",
            )
            .bind(older_than.as_bytes().as_slice())
            .bind(FORGET_ROWS)
            .execute(connection)
            .await
            .map_err(StoreError::new)?;
            if done.rows_affected() == 0 {
                return Ok(forgotten);
            }
            forgotten += done.rows_affected();
        }
    }
}

/// The records of streams, each with its version.
async fn histories(
    readers: &SqlitePool,
    keys: &[StreamKey],
) -> Result<HashMap<StreamKey, Vec<(i64, StoredRecord)>>, sqlx::Error> {
    let mut reader = readers.acquire().await?;
    let mut found: HashMap<StreamKey, Vec<(i64, StoredRecord)>> = HashMap::new();
    let read = STREAMS.fetch(
        &mut reader,
        keys,
        |key, row| row.add(key.as_slice()),
        |row| {
            let shard = Shard(((row.try_get::<i64, _>(0)? >> 40) & 0xffff) as u16);
            let record = read_record(&row, shard)?;
            let key: &[u8] = row.try_get(4)?;
            let key =
                StreamKey::try_from(key).map_err(|error| sqlx::Error::Decode(error.into()))?;
            found
                .entry(key)
                .or_default()
                .push((row.try_get(3)?, record));
            Ok(())
        },
    );
    read.await?;
    Ok(found)
}

type ViewPlace = (i64, u16, Vec<u8>);

/// Values of rows, each with the number of its view.
async fn view_rows(
    readers: &SqlitePool,
    wanted: &[(i64, RowKey)],
) -> Result<HashMap<ViewPlace, Bytes>, sqlx::Error> {
    let mut reader = readers.acquire().await?;
    let mut found = HashMap::with_capacity(wanted.len());
    let read = VIEW_ROWS.fetch(
        &mut reader,
        wanted,
        |(view, key), row| {
            row.add(*view)?;
            row.add(key.shard.0)?;
            row.add(&key.key[..])
        },
        |row| {
            let key = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            found.insert(key, bytes(&row, 3)?);
            Ok(())
        },
    );
    read.await?;
    Ok(found)
}

async fn read_snapshot(
    reader: &mut SqliteConnection,
    consumer: &'static str,
    views: &[&'static str],
) -> Result<ViewSnapshot, sqlx::Error> {
    let mut snapshot = ViewSnapshot::default();
    let checkpoints = sqlx::query(
        "SELECT consumer, shard, next, log_id, leaf, seen_at, epoch, hint FROM checkpoint \
         WHERE consumer = ? ORDER BY shard",
    );
    for row in checkpoints.bind(consumer).fetch_all(&mut *reader).await? {
        let (_, shard, checkpoint) = read_checkpoint(&row)?;
        snapshot.checkpoints.push((shard, checkpoint));
    }
    for view in views {
        let rows = sqlx::query(
            "SELECT shard, key, value FROM view_row \
             WHERE view = (SELECT number FROM view_name WHERE name = ?) ORDER BY shard, key",
        );
        for row in rows.bind(*view).fetch_all(&mut *reader).await? {
            let key = RowKey {
                view,
                shard: Shard(row.try_get(0)?),
                key: bytes(&row, 1)?,
            };
            snapshot.rows.push((key, bytes(&row, 2)?));
        }
    }
    Ok(snapshot)
}

/// Reads a row that starts with id, leaf and record.
pub(crate) fn read_record(row: &SqliteRow, shard: Shard) -> Result<StoredRecord, sqlx::Error> {
    Ok(StoredRecord {
        shard,
        position: position_of(row.try_get(0)?),
        leaf: read_hash(row, 1)?,
        bytes: bytes(row, 2)?,
    })
}

fn bytes(row: &SqliteRow, column: usize) -> Result<Bytes, sqlx::Error> {
    row.try_get::<Vec<u8>, _>(column).map(Bytes::from)
}
