use tally_eventlog::aggregate::{Codec as _, given};
use tally_eventlog::consumer::Fold;
use tally_eventlog::event::Recorded;
use tally_eventlog::pb as log_pb;
use tally_eventlog::shard::Shard;
use tally_service::logs;
use uuid::Uuid;

use super::*;
use crate::CollectionViews;

const BUREAU: &str = "11990000MB0000107X";
const COUNTY: &str = "11990102MB000030XF";
const ID: &str = "5f0c954e-0f2c-4b8e-9d59-6a1f4f0f7c11";

/// The legal day of everything here.
const DAY: LegalDate = jiff::civil::date(2026, 2, 25);

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_772_000_000 + minute * 60).expect("a timestamp")
}

fn row(record_type: &str, sealed: &'static [u8], minute: i64) -> Arc<Row> {
    Arc::new(Row {
        department: BUREAU.to_owned(),
        record_type: record_type.to_owned(),
        legal_basis: LegalBasisRef::new("regulations/12".to_owned(), 2),
        faults: vec![pb::RowFault {
            field: "record.subject".into(),
            reason: "FIELD_REQUIRED".into(),
        }],
        content: Sealed {
            ciphertext: sealed.into(),
            ..Sealed::default()
        },
        at: at(minute),
        on: Some(DAY),
    })
}

fn kept() -> Event {
    Event::Quarantined(row("penalty", b"a", 0))
}

fn resubmit() -> Command {
    Command::Resubmit {
        record_id: "r".into(),
        at: at(9),
        on: Some(DAY),
    }
}

fn discard(department: &str) -> Command {
    discard_released(department, None)
}

fn discard_released(department: &str, released: Option<&str>) -> Command {
    Command::Discard {
        department: department.into(),
        reason: "entered twice".into(),
        released: released.map(str::to_owned),
        at: at(9),
        on: DAY,
    }
}

fn take(record_id: &str, released: Option<&str>) -> Command {
    Command::Take {
        department: BUREAU.into(),
        record_id: record_id.into(),
        released: released.map(str::to_owned),
        at: at(8),
    }
}

fn taken(record_id: &str) -> Event {
    Event::Taken {
        row: row("penalty", b"a", 0),
        record_id: record_id.into(),
        since: at(0),
        at: at(8),
    }
}

fn correct(row: &Arc<Row>, released: Option<&str>) -> Command {
    Command::Correct {
        row: row.clone(),
        released: released.map(str::to_owned),
    }
}

fn ended(end: End) -> Event {
    Event::Ended {
        row: row("penalty", b"a", 0),
        end,
        since: at(0),
        at: at(9),
        on: Some(DAY),
    }
}

fn resubmitted() -> Event {
    ended(End::Resubmitted {
        record_id: "r".into(),
    })
}

fn discarded() -> Event {
    ended(End::Discarded {
        reason: "entered twice".into(),
    })
}

fn when(history: &[Event], command: Command) -> Result<Vec<Event>, Rejection> {
    given::<Quarantine>(history.iter().cloned()).when(command)
}

#[test]
fn a_refused_row_is_kept_once() {
    let keep = || Command::Keep(row("penalty", b"a", 3));
    assert_eq!(
        when(&[], keep()),
        Ok(vec![Event::Quarantined(row("penalty", b"a", 3))])
    );
    assert_eq!(when(&[kept()], keep()), Ok(vec![]));
    for end in [resubmitted(), discarded()] {
        assert_eq!(when(&[kept(), end], keep()), Err(Rejection::Closed));
    }
}

#[test]
fn a_row_that_is_refused_again_waits_as_it_is_now() {
    let correct = |row| correct(&row, None);
    let new = row("licence", b"b", 3);
    let corrected = Event::Corrected {
        row: new.clone(),
        record_type_before: "penalty".into(),
        since: at(0),
    };
    assert_eq!(
        when(&[kept()], correct(new.clone())),
        Ok(vec![corrected.clone()])
    );
    assert_eq!(
        when(&[kept(), corrected.clone()], correct(new.clone())),
        Ok(vec![]),
        "asked twice"
    );
    // The file that it came from once more does not undo that.
    assert_eq!(
        when(
            &[kept(), corrected.clone()],
            Command::Keep(row("penalty", b"a", 4))
        ),
        Ok(vec![])
    );
    let state = given::<Quarantine>([kept(), corrected]).state;
    let shown = state.shown(ID).expect("it is there");
    assert_eq!(
        (shown.corrections, shown.record_type.as_str()),
        (1, "licence")
    );
    assert_eq!(state.since, Some(at(0)), "it waits since it came");

    assert_eq!(when(&[], correct(new.clone())), Err(Rejection::Unknown));
    let others = Row {
        department: COUNTY.into(),
        ..(*new).clone()
    };
    assert_eq!(
        when(&[kept()], correct(others.into())),
        Err(Rejection::Unknown)
    );
    assert_eq!(
        when(&[kept(), discarded()], correct(new)),
        Err(Rejection::Closed)
    );
}

