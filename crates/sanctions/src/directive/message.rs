//! What is asked of a directive, and what happened to it.

use jiff::Timestamp;
use tally_domain::date::LegalDate;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::pb::DocumentRef;
use tally_proto::tally::sanctions::v1 as pb;

use super::{LiftReason, Stage};
use crate::basis::ListsBasis;
use crate::known::Standing;

/// Whether the department may still carry the measure out today.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Competence {
    /// It may.
    Held,
    /// The policy pack no longer gives it the power.
    PowerMissing,
    /// The measure's legal basis does not carry it; the text says why.
    BasisMissing(String),
}

/// What is asked of a directive.
#[derive(Debug, Clone)]
pub enum Command {
    /// Make it.
    Trigger {
        /// The directive, complete.
        directive: Box<pb::Directive>,
        /// When.
        at: Timestamp,
    },
    /// The department has it.
    Acknowledge {
        /// Who says so.
        department: String,
        /// When.
        at: Timestamp,
    },
    /// The department begins.
    Start {
        /// Who says so.
        department: String,
        /// When.
        at: Timestamp,
    },
    /// The department has executed it.
    Execute {
        /// Who says so.
        department: String,
        /// The decision in which it was applied.
        decision: DocumentRef,
        /// Day of that decision.
        executed_on: LegalDate,
        /// The check that was made before; empty if none was named.
        check_id: String,
        /// What of `lists` `entry` has seen.
        lists_basis: ListsBasis,
        /// How the entry stands today.
        entry: Standing,
        /// Whether the department may carry it out today.
        competence: Competence,
        /// When.
        at: Timestamp,
    },
    /// The department declines.
    Decline {
        /// Who says so.
        department: String,
        /// Grounds.
        grounds: String,
        /// Legal basis of the grounds; verified to be in force.
        legal_basis: Option<LegalBasisRef>,
        /// When.
        at: Timestamp,
    },
    /// The department no longer applies it.
    ConfirmLift {
        /// Who says so.
        department: String,
        /// The document that undoes it.
        document: Option<DocumentRef>,
        /// When.
        at: Timestamp,
    },
    /// The entry is suspended.
    Suspend {
        /// When it holds in law.
        at: Timestamp,
    },
    /// The log of `lists` was restored from a backup that lacks the listing.
    Withhold {
        /// When.
        at: Timestamp,
    },
    /// The entry was upheld.
    Resume {
        /// When it holds in law.
        at: Timestamp,
    },
    /// The entry is over.
    Lift {
        /// Why.
        reason: LiftReason,
        /// When it holds in law.
        at: Timestamp,
    },
}

/// What happened to a directive.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Responding department.
    pub department: String,
    /// When it holds in law.
    pub at: Timestamp,
    /// The legal basis it rests on.
    pub legal_basis: Option<LegalBasisRef>,
    /// What.
    pub kind: EventKind,
}

/// Kinds of events.
#[derive(Debug, Clone, PartialEq)]
pub enum EventKind {
    /// It was made.
    Triggered(Box<pb::Directive>),
    /// The department has it.
    Received,
    /// The department has begun.
    Started,
    /// The department has executed it.
    Executed {
        /// The decision in which it was applied.
        decision: DocumentRef,
        /// Day of that decision.
        executed_on: LegalDate,
        /// The check that was made before; empty if none was named.
        check_id: String,
        /// What of `lists` had been applied to this shard.
        lists_basis: ListsBasis,
    },
    /// The department declined.
    Declined {
        /// Grounds.
        grounds: String,
    },
    /// The entry is suspended.
    Suspended,
    /// The log of `lists` was restored from a backup that lacks the listing.
    Withheld,
    /// The entry was upheld.
    Resumed {
        /// Where it goes on.
        stage: Stage,
    },
    /// The entry is over.
    Lifted {
        /// Why.
        reason: LiftReason,
        /// True if there is something to undo.
        was_executed: bool,
    },
    /// The department no longer applies it.
    LiftConfirmed {
        /// The document that undoes it.
        document: Option<DocumentRef>,
    },
}
