//! Writes an archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::content::Content;
use super::files::{FileWriter, make_dir};
use super::item::{CheckpointItem, CommandItem, LogItem, RecordItem, RowItem, StoreItem};
use super::manifest::{FORMAT, Manifest};
use super::{ArchiveError, Part, Sink};
use crate::shard::LogName;

/// An archive that is being written: a sink for the parts of one role.
///
/// Until [`finish`](ArchiveWriter::finish) has returned, the directory is no archive.
pub struct ArchiveWriter {
    dir: PathBuf,
    manifest: Manifest,
    file_bytes_max: u64,
    content: Content,
    files: BTreeMap<String, FileWriter>,
}

/// The kind of files with a log's records.
pub(super) fn records_of(log: &str) -> String {
    format!("records.{log}")
}

impl ArchiveWriter {
    /// Begins an archive in a directory that must not be there.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`]: it is there, or cannot be made.
    pub fn create(
        dir: &Path,
        of: &str,
        made_by: &str,
        moment: Timestamp,
        file_bytes_max: u64,
    ) -> Result<Self, ArchiveError> {
        make_dir(dir)?;
        Ok(Self {
            dir: dir.to_owned(),
            manifest: Manifest {
                format: FORMAT,
                made_by: made_by.to_owned(),
                of: of.to_owned(),
                moment,
                shards: 0,
                logs: Vec::new(),
                sums: BTreeMap::new(),
                files: Vec::new(),
            },
            file_bytes_max,
            content: Content::default(),
            files: BTreeMap::new(),
        })
    }

    /// Verifies what was written and completes the archive. Returns its mark and
    /// what it amounts to.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: there is no archive.
    pub fn finish(mut self) -> Result<(String, Content), ArchiveError> {
        let content = self.content.finish()?;
        if let Some(facts) = &content.facts {
            self.manifest.shards = facts.shards.get();
        }
        self.manifest.logs = content.log_entries();
        self.manifest.sums = content.sum_entries();
        for (_, files) in self.files {
            self.manifest.files.extend(files.finish()?);
        }
        let mark = self.manifest.write(&self.dir)?;
        Ok((mark, content))
    }

    fn file(&mut self, kind: &str) -> &mut FileWriter {
        let (dir, bytes_max) = (&self.dir, self.file_bytes_max);
        // Looked up twice, because an entry would copy the kind each time.
        if !self.files.contains_key(kind) {
            let file = FileWriter::new(dir, kind, bytes_max);
            self.files.insert(kind.to_owned(), file);
        }
        self.files.get_mut(kind).expect("it was just made")
    }
}

impl Sink for ArchiveWriter {
    fn put(&mut self, part: &Part) -> Result<(), ArchiveError> {
        self.content.put(part)?;
        match part {
            Part::Store(facts) => self.file("store").put(&StoreItem::of(facts)),
            Part::Log(log) => self.file("logs").put(&LogItem::of(log)),
            Part::Records(LogName(log), records) => {
                let file = self.file(&records_of(log));
                records
                    .iter()
                    .try_for_each(|record| file.put(&RecordItem::of(record)))
            }
            Part::Commands(commands) => {
                let file = self.file("commands");
                let items = commands
                    .iter()
                    .map(|(key, first)| CommandItem::of(key, first));
                items.into_iter().try_for_each(|item| file.put(&item))
            }
            Part::Checkpoints(checkpoints) => {
                let file = self.file("checkpoints");
                checkpoints
                    .iter()
                    .try_for_each(|one| file.put(&CheckpointItem::of(one)))
            }
            Part::Rows(rows) => {
                let file = self.file("rows");
                rows.iter().try_for_each(|row| file.put(&RowItem::of(row)))
            }
        }
    }
}
