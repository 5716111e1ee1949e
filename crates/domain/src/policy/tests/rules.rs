//! Bases, terms, look-ups and decisions.

use jiff::civil::{Date, date};
use serde_json::{Value, json};

use super::*;
use crate::subject::SubjectType::{NaturalPerson, Organisation};

#[test]
fn a_basis_answers_for_day_department_and_subject_type() {
    let pack = pack();
    let ask = |id, day: Date, by, subject_type| {
        pack.in_force(&basis(id), day, &department(by), subject_type)
    };
    let name = |id: &str| (id.to_owned(), 1);
    let (id, version) = name("old");
    assert_eq!(ask("old", date(2005, 1, 1), OTHER, Organisation), Ok(()));
    assert_eq!(ask("old", date(2015, 12, 31), OTHER, Organisation), Ok(()));
    let until = date(2015, 12, 31);
    assert_eq!(
        ask("old", date(2016, 1, 1), OTHER, Organisation),
        Err(BasisFault::Expired { id, version, until })
    );
    let (id, version) = name("act");
    let from = date(2005, 1, 1);
    assert_eq!(
        ask("act", date(2004, 12, 31), BUREAU, Organisation),
        Err(BasisFault::NotYetInForce { id, version, from })
    );
    let (id, version) = name("act");
    assert_eq!(
        ask("act", date(2024, 1, 1), OTHER, Organisation),
        Err(BasisFault::Department {
            id,
            version,
            department: department(OTHER)
        })
    );
    let (id, version) = name("act");
    assert_eq!(
        ask("act", date(2024, 1, 1), BUREAU, NaturalPerson),
        Err(BasisFault::SubjectType {
            id,
            version,
            subject_type: NaturalPerson
        })
    );
    let unknown = ask("none", date(2024, 1, 1), BUREAU, Organisation);
    assert!(matches!(unknown, Err(BasisFault::Unknown { .. })));
}

#[test]
fn natural_persons_have_no_basis_unless_switched_on() {
    let mut pack = pack();
    let list = pack.list_types.get_mut("serious").expect("in the pack");
    assert_eq!(list.basis_for(Organisation), Some(&basis("act")));
    assert_eq!(list.basis_for(NaturalPerson), None);
    list.subject_types.push(NaturalPerson);
    assert_eq!(list.basis_for(NaturalPerson), None);
    list.natural_person_basis = Some(basis("own"));
    assert_eq!(list.basis_for(NaturalPerson), Some(&basis("own")));
}

#[test]
fn look_ups_follow_grounds_days_and_purposes() {
    let pack = pack();
    assert_eq!(pack.grounds_for("penalty").count(), 1);
    assert_eq!(pack.grounds_for("licence").count(), 0);
    assert_eq!(pack.memoranda_for("serious", date(2020, 12, 31)).count(), 1);
    assert_eq!(pack.memoranda_for("serious", date(2021, 1, 1)).count(), 0);
    assert_eq!(pack.measures_at("funds").count(), 1);
    assert_eq!(pack.measures_at("licence").count(), 0);
    assert!(!pack.working_days().is_working_day(date(2024, 1, 1)).working);
}

#[test]
fn an_explicit_term_needs_its_last_day() {
    let rule = TermRule::Explicit {
        months_max: Some(36),
    };
    let from = date(2011, 5, 6);
    assert_eq!(rule.check(from, None), Err(TermFault::NoLastDay));
    assert_eq!(rule.check(from, Some(from)), Ok(()));
    assert_eq!(rule.check(from, Some(date(2014, 5, 6))), Ok(()));
    let too_long = rule.check(from, Some(date(2014, 5, 7)));
    assert!(matches!(too_long, Err(TermFault::TooLong { .. })));
    let reversed = rule.check(from, Some(date(2011, 5, 5)));
    assert!(matches!(reversed, Err(TermFault::Reversed { .. })));
}

#[test]
fn a_term_in_months_has_two_bounds() {
    let rule = TermRule::Months {
        months_min: 3,
        months_max: 12,
    };
    let from = date(2024, 1, 31);
    let earliest = date(2024, 4, 29);
    let months_min = 3;
    assert_eq!(
        rule.check(from, Some(date(2024, 4, 28))),
        Err(TermFault::TooShort {
            months_min,
            earliest
        })
    );
    assert_eq!(rule.check(from, Some(earliest)), Ok(()));
    assert_eq!(rule.check(from, Some(date(2025, 1, 31))), Ok(()));
    assert!(rule.check(from, Some(date(2025, 2, 1))).is_err());
}

#[test]
fn a_term_is_one_form_or_the_other() {
    let read = |json| serde_json::from_value::<TermRule>(json);
    assert!(read(json!({ "months_min": 3, "months_max": 12 })).is_ok());
    assert!(read(json!({ "explicit": true })).is_ok());
    assert!(read(json!({})).is_err());
    assert!(read(json!({ "months_min": 3 })).is_err());
    assert!(read(json!({ "explicit": true, "months_min": 3 })).is_err());
}

#[test]
fn a_division_tells_its_level() {
    assert_eq!(Level::of_division("990000"), Some(Level::Province));
    assert_eq!(Level::of_division("990100"), Some(Level::City));
    assert_eq!(Level::of_division("990102"), Some(Level::County));
    for bad in ["", "99000", "9900000", "99000x", "990002", "000000"] {
        assert_eq!(Level::of_division(bad), None, "{bad}");
    }
}

