//! What a new pack would change, in words.

use tally_domain::policy::{ChangeKind, ItemKind, PackChange, SharedWith};

use crate::pack::{BuiltIn, Pack, from_files};

const COURT: &str = "11990000MB00012308";

fn province() -> Pack {
    BuiltIn::Province
        .load()
        .expect("the built-in pack is consistent")
}

/// The changes if, in these files, the first of one text became another.
fn changes(slips: &[(&str, &str, &str)]) -> Vec<PackChange> {
    let mut files = BuiltIn::Province.files();
    for (file, old, new) in slips {
        let text = files.get_mut(*file).expect("a file of the pack");
        assert!(text.contains(old), "{file} has no {old:?}");
        *text = text.replacen(old, new, 1);
    }
    let new = from_files(&files).unwrap_or_else(|faults| panic!("{faults:#?}"));
    province().diff(&new)
}

#[track_caller]
fn assert_words(slip: (&str, &str, &str), item: &str, words: &[&str]) {
    let mut changes = changes(&[slip]);
    assert_eq!(changes.len(), 1, "{changes:#?}");
    let change = changes.remove(0);
    assert_eq!(change.item.id, item);
    assert_eq!(change.kind, ChangeKind::Changed);
    assert_eq!(change.words, words);
}

#[test]
fn the_same_pack_changes_nothing() {
    assert_eq!(province().diff(&province()), []);
}

#[test]
fn who_may_do_what_is_said_by_name() {
    let county = "11990102MB0003025U";
    let mut files = BuiltIn::Province.files();
    let text = files
        .get_mut("list_types.toml")
        .expect("a file of the pack");
    *text = text.replacen("    \"11990102MB0003025U\",\n", "", 1);
    let fewer = from_files(&files).expect("still consistent");
    let name = "Tally County Market Supervision Bureau";
    for (old, new, verb) in [
        (province(), fewer.clone(), "may no longer"),
        (fewer, province(), "may"),
    ] {
        let mut changes = old.diff(&new);
        assert_eq!(changes.len(), 1, "{changes:#?}");
        let change = changes.remove(0);
        assert_eq!(change.item.id, "food-safety");
        assert_eq!(
            change.words,
            [format!("{verb} list and decide: {name} ({county})")]
        );
        assert!(change.departments.iter().any(|id| id.as_str() == county));
        // Those who carry out its measures are concerned as well.
        assert!(change.departments.len() > 3);
        assert!(change.departments.iter().all(|id| id.as_str() != COURT));
    }
}

#[test]
fn who_sees_more_or_less_is_told() {
    let concerned = |old: &Pack, new: &Pack, id: &str| {
        let mut changes = old.diff(new);
        assert_eq!(changes.len(), 1, "{changes:#?}");
        let change = changes.remove(0);
        assert_eq!(change.item.id, id);
        change
    };
    let sees =
        |change: &PackChange, id: &str| change.departments.iter().any(|it| it.as_str() == id);
    // Its division and those above see it, unless the pack says otherwise.
    let mut shared = province();
    let county = "11990102MB0003092R";
    let arrears = shared.record_types.get_mut("wage-arrears").expect("there");
    assert_eq!(arrears.shared_with, SharedWith::Division);
    assert!(arrears.reporters.iter().all(|id| id.as_str() != county));
    arrears.shared_with = SharedWith::Listed(vec![county.parse().expect("a department")]);
    for (old, new) in [(&province(), &shared), (&shared, &province())] {
        let change = concerned(old, new, "wage-arrears");
        assert!(sees(&change, county), "{change:#?}");
        assert!(sees(&change, COURT), "no longer, or again: {change:#?}");
        assert!(change.words[0].contains("`division`"), "{:?}", change.words);
        assert!(change.words[0].contains(county), "{:?}", change.words);
    }
    let mut shared = province();
    let list = shared.list_types.get_mut("wage-arrears").expect("there");
    assert_eq!(list.shared_with, SharedWith::Division);
    list.shared_with = SharedWith::All;
    let change = concerned(&province(), &shared, "wage-arrears");
    assert!(sees(&change, county), "{change:#?}");
    assert_eq!(
        change.words,
        ["may see who is listed: `all` instead of `division`"]
    );
    // A department that moves is seen by others than before.
    let (bureau, other) = ("11990102MB0003025U", "11990200MB0002217D");
    let mut moved = province();
    let department = moved.departments.get_mut(bureau).expect("there");
    department.division = "990201".to_owned();
    let change = concerned(&province(), &moved, bureau);
    assert!(sees(&change, other) && sees(&change, bureau), "{change:#?}");
    assert!(!sees(&change, COURT), "the province sees it as before");
}

