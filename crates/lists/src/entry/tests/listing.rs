//! From notice to listing: who may, when, and on what.

use super::*;

#[test]
fn the_subject_of_a_black_list_is_told_by_the_initiator_once() {
    let black = ListPolarity::Black;
    let today = date(2026, 3, 2);
    let told = notify(officer(CITY, 1), black, today);
    assert_eq!(
        entry([nominated()]).when(told.clone()),
        Ok(vec![notified()])
    );
    let again = entry([nominated(), notified()]).when(told.clone());
    assert!(matches!(
        again,
        Err(Rejection::State {
            state: State::Notified,
            ..
        })
    ));
    assert_eq!(entry([]).when(told), Err(Rejection::Unknown));
    let other = notify(officer(PROVINCE, 1), black, today);
    assert_eq!(
        entry([nominated()]).when(other),
        Err(Rejection::OtherDepartment {
            right: right::NOTIFY
        })
    );
    let early = notify(officer(CITY, 1), black, date(2026, 3, 1));
    assert_eq!(
        entry([nominated()]).when(early),
        Err(Rejection::ServedInFuture)
    );
    let red = notify(officer(CITY, 1), ListPolarity::Red, today);
    assert_eq!(
        entry([nominated()]).when(red),
        Err(Rejection::NoticeNotNeeded)
    );
}

#[test]
fn the_subject_answers_after_it_was_told() {
    let answer = |by| Command::Represent {
        by,
        document: None,
        at: noon(),
    };
    assert_eq!(
        entry([nominated(), notified()]).when(answer(officer(CITY, 1))),
        Ok(vec![represented()])
    );
    let early = entry([nominated()]).when(answer(officer(CITY, 1)));
    assert!(matches!(early, Err(Rejection::State { .. })));
    let other = entry([nominated(), notified()]).when(answer(officer(COUNTY, 1)));
    assert_eq!(
        other,
        Err(Rejection::OtherDepartment {
            right: right::REPRESENT
        })
    );
}

#[test]
fn a_second_officer_lists_from_the_first_day_of_the_term() {
    let by_second = list(officer(CITY, 2), check(ListPolarity::Black), BEFORE);
    assert_eq!(
        entry([nominated(), notified(), represented()]).when(by_second),
        Ok(vec![listed()])
    );
    let later = ListingCheck {
        term_starts_at: at("2026-05-01T00:00:00Z"),
        ..check(ListPolarity::Black)
    };
    let outcome =
        entry([nominated(), notified(), represented()]).when(list(officer(CITY, 2), later, BEFORE));
    assert_eq!(
        outcome.expect("listed")[0].at,
        noon(),
        "never later than it is decided"
    );
}

#[test]
fn the_same_officer_cannot_be_both() {
    let outcome = entry([nominated(), notified(), represented()]).when(list(
        officer(CITY, 1),
        check(ListPolarity::Black),
        AFTER,
    ));
    assert_eq!(outcome, Err(Rejection::SecondOfficerRequired));
}

#[test]
fn another_department_cannot_list() {
    let outcome = entry([nominated(), notified(), represented()]).when(list(
        officer(PROVINCE, 2),
        check(ListPolarity::Black),
        AFTER,
    ));
    assert_eq!(
        outcome,
        Err(Rejection::OtherDepartment { right: right::LIST })
    );
}

#[test]
fn a_black_listing_waits_for_the_subject() {
    let black = || check(ListPolarity::Black);
    let unheard = entry([nominated()]).when(list(officer(CITY, 2), black(), AFTER));
    assert!(matches!(
        unheard,
        Err(Rejection::State {
            state: State::Nominated,
            ..
        })
    ));
    let open = entry([nominated(), notified()]).when(list(officer(CITY, 2), black(), BEFORE));
    assert_eq!(open, Err(Rejection::RepresentationOpen { until: BEFORE }));
    let passed = entry([nominated(), notified()]).when(list(officer(CITY, 2), black(), AFTER));
    assert_eq!(passed, Ok(vec![listed()]));
}

#[test]
fn a_provisional_day_is_fixed_again_and_a_fixed_one_is_not() {
    let moved = || ListingCheck {
        representation_until: Some(AFTER),
        ..check(ListPolarity::Black)
    };
    let provisional = event(Fact::Notified(Notice {
        provisional: true,
        ..notice()
    }));
    let outcome = entry([nominated(), provisional]).when(list(officer(CITY, 2), moved(), AFTER));
    assert_eq!(outcome, Err(Rejection::RepresentationOpen { until: AFTER }));
    let outcome = entry([nominated(), notified()]).when(list(officer(CITY, 2), moved(), AFTER));
    assert!(outcome.is_ok());
}

#[test]
fn a_red_listing_needs_no_notice() {
    let outcome =
        entry([nominated()]).when(list(officer(CITY, 2), check(ListPolarity::Red), BEFORE));
    assert_eq!(outcome, Ok(vec![listed()]));
}

#[test]
fn nothing_is_listed_without_a_basis_in_force_that_day() {
    let with = |change: fn(&mut ListingCheck)| {
        let mut check = check(ListPolarity::Black);
        change(&mut check);
        entry([nominated(), notified(), represented()]).when(list(officer(CITY, 2), check, AFTER))
    };
    let expired = || BasisFault::Expired {
        id: "x".into(),
        version: 1,
        until: date(2026, 3, 1),
    };
    let outcome = with(|check| {
        check.basis = Err(BasisFault::Expired {
            id: "x".into(),
            version: 1,
            until: date(2026, 3, 1),
        })
    });
    assert_eq!(outcome, Err(Rejection::Basis(expired())));
    assert_eq!(
        Rejection::Basis(expired()).reason(),
        "LEGAL_BASIS_NOT_IN_FORCE"
    );
    assert_eq!(
        with(|check| check.list_type_open = false),
        Err(Rejection::ListTypeNotInForce)
    );
    assert_eq!(
        with(|check| check.ground_withdrawn = true),
        Err(Rejection::GroundWithdrawn)
    );
}

#[test]
fn a_nomination_is_dropped_until_it_is_listed() {
    let drop = |by| Command::Drop {
        by,
        reason: "facts did not hold".into(),
        at: noon(),
    };
    let dropped = event(Fact::Dropped {
        reason: "facts did not hold".into(),
    });
    for state in [entry([nominated()]), entry([nominated(), notified()])] {
        assert_eq!(
            state.when(drop(officer(CITY, 1))),
            Ok(vec![dropped.clone()])
        );
    }
    let on_list = entry([nominated(), notified(), listed()]);
    assert!(matches!(
        on_list.when(drop(officer(CITY, 1))),
        Err(Rejection::State { .. })
    ));
    let gone = entry([nominated(), dropped]);
    let outcome = gone.when(list(officer(CITY, 2), check(ListPolarity::Red), AFTER));
    assert!(matches!(
        outcome,
        Err(Rejection::State {
            state: State::Dropped,
            ..
        })
    ));
    let other = entry([nominated()]).when(drop(officer(PROVINCE, 1)));
    assert_eq!(
        other,
        Err(Rejection::OtherDepartment { right: right::DROP })
    );
}
