//! The logs that a store was opened with.

use tally_eventlog::shard::{LogName, Shard, ShardCount};
use uuid::Uuid;

/// A log of this store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Log {
    pub(crate) name: LogName,
    pub(crate) number: u8,
    pub(crate) id: Uuid,
}

/// The logs that the store was opened with.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    pub(crate) shards: ShardCount,
    pub(crate) all: Vec<Log>,
}

impl Logs {
    pub(crate) fn get(&self, name: LogName) -> Option<&Log> {
        self.all.iter().find(|log| log.name == name)
    }

    pub(crate) fn numbered(&self, number: i16) -> Option<&Log> {
        self.all.iter().find(|log| i16::from(log.number) == number)
    }

    /// Number of a log. The store checks names before they reach the writer.
    pub(crate) fn number(&self, name: LogName) -> Result<u8, sqlx::Error> {
        self.get(name).map(|log| log.number).ok_or_else(|| {
            sqlx::Error::Protocol(format!("the store was not opened with log `{name}`"))
        })
    }
}

/// A shard as it is in a column.
pub(crate) fn shard_column(shard: Shard) -> i16 {
    i16::try_from(shard.0).expect("there are at most 1024 shards")
}

/// A shard from a column.
pub(crate) fn shard_of(column: i16) -> Result<Shard, sqlx::Error> {
    u16::try_from(column)
        .map(Shard)
        .map_err(|error| sqlx::Error::Decode(error.into()))
}
