use std::sync::Arc;

use jiff::civil::{Date, date};
use serde_json::{Value, json};

use super::*;
use crate::calendar::Deadline;
use crate::subject::SubjectType::{NaturalPerson, Organisation};

const BUREAU: &str = "11990000MB0000107X";
const OTHER: &str = "11990100MB0000203C";

fn meta() -> PackMeta {
    PackMeta {
        id: "test".into(),
        version: "2026.1".into(),
        time_zone: "Asia/Shanghai".into(),
        title: "Test".into(),
        name_zh: None,
    }
}

fn item(kind: ItemKind, id: &str, body: Value) -> PackItem {
    PackItem {
        kind,
        id: id.into(),
        version: 1,
        body: body.to_string(),
    }
}

fn basis(id: &str) -> LegalBasisRef {
    LegalBasisRef::new(id, 1)
}

/// A small consistent pack in the form of events.
fn items() -> Vec<PackItem> {
    let bureau = |id: &str, powers: &[&str]| {
        let body = json!({ "id": id, "name": "Bureau", "level": "province",
            "division": "990000", "powers": powers });
        item(ItemKind::Department, id, body)
    };
    let law = |id: &str, until: Option<&str>, departments: Value| {
        let mut body = json!({ "id": id, "version": 1, "title": "Law", "article": "1",
            "in_force": { "from": "2005-01-01" }, "departments": departments,
            "subject_types": ["organisation"] });
        if let Some(until) = until {
            body["in_force"]["until"] = until.into();
        }
        item(ItemKind::LegalBasis, id, body)
    };
    let act = json!({ "id": "act", "version": 1 });
    vec![
        bureau(BUREAU, &["ban"]),
        bureau(OTHER, &[]),
        law("act", None, json!([BUREAU])),
        law("old", Some("2015-12-31"), json!("all")),
        item(
            ItemKind::RecordType,
            "penalty",
            json!({ "id": "penalty", "name": "Penalty", "reporters": [BUREAU], "legal_basis": act,
                "subject_types": ["organisation"], "report_within_working_days": 7,
                "fields": [{ "name": "content", "kind": "text", "max_chars": 10 }] }),
        ),
        item(
            ItemKind::ListType,
            "serious",
            json!({ "id": "serious", "name": "Serious", "polarity": "black", "legal_basis": act,
                "initiators": [BUREAU], "grounds": ["penalty"], "subject_types": ["organisation"],
                "term": { "explicit": true, "months_max": 36 }, "representation_working_days": 5,
                "in_force": { "from": "2005-01-01" } }),
        ),
        item(
            ItemKind::Measure,
            "ban",
            json!({ "id": "ban", "name": "Ban", "kind": "standing", "polarity": "sanction",
                "legal_basis": act, "strength": "mandatory", "when_undetermined": "refer",
                "purposes": ["funds"] }),
        ),
        item(
            ItemKind::Memorandum,
            "discipline",
            json!({ "id": "discipline", "name": "Discipline", "list_type": "serious",
                "acknowledge_within_working_days": 2, "report_within_working_days": 10,
                "in_force": { "from": "2010-01-01", "until": "2020-12-31" },
                "measures": [{ "measure": "ban", "departments": [BUREAU],
                    "strength": "mandatory", "legal_basis": act }] }),
        ),
        item(
            ItemKind::HolidayNotice,
            "2024",
            json!({ "year": 2024, "off": ["2024-01-01"], "makeup": ["2024-02-04"] }),
        ),
    ]
}

fn pack() -> Pack {
    Pack::from_items(meta(), items()).expect("the test's items are well formed")
}

fn department(id: &str) -> DepartmentId {
    id.parse().expect("a valid code")
}

#[test]
fn a_consistent_pack_has_no_faults() {
    assert_eq!(pack().faults(), []);
}

#[test]
fn items_round_trip_in_any_order() {
    let pack = pack();
    let mut items = pack.items();
    assert!(items.is_sorted_by_key(PackItem::reference));
    items.reverse();
    let again = Pack::from_items(meta(), items).expect("own items are readable");
    assert_eq!(again, pack);
    assert_eq!(again.digest(), pack.digest());
}

#[test]
fn a_body_is_canonical_json() {
    let items = pack().items();
    let notice = items.last().expect("the pack has items");
    let body = r#"{"makeup":["2024-02-04"],"off":["2024-01-01"],"year":2024}"#;
    assert_eq!(notice.body, body);
}

