//! A store's whole content: read as of one moment beside whoever has it open, or
//! written into a file that becomes a store when it is complete.

mod load;

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::sqlite::SqliteRow;
use sqlx::{ConnectOptions as _, Connection as _, Row as _, SqliteConnection};
use tally_eventlog::archive::{
    ArchiveError, CheckpointPart, LogPart, Part, RowPart, Sink, Source, StoreFacts,
};
use tally_eventlog::encoding::{decode_result, event_id};
use tally_eventlog::sequence::{CommandRef, Remembered};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use uuid::Uuid;

use crate::known::{Log, load_heads, read_checkpoint, read_hash};
use crate::lock::StoreLock;
use crate::options::OpenError;
use crate::reads::read_record;
use crate::renewal::former_of;
use crate::schema;
use crate::store::read_options;

pub use load::SqliteTarget;

/// Rows per statement and part.
const ROWS: i64 = 1_000;

/// A store to be read as a whole.
pub struct SqliteSnapshot {
    path: PathBuf,
    /// The logs that this version knows.
    logs: Vec<LogName>,
    connection: SqliteConnection,
    /// Held where nobody else may have it open.
    lock: Option<StoreLock>,
}

impl SqliteSnapshot {
    /// Opens the store at a path to be read, also while another process works with it.
    ///
    /// While it is read, the write-ahead log beside the store grows by all that the
    /// other process writes.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn open(path: &Path, logs: &[LogName]) -> Result<Self, OpenError> {
        if !path.exists() {
            return Err(OpenError::Missing {
                path: path.to_owned(),
            });
        }
        let opened = Self::open_at(path, logs).await;
        opened.map_err(|error| error.at(path))
    }

    /// The same, and lets nobody else open it meanwhile.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn open_alone(path: &Path, logs: &[LogName]) -> Result<Self, OpenError> {
        let lock = Some(StoreLock::acquire(path)?);
        let opened = Self::open(path, logs).await?;
        Ok(Self { lock, ..opened })
    }

    async fn open_at(path: &Path, logs: &[LogName]) -> Result<Self, OpenError> {
        let mut connection = read_options(path).connect().await?;
        schema::verify_format(&mut connection, path).await?;
        Ok(Self {
            path: path.to_owned(),
            logs: logs.to_vec(),
            connection,
            lock: None,
        })
    }

    /// Writes down, for good, that the content goes on in another mesh: nobody can
    /// open the store to write to it any more. It can still be read here.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: repeat it.
    ///
    /// # Panics
    ///
    /// If it was not opened alone: a mistake in the code.
    pub async fn retire(&mut self, at: jiff::Timestamp) -> Result<(), OpenError> {
        assert!(self.lock.is_some(), "another process may write to it");
        let options = crate::store::write_options(&self.path);
        let mut connection = options.connect().await?;
        schema::retire(&mut connection, at).await?;
        Ok(connection.close().await?)
    }

    /// When it was retired; nothing if it was not.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: it cannot be read.
    pub async fn retired(&mut self) -> Result<Option<String>, OpenError> {
        Ok(schema::retired(&mut self.connection).await?)
    }

    async fn read_all(&mut self, to: &mut dyn Sink) -> Result<(), ArchiveError> {
        let info = schema::read_info(&mut self.connection, &self.path).await;
        let info = info.map_err(ArchiveError::store)?;
        to.put(&Part::Store(StoreFacts {
            shards: info.shards,
            ahead: info.ahead,
        }))?;
        let logs = self.logs().await?;
        for log in &logs {
            let heads = load_heads(&mut self.connection, log, info.shards).await;
            let former = former_of(&mut self.connection, log.number).await;
            to.put(&Part::Log(LogPart {
                name: log.name,
                id: log.id,
                former: former.map_err(ArchiveError::store)?,
                heads: heads.map_err(ArchiveError::store)?,
            }))?;
        }
        for log in logs
            .iter()
            .filter(|log| to.wants(log.name))
            .collect::<Vec<_>>()
        {
            self.records(log, info.shards, to).await?;
        }
        self.commands(&logs, to).await?;
        self.checkpoints(to).await?;
        self.rows(to).await
    }

    async fn logs(&mut self) -> Result<Vec<Log>, ArchiveError> {
        let rows: Vec<(u8, String, Vec<u8>)> =
            sqlx::query_as("SELECT number, name, log_id FROM log ORDER BY number")
                .fetch_all(&mut self.connection)
                .await
                .map_err(ArchiveError::store)?;
        let (mut logs, mut unknown) = (Vec::with_capacity(rows.len()), Vec::new());
        for (number, name, id) in rows {
            match self.logs.iter().find(|log| log.0 == name) {
                Some(known) => logs.push(Log {
                    name: *known,
                    number,
                    id: Uuid::from_slice(&id).map_err(ArchiveError::store)?,
                }),
                None => unknown.push(format!(
                    "log {name} is not one of this version; use the version that made it"
                )),
            }
        }
        let what = format!("{} cannot be read", self.path.display());
        ArchiveError::unless_none(what, unknown)?;
        Ok(logs)
    }

    async fn records(
        &mut self,
        log: &Log,
        shards: ShardCount,
        to: &mut dyn Sink,
    ) -> Result<(), ArchiveError> {
        for shard in shards.all() {
            let mut next = event_id(log.number, shard, 0);
            loop {
                let rows = sqlx::query(
                    "SELECT id, leaf, record FROM event WHERE id >= ? AND id < ? ORDER BY id LIMIT ?",
                )
                .bind(next)
                .bind(event_id(log.number, shard, u64::MAX))
                .bind(ROWS)
                .fetch_all(&mut self.connection)
                .await
                .map_err(ArchiveError::store)?;
                let records: Result<Vec<_>, _> =
                    rows.iter().map(|row| read_record(row, shard)).collect();
                let records = records.map_err(ArchiveError::store)?;
                let Some(last) = records.last() else { break };
                next = event_id(log.number, shard, last.position + 1);
                to.put(&Part::Records(log.name, records))?;
            }
        }
        Ok(())
    }

    async fn commands(&mut self, logs: &[Log], to: &mut dyn Sink) -> Result<(), ArchiveError> {
        let mut after = (Vec::new(), 0, String::new());
        loop {
            let rows = sqlx::query(
                "SELECT id, log, department, digest, result FROM command \
                 WHERE (id, log, department) > (?, ?, ?) ORDER BY id, log, department LIMIT ?",
            )
            .bind(&after.0)
            .bind(after.1)
            .bind(&after.2)
            .bind(ROWS)
            .fetch_all(&mut self.connection)
            .await
            .map_err(ArchiveError::store)?;
            let Some(last) = rows.last() else {
                return Ok(());
            };
            let at = (last.try_get(0), last.try_get(1), last.try_get(2));
            let read = |row: &SqliteRow| read_command(row, logs);
            let commands: Result<Vec<_>, _> = rows.iter().map(read).collect();
            to.put(&Part::Commands(commands.map_err(ArchiveError::store)?))?;
            after = match at {
                (Ok(id), Ok(log), Ok(department)) => (id, log, department),
                _ => return Err(ArchiveError::store("a remembered command has no id")),
            };
        }
    }

    async fn checkpoints(&mut self, to: &mut dyn Sink) -> Result<(), ArchiveError> {
        let rows = sqlx::query(
            "SELECT consumer, shard, next, log_id, leaf, seen_at, epoch, hint FROM checkpoint",
        );
        let rows = rows.fetch_all(&mut self.connection).await;
        let read = |row: &SqliteRow| {
            let (consumer, shard, checkpoint) = read_checkpoint(row)?;
            Ok(CheckpointPart::new(&consumer, shard, checkpoint))
        };
        let rows = rows.map_err(ArchiveError::store)?;
        let checkpoints: Result<Vec<_>, sqlx::Error> = rows.iter().map(read).collect();
        to.put(&Part::Checkpoints(
            checkpoints.map_err(ArchiveError::store)?,
        ))
    }

    async fn rows(&mut self, to: &mut dyn Sink) -> Result<(), ArchiveError> {
        let views: Vec<(i64, String)> =
            sqlx::query_as("SELECT number, name FROM view_name ORDER BY number")
                .fetch_all(&mut self.connection)
                .await
                .map_err(ArchiveError::store)?;
        for (number, name) in views {
            // Before the first key of the first shard.
            let mut after: (i64, Vec<u8>) = (-1, Vec::new());
            loop {
                let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
                    "SELECT shard, key, value FROM view_row \
                     WHERE view = ? AND (shard, key) > (?, ?) ORDER BY shard, key LIMIT ?",
                )
                .bind(number)
                .bind(after.0)
                .bind(&after.1)
                .bind(ROWS)
                .fetch_all(&mut self.connection)
                .await
                .map_err(ArchiveError::store)?;
                let Some((shard, key, _)) = rows.last() else {
                    break;
                };
                after = (*shard, key.clone());
                let part = |(shard, key, value): (i64, Vec<u8>, Vec<u8>)| {
                    Ok(RowPart {
                        view: name.clone(),
                        shard: Shard(u16::try_from(shard).map_err(ArchiveError::store)?),
                        key: Bytes::from(key),
                        value: Bytes::from(value),
                    })
                };
                let parts: Result<Vec<_>, ArchiveError> = rows.into_iter().map(part).collect();
                to.put(&Part::Rows(parts?))?;
            }
        }
        Ok(())
    }
}