#[test]
fn a_row_leaves_once_however_often_it_is_told() {
    assert_eq!(
        when(&[kept(), taken("r")], resubmit()),
        Ok(vec![resubmitted()])
    );
    // A crash between the effect and the checkpoint tells it again.
    assert_eq!(when(&[kept(), resubmitted()], resubmit()), Ok(vec![]));
    assert_eq!(when(&[kept(), discarded()], resubmit()), Ok(vec![]));
    assert_eq!(when(&[], resubmit()), Ok(vec![]));
}

#[test]
fn one_record_at_a_time_takes_a_place() {
    assert_eq!(when(&[kept()], take("r", None)), Ok(vec![taken("r")]));
    let history = [kept(), taken("r")];
    assert_eq!(when(&history, take("r", None)), Ok(vec![]), "a repeat");
    let new = row("licence", b"b", 3);
    // It is unknown whether another holds it, or known of an earlier one only.
    for released in [None, Some("earlier")] {
        for command in [
            take("s", released),
            correct(&new, released),
            discard_released(BUREAU, released),
            Command::Keep(new.clone()),
        ] {
            assert_eq!(when(&history, command), Err(Rejection::Closed));
        }
    }
    // It was refused, or never arrived.
    let released = Some("r");
    assert_eq!(when(&history, take("s", released)), Ok(vec![taken("s")]));
    assert_eq!(
        when(&history, discard_released(BUREAU, released)),
        Ok(vec![discarded()])
    );
    let corrected = when(&history, correct(&new, released)).expect("corrected");
    let free = [&history[..], &corrected].concat();
    assert_eq!(
        when(&free, discard(BUREAU)).map(|events| events.len()),
        Ok(1)
    );
    // What waits there now is no longer what that record was made from.
    assert_eq!(when(&free, resubmit()), Ok(vec![]));
    assert_eq!(
        when(&[kept(), taken("r"), taken("s")], resubmit()),
        Ok(vec![])
    );
    for end in [resubmitted(), discarded()] {
        let history = [kept(), end];
        assert_eq!(when(&history, take("s", None)), Err(Rejection::Closed));
    }
    assert_eq!(when(&[], take("s", None)), Err(Rejection::Unknown));
}

#[test]
fn a_row_is_corrected_fifty_times_at_most() {
    let mut history = vec![kept()];
    for n in 0..CORRECTIONS_MAX {
        let new = row("penalty", if n % 2 == 0 { b"b" } else { b"c" }, 3);
        history.extend(when(&history, correct(&new, None)).expect("corrected"));
    }
    assert_eq!(history.len(), 51);
    let same = row("penalty", b"c", 3);
    assert_eq!(when(&history, correct(&same, None)), Ok(vec![]));
    let new = row("penalty", b"d", 3);
    assert_eq!(
        when(&history, correct(&new, None)),
        Err(Rejection::CorrectedTooOften)
    );
    assert!(Rejection::CorrectedTooOften.message().contains("50 times"));
    assert_eq!(when(&history, take("r", None)).map(|it| it.len()), Ok(1));
    assert_eq!(when(&history, discard(BUREAU)).map(|it| it.len()), Ok(1));
}

#[test]
fn only_its_department_discards_a_row_that_waits() {
    assert_eq!(when(&[kept()], discard(BUREAU)), Ok(vec![discarded()]));
    assert_eq!(when(&[kept()], discard(COUNTY)), Err(Rejection::Unknown));
    assert_eq!(when(&[], discard(BUREAU)), Err(Rejection::Unknown));
    for end in [resubmitted(), discarded()] {
        assert_eq!(
            when(&[kept(), end], discard(BUREAU)),
            Err(Rejection::Closed)
        );
    }
}

