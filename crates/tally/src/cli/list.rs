//! `tally list`.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use tally_domain::legal::LegalBasisRef;
use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::log::v1 as log;

use super::Global;
use super::output::{Failure, print, print_done};
use crate::client::command_id;

/// Reads a legal basis: `id@version`.
pub fn parse_basis(text: &str) -> Result<log::LegalBasisRef, String> {
    let basis: LegalBasisRef = text
        .parse()
        .map_err(|_| format!("{text:?} is no legal basis; write id@version"))?;
    Ok(log::LegalBasisRef {
        id: basis.id,
        version: basis.version,
    })
}

/// A document.
#[derive(Debug, Clone, Args)]
pub struct DocumentArgs {
    /// Number of the document.
    #[arg(long = "document", value_name = "NUMBER")]
    number: String,
    /// Its SHA-256, as hexadecimal digits.
    #[arg(
        long = "sha256",
        value_name = "HEX",
        default_value = "",
        hide_default_value = true
    )]
    sha256: String,
}

impl DocumentArgs {
    pub(super) fn to_proto(&self) -> Result<log::DocumentRef, Failure> {
        let sha256 =
            hex(&self.sha256).ok_or_else(|| Failure::usage("--sha256 takes hexadecimal digits"))?;
        Ok(log::DocumentRef {
            number: self.number.clone(),
            sha256: sha256.into(),
            ..Default::default()
        })
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) {
        return None;
    }
    bytes
        .chunks_exact(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// Lists.
#[derive(Debug, Subcommand)]
pub enum List {
    /// First officer: nominates a subject.
    Nominate {
        /// Whom: scheme:value.
        #[arg(long)]
        subject: String,
        /// List type of the policy pack.
        #[arg(long = "list")]
        list_type: String,
        /// Record in collection that it rests on.
        #[arg(long = "ground", value_name = "RECORD")]
        ground_record_id: String,
        /// Which criterion is met. Must not name a person.
        #[arg(long)]
        criterion: String,
        /// Legal basis: id@version.
        #[arg(long, value_parser = parse_basis)]
        basis: log::LegalBasisRef,
        /// First day of the term.
        #[arg(long)]
        from: String,
        /// Last day of the term.
        #[arg(long, default_value = "", hide_default_value = true)]
        until: String,
        /// Id of the command; give it to be able to retry.
        #[arg(long, default_value_t = command_id(), hide_default_value = true)]
        command_id: String,
    },
    /// Records that the subject was told.
    Notify {
        /// Entry.
        entry: String,
        /// Day of service.
        #[arg(long)]
        served_on: String,
        #[command(flatten)]
        document: DocumentArgs,
        /// Id of the command; give it to be able to retry.
        #[arg(long, default_value_t = command_id(), hide_default_value = true)]
        command_id: String,
    },
    /// Records what the subject said, or that it waived.
    Represent {
        /// Entry.
        entry: String,
        /// The subject stated that it has nothing to say.
        #[arg(long, conflicts_with = "document")]
        waived: bool,
        /// Number of the document in which it was said.
        #[arg(long, required_unless_present = "waived")]
        document: Option<String>,
        /// Id of the command; give it to be able to retry.
        #[arg(long, default_value_t = command_id(), hide_default_value = true)]
        command_id: String,
    },
    /// Second officer: lists the nominated subject.
    Confirm {
        /// Entry.
        entry: String,
        #[command(flatten)]
        document: DocumentArgs,
        /// Id of the command; give it to be able to retry.
        #[arg(long, default_value_t = command_id(), hide_default_value = true)]
        command_id: String,
    },
    /// Drops a nomination.
    Drop {
        /// Entry.
        entry: String,
        /// Why. Must not name a person.
        #[arg(long)]
        reason: String,
        /// Id of the command; give it to be able to retry.
        #[arg(long, default_value_t = command_id(), hide_default_value = true)]
        command_id: String,
    },
    /// Takes an entry off its list before its term is over.
    Remove(Decision),
    /// First officer: asks that a red entry be taken off; a second one removes it.
    RequestRemoval(Decision),
    /// One entry, or those of a subject and of what is linked to it.
    Show {
        /// Entry, or subject as scheme:value.
        what: String,
    },
}

/// A decision about an entry.
#[derive(Debug, Args)]
pub struct Decision {
    /// Entry.
    pub(super) entry: String,
    /// Why. Must not name a person.
    #[arg(long)]
    pub(super) reason: String,
    #[command(flatten)]
    pub(super) document: DocumentArgs,
    /// Id of the command; give it to be able to retry.
    #[arg(long, default_value_t = command_id(), hide_default_value = true)]
    pub(super) command_id: String,
}

impl List {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let mut lists = global.client().await?.lists();
        let json = global.json;
        match self {
            Self::Nominate {
                subject,
                list_type,
                ground_record_id,
                criterion,
                basis,
                from,
                until,
                command_id,
            } => {
                let request = pb::NominateRequest {
                    command_id: command_id.clone(),
                    subject: subject.clone(),
                    list_type: list_type.clone(),
                    ground_record_id: ground_record_id.clone(),
                    criterion: criterion.clone(),
                    legal_basis: Some(basis.clone()),
                    term_from: from.clone(),
                    term_until: until.clone(),
                };
                print(json, lists.nominate(request).await?.get_ref());
            }
            Self::Notify {
                entry,
                served_on,
                document,
                command_id,
            } => {
                let request = pb::NotifyRequest {
                    command_id: command_id.clone(),
                    entry_id: entry.clone(),
                    served_on: served_on.clone(),
                    proof_of_service: Some(document.to_proto()?),
                };
                print_done(
                    json,
                    &format!("entry {entry}: subject notified"),
                    lists.notify(request).await?.get_ref(),
                );
            }
            Self::Represent {
                entry,
                waived,
                document,
                command_id,
            } => {
                let document = document.as_ref().map(|number| log::DocumentRef {
                    number: number.clone(),
                    ..Default::default()
                });
                let request = pb::RepresentRequest {
                    command_id: command_id.clone(),
                    entry_id: entry.clone(),
                    document,
                    waived: *waived,
                };
                print_done(
                    json,
                    &format!("entry {entry}: answer of the subject noted"),
                    lists.represent(request).await?.get_ref(),
                );
            }
            Self::Confirm {
                entry,
                document,
                command_id,
            } => {
                let request = pb::ListRequest {
                    command_id: command_id.clone(),
                    entry_id: entry.clone(),
                    decision: Some(document.to_proto()?),
                };
                print_done(
                    json,
                    &format!("entry {entry}: listed"),
                    lists.list(request).await?.get_ref(),
                );
            }
            Self::Drop {
                entry,
                reason,
                command_id,
            } => {
                let request = pb::DropRequest {
                    command_id: command_id.clone(),
                    entry_id: entry.clone(),
                    reason: reason.clone(),
                };
                print_done(
                    json,
                    &format!("entry {entry}: nomination dropped"),
                    lists.drop(request).await?.get_ref(),
                );
            }
            Self::RequestRemoval(decision) => {
                let request = pb::RequestRemovalRequest {
                    command_id: decision.command_id.clone(),
                    entry_id: decision.entry.clone(),
                    document: Some(decision.document.to_proto()?),
                    reason: decision.reason.clone(),
                };
                print_done(
                    json,
                    &format!("entry {}: removal requested", decision.entry),
                    lists.request_removal(request).await?.get_ref(),
                );
            }
            Self::Remove(decision) => {
                let request = pb::RemoveRequest {
                    command_id: decision.command_id.clone(),
                    entry_id: decision.entry.clone(),
                    decision: Some(decision.document.to_proto()?),
                    reason: decision.reason.clone(),
                };
                print_done(
                    json,
                    &format!("entry {}: removed", decision.entry),
                    lists.remove(request).await?.get_ref(),
                );
            }
            Self::Show { what } if what.contains(':') => {
                let request = pb::GetSubjectEntriesRequest {
                    subject: what.clone(),
                };
                print(json, lists.get_subject_entries(request).await?.get_ref());
            }
            Self::Show { what } => {
                let request = pb::GetEntryRequest {
                    entry_id: what.clone(),
                };
                print(json, lists.get_entry(request).await?.get_ref());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
