//! Mailboxes: what a department has to know, numbered without a gap per shard.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use prost::Message as _;
use tally_eventlog::consumer::{Progress, ShardProgress};
use tally_eventlog::cursor::{self, Resume};
use tally_eventlog::event::uuid_bytes;
use tally_eventlog::pb::ShardCursor;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::{EventStore, Row, prefix_end};
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::open_streams::in_turn;
use tally_service::reply::{cursor_fault, store_fault};
use tally_service::{Deps, logs};
use tokio::sync::watch;
use tonic::Status;

use crate::projection::{mailbox_key, mailbox_row, prefix};
use crate::view;

/// Items of one shard that a subscriber holds in memory; beyond it the store
/// is read as fast as the client takes them.
const BATCH: usize = 64;

/// When a caller is told to try again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What a subscriber is sent.
pub type Items = BoxStream<'static, Result<pb::SubscribeResponse, Status>>;

/// The mailbox of a department from a cursor on.
///
/// # Errors
///
/// The cursor cannot be used, or the store cannot be read.
pub async fn subscribe(
    deps: &Deps,
    progress: Arc<Progress>,
    department: String,
    request: &pb::SubscribeRequest,
) -> Result<Items, Fault> {
    let store = deps.store.clone();
    let resumes = cursor::resume(&*store, logs::SANCTIONS, request.cursor.as_ref())
        .await
        .map_err(cursor_fault)?;
    if request.until_head || resumes.iter().any(|resume| *resume != Resume::default()) {
        // The end, and the place of a cursor, are known when the mailboxes hold
        // all that the log holds now.
        if !deps.sources.caught_up_everywhere(&progress).await {
            return Err(Fault::unavailable(
                "MAILBOX_BEHIND",
                "the mailboxes are behind the log; subscribe again",
                RETRY_AFTER,
            ));
        }
    }
    verify_places(&*store, &department, request, &resumes).await?;
    let heads = store.heads(logs::SANCTIONS).await.map_err(store_fault)?;
    let shards =
        heads
            .iter()
            .zip(&resumes)
            .zip(store.shards().all())
            .map(|((head, resume), shard)| {
                let reader = Reader {
                    store: store.clone(),
                    progress: progress.watch(shard),
                    department: department.clone(),
                    log_id: uuid_bytes(head.log_id),
                    shard,
                    number: resume.number,
                    until_head: request.until_head,
                    waiting: VecDeque::new(),
                };
                stream::try_unfold(reader, Reader::next).boxed()
            });
    Ok(stream::select_all(shards.collect::<Vec<_>>())
        .map_err(Status::from)
        .boxed())
}

/// A cursor names its item twice, by position and by number; both must agree,
/// or items would be skipped.
async fn verify_places(
    store: &dyn EventStore,
    department: &str,
    request: &pb::SubscribeRequest,
    resumes: &[Resume],
) -> Result<(), Fault> {
    let places: Vec<&ShardCursor> = request
        .cursor
        .iter()
        .flat_map(|cursor| &cursor.shards)
        .collect();
    let keys: Vec<_> = places
        .iter()
        .filter_map(|place| {
            let shard = usize::try_from(place.shard)
                .ok()
                .filter(|shard| *shard < resumes.len())?;
            Some(mailbox_row(Shard(shard as u16), department, place.number))
        })
        .collect();
    let rows = store.rows(&keys).await.map_err(store_fault)?;
    for (place, row) in places.into_iter().zip(rows) {
        let item = row.and_then(|row| pb::MailboxRow::decode(row).ok());
        if item
            .is_none_or(|item| item.position != place.position || item.leaf_hash != place.leaf_hash)
        {
            return Err(Fault::rejected(
                "CURSOR_MALFORMED",
                format!(
                    "item {} of shard {} of this department's mailbox is not the cursor's; \
                     pass the cursor of an item exactly as it was received",
                    place.number, place.shard
                ),
            ));
        }
    }
    Ok(())
}

/// Reads one shard's part of a mailbox.
struct Reader {
    store: Arc<dyn EventStore>,
    progress: watch::Receiver<ShardProgress>,
    department: String,
    log_id: Bytes,
    shard: Shard,
    /// Number of the last item read.
    number: u64,
    until_head: bool,
    waiting: VecDeque<pb::SubscribeResponse>,
}

impl Reader {
    async fn next(mut self) -> Result<Option<(pb::SubscribeResponse, Self)>, Fault> {
        loop {
            if let Some(item) = self.waiting.pop_front() {
                return Ok(Some((item, self)));
            }
            // Marked before the read, so that what comes after it wakes us.
            self.progress.borrow_and_update();
            let from = mailbox_key(&self.department, self.number + 1);
            let end = prefix_end(&prefix(&self.department));
            let (store, shard) = (self.store.clone(), self.shard);
            let rows = in_turn(async move {
                let scanned = store.scan(view::MAILBOX, shard, &from, end.as_deref(), BATCH);
                scanned.await
            });
            let rows = rows.await;
            for row in rows.map_err(store_fault)? {
                let item = self.item(row)?;
                self.waiting.push_back(item);
            }
            if !self.waiting.is_empty() {
                continue;
            }
            if self.until_head || self.progress.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    fn item(&mut self, (key, value): Row) -> Result<pb::SubscribeResponse, Fault> {
        let number = self.number + 1;
        if key != mailbox_key(&self.department, number) {
            return Err(Fault::internal(format!(
                "a mailbox lacks item {number} of shard {}",
                self.shard
            )));
        }
        let row = pb::MailboxRow::decode(value).map_err(Fault::internal)?;
        self.number = number;
        Ok(pb::SubscribeResponse {
            log_id: self.log_id.clone(),
            cursor: Some(ShardCursor {
                shard: u32::from(self.shard.0),
                position: row.position,
                leaf_hash: row.leaf_hash,
                number,
            }),
            kind: row.kind,
            directive: row.directive,
        })
    }
}
