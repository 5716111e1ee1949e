//! Repeats of commands that would now be refused before they are decided.
//!
//! The executor answers a repeat before it decides. But a request is read and
//! judged by today's pack before that: a basis may have ended overnight, and a
//! caller that lost an answer would be refused what was done.

use tally_eventlog::append::{Appended, CommandKey};
use tally_eventlog::shard::LogName;
use tally_rpc::Fault;
use tonic::Code;

use crate::{Deps, store_fault};

/// The outcome of a command; where it was refused but had been applied before,
/// its first result, marked as a repeat, made into a reply by `reply`.
///
/// Costs a look-up where a command is refused, and nothing elsewhere.
///
/// # Errors
///
/// The fault as it was given, or that the store cannot be read.
pub async fn or_first<T>(
    deps: &Deps,
    log: LogName,
    key: Option<CommandKey>,
    outcome: Result<T, Fault>,
    reply: impl FnOnce(&Appended) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let (Err(fault), Some(key)) = (&outcome, key) else {
        return outcome;
    };
    if !is_refusal(fault) {
        return outcome;
    }
    let remembered = deps.store.remembered(log, std::slice::from_ref(&key)).await;
    match remembered.map_err(store_fault)?.pop().flatten() {
        Some(remembered) if remembered.digest == key.digest => reply(&Appended {
            repeated: true,
            ..remembered.first
        }),
        _ => outcome,
    }
}

/// True if the fault says that the command was judged and refused; after any
/// other the caller tries again by itself.
fn is_refusal(fault: &Fault) -> bool {
    matches!(
        fault.code(),
        Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
    )
}
