//! Writes the rows of a batch.

use bytes::Bytes;
use sqlx::SqliteConnection;
use tally_eventlog::append::RowKey;
use tally_eventlog::sequence::{EventRow, Head, Rows};
use tally_eventlog::shard::{LogName, Shard};

use crate::chunk::Chunked;
use crate::known::{Logs, SharedKnown};
use tally_eventlog::encoding::{POSITIONS_MAX, encode_result, event_id, head_checksum, stream_key};

// Records and commands are never there before. If one is, that is a bug and the
// whole transaction ends: `OR FAIL` spares the journal of what each statement
// would have to take back.
pub(crate) static EVENTS: Chunked = Chunked::new(
    "INSERT OR FAIL INTO event (id, stream, version, leaf, record) SELECT * FROM ",
    5,
    " WHERE column1 IS NOT NULL",
);
static HEADS: Chunked = Chunked::new(
    "INSERT OR REPLACE INTO shard_head (log, shard, size, leaf, frontier, recorded_at, checksum) SELECT * FROM ",
    7,
    " WHERE column1 IS NOT NULL",
);
pub(crate) static COMMANDS: Chunked = Chunked::new(
    "INSERT OR FAIL INTO command (id, log, department, digest, result) SELECT * FROM ",
    5,
    " WHERE column1 IS NOT NULL",
);
pub(crate) static CHECKPOINTS: Chunked = Chunked::new(
    "INSERT OR REPLACE INTO checkpoint (consumer, shard, next, log_id, leaf, seen_at, epoch, hint) SELECT * FROM ",
    8,
    " WHERE column1 IS NOT NULL",
);
pub(crate) static VIEW_ROWS: Chunked = Chunked::new(
    "INSERT OR REPLACE INTO view_row (view, shard, key, value) SELECT * FROM ",
    4,
    " WHERE column1 IS NOT NULL",
);
static VIEW_DELETES: Chunked =
    Chunked::new("DELETE FROM view_row WHERE (view, shard, key) IN ", 3, "");

/// Writes all rows in the connection's transaction. Returns the names of views
/// that are new, which stand once it commits.
pub(crate) async fn write(
    connection: &mut SqliteConnection,
    logs: &Logs,
    known: &SharedKnown,
    rows: &Rows,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    insert_events(connection, logs, &rows.events).await?;
    let heads = rows
        .heads
        .iter()
        .map(|((log, shard), head)| Ok((number(logs, *log)?, *shard, head)));
    insert_heads(connection, &heads.collect::<Result<Vec<_>, sqlx::Error>>()?).await?;
    COMMANDS
        .execute(
            connection,
            &rows.commands,
            |((log, department, id), remembered), row| {
                row.add(id.as_bytes().as_slice())?;
                row.add(number(logs, *log)?)?;
                row.add(department.as_str())?;
                row.add(remembered.digest.as_slice())?;
                row.add(encode_result(&remembered.first))
            },
        )
        .await?;
    let checkpoints: Vec<_> = rows.checkpoints.iter().collect();
    CHECKPOINTS
        .execute(
            connection,
            &checkpoints,
            |((consumer, shard), checkpoint), row| {
                row.add(*consumer)?;
                row.add(shard.0)?;
                row.add(checkpoint.next.cast_signed())?;
                row.add(checkpoint.log_id.as_bytes().as_slice())?;
                row.add(checkpoint.leaf.as_slice())?;
                row.add(checkpoint.seen_at.to_string())?;
                row.add(checkpoint.epoch.cast_signed())?;
                row.add(checkpoint.hint.map(u64::cast_signed))
            },
        )
        .await?;
    write_views(connection, known, rows).await
}

async fn insert_events(
    connection: &mut SqliteConnection,
    logs: &Logs,
    events: &[EventRow],
) -> Result<(), sqlx::Error> {
    let mut sorted: Vec<(i64, &EventRow)> = Vec::with_capacity(events.len());
    for event in events {
        if event.record.position >= POSITIONS_MAX {
            return Err(sqlx::Error::Protocol(
                "the shard is full; move to a new store".to_owned(),
            ));
        }
        let id = event_id(
            number(logs, event.log)?,
            event.record.shard,
            event.record.position,
        );
        sorted.push((id, event));
    }
    // Neighbours in the table one after the other: SQLite then need not seek.
    sorted.sort_unstable_by_key(|(id, _)| *id);
    EVENTS
        .execute(connection, &sorted, |(id, event), row| {
            row.add(*id)?;
            row.add(stream_key(event.log, event.stream.category, &event.stream.id).as_slice())?;
            row.add(event.version.cast_signed())?;
            row.add(event.record.leaf.as_slice())?;
            row.add(&event.record.bytes[..])
        })
        .await
}

pub(crate) async fn insert_heads(
    connection: &mut SqliteConnection,
    heads: &[(u8, Shard, &Head)],
) -> Result<(), sqlx::Error> {
    HEADS
        .execute(connection, heads, |(log, shard, head), row| {
            row.add(*log)?;
            row.add(shard.0)?;
            row.add(head.size().cast_signed())?;
            row.add(head.leaf.as_slice())?;
            row.add(head.frontier.to_bytes())?;
            row.add(head.recorded_at.to_string())?;
            row.add(head_checksum(*shard, head).as_slice())
        })
        .await
}

async fn write_views(
    connection: &mut SqliteConnection,
    known: &SharedKnown,
    rows: &Rows,
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    let mut new = Vec::new();
    let mut sets: Vec<(i64, &RowKey, &Bytes)> = Vec::new();
    let mut deletes: Vec<(i64, &RowKey)> = Vec::new();
    let mut current: Option<(&str, i64)> = None;
    // The rows are in order of views.
    for (key, value) in &rows.views {
        let view = match current.filter(|(name, _)| *name == key.view) {
            Some((_, view)) => view,
            None => view_number(connection, known, key.view, &mut new).await?,
        };
        current = Some((key.view, view));
        match value {
            Some(value) => sets.push((view, key, value)),
            None => deletes.push((view, key)),
        }
    }
    VIEW_ROWS
        .execute(connection, &sets, |(view, key, value), row| {
            row.add(*view)?;
            row.add(key.shard.0)?;
            row.add(&key.key[..])?;
            row.add(&value[..])
        })
        .await?;
    VIEW_DELETES
        .execute(connection, &deletes, |(view, key), row| {
            row.add(*view)?;
            row.add(key.shard.0)?;
            row.add(&key.key[..])
        })
        .await?;
    Ok(new)
}

async fn view_number(
    connection: &mut SqliteConnection,
    known: &SharedKnown,
    name: &'static str,
    new: &mut Vec<(String, i64)>,
) -> Result<i64, sqlx::Error> {
    let found = known.read().views.get(name).copied();
    if let Some(number) = found {
        return Ok(number);
    }
    let number = sqlx::query_scalar("INSERT INTO view_name (name) VALUES (?) RETURNING number")
        .bind(name)
        .fetch_one(connection)
        .await?;
    new.push((name.to_owned(), number));
    Ok(number)
}

/// Number of a log. The store checks names before they reach the writer.
fn number(logs: &Logs, name: LogName) -> Result<u8, sqlx::Error> {
    logs.get(name)
        .map(|log| log.number)
        .ok_or_else(|| sqlx::Error::Protocol(format!("the store was not opened with log `{name}`")))
}
