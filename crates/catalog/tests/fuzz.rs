//! Packs and mappings as they should not be: each is a pack, or every fault has
//! its file and line.
//!
//! `PROPTEST_CASES` says how many; `make fuzz` runs many more.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use tally_catalog::pack::{BuiltIn, LocatedFault, form_from_text, from_files, load_dir};
use tally_domain::policy::Pack;

type Files = BTreeMap<String, String>;

static PACKS: LazyLock<[Files; 2]> =
    LazyLock::new(|| [BuiltIn::Small.files(), BuiltIn::Province.files()]);

/// Values in quotation marks of both packs: each is right somewhere.
static VALUES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let texts = PACKS.iter().flat_map(BTreeMap::values);
    let quoted = texts.flat_map(|text| text.split('"').skip(1).step_by(2));
    let mut values: Vec<_> = quoted.map(|value| format!("\"{value}\"")).collect();
    values.sort();
    values.dedup();
    values
});

/// Values that are wrong almost everywhere.
const ODD: [&str; 24] = [
    "",
    "0",
    "-1",
    "4294967296",
    "9223372036854775807",
    "99999999999999999999999999",
    "0x7fffffffffffffff",
    "1e999",
    "nan",
    "true",
    "[]",
    "[[]]",
    "{}",
    "{ a = { b = [{}] } }",
    "\"\"",
    "\"\\u0000\"",
    "\"2026-02-30\"",
    "2026-02-30",
    "9999-12-31",
    "\"0001-01-01/9999-12-31\"",
    "\"长期\"",
    "'''\n'''",
    "\"a\" \"b\"",
    "= = [",
];

/// A slip of whoever writes a pack.
#[derive(Debug, Clone)]
enum Slip {
    Drop,
    Twice,
    /// The line moves so many down.
    Moved(usize),
    /// What is after the sign becomes this.
    Value(String),
    /// What is before the sign becomes this.
    Key(String),
    /// The line becomes this.
    Line(String),
    /// The file ends in the middle of the line.
    Cut,
}

fn slip() -> impl Strategy<Value = Slip> {
    let keys = [
        "id",
        "version",
        "from",
        "until",
        "legal_basis",
        "departments",
    ];
    prop_oneof![
        Just(Slip::Drop),
        Just(Slip::Twice),
        (1usize..40).prop_map(Slip::Moved),
        any::<prop::sample::Index>().prop_map(|at| Slip::Value(at.get(&VALUES).clone())),
        prop::sample::select(ODD.to_vec()).prop_map(|odd| Slip::Value(odd.to_owned())),
        "[a-z_]{0,8}(\\.[a-z]{1,4}){0,3}".prop_map(Slip::Key),
        prop::sample::select(keys.to_vec()).prop_map(|key| Slip::Key(key.to_owned())),
        "(\\[\\[|\\[)?[a-z_.\"=\\[\\]{} 0-9]{0,20}".prop_map(Slip::Line),
        "\\PC{0,20}".prop_map(Slip::Line),
        Just(Slip::Cut),
    ]
}

fn slipped(text: &str, at: usize, slip: &Slip) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = at % lines.len().max(1);
    let Some(line) = lines.get(at).cloned() else {
        return text.to_owned();
    };
    let (key, value) = line.split_once('=').unwrap_or((&line, ""));
    match slip {
        Slip::Drop => drop(lines.remove(at)),
        Slip::Twice => lines.insert(at, line),
        Slip::Moved(down) => {
            let line = lines.remove(at);
            lines.insert((at + down).min(lines.len()), line);
        }
        Slip::Value(value) => lines[at] = format!("{key}= {value}"),
        Slip::Key(key) => lines[at] = format!("{key} ={value}"),
        Slip::Line(line) => lines[at].clone_from(line),
        Slip::Cut => {
            lines.truncate(at + 1);
            let middle = line.chars().count() / 2;
            lines[at] = line.chars().take(middle).collect();
        }
    }
    lines.join("\n")
}

/// Each fault has a place in a file, and a consistent pack has none.
fn judged(files: &Files, result: Result<Pack, Vec<LocatedFault>>) {
    match result {
        Ok(pack) => assert_eq!(pack.faults(), []),
        Err(faults) => assert_placed(&faults, files),
    }
}

fn assert_placed(faults: &[LocatedFault], files: &Files) {
    assert!(!faults.is_empty(), "refused for nothing");
    for fault in faults {
        let lines = files
            .get(&fault.file)
            .map_or(1, |text| text.lines().count() + 1);
        assert!((1..=lines).contains(&fault.line), "{fault}");
        assert!(fault.column >= 1 && !fault.message.is_empty(), "{fault}");
    }
}

fn config(share: u32) -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        cases: (usual.cases / share).max(8),
        // What is found becomes a test of its own.
        failure_persistence: None,
        ..usual
    }
}

