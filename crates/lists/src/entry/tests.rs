//! Every transition, and every refusal of one.

use jiff::civil::date;
use tally_domain::legal::InForce;
use tally_domain::policy::{BasisFault, ListPolarity, ListType, TermRule};
use tally_domain::subject::SubjectType;
use tally_eventlog::aggregate::{Given, given};
use tally_rpc::Fault;

use super::*;
use crate::testing::*;

fn entry<const N: usize>(events: [Event; N]) -> Given<Entry> {
    given::<Entry>(events)
}

fn list_type() -> ListType {
    ListType {
        id: "serious-violation".into(),
        version: 1,
        name: "Serious violations".into(),
        name_zh: None,
        polarity: ListPolarity::Black,
        initiators: vec![department(PROVINCE), department(CITY)],
        grounds: vec!["administrative-penalty".into()],
        legal_basis: basis(),
        subject_types: vec![SubjectType::Organisation],
        natural_person_basis: None,
        term: Some(TermRule::Explicit {
            months_max: Some(36),
        }),
        representation_working_days: 5,
        in_force: InForce::new(date(2005, 1, 1), None).expect("in order"),
    }
}

fn nominate() -> Nominate {
    Nominate {
        by: officer(CITY, 1),
        subject: SUBJECT.parse().expect("valid"),
        list_type: Some(list_type()),
        ground_record_id: RECORD_ID.into(),
        ground: Some(Ground {
            subject: SUBJECT.into(),
            record_type: "administrative-penalty".into(),
            document_number: "Penalty 1".into(),
            withdrawn: false,
        }),
        criterion: "repeated evasion".into(),
        basis: basis(),
        basis_verdict: Ok(()),
        term_from: term().from,
        term_until: term().until,
        today: date(2026, 3, 2),
        pack_version: "2026.1".into(),
        at: noon(),
    }
}

fn refused(nominate: Nominate) -> Vec<&'static str> {
    match entry([]).when(Command::Nominate(Box::new(nominate))) {
        Err(Rejection::Invalid(faults)) => faults.iter().map(|fault| fault.reason).collect(),
        other => panic!("expected faults of the message, got {other:?}"),
    }
}

fn notify(by: Officer, polarity: ListPolarity, today: LegalDate) -> Command {
    Command::Notify {
        by,
        polarity,
        notice: notice(),
        today,
        at: noon(),
    }
}

fn check(polarity: ListPolarity) -> ListingCheck {
    ListingCheck {
        polarity,
        list_type_open: true,
        basis: Ok(()),
        ground_withdrawn: false,
        representation_until: Some(date(2026, 3, 9)),
        term_starts_at: at("2026-01-04T16:00:00Z"),
    }
}

fn list(by: Officer, check: ListingCheck, today: LegalDate) -> Command {
    Command::List {
        by,
        decision: document("Listing 5"),
        check: Box::new(check),
        today,
        at: noon(),
    }
}

fn object(by: Officer, province_level: bool) -> Command {
    Command::AcceptObjection {
        by,
        province_level,
        objection: document("Objection 1"),
        at: noon(),
    }
}

fn uphold(by: Officer) -> Command {
    Command::Uphold {
        by,
        decision: decision(),
        at: noon(),
    }
}

fn correct_out(by: Officer) -> Command {
    Command::CorrectOut {
        by,
        decision: decision(),
    }
}

fn remove(by: Officer) -> Command {
    Command::Remove {
        by,
        decision: decision(),
        at: noon(),
    }
}

fn expire(today: LegalDate) -> Command {
    Command::Expire {
        today,
        at: at("2027-01-04T16:00:00Z"),
    }
}

fn propose(record_id: &str) -> Command {
    let record_type = "administrative-penalty".to_owned();
    Command::ProposeRemoval {
        record_id: record_id.into(),
        record_type,
        at: noon(),
    }
}

const AFTER: LegalDate = date(2026, 3, 10);
const BEFORE: LegalDate = date(2026, 3, 9);

#[test]
fn a_sound_nomination_stands() {
    let outcome = entry([]).when(Command::Nominate(Box::new(nominate())));
    assert_eq!(outcome, Ok(vec![nominated()]));
}

#[test]
fn every_fault_of_a_nomination_is_named() {
    let expired = BasisFault::Expired {
        id: "x".into(),
        version: 1,
        until: date(2015, 12, 31),
    };
    let reasons = refused(Nominate {
        basis: LegalBasisRef::new("x", 1),
        basis_verdict: Err(expired),
        ground: None,
        term_until: Some(date(2030, 1, 1)),
        ..nominate()
    });
    let expected = [
        "LEGAL_BASIS_OTHER",
        "LEGAL_BASIS_NOT_IN_FORCE",
        "GROUND_UNKNOWN",
        "TERM_TOO_LONG",
    ];
    assert_eq!(reasons, expected);
}

