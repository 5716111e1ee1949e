//! Readers of this process that have diverged: told of, and taken back.

use std::collections::BTreeMap;

use tally_eventlog::consumer::{ConsumerHandle, Divergences as Reader, ReconcileError, Reconciled};
use tally_eventlog::shard::Shard;
use tally_proto::tally::node::v1 as pb;
use tally_rpc::Fault;

/// What becomes of subjects, told of one shard.
const SETTLED_MAX: usize = 1_000;

/// The readers of this process, by name.
pub struct Divergences {
    readers: BTreeMap<&'static str, Reader>,
}

impl Divergences {
    /// Of these consumers.
    pub fn of(consumers: &[ConsumerHandle]) -> Self {
        let readers = consumers.iter().map(ConsumerHandle::divergences);
        Self {
            readers: readers
                .map(|reader| (reader.consumer(), reader.clone()))
                .collect(),
        }
    }

    /// Takes readers back to what they and their logs both have, or says what that would be.
    ///
    /// # Errors
    ///
    /// There is no such reader.
    pub async fn reconcile(
        &self,
        request: &pb::ReconcileRequest,
    ) -> Result<pb::ReconcileResponse, Fault> {
        let asked = request.consumer.as_str();
        if !asked.is_empty() && !self.readers.contains_key(asked) {
            return Err(super::unknown_reader(asked, self.readers.keys().copied()));
        }
        let mut readers = Vec::new();
        for (name, reader) in &self.readers {
            if asked.is_empty() || asked == *name {
                let outcomes = reader.reconcile(request.apply).await.into_iter();
                readers.extend(outcomes.map(|(shard, outcome)| to_proto(reader, shard, outcome)));
            }
        }
        Ok(pb::ReconcileResponse { readers })
    }
}

fn to_proto(
    reader: &Reader,
    shard: Shard,
    outcome: Result<Reconciled, ReconcileError>,
) -> pb::ReconciledReader {
    let told = pb::ReconciledReader {
        consumer: reader.consumer().to_owned(),
        source: reader.log().to_string(),
        shard: shard.0.into(),
        ..Default::default()
    };
    let Reconciled { lost, settled } = match outcome {
        Ok(reconciled) => reconciled,
        Err(error) => {
            return pb::ReconciledReader {
                refused: error.to_string(),
                ..told
            };
        }
    };
    let settled_total = settled.len() as u64;
    let settled = settled.into_iter().take(SETTLED_MAX);
    pb::ReconciledReader {
        applied_log_id: lost.applied_log_id.to_string(),
        log_id: lost.log_id.to_string(),
        common: lost.common,
        applied: lost.applied,
        rows: lost.rows.len() as u64,
        settled: settled
            .map(|one| pb::SettledSubject {
                subject: one.subject,
                what: one.what,
                held: one.hold,
            })
            .collect(),
        settled_total,
        ..told
    }
}
