//! Another role's log, read by its `LogService`: what fills gaps, verifies
//! places and says how long the log is.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tally_eventlog::event::{RECORD_BYTES_MAX, StoredRecord};
use tally_eventlog::pb;
use tally_eventlog::pb::log_service_client::LogServiceClient;
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{FormerId, LogHistory, LogSource, StoreError};
use tally_telemetry::TraceInterceptor;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::log_service::head_from_proto;

/// How often the owner is asked how long its log is, once somebody watches.
const POLL: Duration = Duration::from_secs(1);

/// How long the owner may take for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Bytes of an answer: a record and its leaf.
const MESSAGE_BYTES_MAX: usize = RECORD_BYTES_MAX + 1_024;

type LogClient = LogServiceClient<InterceptedService<Channel, TraceInterceptor>>;

/// A log that another process owns.
#[derive(Debug)]
pub struct RemoteLog {
    log: LogName,
    shards: ShardCount,
    client: LogClient,
    sizes: Arc<Vec<watch::Sender<u64>>>,
    /// Ends with the log: whoever polls for it ends then too.
    stop: CancellationToken,
    polls: OnceLock<()>,
}

/// Why another role's log cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RemoteLogError {
    /// It does not answer: start it, or see to the network; retry.
    #[error("the owner of log `{log}` does not answer: {status}", status = .status.message())]
    Unavailable {
        /// The log.
        log: LogName,
        /// What the call met.
        status: Box<Status>,
    },
    /// Its heads do not fit together.
    #[error("the owner of log `{log}` answers with heads that do not fit together; upgrade it")]
    Malformed {
        /// The log.
        log: LogName,
    },
}

impl RemoteLog {
    /// Asks the owner for its heads, and so learns how many shards it has.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`RemoteLogError`]; [`RemoteLogError::Unavailable`] is worth a retry.
    pub async fn connect(log: LogName, channel: Channel) -> Result<Self, RemoteLogError> {
        let client = LogServiceClient::with_interceptor(channel, TraceInterceptor)
            .max_decoding_message_size(MESSAGE_BYTES_MAX);
        let heads = ask(client.clone(), log).await?.heads;
        let count = u16::try_from(heads.len()).ok();
        let shards = count.and_then(|count| ShardCount::new(count).ok());
        let shards = shards.ok_or(RemoteLogError::Malformed { log })?;
        let sizes = heads.iter().map(|head| watch::Sender::new(head.size()));
        Ok(Self {
            log,
            shards,
            client,
            sizes: Arc::new(sizes.collect()),
            stop: CancellationToken::new(),
            polls: OnceLock::new(),
        })
    }

    async fn fetch(
        &self,
        shard: Shard,
        from: u64,
        limit: usize,
        durable: bool,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let request = pb::ReadLogRequest {
            log: self.log.0.to_owned(),
            shard: u32::from(shard.0),
            from,
            limit: Some(u32::try_from(limit).unwrap_or(u32::MAX)),
            durable,
        };
        let read = async {
            let mut stream = self.client.clone().read_log(request).await?.into_inner();
            let mut records = Vec::new();
            while let Some(answer) = stream.message().await? {
                let position = from + records.len() as u64;
                records.push(stored(self.log, shard, position, answer)?);
            }
            Ok::<_, Status>(records)
        };
        match tokio::time::timeout(ANSWER_MAX, read).await {
            Ok(Ok(records)) => Ok(records),
            Ok(Err(status)) => Err(unanswered(self.log, status)),
            Err(_) => Err(unanswered(self.log, late())),
        }
    }
}

impl Drop for RemoteLog {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl LogSource for RemoteLog {
    fn shards(&self) -> ShardCount {
        self.shards
    }

    async fn read(
        &self,
        _log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.fetch(shard, from, limit, false).await
    }

    async fn read_durable(
        &self,
        _log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.fetch(shard, from, limit, true).await
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        Ok(self.history(log).await?.heads)
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        let answer = ask(self.client.clone(), log).await;
        Ok(answer.map_err(StoreError::new)?.former)
    }

    async fn history(&self, log: LogName) -> Result<LogHistory, StoreError> {
        let answer = ask(self.client.clone(), log).await;
        let Answer { heads, former } = answer.map_err(StoreError::new)?;
        if heads.len() != self.sizes.len() {
            return Err(StoreError::new(RemoteLogError::Malformed { log }));
        }
        tell(&self.sizes, &heads);
        Ok(LogHistory { heads, former })
    }

    fn watch(&self, _log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.polls.get_or_init(|| {
            let (client, log, sizes) = (self.client.clone(), self.log, self.sizes.clone());
            let poll = async move {
                loop {
                    tokio::time::sleep(POLL).await;
                    // Unanswered: nothing is known to have grown. Who reads meets the reason.
                    if let Ok(answer) = ask(client.clone(), log).await {
                        tell(&sizes, &answer.heads);
                    }
                }
            };
            let stop = self.stop.clone();
            tokio::spawn(async move { stop.run_until_cancelled(poll).await });
        });
        self.sizes[usize::from(shard.0)].subscribe()
    }
}

/// What the owner says of its log.
struct Answer {
    heads: Vec<Head>,
    former: Vec<FormerId>,
}

async fn ask(mut client: LogClient, log: LogName) -> Result<Answer, RemoteLogError> {
    let request = pb::GetHeadsRequest {
        log: log.0.to_owned(),
    };
    let answer = tokio::time::timeout(ANSWER_MAX, client.get_heads(request)).await;
    let answer = answer.unwrap_or_else(|_| Err(late()));
    let answer = answer.map_err(|status| RemoteLogError::Unavailable {
        log,
        status: Box::new(status),
    })?;
    read_answer(answer.into_inner()).ok_or(RemoteLogError::Malformed { log })
}

/// Reads an answer; nothing where it does not fit together.
fn read_answer(answer: pb::GetHeadsResponse) -> Option<Answer> {
    let log_id = Uuid::from_slice(&answer.log_id).ok()?;
    let heads = answer.heads.iter();
    let heads = heads.map(|head| head_from_proto(log_id, head));
    let former = answer.former.into_iter().map(|id| {
        Some(FormerId {
            log_id: Uuid::from_slice(&id.log_id).ok()?,
            sizes: id.sizes,
        })
    });
    Some(Answer {
        heads: heads.collect::<Option<_>>()?,
        former: former.collect::<Option<_>>()?,
    })
}

/// Tells those who wait only of growth.
fn tell(sizes: &[watch::Sender<u64>], heads: &[Head]) {
    for (size, head) in sizes.iter().zip(heads) {
        size.send_if_modified(|known| {
            let changed = *known != head.size();
            *known = head.size();
            changed
        });
    }
}

fn late() -> Status {
    Status::deadline_exceeded(format!("no answer within {} s", ANSWER_MAX.as_secs()))
}

fn unanswered(log: LogName, status: Status) -> StoreError {
    StoreError::new(RemoteLogError::Unavailable {
        log,
        status: Box::new(status),
    })
}

fn stored(
    log: LogName,
    shard: Shard,
    position: u64,
    answer: pb::ReadLogResponse,
) -> Result<StoredRecord, Status> {
    let leaf = answer.leaf_hash.as_ref().try_into();
    let leaf = leaf.map_err(|_| {
        let place = format!("{log}/{shard}/{position}");
        Status::data_loss(format!("leaf hash of {place} has not 32 bytes"))
    })?;
    Ok(StoredRecord {
        shard,
        position,
        leaf,
        bytes: answer.record,
    })
}
