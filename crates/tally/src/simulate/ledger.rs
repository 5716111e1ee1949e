//! The ledger: what was sent and what was answered, a JSON object a line, each
//! written before the run goes on. So memory holds none of it, and what a killed
//! run leaves can be checked still.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tally_proto::tally::log::v1::Receipt;
use uuid::Uuid;

/// The form of ledgers that this version writes and reads.
const FORM: u32 = 1;

/// What a command does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A record is pushed.
    Push,
    /// A check before a decision.
    Check,
    /// A listing, from its intended start to the second officer's decision. No command of its own.
    Listing,
    /// The first officer nominates.
    Nominate,
    /// The subject is told.
    Notify,
    /// The subject waives.
    Represent,
    /// The second officer lists.
    List,
    /// An objection is accepted.
    AcceptObjection,
    /// The listing stands.
    Uphold,
    /// The listing was wrong.
    CorrectOut,
    /// A first officer asks for the end of a red entry.
    RequestRemoval,
    /// An entry is taken off its list.
    Remove,
    /// A department has its directive.
    Acknowledge,
    /// An officer has executed it.
    Execute,
    /// The department reports.
    Report,
    /// The department no longer applies it.
    ConfirmLift,
}

impl Kind {
    /// Its name, as in the ledger.
    pub fn name(self) -> String {
        let name = serde_json::to_value(self).ok();
        let name = name.and_then(|name| Some(name.as_str()?.to_owned()));
        name.expect("a variant without fields is a text")
    }
}

/// A line of a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// First: of which run.
    Run(Run),
    /// A command is about to be sent for the first time.
    Sent(Sent),
    /// It was acknowledged.
    Acknowledged(Acknowledged),
    /// It was refused, and is not going to be sent again: it must not be there.
    Refused(Refused),
    /// It was given up without an answer: it may be there or not.
    Unknown(Refused),
    /// Last: the run came to its end.
    Ended {},
}

/// Of which run a ledger is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Form of the lines.
    pub form: u32,
    /// Its seed.
    pub seed: u64,
    /// Policy pack and version that it went by.
    pub pack: String,
    /// Departments that get directives, with the names of their systems' certificates.
    pub mailboxes: BTreeMap<String, String>,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Its id.
    pub id: Uuid,
    /// What it does.
    pub kind: Kind,
    /// By which department.
    pub department: String,
    /// Whom it is about.
    pub subject: String,
    /// The entry that a second officer lists by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<ListedEntry>,
}

/// An entry as it is about to be listed: what its directives follow from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedEntry {
    /// Its id.
    pub id: String,
    /// On which list.
    pub list_type: String,
    /// First day of its term, ISO 8601.
    pub from: String,
}

/// An acknowledgement: where the command is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The command.
    pub id: Uuid,
    /// Log.
    pub log: String,
    /// Shard.
    pub shard: u32,
    /// Position.
    pub position: u64,
    /// Leaf hash, as hexadecimal digits.
    pub leaf: String,
}

impl Acknowledged {
    /// By a receipt.
    pub fn by(id: Uuid, receipt: &Receipt) -> Self {
        Self {
            id,
            log: receipt.log.clone(),
            shard: receipt.shard,
            position: receipt.position,
            leaf: hex(&receipt.leaf_hash),
        }
    }
}

/// A command that was refused or given up, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The command.
    pub id: Uuid,
    /// Stable reason, or what the last attempt met.
    pub reason: String,
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Why a ledger cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A ledger is of one run.
    #[error("there is a ledger {}: check it with --check, or name another with --ledger; the same seed a second time needs a mesh that has not seen it", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Look at the path, its rights and the disk.
    #[error("the ledger {} cannot be used", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is damaged, or no ledger.
    #[error("line {line} of {} is none of a ledger: {fault}", path.display())]
    Line {
        /// Where.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        fault: String,
    },
}

/// A ledger that is written.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: Mutex<File>,
}

impl Ledger {
    /// A new one, with what it is of.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Exists`], [`LedgerError::Io`].
    pub fn create(path: &Path, run: Run) -> Result<Self, LedgerError> {
        let file = File::options().append(true).create_new(true).open(path);
        let file = file.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => LedgerError::Exists {
                path: path.to_owned(),
            },
            _ => io_error(path, source),
        })?;
        let ledger = Self {
            path: path.to_owned(),
            file: Mutex::new(file),
        };
        let form = FORM;
        ledger.write(&Line::Run(Run { form, ..run }))?;
        Ok(ledger)
    }

    /// Appends a line. It is the system's when this returns, so that killing this
    /// process loses nothing; only a machine that fails may.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Io`].
    pub fn write(&self, line: &Line) -> Result<(), LedgerError> {
        let mut text = serde_json::to_vec(line).expect("a line has a JSON form");
        text.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&text)
            .map_err(|source| io_error(&self.path, source))
    }
}

