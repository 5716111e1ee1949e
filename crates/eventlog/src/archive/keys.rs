//! Archives of the key ring: wrapped rows only. The master key that they are wrapped
//! under is never in one.

use std::collections::BTreeMap;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use uuid::Uuid;

use super::content::Sum;
use super::files::{FILE_BYTES_MAX, FileWriter, make_dir};
use super::item::decode;
use super::manifest::{FORMAT, Manifest, SumEntry};
use super::{Archive, ArchiveError};
use crate::sealing::{PseudonymKind, PseudonymRow, StreamKeyRow};

/// What an archive of the key ring says that it is of.
pub const KEYRING: &str = "keyring";

/// Items per part.
const ITEMS: usize = 1_000;

/// A piece of what a key ring holds, in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyPart {
    /// Check value of the master key. Once, and first, unless nobody has used the
    /// ring yet.
    Check([u8; 32]),
    /// Data keys.
    Keys(Vec<StreamKeyRow>),
    /// Ids of erased keys.
    Erased(Vec<Uuid>),
    /// Pseudonyms.
    Pseudonyms(Vec<PseudonymRow>),
}

/// Takes parts of a key ring.
pub trait KeySink: Send {
    /// Takes the next part.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: what was taken is worth nothing.
    fn put(&mut self, part: &KeyPart) -> Result<(), ArchiveError>;
}

/// A key ring whose whole content can be read as of one moment.
#[async_trait]
pub trait KeySource: Send {
    /// Reads everything.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: it cannot be read, or the sink does not take it.
    async fn read(&mut self, to: &mut dyn KeySink) -> Result<(), ArchiveError>;
}

/// A key ring that can be filled while it is empty; a check value may be there.
#[async_trait]
pub trait KeyTarget: Send {
    /// Takes all parts or none.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: nothing was loaded.
    async fn load(&mut self, parts: &mut KeyParts) -> Result<(), ArchiveError>;
}

/// What is wrong where a key ring was made under another master key than the archived.
pub fn other_master() -> ArchiveError {
    let fault = "put master.key of the mesh that was archived into the data directory before its key ring \
                 is made; without that key nothing sealed can be read";
    let what = "the key ring was made under another master key than the archived one";
    ArchiveError::faults(what, vec![fault.to_owned()])
}

/// What the parts of a key ring amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyContent {
    /// Check value of the master key.
    pub check: Option<[u8; 32]>,
    /// Data keys.
    pub keys: Sum,
    /// Ids of erased keys.
    pub erased: Sum,
    /// Pseudonyms.
    pub pseudonyms: Sum,
}

impl KeyContent {
    /// Whether there is nothing besides the check value.
    pub fn is_empty(&self) -> bool {
        let rows = [self.keys, self.erased, self.pseudonyms];
        rows.iter().all(|sum| sum.items == 0)
    }

    fn sums(&self) -> BTreeMap<String, SumEntry> {
        let sums = [
            ("keys", self.keys),
            ("erased", self.erased),
            ("pseudonyms", self.pseudonyms),
        ];
        let entry = |(name, sum): (&str, Sum)| (name.to_owned(), sum.entry());
        sums.into_iter().map(entry).collect()
    }
}

impl KeySink for KeyContent {
    fn put(&mut self, part: &KeyPart) -> Result<(), ArchiveError> {
        match part {
            KeyPart::Check(check) => self.check = Some(*check),
            KeyPart::Keys(keys) => keys.iter().for_each(|key| self.keys.add(&key_item(key))),
            KeyPart::Erased(ids) => ids.iter().for_each(|id| self.erased.add(&erased_item(*id))),
            KeyPart::Pseudonyms(rows) => rows
                .iter()
                .for_each(|row| self.pseudonyms.add(&pseudonym_item(row))),
        }
        Ok(())
    }
}

/// A row of any kind. Fields are only ever added.
#[derive(Clone, PartialEq, Message)]
struct KeyItem {
    #[prost(bytes = "bytes", tag = "1")]
    lookup: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    id: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    wrapped: Bytes,
    /// 1 officer, 2 person; 0 where it is no pseudonym.
    #[prost(uint32, tag = "4")]
    kind: u32,
}

fn key_item(row: &StreamKeyRow) -> KeyItem {
    KeyItem {
        lookup: Bytes::copy_from_slice(&row.lookup),
        id: Bytes::copy_from_slice(row.key_id.as_bytes()),
        wrapped: Bytes::copy_from_slice(&row.wrapped),
        kind: 0,
    }
}

fn erased_item(id: Uuid) -> KeyItem {
    KeyItem {
        id: Bytes::copy_from_slice(id.as_bytes()),
        ..KeyItem::default()
    }
}

fn pseudonym_item(row: &PseudonymRow) -> KeyItem {
    KeyItem {
        lookup: Bytes::copy_from_slice(&row.lookup),
        id: Bytes::copy_from_slice(row.id.as_bytes()),
        wrapped: Bytes::copy_from_slice(&row.wrapped),
        kind: match row.kind {
            PseudonymKind::Officer => 1,
            PseudonymKind::Person => 2,
        },
    }
}

impl KeyItem {
    fn key(&self) -> Option<StreamKeyRow> {
        Some(StreamKeyRow {
            lookup: self.lookup.as_ref().try_into().ok()?,
            key_id: Uuid::from_slice(&self.id).ok()?,
            wrapped: self.wrapped.to_vec(),
        })
    }

