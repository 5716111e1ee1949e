//! The aggregate `entry`: one subject on one list, from nomination to its end.
//!
//! Officers decide every step but three: the end of the term, which the listing
//! decision has fixed already; a provisional day, which the calendar fixes; and
//! a proposal, which binds nobody.

mod command;
mod decide;
mod nomination;
mod rejection;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use tally_domain::date::{LegalDate, Term};
use tally_domain::department::{DepartmentId, OfficerId};
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::aggregate::Aggregate;
use tally_eventlog::pb::DocumentRef;

pub use command::{Command, ListingCheck};
pub(crate) use nomination::basis_reason;
pub use nomination::{Ground, Nominate};
pub use rejection::Rejection;

/// Rights of the calls that officers make on an entry, as in the contract.
pub mod right {
    /// See an entry.
    pub const GET: &str = "lists.get";
    /// Nominate a subject.
    pub const NOMINATE: &str = "lists.nominate";
    /// Record that the subject was told.
    pub const NOTIFY: &str = "lists.notify";
    /// Record what the subject said.
    pub const REPRESENT: &str = "lists.represent";
    /// List as the second officer.
    pub const LIST: &str = "lists.list";
    /// Drop a nomination.
    pub const DROP: &str = "lists.drop";
    /// Accept an objection.
    pub const ACCEPT_OBJECTION: &str = "lists.accept_objection";
    /// Decide that the listing stands.
    pub const UPHOLD: &str = "lists.uphold";
    /// Decide that the listing was wrong.
    pub const CORRECT_OUT: &str = "lists.correct_out";
    /// Ask that a red entry be taken off.
    pub const REQUEST_REMOVAL: &str = "lists.request_removal";
    /// Take an entry off before its term is over.
    pub const REMOVE: &str = "lists.remove";
}

/// An officer of a department.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Officer {
    /// In whose name.
    pub department: DepartmentId,
    /// Who, by the random id.
    pub id: OfficerId,
}

/// Where an entry is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It does not exist.
    #[default]
    Absent,
    /// A first officer nominated the subject.
    Nominated,
    /// The subject has been told.
    Notified,
    /// The subject has answered or waived.
    Represented,
    /// A second officer listed the subject.
    Listed,
    /// The nomination was dropped.
    Dropped,
    /// An objection is being verified; nothing may be applied.
    Suspended,
    /// It was wrong from its first day.
    CorrectedOut,
    /// Taken off before its term.
    Removed,
    /// Its term is over.
    Expired,
}

impl State {
    /// The state in words, for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Absent => "unknown",
            State::Nominated => "nominated",
            State::Notified => "notified",
            State::Represented => "represented",
            State::Listed => "listed",
            State::Dropped => "dropped",
            State::Suspended => "suspended",
            State::CorrectedOut => "corrected out",
            State::Removed => "removed",
            State::Expired => "expired",
        }
    }

    /// True before a second officer has decided on the nomination.
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            State::Nominated | State::Notified | State::Represented
        )
    }

    /// True while the subject stands on the list, also while that is suspended.
    pub const fn is_live(self) -> bool {
        matches!(self, State::Listed | State::Suspended)
    }
}

/// An entry as its events tell it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// Where it is in its life.
    pub state: State,
    /// The nomination; present once there was one.
    pub nomination: Option<Nomination>,
    /// When it was nominated.
    pub nominated_at: Option<Timestamp>,
    /// What it rests on.
    pub basis: Option<LegalBasisRef>,
    /// The notice, where there was one.
    pub notice: Option<Notice>,
    /// The listing officer.
    pub listed_by: Option<Officer>,
    /// From when the listing holds in law.
    pub listed_from: Option<Timestamp>,
    /// Records that propose its removal.
    pub removal_proposed_by: Vec<String>,
    /// The officer who asked that it be taken off.
    pub removal_requested_by: Option<Officer>,
    /// True from an accepted objection until it is decided, also past the term.
    pub objection_open: bool,
    /// The officer who accepted the last objection.
    pub objection_accepted_by: Option<Officer>,
    /// True once the record it rests on was withdrawn.
    pub ground_withdrawn: bool,
}

/// A nomination.
#[derive(Debug, Clone, PartialEq)]
pub struct Nomination {
    /// The first officer.
    pub by: Officer,
    /// Whom.
    pub subject: String,
    /// Id of the list type.
    pub list_type: String,
    /// The record it rests on.
    pub ground_record_id: String,
    /// Number of that record's decision document.
    pub ground_document_number: String,
    /// Which criterion is met.
    pub criterion: String,
    /// First and last day.
    pub term: Term,
    /// Version of the pack it was judged by.
    pub pack_version: String,
}

