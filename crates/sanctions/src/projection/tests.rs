use std::sync::Arc;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Fold, Projection};
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_eventlog::pb as log;
use tally_eventlog::shard::{LogName, ShardCount};
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::logs;
use uuid::Uuid;

use super::*;
use crate::basis::ListsBasis;
use crate::codec::event_type;
use crate::known;

const LOG_ID: Uuid = Uuid::from_u128(1);
const SUBJECT: &str = "cn-uscc:9152000071430580XT";

fn recorded(
    log: LogName,
    position: u64,
    stream: (&str, &str),
    event_type: &str,
    payload: impl Message,
) -> Recorded {
    Recorded {
        log,
        log_id: LOG_ID,
        shard: ShardCount::default().of(SUBJECT),
        position,
        recorded_at: Timestamp::from_second(position as i64).expect("in range"),
        effective_at: Timestamp::UNIX_EPOCH,
        leaf: [position as u8; 32],
        envelope: log::Envelope {
            category: stream.0.to_owned(),
            stream_id: stream.1.to_owned(),
            event_type: event_type.to_owned(),
            subject: SUBJECT.to_owned(),
            actor: Some(log::Actor {
                department: "us".to_owned(),
                ..log::Actor::default()
            }),
            payload: payload.encode_to_vec().into(),
            ..log::Envelope::default()
        },
    }
}

fn fold(projection: impl Projection, events: &[Recorded]) -> Vec<(RowKey, bytes::Bytes)> {
    let projection = Arc::new(projection);
    let mut fold = Fold::new(&*projection);
    for event in events {
        assert!(projection.knows(&event.envelope.event_type));
        fold.apply(event).expect("applies");
    }
    fold.into_rows().into_iter().collect()
}

fn rows_of<M: Message + Default>(rows: &[(RowKey, bytes::Bytes)], view: &str) -> Vec<M> {
    let of_view = rows.iter().filter(|(row, _)| row.view == view);
    of_view
        .map(|(_, value)| M::decode(value.clone()).expect("decodes"))
        .collect()
}

fn directive(department: &str) -> pb::Directive {
    pb::Directive {
        directive_id: format!("d-{department}"),
        entry_id: "e".to_owned(),
        department: department.to_owned(),
        state: pb::DirectiveState::Triggered.into(),
        ..pb::Directive::default()
    }
}

fn triggered(position: u64, department: &str) -> Recorded {
    let made = directive(department);
    let id = made.directive_id.clone();
    let payload = pb::DirectiveTriggered {
        directive: Some(made),
    };
    recorded(
        logs::SANCTIONS,
        position,
        ("directive", &id),
        event_type::TRIGGERED,
        payload,
    )
}

#[test]
fn mailboxes_are_numbered_without_a_gap_per_department() {
    let suspended = pb::DirectiveSuspended {
        department: "a".to_owned(),
        ..Default::default()
    };
    let received = pb::DirectiveReceived {
        department: "a".to_owned(),
    };
    let events = [
        triggered(0, "a"),
        triggered(1, "b"),
        recorded(
            logs::SANCTIONS,
            2,
            ("directive", "d-a"),
            event_type::RECEIVED,
            received,
        ),
        recorded(
            logs::SANCTIONS,
            3,
            ("directive", "d-a"),
            event_type::SUSPENDED,
            suspended,
        ),
        recorded(
            logs::SANCTIONS,
            4,
            ("correction", "c"),
            event_type::CORRECTION_OPENED,
            pb::CorrectionOpened::default(),
        ),
    ];
    let rows = fold(SelfProjection, &events);
    let items: Vec<pb::MailboxRow> = rows_of(&rows, view::MAILBOX);
    let places: Vec<_> = items
        .iter()
        .map(|item| (item.kind(), item.position))
        .collect();
    let triggered = pb::MailboxItemKind::Triggered;
    assert_eq!(
        places,
        [
            (triggered, 0),
            (pb::MailboxItemKind::Suspended, 3),
            (triggered, 1)
        ]
    );
    let heads: Vec<pb::MailboxHeadRow> = rows_of(&rows, view::MAILBOX_HEAD);
    assert_eq!(
        heads.iter().map(|head| head.number).collect::<Vec<_>>(),
        [2, 1]
    );
    let directives: Vec<pb::DirectiveRow> = rows_of(&rows, view::DIRECTIVE);
    let states: Vec<_> = directives
        .into_iter()
        .map(|row| row.directive.expect("there").state())
        .collect();
    assert_eq!(
        states,
        [pb::DirectiveState::Suspended, pb::DirectiveState::Triggered]
    );
    let entries: Vec<pb::EntryDirectivesRow> = rows_of(&rows, view::ENTRY_DIRECTIVES);
    assert_eq!(entries[0].directive_ids, ["d-a", "d-b"]);
}

fn listing(position: u64, event_type: &str, payload: impl Message) -> Recorded {
    recorded(logs::LISTS, position, ("entry", "e"), event_type, payload)
}

