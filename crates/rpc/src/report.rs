//! A fault as a client reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::fault::{DOMAIN, reason};

/// What a status says, in one place for clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultReport {
    /// The status code.
    pub code: Code,
    /// Stable reason; [`reason::UNEXPLAINED`] if no tally service gave one.
    pub reason: String,
    /// For people.
    pub message: String,
    /// For programs.
    pub metadata: BTreeMap<String, String>,
    /// Every fault of a bad message.
    pub violations: Vec<Violation>,
    /// How long to wait before a retry with the same command id; absent where a
    /// retry changes nothing.
    pub retry: Option<Duration>,
}

/// One fault of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field inside the message.
    pub field: String,
    /// Stable code in upper snake case.
    pub reason: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl From<&Status> for FaultReport {
    fn from(status: &Status) -> FaultReport {
        let details = status.get_error_details();
        let info = details.error_info().filter(|info| info.domain == DOMAIN);
        let violations = details.bad_request().map_or_else(Vec::new, |bad| {
            bad.field_violations
                .iter()
                .map(|entry| Violation {
                    field: entry.field.clone(),
                    reason: entry.reason.clone(),
                    message: entry.description.clone(),
                })
                .collect()
        });
        FaultReport {
            code: status.code(),
            reason: info.map_or_else(
                || reason::UNEXPLAINED.to_owned(),
                |info| info.reason.clone(),
            ),
            message: status.message().to_owned(),
            metadata: info.map_or_else(BTreeMap::new, |info| {
                info.metadata.clone().into_iter().collect()
            }),
            violations,
            retry: details.retry_info().and_then(|retry| retry.retry_delay),
        }
    }
}

impl fmt::Display for FaultReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.reason)?;
        // One violation is already the message.
        if let [_, _, ..] = self.violations.as_slice() {
            for violation in &self.violations {
                write!(
                    f,
                    "\n  {}: {} ({})",
                    violation.field, violation.message, violation.reason
                )?;
            }
        }
        Ok(())
    }
}
