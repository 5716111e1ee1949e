//! The rows that events make.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use tally_eventlog::aggregate::{Aggregate, Codec, Encoded, given};
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Fold, Projection};
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::lists::v1 as pb;

use super::*;
use crate::codec::{collection_event_type, entry_to_proto};
use crate::entry::{Entry, Event, Fact, Notice};
use crate::link::{self, Link};
use crate::testing::*;

type Rows = BTreeMap<RowKey, Bytes>;

fn project(events: &[Event]) -> Rows {
    let projection = EntriesProjection;
    let mut fold = Fold::new(&projection);
    for (event, n) in events.iter().zip(0..) {
        let by = match &event.fact {
            Fact::Listed(listing) => listing.by.clone(),
            Fact::Suspended { by, .. } => by.clone(),
            _ => officer(CITY, 1),
        };
        let encoded = Entry::encode(event);
        assert!(projection.knows(encoded.event_type));
        fold.apply(&recorded(
            Entry::CATEGORY,
            ENTRY_ID,
            SUBJECT,
            &by,
            encoded,
            n,
        ))
        .expect("applies");
    }
    fold.into_rows()
}

fn get<M: prost::Message + Default>(rows: &Rows, view: &str) -> Vec<M> {
    rows.iter()
        .filter(|(key, _)| key.view == view)
        .map(|(_, value)| M::decode(value.clone()).expect("decodes"))
        .collect()
}

#[test]
fn the_view_of_an_entry_agrees_with_its_aggregate_after_every_event() {
    let proposed = event(Fact::RemovalProposed {
        record_id: RECORD_ID.into(),
        record_type: "x".into(),
    });
    let life = [
        nominated(),
        notified(),
        represented(),
        listed(),
        proposed,
        event(Fact::GroundWithdrawn {
            record_id: RECORD_ID.into(),
        }),
        suspended(),
        event(Fact::Upheld(decision())),
        suspended(),
        event(Fact::CorrectedOut(decision())),
    ];
    for length in 1..=life.len() {
        let rows = project(&life[..length]);
        let state = given::<Entry>(life[..length].to_vec()).state;
        let viewed = get::<pb::EntryRow>(&rows, ENTRY_VIEW)
            .pop()
            .and_then(|row| row.entry);
        assert_eq!(viewed, entry_to_proto(ENTRY_ID, &state));
        let subject = get::<pb::SubjectRow>(&rows, SUBJECT_VIEW)
            .pop()
            .expect("present");
        assert_eq!(subject.entry_ids, [ENTRY_ID]);
    }
}

#[test]
fn a_listed_entry_is_due_on_the_day_after_its_last_day_until_it_ends() {
    let due = |events: &[Event]| {
        let rows = project(events);
        let keys: Vec<Vec<u8>> = rows
            .keys()
            .filter(|key| key.view == TIMER_VIEW)
            .map(|key| key.key.to_vec())
            .collect();
        keys
    };
    assert!(due(&[nominated(), notified()]).is_empty());
    let key = [b"2027-01-05".as_slice(), &[0], ENTRY_ID.as_bytes()].concat();
    assert_eq!(due(&[nominated(), listed()]), [key.as_slice()]);
    assert_eq!(due(&[nominated(), listed(), suspended()]), [key]);
    for end in [
        event(Fact::Removed(decision())),
        event(Fact::CorrectedOut(decision())),
        expired(),
    ] {
        assert!(due(&[nominated(), listed(), end]).is_empty());
    }
}

#[test]
fn a_provisional_day_is_due_by_the_day_until_it_is_fixed_or_answered() {
    let rows_of = |events: &[Event]| {
        let rows = project(events);
        let rows = rows.keys().filter(|key| key.view == PROVISIONAL_VIEW);
        rows.map(|key| key.key.to_vec()).collect::<Vec<_>>()
    };
    let told = event(Fact::Notified(Notice {
        provisional: true,
        ..notice()
    }));
    let fixed = |day, provisional| {
        event(Fact::DeadlineFixed {
            representation_until: jiff::civil::date(2026, 3, day),
            provisional,
        })
    };
    let key = |day: &str| [day.as_bytes(), &[0], ENTRY_ID.as_bytes()].concat();
    assert!(rows_of(&[nominated(), notified()]).is_empty());
    assert_eq!(rows_of(&[nominated(), told.clone()]), [key("2026-03-09")]);
    let moved = [nominated(), told.clone(), fixed(11, true)];
    assert_eq!(rows_of(&moved), [key("2026-03-11")]);
    for end in [
        fixed(9, false),
        represented(),
        listed(),
        event(Fact::Dropped { reason: "x".into() }),
    ] {
        let history = [nominated(), told.clone(), end];
        assert!(rows_of(&history).is_empty());
        let rows = project(&history);
        let viewed = get::<pb::EntryRow>(&rows, ENTRY_VIEW).pop();
        let state = given::<Entry>(history).state;
        assert_eq!(
            viewed.and_then(|row| row.entry),
            entry_to_proto(ENTRY_ID, &state)
        );
    }
}

