//! What parts amount to: enough to say whether two stores hold the same.

use std::collections::BTreeMap;

use prost::Message;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::files::hex;
use super::item::{CheckpointItem, CommandItem, RowItem};
use super::manifest::{LogEntry, SumEntry};
use super::{ArchiveError, LogPart, Part, Parts, Sink, StoreFacts};
use crate::event::StoredRecord;
use crate::merkle::Hash;
use crate::sequence::Head;
use crate::shard::{LogName, Shard};
use crate::store::FormerId;
use crate::verify::ShardVerifier;

/// Faults that are named; more would not help.
const FAULTS_MAX: usize = 20;

/// What parts amount to. Takes them as a sink, and verifies the records on the way.
#[derive(Debug, Default)]
pub struct Content {
    /// What the store says of itself.
    pub facts: Option<StoreFacts>,
    /// Its logs.
    pub logs: BTreeMap<LogName, LogContent>,
    /// Remembered commands.
    pub commands: Sum,
    /// Checkpoints.
    pub checkpoints: Sum,
    /// Rows of views.
    pub rows: Sum,
    /// Heads of shards whose records have not begun.
    waiting: BTreeMap<(LogName, Shard), Head>,
    active: Option<((LogName, Shard), ShardVerifier)>,
    faults: Vec<String>,
}

/// What a log amounts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogContent {
    /// Its id.
    pub id: Uuid,
    /// The ids that it had before.
    pub former: Vec<FormerId>,
    /// Number of records and Merkle root of each shard, computed from the records.
    pub shards: Vec<(u64, Hash)>,
}

impl LogContent {
    /// Number of records.
    pub fn records(&self) -> u64 {
        self.shards.iter().map(|(size, _)| size).sum()
    }

    /// SHA-256 over sizes and roots of all shards, in order.
    pub fn roots(&self) -> Hash {
        let mut hash = Sha256::new();
        for (size, root) in &self.shards {
            hash.update(size.to_be_bytes());
            hash.update(root);
        }
        hash.finalize().into()
    }
}

/// A number of items, and the sum of their SHA-256 as numbers of 256 bits: the same
/// for the same items in whatever order, which is another one in each database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Number of items.
    pub items: u64,
    sum: Hash,
}

impl Sum {
    /// Adds an item.
    pub(super) fn add(&mut self, item: &impl Message) {
        let hash: Hash = Sha256::digest(item.encode_to_vec()).into();
        let mut carry = false;
        for (sum, byte) in self.sum.iter_mut().zip(hash).rev() {
            let (with, over) = sum.overflowing_add(byte);
            let (with, more) = with.overflowing_add(u8::from(carry));
            (*sum, carry) = (with, over || more);
        }
        self.items += 1;
    }

    pub(super) fn entry(&self) -> SumEntry {
        SumEntry {
            items: self.items,
            sum: hex(&self.sum),
        }
    }
}

impl Content {
    /// Ends taking.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Faults`]: records do not verify.
    pub fn finish(mut self) -> Result<Self, ArchiveError> {
        self.end_shard();
        for ((log, shard), head) in std::mem::take(&mut self.waiting) {
            self.begin_shard((log, shard), head);
            self.end_shard();
        }
        if self.facts.is_none() {
            self.faults
                .push("it does not say what store it is of".to_owned());
        }
        let faults = std::mem::take(&mut self.faults);
        ArchiveError::unless_none("the records do not verify", faults)?;
        Ok(self)
    }

