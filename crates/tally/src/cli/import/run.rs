//! An import under way: what becomes of its rows, and who is told.

use std::path::Path;

use indicatif::ProgressBar;
use tally_exchange::columns::Columns;
use tally_exchange::report::RowFault;
use tally_exchange::table::Row;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::push_records_response::Outcome;

use super::super::output::{Failure, line};
use super::faults::FaultFile;
use super::state::State;

/// Rows between two positions kept: at most so many are sent again.
const ROWS_PER_POSITION: u64 = 5_000;

/// Bad rows that are printed; all of them are in the report.
const ROWS_PRINTED_MAX: u64 = 20;

/// Who reads what an import says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Voice {
    /// Lines for people.
    People,
    /// A JSON object a line.
    Json,
    /// Nobody.
    None,
}

/// An import under way.
pub(super) struct Run {
    pub voice: Voice,
    pub columns: Columns,
    pub state: State,
    pub faults: FaultFile,
    pub printed: u64,
    pub progress: ProgressBar,
}

impl Run {
    /// Takes the answer of a row.
    pub fn take(&mut self, row: &Row, answer: pb::PushRecordsResponse) -> Result<(), Failure> {
        match answer.outcome {
            Some(Outcome::Accepted(accepted)) => {
                let repeated = accepted.receipt.is_some_and(|receipt| receipt.repeated);
                self.state.answered(row.number, |counts| {
                    if repeated {
                        counts.known += 1;
                    } else {
                        counts.accepted += 1;
                    }
                });
            }
            Some(Outcome::Refused(refusal)) => {
                let fault = |fault: pb::Fault| {
                    let pb::Fault {
                        field,
                        reason,
                        message,
                    } = fault;
                    RowFault::of(&self.columns, row, field, reason, message)
                };
                let faults: Vec<RowFault> = refusal.faults.into_iter().map(fault).collect();
                let place = refusal.quarantine_id;
                self.faults.add(row, &faults, &place)?;
                self.state.answered(row.number, |counts| {
                    if place.is_empty() {
                        counts.refused += 1;
                    } else {
                        counts.quarantined += 1;
                    }
                });
                self.print(row, &faults, &place);
            }
            None => {
                return Err(Failure::environment(
                    "the mesh gave an answer that this version does not know",
                ));
            }
        }
        if self.state.counts().rows().is_multiple_of(ROWS_PER_POSITION) {
            self.keep()?;
        }
        Ok(())
    }

    /// The whole import is denied: no row has a fault, and what was kept beside the file stays only
    /// for the rows before the pack took the right away.
    pub fn denied(mut self, message: String) -> Result<Failure, Failure> {
        let failure = Failure::denied(message);
        if self.state.counts().rows() == 0 {
            return Ok(failure.or_try(
                "nothing was imported; `tally rights` prints what this certificate may do",
            ));
        }
        self.keep()?;
        Ok(failure.or_try(
            "the rows before were imported; once the right is back, import the same file: it goes on there",
        ))
    }

    /// The faults first: a position must not be past what is kept of them.
    pub fn keep(&mut self) -> Result<(), Failure> {
        self.faults.keep()?;
        self.state.keep()
    }

    /// Says what became of the rows.
    pub fn sum_up(&self, report: &Path) {
        let counts = self.state.counts();
        let bad = counts.bad() > 0;
        match self.voice {
            Voice::None => return,
            Voice::Json => {
                let report = bad.then(|| report.display().to_string());
                let (rows, known) = (counts.rows(), counts.known);
                return line(&serde_json::json!({"rows": rows, "accepted": counts.accepted, "known": known, "quarantined": counts.quarantined, "refused": counts.refused, "blank": counts.blank, "report": report}).to_string());
            }
            Voice::People => {}
        }
        line(&format!(
            "{} rows: accepted {}, known before {}, quarantined {}, refused {}",
            counts.rows(),
            counts.accepted,
            counts.known,
            counts.quarantined,
            counts.refused
        ));
        if counts.accepted == 0 && counts.known > 0 && !bad {
            line("nothing was added: the mesh had every row already");
        }
        if bad {
            let more = counts.bad().saturating_sub(self.printed);
            if more > 0 {
                line(&format!("{more} more bad rows are in the report"));
            }
            line(&format!(
                "correct the rows in {} and import that file",
                report.display()
            ));
        }
    }

    fn print(&mut self, row: &Row, faults: &[RowFault], place: &str) {
        match self.voice {
            Voice::None => return,
            Voice::People if self.printed >= ROWS_PRINTED_MAX => return,
            Voice::People | Voice::Json => self.printed += 1,
        }
        self.progress.suspend(|| {
            if self.voice == Voice::Json {
                let fault = |fault: &RowFault| serde_json::json!({"field": fault.field, "column": self.columns.title_of(&fault.field), "reason": fault.reason, "message": fault.message});
                let faults: Vec<_> = faults.iter().map(fault).collect();
                return line(&serde_json::json!({"row": row.number, "quarantine_id": place, "faults": faults}).to_string());
            }
            line(&match place {
                "" => format!("row {}:", row.number),
                place => format!("row {}: in quarantine as {place}", row.number),
            });
            for fault in faults {
                line(&format!("  {}", fault.explained(&self.columns)));
            }
        });
    }
}
