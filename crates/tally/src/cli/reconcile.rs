//! `tally reconcile`.

use std::process::ExitCode;

use clap::Args;
use tally_proto::tally::node::v1 as pb;

use super::Global;
use super::output::{Failure, line, to_json};
use super::reader::role_of;

/// Arguments of `tally reconcile`.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// Only this reader, for example sanctions.lists; `tally status` shows all.
    reader: Option<String>,
    /// Does it. Without it nothing is changed.
    #[arg(long)]
    apply: bool,
}

impl Reconcile {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let client = global.client().await?;
        let roles = match &self.reader {
            Some(reader) => vec![role_of(&client, reader)],
            None => client.processes().to_vec(),
        };
        let request = pb::ReconcileRequest {
            consumer: self.reader.clone().unwrap_or_default(),
            apply: self.apply,
        };
        let (mut open, mut count, mut failed) = (0, 0, None);
        for role in roles {
            let answer = match client.node(role).reconcile(request.clone()).await {
                Ok(answer) => answer.into_inner(),
                // The other processes have something to say all the same.
                Err(status) => {
                    failed = Some(Failure::from(status));
                    continue;
                }
            };
            for reader in &answer.readers {
                count += 1;
                open += usize::from(!self.apply || !reader.refused.is_empty());
                self.tell(global, reader);
            }
        }
        if let Some(failure) = failed {
            return Err(failure);
        }
        if !global.json {
            if count == 0 {
                line("no reader has diverged from its log");
            } else if open > 0 && !self.apply {
                line("nothing was changed; `tally reconcile --apply` does it");
            }
        }
        Ok(match open {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(1),
        })
    }

    fn tell(&self, global: &Global, reader: &pb::ReconciledReader) {
        if global.json {
            let mut told = to_json(reader);
            told["applied_to_the_mesh"] = (self.apply && reader.refused.is_empty()).into();
            return line(&told.to_string());
        }
        let place = format!("{} on {}/{}", reader.consumer, reader.source, reader.shard);
        if !reader.refused.is_empty() {
            return line(&format!("{place}: stays where it is: {}", reader.refused));
        }
        let went = match self.apply {
            true => "went back",
            false => "would go back",
        };
        line(&format!(
            "{place}: {} records that it had applied of log {} are lost, from position {}; it {went} there, \
             in log {}; {} rows of its views change",
            reader.applied - reader.common,
            reader.applied_log_id,
            reader.common,
            reader.log_id,
            reader.rows,
        ));
        for settled in &reader.settled {
            let subject = match settled.subject.as_str() {
                "" => String::new(),
                subject => format!("{subject}: "),
            };
            line(&format!("  {subject}{}", settled.what));
        }
        let more = reader.settled_total - reader.settled.len() as u64;
        if more > 0 {
            line(&format!("  and {more} more"));
        }
    }
}
