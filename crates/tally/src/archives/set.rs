//! The archives of one backup or export: a directory with one of each role.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tally_eventlog::archive::keys::KEYRING;
use tally_eventlog::archive::{Archive, ArchiveError, FORMAT, make_dir, write_whole};

use super::ArchivesError;
use crate::role::Role;

/// The list of the archives: written last, so that a directory without it is none.
const LIST: &str = "archives.json";

/// What the archives were made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The mesh goes on, and may be put back to this.
    Backup,
    /// The mesh has ended, and goes on elsewhere from this.
    Export,
}

/// What is in such a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct List {
    format: u32,
    kind: Kind,
    made_by: String,
    made_at: Timestamp,
    /// All roles shared one store.
    embedded: bool,
    archives: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Name of the role, or `keyring`; also of the directory.
    name: String,
    /// Hash of the archive's manifest.
    mark: String,
}

/// A directory of archives.
#[derive(Debug, Clone)]
pub struct ArchiveSet {
    dir: PathBuf,
    list: List,
}

impl ArchiveSet {
    /// Begins one in a directory that is not there, or empty.
    ///
    /// # Errors
    ///
    /// [`ArchivesError`]: nothing is written over.
    pub fn create(dir: &Path, kind: Kind, embedded: bool) -> Result<Self, ArchivesError> {
        match fs::read_dir(dir) {
            Ok(mut entries) => {
                if entries.next().is_some() {
                    return Err(ArchivesError::Occupied {
                        path: dir.to_owned(),
                    });
                }
            }
            Err(_) => make_dir(dir)?,
        }
        let list = List {
            format: FORMAT,
            kind,
            made_by: made_by(),
            made_at: Timestamp::now(),
            embedded,
            archives: Vec::new(),
        };
        Ok(Self {
            dir: dir.to_owned(),
            list,
        })
    }

    /// Opens a complete one.
    ///
    /// # Errors
    ///
    /// [`ArchiveError`]: it is none.
    pub fn open(dir: &Path) -> Result<Self, ArchiveError> {
        let path = dir.join(LIST);
        let refuse = |fault: String| {
            let what = format!("the archives in {} cannot be used", dir.display());
            ArchiveError::faults(what, vec![fault])
        };
        let text = fs::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => refuse(format!(
                "{LIST} is missing: these are no archives, or their making was cut off; make them again \
                 into another directory"
            )),
            _ => ArchiveError::io(&path, error),
        })?;
        let list: List = serde_json::from_slice(&text)
            .map_err(|error| refuse(format!("{LIST} cannot be read: {error}")))?;
        if list.format != FORMAT {
            return Err(refuse(format!(
                "{LIST} has format {}, made by {}, and this version reads format {FORMAT}; use that version",
                list.format, list.made_by
            )));
        }
        Ok(Self {
            dir: dir.to_owned(),
            list,
        })
    }

    /// Where the archive of a role, or of the key ring, is or will be.
    pub fn place(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What they were made for.
    pub fn kind(&self) -> Kind {
        self.list.kind
    }

    /// Whether all roles shared one store.
    pub fn embedded(&self) -> bool {
        self.list.embedded
    }

    /// The roles that it has.
    pub fn roles(&self) -> Vec<Role> {
        let has = |role: &Role| self.has(role.name());
        Role::ALL.into_iter().filter(has).collect()
    }

    /// Whether it has the key ring.
    pub fn has_keys(&self) -> bool {
        self.has(KEYRING)
    }

    fn has(&self, name: &str) -> bool {
        self.list.archives.iter().any(|entry| entry.name == name)
    }

    /// Adds an archive that is complete.
    pub(super) fn add(&mut self, name: &str, mark: String) {
        let name = name.to_owned();
        self.list.archives.push(Entry { name, mark });
    }

    /// Completes it.
    pub(super) fn finish(&self) -> Result<(), ArchiveError> {
        let text = serde_json::to_string_pretty(&self.list).expect("a list has a JSON form");
        write_whole(&self.dir, LIST, text.as_bytes())
    }

    /// Opens the archive of a role, or of the key ring, and adds all that is wrong with
    /// it to the faults; nothing where it cannot be opened.
    pub(super) fn archive(&self, name: &str, faults: &mut Vec<String>) -> Option<Archive> {
        let Some(entry) = self.list.archives.iter().find(|entry| entry.name == name) else {
            let there: Vec<&str> = self
                .list
                .archives
                .iter()
                .map(|entry| entry.name.as_str())
                .collect();
            faults.push(format!(
                "there is no archive of {name}; there are: {}",
                there.join(", ")
            ));
            return None;
        };
        let archive = match Archive::open(&self.place(name)) {
            Ok(archive) => archive,
            Err(ArchiveError::Faults { faults: found, .. }) => {
                faults.extend(found.into_iter().map(|fault| format!("{name}: {fault}")));
                return None;
            }
            Err(error) => {
                faults.push(format!("{name}: {error}"));
                return None;
            }
        };
        if archive.mark != entry.mark || archive.manifest.of != name {
            faults.push(format!(
                "{name}: the archive there is another one than {LIST} says"
            ));
        }
        faults.extend(archive.faults());
        Some(archive)
    }
}

/// Who makes archives.
pub(super) fn made_by() -> String {
    format!("tally {}", env!("CARGO_PKG_VERSION"))
}
