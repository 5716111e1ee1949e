//! Tests of the small pack and of the ways to load one; those of faults are in `slips`.

mod diff;
mod province;
mod slips;

use jiff::civil::date;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::{ListPolarity, MeasureKind, MeasurePolarity};
use tally_domain::subject::SubjectType;

use super::*;

const M: &str = "measures.toml";

#[test]
fn the_small_pack_has_no_fault() {
    let pack = embedded().expect("the built-in pack is consistent");
    let sizes = [
        pack.departments.len(),
        pack.record_types.len(),
        pack.list_types.len(),
        pack.measures.len(),
        pack.memoranda.len(),
        pack.holidays.len(),
    ];
    assert_eq!(sizes, [3, 2, 2, 4, 2, 5]);
    for kind in [MeasureKind::OneOff, MeasureKind::Standing] {
        for polarity in [MeasurePolarity::Incentive, MeasurePolarity::Sanction] {
            let mut measures = pack.measures.values();
            assert!(measures.any(|it| it.kind == kind && it.polarity == polarity));
        }
    }
    let black = pack.list_type("serious-violation").expect("in the pack");
    assert_eq!(black.polarity, ListPolarity::Black);
    assert!(black.term.is_some());
}

/// The example of the page for people, added to the small pack as the page says.
fn documented() -> BTreeMap<String, String> {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/POLICY-PACK.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, example) = page.split_once("```toml\n").expect("an example");
    let (example, _) = example.split_once("```").expect("its end");
    let mut files = embedded_files();
    let mut file = None;
    for line in example.lines() {
        let named = line
            .strip_prefix("# ")
            .and_then(|line| line.split_once(".toml"));
        if let Some((name, _)) = named {
            file = Some(format!("{name}.toml"));
        }
        let name = file
            .as_ref()
            .expect("each table follows the name of its file");
        let text = files.get_mut(name).expect("a file of the pack");
        text.push_str(line);
        text.push('\n');
    }
    files
}