/// Changing these bytes breaks the proof of every pack already in a log.
#[test]
fn the_digest_is_pinned() {
    let hex: String = pack().digest().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "8e7ddf77222aae5e40fb93035a62f0b181b2e47d15489573bbd77e936396fe02"
    );
}

#[test]
fn the_digest_covers_the_packs_own_data_and_every_item() {
    let digest = pack().digest();
    let mut other = pack();
    other.meta.time_zone = "UTC".into();
    assert_ne!(other.digest(), digest);
    for skipped in 0..items().len() {
        let mut items = items();
        items.remove(skipped);
        let other = Pack::from_items(meta(), items).expect("readable");
        assert_ne!(
            other.digest(),
            digest,
            "item {skipped} is not in the digest"
        );
    }
}

#[test]
fn every_bad_item_is_named_at_once() {
    let mut items = items();
    items.push(items[0].clone());
    items[1].id = BUREAU.replace('X', "0");
    items[6].body = items[6].body.replace("standing", "hanging");
    items[8].version = 2;
    items.push(item(ItemKind::Pack, "test", json!({})));
    let faults = Pack::from_items(meta(), items).expect_err("five items are bad");
    let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 5, "{text:#?}");
    assert!(text[0].contains("the body says `11990100MB0000203C` version 1"));
    assert!(text[1].contains("unknown variant `hanging`"));
    assert!(text[2].contains("the body says `2024` version 1"));
    assert!(text[3].contains("comes twice"));
    assert!(text[4].contains("not one of its items"));
}

