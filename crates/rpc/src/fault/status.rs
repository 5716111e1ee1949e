//! A fault as a gRPC status.

use std::error::Error;
use std::fmt;

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::{DOMAIN, Fault};

/// Bytes of violations put into one status. Details travel in a header, and
/// clients on gRPC's C core (Python, C++, Ruby, PHP) begin to refuse headers beyond
/// 8 KiB, base64 and the message's percent-encoding included; the rest is counted
/// in metadata `violations_omitted`.
const VIOLATIONS_BYTES_MAX: usize = 3 * 1024;

/// Characters of a status message; violations carry the detail.
const MESSAGE_CHARS_MAX: usize = 400;

/// Bytes that one violation costs beside its texts: tags and lengths.
const VIOLATION_OVERHEAD_BYTES: usize = 12;

impl From<Fault> for Status {
    fn from(fault: Fault) -> Status {
        if let Some(source) = &fault.0.source {
            tracing::error!(
                reason = fault.0.reason,
                error = %Chain(source.as_ref()),
                "call failed by a fault of ours"
            );
        }
        let mut metadata = fault.0.metadata.clone();
        let shown = violations_shown(&fault);
        let omitted = fault.0.violations.len() - shown.len();
        if omitted > 0 {
            metadata.insert("violations_omitted", omitted.to_string());
        }
        let metadata = metadata
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect::<std::collections::HashMap<_, _>>();
        let mut details = ErrorDetails::with_error_info(fault.0.reason, DOMAIN, metadata);
        if !shown.is_empty() {
            details.set_bad_request(shown);
        }
        if let Some(delay) = fault.0.retry_after {
            details.set_retry_info(Some(delay));
        }
        let message: String = fault.0.message.chars().take(MESSAGE_CHARS_MAX).collect();
        Status::with_error_details(fault.0.code, message, details)
    }
}

fn violations_shown(fault: &Fault) -> Vec<FieldViolation> {
    let mut bytes = 0;
    let mut shown = Vec::with_capacity(fault.0.violations.len());
    for violation in &fault.0.violations {
        bytes += VIOLATION_OVERHEAD_BYTES
            + violation.field.len()
            + violation.reason.len()
            + violation.message.len();
        if bytes > VIOLATIONS_BYTES_MAX {
            break;
        }
        let mut entry = FieldViolation::new(&violation.field, &violation.message);
        entry.reason = violation.reason.to_owned();
        shown.push(entry);
    }
    shown
}

/// An error with everything that caused it, on one line.
struct Chain<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
