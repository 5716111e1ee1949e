//! What goes wrong at the rpc edge, as callers are told it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use tally_domain::fault::FieldFault;
use tonic::Code;

pub mod reason;
mod status;

/// Any error that may cross threads.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// The domain of every reason: `google.rpc.ErrorInfo.domain`.
pub const DOMAIN: &str = "tally";

/// Why a call was not done, with a reason that programs can match on.
///
/// Messages, metadata and violations reach the caller and the log, so whoever
/// builds a fault keeps values that name or identify a person out of them.
pub struct Fault(Box<Inner>);

struct Inner {
    code: Code,
    reason: &'static str,
    message: String,
    metadata: BTreeMap<&'static str, String>,
    violations: Vec<FieldFault>,
    retry_after: Option<Duration>,
    source: Option<BoxError>,
}

impl Fault {
    /// A bad message, with every fault of it: `INVALID_ARGUMENT`.
    ///
    /// The reason is the first fault's, or [`reason::INVALID_MESSAGE`] if there is none.
    pub fn invalid(violations: Vec<FieldFault>) -> Fault {
        let reason = violations
            .first()
            .map_or(reason::INVALID_MESSAGE, |first| first.reason);
        let message = match violations.as_slice() {
            [] => "the message is invalid".to_owned(),
            [only] => only.to_string(),
            [first, rest @ ..] => format!("{first}; and {} more", rest.len()),
        };
        let mut fault = Fault::new(Code::InvalidArgument, reason, message);
        fault.0.violations = violations;
        fault
    }

    /// A refusal by the rules of the business: `FAILED_PRECONDITION`.
    ///
    /// Repeating the call changes nothing until the state it met has changed.
    pub fn rejected(reason: &'static str, message: impl Into<String>) -> Fault {
        Fault::new(Code::FailedPrecondition, reason, message)
    }

    /// What the call names does not exist, or not for this caller: `NOT_FOUND`.
    pub fn not_found(reason: &'static str, message: impl Into<String>) -> Fault {
        Fault::new(Code::NotFound, reason, message)
    }

    /// What the call names does not exist, or the caller's `right` to see it does
    /// not reach it: `NOT_FOUND`. The answer is the same in both cases, because
    /// ids can be computed from what outsiders may guess, and whether something
    /// exists is itself confidential.
    pub fn unseen(reason: &'static str, right: &str, message: impl fmt::Display) -> Fault {
        let message = format!("{message}, or the right {right} does not reach it");
        Fault::new(Code::NotFound, reason, message).with("right", right)
    }

    /// What the call would create exists: `ALREADY_EXISTS`.
    pub fn already_exists(reason: &'static str, message: impl Into<String>) -> Fault {
        Fault::new(Code::AlreadyExists, reason, message)
    }

    /// The caller lacks `right`: `PERMISSION_DENIED`, [`reason::RIGHT_MISSING`].
    pub fn permission(right: &str, message: impl Into<String>) -> Fault {
        Fault::new(Code::PermissionDenied, reason::RIGHT_MISSING, message).with("right", right)
    }

    /// It is not known who calls: `UNAUTHENTICATED`.
    pub fn unauthenticated(reason: &'static str, message: impl Into<String>) -> Fault {
        Fault::new(Code::Unauthenticated, reason, message)
    }

    /// Others were first, more often than is decided again: `ABORTED`. Nothing was
    /// done; read anew and decide again.
    pub fn aborted(reason: &'static str, message: impl Into<String>) -> Fault {
        Fault::new(Code::Aborted, reason, message)
    }

    /// A limit is reached: `RESOURCE_EXHAUSTED`. Nothing was done.
    pub fn resource_exhausted(
        reason: &'static str,
        message: impl Into<String>,
        retry_after: Duration,
    ) -> Fault {
        Fault::new(Code::ResourceExhausted, reason, message).retry_after(retry_after)
    }

