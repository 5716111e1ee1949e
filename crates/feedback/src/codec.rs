//! The aggregate and its events as they are stored and sent.

use prost::Message as _;
use tally_domain::date::{LegalDate, parse_legal_date};
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::aggregate::{Codec, Encoded};
use tally_eventlog::event::{DecodeError, Recorded};
use tally_proto::tally::feedback::v1 as pb;

use crate::feedback::{
    About, Change, Due, Event, Feedback, Known, Outcome, Report, Reported, State,
};

/// A report is due.
pub const FEEDBACK_DUE: &str = "tally.feedback.v1.FeedbackDue";
/// Reported.
pub const FEEDBACK_SUBMITTED: &str = "tally.feedback.v1.FeedbackSubmitted";
/// Accepted.
pub const FEEDBACK_ACCEPTED: &str = "tally.feedback.v1.FeedbackAccepted";
/// Returned.
pub const FEEDBACK_RETURNED: &str = "tally.feedback.v1.FeedbackReturned";
/// Overdue.
pub const FEEDBACK_ESCALATED: &str = "tally.feedback.v1.FeedbackEscalated";
/// No report is owed any more.
pub const FEEDBACK_CLOSED: &str = "tally.feedback.v1.FeedbackClosed";
/// The directive is suspended.
pub const FEEDBACK_SUSPENDED: &str = "tally.feedback.v1.FeedbackSuspended";
/// The directive may be applied again.
pub const FEEDBACK_RESUMED: &str = "tally.feedback.v1.FeedbackResumed";

/// Every event type of the log of feedback.
pub const EVENT_TYPES: &[&str] = &[
    FEEDBACK_DUE,
    FEEDBACK_SUBMITTED,
    FEEDBACK_ACCEPTED,
    FEEDBACK_RETURNED,
    FEEDBACK_ESCALATED,
    FEEDBACK_CLOSED,
    FEEDBACK_SUSPENDED,
    FEEDBACK_RESUMED,
];

impl Codec for Feedback {
    fn encode(event: &Event) -> Encoded {
        let about = Some(about_to_proto(&event.about));
        let mut legal_basis = None;
        let (event_type, payload) = match &event.change {
            Change::Due(due) => {
                legal_basis.clone_from(&due.legal_basis);
                (
                    FEEDBACK_DUE,
                    due_to_proto(&event.about, due).encode_to_vec(),
                )
            }
            Change::Submitted { report, amended } => {
                let submitted = pb::FeedbackSubmitted {
                    outcome: outcome_to_proto(report.outcome).into(),
                    document: report.document.clone(),
                    done_on: date_text(report.done_on),
                    check_id: report.check_id.clone(),
                    remarks: report.remarks.clone(),
                    amended: *amended,
                    about,
                };
                (FEEDBACK_SUBMITTED, submitted.encode_to_vec())
            }
            Change::Accepted => (
                FEEDBACK_ACCEPTED,
                pb::FeedbackAccepted { about }.encode_to_vec(),
            ),
            Change::Returned { reason, report_by } => {
                let (reason, report_by) = (reason.clone(), report_by.to_string());
                (
                    FEEDBACK_RETURNED,
                    pb::FeedbackReturned {
                        reason,
                        about,
                        report_by,
                    }
                    .encode_to_vec(),
                )
            }
            Change::Escalated { report_by } => {
                let report_by = report_by.to_string();
                (
                    FEEDBACK_ESCALATED,
                    pb::FeedbackEscalated { report_by, about }.encode_to_vec(),
                )
            }
            Change::Closed => (
                FEEDBACK_CLOSED,
                pb::FeedbackClosed { about }.encode_to_vec(),
            ),
            Change::Suspended => (
                FEEDBACK_SUSPENDED,
                pb::FeedbackSuspended { about }.encode_to_vec(),
            ),
            Change::Resumed { report_by } => {
                let report_by = report_by.to_string();
                (
                    FEEDBACK_RESUMED,
                    pb::FeedbackResumed { about, report_by }.encode_to_vec(),
                )
            }
        };
        Encoded {
            event_type,
            payload: payload.into(),
            effective_at: event.effective_at,
            legal_basis,
        }
    }