    /// What another amounts to otherwise.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut found = Vec::new();
        if self.facts != other.facts {
            found.push("shards or clock".to_owned());
        }
        for name in self.logs.keys().chain(other.logs.keys()) {
            let what = format!("log {name}");
            if self.logs.get(name) != other.logs.get(name) && !found.contains(&what) {
                found.push(what);
            }
        }
        for (what, ours, theirs) in [
            ("remembered commands", self.commands, other.commands),
            ("checkpoints", self.checkpoints, other.checkpoints),
            ("rows of views", self.rows, other.rows),
        ] {
            if ours != theirs {
                found.push(format!("{what}: {} and {}", ours.items, theirs.items));
            }
        }
        found
    }

    pub(super) fn log_entries(&self) -> Vec<LogEntry> {
        let entry = |(name, log): (&LogName, &LogContent)| LogEntry {
            name: name.0.to_owned(),
            id: log.id.to_string(),
            records: log.records(),
            roots: hex(&log.roots()),
        };
        self.logs.iter().map(entry).collect()
    }

    pub(super) fn sum_entries(&self) -> BTreeMap<String, SumEntry> {
        let sums = [
            ("commands", self.commands),
            ("checkpoints", self.checkpoints),
            ("rows", self.rows),
        ];
        let entry = |(name, sum): (&str, Sum)| (name.to_owned(), sum.entry());
        sums.into_iter().map(entry).collect()
    }

    fn log(&mut self, log: &LogPart) {
        let heads = log.heads.iter().zip(0..);
        self.waiting
            .extend(heads.map(|(head, n)| ((log.name, Shard(n)), head.clone())));
        let content = LogContent {
            id: log.id,
            former: log.former.clone(),
            shards: vec![(0, Hash::default()); log.heads.len()],
        };
        if self.logs.insert(log.name, content).is_some() {
            self.fault(format!("log {} comes twice", log.name));
        }
    }

    fn records(&mut self, log: LogName, records: &[StoredRecord]) {
        for record in records {
            let place = (log, record.shard);
            if self.active.as_ref().is_none_or(|(at, _)| *at != place) {
                self.end_shard();
                let Some(head) = self.waiting.remove(&place) else {
                    return self.fault(format!("{log}/{}: records out of order", record.shard));
                };
                self.begin_shard(place, head);
            }
            if let Some((_, verifier)) = &mut self.active {
                verifier.record(record.position, &record.bytes, record.leaf);
            }
        }
    }

    fn begin_shard(&mut self, (log, shard): (LogName, Shard), head: Head) {
        let former = self.logs.get(&log).map(|content| content.former.clone());
        let verifier = ShardVerifier::new(log, shard, head, former.unwrap_or_default());
        self.active = Some(((log, shard), verifier));
    }

    fn end_shard(&mut self) {
        let Some(((log, shard), mut verifier)) = self.active.take() else {
            return;
        };
        let (size, root) = (verifier.size(), verifier.finish());
        if let Some(content) = self.logs.get_mut(&log) {
            content.shards[usize::from(shard.0)] = (size, root);
        }
        for fault in std::mem::take(&mut verifier.faults) {
            let at = fault
                .position
                .map(|at| format!("/{at}"))
                .unwrap_or_default();
            self.fault(format!(
                "{log}/{shard}{at}: {}: {}",
                fault.reason, fault.message
            ));
        }
    }

    fn fault(&mut self, fault: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(fault);
        }
    }
}

impl Sink for Content {
    fn put(&mut self, part: &Part) -> Result<(), ArchiveError> {
        match part {
            Part::Store(facts) => self.facts = Some(facts.clone()),
            Part::Log(log) => self.log(log),
            Part::Records(log, records) => self.records(*log, records),
            Part::Commands(commands) => {
                for (key, remembered) in commands {
                    self.commands.add(&CommandItem::of(key, remembered));
                }
            }
            Part::Checkpoints(checkpoints) => {
                for checkpoint in checkpoints {
                    self.checkpoints.add(&CheckpointItem::of(checkpoint));
                }
            }
            Part::Rows(rows) => {
                for row in rows {
                    self.rows.add(&RowItem::of(row));
                }
            }
        }
        Ok(())
    }
}

/// Counts parts as they are handed out.
pub struct Counted<P> {
    parts: P,
    content: Content,
}

impl<P: Parts> Counted<P> {
    /// Of these parts.
    pub fn new(parts: P) -> Self {
        let content = Content::default();
        Self { parts, content }
    }

    /// What was handed out.
    ///
    /// # Errors
    ///
    /// As [`Content::finish`].
    pub fn finish(self) -> Result<Content, ArchiveError> {
        self.content.finish()
    }
}

impl<P: Parts> Parts for Counted<P> {
    fn next(&mut self) -> Result<Option<Part>, ArchiveError> {
        let part = self.parts.next()?;
        if let Some(part) = &part {
            self.content.put(part)?;
        }
        Ok(part)
    }
}
