//! Why a directive refuses, and what the caller is told.

use tally_rpc::Fault;

use super::{Stage, State};
use crate::known::Standing;

/// The right to answer a directive, as the contract names it.
pub const RIGHT_RESPOND: &str = "sanctions.respond";
/// The right to execute or decline one, as the contract names it.
pub const RIGHT_EXECUTE: &str = "sanctions.execute";

/// Why a command on a directive is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// There is no such directive.
    Unknown,
    /// It is another department's.
    OtherDepartment {
        /// The right that the call needs.
        right: &'static str,
    },
    /// Nobody has acknowledged it yet.
    NotAcknowledged,
    /// It is at this stage already.
    Already(Stage),
    /// This decision has been recorded already.
    DecisionRecorded,
    /// The entry is suspended.
    Suspended,
    /// The entry is over.
    Lifted,
    /// The department has confirmed already.
    LiftConfirmed,
    /// It is not lifted, so there is nothing to confirm.
    NotLifted,
    /// By what is known of the lists, the entry is not in force today.
    NotInForce(Standing),
    /// It says to have been applied before the entry's term began.
    BeforeTerm {
        /// First day of the term, ISO 8601.
        term_from: String,
    },
    /// The policy pack no longer gives the department the power.
    PowerMissing,
    /// The measure's legal basis does not carry it today.
    BasisMissing(String),
    /// A mandatory measure is declined only on a legal basis.
    DeclineNeedsBasis,
    /// What was executed is undone by a document.
    UndoNeedsDocument,
}

impl Rejection {
    /// The refusal of a step that does not follow from `state`.
    pub(super) fn of_state(state: State) -> Self {
        match state {
            State::Live(Stage::Triggered) => Self::NotAcknowledged,
            State::Live(stage) => Self::Already(stage),
            State::Suspended(_) => Self::Suspended,
            State::Lifted { .. } => Self::Lifted,
            State::LiftConfirmed { .. } => Self::LiftConfirmed,
        }
    }

    /// Stable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unknown => "DIRECTIVE_UNKNOWN",
            Self::OtherDepartment { .. } | Self::PowerMissing => {
                tally_rpc::fault::reason::RIGHT_MISSING
            }
            Self::NotAcknowledged => "DIRECTIVE_NOT_ACKNOWLEDGED",
            Self::Already(_) => "DIRECTIVE_STATE",
            Self::DecisionRecorded => "DECISION_RECORDED",
            Self::Suspended | Self::NotInForce(Standing::Suspended) => "ENTRY_SUSPENDED",
            Self::Lifted => "DIRECTIVE_LIFTED",
            Self::LiftConfirmed => "LIFT_CONFIRMED",
            Self::NotLifted => "DIRECTIVE_NOT_LIFTED",
            Self::NotInForce(_) => "ENTRY_NOT_IN_FORCE",
            Self::BeforeTerm { .. } => "DATE_BEFORE_TERM",
            Self::BasisMissing(_) => "LEGAL_BASIS_NOT_IN_FORCE",
            Self::DeclineNeedsBasis => "LEGAL_BASIS_REQUIRED",
            Self::UndoNeedsDocument => "DOCUMENT_REQUIRED",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::Unknown => "there is no directive with this id".to_owned(),
            Self::OtherDepartment { .. } => {
                "only the directive's own department responds to it".to_owned()
            }
            Self::NotAcknowledged => "acknowledge the directive first".to_owned(),
            Self::Already(stage) => {
                let stage = format!("{stage:?}").to_lowercase();
                format!("the directive is {stage} already; this step does not follow from there")
            }
            Self::DecisionRecorded => {
                "the directive was executed by a decision of this number already; each case has its own decision"
                    .to_owned()
            }
            Self::Suspended | Self::NotInForce(Standing::Suspended) => {
                "the entry is suspended: nothing may be applied; wait until it is upheld or lifted"
                    .to_owned()
            }
            Self::Lifted => {
                "the entry is over: undo what was applied and confirm the lift".to_owned()
            }
            Self::LiftConfirmed => {
                "the lift is confirmed already; nothing is left to do".to_owned()
            }
            Self::NotLifted => {
                "the directive is not lifted, so there is no lift to confirm".to_owned()
            }
            Self::NotInForce(standing) => {
                format!("the entry is not in force today: {}", standing.explain())
            }
            Self::BeforeTerm { term_from } => format!(
                "the term of the entry began on {term_from}; nothing can have been applied before, correct the day"
            ),
            Self::PowerMissing => {
                "the policy pack does not give this department the power for the measure".to_owned()
            }
            Self::BasisMissing(why) => format!("the measure has no legal basis today: {why}"),
            Self::DeclineNeedsBasis => {
                "the measure is mandatory: name the legal basis on which it is declined".to_owned()
            }
            Self::UndoNeedsDocument => {
                "the directive had been executed: name the document that undoes it".to_owned()
            }
        }
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        let message = rejection.message();
        match rejection {
            Rejection::Unknown => Fault::unseen(rejection.reason(), "sanctions.get", message),
            Rejection::OtherDepartment { right } => Fault::permission(right, message),
            Rejection::PowerMissing => Fault::permission(RIGHT_EXECUTE, message),
            _ => Fault::rejected(rejection.reason(), message),
        }
    }
}
