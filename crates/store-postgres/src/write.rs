//! Writes the rows of a batch, all in one statement: each costs a round trip while
//! the shards are locked.

use std::collections::HashMap;

use bytes::Bytes;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, PgConnection, Row as _};
use tally_eventlog::append::RowKey;
use tally_eventlog::encoding::{
    POSITIONS_MAX, StreamKey, encode_result, event_id, head_checksum, stream_key,
};
use tally_eventlog::sequence::{EventRow, Rows};
use uuid::Uuid;

use crate::load::uuid_of;
use crate::logs::{Logs, shard_column};
use crate::months::{Month, Reached, month_of};
use crate::views::ViewNames;

// The parts see the tables as they were before the statement, and touch no row twice.
// Records, commands and new streams are never there before: if one is, its unique key
// ends the transaction. Rows that must be there are counted.
const WRITE: &str = "\
WITH events AS (\
    INSERT INTO event (id, month, stream, version, leaf, record) \
    SELECT * FROM unnest($1::bigint[], $2::int[], $3::uuid[], $4::bigint[], $5::bytea[], $6::bytea[])\
), heads AS (\
    UPDATE shard_head h SET size = w.size, leaf = w.leaf, frontier = w.frontier, \
        recorded_at = w.recorded_at, checksum = w.checksum \
    FROM unnest($7::smallint[], $8::smallint[], $9::bigint[], $10::bytea[], $11::bytea[], \
        $12::text[], $13::bytea[]) w(log, shard, size, leaf, frontier, recorded_at, checksum) \
    WHERE h.log = w.log AND h.shard = w.shard RETURNING 1\
), months AS (\
    INSERT INTO shard_month (log, shard, month, first_position) \
    SELECT * FROM unnest($14::smallint[], $15::smallint[], $16::int[], $17::bigint[]) \
    ON CONFLICT DO NOTHING\
), new_streams AS (\
    INSERT INTO stream (key, version, first_month, last_month) \
    SELECT * FROM unnest($18::uuid[], $19::bigint[], $20::int[], $21::int[])\
), grown AS (\
    UPDATE stream s SET version = w.version, last_month = w.month \
    FROM unnest($22::uuid[], $23::bigint[], $24::bigint[], $25::int[]) w(key, was, version, month) \
    WHERE s.key = w.key AND s.version = w.was RETURNING 1\
), commands AS (\
    INSERT INTO command (id, log, department, digest, result) \
    SELECT * FROM unnest($26::uuid[], $27::smallint[], $28::text[], $29::bytea[], $30::bytea[])\
), checkpoints AS (\
    UPDATE checkpoint c SET next = w.next, log_id = w.log_id, leaf = w.leaf, \
        seen_at = w.seen_at, epoch = w.epoch, hint = w.hint \
    FROM unnest($31::text[], $32::smallint[], $33::bigint[], $34::uuid[], $35::bytea[], \
        $36::text[], $37::bigint[], $38::bigint[]) \
        w(consumer, shard, next, log_id, leaf, seen_at, epoch, hint) \
    WHERE c.consumer = w.consumer AND c.shard = w.shard RETURNING 1\
), sets AS (\
    INSERT INTO view_row (view, shard, key, value) \
    SELECT * FROM unnest($39::int[], $40::smallint[], $41::bytea[], $42::bytea[]) \
    ON CONFLICT (view, shard, key) DO UPDATE SET value = excluded.value\
), deletes AS (\
    DELETE FROM view_row v USING unnest($43::int[], $44::smallint[], $45::bytea[]) w(view, shard, key) \
    WHERE v.view = w.view AND v.shard = w.shard AND v.key = w.key\
) SELECT (SELECT count(*) FROM heads), (SELECT count(*) FROM grown), (SELECT count(*) FROM checkpoints)";

/// Arguments of [`WRITE`].
const ARGUMENTS: usize = 45;

