//! Reads what a batch refers to.

use std::collections::{HashMap, HashSet};

use sqlx::{Row as _, SqliteConnection};
use tally_eventlog::sequence::{CommandRef, Hasher, Remembered, StreamRef};

use crate::chunk::Chunked;
use crate::known::{Logs, read_hash};
use tally_eventlog::encoding::{StreamKey, decode_result, stream_key};

// One seek per stream, however many versions it has; `max` over a group would
// read them all. Streams that do not exist, which are most, give no row: a row
// costs more in the driver than the seek.
static VERSIONS: Chunked = Chunked::new(
    "SELECT key, version FROM (SELECT w.column1 AS key, (SELECT version FROM event \
     WHERE stream = w.column1 ORDER BY version DESC LIMIT 1) AS version FROM ",
    1,
    " w) WHERE version IS NOT NULL",
);
// By id alone: hardly ever have two departments drawn the same, and values to
// bind cost more than such a row.
static COMMANDS: Chunked = Chunked::new(
    "SELECT c.id, c.log, c.department, c.digest, c.result FROM ",
    1,
    " w CROSS JOIN command c ON c.id = w.column1",
);

/// Versions of those streams that exist.
pub(crate) async fn versions(
    connection: &mut SqliteConnection,
    streams: &HashSet<StreamRef, Hasher>,
) -> Result<HashMap<StreamRef, u64, Hasher>, sqlx::Error> {
    let mut keys: Vec<(StreamKey, &StreamRef)> = streams
        .iter()
        .map(|stream| {
            (
                stream_key(stream.0, stream.1.category, &stream.1.id),
                stream,
            )
        })
        .collect();
    // Neighbours in the index one after the other: a page is found once.
    keys.sort_unstable_by_key(|(key, _)| *key);
    let mut versions = HashMap::default();
    VERSIONS
        .fetch(
            connection,
            &keys,
            |(key, _), row| row.add(key.as_slice()),
            |row| {
                let version: i64 = row.try_get(1)?;
                let key: &[u8] = row.try_get(0)?;
                if let Ok(place) = keys.binary_search_by(|(wanted, _)| wanted.as_slice().cmp(key)) {
                    versions.insert(keys[place].1.clone(), version.cast_unsigned());
                }
                Ok(())
            },
        )
        .await?;
    Ok(versions)
}

/// Those commands that are remembered.
pub(crate) async fn commands(
    connection: &mut SqliteConnection,
    logs: &Logs,
    wanted: &HashSet<CommandRef, Hasher>,
) -> Result<HashMap<CommandRef, Remembered, Hasher>, sqlx::Error> {
    let mut ids: Vec<uuid::Uuid> = wanted.iter().map(|(_, _, id)| *id).collect();
    ids.sort_unstable();
    let mut found = HashMap::default();
    COMMANDS
        .fetch(
            connection,
            &ids,
            |id, row| row.add(id.as_bytes().as_slice()),
            |row| {
                let number: u8 = row.try_get(1)?;
                let id: Vec<u8> = row.try_get(0)?;
                let id = uuid::Uuid::from_slice(&id)
                    .map_err(|error| sqlx::Error::Decode(error.into()))?;
                let Some(log) = logs.all.iter().find(|log| log.number == number) else {
                    return Ok(());
                };
                let result: &[u8] = row.try_get(4)?;
                let first = decode_result(log.name, result).ok_or_else(|| {
                    sqlx::Error::Decode(
                        format!("result of command {id} in {} is damaged", log.name).into(),
                    )
                })?;
                let remembered = Remembered {
                    digest: read_hash(&row, 3)?,
                    first,
                };
                let command = (log.name, row.try_get(2)?, id);
                if wanted.contains(&command) {
                    found.insert(command, remembered);
                }
                Ok(())
            },
        )
        .await?;
    Ok(found)
}
