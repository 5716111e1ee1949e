//! Nominations, and every fault of one.

use super::*;

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
