//! A backup, and after it what the log still has elsewhere: the topics that its
//! records were relayed to. What others have read is then in the log again.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{ArchiveError, LogPart, Part, Parts};
use crate::BoxError;
use crate::append::{Appended, LastRecord};
use crate::event::{Recorded, StoredRecord};
use crate::sequence::{CommandRef, Head, Remembered};
use crate::shard::{LogName, Shard};

/// Records, or commands, handed out in one part.
const ITEMS: usize = 500;

/// Bytes of records in one part, about.
const RECORD_BYTES: usize = 4 << 20;

/// Records of a shard, in order.
pub type TailRecords = Box<dyn Iterator<Item = Result<StoredRecord, BoxError>> + Send>;

/// Where records of a log are besides its store.
pub trait Tail: Send + Sync {
    /// The records of a shard from a position on that were recorded under this id of
    /// the log: in order, each once, up to the first that is not there. Nothing where
    /// no record of the log is there. The same each time that it is asked.
    ///
    /// # Errors
    ///
    /// What cannot be read.
    fn records(
        &self,
        log: LogName,
        log_id: Uuid,
        shard: Shard,
        from: u64,
    ) -> Result<TailRecords, BoxError>;
}

/// A shard, and how much of it is only in the tail.
#[derive(Debug, Clone)]
struct Longer {
    log: LogName,
    log_id: Uuid,
    shard: Shard,
    /// Number of records in the archive.
    from: u64,
    /// Number of records with those of the tail.
    to: u64,
}

impl Longer {
    fn is_at(&self, log: LogName, shard: Shard) -> bool {
        (self.log, self.shard) == (log, shard)
    }
}

/// The parts of an archive, each log of which goes on with its tail.
pub struct Recovered<P> {
    parts: P,
    tail: Arc<dyn Tail>,
    longer: Vec<Longer>,
    /// Shards whose tails have not been handed out as records yet.
    waiting: VecDeque<Longer>,
    /// The same, as commands; nothing until all records were handed out.
    commands: Option<VecDeque<Longer>>,
    /// The tail that is being read.
    open: Option<(Longer, TailRecords)>,
    /// A part of the archive that comes after the tail that is being read.
    held: Option<Part>,
    /// Commands of the tails that are not in the archive.
    unknown: HashSet<CommandRef>,
    /// A command whose records may go on.
    unfinished: Option<(CommandRef, Remembered)>,
}

impl<P: Parts> Recovered<P> {
    /// The parts, and what the tail has after them.
    pub fn new(parts: P, tail: Arc<dyn Tail>) -> Self {
        Self {
            parts,
            tail,
            longer: Vec::new(),
            waiting: VecDeque::new(),
            commands: None,
            open: None,
            held: None,
            unknown: HashSet::new(),
            unfinished: None,
        }
    }

    /// How many records of the logs only the tail had; known once all parts were
    /// handed out.
    pub fn recovered(&self) -> u64 {
        self.longer.iter().map(|one| one.to - one.from).sum()
    }

    /// Reads the tails of a log for its heads, which come before its records.
    fn lengthen(&mut self, log: &mut LogPart) -> Result<(), ArchiveError> {
        for (head, n) in log.heads.iter_mut().zip(0..) {
            let (shard, from) = (Shard(n), head.size());
            let records = self.tail.records(log.name, log.id, shard, from);
            for record in records.map_err(ArchiveError::store)? {
                grow(log.name, head, &record.map_err(ArchiveError::store)?)?;
            }
            let longer = Longer {
                log: log.name,
                log_id: log.id,
                shard,
                from,
                to: head.size(),
            };
            // Also where there is nothing: it keeps the order of the shards.
            self.waiting.push_back(longer.clone());
            self.longer.push(longer);
        }
        Ok(())
    }

    fn open(&mut self, longer: Longer) -> Result<(), ArchiveError> {
        let Longer {
            log,
            log_id,
            shard,
            from,
            to,
        } = longer;
        let records = self.tail.records(log, log_id, shard, from);
        let records = records.map_err(ArchiveError::store)?;
        // As many as the head counts, even if more have come since.
        let count = usize::try_from(to - from).unwrap_or(usize::MAX);
        self.open = Some((longer, Box::new(records.take(count))));
        Ok(())
    }

    /// The next records of the tail that is open; nothing at its end.
    fn records(&mut self) -> Result<Vec<StoredRecord>, ArchiveError> {
        let mut records = Vec::new();
        let mut bytes = 0;
        if let Some((_, open)) = &mut self.open {
            for record in open {
                let record = record.map_err(ArchiveError::store)?;
                bytes += record.bytes.len();
                records.push(record);
                if records.len() == ITEMS || bytes >= RECORD_BYTES {
                    break;
                }
            }
        }
        Ok(records)
    }

    /// The next part of the tails that come before this part of the archive.
    fn before(&mut self, part: &Part) -> Result<Option<Part>, ArchiveError> {
        match part {
            Part::Store(_) | Part::Log(_) => Ok(None),
            Part::Records(log, records) => {
                self.until(records.first().map(|first| (*log, first.shard)))
            }
            // Those of the archive come first: it knows what they were.
            Part::Commands(commands) => {
                let records = self.until(None)?;
                if records.is_none() {
                    for (command, _) in commands {
                        self.unknown.remove(command);
                    }
                }
                Ok(records)
            }
            Part::Checkpoints(_) | Part::Rows(_) => self.rest(),
        }
    }

