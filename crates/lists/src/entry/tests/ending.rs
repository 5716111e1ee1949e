//! Objections, ends and proposals.

use super::*;

#[test]
fn an_accepted_objection_suspends_at_once() {
    let on_list = || entry([nominated(), listed()]);
    assert_eq!(
        on_list().when(object(officer(CITY, 3), false)),
        Ok(vec![suspended()])
    );
    assert_eq!(
        on_list().when(object(officer(PROVINCE, 1), true)),
        Ok(vec![suspended_by(officer(PROVINCE, 1))])
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
    let objected = || entry([nominated(), listed(), suspended_by(officer(CITY, 4))]);
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
fn nobody_alone_lets_an_objection_in_and_decides_it_to_the_subjects_cost() {
    let objected = || entry([nominated(), listed(), suspended()]);
    let (accepted, other) = (officer(CITY, 3), officer(CITY, 4));
    let costs = [
        uphold_on as fn(ListPolarity, Officer) -> Command,
        correct_out_of,
    ];
    for (decide, cost) in costs
        .into_iter()
        .zip([ListPolarity::Black, ListPolarity::Red])
    {
        assert_eq!(
            objected().when(decide(cost, accepted.clone())),
            Err(Rejection::SecondOfficerForObjection)
        );
        assert!(objected().when(decide(cost, other.clone())).is_ok());
        let good = match cost {
            ListPolarity::Black => ListPolarity::Red,
            ListPolarity::Red => ListPolarity::Black,
        };
        assert!(objected().when(decide(good, accepted.clone())).is_ok());
    }
    // After the term too, and whoever accepted an earlier objection is free again.
    let late = || entry([nominated(), listed(), suspended(), expired()]);
    assert_eq!(
        late().when(correct_out_of(ListPolarity::Red, accepted.clone())),
        Err(Rejection::SecondOfficerForObjection)
    );
    let upheld = event(Fact::Upheld(decision()));
    let again = suspended_by(officer(PROVINCE, 9));
    let again = entry([nominated(), listed(), suspended(), upheld, again]);
    assert!(again.when(uphold(accepted)).is_ok());
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
fn a_red_entry_is_taken_off_by_two_officers() {
    let red = ListPolarity::Red;
    let (first, second) = (officer(CITY, 1), officer(CITY, 2));
    let before = || [nominated(), listed()];
    assert_eq!(
        entry(before()).when(remove_from(red, second.clone())),
        Err(Rejection::RemovalNotRequested)
    );
    let asked = entry(before()).when(request_removal(red, first.clone()));
    let asked = asked.expect("asked").remove(0);
    let after = || entry([nominated(), listed(), asked.clone()]);
    assert_eq!(
        after().when(remove_from(red, first.clone())),
        Err(Rejection::SecondOfficerForRemoval)
    );
    assert_eq!(
        after().when(remove_from(red, second.clone())),
        Ok(vec![event(Fact::Removed(decision()))])
    );
    // Asked once is asked; a black entry needs no second officer to be taken off.
    assert_eq!(after().when(request_removal(red, second)), Ok(Vec::new()));
    assert_eq!(
        entry(before()).when(request_removal(ListPolarity::Black, first)),
        Err(Rejection::RequestNotNeeded)
    );
}

#[test]
fn an_objection_is_decided_also_after_the_term() {
    let history = || [nominated(), listed(), suspended(), expired()];
    let decided = entry(history()).when(correct_out(officer(CITY, 4)));
    assert!(matches!(
        decided.as_deref(),
        Ok([Event {
            fact: Fact::CorrectedOut(_),
            ..
        }])
    ));
    assert_eq!(
        entry(history()).when(correct_out(officer(CITY, 1))),
        Err(Rejection::OtherOfficerRequired)
    );
    let without = entry([nominated(), listed(), expired()]).when(correct_out(officer(CITY, 4)));
    assert!(matches!(without, Err(Rejection::State { .. })));
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
        Rejection::SecondOfficerForObjection,
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
