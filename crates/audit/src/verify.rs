//! Verifies every shard of every log, one result each.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, stream};
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::LogSource;
use tally_eventlog::verify::verify_shard;
use tally_proto::tally::audit::v1 as pb;
use tally_rpc::Fault;
use tally_service::log_service::{Logs, head_to_proto};
use tally_service::store_fault;
use tonic::Status;

/// A verification, as far as it is.
pub(crate) struct Verification {
    logs: VecDeque<(LogName, Arc<dyn LogSource>)>,
    shards: VecDeque<(LogName, Arc<dyn LogSource>, Shard, Head)>,
}

impl Verification {
    /// A verification of these logs, each up to the head it has when its turn comes.
    pub(crate) fn new(logs: &Logs) -> Self {
        Self {
            logs: logs.iter().cloned().collect(),
            shards: VecDeque::new(),
        }
    }

    /// The results.
    pub(crate) fn into_stream(
        self,
    ) -> impl Stream<Item = Result<pb::VerifyResponse, Status>> + Send {
        stream::try_unfold(self, |mut verification| async move {
            let result = verification.next().await?;
            Ok(result.map(|result| (result, verification)))
        })
    }

    async fn next(&mut self) -> Result<Option<pb::VerifyResponse>, Fault> {
        while self.shards.is_empty() {
            let Some((log, source)) = self.logs.pop_front() else {
                return Ok(None);
            };
            let heads = source.heads(log).await.map_err(store_fault)?;
            let shards = source.shards().all().zip(heads);
            self.shards
                .extend(shards.map(|(shard, head)| (log, source.clone(), shard, head)));
        }
        let Some((log, source, shard, head)) = self.shards.pop_front() else {
            return Ok(None);
        };
        let stored = head_to_proto(shard, &head);
        let (root, faults) = verify_shard(&*source, log, shard, head)
            .await
            .map_err(store_fault)?;
        let faults = faults.into_iter().map(|fault| pb::VerifyFault {
            position: fault.position,
            reason: fault.reason.to_owned(),
            message: fault.message,
        });
        Ok(Some(pb::VerifyResponse {
            log: log.0.to_owned(),
            // The root as it was recomputed: what others compare with.
            head: Some(tally_eventlog::pb::ShardHead {
                root: Bytes::copy_from_slice(&root),
                ..stored
            }),
            faults: faults.collect(),
        }))
    }
}
