//! The rows as they are stored, past everything that is kept in memory, for
//! operators and tests that want to know whether they were tampered with.

use std::fmt;

use sqlx::Row as _;
use tally_eventlog::event::{Recorded, StoredRecord};
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::StoreError;

use crate::known::load_heads;
use crate::reads::read_record;
use crate::store::SqliteStore;
use tally_eventlog::encoding::{event_id, stream_key};

/// A row of the event table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Position, leaf hash and bytes.
    pub record: StoredRecord,
    /// Key of the stream, by which its events are found.
    pub stream: Vec<u8>,
    /// Version in the stream.
    pub version: u64,
}

/// A row that does not say the same as the record in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// Log.
    pub log: LogName,
    /// Shard.
    pub shard: Shard,
    /// Position by the row's id.
    pub position: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "record {}/{}/{}: {}",
            self.log, self.shard, self.position, self.what
        )
    }
}

impl SqliteStore {
    /// Rows of the event table with positions from `from` on, at most `limit`,
    /// as they are stored. Missing ones are left out.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry; if it stays, a column is damaged.
    pub async fn event_rows(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<EventRow>, StoreError> {
        let number = self.log(log, shard)?.number;
        let rows = sqlx::query(
            "SELECT id, leaf, record, stream, version FROM event WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
        )
        .bind(event_id(number, shard, from))
        .bind(event_id(number, shard, u64::MAX))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&self.readers)
        .await
        .map_err(StoreError::new)?;
        let rows: Result<Vec<EventRow>, sqlx::Error> = rows
            .iter()
            .map(|row| {
                Ok(EventRow {
                    record: read_record(row, shard)?,
                    stream: row.try_get(3)?,
                    version: row.try_get::<i64, _>(4)?.cast_unsigned(),
                })
            })
            .collect();
        rows.map_err(StoreError::new)
    }

    /// What a row says otherwise than its record: position, stream and version
    /// are stored beside it to be found by. The record's own hash is the log's
    /// concern.
    pub fn fault_in(&self, log: LogName, row: &EventRow) -> Option<RowFault> {
        let fault = |what: String| {
            let StoredRecord {
                shard, position, ..
            } = row.record;
            Some(RowFault {
                log,
                shard,
                position,
                what,
            })
        };
        let record = match Recorded::decode(log, &row.record) {
            Ok(record) => record,
            Err(error) => return fault(error.reason),
        };
        let envelope = &record.envelope;
        if stream_key(log, &envelope.category, &envelope.stream_id) != row.stream[..] {
            return fault(format!(
                "the row is filed under another stream than {}",
                record.stream()
            ));
        }
        if envelope.version != row.version {
            return fault(format!(
                "the row says version {}, the record {}",
                row.version, envelope.version
            ));
        }
        None
    }

    /// The heads of a log as they are stored, each held against its checksum
    /// and the last record of its shard.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: names the head that is damaged, or retry.
    pub async fn stored_heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        let log = *self.log(log, Shard(0))?;
        let mut reader = self.readers.acquire().await.map_err(StoreError::new)?;
        load_heads(&mut reader, &log, self.logs.shards)
            .await
            .map_err(StoreError::new)
    }

    /// What SQLite finds wrong with the file: pages, order of the trees, rows
    /// missing from an index. Reads the whole file.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    pub async fn integrity_faults(&self) -> Result<Vec<String>, StoreError> {
        let lines: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check")
            .fetch_all(&self.readers)
            .await
            .map_err(StoreError::new)?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }
}
