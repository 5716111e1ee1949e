use std::collections::BTreeMap;

use jiff::civil::date;
use prost::Message as _;
use tally_eventlog::consumer::Fold;
use tally_eventlog::event::to_proto_time;
use tally_eventlog::pb as log;
use tally_service::logs;
use uuid::Uuid;

use super::*;
use crate::codec::known_to_proto;
use crate::feedback::{Due, Report};

const DIRECTIVE: &str = "0194f0a0-0000-7000-8000-000000000001";

fn about() -> About {
    About {
        department: "11990102MB000030XF".to_owned(),
        initiator: "11990000MB0000107X".to_owned(),
        measure: "revoke-honour".to_owned(),
        month: "2026-03".to_owned(),
    }
}

fn recorded(position: u64, change: Change) -> Recorded {
    let at = "2026-03-02T01:00:00Z".parse().expect("a timestamp");
    let encoded = Feedback::encode(&Event {
        about: about(),
        effective_at: at,
        change,
    });
    Recorded {
        log: logs::FEEDBACK,
        log_id: Uuid::nil(),
        shard: Shard(3),
        position,
        recorded_at: at,
        effective_at: at,
        leaf: [0; 32],
        envelope: log::Envelope {
            category: "feedback".to_owned(),
            stream_id: DIRECTIVE.to_owned(),
            event_type: encoded.event_type.to_owned(),
            subject: "cn-uscc:9152000071430580XT".to_owned(),
            effective_at: Some(to_proto_time(at)),
            payload: encoded.payload,
            ..Default::default()
        },
    }
}

fn due() -> Change {
    Change::Due(Due {
        subject: "cn-uscc:9152000071430580XT".to_owned(),
        list_type: "serious-violation".to_owned(),
        report_by: date(2026, 3, 16),
        legal_basis: None,
    })
}

fn submitted(outcome: Outcome, amended: bool) -> Change {
    let report = Report {
        outcome,
        document: None,
        done_on: Some(date(2026, 3, 2)),
        check_id: String::new(),
        remarks: String::new(),
    };
    Change::Submitted { report, amended }
}

fn returned(day: LegalDate) -> Change {
    Change::Returned {
        reason: "no seal".to_owned(),
        report_by: day,
    }
}

fn rows(changes: impl IntoIterator<Item = Change>) -> BTreeMap<RowKey, Bytes> {
    let mut fold = Fold::new(&FeedbackProjection);
    for (position, change) in changes.into_iter().enumerate() {
        let event = recorded(position as u64, change);
        assert!(FeedbackProjection.knows(&event.envelope.event_type));
        fold.apply(&event).expect("applies");
    }
    fold.into_rows()
}

fn count_of(rows: &BTreeMap<RowKey, Bytes>) -> pb::FeedbackCount {
    let row = &rows[&count_row(Shard(3), &about())];
    pb::CountRow::decode(row.clone())
        .expect("a row")
        .count
        .expect("counts")
}

fn due_days(rows: &BTreeMap<RowKey, Bytes>) -> Vec<String> {
    let timers = rows.keys().filter(|row| row.view == TIMER_VIEW);
    timers
        .map(|row| String::from_utf8_lossy(&row.key[..10]).into_owned())
        .collect()
}

fn numbers(count: &pb::FeedbackCount) -> [u64; 8] {
    [
        count.due,
        count.submitted,
        count.executed,
        count.declined,
        count.accepted,
        count.returned,
        count.escalated,
        count.closed,
    ]
}

#[test]
fn a_due_report_is_counted_and_timed() {
    let rows = rows([due()]);
    assert_eq!(numbers(&count_of(&rows)), [1, 0, 0, 0, 0, 0, 0, 0]);
    let timer = timer_row(Shard(3), date(2026, 3, 17), DIRECTIVE);
    assert_eq!(
        timer.key.as_ref(),
        format!("2026-03-17\0{DIRECTIVE}").as_bytes()
    );
    let value = pb::TimerRow::decode(rows[&timer].clone()).expect("a row");
    assert_eq!(
        (value.directive_id.as_str(), value.report_by.as_str()),
        (DIRECTIVE, "2026-03-16")
    );
}

