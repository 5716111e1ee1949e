//! What is printed: a short section per step, then the table of checks.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::texts::{self, Phrase, Say, Text};
use super::{DemoOptions, Lang};
use crate::cli::table::{Table, WIDTH_MAX, wrapped};

/// The result of a demo.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// True if every check held.
    pub held: bool,
    /// The seed.
    pub seed: u64,
    /// Records asked for.
    pub records: u32,
    /// Organisations asked for.
    pub organisations: u32,
    /// From start to serving, in milliseconds.
    pub started_in_ms: u64,
    /// The whole run, in milliseconds.
    pub elapsed_ms: u64,
    /// What was counted, by name.
    pub counts: BTreeMap<&'static str, u64>,
    /// The tables, in the order in which they were printed.
    pub tables: Vec<Grid>,
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
    /// Language of what is printed. As JSON everything is in English.
    #[serde(skip)]
    lang: Lang,
}

/// A comparison of what the server says with what the clients know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is compared.
    pub name: Phrase,
    /// What the clients know.
    pub expected: Phrase,
    /// What the server says.
    pub found: Phrase,
    /// True if they agree.
    pub held: bool,
}

/// A table, as the services answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Grid {
    /// What it shows.
    pub title: Phrase,
    /// Headings: that of the sections, of the rows, then of the numbers.
    pub headings: Vec<Phrase>,
    /// The sections, each with its rows.
    pub sections: Vec<Section>,
}

/// Rows with something in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// What they have in common; nothing where there is but one section.
    pub title: Phrase,
    /// What a row is about, and its numbers.
    pub rows: Vec<(Phrase, Vec<u64>)>,
}

impl Summary {
    pub(super) fn new(options: &DemoOptions, started_in: Duration) -> Self {
        Self {
            held: true,
            seed: options.seed,
            records: options.records,
            organisations: options.organisations,
            started_in_ms: u64::try_from(started_in.as_millis()).unwrap_or(u64::MAX),
            elapsed_ms: 0,
            counts: BTreeMap::new(),
            tables: Vec::new(),
            checks: Vec::new(),
            lang: options.lang,
        }
    }

    /// True if every check held.
    pub fn held(&self) -> bool {
        self.held
    }

    /// Begins a section.
    pub(super) fn section(&self, title: &Text) {
        print(&format!("\n{}", title.say(self.lang)));
    }

    /// One line of a section.
    pub(super) fn line(&self, text: &dyn Say) {
        let text = format!("  {}", text.say(self.lang));
        let lines = wrapped(&text, WIDTH_MAX, "    ");
        lines.iter().for_each(|line| print(line));
    }

    /// Keeps a count for the summary.
    pub(super) fn count(&mut self, name: &'static str, value: u64) {
        self.counts.insert(name, value);
    }

    /// Prints a table and keeps it.
    pub(super) fn table(&mut self, grid: Grid) {
        print(&format!("\n{}", grid.title.say(self.lang)));
        // A heading over the sections would stand in no column.
        let headings: Vec<String> = grid.headings.iter().map(|h| h.say(self.lang)).collect();
        let mut table = Table::new(headings.iter().map(String::as_str), &[0]).folded();
        for section in &grid.sections {
            let title = section.title.say(self.lang);
            if !title.is_empty() {
                table.section(title);
            }
            for (name, numbers) in &section.rows {
                let numbers = numbers.iter().map(ToString::to_string);
                let cells = std::iter::once(name.say(self.lang)).chain(numbers);
                table.row(cells.collect());
            }
        }
        table.lines().iter().for_each(|line| print(line));
        self.tables.push(grid);
    }

    /// Holds if both read the same.
    pub(super) fn equal(&mut self, name: &dyn Say, expected: &dyn Say, found: &dyn Say) {
        let held = Phrase::of(expected) == Phrase::of(found);
        self.holds(name, expected, found, held);
    }

    /// Holds if `held`; the texts say what was wanted and what there was.
    pub(super) fn holds(
        &mut self,
        name: &dyn Say,
        expected: &dyn Say,
        found: &dyn Say,
        held: bool,
    ) {
        let check = Check {
            name: Phrase::of(name),
            expected: Phrase::of(expected),
            found: Phrase::of(found),
            held,
        };
        self.held &= held;
        if !held {
            let Check {
                name,
                expected,
                found,
                ..
            } = &check;
            self.line(&texts::BROKEN_CHECK.with(&[name, expected, found]));
        }
        self.checks.push(check);
    }

    /// Holds if a refusal was met.
    pub(super) fn refused(&mut self, name: &dyn Say, reason: Option<String>) {
        match reason {
            Some(reason) => self.holds(name, &texts::REFUSED, &reason, true),
            None => self.holds(name, &texts::REFUSED, &texts::NOT_REFUSED, false),
        }
    }

    pub(super) fn print_table(&self) {
        let said = |what: &dyn Say| what.say(self.lang);
        let headings = [texts::CHECKED, texts::FOUND].map(|heading| said(&heading));
        let headings = headings.iter().map(String::as_str).chain([""]);
        let mut table = Table::new(headings, &[0, 1, 2]).folded();
        for check in &self.checks {
            let mark = if check.held {
                texts::HELD
            } else {
                texts::BROKEN
            };
            let Check {
                name,
                expected,
                found,
                ..
            } = check;
            let mut found = said(found);
            if !check.held {
                found = format!("{found}, {} {}", said(&texts::EXPECTED), said(expected));
            }
            table.row(vec![said(name), found, said(&mark)]);
        }
        print("");
        table.lines().iter().for_each(|line| print(line));
        let held = self.checks.iter().filter(|check| check.held).count();
        let tenths = self.elapsed_ms / 100;
        let seconds = format!("{}.{}", tenths / 10, tenths % 10);
        let total = texts::HELD_IN.with(&[&held, &self.checks.len(), &seconds]);
        print(&format!("\n{}", said(&total)));
    }

    pub(super) fn print_json(&self) {
        let json = serde_json::to_string(self).expect("the summary holds only texts and numbers");
        print(&json);
    }
}

/// A reader that has gone away does not end the run: its exit code still counts.
fn print(line: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_check_breaks_the_summary() {
        let mut summary = Summary::new(&DemoOptions::default(), Duration::ZERO);
        summary.equal(&"same", &1, &"1");
        assert!(summary.held());
        summary.refused(&"nobody may", None);
        assert!(!summary.held());
        summary.equal(&"same", &1, &1);
        assert!(!summary.held());
    }

    #[test]
    fn the_json_form_is_one_line_in_english() {
        let options = DemoOptions {
            lang: Lang::Zh,
            ..DemoOptions::default()
        };
        let mut summary = Summary::new(&options, Duration::ZERO);
        summary.equal(&texts::CHECK_VERIFY, &"a\nb", &"a\nb");
        let json = serde_json::to_string(&summary).expect("plain");
        assert!(!json.contains('\n'));
        assert!(json.contains(texts::CHECK_VERIFY.en));
    }
}
