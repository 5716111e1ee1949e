//! Reasons that belong to the edge itself. Services have their own, per
//! aggregate; all are upper snake case, stable, and at most 63 characters
//! (`google.rpc.ErrorInfo`).

/// A message with faults, none of which has a reason of its own.
pub const INVALID_MESSAGE: &str = "INVALID_MESSAGE";
/// Bytes that do not decode as the message of the call.
pub const MALFORMED_MESSAGE: &str = "MALFORMED_MESSAGE";
/// A message above the limit.
pub const MESSAGE_TOO_LARGE: &str = "MESSAGE_TOO_LARGE";
/// The caller lacks the right that metadata `right` names.
pub const RIGHT_MISSING: &str = "RIGHT_MISSING";
/// No certificate, or one that names nobody here.
pub const CERTIFICATE_UNKNOWN: &str = "CERTIFICATE_UNKNOWN";
/// The command may have been applied or not.
pub const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";
/// The answer took too long; the command may have been applied or not.
pub const NO_ANSWER_IN_TIME: &str = "NO_ANSWER_IN_TIME";
/// A cursor of another history than this log's.
pub const LOG_DIVERGED: &str = "LOG_DIVERGED";
/// A fault of ours; the operator's log says which.
pub const INTERNAL: &str = "INTERNAL";
/// A status that no tally service made, for example from a proxy.
pub const UNEXPLAINED: &str = "UNEXPLAINED";

/// Length bound of `google.rpc.ErrorInfo.reason`, in bytes.
const REASON_BYTES_MAX: usize = 63;

/// True for an upper snake case text that `ErrorInfo` takes.
pub(crate) fn is_reason(text: &str) -> bool {
    let starts_with_letter = text.starts_with(|first: char| first.is_ascii_uppercase());
    starts_with_letter
        && text.len() <= REASON_BYTES_MAX
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}