fn slips() -> impl Strategy<Value = Vec<(usize, usize, Slip)>> {
    prop::collection::vec((0..10usize, 0..100_000usize, slip()), 1..5)
}

fn with(files: &Files, slips: &[(usize, usize, Slip)]) -> Files {
    let mut files = files.clone();
    for (file, at, slip) in slips {
        let count = files.len();
        let text = files.values_mut().nth(file % count).expect("within");
        *text = slipped(text, *at, slip);
    }
    files
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn a_small_pack_with_slips_is_a_pack_or_refused(slips in slips()) {
        let files = with(&PACKS[0], &slips);
        judged(&files, from_files(&files));
    }

    #[test]
    fn any_text_is_a_pack_or_refused(text in "\\PC{0,200}", json in "[{}\\[\\]\":,a-z0-9-]{0,60}") {
        let mut files = PACKS[0].clone();
        files.insert("record_types.toml".to_owned(), text.clone());
        files.insert("2026.json".to_owned(), json);
        judged(&files, from_files(&files));
        let mapping = form_from_text("mapping.toml", &text).expect_err("it has no id");
        assert_placed(&mapping, &Files::from([("mapping.toml".to_owned(), text)]));
    }

    #[test]
    fn a_mapping_with_slips_is_a_form_or_refused(
        which in 0..3usize, slips in prop::collection::vec((0..1_000usize, slip()), 1..4),
    ) {
        let mappings = [
            include_str!("../../../examples/mappings/old-penalties.toml"),
            include_str!("../../../examples/mappings/judgments.toml"),
            include_str!("../../../examples/mappings/inspections.toml"),
        ];
        let mut text = mappings[which].to_owned();
        for (at, slip) in &slips {
            text = slipped(&text, *at, slip);
        }
        if let Err(faults) = form_from_text("mapping.toml", &text) {
            assert_placed(&faults, &Files::from([("mapping.toml".to_owned(), text)]));
        }
    }
}

proptest! {
    // It has a hundred times the items.
    #![proptest_config(config(8))]

    #[test]
    fn a_provinces_pack_with_slips_is_a_pack_or_refused(slips in slips()) {
        let files = with(&PACKS[1], &slips);
        judged(&files, from_files(&files));
    }
}

#[test]
fn tables_within_tables_are_refused_before_they_take_the_stack() {
    const DEPTH: usize = 200_000;
    let deep = [
        format!("a = {}", "[".repeat(DEPTH)),
        format!("a = {}", "{ a = ".repeat(DEPTH)),
        format!("a = {}{}", "[".repeat(DEPTH), "]".repeat(DEPTH)),
        format!("{}a = 1", "a.".repeat(DEPTH)),
        format!("[{}a]", "a.".repeat(DEPTH)),
        format!(
            "[[record_type]]\n[{}a]\n",
            "record_type.".repeat(DEPTH / 10)
        ),
        "[[a]]\n".repeat(DEPTH),
    ];
    for text in deep {
        let mut files = PACKS[0].clone();
        files.insert("record_types.toml".to_owned(), text.clone());
        judged(&files, from_files(&files));
        assert!(form_from_text("mapping.toml", &text).is_err());
    }
    let mut files = PACKS[0].clone();
    files.insert("2026.json".to_owned(), "[".repeat(DEPTH));
    judged(&files, from_files(&files));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_and_not_read() {
    use std::os::unix::fs::symlink;

    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, text) in PACKS[0].iter() {
        std::fs::write(directory.path().join(name), text).expect("written");
    }
    let path = |name: &str| directory.path().join(name);
    // A part of a pack may lie elsewhere; a device has no end, and a directory no text.
    std::fs::rename(path("measures.toml"), path("measures.real")).expect("renamed");
    symlink("measures.real", path("measures.toml")).expect("linked");
    assert!(load_dir(directory.path()).is_ok());
    std::fs::remove_file(path("calendar.toml")).expect("removed");
    symlink("/dev/zero", path("calendar.toml")).expect("linked");
    std::fs::remove_file(path("memoranda.toml")).expect("removed");
    std::fs::create_dir(path("memoranda.toml")).expect("made");
    std::fs::remove_file(path("departments.toml")).expect("removed");
    symlink("departments.toml", path("departments.toml")).expect("linked");
    let huge = std::fs::File::create(path("list_types.toml")).expect("made");
    huge.set_len(1 << 40).expect("a sparse file");
    let faults = load_dir(directory.path()).expect_err("not text");
    let mut wrong: Vec<_> = faults
        .iter()
        .filter(|fault| fault.message.starts_with("cannot be read"))
        .map(|fault| fault.file.as_str())
        .collect();
    wrong.sort_unstable();
    let expected = [
        "calendar.toml",
        "departments.toml",
        "list_types.toml",
        "memoranda.toml",
    ];
    assert_eq!(wrong, expected, "{faults:?}");
}
