//! `tally object`, `link`, `unlink`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::log::v1 as log;

use super::Global;
use super::list::{Decision, DocumentArgs, parse_basis};
use super::output::{Failure, print_done};
use crate::client::command_id;

/// Objections.
#[derive(Debug, Subcommand)]
pub enum Object {
    /// Accepts an objection after a formal check: the entry is suspended at once.
    Accept {
        /// Entry.
        entry: String,
        #[command(flatten)]
        document: DocumentArgs,
        /// Id of the command; give it to be able to retry.
        #[arg(long, default_value_t = command_id(), hide_default_value = true)]
        command_id: String,
    },
    /// The listing stands. By another officer than those who listed; on a black list also
    /// another than the one who accepted the objection.
    Uphold(Decision),
    /// The listing was wrong, from its first day. By another officer than those who listed;
    /// on a red list also another than the one who accepted the objection.
    CorrectOut(Decision),
}

impl Object {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let mut lists = global.client().await?.lists();
        match self {
            Self::Accept {
                entry,
                document,
                command_id,
            } => {
                let request = pb::AcceptObjectionRequest {
                    command_id: command_id.clone(),
                    entry_id: entry.clone(),
                    objection: Some(document.to_proto()?),
                };
                print_done(
                    global.json,
                    &format!("entry {entry}: objection accepted, suspended"),
                    lists.accept_objection(request).await?.get_ref(),
                );
            }
            Self::Uphold(decision) => {
                let request = pb::UpholdRequest {
                    command_id: decision.command_id.clone(),
                    entry_id: decision.entry.clone(),
                    decision: Some(decision.document.to_proto()?),
                    reason: decision.reason.clone(),
                };
                print_done(
                    global.json,
                    &format!("entry {}: upheld", decision.entry),
                    lists.uphold(request).await?.get_ref(),
                );
            }
            Self::CorrectOut(decision) => {
                let request = pb::CorrectOutRequest {
                    command_id: decision.command_id.clone(),
                    entry_id: decision.entry.clone(),
                    decision: Some(decision.document.to_proto()?),
                    reason: decision.reason.clone(),
                };
                print_done(
                    global.json,
                    &format!("entry {}: corrected out", decision.entry),
                    lists.correct_out(request).await?.get_ref(),
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Which identifiers.
#[derive(Debug, Args)]
struct Pair {
    /// One identifier: scheme:value.
    subject: String,
    /// The other: scheme:value.
    linked: String,
}

/// Arguments of `tally link`.
#[derive(Debug, Args)]
pub struct Link {
    #[command(flatten)]
    pair: Pair,
    /// Legal basis on which listings of one reach the other: id@version.
    #[arg(long, value_parser = parse_basis)]
    basis: log::LegalBasisRef,
    #[command(flatten)]
    document: DocumentArgs,
    /// Id of the command; give it to be able to retry.
    #[arg(long, default_value_t = command_id(), hide_default_value = true)]
    command_id: String,
}

impl Link {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let request = pb::LinkIdentifiersRequest {
            command_id: self.command_id.clone(),
            subject: self.pair.subject.clone(),
            linked_subject: self.pair.linked.clone(),
            evidence: Some(self.document.to_proto()?),
            legal_basis: Some(self.basis.clone()),
        };
        let mut lists = global.client().await?.lists();
        let answer = lists.link_identifiers(request).await?;
        let done = format!("{} and {}: linked", self.pair.subject, self.pair.linked);
        print_done(global.json, &done, answer.get_ref());
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `tally unlink`.
#[derive(Debug, Args)]
pub struct Unlink {
    #[command(flatten)]
    pair: Pair,
    /// Why.
    #[arg(long)]
    reason: String,
    /// Id of the command; give it to be able to retry.
    #[arg(long, default_value_t = command_id(), hide_default_value = true)]
    command_id: String,
}

impl Unlink {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let request = pb::UnlinkIdentifiersRequest {
            command_id: self.command_id.clone(),
            subject: self.pair.subject.clone(),
            linked_subject: self.pair.linked.clone(),
            reason: self.reason.clone(),
        };
        let mut lists = global.client().await?.lists();
        let answer = lists.unlink_identifiers(request).await?;
        let done = format!(
            "{} and {}: no longer linked",
            self.pair.subject, self.pair.linked
        );
        print_done(global.json, &done, answer.get_ref());
        Ok(ExitCode::SUCCESS)
    }
}
