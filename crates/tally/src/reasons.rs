//! The stable reasons of refusals. There is one copy, the page for people.

const PAGE: &str = include_str!("../../../docs/ERRORS.md");

/// Words that say whether to repeat; the page explains them.
pub const REPEAT: [&str; 4] = ["as is", "corrected", "later", "no"];

/// One reason, as the page has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// In upper snake case, as `google.rpc.ErrorInfo` and field violations carry it.
    pub name: &'static str,
    /// Heading under which it stands: which calls give it.
    pub section: &'static str,
    /// Status, field or exit code with which it comes.
    pub place: &'static str,
    /// What it means.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// One of [`REPEAT`].
    pub repeat: &'static str,
}

/// All reasons, in the order of the page.
pub fn all() -> Vec<Reason> {
    let mut section = "";
    let mut reasons = Vec::new();
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading;
        }
        reasons.extend(row(section, line));
    }
    reasons
}

/// A row of five cells, the first of them in code.
fn row(section: &'static str, line: &'static str) -> Option<Reason> {
    let cells = line.strip_prefix("| ")?.strip_suffix(" |")?;
    let mut cells = cells.split(" | ");
    let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
    Some(Reason {
        name,
        section,
        place: cells.next()?,
        cause: cells.next()?,
        remedy: cells.next()?,
        repeat: cells.next().filter(|_| cells.next().is_none())?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_says_everything_once() {
        let mut names = BTreeSet::new();
        for reason in all() {
            assert!(names.insert(reason.name), "{} has two rows", reason.name);
            let cells = [reason.place, reason.cause, reason.remedy];
            assert!(cells.iter().all(|cell| !cell.is_empty()), "{reason:?}");
            assert!(REPEAT.contains(&reason.repeat), "{reason:?}");
        }
        let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
        assert_eq!(
            names.len(),
            rows.count(),
            "a row of the page is no row of five cells"
        );
    }
}
