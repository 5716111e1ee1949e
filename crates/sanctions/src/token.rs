//! Consistency tokens: what a caller knows to have happened, and whether an
//! answer can rest on it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tally_domain::fault::FieldFault;
use tally_eventlog::consumer::Progress;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::{LogHistory, StoreError};
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::field::Faults;
use tally_service::{Deps, logs};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::basis::ListsBasis;

/// How long a check waits for the caller's token, all in all.
const WAIT: Duration = Duration::from_secs(2);

/// What of that is left to ask whether what has not come is lost.
const ASK: Duration = Duration::from_millis(300);

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

/// What has been seen here.
#[derive(Debug)]
pub struct Tokens {
    lists: Arc<Progress>,
    /// The own log's ids, which it keeps while it is open.
    own: OnceCell<LogHistory>,
}

impl Tokens {
    /// By the reader of `lists`.
    pub fn new(lists: Arc<Progress>) -> Self {
        Self {
            lists,
            own: OnceCell::new(),
        }
    }

    #[cfg(test)]
    pub fn with_own(lists: Arc<Progress>, own: LogHistory) -> Self {
        let own = OnceCell::new_with(Some(own));
        Self { lists, own }
    }

    /// The reader of `lists`.
    pub fn lists(&self) -> &Arc<Progress> {
        &self.lists
    }

    /// Id of the own log.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: retry.
    pub async fn own_id(&self, deps: &Deps) -> Result<Uuid, StoreError> {
        let own = self.own(deps).await?;
        Ok(own.heads.first().map_or(Uuid::nil(), |head| head.log_id))
    }

    async fn own(&self, deps: &Deps) -> Result<&LogHistory, StoreError> {
        let ask = || deps.store.history(logs::SANCTIONS);
        self.own.get_or_try_init(ask).await
    }

    /// Waits until all that the token names has been seen here; bounded.
    pub async fn reached(&self, deps: &Deps, token: &pb::ConsistencyToken) -> Token {
        let seen = async {
            for basis in &token.shards {
                let shard = Shard(u16::try_from(basis.shard).unwrap_or(u16::MAX));
                let read = self.read(deps, shard, Named::of(basis.lists, &basis.lists_log_id));
                let seen = read.await?;
                if seen != Token::Reached {
                    return Ok(seen);
                }
                let named = Named::of(basis.sanctions, &basis.sanctions_log_id);
                let seen = self.written(deps, shard, named).await?;
                if seen != Token::Reached {
                    return Ok(seen);
                }
            }
            let pack = &token.pack_version;
            let known =
                pack.is_empty() || deps.catalogue.wait_for_version(pack, WAIT).await.is_some();
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

    /// Whether the reader of `lists` has applied them.
    async fn read(&self, deps: &Deps, shard: Shard, named: Named) -> Result<Token, StoreError> {
        let at = || self.lists.with(shard, ListsBasis::of);
        let history = || deps.sources.of(logs::LISTS).history(logs::LISTS);
        // Asked before it is waited for, where it may be lost: that never comes.
        if named.is_of_another(at()) && named.is_lost(shard, &history().await?) {
            return Ok(Token::Diverged);
        }
        let reached = self.lists.wait_for(shard, named.records, WAIT - ASK).await;
        let at = at();
        if reached && !named.is_of_another(at) {
            return Ok(Token::Reached);
        }
        let history = history().await?;
        Ok(named.judge(shard, reached.then_some(at), &history))
    }

    /// Whether the own log has them.
    async fn written(&self, deps: &Deps, shard: Shard, named: Named) -> Result<Token, StoreError> {
        let own = self.own(deps).await?;
        // It has grown since its heads were read, under the id that it has.
        let same = named.log_id.is_none_or(|log_id| own.is_at(shard, log_id));
        if !same && named.is_lost(shard, own) {
            return Ok(Token::Diverged);
        }
        let mut size = deps.store.watch(logs::SANCTIONS, shard);
        let reached = size.wait_for(|size| *size >= named.records).await;
        Ok(if reached.is_ok() {
            Token::Reached
        } else {
            Token::NotReached
        })
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

    fn is_of_another(self, at: ListsBasis) -> bool {
        self.records > 0 && self.log_id.is_some_and(|named| named != at.log_id)
    }

    /// By how the owner's log stands, where the reader is in another log than the named
    /// one, or has not come so far. It may have gone on in a log that lacks what is named,
    /// or count in one of which it has not learned yet that it is lost.
    fn judge(self, shard: Shard, reached: Option<ListsBasis>, history: &LogHistory) -> Token {
        if self.is_lost(shard, history) {
            return Token::Diverged;
        }
        let stands = |at: ListsBasis| history.is_read_by(shard, at.log_id, at.records);
        if reached.is_some_and(stands) {
            Token::Reached
        } else {
            Token::NotReached
        }
    }

    fn is_lost(self, shard: Shard, history: &LogHistory) -> bool {
        let lost = |log_id| !history.still_has(shard, log_id, self.records);
        self.log_id.is_some_and(lost)
    }
}

#[cfg(test)]
mod tests {
    use tally_eventlog::sequence::Head;
    use tally_eventlog::store::FormerId;

    use super::*;

    const SHARD: Shard = Shard(0);
    const BEFORE: Uuid = Uuid::from_u128(1);
    const NOW: Uuid = Uuid::from_u128(2);

    fn of(records: u64, log_id: Uuid) -> Named {
        Named {
            records,
            log_id: Some(log_id),
        }
    }

    fn at(records: u64, log_id: Uuid) -> Option<ListsBasis> {
        Some(ListsBasis { records, log_id })
    }

    /// Restored with three records of before, empty since.
    fn restored() -> LogHistory {
        let former = FormerId {
            log_id: BEFORE,
            sizes: vec![3],
        };
        LogHistory {
            heads: vec![Head::empty(NOW)],
            former: vec![former],
        }
    }

    #[test]
    fn what_came_in_the_place_of_lost_records_is_not_what_a_token_names() {
        let cases = [
            // Lost, whoever has read what: the fourth record, and all of an unknown log.
            (of(4, BEFORE), at(4, NOW), Token::Diverged),
            (of(4, BEFORE), at(4, BEFORE), Token::Diverged),
            (of(4, BEFORE), None, Token::Diverged),
            (of(1, Uuid::from_u128(9)), at(3, NOW), Token::Diverged),
            // Left, and read by who has gone on after the restore.
            (of(3, BEFORE), at(3, BEFORE), Token::Reached),
            (of(3, BEFORE), at(5, NOW), Token::Reached),
            (of(3, BEFORE), None, Token::NotReached),
            // Who has read the fourth of before has not read what is there now.
            (of(3, BEFORE), at(4, BEFORE), Token::NotReached),
        ];
        for (named, reached, seen) in cases {
            let judged = named.judge(SHARD, reached, &restored());
            assert_eq!(judged, seen, "{named:?} {reached:?}");
        }
    }
}
