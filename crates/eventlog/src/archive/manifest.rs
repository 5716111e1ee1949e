//! What is in an archive: written last, so that an archive without it was cut off.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::ArchiveError;
use super::files::{hex, write_whole};

/// Format of the archives that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// Name of the manifest's file.
pub const MANIFEST: &str = "manifest.json";

/// What is in an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format of the archive.
    pub format: u32,
    /// Version of tally that made it.
    pub made_by: String,
    /// Whose it is: the name of a role, or `keyring`.
    pub of: String,
    /// The moment that it is of, by the clock of the machine that made it.
    pub moment: Timestamp,
    /// Number of shards of every log; 0 where it has none.
    pub shards: u16,
    /// Its logs, for people; the heads themselves are in a file.
    pub logs: Vec<LogEntry>,
    /// By kind: how many items there are, and what they add up to.
    pub sums: BTreeMap<String, SumEntry>,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// A log of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Number of its records.
    pub records: u64,
    /// Hash over the Merkle roots of all shards, in order.
    pub roots: String,
}

/// How many items there are, and what they add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SumEntry {
    /// Number of items.
    pub items: u64,
    /// Sum of their hashes.
    pub sum: String,
}

/// A file of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub kind: String,
    /// Its length.
    pub bytes: u64,
    /// Number of its items.
    pub items: u64,
    /// SHA-256 over it.
    pub sha256: String,
}

/// Where the manifest's own checksum is, as `sha256sum -c` reads it.
fn checksum_file() -> String {
    format!("{MANIFEST}.sha256")
}

impl Manifest {
    /// Writes it, and with it completes the archive. Returns its hash, which is the
    /// archive's mark.
    pub(super) fn write(&self, dir: &Path) -> Result<String, ArchiveError> {
        let text = serde_json::to_string_pretty(self).expect("a manifest has a JSON form");
        let mark = hex(&Sha256::digest(text.as_bytes()));
        let line = format!("{mark}  {MANIFEST}\n");
        write_whole(dir, &checksum_file(), line.as_bytes())?;
        write_whole(dir, MANIFEST, text.as_bytes())?;
        Ok(mark)
    }

    /// Reads it. Returns it with its hash.
    pub(super) fn read(dir: &Path) -> Result<(Self, String), ArchiveError> {
        let refuse = |fault: String| {
            let what = format!("the archive {} cannot be used", dir.display());
            ArchiveError::faults(what, vec![fault])
        };
        let read = |name: &str| {
            std::fs::read(dir.join(name)).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => refuse(format!(
                    "{name} is missing: this is no archive, or one whose making was cut off; make it again"
                )),
                _ => ArchiveError::io(dir.join(name), error),
            })
        };
        let text = read(MANIFEST)?;
        let kept = read(&checksum_file())?;
        let mark = hex(&Sha256::digest(&text));
        if kept.split(u8::is_ascii_whitespace).next() != Some(mark.as_bytes()) {
            return Err(refuse(format!(
                "{MANIFEST} is not what was written; take another copy of the archive"
            )));
        }
        // The rest of another format may have another form.
        #[derive(Deserialize)]
        struct Format {
            format: u32,
            made_by: String,
        }
        let unreadable = |error: serde_json::Error| refuse(format!("{MANIFEST}: {error}"));
        let found: Format = serde_json::from_slice(&text).map_err(unreadable)?;
        if found.format != FORMAT {
            return Err(refuse(format!(
                "it has format {}, made by {}, and this version reads format {FORMAT}; use that version",
                found.format, found.made_by
            )));
        }
        Ok((serde_json::from_slice(&text).map_err(unreadable)?, mark))
    }
}
