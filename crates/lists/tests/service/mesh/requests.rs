//! Requests as officers make them, and what they are answered.

use jiff::Timestamp;
use tally_auth::Caller;
use tally_domain::department::OfficerId;
use tally_eventlog::pb as log;
use tally_proto::tally::lists::v1 as pb;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};
use uuid::Uuid;

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// A new command id.
pub fn id() -> String {
    Uuid::now_v7().to_string()
}

/// A request of the operator, who sees every entry.
pub fn by_operator<T>(message: T) -> Request<T> {
    from(Caller::operator(), message)
}

/// A request by the n-th officer of a department.
pub fn by<T>(department: &str, officer: u128, message: T) -> Request<T> {
    let department = department.parse().expect("valid");
    let officer = OfficerId(Uuid::from_u128(officer));
    from(Caller::of_officer(department, officer), message)
}

pub fn from<T>(caller: Caller, message: T) -> Request<T> {
    let mut extensions = tonic::Extensions::new();
    caller.attach(&mut extensions);
    Request::from_parts(MetadataMap::new(), extensions, message)
}

pub fn document(number: &str) -> Option<log::DocumentRef> {
    Some(log::DocumentRef {
        number: number.into(),
        ..log::DocumentRef::default()
    })
}

pub fn basis(id: &str) -> Option<log::LegalBasisRef> {
    Some(log::LegalBasisRef {
        id: id.into(),
        version: 1,
    })
}

pub fn nominate(subject: &str, ground_record_id: &str, term: (&str, &str)) -> pb::NominateRequest {
    pb::NominateRequest {
        command_id: id(),
        subject: subject.into(),
        list_type: "serious-violation".into(),
        ground_record_id: ground_record_id.into(),
        criterion: "repeated evasion".into(),
        legal_basis: basis("tally-credit-regulations/20"),
        term_from: term.0.into(),
        term_until: term.1.into(),
    }
}

pub fn notify(entry_id: &str) -> pb::NotifyRequest {
    pb::NotifyRequest {
        command_id: id(),
        entry_id: entry_id.into(),
        served_on: "2026-02-12".into(),
        proof_of_service: document("Receipt 1"),
    }
}

pub fn list(entry_id: &str) -> pb::ListRequest {
    pb::ListRequest {
        command_id: id(),
        entry_id: entry_id.into(),
        decision: document("Listing 1"),
    }
}

pub fn object(entry_id: &str) -> pb::AcceptObjectionRequest {
    pb::AcceptObjectionRequest {
        command_id: id(),
        entry_id: entry_id.into(),
        objection: document("Objection 1"),
    }
}

pub fn uphold(entry_id: &str) -> pb::UpholdRequest {
    pb::UpholdRequest {
        command_id: id(),
        entry_id: entry_id.into(),
        decision: document("Decision 2"),
        reason: "the facts stand".into(),
    }
}

pub fn correct_out(entry_id: &str) -> pb::CorrectOutRequest {
    pb::CorrectOutRequest {
        command_id: id(),
        entry_id: entry_id.into(),
        decision: document("Decision 1"),
        reason: "another company was meant".into(),
    }
}

pub fn link(subject: &str, linked_subject: &str) -> pb::LinkIdentifiersRequest {
    pb::LinkIdentifiersRequest {
        command_id: id(),
        subject: subject.into(),
        linked_subject: linked_subject.into(),
        evidence: document("Register extract 1"),
        legal_basis: basis("tally-credit-regulations/20"),
    }
}

/// Stable reason of a refusal.
pub fn reason(status: &Status) -> String {
    use tonic_types::StatusExt as _;
    let info = status.get_details_error_info();
    info.map(|info| info.reason).unwrap_or_default()
}

/// Stable reasons of all faults of a message.
pub fn reasons(status: &Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let faults = status.get_details_bad_request();
    let faults = faults
        .map(|faults| faults.field_violations)
        .unwrap_or_default();
    faults.into_iter().map(|fault| fault.reason).collect()
}