fn recorded(id: &str, event: &Event) -> Recorded {
    let encoded = Quarantine::encode(event);
    let basis = encoded.legal_basis.expect("a row is kept on a basis");
    Recorded {
        log: logs::COLLECTION,
        log_id: Uuid::nil(),
        shard: Shard(3),
        position: 0,
        recorded_at: encoded.effective_at,
        effective_at: encoded.effective_at,
        leaf: [0; 32],
        envelope: log_pb::Envelope {
            category: Quarantine::CATEGORY.into(),
            stream_id: id.into(),
            event_type: encoded.event_type.into(),
            legal_basis: Some(log_pb::LegalBasisRef {
                id: basis.id,
                version: basis.version,
            }),
            payload: encoded.payload,
            ..Default::default()
        },
    }
}

#[test]
fn events_are_read_as_they_were_written() {
    let corrected = Event::Corrected {
        row: row("licence", b"b", 3),
        record_type_before: "penalty".into(),
        since: at(0),
    };
    for event in [kept(), corrected] {
        let decoded = Quarantine::decode(&recorded(ID, &event)).expect("an event");
        assert_eq!(decoded, event);
    }
    let decoded = Quarantine::decode(&recorded(ID, &taken("r"))).expect("an event");
    let state = given::<Quarantine>([kept(), decoded]).state;
    let by = state.taken().expect("it is taken");
    assert_eq!((by.record_id.as_str(), by.at), ("r", at(8)));
    for (event, end) in [(resubmitted(), "r"), (discarded(), "entered twice")] {
        let decoded = Quarantine::decode(&recorded(ID, &event)).expect("an event");
        let day = match decoded {
            Event::Ended { on, .. } => on,
            _ => None,
        };
        assert_eq!(day, Some(DAY));
        let state = given::<Quarantine>([kept(), decoded]).state;
        let shown = state.shown(ID).expect("it is there");
        assert_eq!(format!("{}{}", shown.record_id, shown.discard_reason), end);
    }
}

#[test]
fn the_views_agree_with_the_row_and_count_it_once() {
    let other = "7d0c954e-0f2c-4b8e-9d59-6a1f4f0f7c12";
    let corrected = Event::Corrected {
        row: row("licence", b"b", 3),
        record_type_before: "penalty".into(),
        since: at(0),
    };
    let moved = Event::Ended {
        row: row("licence", b"b", 3),
        end: End::Resubmitted {
            record_id: "r".into(),
        },
        since: at(0),
        at: at(9),
        on: Some(DAY),
    };
    let history = [kept(), corrected, taken("r"), moved];
    let applied = |history: &[Event]| {
        let mut fold = Fold::new(&CollectionViews);
        fold.apply(&recorded(other, &kept())).expect("applies");
        for event in history {
            fold.apply(&recorded(ID, event)).expect("applies");
        }
        fold.into_rows()
    };
    let mut state = Quarantine::default();
    for (n, event) in history.iter().enumerate() {
        state.evolve(event);
        let rows = applied(&history[..=n]);
        let rows = rows.iter().filter(|(key, _)| key.view == view::ROW_VIEW);
        let rows = rows.map(|(_, value)| {
            let row = <pb::QuarantineRow as prost::Message>::decode(value.clone());
            row.expect("a row").row.expect("a row")
        });
        let own: Vec<_> = rows.filter(|row| row.quarantine_id == ID).collect();
        assert_eq!(own, [state.shown(ID).expect("it is there")]);
    }
    let rows = applied(&history);
    let counts: Vec<_> = rows
        .iter()
        .filter(|(key, _)| key.view == view::COUNT_VIEW)
        .map(|(key, value)| {
            let row = <pb::QuarantineCountRow as prost::Message>::decode(value.clone());
            let row = row.expect("a row");
            let (department, record_type) = crate::query::parts(&key.key);
            assert_eq!(department, BUREAU);
            (record_type, row.open, row.resubmitted, row.discarded)
        })
        .collect();
    let expected = [("licence", 0, 1, 0), ("penalty", 1, 0, 0)];
    assert_eq!(
        counts,
        expected.map(|(item, open, resubmitted, discarded)| (
            item.to_owned(),
            open,
            resubmitted,
            discarded
        ))
    );
}

#[test]
fn a_row_that_was_never_kept_is_poison() {
    let mut fold = Fold::new(&CollectionViews);
    assert!(fold.apply(&recorded(ID, &discarded())).is_err());
}
