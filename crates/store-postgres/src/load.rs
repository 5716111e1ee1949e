//! Opens a transaction and reads what a batch refers to.
//!
//! Everybody locks heads before checkpoints, and both in the order of their keys,
//! so that no two transactions wait for each other.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tally_eventlog::BoxError;
use tally_eventlog::append::Checkpoint;
use tally_eventlog::encoding::{StreamKey, decode_result, stream_key};
use tally_eventlog::merkle::Hash;
use tally_eventlog::sequence::{
    CheckpointRef, CommandRef, Hasher, Loaded, Remembered, StreamRef, Wanted,
};
use tally_eventlog::shard::Shard;
use uuid::Uuid;

use crate::heads::{COLUMNS, hash, read_head};
use crate::logs::{Logs, shard_of};

/// Columns that [`read_checkpoint`] reads, in this order.
pub(crate) const CHECKPOINT: &str =
    "c.consumer, c.shard, c.next, c.log_id, c.leaf, c.seen_at, c.epoch, c.hint";
const CHECKPOINT_COLUMNS: usize = 8;

/// Begins a transaction, locks what the batch appends to or relies on, and reads it.
///
/// A checkpoint that there is not yet is given an empty row first, unless one is
/// known to stand: without a row to lock, two processes could both set the first.
pub(crate) async fn open(
    connection: &mut PgConnection,
    logs: &Logs,
    wanted: &Wanted,
    standing: &HashSet<CheckpointRef>,
) -> Result<Loaded, BoxError> {
    let text = opening(logs, wanted, standing)?;
    // The text holds numbers, and names of consumers, which are constants and quoted.
    let rows = sqlx::raw_sql(AssertSqlSafe(text))
        .fetch_all(&mut *connection)
        .await?;
    let mut loaded = Loaded::default();
    for row in &rows {
        if row.len() == CHECKPOINT_COLUMNS {
            load_checkpoint(row, wanted, &mut loaded)?;
        } else {
            let (log, shard, head) = read_head(row, logs)?;
            loaded.heads.insert((log.name, shard), head);
        }
    }
    if let Some((log, shard)) = wanted
        .heads
        .iter()
        .find(|key| !loaded.heads.contains_key(key))
    {
        return Err(format!("head of {log}, shard {shard}: it is missing").into());
    }
    // Only now, as a statement sees what was committed before it began: what others
    // appended while this one waited for the lock, no earlier statement sees.
    if !wanted.streams.is_empty() || !wanted.commands.is_empty() {
        streams_and_commands(connection, logs, wanted, &mut loaded).await?;
    }
    Ok(loaded)
}

fn opening(
    logs: &Logs,
    wanted: &Wanted,
    standing: &HashSet<CheckpointRef>,
) -> Result<String, BoxError> {
    let mut text = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;".to_owned();
    let mut heads = BTreeSet::new();
    for (log, shard) in &wanted.heads {
        heads.insert((logs.number(*log)?, shard.0));
    }
    if !heads.is_empty() {
        let rows: Vec<String> = heads
            .iter()
            .map(|(log, shard)| format!("({log},{shard})"))
            .collect();
        write!(
            text,
            "SELECT {COLUMNS} FROM (VALUES {}) w(log, shard) \
             JOIN shard_head h ON h.log = w.log AND h.shard = w.shard \
             ORDER BY h.log, h.shard FOR NO KEY UPDATE OF h;",
            rows.join(",")
        )?;
    }
    let checkpoints: BTreeSet<&CheckpointRef> = wanted.checkpoints.iter().collect();
    let row = |(consumer, shard): &&CheckpointRef| {
        format!("('{}',{shard})", consumer.replace('\'', "''"))
    };
    let absent: Vec<String> = checkpoints
        .iter()
        .filter(|key| !standing.contains(**key))
        .map(row)
        .collect();
    if !absent.is_empty() {
        write!(
            text,
            "INSERT INTO checkpoint (consumer, shard) VALUES {} ON CONFLICT DO NOTHING;",
            absent.join(",")
        )?;
    }
    if !checkpoints.is_empty() {
        let rows: Vec<String> = checkpoints.iter().map(row).collect();
        write!(
            text,
            "SELECT {CHECKPOINT} FROM (VALUES {}) w(consumer, shard) \
             JOIN checkpoint c ON c.consumer = w.consumer AND c.shard = w.shard \
             ORDER BY c.consumer, c.shard FOR NO KEY UPDATE OF c;",
            rows.join(",")
        )?;
    }
    Ok(text)
}

fn load_checkpoint(row: &PgRow, wanted: &Wanted, loaded: &mut Loaded) -> Result<(), sqlx::Error> {
    let Some((consumer, shard, checkpoint)) = read_checkpoint(row)? else {
        return Ok(());
    };
    // The constant by which it was asked for.
    let same = |key: &&CheckpointRef| key.0 == consumer && key.1 == shard;
    if let Some(key) = wanted.checkpoints.iter().find(same) {
        loaded.checkpoints.insert(*key, checkpoint);
    }
    Ok(())
}