#[test]
fn the_example_of_the_page_is_a_pack_with_a_measure_of_its_own() {
    let before = embedded().expect("the built-in pack is consistent");
    let pack = from_files(&documented()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let new = |id: &&String| !before.measures.contains_key(*id);
    let own: Vec<_> = pack.measures.keys().filter(new).collect();
    assert_eq!(own.len(), 1, "{own:?}");
    let mut able = pack.departments.values().filter(|it| it.has_power(own[0]));
    let able = able.next().expect("a department with the power");
    assert!(pack.answers("water-polluter", &able.id), "{able:?}");
    for (added, count) in [
        (pack.record_types.len(), before.record_types.len()),
        (pack.list_types.len(), before.list_types.len()),
        (pack.memoranda.len(), before.memoranda.len()),
    ] {
        assert_eq!(added, count + 1);
    }
}

#[test]
fn what_the_small_pack_relies_on_is_in_force_from_2010_to_2026() {
    let pack = embedded().expect("the built-in pack is consistent");
    let cited = pack
        .memoranda
        .values()
        .flat_map(|memorandum| &memorandum.measures)
        .flat_map(|entry| entry.departments.iter().map(|by| (&entry.legal_basis, by)));
    let listing = pack
        .list_types
        .values()
        .flat_map(|list| list.initiators.iter().map(|by| (&list.legal_basis, by)));
    let collecting = pack
        .record_types
        .values()
        .flat_map(|it| it.reporters.iter().map(|by| (&it.legal_basis, by)));
    for (basis, department) in cited.chain(listing).chain(collecting) {
        for day in [date(2010, 1, 1), date(2026, 12, 31)] {
            let answer = pack.in_force(basis, day, department, SubjectType::Organisation);
            assert_eq!(answer, Ok(()));
        }
    }
    let lapsed = LegalBasisRef::new("tally-interim-measures/3", 1);
    let department = pack.departments.keys().next().expect("three departments");
    let ask = |day| pack.in_force(&lapsed, day, department, SubjectType::Organisation);
    assert!(ask(date(2015, 12, 31)).is_ok());
    assert!(ask(date(2016, 1, 1)).is_err());
}

#[test]
fn natural_persons_are_off_in_the_small_pack() {
    let pack = embedded().expect("the built-in pack is consistent");
    let person = SubjectType::NaturalPerson;
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
    assert!(
        pack.legal_bases
            .values()
            .all(|it| !it.subject_types.contains(&person))
    );
}

#[test]
fn the_small_packs_calendar_counts_as_the_notices_do() {
    let days = embedded()
        .expect("the built-in pack is consistent")
        .working_days();
    for (from, working_days, until) in [
        (date(2024, 9, 27), 7, date(2024, 10, 12)),
        (date(2024, 2, 6), 7, date(2024, 2, 21)),
        (date(2026, 2, 12), 7, date(2026, 2, 28)),
        (date(2025, 9, 26), 2, date(2025, 9, 29)),
    ] {
        assert_eq!(days.after(from, working_days).date, until);
    }
    for (year, expected) in [(2024, 251), (2025, 248), (2026, 248)] {
        let all = date(year, 1, 1).series(jiff::Span::new().days(1));
        let all = all.take_while(|day| day.year() == year);
        assert_eq!(
            all.filter(|day| days.is_working_day(*day).working).count(),
            expected
        );
    }
}

#[test]
fn items_of_the_small_pack_round_trip() {
    let pack = embedded().expect("the built-in pack is consistent");
    let again = Pack::from_items(pack.meta.clone(), pack.items()).expect("own items");
    assert_eq!(again, pack);
    assert_eq!(again.digest(), pack.digest());
}

#[test]
fn a_directory_loads_as_its_files_do() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in embedded_files() {
        std::fs::write(directory.path().join(name), text).expect("writable");
    }
    std::fs::write(directory.path().join("README.md"), "not a part").expect("writable");
    assert_eq!(load_dir(directory.path()), embedded());

    let file = directory.path().join(M);
    std::fs::write(&file, [0xff, 0xfe]).expect("writable");
    let faults = load_dir(directory.path()).expect_err("not text");
    assert_eq!(faults.len(), 1, "{faults:#?}");
    assert!(
        faults[0]
            .to_string()
            .starts_with("measures.toml:1:1: cannot be read")
    );

    let faults = load_dir(&directory.path().join("none")).expect_err("no directory");
    assert!(faults[0].message.starts_with("cannot be read"));
}

#[test]
fn the_communitys_notices_are_read_beside_the_calendar() {
    let json = |year: i16, day: &str| {
        format!(
            r#"{{"year":{year},"papers":[],"days":[{{"name":"元旦","date":"{day}","isOffDay":true}}]}}"#
        )
    };
    let mut files = embedded_files();
    files.insert("2027.json".into(), json(2027, "2027-01-01"));
    let pack = from_files(&files).expect("another year");
    assert_eq!(pack.holidays[&2027].off, [date(2027, 1, 1)]);

    files.insert("2027.json".into(), json(2026, "2026-01-01"));
    files.insert("2028.json".into(), json(2028, "2029-06-01"));
    let faults = from_files(&files).expect_err("a year twice, a day of another year");
    let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(
        text[0].starts_with("2027.json:1:1") && text[0].contains("comes twice"),
        "{text:#?}"
    );
    assert!(
        text[1].starts_with("2028.json:1:1") && text[1].contains("too far"),
        "{text:#?}"
    );
}

#[test]
fn one_changed_rule_changes_one_item() {
    let before = embedded().expect("the built-in pack is consistent");
    let mut files = embedded_files();
    let text = files.get_mut("list_types.toml").expect("in the pack");
    *text = text.replace("months_max = 36", "months_max = 24");
    let after = from_files(&files).expect("still consistent");
    let old = before.items();
    let mut changed = after.items();
    changed.retain(|item| !old.contains(item));
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].id, "serious-violation");
    assert_ne!(after.digest(), before.digest());
}
