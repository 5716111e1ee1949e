//! Events of an entry, and the entry as the contract shows it.

use prost::Message as _;
use tally_domain::date::{LegalDate, Term};
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::aggregate::{Codec, Encoded};
use tally_eventlog::event::{DecodeError, Recorded, to_proto_time};
use tally_eventlog::pb::LegalBasisRef as StoredBasis;
use tally_proto::tally::lists::v1 as pb;

use super::{date, event_type, fault, officer, required};
use crate::entry::{Decision, Entry, Event, Fact, Listing, Nomination, Notice, State};

impl Codec for Entry {
    fn encode(event: &Event) -> Encoded {
        let (event_type, payload) = encode_fact(&event.fact);
        Encoded {
            event_type,
            payload: payload.into(),
            effective_at: event.at,
            legal_basis: Some(event.basis.clone()),
        }
    }

    fn decode(recorded: &Recorded) -> Result<Event, DecodeError> {
        let basis = required(
            recorded,
            "the legal basis",
            recorded.envelope.legal_basis.as_ref(),
        )?;
        let basis = LegalBasisRef::new(basis.id.clone(), basis.version);
        Ok(Event {
            at: recorded.effective_at,
            basis,
            fact: decode_fact(recorded)?,
        })
    }
}

fn encode_fact(fact: &Fact) -> (&'static str, Vec<u8>) {
    match fact {
        Fact::Nominated(nomination) => {
            let payload = pb::EntryNominated {
                list_type: nomination.list_type.clone(),
                ground_record_id: nomination.ground_record_id.clone(),
                ground_document_number: nomination.ground_document_number.clone(),
                criterion: nomination.criterion.clone(),
                term_from: nomination.term.from.to_string(),
                term_until: date_or_empty(nomination.term.until),
            };
            (event_type::ENTRY_NOMINATED, payload.encode_to_vec())
        }
        Fact::Notified(notice) => {
            let payload = pb::SubjectNotified {
                served_on: notice.served_on.to_string(),
                proof_of_service: Some(notice.proof.clone()),
                representation_until: notice.representation_until.to_string(),
                provisional: notice.provisional,
            };
            (event_type::SUBJECT_NOTIFIED, payload.encode_to_vec())
        }
        Fact::Represented { document } => {
            let payload = pb::RepresentationReceived {
                document: document.clone(),
                waived: document.is_none(),
            };
            (event_type::REPRESENTATION_RECEIVED, payload.encode_to_vec())
        }
        Fact::Listed(listing) => {
            let payload = pb::EntryListed {
                list_type: listing.list_type.clone(),
                term_from: listing.term.from.to_string(),
                term_until: date_or_empty(listing.term.until),
                decision: Some(listing.decision.clone()),
                ground_record_id: listing.ground_record_id.clone(),
            };
            (event_type::ENTRY_LISTED, payload.encode_to_vec())
        }
        Fact::Dropped { reason } => (
            event_type::ENTRY_DROPPED,
            pb::EntryDropped {
                reason: reason.clone(),
            }
            .encode_to_vec(),
        ),
        Fact::Suspended { objection, .. } => {
            let payload = pb::EntrySuspended {
                objection: Some(objection.clone()),
            };
            (event_type::ENTRY_SUSPENDED, payload.encode_to_vec())
        }
        Fact::Upheld(Decision { document, reason }) => {
            let payload = pb::EntryUpheld {
                decision: Some(document.clone()),
                reason: reason.clone(),
            };
            (event_type::ENTRY_UPHELD, payload.encode_to_vec())
        }
        Fact::CorrectedOut(Decision { document, reason }) => {
            let payload = pb::EntryCorrectedOut {
                decision: Some(document.clone()),
                reason: reason.clone(),
            };
            (event_type::ENTRY_CORRECTED_OUT, payload.encode_to_vec())
        }
        Fact::RemovalRequested {
            request: Decision { document, reason },
            ..
        } => {
            let payload = pb::RemovalRequested {
                document: Some(document.clone()),
                reason: reason.clone(),
            };
            (event_type::REMOVAL_REQUESTED, payload.encode_to_vec())
        }
        Fact::Removed(Decision { document, reason }) => {
            let payload = pb::EntryRemoved {
                decision: Some(document.clone()),
                reason: reason.clone(),
            };
            (event_type::ENTRY_REMOVED, payload.encode_to_vec())
        }
        Fact::Expired { term_until } => {
            let payload = pb::EntryExpired {
                term_until: term_until.to_string(),
            };
            (event_type::ENTRY_EXPIRED, payload.encode_to_vec())
        }
        Fact::DeadlineFixed {
            representation_until,
            provisional,
        } => {
            let payload = pb::DeadlineFixed {
                representation_until: representation_until.to_string(),
                provisional: *provisional,
            };
            (event_type::DEADLINE_FIXED, payload.encode_to_vec())
        }
        Fact::GroundWithdrawn { record_id } => {
            let payload = pb::GroundWithdrawn {
                record_id: record_id.clone(),
            };
            (event_type::GROUND_WITHDRAWN, payload.encode_to_vec())
        }
        Fact::RemovalProposed {
            record_id,
            record_type,
        } => {
            let payload = pb::RemovalProposed {
                record_id: record_id.clone(),
                record_type: record_type.clone(),
            };
            (event_type::REMOVAL_PROPOSED, payload.encode_to_vec())
        }
    }
}

