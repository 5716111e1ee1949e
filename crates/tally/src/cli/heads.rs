//! `tally heads`.

use std::process::ExitCode;

use clap::Args;
use tally_eventlog::event::from_proto_time;
use tally_proto::tally::log::v1 as pb;
use tally_service::logs;
use uuid::Uuid;

use super::Global;
use super::output::{Failure, line};
use crate::role::Role;

/// Arguments of `tally heads`.
#[derive(Debug, Args)]
pub struct Heads {
    /// Log, for example lists; without it, all.
    // `log` is the option of every command.
    #[arg(value_name = "LOG")]
    name: Option<String>,
}

impl Heads {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let chosen = match &self.name {
            Some(name) => vec![logs::by_name(name).ok_or_else(|| unknown(name))?],
            None => logs::ALL.to_vec(),
        };
        let client = global.client().await?;
        for log in chosen {
            let request = pb::GetHeadsRequest {
                log: log.0.to_owned(),
            };
            let mut owner = client.log(Role::owner_of(log));
            let answer = owner.get_heads(request).await?.into_inner();
            let log_id = Uuid::from_slice(&answer.log_id).map_err(Failure::environment)?;
            for head in answer.heads {
                tell(global.json, log.0, log_id, &head);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn unknown(name: &str) -> Failure {
    let known: Vec<&str> = logs::ALL.iter().map(|log| log.0).collect();
    Failure::usage(format!(
        "there is no log `{name}`; there are: {}",
        known.join(", ")
    ))
}

/// The root as hexadecimal digits, as `verify` prints it.
fn tell(json: bool, log: &str, log_id: Uuid, head: &pb::ShardHead) {
    let root: String = head.root.iter().map(|byte| format!("{byte:02x}")).collect();
    let recorded_at = head.recorded_at.as_ref().and_then(from_proto_time);
    let recorded_at = recorded_at.map(|at| at.to_string()).unwrap_or_default();
    line(&if json {
        serde_json::json!({
            "log": log, "log_id": log_id.to_string(), "shard": head.shard, "size": head.size,
            "root": root, "recorded_at": recorded_at,
        })
        .to_string()
    } else {
        format!("{log}/{} {} {root} {recorded_at}", head.shard, head.size)
    });
}
