//! Fills a file that becomes a store when it is complete.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection};
use tally_eventlog::archive::{
    ArchiveError, Found, LogPart, Part, Parts, RowPart, StoreFacts, Target, other_shards, sync_dir,
};
use tally_eventlog::encoding::{encode_result, event_id, stream_key};
use tally_eventlog::event::{Recorded, StoredRecord};
use tally_eventlog::sequence::{CommandRef, Head, Remembered};
use tally_eventlog::shard::{LogName, Shard, ShardCount};

use crate::lock::{StoreLock, create_for_owner_only};
use crate::options::OpenError;
use crate::renewal::insert_former;
use crate::schema;
use crate::store::{SqliteStore, write_options};
use crate::write::{CHECKPOINTS, COMMANDS, EVENTS, VIEW_ROWS, insert_heads};

/// A store that is being filled, in a draft beside its place. It may be filled from
/// several archives, one after the other: those of roles that share a store.
pub struct SqliteTarget {
    path: PathBuf,
    draft: PathBuf,
    connection: Option<SqliteConnection>,
    /// The number of shards that is asked for, if one is.
    shards: Option<ShardCount>,
    facts: Option<StoreFacts>,
    /// Numbers of logs and of views.
    logs: HashMap<LogName, u8>,
    views: HashMap<String, i64>,
    // Nobody else makes a store there meanwhile.
    _lock: StoreLock,
}