    /// Not now, and nothing was done: `UNAVAILABLE`.
    pub fn unavailable(
        reason: &'static str,
        message: impl Into<String>,
        retry_after: Duration,
    ) -> Fault {
        Fault::new(Code::Unavailable, reason, message).retry_after(retry_after)
    }

    /// It may have been done or not: `UNAVAILABLE`, [`reason::OUTCOME_UNKNOWN`].
    ///
    /// A repeat with the same command id is answered with the first result, so
    /// that is what the message tells the caller to do.
    pub fn unknown_outcome(message: impl fmt::Display, retry_after: Duration) -> Fault {
        Fault::new(
            Code::Unavailable,
            reason::OUTCOME_UNKNOWN,
            format!("{message}: the outcome is unknown, retry with the same command id"),
        )
        .retry_after(retry_after)
    }

    /// The caller's cursor and this log disagree: `FAILED_PRECONDITION`,
    /// [`reason::LOG_DIVERGED`].
    ///
    /// `theirs` and `ours` name both logs and `remedy` is the command that reconciles them.
    pub fn diverged(theirs: impl fmt::Display, ours: impl fmt::Display, remedy: &str) -> Fault {
        let (theirs, ours) = (theirs.to_string(), ours.to_string());
        Fault::new(
            Code::FailedPrecondition,
            reason::LOG_DIVERGED,
            format!("the cursor is of {theirs}, this log is {ours}; reconcile with `{remedy}`"),
        )
        .with("cursor", theirs)
        .with("log", ours)
        .with("remedy", remedy)
    }

    /// A message larger than `limit_bytes`: `RESOURCE_EXHAUSTED`,
    /// [`reason::MESSAGE_TOO_LARGE`]. There is no retry delay: send less.
    pub fn message_too_large(limit_bytes: usize) -> Fault {
        Fault::new(
            Code::ResourceExhausted,
            reason::MESSAGE_TOO_LARGE,
            format!("a message may have {limit_bytes} bytes; send less in one message"),
        )
        .with("limit_bytes", limit_bytes.to_string())
    }

    /// Bytes that are not the message of this call: `INVALID_ARGUMENT`,
    /// [`reason::MALFORMED_MESSAGE`].
    pub fn malformed(message: impl Into<String>) -> Fault {
        Fault::new(Code::InvalidArgument, reason::MALFORMED_MESSAGE, message)
    }

    /// A fault of ours: `INTERNAL`, [`reason::INTERNAL`].
    ///
    /// `source` stays here: it is logged when the fault becomes a status, and the
    /// caller learns only that it happened.
    pub fn internal(source: impl Into<BoxError>) -> Fault {
        let mut fault = Fault::new(Code::Internal, reason::INTERNAL, "internal fault");
        fault.0.source = Some(source.into());
        fault
    }

    /// Adds a fact for programs, for example the version that was found.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Fault {
        self.0.metadata.insert(key, value.into());
        self
    }

    /// The status code it becomes.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Its stable reason in upper snake case.
    pub fn reason(&self) -> &'static str {
        self.0.reason
    }

    /// What the caller is told.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Every fault of the message, where the message was bad.
    pub fn violations(&self) -> &[FieldFault] {
        &self.0.violations
    }

    pub(crate) fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Fault {
        debug_assert!(reason::is_reason(reason), "{reason:?} is not a reason");
        Fault(Box::new(Inner {
            code,
            reason,
            message: message.into(),
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            retry_after: None,
            source: None,
        }))
    }

    fn retry_after(mut self, delay: Duration) -> Fault {
        self.0.retry_after = Some(delay);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0.message, self.0.reason)
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fault")
            .field("code", &self.0.code)
            .field("reason", &self.0.reason)
            .field("message", &self.0.message)
            .field("metadata", &self.0.metadata)
            .field("violations", &self.0.violations)
            .field("retry_after", &self.0.retry_after)
            .field("source", &self.0.source)
            .finish()
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests;