#[test]
fn a_subject_keeps_every_stop_of_its_entries() {
    let events = [
        listing(
            0,
            known::event_type::NOMINATED,
            lists::EntryNominated::default(),
        ),
        listing(1, known::event_type::LISTED, lists::EntryListed::default()),
        listing(
            2,
            known::event_type::SUSPENDED,
            lists::EntrySuspended::default(),
        ),
        listing(3, known::event_type::UPHELD, lists::EntryUpheld::default()),
        listing(
            4,
            known::event_type::EXPIRED,
            lists::EntryExpired::default(),
        ),
    ];
    let rows = fold(ListsProjection, &events);
    let subjects: Vec<pb::SubjectRow> = rows_of(&rows, view::SUBJECT);
    let entry = &subjects[0].entries[0];
    assert_eq!(
        (entry.standing(), entry.stopped_at, entry.stops.len()),
        (pb::Standing::Ended, 5, 2)
    );
    let at = |second| Timestamp::from_second(second).expect("in range");
    let exact = SignedDuration::ZERO;
    let seen = |records| ListsBasis::stored(records, &LOG_ID.into_bytes());
    assert!(
        known::is_stale(entry, seen(2), at(2), exact),
        "recorded with the suspension, without having seen it"
    );
    assert!(
        !known::is_stale(entry, seen(3), at(2), exact),
        "it had seen it"
    );
    assert!(
        !known::is_stale(entry, seen(2), at(1), exact),
        "it was recorded before"
    );
    assert!(
        !known::is_stale(entry, seen(2), at(3), exact),
        "it was upheld by then"
    );
    assert!(
        known::is_stale(entry, seen(2), at(4), exact),
        "it has ended since"
    );
    let skewed = SignedDuration::from_secs(1);
    assert!(
        known::is_stale(entry, seen(2), at(1), skewed),
        "by another clock it may have been recorded after"
    );
    assert!(
        !known::is_stale(entry, seen(3), at(1), skewed),
        "it had seen it"
    );
    let lost = ListsBasis::stored(9, &[9; 16]);
    assert!(
        known::is_stale(entry, lost, at(2), exact),
        "nine records of another log are not those with the suspension"
    );
}

#[test]
fn an_end_of_what_was_never_listed_is_poison() {
    let projection = ListsProjection;
    let mut fold = Fold::new(&projection);
    assert!(
        fold.apply(&listing(
            0,
            known::event_type::REMOVED,
            lists::EntryRemoved::default()
        ))
        .is_err()
    );
    assert!(!projection.knows("tally.lists.v2.EntryListed"));
}

#[test]
fn a_check_is_kept_by_entry_with_the_basis_of_its_shard() {
    let shard = u32::from(ShardCount::default().of(SUBJECT).0);
    let answered = pb::CheckAnswered {
        check_id: "c".to_owned(),
        entry_ids: vec!["e".to_owned()],
        entry_subjects: vec![SUBJECT.to_owned()],
        basis: Some(pb::ConsistencyToken {
            shards: vec![
                pb::ShardBasis {
                    shard: shard + 1,
                    lists: 1,
                    ..Default::default()
                },
                pb::ShardBasis {
                    shard,
                    lists: 7,
                    lists_log_id: Bytes::copy_from_slice(LOG_ID.as_bytes()),
                    ..Default::default()
                },
            ],
            pack_version: String::new(),
        }),
        ..pb::CheckAnswered::default()
    };
    let event = recorded(
        logs::SANCTIONS_ACCESS,
        3,
        ("check", "s"),
        event_type::CHECK_ANSWERED,
        answered,
    );
    let rows = fold(
        AccessProjection {
            shards: ShardCount::default(),
        },
        std::slice::from_ref(&event),
    );
    let checks: Vec<pb::CheckRow> = rows_of(&rows, view::CHECK);
    let expected = pb::CheckRow {
        check_id: "c".to_owned(),
        department: "us".to_owned(),
        lists_basis: 7,
        lists_log_id: Bytes::copy_from_slice(LOG_ID.as_bytes()),
        position: 3,
        recorded_at: Some(to_proto_time(event.recorded_at)),
        entry_index: 0,
    };
    assert_eq!(checks, [expected]);
}

#[test]
fn a_suspension_does_not_extend_the_term() {
    let listed = lists::EntryListed {
        term_from: "2026-02-01".to_owned(),
        term_until: "2026-03-31".to_owned(),
        ..lists::EntryListed::default()
    };
    let events = [
        listing(0, known::event_type::LISTED, listed),
        listing(
            1,
            known::event_type::SUSPENDED,
            lists::EntrySuspended::default(),
        ),
        listing(2, known::event_type::UPHELD, lists::EntryUpheld::default()),
    ];
    let rows = fold(ListsProjection, &events);
    let subjects: Vec<pb::SubjectRow> = rows_of(&rows, view::SUBJECT);
    let entry = &subjects[0].entries[0];
    assert_eq!(
        (entry.standing(), entry.term_until.as_str()),
        (pb::Standing::Listed, "2026-03-31")
    );
}