    fn decode(recorded: &Recorded) -> Result<Event, DecodeError> {
        let fault = |reason: String| fault(recorded, reason);
        let event = |about: Option<pb::FeedbackAbout>, change| {
            let about =
                about.ok_or_else(|| fault("what the event is about is missing".to_owned()))?;
            let about = about_from_proto(about);
            Ok(Event {
                about,
                effective_at: recorded.effective_at,
                change,
            })
        };
        let date = |text: &str| parse_legal_date(text).map_err(|error| fault(error.to_string()));
        match recorded.envelope.event_type.as_str() {
            FEEDBACK_DUE => {
                let due: pb::FeedbackDue = recorded.payload()?;
                let report_by = date(&due.report_by)?;
                Ok(due_from_proto(recorded, due, report_by))
            }
            FEEDBACK_SUBMITTED => {
                let submitted: pb::FeedbackSubmitted = recorded.payload()?;
                let outcome = outcome_from_proto(submitted.outcome())
                    .ok_or_else(|| fault("the outcome is missing or unknown".to_owned()))?;
                let done_on = (!submitted.done_on.is_empty())
                    .then(|| date(&submitted.done_on))
                    .transpose()?;
                let report = Report {
                    outcome,
                    document: submitted.document,
                    done_on,
                    check_id: submitted.check_id,
                    remarks: submitted.remarks,
                };
                event(
                    submitted.about,
                    Change::Submitted {
                        report,
                        amended: submitted.amended,
                    },
                )
            }
            FEEDBACK_ACCEPTED => event(
                recorded.payload::<pb::FeedbackAccepted>()?.about,
                Change::Accepted,
            ),
            FEEDBACK_RETURNED => {
                let returned: pb::FeedbackReturned = recorded.payload()?;
                let report_by = date(&returned.report_by)?;
                event(
                    returned.about,
                    Change::Returned {
                        reason: returned.reason,
                        report_by,
                    },
                )
            }
            FEEDBACK_ESCALATED => {
                let escalated: pb::FeedbackEscalated = recorded.payload()?;
                let report_by = date(&escalated.report_by)?;
                event(escalated.about, Change::Escalated { report_by })
            }
            FEEDBACK_CLOSED => event(
                recorded.payload::<pb::FeedbackClosed>()?.about,
                Change::Closed,
            ),
            FEEDBACK_SUSPENDED => event(
                recorded.payload::<pb::FeedbackSuspended>()?.about,
                Change::Suspended,
            ),
            FEEDBACK_RESUMED => {
                let resumed: pb::FeedbackResumed = recorded.payload()?;
                let report_by = date(&resumed.report_by)?;
                event(resumed.about, Change::Resumed { report_by })
            }
            other => Err(fault(format!("{other} is no event of feedback"))),
        }
    }
}

fn fault(recorded: &Recorded, reason: String) -> DecodeError {
    DecodeError {
        log: recorded.log,
        shard: recorded.shard,
        position: recorded.position,
        reason,
    }
}

fn due_to_proto(about: &About, due: &Due) -> pb::FeedbackDue {
    pb::FeedbackDue {
        department: about.department.clone(),
        initiator: about.initiator.clone(),
        measure: about.measure.clone(),
        list_type: due.list_type.clone(),
        report_by: due.report_by.to_string(),
        month: about.month.clone(),
    }
}

fn due_from_proto(recorded: &Recorded, due: pb::FeedbackDue, report_by: LegalDate) -> Event {
    let basis = recorded.envelope.legal_basis.as_ref();
    Event {
        about: About {
            department: due.department,
            initiator: due.initiator,
            measure: due.measure,
            month: due.month,
        },
        effective_at: recorded.effective_at,
        change: Change::Due(Due {
            subject: recorded.envelope.subject.clone(),
            list_type: due.list_type,
            report_by,
            legal_basis: basis.map(|basis| LegalBasisRef::new(basis.id.clone(), basis.version)),
        }),
    }
}

fn about_to_proto(about: &About) -> pb::FeedbackAbout {
    pb::FeedbackAbout {
        department: about.department.clone(),
        initiator: about.initiator.clone(),
        measure: about.measure.clone(),
        month: about.month.clone(),
    }
}

