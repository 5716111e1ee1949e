//! Events and their stored form. An event's type is the full name of its message.

mod entry;
mod link;
#[cfg(test)]
mod tests;

use tally_domain::date::{LegalDate, parse_legal_date};
use tally_domain::department::OfficerId;
use tally_eventlog::event::{DecodeError, Recorded};
use tally_service::command::stored_actor;

pub use entry::{entry_to_proto, state_to_proto};

use crate::entry::Officer;

/// Types of the events of lists.
pub mod event_type {
    /// A first officer nominated the subject.
    pub const ENTRY_NOMINATED: &str = "tally.lists.v1.EntryNominated";
    /// The subject was told.
    pub const SUBJECT_NOTIFIED: &str = "tally.lists.v1.SubjectNotified";
    /// The subject answered or waived.
    pub const REPRESENTATION_RECEIVED: &str = "tally.lists.v1.RepresentationReceived";
    /// A second officer listed the subject.
    pub const ENTRY_LISTED: &str = "tally.lists.v1.EntryListed";
    /// The nomination was dropped.
    pub const ENTRY_DROPPED: &str = "tally.lists.v1.EntryDropped";
    /// An objection was accepted.
    pub const ENTRY_SUSPENDED: &str = "tally.lists.v1.EntrySuspended";
    /// The listing stands.
    pub const ENTRY_UPHELD: &str = "tally.lists.v1.EntryUpheld";
    /// The listing was wrong.
    pub const ENTRY_CORRECTED_OUT: &str = "tally.lists.v1.EntryCorrectedOut";
    /// A first officer asked that a red entry be taken off.
    pub const REMOVAL_REQUESTED: &str = "tally.lists.v1.RemovalRequested";
    /// Taken off before its term.
    pub const ENTRY_REMOVED: &str = "tally.lists.v1.EntryRemoved";
    /// The term is over.
    pub const ENTRY_EXPIRED: &str = "tally.lists.v1.EntryExpired";
    /// A holiday notice decided a day that had been provisional.
    pub const DEADLINE_FIXED: &str = "tally.lists.v1.DeadlineFixed";
    /// The record that an entry rests on was withdrawn.
    pub const GROUND_WITHDRAWN: &str = "tally.lists.v1.GroundWithdrawn";
    /// A serious new record about a subject on a red list.
    pub const REMOVAL_PROPOSED: &str = "tally.lists.v1.RemovalProposed";
    /// Two identifiers are one organisation.
    pub const IDENTIFIER_LINKED: &str = "tally.lists.v1.IdentifierLinked";
    /// They are not.
    pub const IDENTIFIER_UNLINKED: &str = "tally.lists.v1.IdentifierUnlinked";

    /// All of them.
    pub const ALL: [&str; 16] = [
        ENTRY_NOMINATED,
        SUBJECT_NOTIFIED,
        REPRESENTATION_RECEIVED,
        ENTRY_LISTED,
        ENTRY_DROPPED,
        ENTRY_SUSPENDED,
        ENTRY_UPHELD,
        ENTRY_CORRECTED_OUT,
        REMOVAL_REQUESTED,
        ENTRY_REMOVED,
        ENTRY_EXPIRED,
        DEADLINE_FIXED,
        GROUND_WITHDRAWN,
        REMOVAL_PROPOSED,
        IDENTIFIER_LINKED,
        IDENTIFIER_UNLINKED,
    ];
}

/// Types of the events of collection, the other log that lists follows.
pub mod collection_event_type {
    /// A record was accepted.
    pub const RECORD_ACCEPTED: &str = "tally.collection.v1.RecordAccepted";
    /// Its department corrected it.
    pub const RECORD_CORRECTED: &str = "tally.collection.v1.RecordCorrected";
    /// Its department withdrew it.
    pub const RECORD_WITHDRAWN: &str = "tally.collection.v1.RecordWithdrawn";

    /// Those of records.
    pub const OF_RECORDS: [&str; 3] = [RECORD_ACCEPTED, RECORD_CORRECTED, RECORD_WITHDRAWN];
    /// Those of refused rows, counted or waiting in quarantine: they are no records, and pass by.
    pub const OF_ROWS: [&str; 6] = [
        "tally.collection.v1.RefusalsCounted",
        "tally.collection.v1.RowQuarantined",
        "tally.collection.v1.RowCorrected",
        "tally.collection.v1.RowTaken",
        "tally.collection.v1.RowResubmitted",
        "tally.collection.v1.RowDiscarded",
    ];
}

fn fault(recorded: &Recorded, reason: impl Into<String>) -> DecodeError {
    DecodeError {
        log: recorded.log,
        shard: recorded.shard,
        position: recorded.position,
        reason: format!("{}: {}", recorded.envelope.event_type, reason.into()),
    }
}

fn date(recorded: &Recorded, field: &str, text: &str) -> Result<LegalDate, DecodeError> {
    parse_legal_date(text).map_err(|error| fault(recorded, format!("{field}: {error}")))
}

fn required<T>(recorded: &Recorded, field: &str, value: Option<T>) -> Result<T, DecodeError> {
    value.ok_or_else(|| fault(recorded, format!("{field} is missing")))
}

/// The officer who decided, from the envelope.
fn officer(recorded: &Recorded) -> Result<Officer, DecodeError> {
    let (department, officer) = stored_actor(recorded.envelope.actor.as_ref());
    let department = department
        .parse()
        .map_err(|_| fault(recorded, "the actor is no department's"))?;
    let id = required(recorded, "the deciding officer", officer)?;
    Ok(Officer {
        department,
        id: OfficerId(id),
    })
}
