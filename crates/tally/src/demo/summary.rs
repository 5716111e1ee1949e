//! What is printed: a short section per step, then the table of checks.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;

use super::DemoOptions;

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
    /// The checks, in the order in which they were made.
    pub checks: Vec<Check>,
}

/// A comparison of what the server says with what the clients know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is compared.
    pub name: String,
    /// What the clients know.
    pub expected: String,
    /// What the server says.
    pub found: String,
    /// True if they agree.
    pub held: bool,
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
            checks: Vec::new(),
        }
    }

    /// True if every check held.
    pub fn held(&self) -> bool {
        self.held
    }

    /// Begins a section.
    pub(super) fn section(&self, title: &str) {
        print(&format!("\n{title}"));
    }

    /// One line of a section.
    pub(super) fn line(&self, text: impl AsRef<str>) {
        print(&format!("  {}", text.as_ref()));
    }

    /// Keeps a count for the summary.
    pub(super) fn count(&mut self, name: &'static str, value: u64) {
        self.counts.insert(name, value);
    }

    /// Holds if both read the same.
    pub(super) fn equal(
        &mut self,
        name: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
    ) {
        let (expected, found) = (expected.to_string(), found.to_string());
        let held = expected == found;
        self.push(Check {
            name: name.into(),
            expected,
            found,
            held,
        });
    }

    /// Holds if `held`; the texts say what was wanted and what there was.
    pub(super) fn holds(
        &mut self,
        name: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
        held: bool,
    ) {
        let (expected, found) = (expected.to_string(), found.to_string());
        self.push(Check {
            name: name.into(),
            expected,
            found,
            held,
        });
    }

    /// Holds if a refusal was met.
    pub(super) fn refused(&mut self, name: impl Into<String>, reason: Option<String>) {
        let held = reason.is_some();
        self.holds(
            name,
            "refused",
            reason.unwrap_or_else(|| "not refused".to_owned()),
            held,
        );
    }

    fn push(&mut self, check: Check) {
        self.held &= check.held;
        if !check.held {
            self.line(format!(
                "BROKEN: {}: {} / {}",
                check.name, check.expected, check.found
            ));
        }
        self.checks.push(check);
    }

    pub(super) fn print_table(&self) {
        let width = |column: fn(&Check) -> &str, heading: &str| {
            let widths = self
                .checks
                .iter()
                .map(|check| column(check).chars().count());
            widths.max().unwrap_or(0).max(heading.len())
        };
        let name = width(|check| &check.name, "check");
        let expected = width(|check| &check.expected, "expected");
        let found = width(|check| &check.found, "found");
        print("");
        print(&format!(
            "{:name$}  {:expected$}  {:found$}",
            "check", "expected", "found"
        ));
        for check in &self.checks {
            let mark = if check.held { "held" } else { "BROKEN" };
            print(&format!(
                "{:name$}  {:expected$}  {:found$}  {mark}",
                check.name, check.expected, check.found
            ));
        }
        let held = self.checks.iter().filter(|check| check.held).count();
        print(&format!(
            "\n{held} of {} checks held, in {}.{} s",
            self.checks.len(),
            self.elapsed_ms / 1_000,
            self.elapsed_ms % 1_000 / 100
        ));
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
        summary.equal("same", 1, "1");
        assert!(summary.held());
        summary.refused("nobody may", None);
        assert!(!summary.held());
        summary.equal("same", 1, 1);
        assert!(!summary.held());
    }

    #[test]
    fn the_json_form_is_one_line() {
        let mut summary = Summary::new(&DemoOptions::default(), Duration::ZERO);
        summary.equal("same", "a\nb", "a\nb");
        let json = serde_json::to_string(&summary).expect("plain");
        assert!(!json.contains('\n'));
    }
}
