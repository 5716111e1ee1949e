//! What every contract must keep, enumerated from the descriptor set.

use std::collections::{BTreeMap, BTreeSet};

use prost_reflect::{FieldDescriptor, Kind, Value};
use tally_tests::contracts::{is_numeric, is_personal, messages, pool, reachable_fields};

/// Numeric fields that a natural person's data can reach, each with the reason
/// why it is no score, rank or grade of that person.
const NUMERIC_FIELDS: &str = include_str!("numeric_fields.txt");

/// Parts of names that would be a score, a rank or a grade.
const SCORING_NAMES: [&str; 7] = [
    "score",
    "rank",
    "grade",
    "rating",
    "points",
    "weight",
    "percentile",
];

fn key(field: &FieldDescriptor) -> String {
    format!("{}.{}", field.parent_message().full_name(), field.name())
}

#[test]
fn every_call_has_a_rule() {
    let pool = pool();
    let option = pool
        .get_extension_by_name("tally.options.v1.access")
        .expect("the option is declared");
    let mut calls = 0;
    for service in pool
        .services()
        .filter(|service| service.full_name().starts_with("tally."))
    {
        for method in service.methods() {
            calls += 1;
            let name = method.full_name().to_owned();
            let options = method.options();
            assert!(
                options.has_extension(&option),
                "{name} has no rule: nobody could call it"
            );
            let rule = options.get_extension(&option);
            let rule = rule.as_message().expect("a rule is a message");
            let right = rule
                .get_field_by_name("right")
                .expect("a rule names its right");
            assert!(
                right.as_str().is_some_and(|right| right.contains('.')),
                "{name}: right {right:?}"
            );
            let callers = rule
                .get_field_by_name("callers")
                .expect("a rule names callers");
            let callers = callers.as_list().expect("callers are a list");
            assert!(!callers.is_empty(), "{name} names no caller");
            assert!(
                !callers.contains(&Value::EnumNumber(0)),
                "{name} names the unspecified caller"
            );
        }
    }
    assert!(
        calls > 40,
        "only {calls} calls were found: is this the whole set?"
    );
}

#[test]
fn only_officers_decide() {
    // What lists a subject, or takes something from it, is decided by an officer.
    let pool = pool();
    let option = pool
        .get_extension_by_name("tally.options.v1.access")
        .expect("the option is declared");
    let service = |name| pool.get_service_by_name(name).expect("the service");
    let lists = service("tally.lists.v1.ListsService");
    let sanctions = service("tally.sanctions.v1.SanctionsService");
    let on_lists = lists.methods().filter(|method| {
        !["Get", "Follow"]
            .iter()
            .any(|read| method.name().starts_with(read))
    });
    let on_directives: Vec<_> = sanctions
        .methods()
        .filter(|method| ["Execute", "Decline"].contains(&method.name()))
        .collect();
    assert_eq!(on_directives.len(), 2);
    for method in on_lists.chain(on_directives) {
        let options = method.options();
        let rule = options.get_extension(&option);
        let rule = rule.as_message().expect("a rule is a message");
        let callers = rule
            .get_field_by_name("callers")
            .expect("a rule names callers");
        let officer = Value::EnumNumber(2);
        assert_eq!(
            callers.as_list(),
            Some([officer].as_slice()),
            "{}",
            method.full_name()
        );
    }
}

#[test]
fn no_number_that_a_person_reaches_is_unexplained() {
    let pool = pool();
    let explained: BTreeMap<&str, &str> = NUMERIC_FIELDS
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            line.split_once(": ")
                .unwrap_or_else(|| panic!("`{line}` has no reason"))
        })
        .collect();
    let mut found = BTreeSet::new();
    for message in messages(&pool) {
        let fields = reachable_fields(&message);
        let about_a_person = fields.iter().any(|field| {
            is_personal(&pool, field)
                || field.name() == "subject"
                || matches!(field.kind(), Kind::Message(inner) if inner.full_name() == "tally.log.v1.Sealed")
        });
        if about_a_person {
            found.extend(fields.iter().filter(|field| is_numeric(field)).map(key));
        }
    }
    let unexplained: Vec<&String> = found
        .iter()
        .filter(|field| !explained.contains_key(field.as_str()))
        .collect();
    assert!(
        unexplained.is_empty(),
        "numbers without a reason in numeric_fields.txt: {unexplained:#?}"
    );
    let stale: Vec<&&str> = explained
        .keys()
        .filter(|field| !found.contains(**field))
        .collect();
    assert!(
        stale.is_empty(),
        "reasons for fields that do not exist: {stale:#?}"
    );
    assert!(
        explained.values().all(|reason| reason.len() > 10),
        "a reason says why it is no score"
    );
}

#[test]
fn no_name_of_a_score_and_no_fraction_anywhere() {
    for message in messages(&pool()) {
        for field in message.fields() {
            let name = field.name();
            assert!(
                !SCORING_NAMES
                    .iter()
                    .any(|part| name.split('_').any(|word| word == *part)),
                "{} is named like a score",
                key(&field)
            );
            assert!(
                !matches!(field.kind(), Kind::Double | Kind::Float),
                "{} is a fraction",
                key(&field)
            );
        }
    }
}

#[test]
fn nothing_stored_holds_personal_data_in_clear() {
    let pool = pool();
    let mut stored = 0;
    for message in messages(&pool) {
        let file = message.parent_file().name().to_owned();
        let is_stored = file.ends_with("events.proto")
            || file.ends_with("views.proto")
            || ["Record", "Envelope", "Actor"]
                .map(|name| format!("tally.log.v1.{name}"))
                .contains(&message.full_name().to_owned());
        if !is_stored {
            continue;
        }
        stored += 1;
        for field in reachable_fields(&message) {
            assert!(
                !is_personal(&pool, &field),
                "{} reaches {} in clear",
                message.full_name(),
                key(&field)
            );
        }
    }
    assert!(
        stored > 20,
        "only {stored} stored messages were found: is this the whole set?"
    );
}

#[test]
fn what_is_personal_is_marked() {
    // A name that says "person" in a request without the mark would be logged and printed.
    let pool = pool();
    for message in messages(&pool) {
        for field in message.fields() {
            let speaks_of_a_person = ["person", "representative", "informant", "resident"]
                .iter()
                .any(|part| field.name().contains(part));
            let opaque = matches!(field.kind(), Kind::Message(inner) if inner.full_name() == "tally.log.v1.Sealed");
            assert!(
                !speaks_of_a_person || opaque || is_personal(&pool, &field),
                "{} is not marked",
                key(&field)
            );
        }
    }
}
