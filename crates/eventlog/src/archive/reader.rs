//! Reads an archive.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::content::Content;
use super::files::{FileReader, fault_in};
use super::item::{CheckpointItem, CommandItem, LogItem, RecordItem, RowItem, StoreItem, decode};
use super::manifest::Manifest;
use super::writer::records_of;
use super::{ArchiveError, CheckpointPart, Part, Parts, Sink, StoreFacts};
use crate::event::StoredRecord;
use crate::shard::LogName;

/// Items per part.
const ITEMS: usize = 1_000;

/// Bytes of records per part, roughly.
const RECORD_BYTES: usize = 4 << 20;

/// An archive in a directory.
#[derive(Debug, Clone)]
pub struct Archive {
    dir: PathBuf,
    /// What is in it.
    pub manifest: Manifest,
    /// Its mark: the hash of its manifest.
    pub mark: String,
}

impl Archive {
    /// Opens it by its manifest; its files are not read yet.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: it is none, or one of another format.
    pub fn open(dir: &Path) -> Result<Self, ArchiveError> {
        let (manifest, mark) = Manifest::read(dir)?;
        let dir = dir.to_owned();
        Ok(Self {
            dir,
            manifest,
            mark,
        })
    }

    /// Everything that is wrong with its files: what is missing, cut off or altered.
    pub fn faults(&self) -> Vec<String> {
        let files = self.manifest.files.iter();
        files
            .filter_map(|entry| fault_in(&self.dir, entry))
            .collect()
    }

    /// What the store said of itself.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: it cannot be read.
    pub fn facts(&self) -> Result<StoreFacts, ArchiveError> {
        let facts = match self.frames("store").next()? {
            Some(frame) => decode::<StoreItem>(frame).and_then(|item| item.read()),
            None => None,
        };
        facts.ok_or_else(|| self.malformed("store"))
    }

    /// Its checkpoints.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: they cannot be read.
    pub fn checkpoints(&self) -> Result<Vec<CheckpointPart>, ArchiveError> {
        let (mut frames, mut all) = (self.frames("checkpoints"), Vec::new());
        while let Some(frame) = frames.next()? {
            let read = decode::<CheckpointItem>(frame).and_then(|item| item.read());
            all.push(read.ok_or_else(|| self.malformed("checkpoints"))?);
        }
        Ok(all)
    }

    /// Its parts, for a version that has these logs.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Faults`]: it has a log that this version does not know.
    pub fn parts(&self, logs: &[LogName]) -> Result<ArchiveParts, ArchiveError> {
        let known = |name: &str| logs.iter().copied().find(|log| log.0 == name);
        let (mut names, mut faults) = (Vec::new(), Vec::new());
        for log in &self.manifest.logs {
            match known(&log.name) {
                Some(name) => names.push(name),
                None => faults.push(format!(
                    "log {} is none of {} in this version; use the version that made the archive: {}",
                    log.name, self.manifest.of, self.manifest.made_by
                )),
            }
        }
        ArchiveError::unless_none(
            format!("the archive {} cannot be used", self.dir.display()),
            faults,
        )?;
        let kinds = ["store", "logs"].map(|kind| (kind.to_owned(), None));
        let records = names.iter().map(|log| (records_of(log.0), Some(*log)));
        let rest = ["commands", "checkpoints", "rows"].map(|kind| (kind.to_owned(), None));
        Ok(ArchiveParts {
            kinds: kinds.into_iter().chain(records).chain(rest).collect(),
            archive: self.clone(),
            logs: names,
            open: None,
            held: None,
            content: Some(Content::default()),
        })
    }

    pub(super) fn frames(&self, kind: &str) -> FileReader {
        let files = self.manifest.files.iter();
        let of_kind = files.filter(|file| file.kind == kind);
        FileReader::new(of_kind.map(|file| self.dir.join(&file.name)).collect())
    }

    pub(super) fn malformed(&self, kind: &str) -> ArchiveError {
        let what = format!("the archive {} cannot be used", self.dir.display());
        let fault = format!(
            "{kind}: what is there is no item of format {}; take another copy of the archive",
            self.manifest.format
        );
        ArchiveError::faults(what, vec![fault])
    }
}

/// The parts of an archive, verified as they are handed out.
pub struct ArchiveParts {
    archive: Archive,
    logs: Vec<LogName>,
    kinds: VecDeque<(String, Option<LogName>)>,
    open: Option<(String, Option<LogName>, FileReader)>,
    /// A record of the next shard.
    held: Option<StoredRecord>,
    /// Nothing once it has been compared.
    content: Option<Content>,
}

