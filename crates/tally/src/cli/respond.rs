//! `tally subscribe`, `directive`, `report`, `feedback`.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use tally_proto::tally::feedback::v1 as feedback;
use tally_proto::tally::log::v1::LegalBasisRef;
use tally_proto::tally::sanctions::v1 as pb;

use super::Global;
use super::following::Following;
use super::list::{DocumentArgs, parse_basis};
use super::output::{Failure, line, print, print_done, to_json};
use crate::client::command_id;

/// Arguments of `tally subscribe`.
#[derive(Debug, Args)]
pub struct Subscribe {
    #[command(flatten)]
    following: Following,
}

impl Subscribe {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let mut cursor = self.following.load()?;
        let request = pb::SubscribeRequest {
            cursor: Some(cursor.clone()),
            until_head: self.following.until_head,
        };
        let mut items = global
            .client()
            .await?
            .sanctions()
            .subscribe(request)
            .await?
            .into_inner();
        let mut seen = 0;
        while let Some(item) = items.message().await? {
            if global.json {
                line(&to_json(&item).to_string());
            } else {
                line(&describe(&item));
            }
            if let Some(place) = item.cursor {
                self.following.keep(&mut cursor, &item.log_id, place)?;
            }
            seen += 1;
        }
        self.following.ended(global.json, seen);
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(item: &pb::SubscribeResponse) -> String {
    let directive = item.directive.clone().unwrap_or_default();
    let kind = item
        .kind()
        .as_str_name()
        .trim_start_matches("MAILBOX_ITEM_KIND_");
    let next = match item.kind() {
        pb::MailboxItemKind::Triggered => format!(
            "acknowledge by {}, report by {}",
            directive.acknowledge_by, directive.report_by
        ),
        pb::MailboxItemKind::Suspended => "apply nothing meanwhile".to_owned(),
        pb::MailboxItemKind::Lifted => "undo it, then `tally directive confirm-lift`".to_owned(),
        _ => format!("report by {}", directive.report_by),
    };
    format!(
        "{kind} {} {} on {} (entry {}): {next}",
        directive.directive_id, directive.measure, directive.subject, directive.entry_id
    )
}

/// Answers to a directive.
#[derive(Debug, Subcommand)]
pub enum Directive {
    /// The department has received it.
    Acknowledge(Answer),
    /// The department has begun; a standing measure is applied from now on.
    Start(Answer),
    /// The department has executed it: a one-off measure once, a standing one in a case.
    Execute {
        #[command(flatten)]
        answer: Answer,
        #[command(flatten)]
        document: DocumentArgs,
        /// Day of the decision in which it was applied.
        #[arg(long)]
        on: String,
        /// The check that was made before.
        #[arg(long, default_value = "", hide_default_value = true)]
        check: String,
    },
    /// The department declines.
    Decline {
        #[command(flatten)]
        answer: Answer,
        /// Grounds. Must not name a person.
        #[arg(long)]
        grounds: String,
        /// Legal basis of the grounds, needed where the measure is mandatory: id@version.
        #[arg(long, value_parser = parse_basis)]
        basis: Option<LegalBasisRef>,
    },
    /// The department no longer applies it.
    ConfirmLift {
        #[command(flatten)]
        answer: Answer,
        /// Number of the document that undoes it.
        #[arg(long)]
        document: Option<String>,
    },
    /// Shows it in its present state.
    Show {
        /// Directive.
        directive: String,
    },
}

/// Which directive, under which command id.
#[derive(Debug, Args)]
pub struct Answer {
    /// Directive.
    directive: String,
    /// Id of the command; give it to be able to retry.
    #[arg(long, default_value_t = command_id(), hide_default_value = true)]
    command_id: String,
}

impl Directive {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let mut sanctions = global.client().await?.sanctions();
        match self {
            Self::Acknowledge(answer) => {
                let request = pb::AcknowledgeRequest {
                    command_id: answer.command_id.clone(),
                    directive_id: answer.directive.clone(),
                };
                print_done(
                    global.json,
                    &format!("directive {}: acknowledged", answer.directive),
                    sanctions.acknowledge(request).await?.get_ref(),
                );
            }
            Self::Start(answer) => {
                let request = pb::StartRequest {
                    command_id: answer.command_id.clone(),
                    directive_id: answer.directive.clone(),
                };
                print_done(
                    global.json,
                    &format!("directive {}: started", answer.directive),
                    sanctions.start(request).await?.get_ref(),
                );
            }
            Self::Execute {
                answer,
                document,
                on,
                check,
            } => {
                let request = pb::ExecuteRequest {
                    command_id: answer.command_id.clone(),
                    directive_id: answer.directive.clone(),
                    decision: Some(document.to_proto()?),
                    executed_on: on.clone(),
                    check_id: check.clone(),
                };
                print_done(
                    global.json,
                    &format!("directive {}: executed", answer.directive),
                    sanctions.execute(request).await?.get_ref(),
                );
            }
            Self::Decline {
                answer,
                grounds,
                basis,
            } => {
                let request = pb::DeclineRequest {
                    command_id: answer.command_id.clone(),
                    directive_id: answer.directive.clone(),
                    grounds: grounds.clone(),
                    legal_basis: basis.clone(),
                };
                print_done(
                    global.json,
                    &format!("directive {}: declined", answer.directive),
                    sanctions.decline(request).await?.get_ref(),
                );
            }
            Self::ConfirmLift { answer, document } => {
                let request = pb::ConfirmLiftRequest {
                    command_id: answer.command_id.clone(),
                    directive_id: answer.directive.clone(),
                    document: document.as_ref().map(|number| numbered(number)),
                };
                print_done(
                    global.json,
                    &format!("directive {}: lift confirmed", answer.directive),
                    sanctions.confirm_lift(request).await?.get_ref(),
                );
            }
            Self::Show { directive } => {
                let request = pb::GetDirectiveRequest {
                    directive_id: directive.clone(),
                };
                print(
                    global.json,
                    sanctions.get_directive(request).await?.get_ref(),
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn numbered(number: &str) -> tally_proto::tally::log::v1::DocumentRef {
    tally_proto::tally::log::v1::DocumentRef {
        number: number.to_owned(),
        ..Default::default()
    }
}

/// What was done.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ReportedAs {
    /// Executed.
    Executed,
    /// Declined.
    Declined,
    /// In hand.
    InProgress,
}

/// Reports.
#[derive(Debug, Subcommand)]
pub enum Report {
    /// Reports what was done on a directive; again after a return.
    Submit {
        #[command(flatten)]
        answer: Answer,
        /// What was done.
        #[arg(long)]
        outcome: ReportedAs,
        /// Number of the document.
        #[arg(long)]
        document: Option<String>,
        /// On which day.
        #[arg(long, default_value = "", hide_default_value = true)]
        on: String,
        /// The check that was made before.
        #[arg(long, default_value = "", hide_default_value = true)]
        check: String,
        /// Remarks. Must not name a person.
        #[arg(long, default_value = "", hide_default_value = true)]
        remarks: String,
    },
    /// Accepts a report.
    Accept(Answer),
    /// Returns a report to be amended.
    Return {
        #[command(flatten)]
        answer: Answer,
        /// What is missing. Must not name a person.
        #[arg(long)]
        reason: String,
    },
    /// Shows a feedback.
    Show {
        /// Directive.
        directive: String,
    },
}

impl Report {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let mut service = global.client().await?.feedback();
        match self {
            Self::Submit {
                answer,
                outcome,
                document,
                on,
                check,
                remarks,
            } => {
                let outcome = match outcome {
                    ReportedAs::Executed => feedback::ReportedOutcome::Executed,
                    ReportedAs::Declined => feedback::ReportedOutcome::Declined,
                    ReportedAs::InProgress => feedback::ReportedOutcome::InProgress,
                };
                let request = feedback::ReportRequest {
                    command_id: answer.command_id.clone(),
                    directive_id: answer.directive.clone(),
                    outcome: outcome.into(),
                    document: document.as_ref().map(|number| numbered(number)),
                    done_on: on.clone(),
                    check_id: check.clone(),
                    remarks: remarks.clone(),
                };
                print_done(
                    global.json,
                    &format!("directive {}: report submitted", answer.directive),
                    service.report(request).await?.get_ref(),
                );
            }
            Self::Accept(answer) => {
                let request = feedback::AcceptReportRequest {
                    command_id: answer.command_id.clone(),
                    directive_id: answer.directive.clone(),
                };
                print_done(
                    global.json,
                    &format!("directive {}: report accepted", answer.directive),
                    service.accept_report(request).await?.get_ref(),
                );
            }
            Self::Return { answer, reason } => {
                let request = feedback::ReturnReportRequest {
                    command_id: answer.command_id.clone(),
                    directive_id: answer.directive.clone(),
                    reason: reason.clone(),
                };
                print_done(
                    global.json,
                    &format!("directive {}: report returned", answer.directive),
                    service.return_report(request).await?.get_ref(),
                );
            }
            Self::Show { directive } => {
                let request = feedback::GetFeedbackRequest {
                    directive_id: directive.clone(),
                };
                print(global.json, service.get_feedback(request).await?.get_ref());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `tally feedback`.
#[derive(Debug, Args)]
pub struct Feedback {
    #[command(flatten)]
    following: Following,
}

impl Feedback {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let mut cursor = self.following.load()?;
        let request = feedback::StreamFeedbackRequest {
            cursor: Some(cursor.clone()),
            until_head: self.following.until_head,
        };
        let mut items = global
            .client()
            .await?
            .feedback()
            .stream_feedback(request)
            .await?
            .into_inner();
        let mut seen = 0;
        while let Some(item) = items.message().await? {
            if global.json {
                line(&to_json(&item).to_string());
            } else {
                let state = item
                    .state()
                    .as_str_name()
                    .trim_start_matches("FEEDBACK_STATE_");
                line(&format!(
                    "{state} {} by {} on {}",
                    item.directive_id, item.department, item.subject
                ));
            }
            if let Some(place) = item.cursor {
                self.following.keep(&mut cursor, &item.log_id, place)?;
            }
            seen += 1;
        }
        self.following.ended(global.json, seen);
        Ok(ExitCode::SUCCESS)
    }
}
