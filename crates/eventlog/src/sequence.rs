//! The rules of an append, in one place for every store: what commits, in
//! which order, at which positions, as which bytes.
//!
//! A store loads what a batch refers to ([`Wanted`] → [`Loaded`]), calls
//! [`sequence`], and writes the [`Rows`] in one transaction.

mod prepared;
mod record;

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::append::{
    Append, AppendError, Appended, Checkpoint, CommandKey, ExpectedVersion, LastRecord, RowKey,
};
use crate::event::{StoredRecord, StreamName};
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::shard::{LogName, Shard};
pub use prepared::Prepared;
use record::{encode_envelope, encode_record};

/// Hashes of what one batch refers to: thousands of keys, used once. Seeded per
/// process, since callers choose the ids.
pub type Hasher = foldhash::fast::RandomState;

/// Head of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Id of the log.
    pub log_id: Uuid,
    /// When its last record was recorded; the epoch while it is empty.
    pub recorded_at: Timestamp,
    /// Leaf hash of its last record; zero while it is empty.
    pub leaf: Hash,
    /// Its Merkle tree.
    pub frontier: Frontier,
}

impl Head {
    /// Head of an empty shard.
    pub fn empty(log_id: Uuid) -> Self {
        Self {
            log_id,
            recorded_at: Timestamp::UNIX_EPOCH,
            leaf: [0; 32],
            frontier: Frontier::default(),
        }
    }

    /// Number of records, that is, the next position.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }
}

/// What is remembered of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// Hash of its content.
    pub digest: Hash,
    /// Its first result.
    pub first: Appended,
}

impl Remembered {
    /// The digest of a command of which only the records are left, since they were
    /// taken back from a topic: its content and its reply are not known any more.
    pub const CONTENT_UNKNOWN: Hash = [0; 32];

    /// True if it is a command of this content, as far as is known. What cannot be
    /// told must not be done twice.
    pub fn is_of(&self, digest: &Hash) -> bool {
        self.digest == *digest || self.digest == Self::CONTENT_UNKNOWN
    }
}

/// Identity of a remembered command: log, department, id.
pub type CommandRef = (LogName, String, Uuid);

/// A stream within its log.
pub type StreamRef = (LogName, StreamName);

/// A consumer's checkpoint on one shard.
pub type CheckpointRef = (&'static str, Shard);

/// What a batch refers to.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Shards whose heads are needed.
    pub heads: HashSet<(LogName, Shard), Hasher>,
    /// Streams whose versions are needed.
    pub streams: HashSet<StreamRef, Hasher>,
    /// Commands that may have been applied before.
    pub commands: HashSet<CommandRef, Hasher>,
    /// Checkpoints that move or are relied on.
    pub checkpoints: HashSet<CheckpointRef, Hasher>,
}

impl Wanted {
    /// What these appends refer to.
    pub fn of(batch: &[&Prepared]) -> Self {
        let mut wanted = Self::default();
        wanted.commands.reserve(batch.len());
        for append in batch.iter().map(|prepared| prepared.append()) {
            if !append.streams.is_empty() || append.command.is_some() {
                wanted.heads.insert((append.log, append.shard));
            }
            for part in &append.streams {
                if part.expected != ExpectedVersion::NewByCommand {
                    wanted.streams.insert((append.log, part.stream.clone()));
                }
            }
            if let Some(command) = &append.command {
                wanted.commands.insert(command_ref(append.log, command));
            }
            if let Some(checkpoint) = &append.checkpoint {
                wanted
                    .checkpoints
                    .insert((checkpoint.consumer, checkpoint.shard));
            }
            for guard in &append.guards {
                wanted.checkpoints.insert((guard.consumer, guard.shard));
            }
            let relied_on = append.heads.iter().map(|head| (head.log, head.shard));
            wanted.heads.extend(relied_on);
        }
        wanted
    }
}

/// What the store found of it, read under the lock.
#[derive(Debug, Default, Clone)]
pub struct Loaded {
    /// Heads of all wanted shards.
    pub heads: HashMap<(LogName, Shard), Head, Hasher>,
    /// Versions of the wanted streams that exist.
    pub versions: HashMap<StreamRef, u64, Hasher>,
    /// The wanted commands that are remembered.
    pub commands: HashMap<CommandRef, Remembered, Hasher>,
    /// The wanted checkpoints that exist.
    pub checkpoints: HashMap<CheckpointRef, Checkpoint, Hasher>,
}

/// A row of the event table.
#[derive(Debug, Clone)]
pub struct EventRow {
    /// Log.
    pub log: LogName,
    /// The record.
    pub record: StoredRecord,
    /// Its stream.
    pub stream: StreamName,
    /// Its version in the stream.
    pub version: u64,
    /// When the log learned it.
    pub recorded_at: Timestamp,
}

