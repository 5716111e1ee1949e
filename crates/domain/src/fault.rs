//! What is wrong with one field of a message, for validators that report every
//! fault at once instead of the first.

use std::fmt;

use serde::Serialize;

/// One fault of one field.
///
/// The message may be shown to the caller and logged, so whoever builds one
/// keeps values that name or identify a person out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldFault {
    /// Path of the field inside the message, for example `subject` or `fields.fine`.
    pub field: String,
    /// Stable code in upper snake case; programs match on this.
    pub reason: &'static str,
    /// What is wrong and what would be right, for people.
    pub message: String,
}

impl FieldFault {
    /// A fault of `field`.
    pub fn new(
        field: impl Into<String>,
        reason: &'static str,
        message: impl Into<String>,
    ) -> FieldFault {
        FieldFault {
            field: field.into(),
            reason,
            message: message.into(),
        }
    }

    /// The same fault seen from the message that contains this one as `parent`.
    #[must_use]
    pub fn within(mut self, parent: &str) -> FieldFault {
        self.field = format!("{parent}.{}", self.field);
        self
    }
}

impl fmt::Display for FieldFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.field, self.message, self.reason)
    }
}

impl std::error::Error for FieldFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_its_path_from_the_outermost_message() {
        let fault = FieldFault::new("fine", "NOT_A_DECIMAL", "not a decimal number");
        let fault = fault.within("fields").within("records[3]");
        assert_eq!(fault.field, "records[3].fields.fine");
        assert_eq!(
            fault.to_string(),
            "records[3].fields.fine: not a decimal number (NOT_A_DECIMAL)"
        );
    }
}
