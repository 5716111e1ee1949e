//! What a check came to.

use std::fmt;

/// How a matter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look.
    Warning,
    /// It does not work, or soon will not.
    Fault,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Fault => "fault",
        })
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it stands.
    pub level: Level,
    /// What was checked.
    pub what: String,
    /// What was found.
    pub detail: String,
    /// What to do; nothing where all is well.
    pub remedy: String,
}

impl Finding {
    pub(super) fn ok(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Level::Ok, what, detail, "")
    }

    pub(super) fn warning(
        what: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Level::Warning, what, detail, remedy)
    }

    pub(super) fn fault(
        what: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Level::Fault, what, detail, remedy)
    }

    /// A fault of which an error's text says what is wrong, and after the first
    /// semicolon what to do, as those of this project do.
    pub(super) fn of_error(what: impl Into<String>, error: &str, otherwise: &str) -> Self {
        let (detail, remedy) = error.split_once("; ").unwrap_or((error, otherwise));
        Self::fault(what, detail, remedy)
    }

    fn new(
        level: Level,
        what: impl Into<String>,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            level,
            what: what.into(),
            detail: detail.into(),
            remedy: remedy.into(),
        }
    }
}
