//! `tally check`.

use std::process::ExitCode;

use clap::Args;
use tally_proto::tally::log::v1::LegalBasisRef;
use tally_proto::tally::sanctions::v1 as pb;

use super::Global;
use super::list::parse_basis;
use super::output::{Failure, print};
use crate::client::command_id;

/// Arguments of `tally check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Whom: scheme:value.
    subject: String,
    /// Purpose, as the policy pack names it, for example procurement.
    #[arg(long)]
    purpose: String,
    /// Number of your own case. Must not name a person.
    #[arg(long)]
    case: String,
    /// Legal basis of asking: id@version.
    #[arg(long, value_parser = parse_basis)]
    basis: LegalBasisRef,
    /// Id of the check; give it to ask again.
    #[arg(long, default_value_t = command_id(), hide_default_value = true)]
    check_id: String,
    /// Records of `lists` that the answer must have seen: SHARD:COUNT.
    #[arg(long, value_name = "SHARD:COUNT", value_parser = parse_token)]
    at_least: Option<(u32, u64)>,
}

fn parse_token(text: &str) -> Result<(u32, u64), String> {
    let fault = || format!("{text:?} is not SHARD:COUNT");
    let (shard, count) = text.split_once(':').ok_or_else(fault)?;
    Ok((
        shard.parse().map_err(|_| fault())?,
        count.parse().map_err(|_| fault())?,
    ))
}

impl Check {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let at_least = self.at_least.map(|(shard, lists)| pb::ConsistencyToken {
            shards: vec![pb::ShardBasis {
                shard,
                lists,
                sanctions: 0,
            }],
            pack_version: String::new(),
        });
        let request = pb::CheckRequest {
            check_id: self.check_id.clone(),
            subject: self.subject.clone(),
            purpose: self.purpose.clone(),
            case_number: self.case.clone(),
            legal_basis: Some(self.basis.clone()),
            at_least,
        };
        print(
            global.json,
            global
                .client()
                .await?
                .sanctions()
                .check(request)
                .await?
                .get_ref(),
        );
        Ok(ExitCode::SUCCESS)
    }
}