/// Reads a row of `checkpoint`; nothing if it is only there to be locked.
pub(crate) fn read_checkpoint(
    row: &PgRow,
) -> Result<Option<(&str, Shard, Checkpoint)>, sqlx::Error> {
    let Some(next) = row.try_get::<Option<i64>, _>(2)? else {
        return Ok(None);
    };
    let seen_at: &str = row.try_get(5)?;
    let checkpoint = Checkpoint {
        next: next.cast_unsigned(),
        log_id: row.try_get(3)?,
        leaf: hash(row, 4)?,
        seen_at: seen_at
            .parse()
            .map_err(|error: jiff::Error| sqlx::Error::Decode(error.into()))?,
        epoch: row.try_get::<i64, _>(6)?.cast_unsigned(),
        hint: row.try_get::<Option<i64>, _>(7)?.map(i64::cast_unsigned),
    };
    Ok(Some((
        row.try_get(0)?,
        shard_of(row.try_get(1)?)?,
        checkpoint,
    )))
}

const STREAMS_AND_COMMANDS: &str = "\
    SELECT key, version, NULL::smallint, NULL::text, NULL::bytea, NULL::bytea \
        FROM stream WHERE key = ANY($1) \
    UNION ALL \
    SELECT id, NULL, log, department, digest, result FROM command WHERE id = ANY($2)";

async fn streams_and_commands(
    connection: &mut PgConnection,
    logs: &Logs,
    wanted: &Wanted,
    loaded: &mut Loaded,
) -> Result<(), sqlx::Error> {
    let mut streams: HashMap<Uuid, &StreamRef, Hasher> = HashMap::default();
    for stream in &wanted.streams {
        let key = stream_key(stream.0, stream.1.category, &stream.1.id);
        streams.insert(uuid_of(key), stream);
    }
    let mut keys: Vec<Uuid> = streams.keys().copied().collect();
    // Neighbours in the index one after the other: a page is found once.
    keys.sort_unstable();
    let rows = sqlx::query(STREAMS_AND_COMMANDS)
        .bind(keys)
        .bind(command_ids(&wanted.commands))
        .fetch_all(connection)
        .await?;
    for row in &rows {
        match row.try_get::<Option<i64>, _>(1)? {
            Some(version) => {
                if let Some(stream) = streams.get(&row.try_get(0)?) {
                    let version = version.cast_unsigned();
                    loaded.versions.insert((*stream).clone(), version);
                }
            }
            None => {
                if let Some((key, remembered)) = read_command(row, logs, 0, 2)?
                    && wanted.commands.contains(&key)
                {
                    loaded.commands.insert(key, remembered);
                }
            }
        }
    }
    Ok(())
}

/// Those commands that are remembered.
pub(crate) async fn commands(
    connection: &mut PgConnection,
    logs: &Logs,
    wanted: &HashSet<CommandRef, Hasher>,
) -> Result<HashMap<CommandRef, Remembered, Hasher>, sqlx::Error> {
    let rows =
        sqlx::query("SELECT id, log, department, digest, result FROM command WHERE id = ANY($1)")
            .bind(command_ids(wanted))
            .fetch_all(connection)
            .await?;
    let mut found = HashMap::default();
    for row in &rows {
        if let Some((key, remembered)) = read_command(row, logs, 0, 1)?
            && wanted.contains(&key)
        {
            found.insert(key, remembered);
        }
    }
    Ok(found)
}

/// By id alone: hardly ever have two departments drawn the same.
fn command_ids(wanted: &HashSet<CommandRef, Hasher>) -> Vec<Uuid> {
    let mut ids: Vec<Uuid> = wanted.iter().map(|(_, _, id)| *id).collect();
    ids.sort_unstable();
    ids
}

/// Reads a row of `command`: its id in one column; log, department, digest and
/// result from another on. Nothing for a log that the store was not opened with.
pub(crate) fn read_command(
    row: &PgRow,
    logs: &Logs,
    id: usize,
    from: usize,
) -> Result<Option<(CommandRef, Remembered)>, sqlx::Error> {
    let Some(log) = logs.numbered(row.try_get(from)?) else {
        return Ok(None);
    };
    let id: Uuid = row.try_get(id)?;
    let digest: Hash = hash(row, from + 2)?;
    let first = decode_result(log.name, row.try_get(from + 3)?).ok_or_else(|| {
        let text = format!("result of command {id} in {} is damaged", log.name);
        sqlx::Error::Decode(text.into())
    })?;
    let key = (log.name, row.try_get(from + 1)?, id);
    Ok(Some((key, Remembered { digest, first })))
}

/// A stream's key as it is in a column.
pub(crate) fn uuid_of(key: StreamKey) -> Uuid {
    Uuid::from_bytes(key)
}
