//! Tokens and executions after a log was restored from a backup.

use std::sync::Arc;

use bytes::Bytes;
use tally_eventlog::event::StoredRecord;
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{EventStore, FormerId, LogSource, StoreError};
use tally_service::Sources;
use tokio::sync::watch;
use uuid::Uuid;

use super::mesh::*;
use super::{execution, listed, reason, respond};
use crate::service::*;
use crate::token::{Token, Tokens};

/// The log of lists after a restore: another id, and so many records left of it.
struct Restored {
    store: Arc<dyn EventStore>,
    left: u64,
}

const RENEWED: Uuid = Uuid::from_u128(7);

#[tonic::async_trait]
impl LogSource for Restored {
    fn shards(&self) -> ShardCount {
        self.store.shards()
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.store.read(log, shard, from, limit).await
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        let mut heads = self.store.heads(log).await?;
        heads.iter_mut().for_each(|head| head.log_id = RENEWED);
        Ok(heads)
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        let heads = self.store.heads(log).await?;
        Ok(vec![FormerId {
            log_id: heads[0].log_id,
            sizes: vec![self.left; heads.len()],
        }])
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.store.watch(log, shard)
    }
}

/// What a check says that is asked with that token, where of the logs so many records
/// of before a restore are left; without a number they are as ever.
async fn asked_with(mesh: &Mesh, basis: pb::ShardBasis, left: Option<u64>) -> pb::CheckResponse {
    let mut service = mesh.service.clone();
    if let Some(left) = left {
        let store = mesh.store.clone();
        service.deps.sources = Sources::all_in(Arc::new(Restored { store, left }));
    }
    let at_least = Some(pb::ConsistencyToken {
        shards: vec![basis],
        ..Default::default()
    });
    let question = pb::CheckRequest {
        at_least,
        ..mesh.question(MOUTAI)
    };
    let answer = service.check(by(system(CITY), question)).await;
    answer.expect("answered").into_inner()
}

#[tokio::test]
async fn a_token_is_of_one_log() {
    const REACHED: &str = "";
    let (mesh, _) = listed().await;
    let answer = mesh.check(mesh.question(MOUTAI)).await.expect("answered");
    let own = answer.basis.expect("a basis").shards.remove(0);
    assert_eq!((own.lists, own.lists_log_id.len()), (1, 16));
    assert_eq!((own.sanctions, own.sanctions_log_id.len()), (4, 16));
    let of_lists = |lists: u64, log_id: &[u8]| pb::ShardBasis {
        lists,
        lists_log_id: Bytes::copy_from_slice(log_id),
        sanctions: 0,
        ..own.clone()
    };
    let of_sanctions = |log_id: &[u8]| pb::ShardBasis {
        sanctions_log_id: Bytes::copy_from_slice(log_id),
        ..own.clone()
    };
    let (known, renewed, other) = (own.lists_log_id.clone(), RENEWED.as_bytes(), [9; 16]);
    let cases = [
        (own.clone(), None, REACHED),
        (of_lists(1, b""), None, REACHED),
        (of_lists(1, &other), None, "TOKEN_DIVERGED"),
        (of_sanctions(&other), None, "TOKEN_DIVERGED"),
        // What the reader has applied is left; it learns of the new id with the next record.
        (of_lists(1, renewed), Some(1), REACHED),
        (of_lists(1, &known), Some(1), REACHED),
        // What it has applied is lost, and other records are there in its place.
        (of_lists(1, renewed), Some(0), "TOKEN_NOT_REACHED"),
        (of_lists(1, &other), Some(1), "TOKEN_DIVERGED"),
        // It has never read what is lost, and waits for that in vain.
        (of_lists(2, &known), Some(1), "TOKEN_DIVERGED"),
        (of_lists(2, &known), Some(2), "TOKEN_NOT_REACHED"),
    ];
    for (token, left, reason) in cases {
        let answer = asked_with(&mesh, token.clone(), left).await;
        let expected = match reason {
            REACHED => pb::CheckOutcome::InForce,
            _ => pb::CheckOutcome::Undetermined,
        };
        let said = (answer.outcome(), answer.undetermined_reason.as_str());
        assert_eq!(said, (expected, reason), "{token:?} {left:?}");
    }
}

#[tokio::test]
async fn a_token_of_the_own_log_is_held_against_what_a_restore_left_of_it() {
    let (mesh, _) = listed().await;
    let answer = mesh.check(mesh.question(MOUTAI)).await.expect("answered");
    let own = answer.basis.expect("a basis").shards.remove(0);
    let token = pb::ConsistencyToken {
        shards: vec![own],
        ..Default::default()
    };
    for (left, seen) in [(4, Token::Reached), (3, Token::Diverged)] {
        let store = mesh.store.clone();
        let restored = Restored { store, left }.history(logs::SANCTIONS).await;
        let restored = restored.expect("it reads");
        let tokens = Tokens::with_own(mesh.reader_of_lists(), restored);
        assert_eq!(tokens.reached(mesh.deps(), &token).await, seen, "{left}");
    }
}

#[tokio::test]
async fn nothing_is_executed_on_what_a_restored_log_no_longer_has() {
    let (mesh, id) = listed().await;
    respond(&mesh, CITY, &id).await.expect("acknowledged");
    for (left, executed) in [(0, false), (1, true)] {
        let mut service = mesh.service.clone();
        let store = mesh.store.clone();
        service.deps.sources = Sources::all_in(Arc::new(Restored { store, left }));
        let request = by(officer(CITY), execution(&mesh, &id));
        match service.execute(request).await {
            Ok(_) => assert!(executed),
            Err(refused) => assert!(!executed && reason(&refused, "LISTS_BEHIND"), "{refused:?}"),
        }
    }
}
