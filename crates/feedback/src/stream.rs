//! The province's stream: what happens to feedback, from a cursor on, all
//! shards merged.
//!
//! Nothing is read ahead of the caller but one batch, so that a slow caller
//! costs bounded memory however far behind it is.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::select_all;
use futures::{FutureExt as _, Stream, stream};
use tally_eventlog::aggregate::Codec as _;
use tally_eventlog::event::{Recorded, to_proto_time, uuid_bytes};
use tally_eventlog::pb::ShardCursor;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::EventStore;
use tally_proto::tally::feedback::v1 as pb;
use tally_rpc::Fault;
use tally_service::{logs, store_fault};
use tokio::sync::watch;
use tonic::Status;

use crate::access::Sight;
use crate::codec::outcome_to_proto;
use crate::feedback::{Change, Event, Feedback};

/// Records read at a time.
const BATCH: u64 = 256;

/// A reader of the log of feedback for one caller.
pub(crate) struct Tail {
    store: Arc<dyn EventStore>,
    sight: Sight,
    places: Vec<Place>,
    until_head: bool,
    /// The shard whose turn it is, so that a busy one does not starve the others.
    turn: usize,
    pending: VecDeque<pb::StreamFeedbackResponse>,
}

struct Place {
    next: u64,
    /// Where to end; nothing follows on.
    end: Option<u64>,
    size: watch::Receiver<u64>,
}

impl Tail {
    /// A reader that goes on at these positions, one per shard.
    pub(crate) fn new(
        store: Arc<dyn EventStore>,
        sight: Sight,
        next: Vec<u64>,
        until_head: bool,
    ) -> Self {
        let place = |(shard, next): (Shard, u64)| {
            let size = store.watch(logs::FEEDBACK, shard);
            let end = until_head.then(|| *size.borrow());
            Place { next, end, size }
        };
        let places = store.shards().all().zip(next).map(place).collect();
        Self {
            store,
            sight,
            places,
            until_head,
            turn: 0,
            pending: VecDeque::new(),
        }
    }

    /// The items, in order per shard.
    pub(crate) fn into_stream(
        self,
    ) -> impl Stream<Item = Result<pb::StreamFeedbackResponse, Status>> + Send {
        stream::try_unfold(self, |mut tail| async move {
            let item = tail.next().await?;
            Ok(item.map(|item| (item, tail)))
        })
    }

    async fn next(&mut self) -> Result<Option<pb::StreamFeedbackResponse>, Fault> {
        loop {
            if let Some(item) = self.pending.pop_front() {
                return Ok(Some(item));
            }
            let mut any = false;
            for _ in 0..self.places.len() {
                let index = self.turn;
                self.turn = (self.turn + 1) % self.places.len();
                any |= self.fill(index).await?;
                if !self.pending.is_empty() {
                    break;
                }
            }
            if any {
                continue;
            }
            if self.until_head || !self.grown().await {
                return Ok(None);
            }
        }
    }

    /// Waits until any shard grows. False: the store is gone.
    async fn grown(&mut self) -> bool {
        let changes = self
            .places
            .iter_mut()
            .map(|place| place.size.changed().boxed());
        let (changed, _, _) = select_all(changes).await;
        changed.is_ok()
    }

    /// Reads the next batch of a shard. False: there is none.
    async fn fill(&mut self, index: usize) -> Result<bool, Fault> {
        let place = &mut self.places[index];
        let size = *place.size.borrow_and_update();
        let end = place.end.unwrap_or(size);
        let wanted = end.saturating_sub(place.next).min(BATCH);
        if wanted == 0 {
            return Ok(false);
        }
        let shard = Shard(u16::try_from(index).expect("a shard's number has 16 bits"));
        let limit = usize::try_from(wanted).expect("a batch fits in memory");
        let records = self
            .store
            .read(logs::FEEDBACK, shard, place.next, limit)
            .await
            .map_err(store_fault)?;
        for stored in &records {
            place.next = stored.position + 1;
            let recorded = Recorded::decode(logs::FEEDBACK, stored).map_err(Fault::internal)?;
            let event = Feedback::decode(&recorded).map_err(Fault::internal)?;
            if self
                .sight
                .covers(&event.about.department, &event.about.initiator)
            {
                self.pending.extend(item(&recorded, event));
            }
        }
        Ok(!records.is_empty())
    }
}

/// What the province sees of an event; nothing of those that leave the state as it is.
fn item(recorded: &Recorded, event: Event) -> Option<pb::StreamFeedbackResponse> {
    let mut outcome = pb::ReportedOutcome::Unspecified;
    let mut document = None;
    let state = match event.change {
        Change::Due(_) => pb::FeedbackState::Due,
        Change::Submitted { report, .. } => {
            outcome = outcome_to_proto(report.outcome);
            document = report.document;
            pb::FeedbackState::Submitted
        }
        Change::Accepted => pb::FeedbackState::Accepted,
        Change::Returned { .. } => pb::FeedbackState::Returned,
        Change::Escalated { .. } => pb::FeedbackState::Escalated,
        Change::Closed => pb::FeedbackState::Closed,
        Change::Suspended | Change::Resumed { .. } => return None,
    };
    Some(pb::StreamFeedbackResponse {
        log_id: uuid_bytes(recorded.log_id),
        cursor: Some(ShardCursor {
            shard: u32::from(recorded.shard.0),
            position: recorded.position,
            leaf_hash: Bytes::copy_from_slice(&recorded.leaf),
            number: 0,
        }),
        recorded_at: Some(to_proto_time(recorded.recorded_at)),
        state: state.into(),
        directive_id: recorded.envelope.stream_id.clone(),
        subject: recorded.envelope.subject.clone(),
        department: event.about.department,
        outcome: outcome.into(),
        document,
    })
}