/// A notice to the subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    /// Day of service.
    pub served_on: LegalDate,
    /// Proof of service.
    pub proof: DocumentRef,
    /// Last day for a representation.
    pub representation_until: LegalDate,
    /// True if a holiday notice to come may move that day.
    pub provisional: bool,
}

/// A listing. Repeats what readers need, so that they need nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The second officer.
    pub by: Officer,
    /// Id of the list type.
    pub list_type: String,
    /// First and last day.
    pub term: Term,
    /// The record it rests on.
    pub ground_record_id: String,
    /// The listing decision.
    pub decision: DocumentRef,
}

/// A decision about a listed entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The document.
    pub document: DocumentRef,
    /// Why.
    pub reason: String,
}

/// What happened to an entry, since when, and on what it rests.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it holds in law.
    pub at: Timestamp,
    /// Legal basis of the entry.
    pub basis: LegalBasisRef,
    /// What happened.
    pub fact: Fact,
}

/// What happened to an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// A first officer nominated the subject.
    Nominated(Nomination),
    /// The subject was told.
    Notified(Notice),
    /// The subject answered; without a document, it waived.
    Represented {
        /// The answer.
        document: Option<DocumentRef>,
    },
    /// A second officer listed the subject.
    Listed(Listing),
    /// The nomination was dropped.
    Dropped {
        /// Why.
        reason: String,
    },
    /// An objection was accepted.
    Suspended {
        /// Who accepted it.
        by: Officer,
        /// The objection as it was filed.
        objection: DocumentRef,
    },
    /// The listing stands.
    Upheld(Decision),
    /// The listing was wrong from its first day.
    CorrectedOut(Decision),
    /// A first officer asked that it be taken off.
    RemovalRequested {
        /// Who.
        by: Officer,
        /// The document that asks for it, and why.
        request: Decision,
    },
    /// Taken off before its term.
    Removed(Decision),
    /// The term is over.
    Expired {
        /// Its last day.
        term_until: LegalDate,
    },
    /// A holiday notice decided the day that had been provisional.
    DeadlineFixed {
        /// Last day for a representation.
        representation_until: LegalDate,
        /// True if a further notice may still move it.
        provisional: bool,
    },
    /// The record it rests on was withdrawn: an officer has to look.
    GroundWithdrawn {
        /// The record.
        record_id: String,
    },
    /// A serious new record: an officer has to look.
    RemovalProposed {
        /// The record.
        record_id: String,
        /// Its type.
        record_type: String,
    },
}

impl Aggregate for Entry {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "entry";

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        decide::decide(self, command)
    }

    fn evolve(&mut self, event: &Event) {
        match &event.fact {
            Fact::Nominated(nomination) => {
                self.state = State::Nominated;
                self.nomination = Some(nomination.clone());
                self.nominated_at = Some(event.at);
                self.basis = Some(event.basis.clone());
            }
            Fact::Notified(notice) => {
                self.state = State::Notified;
                self.notice = Some(notice.clone());
            }
            Fact::Represented { .. } => self.state = State::Represented,
            Fact::Listed(listing) => {
                self.state = State::Listed;
                self.listed_by = Some(listing.by.clone());
                self.listed_from = Some(event.at);
            }
            Fact::Dropped { .. } => self.state = State::Dropped,
            Fact::Suspended { by, .. } => {
                self.state = State::Suspended;
                self.objection_open = true;
                self.objection_accepted_by = Some(by.clone());
            }
            Fact::Upheld(_) => {
                self.state = State::Listed;
                self.objection_open = false;
            }
            Fact::CorrectedOut(_) => {
                self.state = State::CorrectedOut;
                self.objection_open = false;
            }
            Fact::RemovalRequested { by, .. } => self.removal_requested_by = Some(by.clone()),
            Fact::Removed(_) => self.state = State::Removed,
            Fact::Expired { .. } => self.state = State::Expired,
            Fact::DeadlineFixed {
                representation_until,
                provisional,
            } => {
                if let Some(notice) = &mut self.notice {
                    notice.representation_until = *representation_until;
                    notice.provisional = *provisional;
                }
            }
            Fact::GroundWithdrawn { .. } => self.ground_withdrawn = true,
            Fact::RemovalProposed { record_id, .. } => {
                self.removal_proposed_by.push(record_id.clone());
            }
        }
    }
}