/// What a row takes among the arguments besides its record, key and value: with four bytes
/// of length for each value. A head grows with the logarithm of its shard.
const EVENT_BYTES: usize = 144;
const COMMAND_BYTES: usize = 224;
const VIEW_BYTES: usize = 32;
const HEAD_BYTES: usize = 1_536;

/// Why the rows were not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    Database(sqlx::Error),
    /// A row that must be there is not, or has changed under the lock: a bug.
    Rows(String),
}

impl From<sqlx::Error> for WriteError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

/// Writes all rows in the connection's transaction. Their partitions and views'
/// numbers are there.
pub(crate) async fn write(
    connection: &mut PgConnection,
    logs: &Logs,
    views: &ViewNames,
    rows: &Rows,
    reached: &[Reached],
) -> Result<(), WriteError> {
    let streams = Streams::of(&rows.events);
    let mut arguments = PgArguments::default();
    // Some megabytes, which would be copied over and over while they grow.
    arguments.reserve(ARGUMENTS, bytes_of(rows));
    let query = sqlx::query_with(WRITE, arguments);
    let query = bind_events(query, logs, &rows.events, &streams.keys)?;
    let query = bind_heads(query, logs, rows)?;
    let query = bind_months(query, logs, reached)?;
    let (query, grown) = streams.bind(query);
    let query = bind_commands(query, logs, rows)?;
    let query = bind_checkpoints(query, rows);
    let query = bind_views(query, views, rows)?;
    let counts = query.fetch_one(connection).await?;
    let expected = [rows.heads.len(), grown, rows.checkpoints.len()];
    for (column, (expected, what)) in expected
        .into_iter()
        .zip(["heads", "streams", "checkpoints"])
        .enumerate()
    {
        let found: i64 = counts.try_get(column)?;
        if usize::try_from(found) != Ok(expected) {
            return Err(WriteError::Rows(format!(
                "{expected} {what} were to be changed and {found} were as expected"
            )));
        }
    }
    Ok(())
}

/// Bytes of the arguments, roughly.
fn bytes_of(rows: &Rows) -> usize {
    let events = rows.events.iter().map(|event| event.record.bytes.len());
    let views = rows.views.iter().map(|(key, value)| {
        let value = value.as_ref().map_or(0, Bytes::len);
        key.key.len() + value
    });
    let each = rows.events.len() * EVENT_BYTES
        + rows.commands.len() * COMMAND_BYTES
        + rows.views.len() * VIEW_BYTES
        + rows.heads.len() * HEAD_BYTES;
    events.chain(views).sum::<usize>() + each
}

type Query = sqlx::query::Query<'static, sqlx::Postgres, PgArguments>;

fn bind_events(
    query: Query,
    logs: &Logs,
    events: &[EventRow],
    keys: &[Uuid],
) -> Result<Query, sqlx::Error> {
    let mut ids = Vec::with_capacity(events.len());
    for event in events {
        let position = event.record.position;
        if position >= POSITIONS_MAX {
            return Err(sqlx::Error::Protocol(
                "the shard is full; move to a new store".to_owned(),
            ));
        }
        ids.push(event_id(
            logs.number(event.log)?,
            event.record.shard,
            position,
        ));
    }
    let versions: Vec<i64> = events
        .iter()
        .map(|event| event.version.cast_signed())
        .collect();
    let months: Vec<Month> = events
        .iter()
        .map(|event| month_of(event.recorded_at))
        .collect();
    let leaves: Vec<&[u8]> = events.iter().map(|event| &event.record.leaf[..]).collect();
    let records: Vec<&[u8]> = events.iter().map(|event| &event.record.bytes[..]).collect();
    Ok(query
        .bind(ids)
        .bind(months)
        .bind(keys)
        .bind(versions)
        .bind(leaves)
        .bind(records))
}

