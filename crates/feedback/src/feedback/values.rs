//! What commands, events and the state of a feedback are made of.

use tally_domain::date::LegalDate;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::pb::DocumentRef;

/// What a feedback is about; every event repeats it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// Responding department.
    pub department: String,
    /// Department that listed.
    pub initiator: String,
    /// Id of the measure.
    pub measure: String,
    /// Month in which the directive was made, `YYYY-MM`.
    pub month: String,
}

/// A report that is owed.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Whom the directive is about.
    pub subject: String,
    /// Id of the list type.
    pub list_type: String,
    /// Last day to report in time.
    pub report_by: LegalDate,
    /// Legal basis of the measure.
    pub legal_basis: Option<LegalBasisRef>,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Executed.
    Executed,
    /// Declined.
    Declined,
    /// In hand: an interim report; the final one is still owed.
    InProgress,
}

/// A report.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// What was done.
    pub outcome: Outcome,
    /// By which document; an interim report may have none.
    pub document: Option<DocumentRef>,
    /// On which day; an interim report may have none.
    pub done_on: Option<LegalDate>,
    /// The check that was made before; empty if none.
    pub check_id: String,
    /// Remarks.
    pub remarks: String,
}

/// What a report leaves to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// What was done.
    pub outcome: Outcome,
    /// By which document.
    pub document: Option<DocumentRef>,
    /// On which day.
    pub done_on: Option<LegalDate>,
}
