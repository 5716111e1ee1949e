//! `tally quarantine`: refused rows that wait to be corrected.

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use tally_proto::tally::collection::v1 as pb;

use super::Global;
use super::output::{Failure, line, print, to_json};
use super::record_line::content_of;
use crate::client::command_id;

/// `tally quarantine …`.
#[derive(Debug, Subcommand)]
pub enum Quarantine {
    /// The department's rows: why, and since when.
    List(List),
    /// One row; with a case number, what it says.
    Show(Show),
    /// Hands a row in again: the whole record, as one JSON object on standard input, or as it is.
    Resubmit(Resubmit),
    /// Gives a row up; what it says is erased.
    Discard(Discard),
    /// How many rows wait, were handed in again and given up.
    Counts(Counts),
}

/// In which state rows are.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum State {
    /// They wait.
    Open,
    /// They were handed in again and accepted.
    Resubmitted,
    /// They were given up.
    Discarded,
}

/// Arguments of `tally quarantine list`.
#[derive(Debug, Args)]
pub struct List {
    /// In which state.
    #[arg(long, value_enum, default_value_t = State::Open)]
    state: State,
    /// Only of this record type.
    #[arg(long, default_value = "", hide_default_value = true)]
    item: String,
}

/// Arguments of `tally quarantine show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Its place in quarantine.
    quarantine_id: String,
    /// Your case number; needed to be shown what the row says. Must not name a person.
    #[arg(long, default_value = "", hide_default_value = true)]
    case: String,
}

/// Arguments of `tally quarantine resubmit`.
#[derive(Debug, Args)]
pub struct Resubmit {
    /// Its place in quarantine.
    quarantine_id: String,
    /// Hands it in as it is, opened for this case number: where not the row was wrong, but what it
    /// was held against.
    #[arg(long, value_name = "CASE")]
    unchanged: Option<String>,
    /// Id of the command; give it to be able to retry.
    #[arg(long, default_value_t = command_id(), hide_default_value = true)]
    command_id: String,
}

/// Arguments of `tally quarantine discard`.
#[derive(Debug, Args)]
pub struct Discard {
    /// Its place in quarantine.
    quarantine_id: String,
    /// Why. Must not name a person.
    #[arg(long)]
    reason: String,
    /// Id of the command; give it to be able to retry.
    #[arg(long, default_value_t = command_id(), hide_default_value = true)]
    command_id: String,
}

/// Arguments of `tally quarantine counts`.
#[derive(Debug, Args)]
pub struct Counts {
    /// Only of this department.
    #[arg(long, default_value = "", hide_default_value = true)]
    department: String,
}

impl Quarantine {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        match self {
            Self::List(command) => command.run(global).await,
            Self::Show(command) => command.run(global).await,
            Self::Resubmit(command) => command.run(global).await,
            Self::Discard(command) => command.run(global).await,
            Self::Counts(command) => command.run(global).await,
        }
    }
}

impl List {
    async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let state = match self.state {
            State::Open => pb::QuarantineState::Open,
            State::Resubmitted => pb::QuarantineState::Resubmitted,
            State::Discarded => pb::QuarantineState::Discarded,
        };
        let mut request = pb::ListQuarantineRequest {
            state: state.into(),
            record_type: self.item.clone(),
            ..Default::default()
        };
        let mut collection = global.client().await?.collection();
        let mut count = 0;
        loop {
            let page = collection.list_quarantine(request.clone()).await?;
            let page = page.into_inner();
            for row in &page.rows {
                count += 1;
                if global.json {
                    line(&to_json(row).to_string());
                } else {
                    line(&describe(row));
                }
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        if count == 0 && !global.json {
            line("no rows");
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Show {
    async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let request = pb::GetQuarantinedRequest {
            quarantine_id: self.quarantine_id.clone(),
            case_number: self.case.clone(),
        };
        let mut collection = global.client().await?.collection();
        let answer = collection.get_quarantined(request).await?;
        print(global.json, answer.get_ref());
        Ok(ExitCode::SUCCESS)
    }
}

impl Resubmit {
    async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let mut collection = global.client().await?.collection();
        let record = match &self.unchanged {
            None => {
                let text = std::io::read_to_string(std::io::stdin()).map_err(Failure::usage)?;
                content_of(&text).map_err(Failure::usage)?
            }
            Some(case) => {
                let request = pb::GetQuarantinedRequest {
                    quarantine_id: self.quarantine_id.clone(),
                    case_number: case.clone(),
                };
                let row = collection.get_quarantined(request).await?.into_inner();
                row.record.ok_or_else(|| {
                    Failure::usage("the row is not shown: it has left, or the case number is empty")
                })?
            }
        };
        let request = pb::PushRecordRequest {
            command_id: self.command_id.clone(),
            record: Some(record),
            quarantine_id: self.quarantine_id.clone(),
            ..Default::default()
        };
        let answer = collection.push_record(request).await?;
        print(global.json, answer.get_ref());
        Ok(ExitCode::SUCCESS)
    }
}

impl Discard {
    async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let request = pb::DiscardQuarantinedRequest {
            command_id: self.command_id.clone(),
            quarantine_id: self.quarantine_id.clone(),
            reason: self.reason.clone(),
        };
        let mut collection = global.client().await?.collection();
        let answer = collection.discard_quarantined(request).await?;
        print(global.json, answer.get_ref());
        Ok(ExitCode::SUCCESS)
    }
}

impl Counts {
    async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let request = pb::GetQuarantineCountsRequest {
            department: self.department.clone(),
        };
        let mut collection = global.client().await?.collection();
        let answer = collection.get_quarantine_counts(request).await?;
        let counts = answer.into_inner().counts;
        for count in &counts {
            if global.json {
                line(&to_json(count).to_string());
                continue;
            }
            let since = count.oldest_open_since.as_ref().map(day);
            let since = since.map_or_else(String::new, |day| format!(" since {day}"));
            line(&format!(
                "{} {}: {} open{since}, {} handed in again, {} discarded",
                count.department, count.record_type, count.open, count.resubmitted, count.discarded
            ));
        }
        if counts.is_empty() && !global.json {
            line("no rows");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn describe(row: &pb::QuarantinedRow) -> String {
    let since = row.quarantined_at.as_ref().map(day).unwrap_or_default();
    let what = match row.state() {
        pb::QuarantineState::Resubmitted => format!("handed in again as record {}", row.record_id),
        pb::QuarantineState::Discarded => format!("discarded: {}", row.discard_reason),
        pb::QuarantineState::Open | pb::QuarantineState::Unspecified => {
            let faults = row.faults.iter();
            let faults: Vec<_> = faults
                .map(|fault| format!("{} ({})", fault.field, fault.reason))
                .collect();
            faults.join(", ")
        }
    };
    format!(
        "{} {} since {since}: {what}",
        row.quarantine_id, row.record_type
    )
}

fn day(at: &prost_types::Timestamp) -> String {
    let at = tally_eventlog::event::from_proto_time(at);
    at.map_or_else(String::new, |at| at.strftime("%Y-%m-%d").to_string())
}