#[test]
fn an_unknown_field_is_refused() {
    let mut items = items();
    items[6].body = items[6].body.replace("\"name\"", "\"score\":1,\"name\"");
    assert!(Pack::from_items(meta(), items).is_err());
}

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
fn history_keeps_every_version() {
    let mut history = PolicyHistory::default();
    assert!(history.active().is_none());
    let first = Arc::new(pack());
    assert_eq!(history.load(first.clone()), Ok(true));
    assert_eq!(history.load(first.clone()), Ok(false));

    let mut changed = pack();
    changed.meta.title = "Changed".into();
    let version = "2026.1".to_owned();
    let refused = history.load(Arc::new(changed.clone()));
    assert_eq!(refused, Err(HistoryFault::VersionTaken { version }));

    changed.meta.version = "2026.2".into();
    let second = Arc::new(changed);
    assert_eq!(history.load(second.clone()), Ok(true));
    assert_eq!(history.active(), Some(&second));
    assert_eq!(history.get("2026.1"), Some(&first));
    assert_eq!(history.get("2025.1"), None);
    assert_eq!(history.iter().count(), 2);
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

/// The penalty of the pack with other rules on when it is due.
fn due(rules: Value) -> RecordType {
    let items = items();
    let penalty = items.iter().find(|it| it.id == "penalty");
    let penalty = penalty.expect("the pack has it");
    let mut body: Value = serde_json::from_str(&penalty.body).expect("JSON");
    for (key, value) in rules.as_object().expect("an object") {
        body[key] = value.clone();
    }
    serde_json::from_value(body).expect("a record type")
}

#[test]
fn a_record_is_due_after_its_decision_or_the_months_day() {
    let days = pack().working_days();
    // 2024-09-06 is a Friday.
    let friday = date(2024, 9, 6);
    let terms = |rules: Value, decided_on| {
        let terms = due(rules).terms(decided_on, &days).expect("it has a term");
        let kept = |deadline: Deadline| !deadline.provisional;
        assert!(kept(terms.publish_by) && kept(terms.push_by));
        (terms.publish_by.date, terms.push_by.date)
    };
    let week = date(2024, 9, 17);
    assert_eq!(terms(json!({}), friday), (week, week));
    assert_eq!(
        terms(json!({ "push_within_working_days": 2 }), friday),
        (week, date(2024, 9, 19))
    );
    let monthly = |day| json!({ "due_day_of_month": day, "report_within_working_days": 1 });
    assert_eq!(terms(monthly(30), friday).0, date(2024, 10, 1));
    assert_eq!(terms(monthly(6), friday).0, date(2024, 9, 9));
    assert_eq!(terms(monthly(5), friday).0, date(2024, 10, 7));
    assert_eq!(terms(monthly(31), date(2024, 2, 29)).0, date(2024, 3, 1));
    assert_eq!(terms(monthly(1), date(2024, 11, 30)).0, date(2024, 12, 2));
}

#[test]
fn backfill_has_no_term_and_goes_only_so_far_back() {
    let from = json!("2017-07-01");
    let days = pack().working_days();
    let (old, new) = (date(2017, 6, 30), date(2017, 7, 1));
    let today = date(2020, 6, 30);
    let any = due(json!({ "collected_from": from }));
    assert_eq!(any.terms(old, &days), None);
    assert!(any.terms(new, &days).is_some());
    assert_eq!(any.check_backfill(date(1990, 1, 1), None, today), Ok(()));

    let valid = due(json!({ "collected_from": from, "backfill": "still_valid" }));
    assert_eq!(valid.check_backfill(old, Some(today), today), Ok(()));
    assert_eq!(valid.check_backfill(old, None, today), Ok(()));
    let until = date(2020, 6, 29);
    assert_eq!(
        valid.check_backfill(old, Some(until), today),
        Err(BackfillFault::NoLongerValid { until })
    );
    assert_eq!(valid.check_backfill(new, Some(until), today), Ok(()));

    let years = due(json!({ "collected_from": from, "backfill": { "years": 3 } }));
    assert_eq!(years.check_backfill(old, None, today), Ok(()));
    assert_eq!(
        years.check_backfill(date(2017, 6, 29), None, today),
        Err(BackfillFault::TooOld {
            years: 3,
            earliest: old
        })
    );
}

#[test]
fn a_choice_is_one_of_the_choices_or_goes_on_from_the_open_one() {
    let rule: FieldRule = serde_json::from_value(json!({ "name": "category", "kind": "text",
        "max_chars": 9, "choices": ["ordinary", "approval"], "open_choice": "other-" }))
    .expect("a rule");
    for (value, allowed) in [
        ("ordinary", true),
        ("Ordinary", false),
        ("other-", false),
        ("other-fishing", true),
        ("", false),
    ] {
        assert_eq!(rule.allows(value), allowed, "{value}");
    }
    let free = FieldRule {
        choices: Vec::new(),
        open_choice: None,
        ..rule
    };
    assert!(free.allows("anything"));
}

#[test]
fn only_fields_in_clear_that_are_not_internal_are_public() {
    let public = |kind: &str, internal: bool| {
        let rule = json!({ "name": "field", "kind": kind, "internal": internal });
        let rule: FieldRule = serde_json::from_value(rule).expect("a rule");
        rule.is_public()
    };
    assert!(public("text", false) && public("money", false));
    assert!(!public("text", true));
    assert!(!public("personal_text", false) && !public("personal_id", false));
}

#[test]
fn a_record_registers_its_subject_where_its_type_says_so() {
    let mut record_type: RecordType = serde_json::from_value(json!({ "id": "registration",
        "name": "Registration", "reporters": [BUREAU],
        "legal_basis": { "id": "act", "version": 1 }, "subject_types": ["organisation"],
        "report_within_working_days": 7, "registers_subject": true,
        "registers_when": { "field": "kind", "value": "new" }, "fields": [] }))
    .expect("a record type");
    let said = |record_type: &RecordType, value: Option<&'static str>| {
        record_type.registers(|field| value.filter(|_| field == "kind"))
    };
    assert!(said(&record_type, Some("new")));
    assert!(!said(&record_type, Some("changed")) && !said(&record_type, None));
    record_type.registers_when = None;
    assert!(said(&record_type, None));
    record_type.registers_subject = false;
    assert!(!said(&record_type, Some("new")));
}

#[test]
fn what_an_older_pack_does_not_say_leaves_its_digest_alone() {
    let rule = json!({ "name": "field", "kind": "date" });
    let rule: FieldRule = serde_json::from_value(rule).expect("a rule");
    let text = serde_json::to_string(&rule).expect("JSON");
    assert!(
        !text.contains("internal") && !text.contains("ends_publication"),
        "{text}"
    );
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
    // Who does not report such records could cite no check, and the basis is not this department's.
    let fields: Vec<_> = decision(json!({ "departments": [BUREAU, OTHER] }))
        .faults()
        .into_iter()
        .map(|fault| fault.field)
        .collect();
    assert_eq!(fields, ["legal_basis", "departments[1]"]);
}