#[test]
fn a_decision_that_needs_a_check_says_which() {
    let decision = |changes: Value| {
        let mut body = json!({ "id": "fine", "name": "Fine", "departments": [BUREAU],
            "record_type": "penalty", "purposes": ["funds"], "valid_days": 5,
            "legal_basis": { "id": "act", "version": 1 },
            "in_force": { "from": "2020-01-01", "until": "2020-12-31" } });
        for (key, value) in changes.as_object().expect("an object") {
            body[key] = value.clone();
        }
        let mut all = items();
        all.push(item(ItemKind::Decision, "fine", body));
        Pack::from_items(meta(), all).expect("well formed")
    };
    let pack = decision(json!({}));
    assert_eq!(pack.faults(), []);
    let again = Pack::from_items(meta(), pack.items()).expect("own items are readable");
    assert_eq!(again, pack);
    let (bureau, other) = (department(BUREAU), department(OTHER));
    let day = date(2020, 12, 31);
    let found = |by, day| {
        pack.check_before("penalty", by, day)
            .map(|it| it.id.as_str())
    };
    assert_eq!(found(&bureau, day), Some("fine"));
    assert_eq!(found(&bureau, date(2021, 1, 1)), None);
    assert_eq!(found(&other, day), None);
    assert!(pack.check_before("licence", &bureau, day).is_none());

    for (changes, field) in [
        (json!({ "purposes": [] }), "purposes"),
        (json!({ "purposes": ["tender"] }), "purposes[0]"),
        (json!({ "valid_days": 0 }), "valid_days"),
        (json!({ "record_type": "licence" }), "record_type"),
        (
            json!({ "legal_basis": { "id": "old", "version": 1 } }),
            "legal_basis",
        ),
    ] {
        let faults = decision(changes).faults();
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, [field]);
    }
    // Only the first of two would ever be asked for.
    let mut twice = decision(json!({}));
    let mut other = twice.decisions["fine"].clone();
    other.id = "other".to_owned();
    twice.decisions.insert(other.id.clone(), other.clone());
    let fields: Vec<_> = twice.faults().into_iter().map(|it| it.field).collect();
    assert_eq!(fields, ["departments[0]"]);
    other.in_force.from = date(2021, 1, 1);
    other.in_force.until = None;
    twice.decisions.insert(other.id.clone(), other);
    assert_eq!(twice.faults(), []);
    // Who does not report such records could cite no check, and the basis is not this department's.
    let fields: Vec<_> = decision(json!({ "departments": [BUREAU, OTHER] }))
        .faults()
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    assert_eq!(fields, ["legal_basis", "departments[1]"]);
}

#[test]
fn a_measures_own_basis_carries_its_memoranda() {
    let mut pack = pack();
    let measure = pack.measures.get_mut("ban").expect("in the pack");
    measure.legal_basis = basis("old");
    assert_eq!(pack.faults(), [], "until 2015 it carries it");
    let memorandum = pack.memoranda.get_mut("discipline").expect("in the pack");
    memorandum.in_force.from = date(2016, 1, 1);
    let faults = pack.faults();
    let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, ["measures[0].measure"], "no directive would follow");

    let mut pack = self::pack();
    let mut persons = pack.legal_bases[&basis("old")].clone();
    persons.subject_types = vec![NaturalPerson];
    pack.legal_bases.insert(persons.reference(), persons);
    let measure = pack.measures.get_mut("ban").expect("in the pack");
    measure.legal_basis = basis("old");
    let fields: Vec<_> = pack.faults().into_iter().map(|it| it.field).collect();
    assert_eq!(fields, ["measures[0].measure"]);
}

#[test]
fn a_persons_score_is_none_under_a_chinese_name_either() {
    let mut pack = pack();
    let penalty = pack.record_types.get_mut("penalty").expect("in the pack");
    penalty.fields[0].name_zh = Some("信用评分".to_owned());
    assert_eq!(pack.faults(), [], "of an organisation");
    let penalty = pack.record_types.get_mut("penalty").expect("in the pack");
    penalty.subject_types.push(NaturalPerson);
    let fields: Vec<_> = pack.faults().into_iter().map(|it| it.field).collect();
    assert!(
        fields.contains(&"fields[0].name_zh".to_owned()),
        "{fields:?}"
    );
}

#[test]
fn a_record_cites_the_version_of_its_day() {
    let mut pack = pack();
    let mut first = pack.legal_bases[&basis("act")].clone();
    let mut second = LegalBasis {
        version: 2,
        ..first.clone()
    };
    first.in_force.until = Some(date(2025, 12, 31));
    second.in_force.from = date(2026, 1, 1);
    let now = second.reference();
    pack.legal_bases.insert(first.reference(), first);
    pack.legal_bases.insert(now.clone(), second);
    assert_eq!(pack.basis_on(&now, date(2026, 1, 1)), &now);
    assert_eq!(pack.basis_on(&now, date(2025, 12, 31)), &basis("act"));
    // Where there was no such law, the refusal is about the one that is cited now.
    assert_eq!(pack.basis_on(&now, date(2004, 1, 1)), &now);
}
