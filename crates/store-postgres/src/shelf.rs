//! Records by position, from the partitions that hold them.

use std::sync::Arc;

use bytes::Bytes;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{AssertSqlSafe, Row as _};
use tally_eventlog::encoding::event_id;
use tally_eventlog::event::StoredRecord;
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::StoreError;

use crate::heads::{hash, position};
use crate::logs::{Log, Logs};
use crate::months::{Month, Months};
use crate::partitions::{away, put_back};
use crate::store::PostgresStore;

impl PostgresStore {
    /// Records from the database, up to the size that the tail knows.
    pub(crate) async fn read_stored(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let size = *self.tail.watch(log, shard).borrow();
        let until = size.min(from.saturating_add(limit as u64));
        if from >= until {
            return Ok(Vec::new());
        }
        let shelf = self.shelf(log, shard)?;
        let (records, away) = self
            .on(move |pool| async move {
                let records = shelf.records(&pool, from, until).await?;
                let next = from + records.len() as u64;
                let away = match next < until {
                    true => shelf.away(&pool, next).await?,
                    false => None,
                };
                Ok::<_, sqlx::Error>((records, away))
            })
            .await?;
        let next = from + records.len() as u64;
        if next < until {
            let remedy = away.map_or_else(|| "run `tally verify`".to_owned(), put_back);
            return Err(StoreError::new(format!(
                "record {log}/{shard}/{next} is missing; {remedy}"
            )));
        }
        Ok(records)
    }

    pub(crate) fn shelf(&self, log: LogName, shard: Shard) -> Result<Shelf, StoreError> {
        Ok(Shelf {
            log: *self.log(log, shard)?,
            shard,
            logs: self.logs.clone(),
            months: self.months.clone(),
        })
    }
}

/// Where the records of a shard are.
pub(crate) struct Shelf {
    log: Log,
    shard: Shard,
    logs: Arc<Logs>,
    months: Arc<Months>,
}

impl Shelf {
    /// Records from a position up to another, as many as follow without a gap.
    async fn records(
        &self,
        pool: &PgPool,
        from: u64,
        until: u64,
    ) -> Result<Vec<StoredRecord>, sqlx::Error> {
        let mut records: Vec<StoredRecord> = Vec::new();
        let mut next = from;
        let mut fresh = false;
        while next < until {
            let before = next;
            for row in self.rows(pool, next, until, "id, leaf, record").await? {
                let record = read_record(&row, self.shard)?;
                if record.position != next {
                    return Ok(records);
                }
                records.push(record);
                next += 1;
            }
            if next > before {
                fresh = false;
                continue;
            }
            // Another process may have begun a month that is not known here.
            if std::mem::replace(&mut fresh, true) {
                break;
            }
            let place = (self.log.name, self.shard);
            let mut connection = pool.acquire().await?;
            self.months
                .load(&mut connection, &self.logs, Some(place))
                .await?;
        }
        Ok(records)
    }

    /// The month of a position, if it was taken away.
    async fn away(&self, pool: &PgPool, position: u64) -> Result<Option<Month>, sqlx::Error> {
        let month = self.months.of((self.log.name, self.shard), position);
        let month = month.map(|(month, _)| month);
        let mut connection = pool.acquire().await?;
        Ok(away(&mut connection, month).await?.pop_first())
    }

    /// Rows of the month of a position, up to another position.
    pub(crate) async fn rows(
        &self,
        pool: &PgPool,
        from: u64,
        until: u64,
        columns: &'static str,
    ) -> Result<Vec<PgRow>, sqlx::Error> {
        let Some((month, end)) = self.months.of((self.log.name, self.shard), from) else {
            return Ok(Vec::new());
        };
        let id = |position| event_id(self.log.number, self.shard, position);
        let text = format!(
            "SELECT {columns} FROM event WHERE month = $1 AND id >= $2 AND id < $3 ORDER BY id"
        );
        // Only the columns vary, and they are constants.
        sqlx::query(AssertSqlSafe(text))
            .bind(month)
            .bind(id(from))
            .bind(id(until.min(end)))
            .fetch_all(pool)
            .await
    }
}

/// Reads a row that starts with id, leaf and record.
pub(crate) fn read_record(row: &PgRow, shard: Shard) -> Result<StoredRecord, sqlx::Error> {
    Ok(StoredRecord {
        shard,
        position: position(row, 0)?,
        leaf: hash(row, 1)?,
        bytes: bytes(row, 2)?,
    })
}

/// Reads a column of bytes.
pub(crate) fn bytes(row: &PgRow, column: usize) -> Result<Bytes, sqlx::Error> {
    row.try_get::<Vec<u8>, _>(column).map(Bytes::from)
}
