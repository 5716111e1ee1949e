//! Values for the tests of this crate.

use jiff::Timestamp;
use jiff::civil::date;
use tally_domain::date::Term;
use tally_domain::department::{DepartmentId, OfficerId};
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::aggregate::Encoded;
use tally_eventlog::event::{Recorded, to_proto_time, uuid_bytes};
use tally_eventlog::pb;
use tally_eventlog::shard::Shard;
use tally_service::logs;
use uuid::Uuid;

use crate::entry::{Decision, Event, Fact, Listing, Nomination, Notice, Officer};

pub const PROVINCE: &str = "11990000MB0000107X";
pub const CITY: &str = "11990100MB0000203C";
pub const COUNTY: &str = "11990102MB000030XF";
pub const SUBJECT: &str = "cn-uscc:9152000071430580XT";
pub const ENTRY_ID: &str = "5f0c954e-0f2c-4b8e-9d59-6a1f4f0f7c11";
pub const RECORD_ID: &str = "0f0c954e-0f2c-4b8e-9d59-6a1f4f0f7c11";

pub fn department(id: &str) -> DepartmentId {
    id.parse().expect("valid")
}

/// The n-th officer of a department.
pub fn officer(department_id: &str, n: u128) -> Officer {
    Officer {
        department: department(department_id),
        id: OfficerId(Uuid::from_u128(n)),
    }
}

pub fn document(number: &str) -> pb::DocumentRef {
    pb::DocumentRef {
        number: number.into(),
        ..pb::DocumentRef::default()
    }
}

pub fn decision() -> Decision {
    Decision {
        document: document("Decision 7"),
        reason: "facts were verified".into(),
    }
}

pub fn basis() -> LegalBasisRef {
    LegalBasisRef::new("tally-credit-regulations/20", 1)
}

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

/// The time at which everything is decided.
pub fn noon() -> Timestamp {
    at("2026-03-02T04:00:00Z")
}

pub fn event(fact: Fact) -> Event {
    Event {
        at: noon(),
        basis: basis(),
        fact,
    }
}

pub fn term() -> Term {
    Term::new(date(2026, 1, 5), Some(date(2027, 1, 4))).expect("in order")
}

/// Nominated by officer 1 of the city.
pub fn nominated() -> Event {
    event(Fact::Nominated(Nomination {
        by: officer(CITY, 1),
        subject: SUBJECT.into(),
        list_type: "serious-violation".into(),
        ground_record_id: RECORD_ID.into(),
        ground_document_number: "Penalty 1".into(),
        criterion: "repeated evasion".into(),
        term: term(),
        pack_version: "2026.1".into(),
    }))
}

pub fn notice() -> Notice {
    Notice {
        served_on: date(2026, 3, 2),
        proof: document("Receipt 3"),
        representation_until: date(2026, 3, 9),
        provisional: false,
    }
}

pub fn notified() -> Event {
    event(Fact::Notified(notice()))
}

pub fn represented() -> Event {
    event(Fact::Represented { document: None })
}

/// Listed by officer 2 of the city, from the first day of the term.
pub fn listed() -> Event {
    let fact = Fact::Listed(Listing {
        by: officer(CITY, 2),
        list_type: "serious-violation".into(),
        term: term(),
        ground_record_id: RECORD_ID.into(),
        decision: document("Listing 5"),
    });
    Event {
        at: at("2026-01-04T16:00:00Z"),
        ..event(fact)
    }
}

/// Suspended by officer 3 of the city.
pub fn suspended() -> Event {
    suspended_by(officer(CITY, 3))
}

pub fn suspended_by(by: Officer) -> Event {
    event(Fact::Suspended {
        by,
        objection: document("Objection 1"),
    })
}

pub fn expired() -> Event {
    let fact = Fact::Expired {
        term_until: date(2027, 1, 4),
    };
    Event {
        at: at("2027-01-04T16:00:00Z"),
        ..event(fact)
    }
}

/// An encoded event as it is read back from the log.
pub fn recorded(
    category: &str,
    stream_id: &str,
    subject: &str,
    by: &Officer,
    encoded: Encoded,
    n: u64,
) -> Recorded {
    let envelope = pb::Envelope {
        category: category.into(),
        stream_id: stream_id.into(),
        version: n,
        event_type: encoded.event_type.into(),
        subject: subject.into(),
        actor: Some(pb::Actor {
            department: by.department.to_string(),
            officer: uuid_bytes(by.id.0),
            role: pb::ActorRole::Officer.into(),
        }),
        legal_basis: encoded.legal_basis.map(|basis| pb::LegalBasisRef {
            id: basis.id,
            version: basis.version,
        }),
        pack_version: "2026.1".into(),
        effective_at: Some(to_proto_time(encoded.effective_at)),
        payload: encoded.payload,
        ..pb::Envelope::default()
    };
    Recorded {
        log: logs::LISTS,
        log_id: Uuid::nil(),
        shard: Shard(3),
        position: n,
        recorded_at: noon(),
        effective_at: encoded.effective_at,
        leaf: [0; 32],
        envelope,
    }
}