#[test]
fn an_amended_report_replaces_the_outcome_and_is_not_counted_again() {
    let changes = [
        due(),
        submitted(Outcome::Executed, false),
        returned(date(2026, 3, 16)),
        submitted(Outcome::Declined, true),
        Change::Accepted,
    ];
    let rows = rows(changes);
    assert_eq!(numbers(&count_of(&rows)), [1, 1, 0, 1, 1, 1, 0, 0]);
    assert!(due_days(&rows).is_empty());
}

#[test]
fn an_interim_report_keeps_the_timer_and_a_final_one_takes_it_out() {
    assert_eq!(
        due_days(&rows([due(), submitted(Outcome::InProgress, false)])),
        ["2026-03-17"]
    );
    assert!(due_days(&rows([due(), submitted(Outcome::Executed, false)])).is_empty());
}

#[test]
fn a_return_times_it_again_and_overdue_counts_once() {
    let escalated = |day| Change::Escalated { report_by: day };
    let (first, second) = (date(2026, 3, 16), date(2026, 3, 20));
    let mut changes = vec![
        due(),
        escalated(first),
        submitted(Outcome::Executed, false),
        returned(second),
    ];
    assert_eq!(due_days(&rows(changes.clone())), ["2026-03-21"]);
    changes.push(escalated(second));
    let rows = rows(changes);
    assert!(due_days(&rows).is_empty());
    assert_eq!(numbers(&count_of(&rows)), [1, 1, 1, 0, 0, 1, 1, 0]);
}

#[test]
fn a_suspended_one_is_not_timed_until_it_is_resumed() {
    assert!(due_days(&rows([due(), Change::Suspended])).is_empty());
    let resumed = Change::Resumed {
        report_by: date(2026, 4, 1),
    };
    assert_eq!(
        due_days(&rows([due(), Change::Suspended, resumed])),
        ["2026-04-02"]
    );
}

#[test]
fn closed_counts_only_without_a_report() {
    assert_eq!(
        numbers(&count_of(&rows([due(), Change::Closed]))),
        [1, 0, 0, 0, 0, 0, 0, 1]
    );
    let changes = [
        due(),
        submitted(Outcome::Executed, false),
        returned(date(2026, 3, 16)),
        Change::Closed,
    ];
    let rows = rows(changes);
    assert_eq!(numbers(&count_of(&rows)), [1, 1, 1, 0, 0, 1, 0, 0]);
    assert!(due_days(&rows).is_empty());
}

#[test]
fn a_row_holds_the_state_and_reads_back() {
    let rows = rows([due(), submitted(Outcome::Executed, false)]);
    let key = feedback_row(&recorded(0, due()));
    let row = pb::FeedbackRow::decode(rows[&key].clone()).expect("a row");
    let feedback = row.feedback.clone().expect("a feedback");
    assert_eq!(feedback.state(), pb::FeedbackState::Submitted);
    let known = known_from_row(row).expect("reads back");
    assert_eq!(known_to_proto(DIRECTIVE, &known), feedback);
}

#[test]
fn events_in_a_wrong_order_are_poison() {
    let mut fold = Fold::new(&FeedbackProjection);
    assert!(fold.apply(&recorded(0, Change::Accepted)).is_err());
    fold.apply(&recorded(0, due())).expect("applies");
    assert!(fold.apply(&recorded(1, due())).is_err());
}

#[test]
fn every_event_reads_back_as_it_was_encoded() {
    for change in [
        due(),
        submitted(Outcome::Declined, true),
        Change::Accepted,
        returned(date(2026, 3, 20)),
        Change::Escalated {
            report_by: date(2026, 3, 16),
        },
        Change::Closed,
        Change::Suspended,
        Change::Resumed {
            report_by: date(2026, 3, 18),
        },
    ] {
        let event = recorded(0, change.clone());
        let decoded = Feedback::decode(&event).expect("decodes");
        assert_eq!((decoded.change, decoded.about), (change, about()));
    }
    let mut unknown = recorded(0, due());
    unknown.envelope.event_type = "tally.feedback.v1.FeedbackMoved".to_owned();
    assert!(Feedback::decode(&unknown).is_err());
}
