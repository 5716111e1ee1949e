//! What is asked of an entry, with what was looked up for the decision.

use jiff::Timestamp;
use tally_domain::calendar::Deadline;
use tally_domain::date::LegalDate;
use tally_domain::policy::{BasisFault, ListPolarity};
use tally_eventlog::pb::DocumentRef;

use super::{Decision, Nominate, Notice, Officer};

/// What the active pack and the ground's record say on the day of the listing.
#[derive(Debug, Clone, PartialEq)]
pub struct ListingCheck {
    /// Whether the list rewards or restrains, by the pack of the nomination.
    pub polarity: ListPolarity,
    /// Whether the list type may be used today, with the department as an initiator.
    pub list_type_open: bool,
    /// Whether the entry's legal basis is in force today for department and subject.
    pub basis: Result<(), BasisFault>,
    /// Whether the ground was withdrawn since the nomination.
    pub ground_withdrawn: bool,
    /// Last day for a representation by the notices published by now; counts
    /// where the day that is known is still provisional.
    pub representation_until: Option<LegalDate>,
    /// First moment of the term.
    pub term_starts_at: Timestamp,
}

/// What is asked of an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// First officer: nominate.
    Nominate(Box<Nominate>),
    /// Record that the subject was told.
    Notify {
        /// Who.
        by: Officer,
        /// Whether the list rewards or restrains.
        polarity: ListPolarity,
        /// The notice, with the day computed from the pack.
        notice: Notice,
        /// Today's legal date.
        today: LegalDate,
        /// First moment of the day of service.
        at: Timestamp,
    },
    /// Record what the subject said; without a document, it waived.
    Represent {
        /// Who.
        by: Officer,
        /// The answer.
        document: Option<DocumentRef>,
        /// Now.
        at: Timestamp,
    },
    /// Second officer: list.
    List {
        /// Who.
        by: Officer,
        /// The listing decision.
        decision: DocumentRef,
        /// What pack and record say.
        check: Box<ListingCheck>,
        /// Today's legal date.
        today: LegalDate,
        /// Now.
        at: Timestamp,
    },
    /// Drop the nomination.
    Drop {
        /// Who.
        by: Officer,
        /// Why.
        reason: String,
        /// Now.
        at: Timestamp,
    },
    /// Accept an objection after a formal check.
    AcceptObjection {
        /// Who.
        by: Officer,
        /// Whether the officer's department is of province level.
        province_level: bool,
        /// The objection as it was filed.
        objection: DocumentRef,
        /// Now.
        at: Timestamp,
    },
    /// The listing stands.
    Uphold {
        /// Who.
        by: Officer,
        /// Whether the list rewards or restrains.
        polarity: ListPolarity,
        /// The decision.
        decision: Decision,
        /// Now.
        at: Timestamp,
    },
    /// The listing was wrong.
    CorrectOut {
        /// Who.
        by: Officer,
        /// Whether the list rewards or restrains.
        polarity: ListPolarity,
        /// The decision.
        decision: Decision,
    },
    /// First officer: ask that a red entry be taken off.
    RequestRemoval {
        /// Who.
        by: Officer,
        /// Whether the list rewards or restrains.
        polarity: ListPolarity,
        /// The document that asks for it, and why.
        request: Decision,
        /// Now.
        at: Timestamp,
    },
    /// Take it off before its term is over.
    Remove {
        /// Who.
        by: Officer,
        /// Whether the list rewards or restrains.
        polarity: ListPolarity,
        /// The decision.
        decision: Decision,
        /// Now.
        at: Timestamp,
    },
    /// Timer: the term is over.
    Expire {
        /// Today's legal date.
        today: LegalDate,
        /// First moment of the day after the last day.
        at: Timestamp,
    },
    /// Timer: the calendar has changed since the subject was told its last day
    /// for a representation.
    FixDeadline {
        /// That day by the notices published by now.
        deadline: Deadline,
        /// Now.
        at: Timestamp,
    },
    /// Process manager: a record was withdrawn.
    WithdrawGround {
        /// The record.
        record_id: String,
        /// When the withdrawal was recorded.
        at: Timestamp,
    },
    /// Process manager: a serious new record about a subject on a red list.
    ProposeRemoval {
        /// The record.
        record_id: String,
        /// Its type.
        record_type: String,
        /// When the record was recorded.
        at: Timestamp,
    },
}