fn bind_heads(query: Query, logs: &Logs, rows: &Rows) -> Result<Query, sqlx::Error> {
    let mut numbers = Vec::with_capacity(rows.heads.len());
    let mut checksums = Vec::with_capacity(rows.heads.len());
    for ((log, shard), head) in &rows.heads {
        numbers.push(i16::from(logs.number(*log)?));
        checksums.push(head_checksum(*shard, head));
    }
    let heads = || rows.heads.values();
    let shards: Vec<i16> = rows
        .heads
        .keys()
        .map(|(_, shard)| shard_column(*shard))
        .collect();
    let sizes: Vec<i64> = heads().map(|head| head.size().cast_signed()).collect();
    let leaves: Vec<&[u8]> = heads().map(|head| &head.leaf[..]).collect();
    let frontiers: Vec<Vec<u8>> = heads().map(|head| head.frontier.to_bytes()).collect();
    let times: Vec<String> = heads().map(|head| head.recorded_at.to_string()).collect();
    Ok(query
        .bind(numbers)
        .bind(shards)
        .bind(sizes)
        .bind(leaves)
        .bind(frontiers)
        .bind(times)
        .bind(checksums))
}

fn bind_months(query: Query, logs: &Logs, reached: &[Reached]) -> Result<Query, sqlx::Error> {
    let mut numbers = Vec::with_capacity(reached.len());
    for ((log, _), _, _) in reached {
        numbers.push(i16::from(logs.number(*log)?));
    }
    let shards: Vec<i16> = reached
        .iter()
        .map(|((_, shard), _, _)| shard_column(*shard))
        .collect();
    let months: Vec<Month> = reached.iter().map(|(_, month, _)| *month).collect();
    let firsts: Vec<i64> = reached
        .iter()
        .map(|(_, _, first)| first.cast_signed())
        .collect();
    Ok(query.bind(numbers).bind(shards).bind(months).bind(firsts))
}

/// What a batch appends to one stream.
struct Grown {
    first: u64,
    last: u64,
    months: (Month, Month),
}

/// The streams of a batch.
struct Streams {
    /// Of each event.
    keys: Vec<Uuid>,
    grown: HashMap<StreamKey, Grown>,
}

impl Streams {
    fn of(events: &[EventRow]) -> Self {
        let mut keys = Vec::with_capacity(events.len());
        let mut grown: HashMap<StreamKey, Grown> = HashMap::with_capacity(events.len());
        for event in events {
            let key = stream_key(event.log, event.stream.category, &event.stream.id);
            keys.push(uuid_of(key));
            let month = month_of(event.recorded_at);
            let (first, months) = (event.version, (month, month));
            let stream = grown.entry(key).or_insert(Grown {
                first,
                last: first,
                months,
            });
            stream.last = event.version;
            stream.months.1 = month;
        }
        Self { keys, grown }
    }

    /// Also says how many of them there must be already.
    fn bind(&self, query: Query) -> (Query, usize) {
        let mut grown: Vec<(Uuid, &Grown)> = self
            .grown
            .iter()
            .map(|(key, grown)| (uuid_of(*key), grown))
            .collect();
        // Rows are locked in this order, whoever writes them.
        grown.sort_unstable_by_key(|(key, _)| *key);
        let (new, old): (Vec<_>, Vec<_>) =
            grown.into_iter().partition(|(_, grown)| grown.first == 0);
        let keys =
            |of: &[(Uuid, &Grown)]| -> Vec<Uuid> { of.iter().map(|(key, _)| *key).collect() };
        let of = |rows: &[(Uuid, &Grown)], value: fn(&Grown) -> u64| -> Vec<i64> {
            rows.iter()
                .map(|(_, grown)| value(grown).cast_signed())
                .collect()
        };
        let month = |rows: &[(Uuid, &Grown)], value: fn(&Grown) -> Month| -> Vec<Month> {
            rows.iter().map(|(_, grown)| value(grown)).collect()
        };
        let query = query
            .bind(keys(&new))
            .bind(of(&new, |grown| grown.last))
            .bind(month(&new, |grown| grown.months.0))
            .bind(month(&new, |grown| grown.months.1))
            .bind(keys(&old))
            .bind(of(&old, |grown| grown.first - 1))
            .bind(of(&old, |grown| grown.last))
            .bind(month(&old, |grown| grown.months.1));
        (query, old.len())
    }
}