impl SqliteTarget {
    /// A store that is to be at a path, with so many shards if a number is given.
    /// What a load that was cut off has left there is removed.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub fn at(path: &Path, shards: Option<ShardCount>) -> Result<Self, OpenError> {
        let lock = StoreLock::acquire(path)?;
        Ok(Self {
            path: path.to_owned(),
            draft: path.with_added_extension("loading"),
            connection: None,
            shards,
            facts: None,
            logs: HashMap::new(),
            views: HashMap::new(),
            _lock: lock,
        })
    }

    /// Where what was loaded is, until it is put into its place.
    pub fn draft(&self) -> &Path {
        &self.draft
    }

    /// Gives logs that were loaded a new id from there on, as
    /// [`SqliteStore::renew_log_ids`]. Nothing more can be loaded then.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn renew_log_ids(&mut self, logs: &[LogName]) -> Result<(), OpenError> {
        if let Some(connection) = self.connection.take() {
            connection.close().await?;
        }
        let shards = self.facts.as_ref().map(|facts| facts.shards);
        SqliteStore::renew_log_ids(&self.draft, logs, shards.unwrap_or_default()).await
    }

    /// Puts what was loaded into its place, durably.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: it is not there.
    pub async fn finish(mut self) -> Result<(), ArchiveError> {
        if let Some(connection) = self.connection.take() {
            connection.close().await.map_err(ArchiveError::store)?;
        }
        self.remove(&["-journal", "-wal", "-shm", ".lock"])?;
        let synced = fs::File::open(&self.draft).and_then(|file| file.sync_all());
        let renamed = synced.and_then(|()| fs::rename(&self.draft, &self.path));
        renamed.map_err(|source| ArchiveError::io(&self.path, source))?;
        sync_dir(self.path.parent().unwrap_or(Path::new(".")))
    }

    /// Removes the draft's files with these endings.
    fn remove(&self, endings: &[&str]) -> Result<(), ArchiveError> {
        for ending in endings {
            let mut name = self.draft.as_os_str().to_owned();
            name.push(ending);
            match fs::remove_file(&name) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(ArchiveError::io(name, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn begin(&mut self) -> Result<(), ArchiveError> {
        self.remove(&["", "-journal", "-wal", "-shm", ".lock"])?;
        create_for_owner_only(&self.draft)
            .map_err(|source| ArchiveError::io(&self.draft, source))?;
        // What is cut off is thrown away, so that nothing need be taken back.
        let options = write_options(&self.draft)
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off);
        let mut connection = options.connect().await.map_err(ArchiveError::store)?;
        let made = schema::create_tables(&mut connection).await;
        made.map_err(ArchiveError::store)?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn take(&mut self, part: Part) -> Result<(), ArchiveError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => return Err(ArchiveError::store("no draft is open")),
        };
        let begun = sqlx::query("BEGIN").execute(&mut *connection).await;
        begun.map_err(ArchiveError::store)?;
        let taken = match part {
            Part::Store(facts) => {
                let set = schema::set_facts(connection, facts.shards, facts.ahead).await;
                self.facts = Some(facts);
                set.map_err(ArchiveError::store)
            }
            Part::Log(log) => log_part(connection, &mut self.logs, &log).await,
            Part::Records(log, records) => {
                let number = number(&self.logs, log)?;
                records_part(connection, log, number, &records).await
            }
            Part::Commands(commands) => commands_part(connection, &self.logs, &commands).await,
            Part::Checkpoints(checkpoints) => CHECKPOINTS
                .execute(connection, &checkpoints, |one, row| {
                    row.add(one.consumer.as_str())?;
                    row.add(one.shard.0)?;
                    row.add(one.checkpoint.next.cast_signed())?;
                    row.add(one.checkpoint.log_id.as_bytes().as_slice())?;
                    row.add(one.checkpoint.leaf.as_slice())?;
                    row.add(one.checkpoint.seen_at.to_string())?;
                    row.add(one.checkpoint.epoch.cast_signed())?;
                    row.add(one.checkpoint.hint.map(u64::cast_signed))
                })
                .await
                .map_err(ArchiveError::store),
            Part::Rows(rows) => rows_part(connection, &mut self.views, &rows).await,
        };
        taken?;
        let ended = sqlx::query("COMMIT").execute(connection).await;
        ended.map(|_| ()).map_err(ArchiveError::store)
    }

    async fn fill(&mut self, parts: &mut dyn Parts) -> Result<(), ArchiveError> {
        while let Some(part) = parts.next()? {
            if let Part::Store(facts) = &part {
                self.found(facts)
                    .await?
                    .refuse(&self.path.display().to_string())?;
                if self.connection.is_none() {
                    self.begin().await?;
                }
            }
            self.take(part).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Target for SqliteTarget {
    async fn found(&mut self, facts: &StoreFacts) -> Result<Found, ArchiveError> {
        let mut found = Found::default();
        if self.path.exists() {
            found
                .there
                .push(format!("the file {}", self.path.display()));
        }
        let shards = self
            .facts
            .as_ref()
            .map(|first| first.shards)
            .or(self.shards);
        if let Some(ours) = shards.filter(|ours| *ours != facts.shards) {
            found.misfits.push(other_shards(ours, facts.shards));
        }
        if self
            .facts
            .as_ref()
            .is_some_and(|first| first.ahead != facts.ahead)
        {
            let misfit =
                "it has another clock than the archive before it; take archives of one backup";
            found.misfits.push(misfit.to_owned());
        }
        Ok(found)
    }

    /// What fails leaves the place as it was; what other archives had loaded into the
    /// draft is lost with it.
    async fn load(&mut self, parts: &mut dyn Parts) -> Result<(), ArchiveError> {
        let filled = self.fill(parts).await;
        if filled.is_err() {
            self.connection = None;
            self.facts = None;
            self.logs.clear();
            self.views.clear();
        }
        filled
    }
}

fn number(logs: &HashMap<LogName, u8>, log: LogName) -> Result<u8, ArchiveError> {
    let number = logs.get(&log).copied();
    number.ok_or_else(|| ArchiveError::store(format!("records of log {log} before the log")))
}

async fn log_part(
    connection: &mut SqliteConnection,
    logs: &mut HashMap<LogName, u8>,
    log: &LogPart,
) -> Result<(), ArchiveError> {
    let added = schema::add_log(connection, log.name, log.id).await;
    let number = added.map_err(ArchiveError::store)?;
    let heads: Vec<(u8, Shard, &Head)> = (0..)
        .zip(&log.heads)
        .map(|(shard, head)| (number, Shard(shard), head))
        .collect();
    let inserted = insert_heads(connection, &heads).await;
    inserted.map_err(ArchiveError::store)?;
    for (nth, former) in (0..).zip(&log.former) {
        for (shard, size) in (0..).map(Shard).zip(&former.sizes) {
            let kept = insert_former(connection, number, nth, shard, former.log_id, *size).await;
            kept.map_err(ArchiveError::store)?;
        }
    }
    logs.insert(log.name, number);
    Ok(())
}

async fn records_part(
    connection: &mut SqliteConnection,
    log: LogName,
    number: u8,
    records: &[StoredRecord],
) -> Result<(), ArchiveError> {
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        let recorded = Recorded::decode(log, record).map_err(ArchiveError::store)?;
        let envelope = &recorded.envelope;
        let stream = stream_key(log, &envelope.category, &envelope.stream_id);
        rows.push((record, stream, envelope.version));
    }
    let inserted = EVENTS.execute(connection, &rows, |(record, stream, version), row| {
        row.add(event_id(number, record.shard, record.position))?;
        row.add(stream.as_slice())?;
        row.add(version.cast_signed())?;
        row.add(record.leaf.as_slice())?;
        row.add(&record.bytes[..])
    });
    inserted.await.map_err(ArchiveError::store)
}

async fn commands_part(
    connection: &mut SqliteConnection,
    logs: &HashMap<LogName, u8>,
    commands: &[(CommandRef, Remembered)],
) -> Result<(), ArchiveError> {
    let mut rows = Vec::with_capacity(commands.len());
    for ((log, department, id), remembered) in commands {
        rows.push((number(logs, *log)?, department, id, remembered));
    }
    let inserted = COMMANDS.execute(connection, &rows, |(log, department, id, first), row| {
        row.add(id.as_bytes().as_slice())?;
        row.add(*log)?;
        row.add(department.as_str())?;
        row.add(first.digest.as_slice())?;
        row.add(encode_result(&first.first))
    });
    inserted.await.map_err(ArchiveError::store)
}

async fn rows_part(
    connection: &mut SqliteConnection,
    views: &mut HashMap<String, i64>,
    rows: &[RowPart],
) -> Result<(), ArchiveError> {
    let mut numbered = Vec::with_capacity(rows.len());
    for row in rows {
        let view = match views.get(&row.view) {
            Some(view) => *view,
            None => {
                let number: i64 =
                    sqlx::query_scalar("INSERT INTO view_name (name) VALUES (?) RETURNING number")
                        .bind(&row.view)
                        .fetch_one(&mut *connection)
                        .await
                        .map_err(ArchiveError::store)?;
                *views.entry(row.view.clone()).or_insert(number)
            }
        };
        numbered.push((view, row));
    }
    let inserted = VIEW_ROWS.execute(connection, &numbered, |(view, part), row| {
        row.add(*view)?;
        row.add(part.shard.0)?;
        row.add(&part.key[..])?;
        row.add(&part.value[..])
    });
    inserted.await.map_err(ArchiveError::store)
}