fn read_command(row: &SqliteRow, logs: &[Log]) -> Result<(CommandRef, Remembered), sqlx::Error> {
    let decode = |what: String| sqlx::Error::Decode(what.into());
    let id: Vec<u8> = row.try_get(0)?;
    let id = Uuid::from_slice(&id).map_err(|error| decode(error.to_string()))?;
    let number: u8 = row.try_get(1)?;
    let log = logs.iter().find(|log| log.number == number);
    let log = log.ok_or_else(|| {
        decode(format!(
            "command {id} is of log {number}, which there is not"
        ))
    })?;
    let first = decode_result(log.name, row.try_get(4)?)
        .ok_or_else(|| decode(format!("result of command {id} in {} is damaged", log.name)))?;
    let remembered = Remembered {
        digest: read_hash(row, 3)?,
        first,
    };
    Ok(((log.name, row.try_get(2)?, id), remembered))
}

#[async_trait]
impl Source for SqliteSnapshot {
    async fn read(&mut self, to: &mut dyn Sink) -> Result<(), ArchiveError> {
        // The first read of the transaction fixes the moment for all of them.
        let begun = sqlx::query("BEGIN").execute(&mut self.connection).await;
        begun.map_err(ArchiveError::store)?;
        let read = self.read_all(to).await;
        let ended = sqlx::query("ROLLBACK").execute(&mut self.connection).await;
        read?;
        ended.map(|_| ()).map_err(ArchiveError::store)
    }
}
