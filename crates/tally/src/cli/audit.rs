//! `tally replay`, `as-of`, `rebuild`, `verify`, `status`, `clock`.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use tally_eventlog::event::{from_proto_time, to_proto_time};
use tally_proto::tally::audit::v1 as pb;
use tally_proto::tally::node::v1 as node;

use super::Global;
use super::output::{Failure, line, print, to_json};
use super::people::here;

/// Arguments of `tally replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Only this log, for example lists.
    #[arg(long, default_value = "", hide_default_value = true)]
    log_name: String,
    /// Only this shard.
    #[arg(long)]
    shard: Option<u32>,
    /// First position.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Last position.
    #[arg(long)]
    to: Option<u64>,
    /// Only this stream: category/id.
    #[arg(long, default_value = "", hide_default_value = true)]
    stream: String,
    /// Only this subject: scheme:value.
    #[arg(long, default_value = "", hide_default_value = true)]
    subject: String,
    /// Adds each record's exact bytes (base64), from which a third party can recompute hashes and roots.
    #[arg(long)]
    with_records: bool,
}

impl Replay {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let request = pb::ReplayRequest {
            log: self.log_name.clone(),
            shard: self.shard,
            from: self.from,
            to: self.to,
            stream: self.stream.clone(),
            subject: self.subject.clone(),
        };
        let mut records = global
            .client()
            .await?
            .audit()
            .replay(request)
            .await?
            .into_inner();
        while let Some(record) = records.message().await? {
            if self.with_records {
                let mut value: serde_json::Value =
                    serde_json::from_str(&record.json).map_err(Failure::environment)?;
                // The contract's own JSON form of bytes is base64.
                value["record"] = to_json(&record)["record"].take();
                line(&value.to_string());
            } else {
                line(&record.json);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `tally as-of`.
#[derive(Debug, Args)]
pub struct AsOf {
    /// The day: what was in force at its end.
    on: String,
    /// As the log knew it at this time, RFC 3339; without it, now. The answer is `closed` once nothing
    /// recorded later can fall before that time, and `provisional` until then.
    #[arg(long, value_name = "TIME")]
    known: Option<Timestamp>,
    /// Only this subject and what is linked to it: scheme:value.
    #[arg(long, default_value = "", hide_default_value = true)]
    subject: String,
    /// Only this list type.
    #[arg(long = "list", default_value = "", hide_default_value = true)]
    list_type: String,
}

impl AsOf {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let request = pb::AsOfRequest {
            on: self.on.clone(),
            known_at: self.known.map(to_proto_time),
            subject: self.subject.clone(),
            list_type: self.list_type.clone(),
        };
        let answer = global
            .client()
            .await?
            .audit()
            .as_of(request)
            .await?
            .into_inner();
        if global.json {
            line(&to_json(&answer).to_string());
            return Ok(ExitCode::SUCCESS);
        }
        for entry in &answer.entries {
            let link = if entry.by_link { " (by a link)" } else { "" };
            line(&format!(
                "{} {} {} from {} until {}{link}",
                entry.entry_id, entry.list_type, entry.subject, entry.term_from, entry.term_until
            ));
        }
        let known = answer.known_at.as_ref().and_then(from_proto_time);
        line(&format!(
            "{} in force on {}, as known at {} ({})",
            answer.entries.len(),
            self.on,
            known.map(here).unwrap_or_default(),
            if answer.closed {
                "closed"
            } else {
                "provisional"
            }
        ));
        Ok(ExitCode::SUCCESS)
    }
}

/// `tally rebuild`: exit code 1 if a view is not what its log makes it.
pub async fn rebuild(global: &Global) -> Result<ExitCode, Failure> {
    let client = global.client().await?;
    let (mut views, mut differences) = (0_u64, 0);
    for role in client.processes() {
        let answer = client
            .audit_of(*role)
            .rebuild(pb::RebuildRequest {})
            .await?;
        let mut results = answer.into_inner();
        while let Some(result) = results.message().await? {
            views += 1;
            differences += result.differences_total;
            tell_rebuilt(global.json, &result);
        }
    }
    if !global.json {
        line(&format!(
            "{views} sets of views rebuilt from the logs, {differences} differences"
        ));
    }
    Ok(if differences == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn tell_rebuilt(json: bool, result: &pb::RebuildResponse) {
    if json {
        line(&to_json(result).to_string());
        return;
    }
    line(&format!(
        "{} from {}: {} records, {} rows, {} differences",
        result.consumer, result.source, result.records, result.rows, result.differences_total
    ));
    for difference in &result.differences {
        line(&format!(
            "  {} {} shard {} key {}",
            difference.kind, difference.view, difference.shard, difference.key
        ));
    }
}

/// `tally verify`: exit code 1 if anything does not hold.
pub async fn verify(global: &Global) -> Result<ExitCode, Failure> {
    let client = global.client().await?;
    let mut records = 0;
    let mut faults = 0;
    for role in client.processes() {
        let answer = client.audit_of(*role).verify(pb::VerifyRequest {}).await?;
        let mut results = answer.into_inner();
        while let Some(result) = results.message().await? {
            records += result.head.as_ref().map_or(0, |head| head.size);
            faults += result.faults.len();
            tell_verified(global.json, &result);
        }
    }
    if !global.json {
        line(&format!("{records} records verified, {faults} faults"));
    }
    Ok(if faults == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

fn tell_verified(json: bool, result: &pb::VerifyResponse) {
    let head = result.head.clone().unwrap_or_default();
    if json {
        // The root as hexadecimal digits, as `replay` prints leaf hashes.
        let root: String = head.root.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut value = serde_json::json!({
            "log": result.log, "shard": head.shard, "size": head.size, "root": root,
        });
        value["faults"] = to_json(result)["faults"].take();
        line(&value.to_string());
        return;
    }
    for fault in &result.faults {
        let position = fault
            .position
            .map_or_else(|| "-".to_owned(), |position| position.to_string());
        line(&format!(
            "{}/{}/{position}: {} ({})",
            result.log, head.shard, fault.message, fault.reason
        ));
    }
}

/// `tally status`.
pub async fn status(global: &Global) -> Result<ExitCode, Failure> {
    let client = global.client().await?;
    let mut failed = None;
    for role in client.processes() {
        let answer = client
            .node(*role)
            .get_status(node::GetStatusRequest {})
            .await;
        match answer {
            Ok(answer) => tell_status(global.json, answer.get_ref()),
            // The others have something to say all the same.
            Err(status) if client.processes().len() > 1 => {
                let failure = Failure::from(status);
                line(&format!("{role} does not answer"));
                failed = Some(failure);
            }
            Err(status) => return Err(status.into()),
        }
    }
    match failed {
        Some(failure) => Err(failure),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn tell_status(json: bool, answer: &node::GetStatusResponse) {
    if json {
        print(true, answer);
        return;
    }
    let now = answer.now.as_ref().and_then(from_proto_time);
    let clock = if answer.test_clock {
        "movable clock"
    } else {
        "system clock"
    };
    let pack = match answer.pack_version.as_str() {
        "" => "none, load one with `tally policy load`",
        version => version,
    };
    line(&format!(
        "tally {} serves {}",
        answer.version,
        answer.roles.join(", ")
    ));
    line(&format!(
        "time {} ({clock})",
        now.map(here).unwrap_or_default()
    ));
    line(&format!("policy pack {pack}"));
    if answer.readers.is_empty() {
        return;
    }
    line(&format!(
        "{:<22} {:<18} {:>8} {:>8}  state",
        "reader", "of the log", "to apply", "parked"
    ));
    for reader in &answer.readers {
        let state = match reader.stopped.as_str() {
            "" if reader.paused => "held".to_owned(),
            "" => where_it_runs(reader),
            reason => format!("stopped: {reason}"),
        };
        line(&format!(
            "{:<22} {:<18} {:>8} {:>8}  {state}",
            reader.consumer, reader.source, reader.lag, reader.parked
        ));
    }
}

/// Where a reader runs: its shards may be shared with other replicas of the role.
fn where_it_runs(reader: &node::ReaderStatus) -> String {
    match (reader.held.as_slice(), reader.applied.len()) {
        ([], _) => "runs in another replica".to_owned(),
        (held, all) if held.len() == all => "runs".to_owned(),
        (held, all) => {
            let shards: Vec<String> = held.iter().map(ToString::to_string).collect();
            let shards = shards.join(" ");
            format!("runs on {} of {all} shards: {shards}", held.len())
        }
    }
}

/// `tally clock`.
pub async fn advance_clock(global: &Global, to: Timestamp) -> Result<ExitCode, Failure> {
    let request = node::AdvanceClockRequest {
        to: Some(to_proto_time(to)),
    };
    let client = global.client().await?;
    for role in client.processes() {
        let answer = client.node(*role).advance_clock(request).await?;
        print(global.json, answer.get_ref());
    }
    Ok(ExitCode::SUCCESS)
}