#[test]
fn terms_and_days_are_said_with_what_they_were() {
    assert_words(
        (
            "list_types.toml",
            "months_min = 12, months_max = 36",
            "months_min = 12, months_max = 24",
        ),
        "serious-tax-violation",
        &["term: months max 24, months min 12 instead of months max 36, months min 12"],
    );
    assert_words(
        (
            "list_types.toml",
            "in_force = { from = 2018-01-01 }",
            "in_force = { from = 2018-01-01, until = 2027-12-31 }",
        ),
        "honest-taxpayer",
        &["in force from 2018-01-01 until 2027-12-31 instead of from 2018-01-01"],
    );
    assert_words(
        (
            "record_types.toml",
            "report_within_working_days = 7",
            "report_within_working_days = 5",
        ),
        "administrative-licence",
        &["report within working days: 5 instead of 7"],
    );
}

#[test]
fn parts_of_an_item_are_named() {
    assert_words(
        (
            "record_types.toml",
            "{ name = \"defect\", name_zh = \"不合格项目\", kind = \"text\", max_chars = 500 }",
            "{ name = \"checked_on\", kind = \"date\" }",
        ),
        "spot-check",
        &[
            "field `checked_on` is new: kind `date`",
            "field `defect` is left out",
        ],
    );
    assert_words(
        (
            "calendar.toml",
            "\"2026-10-01/2026-10-07\"",
            "\"2026-10-01/2026-10-06\"",
        ),
        "2026",
        &["2026-10-07 is no longer a day off"],
    );
}

#[test]
fn what_the_public_sees_is_said() {
    let slip = ("record_types.toml", "published = true\n", "");
    assert_words(
        slip,
        "administrative-licence",
        &["the public no longer sees it"],
    );
    let slip = ("list_types.toml", "published = true\n", "");
    assert_words(slip, "honest-taxpayer", &["the public no longer sees it"]);
    let kind = "registration_type\", value = \"设立\" }";
    let slip = (
        "record_types.toml",
        kind,
        "registration_type\", value = \"变更\" }",
    );
    let words = "registers when: field `registration_type`, value `变更` instead of field `registration_type`, value `设立`";
    assert_words(slip, "registration", &[words]);
}

#[test]
fn items_come_and_go() {
    let small = BuiltIn::Small
        .load()
        .expect("the built-in pack is consistent");
    let changes = small.diff(&province());
    let find = |kind, id: &str| {
        let found = changes
            .iter()
            .find(|change| change.item.kind == kind && change.item.id == id);
        found.unwrap_or_else(|| panic!("{kind} {id} changes"))
    };
    assert_eq!(changes[0].item.kind, ItemKind::Pack);
    let gone = find(ItemKind::ListType, "serious-violation");
    assert_eq!(gone.kind, ChangeKind::Removed);
    assert_eq!(
        gone.words,
        [
            "nobody can be nominated for `Serious violations` any more; its listings are no longer in force"
        ]
    );
    assert!(!gone.departments.is_empty(), "those of the old pack");
    let new = find(ItemKind::ListType, "wage-arrears");
    assert_eq!(new.kind, ChangeKind::Added);
    assert_eq!(
        new.words,
        ["subjects may be nominated for `Arrears of migrant workers' wages`"]
    );
    assert!(
        changes
            .iter()
            .all(|change| change.item.kind != ItemKind::HolidayNotice)
    );
}

#[test]
fn a_form_that_comes_or_goes_is_said_for_its_records() {
    let mut files = BuiltIn::Province.files();
    let text = files.get_mut("forms.toml").expect("a file of the pack");
    let second = text.match_indices("[[form]]").nth(1).expect("two forms").0;
    text.truncate(second);
    let fewer = from_files(&files).expect("still consistent");
    let said = |old: &Pack, new: &Pack| {
        let changes = old.diff(new);
        assert!(changes.iter().all(|it| it.item.kind == ItemKind::Form));
        changes[0].words.join("\n")
    };
    let added = said(&fewer, &province());
    for words in [
        "records of `administrative-penalty` have the form `",
        "names of the fields are read as before",
    ] {
        assert!(added.contains(words), "{added}");
    }
    let removed = said(&province(), &fewer);
    assert!(
        removed.contains("records of `administrative-penalty` no longer have the form"),
        "{removed}"
    );
    let title = (
        "forms.toml",
        "title = \"行政相对人名称\"",
        "title = \"当事人名称\"",
    );
    let changed = changes(&[title]).remove(0).words;
    assert!(
        changed[0].starts_with("the form of records of `"),
        "{changed:?}"
    );
    assert!(
        changed.iter().any(|words| words.contains("当事人名称")),
        "{changed:?}"
    );
}
