//! The province's pack.

use std::collections::BTreeSet;

use tally_domain::policy::{
    Level, ListPolarity, MeasureKind, MeasurePolarity, Pack, Strength, WhenUndetermined,
};
use tally_domain::subject::SubjectType;

use crate::pack::{BuiltIn, form_from_text};

fn province() -> Pack {
    BuiltIn::Province
        .load()
        .expect("the built-in pack is consistent")
}

#[test]
fn the_province_has_what_a_province_needs() {
    let pack = province();
    assert!(pack.departments.len() >= 12);
    for level in [Level::Province, Level::City, Level::County] {
        assert!(pack.departments.values().any(|it| it.level == level));
    }
    assert_eq!(pack.list_types.len(), 6);
    let red = pack
        .list_types
        .values()
        .filter(|list| list.polarity == ListPolarity::Red);
    assert_eq!(red.count(), 1);
    assert_eq!(pack.measures.len(), 20);
    for kind in [MeasureKind::OneOff, MeasureKind::Standing] {
        for polarity in [MeasurePolarity::Incentive, MeasurePolarity::Sanction] {
            let mut measures = pack.measures.values();
            assert!(measures.any(|it| it.kind == kind && it.polarity == polarity));
        }
    }
    for strength in [Strength::Mandatory, Strength::Recommended] {
        assert!(pack.measures.values().any(|it| it.strength == strength));
    }
    for answer in [
        WhenUndetermined::Proceed,
        WhenUndetermined::Hold,
        WhenUndetermined::Refer,
    ] {
        assert!(
            pack.measures
                .values()
                .any(|it| it.when_undetermined == answer)
        );
    }
    assert!(!pack.decisions.is_empty());
}

#[test]
fn nothing_in_the_province_is_idle() {
    let pack = province();
    let assigned: BTreeSet<_> = pack
        .memoranda
        .values()
        .flat_map(|memorandum| &memorandum.measures)
        .map(|measure| measure.measure.as_str())
        .collect();
    let measures: BTreeSet<_> = pack.measures.keys().map(String::as_str).collect();
    assert_eq!(assigned, measures, "each measure is in a memorandum");
    let answered: BTreeSet<_> = pack
        .memoranda
        .values()
        .map(|it| it.list_type.as_str())
        .collect();
    let lists: BTreeSet<_> = pack.list_types.keys().map(String::as_str).collect();
    assert_eq!(answered, lists, "each list has a memorandum");
    for department in pack.departments.values() {
        let powers = &department.powers;
        assert!(!powers.is_empty(), "{} has a part", department.name);
    }
}

#[test]
fn natural_persons_are_off_in_the_province() {
    let person = SubjectType::NaturalPerson;
    let pack = province();
    assert!(
        pack.record_types
            .values()
            .all(|it| it.basis_for(person).is_none())
    );
    assert!(
        pack.list_types
            .values()
            .all(|it| it.basis_for(person).is_none())
    );
}

#[test]
fn both_packs_have_the_same_holidays() {
    let small = BuiltIn::Small
        .load()
        .expect("the built-in pack is consistent");
    assert_eq!(province().holidays, small.holidays);
}

#[test]
fn the_examples_of_mappings_suit_the_province() {
    let pack = province();
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/mappings");
    let mut seen = 0;
    for file in std::fs::read_dir(examples).expect("the examples are there") {
        let path = file.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let form = form_from_text("mapping", &text).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let record_type = pack.record_type(&form.record_type).expect("in the pack");
        assert_eq!(form.faults(record_type), [], "{}", path.display());
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[test]
fn what_is_shared_is_seen_by_division_by_all_or_by_those_named() {
    let pack = province();
    let id = |text: &str| text.parse().expect("a department");
    // The human resources bureau of a city, and departments in every relation to it.
    let city = "11990100MB0002081H";
    let (neighbour, superior) = (id("11990100MB00020309"), id("11990000MB00011264"));
    let (county, other_city) = (id("11990102MB0003092R"), id("11990200MB0002217D"));
    let stranger = id("11990000MB0000107X");
    let readers = [&neighbour, &superior, &county, &other_city, &stranger];
    let records =
        |record_type: &str| readers.map(|reader| pack.may_read_record(record_type, city, reader));
    assert_eq!(records("wage-arrears"), [true, true, false, false, false]);
    assert_eq!(records("judgment"), [true, true, true, true, false]);
    let debts = pack.record_type("government-debt").expect("in the pack");
    let owner = debts.reporters[1].as_str();
    assert!(pack.may_read_record("government-debt", owner, &id("11990000MB0001011X")));
    assert!(!pack.may_read_record("government-debt", owner, &superior));
    // The other city is addressed by a memorandum, the county is not.
    let listed =
        |list_type: &str| readers.map(|reader| pack.may_read_listed(list_type, city, reader));
    assert_eq!(listed("wage-arrears"), [true, true, false, true, false]);
    assert_eq!(
        listed("government-default"),
        [false, true, false, false, false]
    );
}

#[test]
fn what_a_department_leaves_behind_is_the_provinces() {
    let pack = province();
    let id = |text: &str| text.parse().expect("a department");
    let gone = "11990100MB0000203C";
    assert!(pack.oversees(&id("11990000MB00011264"), gone));
    assert!(!pack.oversees(&id("11990100MB00020309"), gone));
    assert!(pack.oversees(&id(gone), gone));
}
