//! Why something is refused, and what to do instead.

use tally_domain::date::LegalDate;
use tally_domain::fault::FieldFault;
use tally_domain::policy::BasisFault;
use tally_rpc::Fault;

use super::State;
use super::nomination::basis_reason;

/// Why a command on an entry is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Rejection {
    /// There is no such entry.
    #[error("there is no entry with this id; its nomination returned the id")]
    Unknown,
    /// The message is at fault.
    #[error("the nomination cannot stand as it is; correct every fault that is named")]
    Invalid(Vec<FieldFault>),
    /// The department may not put anyone on that list.
    #[error(
        "the department is not an initiator of list type `{list_type}`; an officer of one has to do it"
    )]
    NotInitiator {
        /// The list type.
        list_type: String,
    },
    /// Another department's entry.
    #[error(
        "the entry is another department's; an officer of the initiating department has to do it"
    )]
    OtherDepartment {
        /// The right that the call needs.
        right: &'static str,
    },
    /// The department can accept no objections to other departments' entries.
    #[error(
        "an objection is accepted by an officer of the initiating department or of a department of \
         province level; hand it to one of them"
    )]
    NotCompetentForObjection,
    /// The nominating officer cannot be the second one.
    #[error("the officer who nominated cannot list; a second officer has to decide")]
    SecondOfficerRequired,
    /// Nobody has asked for it yet.
    #[error("a red entry is taken off by two officers; let a first one request the removal")]
    RemovalNotRequested,
    /// The requesting officer cannot be the second one.
    #[error("the officer who requested the removal cannot decide it; a second officer has to")]
    SecondOfficerForRemoval,
    /// The accepting officer cannot decide the objection to the subject's cost.
    #[error(
        "the officer who accepted the objection cannot decide it to the subject's cost; a second \
         officer has to"
    )]
    SecondOfficerForObjection,
    /// Black entries are taken off by one decision.
    #[error("a black entry is taken off by one officer's decision; remove it without a request")]
    RequestNotNeeded,
    /// The officer decided on this entry before.
    #[error(
        "the officer nominated or listed the subject; another officer has to decide on the objection"
    )]
    OtherOfficerRequired,
    /// Not from this state.
    #[error("the entry is {}; this needs one that is {needed}", .state.as_str())]
    State {
        /// Where it is.
        state: State,
        /// Where it would have to be.
        needed: &'static str,
    },
    /// An objection is being verified.
    #[error(
        "the entry is suspended; decide the objection first, by upholding it or correcting it out"
    )]
    Suspended,
    /// Red lists do no harm.
    #[error("a red list needs no notice; let a second officer list the subject")]
    NoticeNotNeeded,
    /// Served on a day to come.
    #[error("the day of service is after today; record the notice once it is served")]
    ServedInFuture,
    /// The subject can still speak.
    #[error(
        "the subject may answer until {until}; list after that day, or once it has answered or waived"
    )]
    RepresentationOpen {
        /// Last day for a representation.
        until: LegalDate,
    },
    /// The list type is closed today.
    #[error(
        "the list type is not in force today for the department; drop the nomination, or wait until \
         a policy pack has it in force"
    )]
    ListTypeNotInForce,
    /// The legal basis does not carry the listing today.
    #[error("{0}; drop the nomination and nominate on a basis that covers the listing")]
    Basis(BasisFault),
    /// The record it rests on is gone.
    #[error("the record that the nomination rests on was withdrawn; drop the nomination")]
    GroundWithdrawn,
}

impl Rejection {
    /// Stable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Rejection::Unknown => "ENTRY_UNKNOWN",
            Rejection::Invalid(faults) => faults
                .first()
                .map_or("NOMINATION_INVALID", |fault| fault.reason),
            Rejection::NotInitiator { .. }
            | Rejection::OtherDepartment { .. }
            | Rejection::NotCompetentForObjection => tally_rpc::fault::reason::RIGHT_MISSING,
            Rejection::SecondOfficerRequired
            | Rejection::SecondOfficerForRemoval
            | Rejection::SecondOfficerForObjection => "SECOND_OFFICER_REQUIRED",
            Rejection::RemovalNotRequested => "REMOVAL_NOT_REQUESTED",
            Rejection::RequestNotNeeded => "REQUEST_NOT_NEEDED",
            Rejection::OtherOfficerRequired => "OTHER_OFFICER_REQUIRED",
            Rejection::State { .. } => "ENTRY_STATE",
            Rejection::Suspended => "ENTRY_SUSPENDED",
            Rejection::NoticeNotNeeded => "NOTICE_NOT_NEEDED",
            Rejection::ServedInFuture => "SERVED_IN_FUTURE",
            Rejection::RepresentationOpen { .. } => "REPRESENTATION_OPEN",
            Rejection::ListTypeNotInForce => "LIST_TYPE_NOT_IN_FORCE",
            Rejection::Basis(fault) => basis_reason(fault),
            Rejection::GroundWithdrawn => "GROUND_WITHDRAWN",
        }
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Fault {
        let message = rejection.to_string();
        match rejection {
            Rejection::Unknown => Fault::unseen("ENTRY_UNKNOWN", super::right::GET, message),
            Rejection::Invalid(faults) => Fault::invalid(faults),
            Rejection::NotInitiator { list_type } => {
                Fault::permission(super::right::NOMINATE, message).with("list_type", list_type)
            }
            Rejection::OtherDepartment { right } => Fault::permission(right, message),
            Rejection::NotCompetentForObjection => {
                Fault::permission(super::right::ACCEPT_OBJECTION, message)
            }
            Rejection::ServedInFuture => Fault::invalid(vec![FieldFault::new(
                "served_on",
                "SERVED_IN_FUTURE",
                message,
            )]),
            Rejection::State { state, .. } => {
                Fault::rejected("ENTRY_STATE", message).with("state", state.as_str())
            }
            other => Fault::rejected(other.reason(), message),
        }
    }
}