fn about_from_proto(about: pb::FeedbackAbout) -> About {
    About {
        department: about.department,
        initiator: about.initiator,
        measure: about.measure,
        month: about.month,
    }
}

fn date_text(date: Option<LegalDate>) -> String {
    date.map(|date| date.to_string()).unwrap_or_default()
}

/// An outcome for the contract.
pub fn outcome_to_proto(outcome: Outcome) -> pb::ReportedOutcome {
    match outcome {
        Outcome::Executed => pb::ReportedOutcome::Executed,
        Outcome::Declined => pb::ReportedOutcome::Declined,
        Outcome::InProgress => pb::ReportedOutcome::InProgress,
    }
}

/// An outcome from the contract; nothing if it is not set.
pub fn outcome_from_proto(outcome: pb::ReportedOutcome) -> Option<Outcome> {
    match outcome {
        pb::ReportedOutcome::Unspecified => None,
        pb::ReportedOutcome::Executed => Some(Outcome::Executed),
        pb::ReportedOutcome::Declined => Some(Outcome::Declined),
        pb::ReportedOutcome::InProgress => Some(Outcome::InProgress),
    }
}

/// A state for the contract.
pub fn state_to_proto(state: State) -> pb::FeedbackState {
    match state {
        State::Due => pb::FeedbackState::Due,
        State::Submitted => pb::FeedbackState::Submitted,
        State::Accepted => pb::FeedbackState::Accepted,
        State::Returned => pb::FeedbackState::Returned,
        State::Escalated => pb::FeedbackState::Escalated,
        State::Closed => pb::FeedbackState::Closed,
    }
}

fn state_from_proto(state: pb::FeedbackState) -> Option<State> {
    match state {
        pb::FeedbackState::Unspecified => None,
        pb::FeedbackState::Due => Some(State::Due),
        pb::FeedbackState::Submitted => Some(State::Submitted),
        pb::FeedbackState::Accepted => Some(State::Accepted),
        pb::FeedbackState::Returned => Some(State::Returned),
        pb::FeedbackState::Escalated => Some(State::Escalated),
        pb::FeedbackState::Closed => Some(State::Closed),
    }
}

/// A feedback for the contract.
pub fn known_to_proto(directive_id: &str, known: &Known) -> pb::Feedback {
    let reported = known.reported.as_ref();
    let outcome = reported.map_or(pb::ReportedOutcome::Unspecified, |it| {
        outcome_to_proto(it.outcome)
    });
    pb::Feedback {
        directive_id: directive_id.to_owned(),
        subject: known.subject.clone(),
        department: known.about.department.clone(),
        initiator: known.about.initiator.clone(),
        measure: known.about.measure.clone(),
        list_type: known.list_type.clone(),
        state: state_to_proto(known.state).into(),
        report_by: known.report_by.to_string(),
        outcome: outcome.into(),
        document: reported.and_then(|reported| reported.document.clone()),
        done_on: date_text(reported.and_then(|reported| reported.done_on)),
        overdue: known.overdue,
    }
}

/// A row of the view `feedback.feedback`.
pub fn known_to_row(directive_id: &str, known: &Known) -> pb::FeedbackRow {
    pb::FeedbackRow {
        feedback: Some(known_to_proto(directive_id, known)),
        month: known.about.month.clone(),
        suspended: known.suspended,
    }
}

/// Reads such a row back; nothing if it is not one that [`known_to_row`] made.
pub fn known_from_row(row: pb::FeedbackRow) -> Option<Known> {
    let feedback = row.feedback?;
    let done_on = match feedback.done_on.as_str() {
        "" => None,
        text => Some(parse_legal_date(text).ok()?),
    };
    let reported = outcome_from_proto(feedback.outcome()).map(|outcome| Reported {
        outcome,
        document: feedback.document.clone(),
        done_on,
    });
    Some(Known {
        state: state_from_proto(feedback.state())?,
        report_by: parse_legal_date(&feedback.report_by).ok()?,
        about: About {
            department: feedback.department,
            initiator: feedback.initiator,
            measure: feedback.measure,
            month: row.month,
        },
        subject: feedback.subject,
        list_type: feedback.list_type,
        reported,
        overdue: feedback.overdue,
        suspended: row.suspended,
    })
}
