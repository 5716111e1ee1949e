//! How results and failures become replies.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use tally_eventlog::append::{AppendError, Appended, Outcome};
use tally_eventlog::cursor::CursorError;
use tally_eventlog::event::{to_proto_time, uuid_bytes};
use tally_eventlog::execute::{ExecuteError, LoadError};
use tally_eventlog::pb;
use tally_eventlog::sealing::KeyRingError;
use tally_eventlog::store::StoreError;
use tally_eventlog::throttle::Throttle;
use tally_rpc::Fault;

/// When a caller is told to try again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The receipt of an append.
pub fn receipt(appended: &Appended) -> pb::Receipt {
    let last = appended.last.as_ref();
    pb::Receipt {
        log: appended.log.0.to_owned(),
        log_id: uuid_bytes(appended.log_id),
        shard: u32::from(appended.shard.0),
        position: last.map_or(0, |last| last.position),
        leaf_hash: last.map_or_else(Bytes::new, |last| Bytes::copy_from_slice(&last.leaf)),
        recorded_at: last.map(|last| to_proto_time(last.recorded_at)),
        repeated: appended.repeated,
    }
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// What a caller is told of a command that was not executed.
pub fn execute_fault<R: std::fmt::Debug>(
    error: ExecuteError<R>,
    rejected: impl FnOnce(R) -> Fault,
) -> Fault {
    match error {
        ExecuteError::Rejected(rejection) => rejected(rejection),
        ExecuteError::CommandReused { id } => Fault::already_exists(
            "COMMAND_ID_REUSED",
            format!("command id {id} was used before for another command; use a new id"),
        ),
        ExecuteError::Aborted { .. } | ExecuteError::Outdated => Fault::aborted(
            "CONFLICT",
            "others changed it meanwhile, again and again; retry with the same command id",
        ),
        ExecuteError::Busy => Fault::resource_exhausted(
            "LOG_BUSY",
            "the log is busy; nothing was applied, retry with the same command id",
            RETRY_AFTER,
        ),
        ExecuteError::Unavailable {
            source,
            outcome: Outcome::Unknown,
        } => Fault::unknown_outcome(source, RETRY_AFTER),
        ExecuteError::Unavailable {
            source,
            outcome: Outcome::NotApplied,
        } => unavailable("event store unavailable", &source),
        ExecuteError::Decode(error) => Fault::internal(error),
    }
}

/// The answer to an append of rows that no command stands behind.
pub fn append_fault(error: AppendError) -> Fault {
    let error = match error {
        AppendError::Busy => ExecuteError::<Infallible>::Busy,
        AppendError::Unavailable { source, outcome } => {
            ExecuteError::Unavailable { source, outcome }
        }
        other => return Fault::internal(other),
    };
    execute_fault(error, |never| match never {})
}

/// Logged once a minute: a full disk refuses every call.
fn unavailable(what: &str, error: &dyn std::fmt::Display) -> Fault {
    static THROTTLE: Throttle = Throttle::minutely();
    let error = error.to_string();
    if let Some(held_back) = THROTTLE.pass(&error) {
        tracing::error!(what, error, held_back, "calls are refused");
    }
    Fault::unavailable(
        "STORE_UNAVAILABLE",
        "the event store is unavailable; nothing was applied, retry with the same command id",
        RETRY_AFTER,
    )
}

/// What a caller is told when the store cannot be read.
pub fn store_fault(error: StoreError) -> Fault {
    unavailable("event store cannot be read", &error)
}

/// What a caller is told when a state cannot be loaded.
pub fn load_fault(error: LoadError) -> Fault {
    match error {
        LoadError::Store(error) => store_fault(error),
        LoadError::Decode(error) => Fault::internal(error),
    }
}

/// What a caller is told when the key ring fails.
pub fn keyring_fault(error: KeyRingError) -> Fault {
    if error.is_retryable() {
        return unavailable("key ring unavailable", &error);
    }
    Fault::internal(error)
}

/// What a caller is told of a cursor that cannot be used.
pub fn cursor_fault(error: CursorError) -> Fault {
    match error {
        CursorError::Malformed { .. } => Fault::rejected("CURSOR_MALFORMED", error.to_string()),
        CursorError::Diverged { .. } => Fault::rejected("LOG_DIVERGED", error.to_string()),
        CursorError::Store(error) => store_fault(error),
    }
}
