//! The feedback on one directive: due, reported, accepted or returned, overdue.

mod agreement;
mod rejection;
mod values;

use jiff::{Timestamp, ToSpan as _};
use tally_domain::date::LegalDate;
use tally_eventlog::aggregate::Aggregate;

pub use agreement::{Answered, Stage};
pub use rejection::Rejection;
use rejection::{RIGHT_ACCEPT, RIGHT_RETURN};
pub use values::{About, Due, Outcome, Report, Reported};

/// What is asked.
#[derive(Debug, Clone)]
pub enum Command {
    /// A directive was made: a report is due.
    Due {
        /// What it is about.
        about: About,
        /// What is owed.
        due: Due,
        /// When it holds.
        at: Timestamp,
    },
    /// The responding department reports.
    Report {
        /// The caller's department.
        department: String,
        /// The report.
        report: Report,
        /// What the department told sanctions.
        answered: Answered,
        /// When it holds.
        at: Timestamp,
    },
    /// An officer of the initiating department accepts.
    Accept {
        /// The caller's department.
        department: String,
        /// When it holds.
        at: Timestamp,
    },
    /// An officer of the initiating department returns it.
    Return {
        /// The caller's department.
        department: String,
        /// What is missing.
        reason: String,
        /// The day it is.
        today: LegalDate,
        /// When it holds.
        at: Timestamp,
    },
    /// The last day is over.
    Escalate {
        /// The day after it, as the timer had it.
        due_on: LegalDate,
        /// The first moment of that day.
        at: Timestamp,
    },
    /// The directive is suspended.
    Suspend {
        /// When it holds.
        at: Timestamp,
    },
    /// The directive may be applied again.
    Resume {
        /// The day on which it was resumed.
        today: LegalDate,
        /// When it holds.
        at: Timestamp,
    },
    /// The directive was lifted.
    Close {
        /// When it holds.
        at: Timestamp,
    },
}

/// What happened, with what every event repeats.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What it is about.
    pub about: About,
    /// When it holds.
    pub effective_at: Timestamp,
    /// What happened.
    pub change: Change,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// A report is due.
    Due(Due),
    /// Reported.
    Submitted {
        /// The report.
        report: Report,
        /// It amends an earlier one.
        amended: bool,
    },
    /// Accepted by the initiator.
    Accepted,
    /// Returned by the initiator.
    Returned {
        /// What is missing.
        reason: String,
        /// Last day to amend in time.
        report_by: LegalDate,
    },
    /// Overdue.
    Escalated {
        /// Last day to report in time.
        report_by: LegalDate,
    },
    /// No report is owed any more.
    Closed,
    /// Nothing becomes overdue until it is resumed.
    Suspended,
    /// The clock of the report runs again.
    Resumed {
        /// Last day to report in time.
        report_by: LegalDate,
    },
}

/// Where a feedback is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A report is due.
    Due,
    /// Reported.
    Submitted,
    /// Accepted by the initiator.
    Accepted,
    /// Returned by the initiator.
    Returned,
    /// Overdue.
    Escalated,
    /// The directive was lifted while a report was owed.
    Closed,
}

/// A feedback that exists.
#[derive(Debug, Clone, PartialEq)]
pub struct Known {
    /// What it is about.
    pub about: About,
    /// Whom the directive is about.
    pub subject: String,
    /// Id of the list type.
    pub list_type: String,
    /// Last day to report in time.
    pub report_by: LegalDate,
    /// Where it is.
    pub state: State,
    /// The last report.
    pub reported: Option<Reported>,
    /// It was overdue at any time.
    pub overdue: bool,
    /// The directive is suspended.
    pub suspended: bool,
}

impl Known {
    /// The state that a due report begins in.
    pub fn due(about: About, due: &Due) -> Self {
        Self {
            about,
            subject: due.subject.clone(),
            list_type: due.list_type.clone(),
            report_by: due.report_by,
            state: State::Due,
            reported: None,
            overdue: false,
            suspended: false,
        }
    }

    /// True after a report that still owes the final one.
    fn is_interim(&self) -> bool {
        self.reported
            .as_ref()
            .is_some_and(|reported| reported.outcome == Outcome::InProgress)
    }

    /// A report, or the final one after an interim one, is still owed.
    fn owes_report(&self) -> bool {
        match self.state {
            State::Due | State::Returned | State::Escalated => true,
            State::Submitted => self.is_interim(),
            State::Accepted | State::Closed => false,
        }
    }

    /// The day on which it becomes overdue; nothing where no report is owed,
    /// while it is suspended, and after an interim report that came too late:
    /// that one has been escalated.
    pub fn overdue_on(&self) -> Option<LegalDate> {
        let escalated = match self.state {
            State::Escalated => true,
            State::Submitted => self.overdue,
            State::Due | State::Accepted | State::Returned | State::Closed => false,
        };
        if !self.owes_report() || escalated || self.suspended {
            return None;
        }
        self.report_by.checked_add(1.day()).ok()
    }