impl ArchiveParts {
    fn items<T>(
        &mut self,
        max: usize,
        read: impl Fn(&Self, bytes::Bytes) -> Option<T>,
    ) -> Result<Vec<T>, ArchiveError> {
        let mut items = Vec::new();
        while items.len() < max {
            let Some((_, _, files)) = &mut self.open else {
                break;
            };
            let Some(frame) = files.next()? else { break };
            let Some(item) = read(self, frame) else {
                let kind = self.open.as_ref().map_or("", |(kind, ..)| kind);
                return Err(self.archive.malformed(kind));
            };
            items.push(item);
        }
        Ok(items)
    }

    fn log(&self, name: &str) -> Option<LogName> {
        self.logs.iter().copied().find(|log| log.0 == name)
    }

    /// Records of one shard.
    fn records(&mut self) -> Result<Vec<StoredRecord>, ArchiveError> {
        let mut records: Vec<StoredRecord> = self.held.take().into_iter().collect();
        let mut bytes = 0;
        while records.len() < ITEMS && bytes < RECORD_BYTES {
            let next = self.items(1, |_, frame| decode::<RecordItem>(frame)?.read())?;
            let Some(next) = next.into_iter().next() else {
                break;
            };
            if records
                .first()
                .is_some_and(|first| first.shard != next.shard)
            {
                self.held = Some(next);
                break;
            }
            bytes += next.bytes.len();
            records.push(next);
        }
        Ok(records)
    }

    /// The next part of the open kind; nothing at its end.
    fn of_kind(&mut self, kind: &str, log: Option<LogName>) -> Result<Option<Part>, ArchiveError> {
        if let Some(log) = log {
            let records = self.records()?;
            return Ok((!records.is_empty()).then_some(Part::Records(log, records)));
        }
        Ok(match kind {
            "store" => {
                let facts = self.items(1, |_, frame| decode::<StoreItem>(frame)?.read())?;
                facts.into_iter().next().map(Part::Store)
            }
            "logs" => {
                let log = self.items(1, |this, frame| {
                    let item = decode::<LogItem>(frame)?;
                    item.read(this.log(&item.name)?)
                })?;
                log.into_iter().next().map(Part::Log)
            }
            "commands" => {
                let commands = self.items(ITEMS, |this, frame| {
                    let item = decode::<CommandItem>(frame)?;
                    item.read(this.log(&item.log)?)
                })?;
                some(commands).map(Part::Commands)
            }
            "checkpoints" => {
                let read = |_: &Self, frame| decode::<CheckpointItem>(frame)?.read();
                some(self.items(ITEMS, read)?).map(Part::Checkpoints)
            }
            _ => {
                let read = |_: &Self, frame| decode::<RowItem>(frame)?.read();
                some(self.items(ITEMS, read)?).map(Part::Rows)
            }
        })
    }

    /// All was handed out: it must amount to what the manifest says.
    fn compare(&mut self) -> Result<(), ArchiveError> {
        let Some(content) = self.content.take() else {
            return Ok(());
        };
        let content = content.finish()?;
        let manifest = &self.archive.manifest;
        let mut faults = Vec::new();
        if content.log_entries() != manifest.logs {
            faults.push("its logs are not those of its manifest".to_owned());
        }
        if content.sum_entries() != manifest.sums {
            faults
                .push("its commands, checkpoints or rows are not those of its manifest".to_owned());
        }
        let what = format!("the archive {} cannot be used", self.archive.dir.display());
        ArchiveError::unless_none(what, faults)
    }
}

impl Parts for ArchiveParts {
    fn next(&mut self) -> Result<Option<Part>, ArchiveError> {
        loop {
            if self.open.is_none() {
                let Some((kind, log)) = self.kinds.pop_front() else {
                    self.compare()?;
                    return Ok(None);
                };
                let files = self.archive.frames(&kind);
                self.open = Some((kind, log, files));
            }
            let Some((kind, log, _)) = &self.open else {
                continue;
            };
            let (kind, log) = (kind.clone(), *log);
            let Some(part) = self.of_kind(&kind, log)? else {
                self.open = None;
                continue;
            };
            if let Some(content) = &mut self.content {
                content.put(&part)?;
            }
            return Ok(Some(part));
        }
    }
}

fn some<T>(items: Vec<T>) -> Option<Vec<T>> {
    (!items.is_empty()).then_some(items)
}
