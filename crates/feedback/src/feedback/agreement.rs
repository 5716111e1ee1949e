//! What a department reports and what it told sanctions must be the same.

use super::{Outcome, Rejection};

/// How far the department is with a directive, as it told sanctions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// It has not answered.
    #[default]
    Unanswered,
    /// It has it.
    Received,
    /// It has begun.
    Started,
    /// It has executed it.
    Executed,
    /// It declined.
    Declined,
}

/// What a report must agree with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Answered {
    /// How far the department is.
    pub stage: Stage,
    /// Applied each time the subject turns up; else executed once.
    pub standing: bool,
}

impl Answered {
    /// Whether a report of this outcome says what sanctions was told.
    ///
    /// A measure that stands is in application once the department has begun: a
    /// subject that never turned up is no reason to owe a report for ever.
    ///
    /// # Errors
    ///
    /// What is to be told sanctions first, or what it was told otherwise.
    pub fn agrees(self, outcome: Outcome) -> Result<(), Rejection> {
        match (outcome, self.stage) {
            (_, Stage::Unanswered) => Err(Rejection::NotAcknowledged),
            (Outcome::Executed, Stage::Executed)
            | (Outcome::Declined, Stage::Declined)
            | (Outcome::InProgress, Stage::Received | Stage::Started) => Ok(()),
            (Outcome::Executed, Stage::Started) | (Outcome::InProgress, Stage::Executed)
                if self.standing =>
            {
                Ok(())
            }
            (_, Stage::Declined) => Err(Rejection::WasDeclined),
            (_, Stage::Executed) => Err(Rejection::WasExecuted),
            (Outcome::Executed, _) if self.standing => Err(Rejection::NotStarted),
            (Outcome::Executed, _) => Err(Rejection::NotExecuted),
            (Outcome::Declined, _) => Err(Rejection::NotDeclined),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGES: [Stage; 5] = [
        Stage::Unanswered,
        Stage::Received,
        Stage::Started,
        Stage::Executed,
        Stage::Declined,
    ];

    fn reasons(standing: bool, outcome: Outcome) -> [&'static str; 5] {
        STAGES.map(|stage| {
            let agrees = Answered { stage, standing }.agrees(outcome);
            agrees.map_or_else(Rejection::reason, |()| "")
        })
    }

    const SILENT: &str = "DIRECTIVE_NOT_ACKNOWLEDGED";
    const DECLINE: &str = "DIRECTIVE_NOT_DECLINED";
    const OTHERWISE: &str = "REPORT_CONTRADICTS_DIRECTIVE";

    #[test]
    fn what_is_executed_once_is_reported_when_it_is() {
        let execute = "DIRECTIVE_NOT_EXECUTED";
        let executed = reasons(false, Outcome::Executed);
        assert_eq!(executed, [SILENT, execute, execute, "", OTHERWISE]);
        let declined = reasons(false, Outcome::Declined);
        assert_eq!(declined, [SILENT, DECLINE, DECLINE, OTHERWISE, ""]);
        let in_progress = reasons(false, Outcome::InProgress);
        assert_eq!(in_progress, [SILENT, "", "", OTHERWISE, OTHERWISE]);
    }

    #[test]
    fn what_stands_is_reported_once_it_is_in_application() {
        let start = "DIRECTIVE_NOT_STARTED";
        let executed = reasons(true, Outcome::Executed);
        assert_eq!(executed, [SILENT, start, "", "", OTHERWISE]);
        let declined = reasons(true, Outcome::Declined);
        assert_eq!(declined, [SILENT, DECLINE, DECLINE, OTHERWISE, ""]);
        let in_progress = reasons(true, Outcome::InProgress);
        assert_eq!(in_progress, [SILENT, "", "", "", OTHERWISE]);
    }
}
