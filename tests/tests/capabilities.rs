//! The page of capabilities names tests that exist.

use std::path::{Path, PathBuf};

const PAGE: &str = include_str!("../../docs/CAPABILITIES.md");

/// Rows of the list of requirements, in their order.
fn numbers() -> Vec<String> {
    let mut numbers: Vec<String> = (1..=69).map(|number: u32| number.to_string()).collect();
    numbers.insert(68, "68a".to_owned());
    numbers
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("the tests are a member of the workspace")
        .to_owned()
}

/// Cells of the rows of the table.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| "));
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect();
    rows.map(cells)
        .filter(|cells: &Vec<&str>| cells[0] != "#")
        .collect()
}

/// Links of a cell: what is written and where it leads.
fn links(cell: &str) -> Vec<(&str, &str)> {
    let parts = cell.split('[').skip(1);
    parts
        .map(|part| {
            let (text, rest) = part.split_once("](").expect("a link has a target");
            let (target, _) = rest.split_once(')').expect("a link ends");
            (text, target)
        })
        .collect()
}

#[test]
fn every_requirement_is_there_once_and_in_order() {
    let found: Vec<&str> = rows().iter().map(|cells| cells[0]).collect();
    assert_eq!(found, numbers());
}

#[test]
fn what_is_built_is_shown_by_tests_that_exist() {
    let mut shown = 0;
    for cells in rows() {
        let [number, _, state, place, tests] = cells[..] else {
            panic!("{cells:?}: five columns");
        };
        let is_open = ["later", "not ours"]
            .iter()
            .any(|open| state.starts_with(open));
        assert_eq!(
            is_open,
            tests.is_empty(),
            "row {number}: `{state}`, shown by `{tests}`"
        );
        let known = [
            "built",
            "partly",
            "off by default",
            "refused",
            "later",
            "not ours",
        ];
        assert!(
            known.iter().any(|word| state.starts_with(word)),
            "row {number}: `{state}`"
        );
        for (_, target) in links(place) {
            assert!(
                root().join("docs").join(target).exists(),
                "row {number}: {target}"
            );
        }
        for (test, target) in links(tests) {
            shown += 1;
            let file = root().join("docs").join(target);
            let source = std::fs::read_to_string(&file)
                .unwrap_or_else(|error| panic!("row {number}: {target}: {error}"));
            let is_a_test = source.split("#[t").skip(1).any(|after| {
                let signature = after.split('{').next().unwrap_or_default();
                let attribute = after.starts_with("est]") || after.starts_with("okio::test");
                attribute && signature.contains(&format!("fn {test}("))
            });
            assert!(is_a_test, "row {number}: {target} has no test `{test}`");
        }
    }
    assert!(
        shown > 40,
        "only {shown} tests are named: is this the whole table?"
    );
}
