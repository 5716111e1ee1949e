//! Heads of shards as they are stored.

use std::collections::{BTreeSet, HashMap};

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use tally_eventlog::encoding::{event_id, head_checksum, position_of};
use tally_eventlog::merkle::{Frontier, Hash, leaf_hash};
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::Shard;

use crate::logs::{Log, Logs, shard_column, shard_of};
use crate::months::Month;
use crate::options::OpenError;
use crate::partitions::away;

/// The columns that [`read_head`] reads, in this order.
pub(crate) const COLUMNS: &str =
    "h.log, h.shard, h.size, h.leaf, h.frontier, h.recorded_at, h.checksum";

/// The heads of a log, each held against its checksum.
pub(crate) async fn heads(
    connection: &mut PgConnection,
    log: &Log,
    logs: &Logs,
) -> Result<Vec<Head>, OpenError> {
    let rows = sqlx::query(
        "SELECT h.log, h.shard, h.size, h.leaf, h.frontier, h.recorded_at, h.checksum \
         FROM shard_head h WHERE h.log = $1 ORDER BY h.shard",
    )
    .bind(i16::from(log.number))
    .fetch_all(connection)
    .await?;
    let mut rows = rows.iter();
    let mut heads = Vec::with_capacity(usize::from(logs.shards.get()));
    for shard in logs.shards.all() {
        let row = rows
            .next()
            .filter(|row| row.try_get(1).is_ok_and(|n: i16| n == shard_column(shard)));
        let row = row.ok_or_else(|| OpenError::damaged_head(log.name, shard, "it is missing"))?;
        let (_, _, head) = read_head(row, logs)?;
        heads.push(head);
    }
    Ok(heads)
}

/// The heads of a log, each held against its checksum and the last record of its
/// shard.
pub(crate) async fn verified_heads(
    connection: &mut PgConnection,
    log: &Log,
    logs: &Logs,
) -> Result<Vec<Head>, OpenError> {
    let heads = heads(connection, log, logs).await?;
    let months: Vec<(i16, Month)> =
        sqlx::query_as("SELECT shard, max(month) FROM shard_month WHERE log = $1 GROUP BY shard")
            .bind(i16::from(log.number))
            .fetch_all(&mut *connection)
            .await?;
    let away = away(connection, months.iter().map(|(_, month)| *month)).await?;
    let months: HashMap<i16, Month> = months.into_iter().collect();
    let mut places = Vec::with_capacity(heads.len());
    for (shard, head) in logs.shards.all().zip(&heads) {
        // A shard that rests may have its last record in a month that was taken away.
        let month = months.get(&shard_column(shard));
        if month.is_none_or(|month| !away.contains(month)) {
            places.push((shard, head));
        }
    }
    // The last record, and one that must not be there.
    let id = |shard, position| event_id(log.number, shard, position);
    let ids: Vec<i64> = places
        .iter()
        .flat_map(|(shard, head)| {
            let last = head.size().checked_sub(1).map(|last| id(*shard, last));
            last.into_iter().chain([id(*shard, head.size())])
        })
        .collect();
    let months: BTreeSet<Month> = months.into_values().collect();
    let rows = sqlx::query(
        "SELECT e.id, e.leaf, e.record FROM event e WHERE e.id = ANY($1) AND e.month = ANY($2)",
    )
    .bind(ids)
    .bind(months.into_iter().collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let mut found: HashMap<i64, (Hash, Vec<u8>)> = HashMap::with_capacity(rows.len());
    for row in rows {
        found.insert(row.try_get(0)?, (hash(&row, 1)?, row.try_get(2)?));
    }
    for (shard, head) in places {
        verify_last(head, |position| found.get(&id(shard, position)))
            .map_err(|what| OpenError::damaged_head(log.name, shard, &what))?;
    }
    Ok(heads)
}

fn verify_last<'a>(
    head: &Head,
    at: impl Fn(u64) -> Option<&'a (Hash, Vec<u8>)>,
) -> Result<(), String> {
    let size = head.size();
    if at(size).is_some() {
        return Err(format!(
            "it counts {size} records, but the last record is {size}"
        ));
    }
    let Some(last) = size.checked_sub(1) else {
        return Ok(());
    };
    match at(last) {
        None => Err(format!(
            "it counts {size} records, but record {last} is missing"
        )),
        Some((leaf, bytes)) if *leaf != head.leaf || leaf_hash(bytes) != head.leaf => {
            Err(format!("it does not match record {last}"))
        }
        Some(_) => Ok(()),
    }
}

/// Reads a head's row and holds it against its checksum.
pub(crate) fn read_head<'a>(
    row: &PgRow,
    logs: &'a Logs,
) -> Result<(&'a Log, Shard, Head), OpenError> {
    let number: i16 = row.try_get(0)?;
    let shard = shard_of(row.try_get(1)?)?;
    let log = logs.numbered(number).ok_or_else(|| OpenError::Damaged {
        what: format!("a head of log {number}, which there is not"),
    })?;
    let head = parse_head(row, log, shard)
        .map_err(|what| OpenError::damaged_head(log.name, shard, &what))?;
    Ok((log, shard, head))
}

fn parse_head(row: &PgRow, log: &Log, shard: Shard) -> Result<Head, String> {
    let text = |error: sqlx::Error| error.to_string();
    let size = row.try_get::<i64, _>(2).map_err(text)?;
    let size = u64::try_from(size).map_err(|_| format!("size {size} is negative"))?;
    let peaks: Vec<u8> = row.try_get(4).map_err(text)?;
    let head = Head {
        log_id: log.id,
        recorded_at: row
            .try_get::<&str, _>(5)
            .map_err(text)?
            .parse()
            .map_err(|error| format!("recorded_at: {error}"))?,
        leaf: hash(row, 3).map_err(text)?,
        frontier: Frontier::from_bytes(size, &peaks)
            .ok_or_else(|| format!("its tree is not one of {size} records"))?,
    };
    if head_checksum(shard, &head) != hash(row, 6).map_err(text)? {
        return Err("its checksum does not match".to_owned());
    }
    Ok(head)
}

/// Reads a column of 32 bytes.
pub(crate) fn hash(row: &PgRow, column: usize) -> Result<Hash, sqlx::Error> {
    let bytes: Vec<u8> = row.try_get(column)?;
    bytes.try_into().map_err(|bytes: Vec<u8>| {
        sqlx::Error::Decode(format!("a hash has 32 bytes, here are {}", bytes.len()).into())
    })
}

/// Position of a record by a column with its id.
pub(crate) fn position(row: &PgRow, column: usize) -> Result<u64, sqlx::Error> {
    row.try_get(column).map(position_of)
}