    /// The next part of all tails: their records, then their commands.
    fn rest(&mut self) -> Result<Option<Part>, ArchiveError> {
        if self.commands.is_none()
            && let Some(records) = self.until(None)?
        {
            return Ok(Some(records));
        }
        self.next_commands()
    }

    /// The next records of the tails of the shards before this one, or of all.
    fn until(&mut self, at: Option<(LogName, Shard)>) -> Result<Option<Part>, ArchiveError> {
        loop {
            if let Some((longer, _)) = &self.open {
                let log = longer.log;
                let records = self.records()?;
                for record in &records {
                    self.unknown.extend(command_of(log, record)?);
                }
                if !records.is_empty() {
                    return Ok(Some(Part::Records(log, records)));
                }
                self.open = None;
            }
            let is_here = |longer: &Longer| at.is_some_and(|(log, shard)| longer.is_at(log, shard));
            match self.waiting.front() {
                Some(longer) if !is_here(longer) => {}
                _ => return Ok(None),
            }
            if let Some(longer) = self.waiting.pop_front().filter(|one| one.to > one.from) {
                self.open(longer)?;
            }
        }
    }

    /// The next commands of all tails; nothing at their end.
    fn next_commands(&mut self) -> Result<Option<Part>, ArchiveError> {
        let all = || self.longer.iter().filter(|one| one.to > one.from).cloned();
        let mut waiting = match self.commands.take() {
            Some(waiting) => waiting,
            None => all().collect(),
        };
        let mut commands = Vec::new();
        while commands.len() < ITEMS {
            if let Some((longer, _)) = &self.open {
                let longer = longer.clone();
                let records = self.records()?;
                for record in &records {
                    commands.extend(self.command(&longer, record)?);
                }
                if records.is_empty() {
                    self.open = None;
                    commands.extend(self.unfinished.take());
                }
            } else if let Some(longer) = waiting.pop_front() {
                self.open(longer)?;
            } else {
                break;
            }
        }
        self.commands = Some(waiting);
        Ok((!commands.is_empty()).then_some(Part::Commands(commands)))
    }

    /// Takes a record into the command that it is of, and gives the one before it
    /// where that is another. What a command was, and its reply, are not in its
    /// records: it is remembered so that it is not done twice.
    fn command(
        &mut self,
        longer: &Longer,
        record: &StoredRecord,
    ) -> Result<Option<(CommandRef, Remembered)>, ArchiveError> {
        let Some(command) = command_of(longer.log, record)? else {
            return Ok(self.unfinished.take());
        };
        let goes_on = matches!(&self.unfinished, Some((before, _)) if *before == command);
        // Each once: the archive has it, or another shard had it.
        if !goes_on && !self.unknown.remove(&command) {
            return Ok(self.unfinished.take());
        }
        let remembered = Remembered {
            digest: Remembered::CONTENT_UNKNOWN,
            first: Appended {
                log: longer.log,
                log_id: longer.log_id,
                shard: longer.shard,
                last: Some(LastRecord {
                    position: record.position,
                    leaf: record.leaf,
                    recorded_at: decode(longer.log, record)?.recorded_at,
                }),
                note: Bytes::new(),
                repeated: false,
            },
        };
        let before = self.unfinished.replace((command, remembered));
        Ok(before.filter(|_| !goes_on))
    }
}

/// The command that a record is of; nothing where it names none.
fn command_of(log: LogName, record: &StoredRecord) -> Result<Option<CommandRef>, ArchiveError> {
    let envelope = decode(log, record)?.envelope;
    let Ok(id) = Uuid::from_slice(&envelope.command_id) else {
        return Ok(None);
    };
    let department = envelope.actor.map(|actor| actor.department);
    Ok(Some((log, department.unwrap_or_default(), id)))
}

fn decode(log: LogName, record: &StoredRecord) -> Result<Recorded, ArchiveError> {
    Recorded::decode(log, record).map_err(|error| {
        let what = "the topic of a log cannot be used";
        ArchiveError::faults(what, vec![error.to_string()])
    })
}

fn grow(log: LogName, head: &mut Head, record: &StoredRecord) -> Result<(), ArchiveError> {
    head.recorded_at = decode(log, record)?.recorded_at;
    head.leaf = record.leaf;
    head.frontier.push(record.leaf);
    Ok(())
}

impl<P: Parts> Parts for Recovered<P> {
    fn next(&mut self) -> Result<Option<Part>, ArchiveError> {
        let part = match self.held.take() {
            Some(part) => Some(part),
            None => self.parts.next()?,
        };
        let Some(mut part) = part else {
            return self.rest();
        };
        if let Part::Log(log) = &mut part {
            self.lengthen(log)?;
        }
        match self.before(&part)? {
            Some(before) => {
                self.held = Some(part);
                Ok(Some(before))
            }
            None => Ok(Some(part)),
        }
    }
}
