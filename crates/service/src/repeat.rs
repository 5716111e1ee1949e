//! Repeats of commands that would now be refused before they are decided.
//!
//! The executor answers a repeat before it decides. But a request is read and
//! judged by today's pack before that: a basis may have ended overnight, and a
//! caller that lost an answer would be refused what was done.

use tally_eventlog::append::{Appended, CommandKey};
use tally_eventlog::shard::LogName;
use tally_eventlog::store::StoreError;
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
    let firsts = firsts(deps, log, std::slice::from_ref(&key)).await;
    match firsts.map_err(store_fault)?.pop().flatten() {
        Some(first) => reply(&first),
        None => outcome,
    }
}

/// The first results of commands that were refused, in order, marked as
/// repeats; nothing where one was not applied before with this content. For
/// calls that take many commands.
///
/// # Errors
///
/// The store cannot be read: repeat the call.
pub async fn firsts(
    deps: &Deps,
    log: LogName,
    keys: &[CommandKey],
) -> Result<Vec<Option<Appended>>, StoreError> {
    let remembered = deps.store.remembered(log, keys).await?;
    let found = remembered.into_iter().zip(keys);
    let firsts = found.map(|(remembered, key)| {
        let remembered = remembered.filter(|it| it.is_of(&key.digest))?;
        Some(Appended {
            repeated: true,
            ..remembered.first
        })
    });
    Ok(firsts.collect())
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
            // What it waits for may never come.
            | Code::Unavailable
    )
}