#[test]
fn a_nomination_needs_an_initiator_of_the_list() {
    let by_county = Nominate {
        by: officer(COUNTY, 1),
        ..nominate()
    };
    let rejection = entry([])
        .when(Command::Nominate(Box::new(by_county)))
        .expect_err("not an initiator");
    assert_eq!(
        rejection,
        Rejection::NotInitiator {
            list_type: "serious-violation".into()
        }
    );
    let fault = Fault::from(rejection);
    assert_eq!(fault.code(), tonic::Code::PermissionDenied);
    assert_eq!(fault.reason(), "RIGHT_MISSING");
}

#[test]
fn a_nomination_needs_a_list_type_in_force() {
    assert_eq!(
        refused(Nominate {
            list_type: None,
            ..nominate()
        }),
        ["LIST_TYPE_UNKNOWN"]
    );
    let ended = InForce::new(date(2005, 1, 1), Some(date(2026, 3, 1))).expect("in order");
    let list_type = Some(ListType {
        in_force: ended,
        ..list_type()
    });
    assert_eq!(
        refused(Nominate {
            list_type,
            ..nominate()
        }),
        ["LIST_TYPE_NOT_IN_FORCE"]
    );
}

#[test]
fn a_nomination_needs_a_ground_about_its_subject_that_stands() {
    let with = |change: fn(&mut Ground)| {
        let mut nominate = nominate();
        change(nominate.ground.as_mut().expect("present"));
        refused(nominate)
    };
    assert_eq!(
        with(|ground| ground.subject = "cn-orgcode:71430580X".into()),
        ["GROUND_OTHER_SUBJECT"]
    );
    assert_eq!(
        with(|ground| ground.record_type = "administrative-licence".into()),
        ["GROUND_TYPE"]
    );
    assert_eq!(with(|ground| ground.withdrawn = true), ["GROUND_WITHDRAWN"]);
}

#[test]
fn natural_persons_are_off_until_a_basis_of_their_own_switches_them_on() {
    let person: tally_domain::subject::Subject =
        format!("person:{ENTRY_ID}").parse().expect("valid");
    let ground = Ground {
        subject: person.to_string(),
        ..nominate().ground.expect("present")
    };
    let off = Nominate {
        subject: person,
        ground: Some(ground),
        ..nominate()
    };
    assert_eq!(refused(off.clone()), ["NATURAL_PERSON_OFF"]);
    let on = ListType {
        subject_types: vec![SubjectType::Organisation, SubjectType::NaturalPerson],
        natural_person_basis: Some(LegalBasisRef::new("persons", 1)),
        ..list_type()
    };
    let on = Nominate {
        list_type: Some(on),
        ..off
    };
    assert_eq!(refused(on.clone()), ["LEGAL_BASIS_OTHER"]);
    let on = Nominate {
        basis: LegalBasisRef::new("persons", 1),
        ..on
    };
    assert!(entry([]).when(Command::Nominate(Box::new(on))).is_ok());
}

#[test]
fn a_term_follows_the_rule_of_its_list() {
    assert_eq!(
        refused(Nominate {
            term_until: None,
            ..nominate()
        }),
        ["TERM_NO_LAST_DAY"]
    );
    let reversed = Some(date(2025, 1, 1));
    assert_eq!(
        refused(Nominate {
            term_until: reversed,
            ..nominate()
        }),
        ["TERM_REVERSED"]
    );
    let open = Some(ListType {
        term: None,
        ..list_type()
    });
    let no_end = Nominate {
        list_type: open.clone(),
        term_until: None,
        ..nominate()
    };
    assert!(entry([]).when(Command::Nominate(Box::new(no_end))).is_ok());
    let reversed = Nominate {
        list_type: open,
        term_until: reversed,
        ..nominate()
    };
    assert_eq!(refused(reversed), ["DATES_REVERSED"]);
}

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

#[test]
fn an_accepted_objection_suspends_at_once() {
    let on_list = || entry([nominated(), listed()]);
    assert_eq!(
        on_list().when(object(officer(CITY, 3), false)),
        Ok(vec![suspended()])
    );
    assert_eq!(
        on_list().when(object(officer(PROVINCE, 1), true)),
        Ok(vec![suspended()])
    );
    assert_eq!(
        on_list().when(object(officer(COUNTY, 9), false)),
        Err(Rejection::NotCompetentForObjection)
    );
    for decided_before in [1, 2] {
        let outcome = on_list().when(object(officer(CITY, decided_before), false));
        assert_eq!(outcome, Err(Rejection::OtherOfficerRequired));
    }
    let again = entry([nominated(), listed(), suspended()]).when(object(officer(CITY, 3), false));
    assert!(matches!(
        again,
        Err(Rejection::State {
            state: State::Suspended,
            ..
        })
    ));
}

