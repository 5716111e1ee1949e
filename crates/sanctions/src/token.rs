//! Consistency tokens: what a caller knows to have happened, and whether an
//! answer can rest on it.

use std::time::Duration;

use bytes::Bytes;
use tally_domain::fault::FieldFault;
use tally_eventlog::consumer::{Progress, ShardProgress};
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::{LogSource, StoreError, still_has};
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::field::Faults;
use tally_service::{Deps, logs};
use uuid::Uuid;

use crate::basis::ListsBasis;

/// How long a check waits for the caller's token.
const WAIT: Duration = Duration::from_secs(2);

/// Whether what a token names has been seen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// All of it; also where nothing was named.
    Reached,
    /// Not in time.
    NotReached,
    /// Never will be: a log was restored from a backup that lacks it.
    Diverged,
}

/// What is wrong with a token's fields.
pub fn faults(faults: &mut Faults, deps: &Deps, token: Option<&pb::ConsistencyToken>) {
    const REMEDY: &str = "pass a token exactly as it was received";
    let shards = deps.store.shards().get();
    for (index, basis) in token.iter().flat_map(|token| &token.shards).enumerate() {
        if basis.shard >= u32::from(shards) {
            faults.push(FieldFault::new(
                format!("at_least.shards[{index}].shard"),
                "SHARD_UNKNOWN",
                format!("there are {shards} shards, from 0; {REMEDY}"),
            ));
        }
        let ids = [
            ("lists_log_id", &basis.lists_log_id),
            ("sanctions_log_id", &basis.sanctions_log_id),
        ];
        for (field, id) in ids {
            if !id.is_empty() && Uuid::from_slice(id).is_err() {
                faults.push(FieldFault::new(
                    format!("at_least.shards[{index}].{field}"),
                    "LOG_ID_INVALID",
                    format!("a log's id has 16 bytes, this has {}; {REMEDY}", id.len()),
                ));
            }
        }
    }
}

/// Waits until all that the token names has been seen here; bounded.
pub async fn reached(deps: &Deps, lists: &Progress, token: &pb::ConsistencyToken) -> Token {
    let seen = async {
        for basis in &token.shards {
            let shard = Shard(u16::try_from(basis.shard).unwrap_or(u16::MAX));
            let named = Named::of(basis.lists, &basis.lists_log_id);
            let seen = named.read(deps, lists, shard).await?;
            if seen != Token::Reached {
                return Ok(seen);
            }
            let named = Named::of(basis.sanctions, &basis.sanctions_log_id);
            let seen = named.written(deps, shard).await?;
            if seen != Token::Reached {
                return Ok(seen);
            }
        }
        let pack = &token.pack_version;
        let known = pack.is_empty() || deps.catalogue.wait_for_version(pack, WAIT).await.is_some();
        Ok::<_, StoreError>(if known {
            Token::Reached
        } else {
            Token::NotReached
        })
    };
    match tokio::time::timeout(WAIT, seen).await {
        Ok(Ok(seen)) => seen,
        // Whoever cannot be asked is no reason to say that it is seen.
        Ok(Err(_)) | Err(_) => Token::NotReached,
    }
}

/// So many records of a shard, of a log of this id.
#[derive(Debug, Clone, Copy)]
struct Named {
    records: u64,
    /// None: of whatever log is there.
    log_id: Option<Uuid>,
}

impl Named {
    fn of(records: u64, log_id: &Bytes) -> Self {
        Self {
            records,
            log_id: Uuid::from_slice(log_id).ok(),
        }
    }

    /// Whether the reader of `lists` has applied them.
    async fn read(self, deps: &Deps, lists: &Progress, shard: Shard) -> Result<Token, StoreError> {
        let owner = deps.sources.of(logs::LISTS);
        let other_log = |at: ListsBasis| self.log_id.is_some_and(|named| named != at.log_id);
        let at = || lists.with(shard, |reader: &ShardProgress| ListsBasis::of(reader));
        // Asked before it is waited for: what is lost never comes.
        if other_log(at()) && self.is_lost(&**owner, logs::LISTS, shard).await? {
            return Ok(Token::Diverged);
        }
        if !lists.wait_for(shard, self.records, WAIT).await {
            return Ok(Token::NotReached);
        }
        // The reader counts in its own log until it learns that the owner's is another.
        let at = at();
        let same = !other_log(at)
            || still_has(&**owner, logs::LISTS, shard, at.log_id, at.records).await?;
        Ok(if same {
            Token::Reached
        } else {
            Token::NotReached
        })
    }

    /// Whether the own log has them.
    async fn written(self, deps: &Deps, shard: Shard) -> Result<Token, StoreError> {
        if self.records == 0 {
            return Ok(Token::Reached);
        }
        let own = deps.sources.of(logs::SANCTIONS);
        if self.is_lost(&**own, logs::SANCTIONS, shard).await? {
            return Ok(Token::Diverged);
        }
        let mut size = own.watch(logs::SANCTIONS, shard);
        let reached = size.wait_for(|size| *size >= self.records).await;
        Ok(if reached.is_ok() {
            Token::Reached
        } else {
            Token::NotReached
        })
    }

    async fn is_lost(
        self,
        source: &dyn LogSource,
        log: LogName,
        shard: Shard,
    ) -> Result<bool, StoreError> {
        match self.log_id {
            Some(log_id) => Ok(!still_has(source, log, shard, log_id, self.records).await?),
            None => Ok(false),
        }
    }
}
