//! Reads the logs of a process for other roles and for the operator: fills
//! gaps, serves replay and proofs. Every role serves it, for its own logs.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, stream};
use tally_auth::Caller;
use tally_eventlog::event::{from_proto_time, to_proto_time, uuid_bytes};
use tally_eventlog::merkle::Frontier;
use tally_eventlog::page::Page;
use tally_eventlog::pb;
use tally_eventlog::pb::log_service_server::{LogService, LogServiceServer};
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::LogSource;
use tally_rpc::Fault;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::field::Faults;
use crate::store_fault;

/// Records read at a time, and about how many bytes of them, and so held for a caller
/// that is slow.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 512 << 10;

/// The logs that a process can read, and from where.
pub type Logs = Vec<(LogName, Arc<dyn LogSource>)>;

type RecordStream = Pin<Box<dyn Stream<Item = Result<pb::ReadLogResponse, Status>> + Send>>;

/// The service over these logs.
pub fn server(logs: Logs) -> LogServiceServer<impl LogService> {
    LogServiceServer::new(Service { logs })
}

/// The log of that name among these.
///
/// # Errors
///
/// `LOG_UNKNOWN`: ask for one of those that the message names.
pub fn find<'a>(logs: &'a Logs, name: &str) -> Result<&'a (LogName, Arc<dyn LogSource>), Fault> {
    logs.iter().find(|(log, _)| log.0 == name).ok_or_else(|| {
        let known: Vec<&str> = logs.iter().map(|(log, _)| log.0).collect();
        let message = format!(
            "there is no log of that name here; there are: {}",
            known.join(", ")
        );
        Fault::not_found("LOG_UNKNOWN", message)
    })
}

/// The shard of that number, or one fault more.
pub fn shard(field: &str, number: u32, shards: ShardCount, faults: &mut Faults) -> Option<Shard> {
    match u16::try_from(number) {
        Ok(number) if number < shards.get() => Some(Shard(number)),
        _ => {
            faults.add(
                field,
                "SHARD_UNKNOWN",
                format!("shards are numbered from 0 to {}", shards.get() - 1),
            );
            None
        }
    }
}

/// A shard's head for the contract.
pub fn head_to_proto(shard: Shard, head: &Head) -> pb::ShardHead {
    pb::ShardHead {
        shard: u32::from(shard.0),
        size: head.size(),
        root: Bytes::copy_from_slice(&head.frontier.root()),
        recorded_at: (head.size() > 0).then(|| to_proto_time(head.recorded_at)),
        leaf_hash: match head.size() {
            0 => Bytes::new(),
            _ => Bytes::copy_from_slice(&head.leaf),
        },
        frontier: head.frontier.to_bytes().into(),
    }
}

/// A shard's head from the contract; nothing where it does not fit together.
pub fn head_from_proto(log_id: Uuid, head: &pb::ShardHead) -> Option<Head> {
    let frontier = Frontier::from_bytes(head.size, &head.frontier)?;
    if head.size == 0 {
        return Some(Head::empty(log_id));
    }
    Some(Head {
        log_id,
        recorded_at: from_proto_time(head.recorded_at.as_ref()?)?,
        leaf: head.leaf_hash.as_ref().try_into().ok()?,
        frontier,
    })
}

struct Service {
    logs: Logs,
}

impl Service {
    async fn read_log_inner(&self, request: pb::ReadLogRequest) -> Result<RecordStream, Fault> {
        let (log, source) = find(&self.logs, &request.log)?;
        let mut faults = Faults::default();
        let shard = shard("shard", request.shard, source.shards(), &mut faults);
        let shard = shard.ok_or_else(|| Fault::invalid(faults.into_vec()))?;
        // Asked of the store, not of this process's memory: another one may have appended.
        let heads = source.heads(*log).await.map_err(store_fault)?;
        let head = heads.get(usize::from(shard.0)).map_or(0, Head::size);
        let most = request
            .limit
            .map(|limit| request.from.saturating_add(limit.into()));
        let reader = Reader {
            log: *log,
            source: source.clone(),
            shard,
            next: request.from,
            end: most.map_or(head, |most| most.min(head)),
            durable: request.durable,
            page: Page::new(BATCH, BATCH_BYTES),
            pending: VecDeque::new(),
        };
        Ok(Box::pin(stream::try_unfold(
            reader,
            |mut reader| async move {
                let record = reader.next().await?;
                Ok(record.map(|record| (record, reader)))
            },
        )))
    }

    async fn heads_inner(
        &self,
        request: pb::GetHeadsRequest,
    ) -> Result<pb::GetHeadsResponse, Fault> {
        let (log, source) = find(&self.logs, &request.log)?;
        // Before the heads: an id comes only while the log is closed.
        let former = source.former_ids(*log).await.map_err(store_fault)?;
        let heads = source.heads(*log).await.map_err(store_fault)?;
        let log_id = heads
            .first()
            .map(|head| uuid_bytes(head.log_id))
            .unwrap_or_default();
        let shards = source.shards().all().zip(&heads);
        Ok(pb::GetHeadsResponse {
            log_id,
            heads: shards
                .map(|(shard, head)| head_to_proto(shard, head))
                .collect(),
            former: former
                .into_iter()
                .map(|id| pb::FormerLogId {
                    log_id: uuid_bytes(id.log_id),
                    sizes: id.sizes,
                })
                .collect(),
        })
    }
}

struct Reader {
    log: LogName,
    source: Arc<dyn LogSource>,
    shard: Shard,
    next: u64,
    end: u64,
    durable: bool,
    page: Page,
    pending: VecDeque<pb::ReadLogResponse>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<pb::ReadLogResponse>, Fault> {
        if self.pending.is_empty() {
            self.fill().await?;
        }
        Ok(self.pending.pop_front())
    }

    async fn fill(&mut self) -> Result<(), Fault> {
        let left = self.end.saturating_sub(self.next);
        let limit = usize::try_from(left).unwrap_or(usize::MAX);
        let limit = limit.min(self.page.limit());
        if limit == 0 {
            return Ok(());
        }
        let (source, log, shard) = (&self.source, self.log, self.shard);
        let records = if self.durable {
            source.read_durable(log, shard, self.next, limit).await
        } else {
            source.read(log, shard, self.next, limit).await
        };
        let records = records.map_err(store_fault)?;
        self.page.took(&records);
        for stored in records {
            self.next = stored.position + 1;
            self.pending.push_back(pb::ReadLogResponse {
                record: stored.bytes,
                leaf_hash: Bytes::copy_from_slice(&stored.leaf),
            });
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl LogService for Service {
    type ReadLogStream = RecordStream;

    async fn read_log(
        &self,
        request: Request<pb::ReadLogRequest>,
    ) -> Result<Response<RecordStream>, Status> {
        Caller::of(&request)?;
        Ok(Response::new(
            self.read_log_inner(request.into_inner()).await?,
        ))
    }

    async fn get_heads(
        &self,
        request: Request<pb::GetHeadsRequest>,
    ) -> Result<Response<pb::GetHeadsResponse>, Status> {
        Caller::of(&request)?;
        Ok(Response::new(self.heads_inner(request.into_inner()).await?))
    }
}