#[test]
fn an_objection_is_decided_by_another_officer_of_the_initiator() {
    let objected = || entry([nominated(), listed(), suspended()]);
    let upheld = event(Fact::Upheld(decision()));
    assert_eq!(objected().when(uphold(officer(CITY, 3))), Ok(vec![upheld]));
    let corrected = Event {
        at: listed().at,
        ..event(Fact::CorrectedOut(decision()))
    };
    assert_eq!(
        objected().when(correct_out(officer(CITY, 3))),
        Ok(vec![corrected]),
        "from its first day"
    );
    for decide in [uphold as fn(Officer) -> Command, correct_out] {
        for decided_before in [1, 2] {
            let outcome = objected().when(decide(officer(CITY, decided_before)));
            assert_eq!(outcome, Err(Rejection::OtherOfficerRequired));
        }
        let other = objected().when(decide(officer(PROVINCE, 3)));
        assert!(matches!(other, Err(Rejection::OtherDepartment { .. })));
        let unsuspended = entry([nominated(), listed()]).when(decide(officer(CITY, 3)));
        assert!(matches!(
            unsuspended,
            Err(Rejection::State {
                state: State::Listed,
                ..
            })
        ));
    }
}

#[test]
fn what_was_upheld_can_be_objected_to_again() {
    let upheld = event(Fact::Upheld(decision()));
    let outcome =
        entry([nominated(), listed(), suspended(), upheld]).when(object(officer(CITY, 3), false));
    assert_eq!(outcome, Ok(vec![suspended()]));
}

#[test]
fn an_entry_is_removed_unless_it_is_suspended() {
    let removed = event(Fact::Removed(decision()));
    assert_eq!(
        entry([nominated(), listed()]).when(remove(officer(CITY, 1))),
        Ok(vec![removed.clone()])
    );
    let outcome = entry([nominated(), listed(), suspended()]).when(remove(officer(CITY, 1)));
    assert_eq!(outcome, Err(Rejection::Suspended));
    let other = entry([nominated(), listed()]).when(remove(officer(COUNTY, 1)));
    assert_eq!(
        other,
        Err(Rejection::OtherDepartment {
            right: right::REMOVE
        })
    );
    let gone = entry([nominated(), listed(), removed]).when(remove(officer(CITY, 1)));
    assert!(matches!(
        gone,
        Err(Rejection::State {
            state: State::Removed,
            ..
        })
    ));
}

#[test]
fn a_term_ends_on_the_day_after_its_last_day_also_while_suspended() {
    assert_eq!(
        entry([nominated(), listed()]).when(expire(date(2027, 1, 4))),
        Ok(Vec::new())
    );
    assert_eq!(
        entry([nominated(), listed()]).when(expire(date(2027, 1, 5))),
        Ok(vec![expired()])
    );
    let outcome = entry([nominated(), listed(), suspended()]).when(expire(date(2027, 6, 1)));
    assert_eq!(outcome, Ok(vec![expired()]));
}

#[test]
fn what_has_ended_ends_once() {
    let ends = [
        expired(),
        event(Fact::Removed(decision())),
        event(Fact::CorrectedOut(decision())),
    ];
    for end in ends {
        assert_eq!(
            entry([nominated(), listed(), end]).when(expire(date(2027, 6, 1))),
            Ok(Vec::new())
        );
    }
    assert_eq!(
        entry([nominated()]).when(expire(date(2027, 6, 1))),
        Ok(Vec::new())
    );
}

#[test]
fn a_serious_record_proposes_once_and_decides_nothing() {
    let record_type = "administrative-penalty".to_owned();
    let proposed = event(Fact::RemovalProposed {
        record_id: "r".into(),
        record_type,
    });
    assert_eq!(
        entry([nominated(), listed()]).when(propose("r")),
        Ok(vec![proposed.clone()])
    );
    assert_eq!(
        entry([nominated(), listed(), proposed.clone()]).when(propose("r")),
        Ok(Vec::new())
    );
    assert_eq!(
        entry([nominated()]).when(propose("r")),
        Ok(Vec::new()),
        "not listed"
    );
    let state = entry([nominated(), listed(), proposed]).state;
    assert_eq!(state.state, State::Listed);
}

#[test]
fn every_refusal_has_a_stable_reason_and_says_what_to_do() {
    let rejections = [
        Rejection::Unknown,
        Rejection::NotInitiator {
            list_type: "x".into(),
        },
        Rejection::OtherDepartment { right: right::LIST },
        Rejection::NotCompetentForObjection,
        Rejection::SecondOfficerRequired,
        Rejection::OtherOfficerRequired,
        Rejection::State {
            state: State::Listed,
            needed: "suspended",
        },
        Rejection::Suspended,
        Rejection::NoticeNotNeeded,
        Rejection::ServedInFuture,
        Rejection::RepresentationOpen { until: AFTER },
        Rejection::ListTypeNotInForce,
        Rejection::GroundWithdrawn,
    ];
    for rejection in rejections {
        let (reason, message) = (rejection.reason(), rejection.to_string());
        let fault = Fault::from(rejection);
        assert_eq!(fault.reason(), reason);
        assert!(fault.message().contains(&message), "{fault:?}");
    }
}