#[test]
fn an_event_of_an_entry_that_was_never_nominated_is_poison() {
    let projection = EntriesProjection;
    let mut fold = Fold::new(&projection);
    let stray = recorded(
        Entry::CATEGORY,
        ENTRY_ID,
        SUBJECT,
        &officer(CITY, 2),
        Entry::encode(&listed()),
        0,
    );
    assert!(fold.apply(&stray).is_err());
    assert!(fold.into_rows().is_empty());
}

#[test]
fn links_come_and_go_in_the_subjects_row() {
    let other = "cn-orgcode:71430580X";
    let evidence = document("Evidence 1");
    let linked = link::Fact::Linked {
        linked_subject: other.into(),
        evidence,
        department: None,
    };
    let unlinked = link::Fact::Unlinked {
        linked_subject: other.into(),
        reason: "another".into(),
    };
    let linked_after = |facts: &[&link::Fact]| {
        let projection = EntriesProjection;
        let mut fold = Fold::new(&projection);
        for fact in facts {
            let encoded = Link::encode(&link::Event {
                at: noon(),
                basis: Some(basis()),
                fact: (*fact).clone(),
            });
            let event = recorded(Link::CATEGORY, "l", SUBJECT, &officer(CITY, 1), encoded, 0);
            fold.apply(&event).expect("applies");
        }
        let row = get::<pb::SubjectRow>(&fold.into_rows(), SUBJECT_VIEW)
            .pop()
            .expect("present");
        row.linked_subjects
    };
    assert_eq!(linked_after(&[&linked]), [other]);
    assert_eq!(linked_after(&[&linked, &linked]), [other], "once");
    assert!(linked_after(&[&linked, &unlinked]).is_empty());
}

fn collected(event_type: &'static str, payload: Vec<u8>) -> tally_eventlog::event::Recorded {
    let encoded = Encoded {
        event_type,
        payload: payload.into(),
        effective_at: noon(),
        legal_basis: None,
    };
    recorded(
        "record",
        RECORD_ID,
        SUBJECT,
        &officer(COUNTY, 1),
        encoded,
        0,
    )
}

#[test]
fn a_record_is_a_ground_until_it_is_withdrawn() {
    let content = |number: &str| {
        Some(collection::StoredContent {
            record_type: "administrative-penalty".into(),
            document_number: number.into(),
            ..collection::StoredContent::default()
        })
    };
    let accepted = collection::RecordAccepted {
        content: content("Penalty 1"),
        ..Default::default()
    };
    let corrected = collection::RecordCorrected {
        content: content("Penalty (1)"),
        ..Default::default()
    };
    let withdrawn = collection::RecordWithdrawn::default();
    let projection = GroundsProjection;
    let mut fold = Fold::new(&projection);
    for event in [
        collected(
            collection_event_type::RECORD_ACCEPTED,
            accepted.encode_to_vec(),
        ),
        collected(
            collection_event_type::RECORD_CORRECTED,
            corrected.encode_to_vec(),
        ),
        collected(
            collection_event_type::RECORD_WITHDRAWN,
            withdrawn.encode_to_vec(),
        ),
    ] {
        assert!(projection.knows(&event.envelope.event_type));
        fold.apply(&event).expect("applies");
    }
    // What waits in quarantine is no ground, whatever it says.
    for event_type in collection_event_type::OF_ROWS {
        assert!(projection.knows(event_type));
        fold.apply(&collected(event_type, Vec::new()))
            .expect("passes by");
    }
    let rows = fold.into_rows();
    let expected = pb::GroundRow {
        subject: SUBJECT.into(),
        record_type: "administrative-penalty".into(),
        document_number: "Penalty (1)".into(),
        withdrawn: true,
        department: COUNTY.into(),
    };
    assert_eq!(get::<pb::GroundRow>(&rows, GROUND_VIEW), [expected]);
    assert!(!projection.knows("tally.collection.v1.RecordMoved"));
}