fn decode_fact(recorded: &Recorded) -> Result<Fact, DecodeError> {
    Ok(match recorded.envelope.event_type.as_str() {
        event_type::ENTRY_NOMINATED => Fact::Nominated(nomination(recorded)?),
        event_type::SUBJECT_NOTIFIED => Fact::Notified(notice(recorded)?),
        event_type::REPRESENTATION_RECEIVED => {
            let payload: pb::RepresentationReceived = recorded.payload()?;
            Fact::Represented {
                document: payload.document,
            }
        }
        event_type::ENTRY_LISTED => Fact::Listed(listing(recorded)?),
        event_type::ENTRY_DROPPED => {
            let payload: pb::EntryDropped = recorded.payload()?;
            Fact::Dropped {
                reason: payload.reason,
            }
        }
        event_type::ENTRY_SUSPENDED => {
            let payload: pb::EntrySuspended = recorded.payload()?;
            Fact::Suspended {
                by: officer(recorded)?,
                objection: required(recorded, "objection", payload.objection)?,
            }
        }
        event_type::ENTRY_UPHELD => {
            let payload: pb::EntryUpheld = recorded.payload()?;
            let document = required(recorded, "decision", payload.decision)?;
            Fact::Upheld(Decision {
                document,
                reason: payload.reason,
            })
        }
        event_type::ENTRY_CORRECTED_OUT => {
            let payload: pb::EntryCorrectedOut = recorded.payload()?;
            let document = required(recorded, "decision", payload.decision)?;
            Fact::CorrectedOut(Decision {
                document,
                reason: payload.reason,
            })
        }
        event_type::REMOVAL_REQUESTED => {
            let payload: pb::RemovalRequested = recorded.payload()?;
            let document = required(recorded, "document", payload.document)?;
            Fact::RemovalRequested {
                by: officer(recorded)?,
                request: Decision {
                    document,
                    reason: payload.reason,
                },
            }
        }
        event_type::ENTRY_REMOVED => {
            let payload: pb::EntryRemoved = recorded.payload()?;
            let document = required(recorded, "decision", payload.decision)?;
            Fact::Removed(Decision {
                document,
                reason: payload.reason,
            })
        }
        event_type::ENTRY_EXPIRED => {
            let payload: pb::EntryExpired = recorded.payload()?;
            Fact::Expired {
                term_until: date(recorded, "term_until", &payload.term_until)?,
            }
        }
        event_type::DEADLINE_FIXED => {
            let payload: pb::DeadlineFixed = recorded.payload()?;
            let until = &payload.representation_until;
            Fact::DeadlineFixed {
                representation_until: date(recorded, "representation_until", until)?,
                provisional: payload.provisional,
            }
        }
        event_type::GROUND_WITHDRAWN => {
            let payload: pb::GroundWithdrawn = recorded.payload()?;
            Fact::GroundWithdrawn {
                record_id: payload.record_id,
            }
        }
        event_type::REMOVAL_PROPOSED => {
            let payload: pb::RemovalProposed = recorded.payload()?;
            Fact::RemovalProposed {
                record_id: payload.record_id,
                record_type: payload.record_type,
            }
        }
        _ => {
            return Err(fault(
                recorded,
                "not an event of an entry; a newer version wrote it",
            ));
        }
    })
}

