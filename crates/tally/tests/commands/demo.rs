//! The demo: it runs to its end, everything it verifies holds, and in Chinese
//! it is Chinese from the first line to the last.

use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::tally;
use crate::process::Place;

/// True if people who read Chinese can read it: the rest are numbers and marks.
fn is_chinese(line: &str) -> bool {
    let letters = || line.chars().any(|c| c.is_ascii_alphabetic());
    line.chars().any(|c| ('一'..='鿿').contains(&c)) || !letters()
}

#[test]
fn the_demo_holds_and_speaks_chinese() {
    let place = Place::new();
    let sized = "demo --records 400 --organisations 60 --seed 7";
    let done = tally(&place, &format!("--lang zh --json {sized}"));
    let broken: Vec<&str> = done
        .out
        .lines()
        .filter(|l| l.contains("不一致："))
        .collect();
    assert_eq!(broken, Vec::<&str>::new());
    let done = done.exits(0);
    let mut lines: Vec<&str> = done.out.lines().collect();
    let summary = lines.pop().expect("the summary is the last line");
    let other: Vec<&&str> = lines.iter().filter(|line| !is_chinese(line)).collect();
    assert_eq!(other, Vec::<&&str>::new());
    // As wide as a terminal, where a character takes two columns.
    let wide = lines.iter().filter(|line| line.width() > 120);
    assert_eq!(wide.collect::<Vec<_>>(), Vec::<&&str>::new());

    // As JSON it is English, whatever the language of what is printed.
    assert!(!is_chinese(summary));
    let summary: Value = serde_json::from_str(summary).expect("one JSON object");
    assert_eq!(summary["held"], true);
    assert_eq!(summary["counts"]["listings"], 30);
    assert_eq!(summary["counts"]["departments"], 15);
    let tables = summary["tables"].as_array().expect("tables");
    assert_eq!(tables.len(), 4);
    let sections = |table: usize| tables[table]["sections"].as_array().expect("sections");
    let reporting = sections(0)
        .iter()
        .filter(|section| section["rows"] != Value::from(Vec::<Value>::new()));
    assert!(reporting.count() > 8, "at least eight departments report");
    let lists = tables.iter().find(|table| table["headings"][0] == "list");
    let lists = lists.expect("a table of lists");
    assert_eq!(
        lists["sections"][0]["rows"].as_array().map(Vec::len),
        Some(6)
    );
}
