//! A store's whole content: read as of one moment beside whoever appends, or written
//! into a schema that is empty.

mod load;
mod rest;

use std::collections::HashMap;

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tally_eventlog::archive::{
    ArchiveError, CheckpointPart, LogPart, Part, RowPart, Sink, Source, StoreFacts,
};
use tally_eventlog::encoding::event_id;
use tally_eventlog::shard::{LogName, Shard};
use uuid::Uuid;

use crate::connect::Connector;
use crate::heads::verified_heads;
use crate::load::{CHECKPOINT, read_checkpoint, read_command};
use crate::logs::{Log, Logs, shard_column, shard_of};
use crate::months::Month;
use crate::options::{Database, Limits, OpenError};
use crate::partitions::{away, put_back};
use crate::renewal::former_of;
use crate::schema;
use crate::shelf::{bytes, read_record};

pub use load::PostgresTarget;

/// Rows per statement and part.
const ROWS: i64 = 1_000;

/// A store to be read as a whole.
pub struct PostgresSnapshot {
    /// The logs that this version knows.
    logs: Vec<LogName>,
    schema: String,
    connection: PgConnection,
}

impl PostgresSnapshot {
    /// Opens the store in a schema to be read.
    ///
    /// While it is read, the database keeps what others overwrite and delete.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn open(database: &Database, logs: &[LogName]) -> Result<Self, OpenError> {
        let connector = Connector::new(database, &Limits::default())?;
        let mut connection = connector.connect().await?;
        schema::STORE
            .verify(&mut connection, &connector.schema)
            .await?;
        patient(&mut connection).await?;
        Ok(Self {
            logs: logs.to_vec(),
            schema: connector.schema,
            connection,
        })
    }

    async fn read_all(&mut self, to: &mut dyn Sink) -> Result<(), ArchiveError> {
        let info = schema::read_info(&mut self.connection, &self.schema).await;
        let info = info.map_err(ArchiveError::store)?;
        to.put(&Part::Store(StoreFacts {
            shards: info.shards,
            ahead: info.ahead,
        }))?;
        let all = self.logs().await?;
        let logs = Logs {
            shards: info.shards,
            all,
        };
        let mut sizes = HashMap::new();
        for log in &logs.all {
            let heads = verified_heads(&mut self.connection, log, &logs).await;
            let heads = heads.map_err(ArchiveError::store)?;
            for (shard, head) in logs.shards.all().zip(&heads) {
                sizes.insert((log.number, shard), head.size());
            }
            let former = former_of(&mut self.connection, log.number).await;
            to.put(&Part::Log(LogPart {
                name: log.name,
                id: log.id,
                former: former.map_err(ArchiveError::store)?,
                heads,
            }))?;
        }
        for log in logs
            .all
            .iter()
            .filter(|log| to.wants(log.name))
            .collect::<Vec<_>>()
        {
            for shard in logs.shards.all() {
                self.records(log, shard, sizes[&(log.number, shard)], to)
                    .await?;
            }
        }
        self.commands(&logs, to).await?;
        self.checkpoints(to).await?;
        self.rows(to).await
    }

    async fn logs(&mut self) -> Result<Vec<Log>, ArchiveError> {
        let rows: Vec<(i16, String, Uuid)> =
            sqlx::query_as("SELECT number, name, log_id FROM log ORDER BY number")
                .fetch_all(&mut self.connection)
                .await
                .map_err(ArchiveError::store)?;
        let (mut logs, mut unknown) = (Vec::with_capacity(rows.len()), Vec::new());
        for (number, name, id) in rows {
            match self.logs.iter().find(|log| log.0 == name) {
                Some(known) => logs.push(Log {
                    name: *known,
                    number: u8::try_from(number).map_err(ArchiveError::store)?,
                    id,
                }),
                None => unknown.push(format!(
                    "log {name} is not one of this role in this version; use the version that made it"
                )),
            }
        }
        let what = format!("schema `{}` cannot be read", self.schema);
        ArchiveError::unless_none(what, unknown)?;
        Ok(logs)
    }

    /// The records of a shard, partition after partition.
    async fn records(
        &mut self,
        log: &Log,
        shard: Shard,
        size: u64,
        to: &mut dyn Sink,
    ) -> Result<(), ArchiveError> {
        let months: Vec<(Month,)> = sqlx::query_as(
            "SELECT month FROM shard_month WHERE log = $1 AND shard = $2 ORDER BY month",
        )
        .bind(i16::from(log.number))
        .bind(shard_column(shard))
        .fetch_all(&mut self.connection)
        .await
        .map_err(ArchiveError::store)?;
        let mut next = 0;
        'months: for (month,) in &months {
            loop {
                let rows = sqlx::query(
                    "SELECT id, leaf, record FROM event \
                     WHERE month = $1 AND id >= $2 AND id < $3 ORDER BY id LIMIT $4",
                )
                .bind(month)
                .bind(event_id(log.number, shard, next))
                .bind(event_id(log.number, shard, u64::MAX))
                .bind(ROWS)
                .fetch_all(&mut self.connection)
                .await
                .map_err(ArchiveError::store)?;
                let records: Result<Vec<_>, _> =
                    rows.iter().map(|row| read_record(row, shard)).collect();
                let records = records.map_err(ArchiveError::store)?;
                let (Some(first), Some(last)) = (records.first(), records.last()) else {
                    break;
                };
                if first.position != next {
                    break 'months;
                }
                next = last.position + 1;
                to.put(&Part::Records(log.name, records))?;
            }
        }
        if next == size {
            return Ok(());
        }
        let away = away(
            &mut self.connection,
            months.into_iter().map(|(month,)| month),
        )
        .await;
        let away = away.map_err(ArchiveError::store)?;
        let faults = match away.is_empty() {
            true => vec![format!(
                "{} of {size} records are there; run `tally verify`",
                next
            )],
            false => away.into_iter().map(put_back).collect(),
        };
        let what = format!("records of {}/{shard} are missing", log.name);
        Err(ArchiveError::faults(what, faults))
    }

    async fn commands(&mut self, logs: &Logs, to: &mut dyn Sink) -> Result<(), ArchiveError> {
        let mut after: (Uuid, i16, String) = (Uuid::nil(), -1, String::new());
        loop {
            let rows = sqlx::query(
                "SELECT id, log, department, digest, result FROM command \
                 WHERE (id, log, department) > ($1, $2, $3) ORDER BY id, log, department LIMIT $4",
            )
            .bind(after.0)
            .bind(after.1)
            .bind(&after.2)
            .bind(ROWS)
            .fetch_all(&mut self.connection)
            .await
            .map_err(ArchiveError::store)?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            let at = || Ok((last.try_get(0)?, last.try_get(1)?, last.try_get(2)?));
            after = at().map_err(|error: sqlx::Error| ArchiveError::store(error))?;
            let read = |row: &PgRow| read_command(row, logs, 0, 1).transpose();
            let commands: Result<Vec<_>, _> = rows.iter().filter_map(read).collect();
            to.put(&Part::Commands(commands.map_err(ArchiveError::store)?))?;
        }
    }

    async fn checkpoints(&mut self, to: &mut dyn Sink) -> Result<(), ArchiveError> {
        let text = format!("SELECT {CHECKPOINT} FROM checkpoint c");
        let rows = sqlx::query(AssertSqlSafe(text))
            .fetch_all(&mut self.connection)
            .await;
        let rows = rows.map_err(ArchiveError::store)?;
        let mut checkpoints = Vec::with_capacity(rows.len());
        for row in &rows {
            let read = read_checkpoint(row).map_err(ArchiveError::store)?;
            if let Some((consumer, shard, checkpoint)) = read {
                checkpoints.push(CheckpointPart::new(consumer, shard, checkpoint));
            }
        }
        to.put(&Part::Checkpoints(checkpoints))
    }

    async fn rows(&mut self, to: &mut dyn Sink) -> Result<(), ArchiveError> {
        let views: Vec<(i32, String)> =
            sqlx::query_as("SELECT number, name FROM view_name ORDER BY number")
                .fetch_all(&mut self.connection)
                .await
                .map_err(ArchiveError::store)?;
        for (number, name) in views {
            // Before the first key of the first shard.
            let mut after: (i16, Vec<u8>) = (-1, Vec::new());
            loop {
                let rows = sqlx::query(
                    "SELECT shard, key, value FROM view_row \
                     WHERE view = $1 AND (shard, key) > ($2, $3) ORDER BY shard, key LIMIT $4",
                )
                .bind(number)
                .bind(after.0)
                .bind(&after.1)
                .bind(ROWS)
                .fetch_all(&mut self.connection)
                .await
                .map_err(ArchiveError::store)?;
                let read = |row: &PgRow| {
                    Ok(RowPart {
                        view: name.clone(),
                        shard: shard_of(row.try_get(0)?)?,
                        key: bytes(row, 1)?,
                        value: bytes(row, 2)?,
                    })
                };
                let parts: Result<Vec<_>, sqlx::Error> = rows.iter().map(read).collect();
                let parts = parts.map_err(ArchiveError::store)?;
                let Some(last) = parts.last() else { break };
                after = (shard_column(last.shard), last.key.to_vec());
                to.put(&Part::Rows(parts))?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Source for PostgresSnapshot {
    async fn read(&mut self, to: &mut dyn Sink) -> Result<(), ArchiveError> {
        // The first statement of the transaction fixes the moment for all of them.
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let begun = sqlx::raw_sql(begin).execute(&mut self.connection).await;
        begun.map_err(ArchiveError::store)?;
        let read = self.read_all(to).await;
        let ended = sqlx::raw_sql("ROLLBACK")
            .execute(&mut self.connection)
            .await;
        read?;
        ended.map(|_| ()).map_err(ArchiveError::store)
    }
}

/// Lets a session take as long as it takes.
pub(crate) async fn patient(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let text = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0";
    sqlx::raw_sql(text).execute(connection).await.map(|_| ())
}