fn bind_commands(query: Query, logs: &Logs, rows: &Rows) -> Result<Query, sqlx::Error> {
    let mut commands: Vec<_> = rows.commands.iter().collect();
    commands.sort_unstable_by_key(|((_, _, id), _)| *id);
    let mut numbers = Vec::with_capacity(commands.len());
    for ((log, _, _), _) in &commands {
        numbers.push(i16::from(logs.number(*log)?));
    }
    let ids: Vec<Uuid> = commands.iter().map(|((_, _, id), _)| *id).collect();
    let departments: Vec<&str> = commands
        .iter()
        .map(|((_, name, _), _)| name.as_str())
        .collect();
    let digests: Vec<&[u8]> = commands
        .iter()
        .map(|(_, found)| &found.digest[..])
        .collect();
    let results: Vec<Vec<u8>> = commands
        .iter()
        .map(|(_, found)| encode_result(&found.first))
        .collect();
    Ok(query
        .bind(ids)
        .bind(numbers)
        .bind(departments)
        .bind(digests)
        .bind(results))
}

fn bind_checkpoints(query: Query, rows: &Rows) -> Query {
    let keys = || rows.checkpoints.keys();
    let values = || rows.checkpoints.values();
    let consumers: Vec<&str> = keys().map(|(consumer, _)| *consumer).collect();
    let shards: Vec<i16> = keys().map(|(_, shard)| shard_column(*shard)).collect();
    let next: Vec<i64> = values().map(|at| at.next.cast_signed()).collect();
    let log_ids: Vec<Uuid> = values().map(|at| at.log_id).collect();
    let leaves: Vec<&[u8]> = values().map(|at| &at.leaf[..]).collect();
    let seen: Vec<String> = values().map(|at| at.seen_at.to_string()).collect();
    let epochs: Vec<i64> = values().map(|at| at.epoch.cast_signed()).collect();
    let hints: Vec<Option<i64>> = values().map(|at| at.hint.map(u64::cast_signed)).collect();
    query
        .bind(consumers)
        .bind(shards)
        .bind(next)
        .bind(log_ids)
        .bind(leaves)
        .bind(seen)
        .bind(epochs)
        .bind(hints)
}

fn bind_views(query: Query, views: &ViewNames, rows: &Rows) -> Result<Query, sqlx::Error> {
    let mut sets: Vec<(i32, &RowKey, &Bytes)> = Vec::with_capacity(rows.views.len());
    let mut deletes: Vec<(i32, &RowKey)> = Vec::new();
    for (key, value) in &rows.views {
        let view = views
            .get(key.view)
            .ok_or_else(|| sqlx::Error::Protocol(format!("view `{}` has no number", key.view)))?;
        match value {
            Some(value) => sets.push((view, key, value)),
            None => deletes.push((view, key)),
        }
    }
    let set_views: Vec<i32> = sets.iter().map(|(view, _, _)| *view).collect();
    let set_shards: Vec<i16> = sets
        .iter()
        .map(|(_, key, _)| shard_column(key.shard))
        .collect();
    let set_keys: Vec<&[u8]> = sets.iter().map(|(_, key, _)| &key.key[..]).collect();
    let values: Vec<&[u8]> = sets.iter().map(|(_, _, value)| &value[..]).collect();
    let delete_views: Vec<i32> = deletes.iter().map(|(view, _)| *view).collect();
    let delete_shards: Vec<i16> = deletes
        .iter()
        .map(|(_, key)| shard_column(key.shard))
        .collect();
    let delete_keys: Vec<&[u8]> = deletes.iter().map(|(_, key)| &key.key[..]).collect();
    Ok(query
        .bind(set_views)
        .bind(set_shards)
        .bind(set_keys)
        .bind(values)
        .bind(delete_views)
        .bind(delete_shards)
        .bind(delete_keys))
}
