//! Sends a command again under its id until it is acknowledged or refused for good,
//! or patience ends.

use std::future::Future;
use std::time::Duration;

use tally_rpc::FaultReport;
use tally_rpc::fault::reason::{INTERNAL, NO_ANSWER_IN_TIME, OUTCOME_UNKNOWN, UNEXPLAINED};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::live::Live;

/// How long one attempt may take: whoever is silent for longer is asked again.
const ATTEMPT_MAX: Duration = Duration::from_secs(20);
/// Pauses between attempts: the first, doubled each time, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Refusals that pass once a reader has caught up with what the caller has seen already.
const PASSING: [&str; 4] = [
    "GROUND_UNKNOWN",
    "FEEDBACK_UNKNOWN",
    "DIRECTIVE_NOT_ACKNOWLEDGED",
    "NO_POLICY_PACK",
];

/// What became of a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer<T> {
    /// Acknowledged; `first` if no attempt before may have been applied.
    Acknowledged {
        /// The answer.
        answer: T,
        /// True if it cannot be the result of an earlier attempt.
        first: bool,
    },
    /// Refused for good, for this reason.
    Refused(String),
    /// Given up; this is what the last attempt met.
    Unknown(String),
}

/// What a fault means for the next attempt.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Send it again, at the earliest after this; `applied` if it may have been applied.
    Again { pause: Duration, applied: bool },
    /// It is no use.
    Refused,
}

/// Insists.
pub async fn insist<T, Attempt>(
    patience: Duration,
    live: &Live,
    attempt: impl Fn() -> Attempt,
) -> Answer<T>
where
    Attempt: Future<Output = Result<T, Status>>,
{
    let deadline = Instant::now() + patience;
    let mut may_be_applied = false;
    let mut pause = PAUSES.0;
    loop {
        let under_way = live.attempt();
        let answer = tokio::time::timeout(ATTEMPT_MAX, attempt()).await;
        drop(under_way);
        let (reason, verdict) = match answer {
            Ok(Ok(answer)) => {
                let first = !may_be_applied;
                return Answer::Acknowledged { answer, first };
            }
            Ok(Err(status)) => (reason_of(&status), verdict(&status)),
            Err(_) => {
                let pause = Duration::ZERO;
                let verdict = Verdict::Again {
                    pause,
                    applied: true,
                };
                ("no answer in time".to_owned(), verdict)
            }
        };
        let least = match verdict {
            // An attempt before may come to its end still, whatever this one was told.
            Verdict::Refused if may_be_applied => return Answer::Unknown(reason),
            Verdict::Refused => return Answer::Refused(reason),
            Verdict::Again { pause, applied } => {
                may_be_applied |= applied;
                pause
            }
        };
        live.fail();
        let wait = pause.max(least);
        if Instant::now() + wait >= deadline {
            return Answer::Unknown(reason);
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn verdict(status: &Status) -> Verdict {
    let report = FaultReport::from(status);
    let unknown = [UNEXPLAINED, OUTCOME_UNKNOWN, NO_ANSWER_IN_TIME, INTERNAL];
    let applied = unknown.contains(&report.reason.as_str());
    // A connection that broke, a process that is away: the code is whatever the client made of it.
    let broken = report.reason == UNEXPLAINED
        && !matches!(report.code, Code::Unimplemented | Code::Unauthenticated);
    let passing = |reason: &str| PASSING.contains(&reason);
    let passes = match report.violations.as_slice() {
        [] => passing(&report.reason),
        violations => violations.iter().all(|fault| passing(&fault.reason)),
    };
    // What lost against others is repeated as it is, also where no time is named.
    let lost = report.code == Code::Aborted || report.reason == INTERNAL;
    let retried = report.retry.is_some() || broken || passes || lost;
    match retried {
        true => Verdict::Again {
            pause: report.retry.unwrap_or_default(),
            applied,
        },
        false => Verdict::Refused,
    }
}

fn reason_of(status: &Status) -> String {
    let report = FaultReport::from(status);
    match (report.violations.as_slice(), report.reason.as_str()) {
        ([first, ..], _) => first.reason.clone(),
        ([], UNEXPLAINED) => format!("{:?}", report.code),
        ([], reason) => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tally_rpc::Fault;

    use super::*;

    /// Some pauses long.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// Answers one after the other; the last is repeated.
    async fn answered(answers: Vec<Result<u32, Status>>) -> (Answer<u32>, usize) {
        let (live, attempts) = (Live::default(), RefCell::new(0));
        let answer = insist(PATIENCE, &live, || {
            let mut attempts = attempts.borrow_mut();
            let at = answers.len().min(*attempts + 1) - 1;
            *attempts += 1;
            std::future::ready(answers[at].clone())
        });
        let answer = answer.await;
        (answer, attempts.into_inner())
    }

    fn broken() -> Status {
        Status::unknown("transport error")
    }

    fn busy() -> Status {
        Fault::unavailable("LOG_BUSY", "wait", Duration::from_millis(1)).into()
    }

    fn refused() -> Status {
        Fault::rejected("ENTRY_STATE", "it is over").into()
    }

    #[tokio::test]
    async fn it_goes_on_until_it_is_acknowledged() {
        let (answer, attempts) = answered(vec![Err(busy()), Err(busy()), Ok(7)]).await;
        let first = Answer::Acknowledged {
            answer: 7,
            first: true,
        };
        assert_eq!((answer, attempts), (first, 3));
        let (answer, _) = answered(vec![Err(broken()), Ok(7)]).await;
        let later = Answer::Acknowledged {
            answer: 7,
            first: false,
        };
        assert_eq!(answer, later, "the broken attempt may have been applied");
    }

    #[tokio::test]
    async fn a_refusal_is_final_unless_an_attempt_before_may_be_applied() {
        let (answer, attempts) = answered(vec![Err(busy()), Err(refused())]).await;
        assert_eq!(
            (answer, attempts),
            (Answer::Refused("ENTRY_STATE".to_owned()), 2)
        );
        let (answer, _) = answered(vec![Err(broken()), Err(refused())]).await;
        assert_eq!(answer, Answer::Unknown("ENTRY_STATE".to_owned()));
    }

    #[tokio::test]
    async fn patience_ends() {
        let (answer, attempts) = answered(vec![Err(broken())]).await;
        assert_eq!(answer, Answer::Unknown("Unknown".to_owned()));
        assert!((2..8).contains(&attempts), "{attempts}");
    }

    #[tokio::test]
    async fn what_lost_against_others_is_repeated() {
        let (answer, attempts) = answered(vec![
            Err(Fault::aborted("CONFLICT", "others were first").into()),
            Ok(7),
        ])
        .await;
        assert!(matches!(answer, Answer::Acknowledged { answer: 7, .. }));
        assert_eq!(attempts, 2);
    }

    #[tokio::test]
    async fn what_a_reader_does_not_know_yet_passes() {
        let unknown = Fault::rejected("FEEDBACK_UNKNOWN", "not yet").into();
        let (answer, attempts) = answered(vec![Err(unknown), Ok(7)]).await;
        let first = Answer::Acknowledged {
            answer: 7,
            first: true,
        };
        assert_eq!((answer, attempts), (first, 2));
    }
}
