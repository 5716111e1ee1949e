//! `tally policy`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use tally_catalog::pack::{LocatedFault, embedded, load_dir};
use tally_domain::policy::Pack;
use tally_proto::tally::catalog::v1 as pb;
use tally_proto::tally::catalog::v1::get_policy_pack_response::Part;
use tally_proto::tally::node::v1::GetStatusRequest;

use super::Global;
use super::output::{Failure, line};
use crate::client::Client;
use crate::pack_client::load_pack;

/// The kinds of item that a pack has.
const KINDS: [&str; 7] = [
    "department",
    "legal_basis",
    "record_type",
    "list_type",
    "measure",
    "memorandum",
    "holiday_notice",
];

/// Policy packs.
#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Reads a pack and names every fault with its file and line. Needs no mesh.
    Check {
        /// Directory of the pack's TOML files.
        pack: PathBuf,
    },
    /// Loads a pack into the mesh and makes it the active one.
    Load {
        /// Directory of the pack's TOML files; without it, the small pack that comes with tally.
        pack: Option<PathBuf>,
    },
    /// Shows the active pack, item by item.
    Show {
        /// Only items of this kind.
        #[arg(long, value_parser = KINDS)]
        kind: Option<String>,
    },
}

impl Policy {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        match self {
            Self::Check { pack } => {
                let pack = read(load_dir(pack))?;
                report(global.json, &pack, pack.items().len());
            }
            Self::Load { pack } => {
                let pack = read(pack.as_ref().map_or_else(embedded, |dir| load_dir(dir)))?;
                let client = global.client().await?;
                let items = load_pack(&client, &pack).await?;
                report(global.json, &pack, items as usize);
                // A version that was loaded before stays where it is in the history.
                let active = active_version(&client).await?;
                if !global.json && active != pack.meta.version {
                    line(&format!(
                        "version {} was loaded before, and {active} stays the active one; to go back, \
                         load the old content under a new version",
                        pack.meta.version
                    ));
                }
            }
            Self::Show { kind } => show(global, kind.as_deref()).await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn read(loaded: Result<Pack, Vec<LocatedFault>>) -> Result<Pack, Failure> {
    loaded.map_err(|faults| {
        let message = match faults.len() {
            1 => "the pack has a fault".to_owned(),
            count => format!("the pack has {count} faults"),
        };
        let place =
            |fault: &LocatedFault| format!("{}:{}:{}", fault.file, fault.line, fault.column);
        Failure::faults(
            message,
            faults
                .into_iter()
                .map(|fault| (place(&fault), fault.message)),
        )
    })
}

fn report(json: bool, pack: &Pack, items: usize) {
    let digest: String = pack
        .digest()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    if json {
        line(&serde_json::json!({"pack": pack.meta.id, "version": pack.meta.version, "items": items, "digest": digest}).to_string());
    } else {
        line(&format!(
            "pack {} {}: {items} items, digest {digest}",
            pack.meta.id, pack.meta.version
        ));
    }
}

async fn active_version(client: &Client) -> Result<String, Failure> {
    let status = client.node().get_status(GetStatusRequest {}).await?;
    Ok(status.into_inner().pack_version)
}

async fn show(global: &Global, kind: Option<&str>) -> Result<(), Failure> {
    let client = global.client().await?;
    let mut parts = client
        .catalog()
        .get_policy_pack(pb::GetPolicyPackRequest {})
        .await?
        .into_inner();
    while let Some(message) = parts.message().await? {
        match message.part {
            Some(Part::Meta(meta)) if !global.json => {
                line(&format!(
                    "pack {} {} ({})",
                    meta.id, meta.version, meta.time_zone
                ));
            }
            Some(Part::Item(item)) if kind.is_none_or(|kind| kind == item.kind) => {
                if global.json {
                    line(&item.body);
                } else {
                    line(&format!("{} {} {}", item.kind, item.id, item.body));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
