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
        push_by: "2026-01-14".into(),
        late_working_days: 2,
        accepted_on: "2026-01-16".into(),
        ..Default::default()
    };
    event(record, RECORD_ACCEPTED, &payload)
}

fn corrected(record: &str) -> Recorded {
    let payload = pb::RecordCorrected {
        content: Some(content("2026-01-02")),
        reason: "x".into(),
        corrected_on: "2026-02-01".into(),
    };
    event(record, RECORD_CORRECTED, &payload)
}

fn withdrawn(record: &str) -> Recorded {
    let payload = pb::RecordWithdrawn {
        record_type: PENALTY.into(),
        withdrawn_on: "2026-02-28".into(),
        ..Default::default()
    };
    event(record, RECORD_WITHDRAWN, &payload)
}

fn refused(on: &str) -> Recorded {
    let rows = |record_type: &str, rows| pb::RefusedRows {
        record_type: record_type.into(),
        rows,
        reasons: vec![pb::ReasonCount {
            reason: "DATE_FORM".into(),
            rows,
        }],
    };
    let payload = pb::RefusalsCounted {
        refused_on: on.into(),
        refused: vec![rows("", 1), rows(PENALTY, 4)],
    };
    event(BUREAU, REFUSALS_COUNTED, &payload)
}

fn month_key(month: &str, record_type: &str) -> Vec<u8> {
    [BUREAU, month, record_type].join("\0").into_bytes()
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
        refused("2026-02-03"),
        refused("2026-02-28"),
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
    let figures = |month, record_type| {
        let row = row(TIMELINESS_VIEW, &month_key(month, record_type));
        let row = pb::TimelinessRow::decode(row).expect("a row");
        row.figures.expect("figures")
    };
    let january = pb::TimelinessFigures {
        reported: 2,
        late_up_to_three: 2,
        late_working_days: 4,
        late_working_days_max: 2,
        ..Default::default()
    };
    assert_eq!(figures("2026-01", PENALTY), january);
    let refused_for = |rows| {
        vec![pb::ReasonCount {
            reason: "DATE_FORM".into(),
            rows,
        }]
    };
    let february = pb::TimelinessFigures {
        corrected: 2,
        withdrawn: 1,
        refused: 8,
        refused_for: refused_for(8),
        ..Default::default()
    };
    assert_eq!(figures("2026-02", PENALTY), february);
    let of_no_type = pb::TimelinessFigures {
        refused: 2,
        refused_for: refused_for(2),
        ..Default::default()
    };
    assert_eq!(figures("2026-02", ""), of_no_type);
    assert_eq!(rows.len(), 5);
}

/// The rows of a place in quarantine that was given up, and of one that was handed in again, on
/// these legal days; all was recorded in March.
fn quarantined(kept_on: &str, left_on: &str) -> Vec<Recorded> {
    let (department, record_type) = (BUREAU.to_owned(), PENALTY.to_owned());
    let quarantined_at = Some(prost_types::Timestamp::default());
    let kept = pb::RowQuarantined {
        department: department.clone(),
        record_type: record_type.clone(),
        content: Some(Default::default()),
        quarantined_at,
        quarantined_on: kept_on.to_owned(),
        ..Default::default()
    };
    let resubmitted = pb::RowResubmitted {
        department: department.clone(),
        record_type: record_type.clone(),
        quarantined_at,
        resubmitted_on: left_on.to_owned(),
        ..Default::default()
    };
    let discarded = pb::RowDiscarded {
        department,
        record_type,
        quarantined_at,
        discarded_on: left_on.to_owned(),
        ..Default::default()
    };
    let events = [
        event("a", ROW_QUARANTINED, &kept),
        event("b", ROW_QUARANTINED, &kept),
        event("a", ROW_RESUBMITTED, &resubmitted),
        event("b", ROW_DISCARDED, &discarded),
    ];
    // A row is kept from the moment on that its leaving names.
    let at_zero = events.into_iter().map(|event| Recorded {
        effective_at: jiff::Timestamp::UNIX_EPOCH,
        ..event
    });
    at_zero.collect()
}

#[test]
fn a_row_counts_in_the_month_of_its_legal_day() {
    let figures = |kept_on: &str, left_on: &str| {
        let mut fold = Fold::new(&CollectionViews);
        for event in quarantined(kept_on, left_on) {
            fold.apply(&event).expect("it can be applied");
        }
        let rows = fold.into_rows().into_iter();
        let rows = rows.filter(|(key, _)| key.view == TIMELINESS_VIEW);
        let figures = rows.map(|(key, value)| {
            let row = pb::TimelinessRow::decode(value).expect("a row");
            let it = row.figures.expect("figures");
            (
                key.key.to_vec(),
                [it.quarantined, it.resubmitted, it.discarded],
            )
        });
        figures.collect::<Vec<_>>()
    };
    let expected = |months: &[(&str, [u64; 3])]| {
        let of = |(month, figures): &(&str, [u64; 3])| (month_key(month, PENALTY), *figures);
        months.iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(
        figures("2026-03-31", "2026-04-01"),
        expected(&[("2026-03", [2, 0, 0]), ("2026-04", [0, 1, 1])])
    );
    // From before the day was noted.
    assert_eq!(figures("", ""), expected(&[("2026-03", [2, 1, 1])]));
}

#[test]
fn an_event_from_before_the_day_was_noted_counts_in_the_month_it_was_recorded() {
    let views = CollectionViews;
    let payload = pb::RecordAccepted {
        content: Some(content("2026-01-01")),
        ..Default::default()
    };
    let mut fold = Fold::new(&views);
    fold.apply(&event("a", RECORD_ACCEPTED, &payload))
        .expect("it can be applied");
    let rows = fold.into_rows();
    let key = month_key("2026-03", PENALTY);
    assert!(rows.keys().any(|row| row.key == key), "{rows:?}");
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