    fn pseudonym(&self) -> Option<PseudonymRow> {
        Some(PseudonymRow {
            kind: match self.kind {
                1 => PseudonymKind::Officer,
                2 => PseudonymKind::Person,
                _ => return None,
            },
            lookup: self.lookup.as_ref().try_into().ok()?,
            id: Uuid::from_slice(&self.id).ok()?,
            wrapped: self.wrapped.to_vec(),
        })
    }
}

/// An archive of the key ring that is being written.
pub struct KeyWriter {
    manifest: Manifest,
    dir: std::path::PathBuf,
    content: KeyContent,
    check: FileWriter,
    keys: FileWriter,
    erased: FileWriter,
    pseudonyms: FileWriter,
}

impl KeyWriter {
    /// Begins an archive in a directory that must not be there.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Io`]: it is there, or cannot be made.
    pub fn create(dir: &Path, made_by: &str, moment: Timestamp) -> Result<Self, ArchiveError> {
        make_dir(dir)?;
        let file = |kind: &str| FileWriter::new(dir, kind, FILE_BYTES_MAX);
        Ok(Self {
            manifest: Manifest {
                format: FORMAT,
                made_by: made_by.to_owned(),
                of: KEYRING.to_owned(),
                moment,
                shards: 0,
                logs: Vec::new(),
                sums: BTreeMap::new(),
                files: Vec::new(),
            },
            dir: dir.to_owned(),
            content: KeyContent::default(),
            check: file("check"),
            keys: file("keys"),
            erased: file("erased"),
            pseudonyms: file("pseudonyms"),
        })
    }

    /// Completes the archive. Returns its mark and what it amounts to.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: there is no archive.
    pub fn finish(mut self) -> Result<(String, KeyContent), ArchiveError> {
        self.manifest.sums = self.content.sums();
        for files in [self.check, self.keys, self.erased, self.pseudonyms] {
            self.manifest.files.extend(files.finish()?);
        }
        Ok((self.manifest.write(&self.dir)?, self.content))
    }
}

impl KeySink for KeyWriter {
    fn put(&mut self, part: &KeyPart) -> Result<(), ArchiveError> {
        self.content.put(part)?;
        match part {
            KeyPart::Check(check) => self.check.put(&KeyItem {
                wrapped: Bytes::copy_from_slice(check),
                ..KeyItem::default()
            }),
            KeyPart::Keys(keys) => keys
                .iter()
                .try_for_each(|key| self.keys.put(&key_item(key))),
            KeyPart::Erased(ids) => ids
                .iter()
                .try_for_each(|id| self.erased.put(&erased_item(*id))),
            KeyPart::Pseudonyms(rows) => rows
                .iter()
                .try_for_each(|row| self.pseudonyms.put(&pseudonym_item(row))),
        }
    }
}

/// The parts of an archived key ring, verified as they are handed out.
pub struct KeyParts {
    archive: Archive,
    kinds: std::slice::Iter<'static, &'static str>,
    open: Option<(&'static str, super::files::FileReader)>,
    content: KeyContent,
}

impl KeyParts {
    /// Of an archive.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Faults`]: it is none of a key ring.
    pub fn of(archive: &Archive) -> Result<Self, ArchiveError> {
        if archive.manifest.of != KEYRING {
            return Err(archive.malformed(KEYRING));
        }
        Ok(Self {
            archive: archive.clone(),
            kinds: ["check", "keys", "erased", "pseudonyms"].iter(),
            open: None,
            content: KeyContent::default(),
        })
    }

    /// What was handed out.
    pub fn content(&self) -> &KeyContent {
        &self.content
    }

    /// The next part; nothing once all were handed out and all of it held.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: what was handed out is worth nothing.
    pub fn next_part(&mut self) -> Result<Option<KeyPart>, ArchiveError> {
        loop {
            let Some((kind, files)) = &mut self.open else {
                let Some(kind) = self.kinds.next() else {
                    return self.compare();
                };
                self.open = Some((kind, self.archive.frames(kind)));
                continue;
            };
            let mut items = Vec::new();
            while items.len() < ITEMS
                && let Some(frame) = files.next()?
            {
                let item = decode::<KeyItem>(frame);
                items.push(item.ok_or_else(|| self.archive.malformed(kind))?);
            }
            if items.is_empty() {
                self.open = None;
                continue;
            }
            let malformed = || self.archive.malformed(kind);
            let part = part_of(kind, &items).ok_or_else(malformed)?;
            self.content.put(&part)?;
            return Ok(Some(part));
        }
    }

    fn compare(&self) -> Result<Option<KeyPart>, ArchiveError> {
        match self.content.sums() == self.archive.manifest.sums {
            true => Ok(None),
            false => Err(self
                .archive
                .malformed("its rows are not those of its manifest")),
        }
    }
}

fn part_of(kind: &str, items: &[KeyItem]) -> Option<KeyPart> {
    let items = items.iter();
    Some(match kind {
        "check" => {
            let mut checks = items;
            KeyPart::Check(checks.next()?.wrapped.as_ref().try_into().ok()?)
        }
        "keys" => KeyPart::Keys(items.map(KeyItem::key).collect::<Option<_>>()?),
        "erased" => {
            let id = |item: &KeyItem| Uuid::from_slice(&item.id).ok();
            KeyPart::Erased(items.map(id).collect::<Option<_>>()?)
        }
        _ => KeyPart::Pseudonyms(items.map(KeyItem::pseudonym).collect::<Option<_>>()?),
    })
}
