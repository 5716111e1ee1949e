//! `tally check`, `check-many`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use prost::bytes::Bytes;
use tally_eventlog::event::uuid_bytes;
use tally_proto::tally::log::v1::LegalBasisRef;
use tally_proto::tally::sanctions::v1 as pb;
use tally_proto::tally::sanctions::v1::check_many_response::Outcome;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use uuid::Uuid;

use super::input::read_lines;
use super::list::parse_basis;
use super::output::{Failure, line, print, to_json};
use super::{Global, receipt};
use crate::client::command_id;

/// Why a department asks.
#[derive(Debug, Clone, Args)]
pub struct Why {
    /// Purpose, as the policy pack names it, for example procurement.
    #[arg(long)]
    purpose: String,
    /// Number of your own case. Must not name a person.
    #[arg(long)]
    case: String,
    /// Legal basis of asking: id@version.
    #[arg(long, value_parser = parse_basis)]
    basis: LegalBasisRef,
}

impl Why {
    fn ask(&self, check_id: String, subject: &str) -> pb::CheckRequest {
        pb::CheckRequest {
            check_id,
            subject: subject.to_owned(),
            purpose: self.purpose.clone(),
            case_number: self.case.clone(),
            legal_basis: Some(self.basis.clone()),
            at_least: None,
        }
    }
}

/// Arguments of `tally check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Whom: scheme:value.
    subject: String,
    #[command(flatten)]
    why: Why,
    /// Id of the check; give it to ask again.
    #[arg(long, default_value_t = command_id(), hide_default_value = true)]
    check_id: String,
    /// Records of `lists` that the answer must have seen, and of which log: its id, as a receipt
    /// gives it.
    #[arg(long, value_name = "SHARD:COUNT[:LOG_ID]", value_parser = parse_token)]
    at_least: Option<pb::ShardBasis>,
    /// Writes the answer as a signed receipt for your own file; it must not be there yet.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
}

fn parse_token(text: &str) -> Result<pb::ShardBasis, String> {
    let fault = || format!("{text:?} is not SHARD:COUNT or SHARD:COUNT:LOG_ID");
    let (shard, count) = text.split_once(':').ok_or_else(fault)?;
    let (count, log_id) = match count.split_once(':') {
        Some((count, log_id)) => (count, Some(Uuid::parse_str(log_id).map_err(|_| fault())?)),
        None => (count, None),
    };
    Ok(pb::ShardBasis {
        shard: shard.parse().map_err(|_| fault())?,
        lists: count.parse().map_err(|_| fault())?,
        lists_log_id: log_id.map_or_else(Bytes::new, uuid_bytes),
        ..pb::ShardBasis::default()
    })
}

impl Check {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let at_least = self.at_least.clone().map(|basis| pb::ConsistencyToken {
            shards: vec![basis],
            ..pb::ConsistencyToken::default()
        });
        let request = pb::CheckRequest {
            at_least,
            ..self.why.ask(self.check_id.clone(), &self.subject)
        };
        // Before the check is recorded: one that cannot be kept is not made.
        if let Some(file) = &self.receipt {
            receipt::must_be_new(file)?;
        }
        let client = global.client().await?;
        let answer = client.sanctions().check(request).await?;
        print(global.json, answer.get_ref());
        if let Some(file) = &self.receipt {
            let jws = receipt::signed(&client, &self.check_id).await?;
            receipt::keep(file, &jws).map_err(|failure| {
                failure.or_try(format!(
                    "the check is made; get its receipt with `tally receipt get {}`",
                    self.check_id
                ))
            })?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `tally check-many`.
#[derive(Debug, Args)]
pub struct CheckMany {
    /// Files of subjects, scheme:value, one a line; none or `-`: standard input.
    files: Vec<PathBuf>,
    #[command(flatten)]
    why: Why,
}

impl CheckMany {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let mut sanctions = global.client().await?.sanctions();
        // Bounds what waits here; the server's flow control does the rest.
        let (sender, receiver) = mpsc::channel(256);
        let why = self.why.clone();
        let reader = read_lines(&self.files, sender, move |subject| {
            Ok(pb::CheckManyRequest {
                check: Some(why.ask(command_id(), subject.trim())),
            })
        });
        let mut answers = sanctions
            .check_many(ReceiverStream::new(receiver))
            .await?
            .into_inner();
        let mut refused = 0_u64;
        let mut asked = 0_u64;
        while let Some(answer) = answers.message().await? {
            asked += 1;
            refused += u64::from(matches!(answer.outcome, Some(Outcome::Refused(_))));
            if global.json {
                line(&to_json(&answer).to_string());
            } else {
                line(&format!("{asked} {}", describe(&answer)));
            }
        }
        // What was read before a bad line has been asked, and is answered above.
        reader.await.map_err(Failure::usage)??;
        Ok(if refused == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(2)
        })
    }
}

/// One line; the number of the question stands before it, because subjects are not repeated.
fn describe(answer: &pb::CheckManyResponse) -> String {
    match &answer.outcome {
        Some(Outcome::Answer(checked)) => {
            let outcome = checked.outcome().as_str_name();
            let outcome = outcome.trim_start_matches("CHECK_OUTCOME_");
            let measures: Vec<_> = checked
                .entries
                .iter()
                .flat_map(|entry| &entry.measures)
                .map(|measure| measure.measure.as_str())
                .collect();
            let check = &answer.check_id;
            format!("{outcome} {} (check {check})", measures.join(", "))
        }
        Some(Outcome::Refused(refusal)) => {
            let faults: Vec<_> = refusal
                .faults
                .iter()
                .map(|fault| format!("{}: {} ({})", fault.field, fault.message, fault.reason))
                .collect();
            format!("refused: {}", faults.join("; "))
        }
        None => "no answer".to_owned(),
    }
}
