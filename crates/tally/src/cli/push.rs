//! `tally push`, `record`, `correct`, `withdraw`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::Global;
use super::input::read_lines;
use super::list::DocumentArgs;
use super::output::{Failure, line, print, print_done, to_json};
use super::record_line::{RecordLine, content_of};
use crate::client::command_id;

/// Arguments of `tally push`.
#[derive(Debug, Args)]
pub struct Push {
    /// Files of JSON lines; none or `-`: standard input.
    files: Vec<PathBuf>,
    /// Prints a line for every record, not only for those refused.
    #[arg(long)]
    receipts: bool,
    /// Keeps what is refused in quarantine, where it can be corrected and handed in again.
    #[arg(long)]
    quarantine: bool,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: u64,
    repeated: u64,
    quarantined: u64,
    refused: u64,
}

impl Push {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let client = global.client().await?;
        if self.files.is_empty() && std::io::stdin().is_terminal() && !global.json {
            eprintln!("reading records from the terminal, one JSON object a line; end with Ctrl-D");
        }
        // The channel bounds what waits here; the server's flow control does the rest.
        let (sender, receiver) = mpsc::channel(1_024);
        let reader = read_lines(&self.files, sender, {
            let quarantine = self.quarantine;
            move |text| request(text, quarantine)
        });
        let mut answers = client
            .collection()
            .push_records(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        let progress = progress_bar();
        let mut counts = Counts::default();
        let lost = loop {
            match answers.message().await {
                Ok(Some(answer)) => {
                    progress.inc(1);
                    self.answer(global.json, &answer, &mut counts, &progress);
                }
                Ok(None) => break None,
                Err(status) => break Some(status),
            }
        };
        progress.finish_and_clear();
        let Counts {
            accepted,
            repeated,
            quarantined,
            refused,
        } = counts;
        line(&if global.json {
            serde_json::json!({"accepted": accepted, "repeated": repeated, "quarantined": quarantined, "refused": refused})
                .to_string()
        } else if self.quarantine || quarantined > 0 {
            format!(
                "accepted {accepted}, known before {repeated}, quarantined {quarantined}, refused {refused}"
            )
        } else {
            format!("accepted {accepted}, known before {repeated}, refused {refused}")
        });
        if let Some(status) = lost {
            return Err(Failure::from(status).or_try(
                "push the same input again: what the mesh has is known to it and not taken twice",
            ));
        }
        // What was read before a bad line has been pushed, and is counted above.
        reader.await.map_err(Failure::usage)??;
        Ok(if refused + quarantined == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(2)
        })
    }

    fn answer(
        &self,
        json: bool,
        answer: &pb::PushRecordsResponse,
        counts: &mut Counts,
        progress: &ProgressBar,
    ) {
        let mut show = self.receipts;
        match &answer.outcome {
            Some(Outcome::Accepted(accepted))
                if accepted
                    .receipt
                    .as_ref()
                    .is_some_and(|receipt| receipt.repeated) =>
            {
                counts.repeated += 1;
            }
            Some(Outcome::Accepted(_)) => counts.accepted += 1,
            Some(Outcome::Refused(refusal)) => {
                if refusal.quarantine_id.is_empty() {
                    counts.refused += 1;
                } else {
                    counts.quarantined += 1;
                }
                show = true;
            }
            None => {}
        }
        if !show {
            return;
        }
        progress.suspend(|| {
            if json {
                return line(&to_json(answer).to_string());
            }
            match &answer.outcome {
                Some(Outcome::Accepted(accepted)) => {
                    let position = accepted
                        .receipt
                        .as_ref()
                        .map_or(0, |receipt| receipt.position);
                    let shard = accepted.receipt.as_ref().map_or(0, |receipt| receipt.shard);
                    line(&format!(
                        "{} accepted at collection/{shard}/{position}",
                        accepted.record_id
                    ));
                }
                Some(Outcome::Refused(refusal)) => {
                    let place = match refusal.quarantine_id.as_str() {
                        "" => String::new(),
                        place => format!(", in quarantine as {place}"),
                    };
                    line(&format!("{} refused{place}:", answer.command_id));
                    for fault in &refusal.faults {
                        line(&format!(
                            "  {}: {} ({})",
                            fault.field, fault.message, fault.reason
                        ));
                    }
                }
                None => {}
            }
        });
    }
}

fn progress_bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {pos} records, {per_sec}, {elapsed}")
        .expect("the template is a constant");
    ProgressBar::new_spinner().with_style(style)
}

/// A line as a request to push it.
fn request(text: &str, quarantine: bool) -> Result<pb::PushRecordsRequest, String> {
    let mut record = RecordLine::parse(text)?;
    let command_id = record.command_id.clone().unwrap_or_else(command_id);
    Ok(pb::PushRecordsRequest {
        command_id,
        quarantine,
        quarantine_id: std::mem::take(&mut record.quarantine_id),
        record: Some(record.content()?),
    })
}

/// Arguments of `tally correct`.
#[derive(Debug, Args)]
pub struct Correct {
    /// Record to correct.
    record_id: String,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Id of the command; give it to be able to retry.
    #[arg(long, default_value_t = command_id(), hide_default_value = true)]
    command_id: String,
}

impl Correct {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let text = std::io::read_to_string(std::io::stdin()).map_err(Failure::usage)?;
        let content = content_of(&text).map_err(Failure::usage)?;
        let request = pb::CorrectRecordRequest {
            command_id: self.command_id.clone(),
            record_id: self.record_id.clone(),
            record: Some(content),
            reason: self.reason.clone(),
        };
        let answer = global
            .client()
            .await?
            .collection()
            .correct_record(request)
            .await?;
        let done = format!("record {}: corrected", self.record_id);
        print_done(global.json, &done, answer.get_ref());
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `tally withdraw`.
#[derive(Debug, Args)]
pub struct Withdraw {
    /// Record to withdraw.
    record_id: String,
    /// Why.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    document: DocumentArgs,
    /// Id of the command; give it to be able to retry.
    #[arg(long, default_value_t = command_id(), hide_default_value = true)]
    command_id: String,
}

impl Withdraw {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let request = pb::WithdrawRecordRequest {
            command_id: self.command_id.clone(),
            record_id: self.record_id.clone(),
            reason: self.reason.clone(),
            document: Some(self.document.to_proto()?),
        };
        let answer = global
            .client()
            .await?
            .collection()
            .withdraw_record(request)
            .await?;
        let done = format!("record {}: withdrawn", self.record_id);
        print_done(global.json, &done, answer.get_ref());
        Ok(ExitCode::SUCCESS)
    }
}

/// `tally record`.
pub async fn show(global: &Global, record_id: &str, case: &str) -> Result<ExitCode, Failure> {
    let request = pb::GetRecordRequest {
        record_id: record_id.to_owned(),
        case_number: case.to_owned(),
    };
    let answer = global
        .client()
        .await?
        .collection()
        .get_record(request)
        .await?;
    print(global.json, answer.get_ref());
    Ok(ExitCode::SUCCESS)
}
