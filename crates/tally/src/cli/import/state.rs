//! How far an import is, kept beside its file until it is done.

use std::fs::File;
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tally_domain::policy::{Form, LegalBasis, Pack, RecordType};
use uuid::{Builder, Uuid};

use super::super::output::Failure;
use super::files::beside;

/// Days for which the mesh remembers command ids, less some for the import itself: past that,
/// rows are known by their natural key alone.
const RESUME_DAYS_MAX: i64 = 25;

/// What became of the rows so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Rows that were new.
    pub accepted: u64,
    /// Rows that the mesh had already.
    pub known: u64,
    /// Rows with faults that wait in quarantine.
    #[serde(default)]
    pub quarantined: u64,
    /// Rows with faults that were not kept.
    pub refused: u64,
    /// Rows without a cell.
    pub blank: u64,
}

impl Counts {
    /// Rows that were answered.
    pub fn rows(&self) -> u64 {
        self.accepted + self.known + self.bad()
    }

    /// Rows with faults.
    pub fn bad(&self) -> u64 {
        self.quarantined + self.refused
    }
}

/// As it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// SHA-256 of the file and of where its rows go, in hexadecimal: another of these is another
    /// import.
    digest: String,
    /// When the import began.
    began_at: Timestamp,
    /// Number of the last row that was answered; all before it are.
    position: u64,
    counts: Counts,
}

/// Where the rows of a file go, and as what.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Target<'a> {
    /// The mesh's authority: another mesh knows nothing of what this one answered.
    pub authority: &'a str,
    /// Certificate under which they are pushed.
    pub acting_as: &'a str,
    /// What a row is.
    pub form: &'a Form,
    /// What it must be; with its legal basis, which each record cites.
    pub record_type: &'a RecordType,
    /// The versions of that basis: each record cites the one of its day.
    pub bases: Vec<&'a LegalBasis>,
}

/// The versions of the legal basis that records of a type rest on.
pub(super) fn bases<'a>(pack: &'a Pack, record_type: &RecordType) -> Vec<&'a LegalBasis> {
    let bases = pack.legal_bases.values();
    bases
        .filter(|basis| basis.id == record_type.legal_basis.id)
        .collect()
}

/// How far an import is.
#[derive(Debug)]
pub(super) struct State {
    path: PathBuf,
    kept: Kept,
}

impl State {
    /// The state kept beside the file, or a new one.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or the state is of another version: remove it.
    pub fn open(file: &Path, target: &Target<'_>, restart: bool) -> Result<Self, Failure> {
        let digest = digest(file, target)
            .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
        let path = beside(file, "tally-import");
        let now = Timestamp::now();
        let fresh = Kept {
            digest,
            began_at: now,
            position: 0,
            counts: Counts::default(),
        };
        let kept = match std::fs::read_to_string(&path) {
            Ok(text) if !restart => serde_json::from_str::<Kept>(&text).map_err(|error| {
                Failure::usage(format!(
                    "{} cannot be read: {error}; give --restart to begin anew",
                    path.display()
                ))
            })?,
            Ok(_) => fresh.clone(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => fresh.clone(),
            Err(error) => return Err(Failure::environment(format!("{}: {error}", path.display()))),
        };
        let days = now.duration_since(kept.began_at).as_hours() / 24;
        let resumes = kept.digest == fresh.digest && days < RESUME_DAYS_MAX;
        Ok(Self {
            path,
            kept: if resumes { kept } else { fresh },
        })
    }

    /// Number of the last row that needs not be sent again; 0 at the beginning.
    pub fn position(&self) -> u64 {
        self.kept.position
    }

    /// What became of the rows so far.
    pub fn counts(&self) -> Counts {
        self.kept.counts
    }

    /// The command ids of this import.
    pub fn ids(&self) -> Ids {
        Ids {
            began_at: self.kept.began_at,
            digest: self.kept.digest.clone(),
        }
    }

    /// Notes the answer to a row.
    pub fn answered(&mut self, row: u64, count: impl FnOnce(&mut Counts)) {
        count(&mut self.kept.counts);
        self.kept.position = row;
    }

    /// Notes how many rows had no cell.
    pub fn blank(&mut self, rows: u64) {
        self.kept.counts.blank = rows;
    }

    /// Keeps the state, whole or as it was.
    ///
    /// # Errors
    ///
    /// The directory of the file cannot be written.
    pub fn keep(&self) -> Result<(), Failure> {
        let text = serde_json::to_string(&self.kept).map_err(Failure::environment)?;
        let unfinished = beside(&self.path, "new");
        let written = File::create(&unfinished)
            .and_then(|mut file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()
            })
            .and_then(|()| std::fs::rename(&unfinished, &self.path));
        written.map_err(|error| Failure::environment(format!("{}: {error}", self.path.display())))
    }

