//! What is stored is what is read back.

use tally_eventlog::aggregate::{Aggregate, Codec};

use super::event_type;
use crate::entry::{Entry, Event, Fact};
use crate::link::{self, Link};
use crate::testing::*;

fn all_facts() -> Vec<Event> {
    vec![
        nominated(),
        notified(),
        represented(),
        event(Fact::Represented {
            document: Some(document("Answer 1")),
        }),
        listed(),
        event(Fact::Dropped {
            reason: "facts did not hold".into(),
        }),
        suspended(),
        event(Fact::Upheld(decision())),
        event(Fact::CorrectedOut(decision())),
        event(Fact::Removed(decision())),
        expired(),
        event(Fact::DeadlineFixed {
            representation_until: notice().representation_until,
            provisional: true,
        }),
        event(Fact::GroundWithdrawn {
            record_id: RECORD_ID.into(),
        }),
        event(Fact::RemovalProposed {
            record_id: RECORD_ID.into(),
            record_type: "x".into(),
        }),
    ]
}

#[test]
fn events_of_an_entry_are_read_back_as_written() {
    for event in all_facts() {
        let by = match &event.fact {
            Fact::Listed(listing) => listing.by.clone(),
            Fact::Suspended { by, .. } => by.clone(),
            _ => officer(CITY, 1),
        };
        let encoded = Entry::encode(&event);
        assert!(event_type::ALL.contains(&encoded.event_type));
        let recorded = recorded(Entry::CATEGORY, ENTRY_ID, SUBJECT, &by, encoded, 0);
        assert_eq!(Entry::decode(&recorded).expect("decodes"), event);
    }
}

#[test]
fn events_of_a_link_are_read_back_as_written() {
    let by = officer(CITY, 1);
    let facts = [
        link::Fact::Linked {
            linked_subject: "cn-orgcode:71430580X".into(),
            evidence: document("Evidence 1"),
            department: Some(by.department.clone()),
        },
        link::Fact::Unlinked {
            linked_subject: "cn-orgcode:71430580X".into(),
            reason: "another".into(),
        },
    ];
    for fact in facts {
        let basis = matches!(fact, link::Fact::Linked { .. }).then(basis);
        let event = link::Event {
            at: noon(),
            basis,
            fact,
        };
        let recorded = recorded(Link::CATEGORY, "l", SUBJECT, &by, Link::encode(&event), 0);
        assert_eq!(Link::decode(&recorded).expect("decodes"), event);
    }
}

#[test]
fn what_is_not_an_event_of_an_entry_is_named() {
    let by = officer(CITY, 1);
    let mut unknown = recorded(
        Entry::CATEGORY,
        ENTRY_ID,
        SUBJECT,
        &by,
        Entry::encode(&nominated()),
        7,
    );
    unknown.envelope.event_type = "tally.lists.v1.EntryMoved".into();
    let error = Entry::decode(&unknown).expect_err("unknown").to_string();
    assert!(
        error.contains("EntryMoved") && error.contains('7'),
        "{error}"
    );

    let mut unbased = recorded(
        Entry::CATEGORY,
        ENTRY_ID,
        SUBJECT,
        &by,
        Entry::encode(&nominated()),
        0,
    );
    unbased.envelope.legal_basis = None;
    assert!(
        Entry::decode(&unbased).is_err(),
        "no entry is without a legal basis"
    );
}
