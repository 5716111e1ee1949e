//! Provisional days that are fixed again, and grounds that are withdrawn.

use super::*;

fn provisional() -> Event {
    event(Fact::Notified(Notice {
        provisional: true,
        ..notice()
    }))
}

fn fix(date: LegalDate, provisional: bool) -> Command {
    let deadline = Deadline { date, provisional };
    Command::FixDeadline {
        deadline,
        at: noon(),
    }
}

fn fixed(representation_until: LegalDate, provisional: bool) -> Event {
    event(Fact::DeadlineFixed {
        representation_until,
        provisional,
    })
}

#[test]
fn a_provisional_day_is_fixed_by_an_event_once() {
    let told = || entry([nominated(), provisional()]);
    assert_eq!(
        told().when(fix(AFTER, false)),
        Ok(vec![fixed(AFTER, false)])
    );
    assert_eq!(
        told().when(fix(BEFORE, false)),
        Ok(vec![fixed(BEFORE, false)]),
        "the same day, for good"
    );
    assert_eq!(told().when(fix(BEFORE, true)), Ok(Vec::new()));
    assert_eq!(told().when(fix(AFTER, true)), Ok(vec![fixed(AFTER, true)]));
    let again = entry([nominated(), provisional(), fixed(AFTER, false)]);
    assert_eq!(again.when(fix(date(2026, 3, 20), false)), Ok(Vec::new()));
}

#[test]
fn a_notice_gives_the_subject_more_time_and_never_less() {
    let sooner = date(2026, 3, 5);
    let told = entry([nominated(), provisional()]);
    assert_eq!(
        told.when(fix(sooner, false)),
        Ok(vec![fixed(BEFORE, false)])
    );
    let check = ListingCheck {
        representation_until: Some(sooner),
        ..check(ListPolarity::Black)
    };
    let listed = entry([nominated(), provisional()]).when(list(officer(CITY, 2), check, BEFORE));
    assert_eq!(listed, Err(Rejection::RepresentationOpen { until: BEFORE }));
}

#[test]
fn nothing_is_fixed_where_nothing_is_open() {
    for history in [
        vec![nominated()],
        vec![nominated(), notified()],
        vec![nominated(), provisional(), represented()],
        vec![nominated(), provisional(), represented(), listed()],
    ] {
        let outcome = given::<Entry>(history).when(fix(AFTER, false));
        assert_eq!(outcome, Ok(Vec::new()));
    }
}

#[test]
fn a_listing_waits_for_the_day_that_was_fixed() {
    let told = || entry([nominated(), provisional(), fixed(AFTER, false)]);
    let black = || check(ListPolarity::Black);
    assert_eq!(
        told().when(list(officer(CITY, 2), black(), AFTER)),
        Err(Rejection::RepresentationOpen { until: AFTER })
    );
    let later = date(2026, 3, 11);
    assert_eq!(
        told().when(list(officer(CITY, 2), black(), later)),
        Ok(vec![listed()])
    );
}

fn withdraw(record_id: &str) -> Command {
    Command::WithdrawGround {
        record_id: record_id.into(),
        at: noon(),
    }
}

#[test]
fn a_withdrawn_ground_is_noted_once_and_ends_nothing() {
    let noted = event(Fact::GroundWithdrawn {
        record_id: RECORD_ID.into(),
    });
    for history in [
        vec![nominated()],
        vec![nominated(), represented()],
        vec![nominated(), listed()],
        vec![nominated(), listed(), suspended()],
    ] {
        let before = given::<Entry>(history.clone()).state.state;
        let outcome = given::<Entry>(history.clone()).when(withdraw(RECORD_ID));
        assert_eq!(outcome, Ok(vec![noted.clone()]));
        let history: Vec<Event> = history.into_iter().chain([noted.clone()]).collect();
        let after = given::<Entry>(history);
        assert_eq!(after.state.state, before);
        assert_eq!(after.when(withdraw(RECORD_ID)), Ok(Vec::new()));
    }
    let other = entry([nominated(), listed()]).when(withdraw("another"));
    assert_eq!(other, Ok(Vec::new()));
    let ended = entry([nominated(), listed(), expired()]).when(withdraw(RECORD_ID));
    assert_eq!(ended, Ok(Vec::new()));
    let listing = entry([nominated(), represented(), noted]).when(list(
        officer(CITY, 2),
        check(ListPolarity::Black),
        AFTER,
    ));
    assert_eq!(listing, Err(Rejection::GroundWithdrawn));
}