fn nomination(recorded: &Recorded) -> Result<Nomination, DecodeError> {
    let payload: pb::EntryNominated = recorded.payload()?;
    Ok(Nomination {
        by: officer(recorded)?,
        subject: recorded.envelope.subject.clone(),
        list_type: payload.list_type,
        ground_record_id: payload.ground_record_id,
        ground_document_number: payload.ground_document_number,
        criterion: payload.criterion,
        term: term(recorded, &payload.term_from, &payload.term_until)?,
        pack_version: recorded.envelope.pack_version.clone(),
    })
}

fn notice(recorded: &Recorded) -> Result<Notice, DecodeError> {
    let payload: pb::SubjectNotified = recorded.payload()?;
    Ok(Notice {
        served_on: date(recorded, "served_on", &payload.served_on)?,
        proof: required(recorded, "proof_of_service", payload.proof_of_service)?,
        representation_until: date(
            recorded,
            "representation_until",
            &payload.representation_until,
        )?,
        provisional: payload.provisional,
    })
}

fn listing(recorded: &Recorded) -> Result<Listing, DecodeError> {
    let payload: pb::EntryListed = recorded.payload()?;
    Ok(Listing {
        by: officer(recorded)?,
        list_type: payload.list_type,
        term: term(recorded, &payload.term_from, &payload.term_until)?,
        ground_record_id: payload.ground_record_id,
        decision: required(recorded, "decision", payload.decision)?,
    })
}

fn term(recorded: &Recorded, from: &str, until: &str) -> Result<Term, DecodeError> {
    let from = date(recorded, "term_from", from)?;
    let until = if until.is_empty() {
        None
    } else {
        Some(date(recorded, "term_until", until)?)
    };
    Term::new(from, until).map_err(|error| fault(recorded, error.to_string()))
}

fn date_or_empty(date: Option<LegalDate>) -> String {
    date.map(|date| date.to_string()).unwrap_or_default()
}

/// The state as the contract names it.
pub fn state_to_proto(state: State) -> pb::EntryState {
    match state {
        State::Absent => pb::EntryState::Unspecified,
        State::Nominated => pb::EntryState::Nominated,
        State::Notified => pb::EntryState::Notified,
        State::Represented => pb::EntryState::Represented,
        State::Listed => pb::EntryState::Listed,
        State::Dropped => pb::EntryState::Dropped,
        State::Suspended => pb::EntryState::Suspended,
        State::CorrectedOut => pb::EntryState::CorrectedOut,
        State::Removed => pb::EntryState::Removed,
        State::Expired => pb::EntryState::Expired,
    }
}

/// An entry as the contract shows it; nothing if it does not exist.
pub fn entry_to_proto(entry_id: &str, entry: &Entry) -> Option<pb::Entry> {
    let nomination = entry.nomination.as_ref()?;
    let basis = entry.basis.as_ref();
    Some(pb::Entry {
        entry_id: entry_id.to_owned(),
        subject: nomination.subject.clone(),
        list_type: nomination.list_type.clone(),
        department: nomination.by.department.to_string(),
        state: state_to_proto(entry.state).into(),
        term_from: nomination.term.from.to_string(),
        term_until: date_or_empty(nomination.term.until),
        legal_basis: basis.map(|basis| StoredBasis {
            id: basis.id.clone(),
            version: basis.version,
        }),
        ground_record_id: nomination.ground_record_id.clone(),
        removal_proposed_by: entry.removal_proposed_by.clone(),
        representation_until: date_or_empty(
            entry
                .notice
                .as_ref()
                .map(|notice| notice.representation_until),
        ),
        nominated_at: entry.nominated_at.map(to_proto_time),
        ground_withdrawn: entry.ground_withdrawn,
        representation_provisional: entry
            .notice
            .as_ref()
            .is_some_and(|notice| notice.provisional),
    })
}