    /// Removes it: the import is done.
    ///
    /// # Errors
    ///
    /// It cannot be removed.
    pub fn remove(self) -> Result<(), Failure> {
        std::fs::remove_file(&self.path)
            .map_err(|error| Failure::environment(format!("{}: {error}", self.path.display())))
    }
}

/// Command ids that are the same whenever a row of the import is sent.
#[derive(Debug, Clone)]
pub(super) struct Ids {
    began_at: Timestamp,
    digest: String,
}

impl Ids {
    /// The id of a row's command: a UUIDv7 of the import's beginning, so that
    /// the mesh takes it, whose random part follows from the import and the row.
    pub fn of(&self, row: u64) -> Uuid {
        let mut hash = Sha256::new();
        hash.update(self.digest.as_bytes());
        hash.update(self.began_at.as_nanosecond().to_be_bytes());
        hash.update(row.to_be_bytes());
        let hash = hash.finalize();
        let random: [u8; 10] = hash[..10].try_into().expect("10 of 32 bytes");
        let milliseconds = u64::try_from(self.began_at.as_millisecond()).unwrap_or_default();
        Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
    }
}

fn digest(file: &Path, target: &Target<'_>) -> Result<String, std::io::Error> {
    let mut reader = BufReader::new(File::open(file)?);
    let mut hash = Sha256::new();
    hash.update(serde_json::to_vec(target).expect("a form has text keys"));
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = reader.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    let hash = hash.finalize();
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use tally_catalog::pack::BuiltIn;

    use super::*;

    fn pack() -> Pack {
        BuiltIn::Province
            .load()
            .expect("the built-in pack is consistent")
    }

    fn target(pack: &Pack) -> Target<'_> {
        let form = pack.forms.values().next().expect("it has forms");
        let record_type = pack.record_type(&form.record_type).expect("in the pack");
        Target {
            authority: "one",
            acting_as: "market",
            form,
            record_type,
            bases: bases(pack, record_type),
        }
    }

    #[test]
    fn an_import_goes_on_only_with_the_same_file_to_the_same_place() {
        let pack = pack();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("table.csv");
        std::fs::write(&file, "a,b\n").expect("written");
        let mut state = State::open(&file, &target(&pack), false).expect("a new one");
        assert_eq!(state.position(), 0);
        let first = state.ids().of(7);
        assert_eq!(first.get_version_num(), 7);
        assert_ne!(first, state.ids().of(8));
        state.answered(7, |counts| counts.accepted += 1);
        state.keep().expect("kept");

        let again = State::open(&file, &target(&pack), false).expect("the kept one");
        assert_eq!((again.position(), again.counts()), (7, state.counts()));
        assert_eq!(again.ids().of(7), first);
        let anew = State::open(&file, &target(&pack), true).expect("a new one");
        assert_eq!(anew.position(), 0);
        assert_ne!(anew.ids().of(7), first);

        let position = |target: Target<'_>| {
            let state = State::open(&file, &target, false);
            state.expect("a state").position()
        };
        let form = Form {
            id: "other".to_owned(),
            ..target(&pack).form.clone()
        };
        let mut record_type = target(&pack).record_type.clone();
        record_type.legal_basis.version += 1;
        for other in [
            Target {
                authority: "other",
                ..target(&pack)
            },
            Target {
                acting_as: "tax",
                ..target(&pack)
            },
            Target {
                form: &form,
                ..target(&pack)
            },
            Target {
                record_type: &record_type,
                ..target(&pack)
            },
            Target {
                bases: Vec::new(),
                ..target(&pack)
            },
        ] {
            assert_eq!(position(other), 0);
        }
        assert_eq!(position(target(&pack)), 7);
        std::fs::write(&file, "a,b\n1,2\n").expect("written");
        assert_eq!(position(target(&pack)), 0);
        again.remove().expect("removed");
    }

    #[test]
    fn a_state_that_cannot_be_read_is_not_thrown_away() {
        let pack = pack();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("table.csv");
        std::fs::write(&file, "a,b\n").expect("written");
        std::fs::write(directory.path().join("table.csv.tally-import"), "{").expect("written");
        assert!(State::open(&file, &target(&pack), false).is_err());
        assert!(State::open(&file, &target(&pack), true).is_ok());
    }
}
