//! What a catalogue item says of its records: when they are due, and their fields.

use jiff::civil::date;
use serde_json::{Value, json};

use super::*;
use crate::calendar::Deadline;

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
