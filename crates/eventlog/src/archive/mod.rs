//! Archives: all that a role's store holds, as of one moment, in files that every
//! store can read and write.
//!
//! A store hands over what it has as [`Part`]s, in one order, from one transaction
//! that only reads ([`Source`]); a store that is empty takes parts, all or none of
//! them ([`Target`]). In between is a directory ([`ArchiveWriter`], [`Archive`]) or
//! nothing. What both sides hand over is verified on the way: every record against
//! its leaf, every shard against its head ([`Content`]), so that damage is noticed
//! where it is and never copied.

pub mod conformance;
mod content;
mod files;
mod item;
pub mod keys;
mod manifest;
mod reader;
mod recovered;
mod writer;

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::SignedDuration;
use uuid::Uuid;

use crate::BoxError;
use crate::append::Checkpoint;
use crate::event::StoredRecord;
use crate::sequence::{CommandRef, Head, Remembered};
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::FormerId;

pub use content::{Content, Counted, LogContent, Sum};
pub use files::{FILE_BYTES_MAX, hex, make_dir, sync_dir, write_whole};
pub use manifest::{FORMAT, MANIFEST, Manifest};
pub use reader::{Archive, ArchiveParts};
pub use recovered::{Recovered, Tail, TailRecords};
pub use writer::ArchiveWriter;

/// What a store says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFacts {
    /// Number of shards of every log.
    pub shards: ShardCount,
    /// Distance of its movable clock from the system's; nothing if it has none.
    pub ahead: Option<SignedDuration>,
}

/// A log, before its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPart {
    /// Its name.
    pub name: LogName,
    /// Its id.
    pub id: Uuid,
    /// The ids that it had before, the oldest first.
    pub former: Vec<FormerId>,
    /// Head of every shard, in order.
    pub heads: Vec<Head>,
}

/// A consumer's checkpoint. Its epoch is 0: leases are not archived, and whoever
/// holds the shard next may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointPart {
    /// Name of the consumer.
    pub consumer: String,
    /// Shard of its source.
    pub shard: Shard,
    /// Where it is.
    pub checkpoint: Checkpoint,
}

impl CheckpointPart {
    /// A checkpoint as it is archived.
    pub fn new(consumer: &str, shard: Shard, checkpoint: Checkpoint) -> Self {
        Self {
            consumer: consumer.to_owned(),
            shard,
            checkpoint: Checkpoint {
                epoch: 0,
                ..checkpoint
            },
        }
    }
}

/// A row of a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowPart {
    /// Name of the view.
    pub view: String,
    /// Shard.
    pub shard: Shard,
    /// Key within the view and shard.
    pub key: Bytes,
    /// Value.
    pub value: Bytes,
}

/// A piece of what a store holds. They come in the order in which they are here,
/// each kind in as many pieces as it takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// What the store says of itself. Once, and first.
    Store(StoreFacts),
    /// A log.
    Log(LogPart),
    /// Records of one shard, after those that came before. Shards come one after
    /// the other.
    Records(LogName, Vec<StoredRecord>),
    /// Remembered commands.
    Commands(Vec<(CommandRef, Remembered)>),
    /// Checkpoints.
    Checkpoints(Vec<CheckpointPart>),
    /// Rows of views.
    Rows(Vec<RowPart>),
}

/// Takes parts.
pub trait Sink: Send {
    /// Takes the next part.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: what was taken is worth nothing.
    fn put(&mut self, part: &Part) -> Result<(), ArchiveError>;

    /// Whether records of a log are wanted; they need not be read else.
    fn wants(&self, log: LogName) -> bool {
        let _ = log;
        true
    }
}

/// Hands out parts.
pub trait Parts: Send {
    /// The next part; nothing once all were handed out and all of it held.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: what was handed out is worth nothing.
    fn next(&mut self) -> Result<Option<Part>, ArchiveError>;
}

/// A store whose whole content can be read as of one moment, also while others
/// append to it.
#[async_trait]
pub trait Source: Send {
    /// Reads everything.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: it cannot be read, or the sink does not take it.
    async fn read(&mut self, to: &mut dyn Sink) -> Result<(), ArchiveError>;
}

/// What speaks against loading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// What can never fit, such as another number of shards.
    pub misfits: Vec<String>,
    /// What is there already. Where it is the very same, and nobody has used it since,
    /// it was loaded before.
    pub there: Vec<String>,
    /// A process has opened the store.
    pub used: bool,
}

/// A store that can be filled while it is empty.
#[async_trait]
pub trait Target: Send {
    /// Everything that speaks against loading the content of a store that says this
    /// of itself.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: it cannot be said.
    async fn found(&mut self, facts: &StoreFacts) -> Result<Found, ArchiveError>;

    /// Takes all parts or none.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: nothing was loaded.
    async fn load(&mut self, parts: &mut dyn Parts) -> Result<(), ArchiveError>;
}

/// Why something cannot be archived or loaded.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store cannot be read or written: try again.
    #[error("the store cannot be used: {source}; see to it and repeat the command")]
    Store {
        /// Why.
        source: BoxError,
    },
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something does not hold; everything that was found.
    #[error("{what}:\n  {}", .faults.join("\n  "))]
    Faults {
        /// What cannot be done.
        what: String,
        /// What is wrong, and what to do about each.
        faults: Vec<String>,
    },
}

impl ArchiveError {
    /// From any error of a store's driver.
    pub fn store(source: impl Into<BoxError>) -> Self {
        Self::Store {
            source: source.into(),
        }
    }

    /// Of a file.
    pub fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io {
            path: path.into(),
            source,
        }
    }

    /// One thing that does not hold, or several.
    pub fn faults(what: impl Into<String>, faults: Vec<String>) -> Self {
        Self::Faults {
            what: what.into(),
            faults,
        }
    }

    /// Nothing if there are none.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Faults`].
    pub fn unless_none(what: impl Into<String>, faults: Vec<String>) -> Result<(), Self> {
        match faults.is_empty() {
            true => Ok(()),
            false => Err(Self::faults(what, faults)),
        }
    }
}

/// What is wrong where a store and an archive have other numbers of shards.
pub fn other_shards(store: ShardCount, archive: ShardCount) -> String {
    format!(
        "it has {} shards, and the archive {}; make it again with `shards` set to {}",
        store.get(),
        archive.get(),
        archive.get()
    )
}

/// What there is of each kind, where there is any.
pub fn counted(counts: &[(&str, i64)]) -> Vec<String> {
    let there = counts.iter().filter(|(_, count)| *count > 0);
    there
        .map(|(what, count)| format!("{count} {what}"))
        .collect()
}

impl Found {
    /// Refuses a target in which there is anything.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Faults`].
    pub fn refuse(self, place: &str) -> Result<(), ArchiveError> {
        let there = self
            .there
            .into_iter()
            .map(|what| format!("there is already: {what}"));
        let faults = self.misfits.into_iter().chain(there).collect();
        ArchiveError::unless_none(format!("nothing can be loaded into {place}"), faults)
    }
}