/// What the store has to write, in one transaction.
#[derive(Debug, Default)]
pub struct Rows {
    /// New records, in order.
    pub events: Vec<EventRow>,
    /// New heads.
    pub heads: BTreeMap<(LogName, Shard), Head>,
    /// Commands to remember.
    pub commands: Vec<(CommandRef, Remembered)>,
    /// New checkpoints.
    pub checkpoints: BTreeMap<CheckpointRef, Checkpoint>,
    /// Rows of views; the last write of a row wins.
    pub views: BTreeMap<RowKey, Option<Bytes>>,
}

impl Rows {
    /// True if there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
            && self.commands.is_empty()
            && self.checkpoints.is_empty()
            && self.views.is_empty()
    }
}

/// A command's identity in a log.
pub fn command_ref(log: LogName, command: &CommandKey) -> CommandRef {
    (log, command.department.clone(), command.id)
}

/// Decides a batch in its order: each append sees those before it. One that
/// loses leaves no trace and does not touch its neighbours.
///
/// `now` is the clock's time; no record is older than the one before it.
pub fn sequence(
    batch: &[&Prepared],
    loaded: &mut Loaded,
    now: Timestamp,
) -> (Rows, Vec<Result<Appended, AppendError>>) {
    let mut sequencing = Sequencing {
        loaded,
        now,
        rows: Rows {
            events: Vec::with_capacity(batch.iter().map(|one| one.append().events()).sum()),
            commands: Vec::with_capacity(batch.len()),
            ..Rows::default()
        },
        commands: HashMap::with_capacity_and_hasher(batch.len(), Hasher::default()),
        versions: HashMap::default(),
        grown: HashSet::default(),
    };
    let outcomes = batch.iter().map(|one| sequencing.decide(one)).collect();
    (sequencing.into_rows(), outcomes)
}

