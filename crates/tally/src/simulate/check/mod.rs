//! The checker: reads back everything that a run left in the mesh and accounts for
//! every command of its ledger.
//!
//! Memory is bounded: ledger, logs and mailboxes are read as streams, and what has
//! to meet is sorted into files first ([`spill`]), of which one is in memory at a time.

mod commands;
mod faults;
pub(super) mod mailbox;
mod read;
mod spill;
mod subjects;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tally_domain::policy::Pack;

pub use commands::Commands;
pub use faults::{FaultKind, Faults, NAMED_MAX};
pub use read::ReadError;
pub use subjects::Consequences;

use self::commands::{CommandRow, Known};
use self::read::Rows;
use self::spill::Spill;
use self::subjects::{About, Rule, SubjectRow};
use super::SimulateError;
use super::cast;
use super::ledger::{self, Line, Run};
use crate::client::Client;
use crate::demo::world::World;

/// What the checker found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// Commands of the ledger.
    pub commands: Commands,
    /// What follows from listings.
    pub consequences: Consequences,
    /// Records read from the logs.
    pub records: u64,
    /// True if the ledger says that its run came to its end.
    pub ended: bool,
    /// Readers that had still something to do when the checker would wait no longer.
    pub behind: Vec<String>,
    /// What does not add up.
    pub faults: Faults,
}

impl Account {
    /// True if everything adds up, and everything has been drawn that follows.
    pub fn holds(&self) -> bool {
        self.faults.total() == 0 && self.behind.is_empty()
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "holds": self.holds(),
            "acknowledged": self.commands.acknowledged,
            "refused": self.commands.refused,
            "unknown": {
                "found": self.commands.unknown_found,
                "absent": self.commands.unknown_absent,
                "first": self.commands.unknown,
            },
            "listings": self.consequences.listings,
            "directives": self.consequences.directives,
            "mailbox_items": self.consequences.items,
            "records_read": self.records,
            "run_ended": self.ended,
            "behind": self.behind,
            "faults": {
                "total": self.faults.total(),
                "counts": self.faults.counts(),
                "first": self.faults.named(),
            },
        })
    }
}

impl Serialize for Account {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

/// Checks a ledger against the mesh of a data directory.
///
/// # Errors
///
/// [`SimulateError`]: ledger or mesh cannot be read. What does not add up is no error.
pub async fn check(
    dir: &Path,
    operator: &Client,
    pack: Pack,
    ledger: &Path,
    patience: Duration,
) -> Result<Account, SimulateError> {
    let (run, lines) = ledger::read(ledger)?;
    let loaded = super::pack_name(&pack);
    if run.pack != loaded {
        return Err(SimulateError::OtherPack {
            ledger: run.pack,
            loaded,
        });
    }
    let world = World::new(pack);
    let mut account = Account {
        behind: read::settle(operator, patience).await?,
        ..Account::default()
    };
    let beside = ledger
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    let mut rows = Rows {
        commands: Spill::in_dir(beside).map_err(ReadError::Spill)?,
        subjects: Spill::in_dir(beside).map_err(ReadError::Spill)?,
    };
    account.ended = take_ledger(lines, &mut rows)?;
    account.records = read::logs(operator, &mut rows, &mut account.faults).await?;
    take_mailboxes(dir, &run, &mut rows, &mut account.faults).await?;
    judge(rows, &world, &run, &mut account)?;
    Ok(account)
}

/// True if the run came to its end.
fn take_ledger(lines: ledger::Lines, rows: &mut Rows) -> Result<bool, SimulateError> {
    let mut ended = false;
    for line in lines {
        let (command, subject) = match line? {
            Line::Ended {} => {
                ended = true;
                continue;
            }
            Line::Run(_) => continue,
            Line::Sent(sent) => {
                let row = CommandRow {
                    what: sent.kind.name(),
                    ..known(Known::Sent, sent.id)
                };
                let entry = sent.entry.map(|entry| SubjectRow {
                    about: About::Ours.into(),
                    subject: sent.subject,
                    entry: entry.id,
                    what: entry.list_type,
                    whose: entry.from,
                    ..SubjectRow::default()
                });
                (row, entry)
            }
            Line::Acknowledged(at) => {
                let row = CommandRow {
                    log: at.log,
                    shard: at.shard,
                    position: at.position,
                    leaf: unhex(&at.leaf).into(),
                    ..known(Known::Acknowledged, at.id)
                };
                (row, None)
            }
            Line::Refused(refused) => (known(Known::Refused, refused.id), None),
            Line::Unknown(unknown) => {
                let row = CommandRow {
                    what: unknown.reason,
                    ..known(Known::Unknown, unknown.id)
                };
                (row, None)
            }
        };
        let put = rows.commands.put(&command.id, &command);
        put.map_err(ReadError::Spill)?;
        if let Some(row) = subject {
            let put = rows.subjects.put(row.subject.as_bytes(), &row);
            put.map_err(ReadError::Spill)?;
        }
    }
    Ok(ended)
}

fn known(known: Known, id: uuid::Uuid) -> CommandRow {
    CommandRow {
        id: bytes::Bytes::copy_from_slice(id.as_bytes()),
        known: known.into(),
        ..CommandRow::default()
    }
}

/// Hexadecimal digits as bytes; what is none gives another hash than any record has.
fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.filter_map(byte).collect()
}

async fn take_mailboxes(
    dir: &Path,
    run: &Run,
    rows: &mut Rows,
    faults: &mut Faults,
) -> Result<(), SimulateError> {
    for (department, certificate) in &run.mailboxes {
        let client = cast::system(dir, department, certificate).await?;
        read::mailbox(&client, department, rows, faults).await?;
    }
    Ok(())
}

fn judge(rows: Rows, world: &World, run: &Run, account: &mut Account) -> Result<(), ReadError> {
    for bucket in rows.commands.buckets() {
        commands::judge(bucket?, &mut account.commands, &mut account.faults);
    }
    let due = |list_type: &str, from: &str| {
        let from = from.parse().unwrap_or_default();
        let due = world.directives_due(list_type, from).into_iter();
        due.map(|due| (due.measure, world.id(due.dept).to_string()))
            .collect()
    };
    let read: BTreeSet<String> = run.mailboxes.keys().cloned().collect();
    let rule = Rule {
        due: &due,
        read: &read,
    };
    for bucket in rows.subjects.buckets() {
        let (consequences, faults) = (&mut account.consequences, &mut account.faults);
        subjects::judge(bucket?, &rule, consequences, faults);
    }
    Ok(())
}