/// The run that a ledger is of, and its other lines, one at a time.
///
/// # Errors
///
/// [`LedgerError`]: there is none, or it does not begin as one.
pub fn read(path: &Path) -> Result<(Run, Lines), LedgerError> {
    let file = File::open(path).map_err(|source| io_error(path, source))?;
    let mut lines = Lines {
        path: path.to_owned(),
        reader: BufReader::new(file),
        line: 0,
    };
    let fault = |fault: &str| LedgerError::Line {
        path: path.to_owned(),
        line: 1,
        fault: fault.to_owned(),
    };
    match lines.next().transpose()? {
        Some(Line::Run(run)) if run.form == FORM => Ok((run, lines)),
        Some(Line::Run(run)) => Err(fault(&format!(
            "its form is {}, and this version reads {FORM}",
            run.form
        ))),
        _ => Err(fault("it does not say of which run it is")),
    }
}

/// The lines of a ledger. A last one without an end is what a killed run was
/// writing, and is passed over.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: u64,
}

impl Iterator for Lines {
    type Item = Result<Line, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Vec::new();
        self.line += 1;
        match self.reader.read_until(b'\n', &mut text) {
            Err(source) => return Some(Err(io_error(&self.path, source))),
            Ok(_) if text.last() != Some(&b'\n') => return None,
            Ok(_) => {}
        }
        let line = serde_json::from_slice(&text);
        Some(line.map_err(|error| LedgerError::Line {
            path: self.path.clone(),
            line: self.line,
            fault: error.to_string(),
        }))
    }
}

fn io_error(path: &Path, source: io::Error) -> LedgerError {
    LedgerError::Io {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn run() -> Run {
        Run {
            form: FORM,
            seed: 7,
            pack: "small 1".to_owned(),
            mailboxes: BTreeMap::from([("D".to_owned(), "tax".to_owned())]),
        }
    }

    fn lines() -> Vec<Line> {
        let id = Uuid::from_u128(7);
        let receipt = Receipt {
            log: "lists".to_owned(),
            shard: 3,
            position: 17,
            leaf_hash: vec![0xab; 32].into(),
            ..Receipt::default()
        };
        let reason = "ENTRY_STATE".to_owned();
        vec![
            Line::Sent(Sent {
                id,
                kind: Kind::List,
                department: "D".to_owned(),
                subject: "cn-uscc:X".to_owned(),
                entry: Some(ListedEntry {
                    id: "e".to_owned(),
                    list_type: "black".to_owned(),
                    from: "2026-03-02".to_owned(),
                }),
            }),
            Line::Acknowledged(Acknowledged::by(id, &receipt)),
            Line::Refused(Refused {
                id,
                reason: reason.clone(),
            }),
            Line::Unknown(Refused { id, reason }),
            Line::Ended {},
        ]
    }

    #[test]
    fn what_is_written_is_read_and_a_torn_end_is_passed_over() {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("ledger");
        let ledger = Ledger::create(&path, run()).expect("new");
        for line in lines() {
            ledger.write(&line).expect("written");
        }
        let torn = File::options().append(true).open(&path);
        torn.expect("there")
            .write_all(b"{\"sent\":{\"id")
            .expect("written");
        let (read, rest) = read(&path).expect("a ledger");
        assert_eq!(read, run());
        let rest: Result<Vec<Line>, _> = rest.collect();
        assert_eq!(rest.expect("whole lines"), lines());
    }

    #[test]
    fn a_ledger_is_of_one_run_and_damage_names_its_line() {
        let dir = TempDir::new().expect("a directory");
        let path = dir.path().join("ledger");
        let ledger = Ledger::create(&path, run()).expect("new");
        let again = Ledger::create(&path, run());
        assert!(matches!(again, Err(LedgerError::Exists { .. })));
        ledger.write(&Line::Ended {}).expect("written");
        let damaged = File::options().append(true).open(&path);
        damaged
            .expect("there")
            .write_all(b"{\"sent\":1}\n")
            .expect("written");
        let (_, mut rest) = read(&path).expect("it begins as one");
        assert!(matches!(rest.next(), Some(Ok(Line::Ended {}))));
        let fault = rest.next().expect("a line");
        assert!(
            matches!(fault, Err(LedgerError::Line { line: 3, .. })),
            "{fault:?}"
        );
        let other = dir.path().join("other");
        std::fs::write(&other, "{\"ended\":{}}\n").expect("written");
        assert!(matches!(
            super::read(&other),
            Err(LedgerError::Line { line: 1, .. })
        ));
    }

    #[test]
    fn a_kind_has_its_name() {
        assert_eq!(Kind::AcceptObjection.name(), "accept_objection");
    }
}