/// A batch while it is decided: what was loaded, and what its appends so far
/// have put over that.
struct Sequencing<'a> {
    loaded: &'a mut Loaded,
    now: Timestamp,
    rows: Rows,
    /// Places of the batch's commands among the rows.
    commands: HashMap<(LogName, &'a str, Uuid), usize, Hasher>,
    /// Versions of the streams that the batch appends to.
    versions: HashMap<(LogName, &'a StreamName), u64, Hasher>,
    /// Shards that the batch appends to.
    grown: HashSet<(LogName, Shard), Hasher>,
}

impl<'a> Sequencing<'a> {
    fn decide(&mut self, prepared: &'a Prepared) -> Result<Appended, AppendError> {
        let append = prepared.append();
        if let Some(first) = self.repeated(append)? {
            return Ok(first);
        }
        verify_checkpoint(append, self.loaded)?;
        verify_guards(append, self.loaded)?;
        verify_heads(append, self.loaded)?;
        let next_versions = self.verify_versions(append)?;

        let appended = self.encode_events(prepared, next_versions);
        if let Some(last) = &appended.last {
            self.stand_before_what_follows(append, last.recorded_at);
        }
        if let Some(command) = &append.command {
            let place = self.rows.commands.len();
            let key = (append.log, command.department.as_str(), command.id);
            self.commands.insert(key, place);
            let remembered = Remembered {
                digest: command.digest,
                first: appended.clone(),
            };
            let command = command_ref(append.log, command);
            self.rows.commands.push((command, remembered));
        }
        if let Some(moved) = &append.checkpoint {
            let key = (moved.consumer, moved.shard);
            self.loaded.checkpoints.insert(key, moved.to.clone());
            self.rows.checkpoints.insert(key, moved.to.clone());
        }
        for write in &append.views {
            self.rows
                .views
                .insert(write.row.clone(), write.value.clone());
        }
        Ok(appended)
    }

    /// Whatever comes later to a log that a decision relied on is recorded
    /// later, also in the same batch, so that times tell which was first.
    fn stand_before_what_follows(&mut self, append: &Append, recorded_at: Timestamp) {
        for guard in &append.heads {
            if let Some(head) = self.loaded.heads.get_mut(&(guard.log, guard.shard)) {
                let after = recorded_at.saturating_add(SignedDuration::from_nanos(1));
                head.recorded_at = after.map_or(head.recorded_at, |at| head.recorded_at.max(at));
                // Kept with the head: the next batch must stand behind it too.
                self.grown.insert((guard.log, guard.shard));
            }
        }
    }

    fn repeated(&self, append: &Append) -> Result<Option<Appended>, AppendError> {
        let Some(command) = &append.command else {
            return Ok(None);
        };
        let here = (append.log, command.department.as_str(), command.id);
        let remembered = match self.commands.get(&here) {
            Some(place) => self.rows.commands.get(*place).map(|(_, first)| first),
            // Most batches repeat nothing: then no key is made to look it up.
            None if self.loaded.commands.is_empty() => None,
            None => self.loaded.commands.get(&command_ref(append.log, command)),
        };
        match remembered {
            None => Ok(None),
            Some(remembered) if remembered.is_of(&command.digest) => Ok(Some(Appended {
                repeated: true,
                ..remembered.first.clone()
            })),
            Some(_) => Err(AppendError::CommandReused { id: command.id }),
        }
    }

    fn version(&self, log: LogName, stream: &StreamName) -> Option<u64> {
        if let Some(version) = self.versions.get(&(log, stream)) {
            return Some(*version);
        }
        if self.loaded.versions.is_empty() {
            return None;
        }
        self.loaded.versions.get(&(log, stream.clone())).copied()
    }

    /// The next version of each stream, in the append's order.
    fn verify_versions(&self, append: &Append) -> Result<Vec<u64>, AppendError> {
        let mut pending: HashMap<&StreamName, u64, Hasher> = HashMap::default();
        let mut next_versions = Vec::with_capacity(append.streams.len());
        for part in &append.streams {
            let earlier = pending.get(&part.stream).copied();
            let actual = match part.expected {
                ExpectedVersion::NewByCommand => earlier,
                _ => earlier.or_else(|| self.version(append.log, &part.stream)),
            };
            let holds = match part.expected {
                ExpectedVersion::Any => true,
                ExpectedVersion::NoStream | ExpectedVersion::NewByCommand => actual.is_none(),
                ExpectedVersion::Exact(version) => actual == Some(version),
            };
            if !holds {
                return Err(AppendError::WrongExpectedVersion {
                    stream: part.stream.clone(),
                    expected: part.expected,
                    actual,
                });
            }
            let next = actual.map_or(0, |version| version + 1);
            next_versions.push(next);
            // Only a later part of the same append looks there.
            if append.streams.len() > 1
                && let Some(more) = (part.events.len() as u64).checked_sub(1)
            {
                pending.insert(&part.stream, next + more);
            }
        }
        Ok(next_versions)
    }

    fn encode_events(&mut self, prepared: &'a Prepared, next_versions: Vec<u64>) -> Appended {
        let append = prepared.append();
        let key = (append.log, append.shard);
        let mut appended = Appended {
            log: append.log,
            log_id: Uuid::nil(),
            shard: append.shard,
            last: None,
            note: append.note.clone(),
            repeated: false,
        };
        let Some(head) = self.loaded.heads.get_mut(&key) else {
            // Only an append without events and command asks for no head.
            return appended;
        };
        appended.log_id = head.log_id;
        if append.streams.is_empty() {
            return appended;
        }
        let mut encoded = prepared.envelopes();
        for (part, mut version) in append.streams.iter().zip(next_versions) {
            for event in &part.events {
                let position = head.size();
                let recorded_at = self.now.max(head.recorded_at);
                let envelope = encoded.next(|| encode_envelope(event, &part.stream, version));
                let bytes =
                    encode_record(head.log_id, append.shard, position, recorded_at, &envelope);
                let leaf = leaf_hash(&bytes);
                head.frontier.push(leaf);
                head.leaf = leaf;
                head.recorded_at = recorded_at;
                appended.last = Some(LastRecord {
                    position,
                    leaf,
                    recorded_at,
                });
                self.rows.events.push(EventRow {
                    log: append.log,
                    record: StoredRecord {
                        shard: append.shard,
                        position,
                        leaf,
                        bytes,
                    },
                    stream: part.stream.clone(),
                    version,
                    recorded_at,
                });
                version += 1;
            }
            if part.expected != ExpectedVersion::NewByCommand
                && let Some(last) = version.checked_sub(1)
            {
                self.versions.insert((append.log, &part.stream), last);
            }
        }
        self.grown.insert(key);
        appended
    }

    /// The rows, with the heads as the last append has left them.
    fn into_rows(self) -> Rows {
        let mut rows = self.rows;
        for key in self.grown {
            if let Some(head) = self.loaded.heads.get(&key) {
                rows.heads.insert(key, head.clone());
            }
        }
        rows
    }
}

fn verify_checkpoint(append: &Append, loaded: &Loaded) -> Result<(), AppendError> {
    let Some(moved) = &append.checkpoint else {
        return Ok(());
    };
    let current = loaded.checkpoints.get(&(moved.consumer, moved.shard));
    let actual = current.map_or(0, |checkpoint| checkpoint.next);
    let epoch = current.map_or(0, |checkpoint| checkpoint.epoch);
    // A zombie of an older lease must not write, even if nobody has moved since.
    if actual == moved.from && moved.to.epoch >= epoch {
        return Ok(());
    }
    Err(AppendError::CheckpointMoved {
        consumer: moved.consumer,
        shard: moved.shard,
        expected: moved.from,
        actual,
    })
}

fn verify_guards(append: &Append, loaded: &Loaded) -> Result<(), AppendError> {
    for guard in &append.guards {
        let current = loaded.checkpoints.get(&(guard.consumer, guard.shard));
        if current.map_or(0, |checkpoint| checkpoint.next) != guard.next {
            return Err(AppendError::Outdated {
                consumer: guard.consumer,
                shard: guard.shard,
            });
        }
    }
    Ok(())
}

fn verify_heads(append: &Append, loaded: &Loaded) -> Result<(), AppendError> {
    for guard in &append.heads {
        let head = loaded.heads.get(&(guard.log, guard.shard));
        if head.map_or(0, Head::size) != guard.size {
            return Err(AppendError::Outdated {
                consumer: guard.log.0,
                shard: guard.shard,
            });
        }
    }
    Ok(())
}