    /// Takes an event into the state.
    pub fn evolve(&mut self, change: &Change) {
        match change {
            // A report becomes due once, and is the state's beginning.
            Change::Due(_) => {}
            Change::Submitted { report, .. } => {
                self.state = State::Submitted;
                self.reported = Some(Reported {
                    outcome: report.outcome,
                    document: report.document.clone(),
                    done_on: report.done_on,
                });
            }
            Change::Accepted => self.state = State::Accepted,
            Change::Returned { report_by, .. } => {
                self.state = State::Returned;
                self.report_by = *report_by;
            }
            Change::Escalated { .. } => {
                self.state = State::Escalated;
                self.overdue = true;
            }
            Change::Closed => self.state = State::Closed,
            Change::Suspended => self.suspended = true,
            Change::Resumed { report_by } => {
                self.suspended = false;
                self.report_by = *report_by;
            }
        }
    }
}

/// The aggregate: nothing before a report is due.
#[derive(Debug, Clone, Default)]
pub struct Feedback(pub Option<Known>);

impl Aggregate for Feedback {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "feedback";

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let Some(known) = &self.0 else {
            return begin(command);
        };
        let decided = match command {
            Command::Due { .. } => None,
            Command::Report {
                department,
                report,
                answered,
                at,
            } => Some((report_of(known, department, report, *answered)?, *at)),
            Command::Accept { department, at } => {
                decidable(known, department, RIGHT_ACCEPT)?;
                if known.is_interim() {
                    return Err(Rejection::Interim);
                }
                Some((Change::Accepted, *at))
            }
            Command::Return {
                department,
                reason,
                today,
                at,
            } => {
                decidable(known, department, RIGHT_RETURN)?;
                // A term that ended before the return would be missed from the start.
                let report_by = known.report_by.max(*today);
                Some((
                    Change::Returned {
                        reason: reason.clone(),
                        report_by,
                    },
                    *at,
                ))
            }
            Command::Escalate { due_on, at } => (known.overdue_on() == Some(*due_on)).then_some((
                Change::Escalated {
                    report_by: known.report_by,
                },
                *at,
            )),
            Command::Suspend { at } => {
                let over = matches!(known.state, State::Accepted | State::Closed);
                (!known.suspended && !over).then_some((Change::Suspended, *at))
            }
            Command::Resume { today, at } => known.suspended.then(|| {
                // No clock ran while it was suspended, so it cannot have run out meanwhile.
                let report_by = known.report_by.max(*today);
                (Change::Resumed { report_by }, *at)
            }),
            Command::Close { at } => known.owes_report().then_some((Change::Closed, *at)),
        };
        let event = |(change, effective_at)| Event {
            about: known.about.clone(),
            effective_at,
            change,
        };
        Ok(decided.map(event).into_iter().collect())
    }

    fn evolve(&mut self, event: &Event) {
        match (&mut self.0, &event.change) {
            (None, Change::Due(due)) => self.0 = Some(Known::due(event.about.clone(), due)),
            (None, _) => {}
            (Some(known), change) => known.evolve(change),
        }
    }
}

fn begin(command: &Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Due { about, due, at } => Ok(vec![Event {
            about: about.clone(),
            effective_at: *at,
            change: Change::Due(due.clone()),
        }]),
        // The mesh's own commands on a directive that asked for nothing change nothing.
        Command::Escalate { .. }
        | Command::Suspend { .. }
        | Command::Resume { .. }
        | Command::Close { .. } => Ok(Vec::new()),
        Command::Report { .. } | Command::Accept { .. } | Command::Return { .. } => {
            Err(Rejection::Unknown)
        }
    }
}

fn report_of(
    known: &Known,
    department: &str,
    report: &Report,
    answered: Answered,
) -> Result<Change, Rejection> {
    if known.about.department != department {
        return Err(Rejection::NotResponder);
    }
    match known.state {
        _ if known.owes_report() => {
            answered.agrees(report.outcome)?;
            Ok(Change::Submitted {
                report: report.clone(),
                amended: known.reported.is_some(),
            })
        }
        State::Accepted => Err(Rejection::Accepted),
        State::Closed => Err(Rejection::Closed),
        _ => Err(Rejection::NotOwed),
    }
}

/// There is a report, and this department decides on it.
fn decidable(known: &Known, department: &str, right: &'static str) -> Result<(), Rejection> {
    if known.about.initiator != department {
        return Err(Rejection::NotInitiator { right });
    }
    match known.state {
        State::Submitted => Ok(()),
        State::Accepted => Err(Rejection::Accepted),
        State::Closed => Err(Rejection::Closed),
        State::Due | State::Returned | State::Escalated => Err(Rejection::NoReport),
    }
}

#[cfg(test)]
mod tests;
