//! What a client is told to send again, and who does so.

use std::error::Error as _;
use std::future::Future;
use std::time::{Duration, Instant};

use tally_rpc::FaultReport;
use tally_rpc::fault::reason::NO_ANSWER_IN_TIME;
use tonic::{Code, Response, Status};

/// Within this whoever was away is back, and what it has is known. No claim about speed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Pause before the next attempt.
pub const PAUSE: Duration = Duration::from_millis(50);

/// Refusals that pass when a reader has caught up with what the caller has seen.
const PASSING: [&str; 4] = [
    "DIRECTIVE_NOT_ACKNOWLEDGED",
    "FEEDBACK_UNKNOWN",
    "GROUND_UNKNOWN",
    "RECORD_UNKNOWN",
];

/// Sends a message again, under its id, until it is answered or refused for good.
///
/// # Errors
///
/// The refusal; one that may pass, if it lasts longer than [`PATIENCE`].
pub async fn answered<T, Attempt>(attempt: impl Fn() -> Attempt) -> Result<T, Status>
where
    Attempt: Future<Output = Result<Response<T>, Status>>,
{
    let began = Instant::now();
    loop {
        match attempt().await {
            Err(status) if may_pass(&status) && began.elapsed() < PATIENCE => {}
            answer => return answer.map(Response::into_inner),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether a refusal says when to try again, as each does that is a role's own: where
/// there is none, or its connection broke, nobody could have said it.
pub fn is_hinted(status: &Status) -> bool {
    FaultReport::from(status).retry.is_some() || status.source().is_some()
}

/// Whether a call was at something that hung.
pub fn is_late(status: &Status) -> bool {
    FaultReport::from(status).reason == NO_ANSWER_IN_TIME
}

/// Whether a refusal is one that a caller is told to try again after, or that passes
/// when a reader has caught up. Not where something hung: a client asks again, and a
/// test must not pass by that.
pub fn may_pass(status: &Status) -> bool {
    match status.code() {
        _ if is_late(status) => false,
        Code::FailedPrecondition | Code::InvalidArgument | Code::NotFound => is_early(status),
        Code::Unavailable | Code::ResourceExhausted => is_hinted(status),
        Code::Aborted | Code::Cancelled | Code::DeadlineExceeded => true,
        // A connection that broke in the middle of an answer.
        Code::Unknown => status.message().contains("transport") || status.message().contains("h2"),
        _ => false,
    }
}

/// Whether it rests on what has not come there yet, and on nothing else.
fn is_early(status: &Status) -> bool {
    let report = FaultReport::from(status);
    let passing = |reason: &str| PASSING.contains(&reason);
    match report.violations.as_slice() {
        [] => passing(&report.reason),
        violations => violations.iter().all(|fault| passing(&fault.reason)),
    }
}
