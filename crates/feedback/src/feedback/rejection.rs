//! Why a command on a feedback is refused, and how the caller is told.

use tally_rpc::Fault;

/// The right to accept a report, as the contract names it.
pub const RIGHT_ACCEPT: &str = "feedback.accept";
/// The right to return one, as the contract names it.
pub const RIGHT_RETURN: &str = "feedback.return";

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// There is no such directive.
    #[error("no directive with this id asks for a report")]
    Unknown,
    /// Another department than the one that was asked.
    #[error("only the responding department of the directive reports on it")]
    NotResponder,
    /// Another department than the one that listed.
    #[error("only the department that listed accepts or returns a report")]
    NotInitiator {
        /// The right that the call needs.
        right: &'static str,
    },
    /// The directive was lifted.
    #[error("the directive was lifted and no report is owed; confirm the lift instead")]
    Closed,
    /// Reported, and not returned.
    #[error("the final report is in; it is amended after the initiating department returns it")]
    NotOwed,
    /// Accepted already.
    #[error("the report was accepted; nothing is left to decide")]
    Accepted,
    /// No report to decide on.
    #[error("there is no report to decide on; wait until the responding department reports")]
    NoReport,
    /// Sanctions has heard nothing of it.
    #[error("sanctions has not heard from the department: acknowledge the directive there first")]
    NotAcknowledged,
    /// A standing measure that the department has not begun to apply.
    #[error(
        "sanctions has not heard that the measure is applied: call Start or Execute there first"
    )]
    NotStarted,
    /// Sanctions has not heard that it was executed.
    #[error("sanctions has not heard that the directive was executed: call Execute there first")]
    NotExecuted,
    /// Sanctions has not heard that it was declined.
    #[error("sanctions has not heard that the directive was declined: call Decline there first")]
    NotDeclined,
    /// Sanctions was told that it was executed.
    #[error("sanctions was told that the directive was executed: report that")]
    WasExecuted,
    /// Sanctions was told that it was declined.
    #[error("sanctions was told that the directive was declined: report that")]
    WasDeclined,
    /// An interim report.
    #[error("an interim report is not accepted; wait for the final one or return this one")]
    Interim,
}

impl Rejection {
    /// Stable reason.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unknown => "FEEDBACK_UNKNOWN",
            Self::NotResponder | Self::NotInitiator { .. } => "RIGHT_MISSING",
            Self::Closed => "FEEDBACK_CLOSED",
            Self::NotOwed => "REPORT_NOT_OWED",
            Self::Accepted => "FEEDBACK_ACCEPTED",
            Self::NoReport => "REPORT_MISSING",
            Self::Interim => "REPORT_INTERIM",
            Self::NotAcknowledged => "DIRECTIVE_NOT_ACKNOWLEDGED",
            Self::NotStarted => "DIRECTIVE_NOT_STARTED",
            Self::NotExecuted => "DIRECTIVE_NOT_EXECUTED",
            Self::NotDeclined => "DIRECTIVE_NOT_DECLINED",
            Self::WasExecuted | Self::WasDeclined => "REPORT_CONTRADICTS_DIRECTIVE",
        }
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Fault {
        match rejection {
            Rejection::Unknown => {
                Fault::unseen(rejection.reason(), "feedback.get", rejection.to_string())
            }
            Rejection::NotResponder => Fault::permission("feedback.report", rejection.to_string())
                .with("competence", "responding department"),
            Rejection::NotInitiator { right } => Fault::permission(right, rejection.to_string())
                .with("competence", "initiating department"),
            _ => Fault::rejected(rejection.reason(), rejection.to_string()),
        }
    }
}
