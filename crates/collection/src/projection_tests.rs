use prost::Message as _;
use tally_eventlog::consumer::Fold;
use tally_eventlog::pb as log_pb;
use tally_eventlog::shard::Shard;
use tally_service::logs;
use uuid::Uuid;

use super::*;

const BUREAU: &str = "11990000MB0000107X";
const COMPANY: &str = "cn-uscc:9152000071430580XT";
const PENALTY: &str = "administrative-penalty";

fn event(record: &str, event_type: &str, payload: &impl prost::Message) -> Recorded {
    Recorded {
        log: logs::COLLECTION,
        log_id: Uuid::nil(),
        shard: Shard(3),
        position: 0,
        recorded_at: "2026-03-02T01:00:00Z".parse().expect("a timestamp"),
        effective_at: "2026-03-01T16:00:00Z".parse().expect("a timestamp"),
        leaf: [0; 32],
        envelope: log_pb::Envelope {
            category: "record".into(),
            stream_id: record.into(),
            event_type: event_type.into(),
            subject: COMPANY.into(),
            actor: Some(log_pb::Actor {
                department: BUREAU.into(),
                ..Default::default()
            }),
            legal_basis: Some(log_pb::LegalBasisRef {
                id: "regulations/12".into(),
                version: 2,
            }),
            payload: payload.encode_to_vec().into(),
            ..Default::default()
        },
    }
}

fn content(decided_on: &str) -> pb::StoredContent {
    pb::StoredContent {
        record_type: PENALTY.into(),
        decided_on: decided_on.into(),
        ..Default::default()
    }
}

fn accepted(record: &str) -> Recorded {
    let payload = pb::RecordAccepted {
        content: Some(content("2026-01-01")),
        ..Default::default()
    };
    event(record, RECORD_ACCEPTED, &payload)
}

fn corrected(record: &str) -> Recorded {
    let payload = pb::RecordCorrected {
        content: Some(content("2026-01-02")),
        reason: "x".into(),
    };
    event(record, RECORD_CORRECTED, &payload)
}

fn withdrawn(record: &str) -> Recorded {
    let payload = pb::RecordWithdrawn {
        record_type: PENALTY.into(),
        ..Default::default()
    };
    event(record, RECORD_WITHDRAWN, &payload)
}

#[test]
fn a_record_and_its_counts_follow_its_events() {
    let views = CollectionViews;
    let mut fold = Fold::new(&views);
    for event in [
        accepted("a"),
        accepted("b"),
        corrected("a"),
        corrected("a"),
        withdrawn("b"),
    ] {
        fold.apply(&event).expect("it can be applied");
    }
    let rows = fold.into_rows();
    let row = |view: &'static str, key: &[u8]| {
        rows[&RowKey {
            view,
            shard: Shard(3),
            key: Bytes::copy_from_slice(key),
        }]
            .clone()
    };
    let a = pb::RecordRow::decode(row(RECORD_VIEW, b"a")).expect("a row");
    assert_eq!((a.state(), a.corrections), (pb::RecordState::Accepted, 2));
    assert_eq!(a.content, Some(content("2026-01-02")));
    assert_eq!(
        (a.subject.as_str(), a.department.as_str()),
        (COMPANY, BUREAU)
    );
    assert_eq!(
        (a.legal_basis_id.as_str(), a.legal_basis_version),
        ("regulations/12", 2)
    );
    let b = pb::RecordRow::decode(row(RECORD_VIEW, b"b")).expect("a row");
    assert_eq!((b.state(), b.corrections), (pb::RecordState::Withdrawn, 0));
    let key = [BUREAU.as_bytes(), b"\0", PENALTY.as_bytes()].concat();
    let counts = pb::CountRow::decode(row(COUNT_VIEW, &key)).expect("a row");
    assert_eq!(
        (counts.accepted, counts.corrected, counts.withdrawn),
        (2, 2, 1)
    );
    assert_eq!(rows.len(), 3);
}

#[test]
fn a_change_of_what_was_never_accepted_is_poison() {
    let views = CollectionViews;
    for event in [corrected("a"), withdrawn("a")] {
        assert!(Fold::new(&views).apply(&event).is_err());
    }
}

#[test]
fn every_event_type_is_known_and_no_other() {
    assert!(
        EVENT_TYPES
            .iter()
            .all(|event_type| CollectionViews.knows(event_type))
    );
    assert!(!CollectionViews.knows("tally.collection.v1.RecordScored"));
}
