//! A log as a stream for a caller: from a cursor on, all shards merged, only
//! what concerns that caller.
//!
//! Nothing is read ahead of the caller but one batch, so that a slow caller
//! costs bounded memory however far behind it is.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::select_all;
use futures::{FutureExt as _, Stream, stream};
use jiff::Timestamp;
use tally_eventlog::event::{DecodeError, Recorded, StreamName, uuid_bytes};
use tally_eventlog::merkle::Hash;
use tally_eventlog::page::Page;
use tally_eventlog::pb::{Cursor, ShardCursor};
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::{EventStore, LogSource};
use tally_rpc::Fault;
use tokio::sync::watch;
use tonic::Status;
use uuid::Uuid;

use crate::open_streams::in_turn;
use crate::reply::cursor_fault;
use crate::store_fault;

/// Records read at a time, and about how many bytes of them.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 512 << 10;

/// Records of a shard that may go by without an item before the caller is told
/// how far it is, so that it does not read them again after a break.
pub const CHECKPOINT_EVERY: u64 = 10_000;

/// What a caller gets of a log.
pub trait Selection: Send + 'static {
    /// What it gets.
    type Item: Send + 'static;

    /// The items that these records of one shard give, each with the position
    /// of its record, in order.
    ///
    /// # Errors
    ///
    /// The stream ends with the fault.
    fn items(
        &mut self,
        records: Vec<Recorded>,
    ) -> impl Future<Output = Result<Vec<(u64, Self::Item)>, Fault>> + Send;

    /// An item that only says how far the caller is; nothing where the contract
    /// has none.
    fn checkpoint(&mut self, _at: &Mark) -> Option<Self::Item> {
        None
    }

    /// Waits until the caller has to be told where it is although nothing was
    /// recorded: a checkpoint says more than that. It is not due again once that
    /// checkpoint was made.
    fn outdated(&mut self) -> impl Future<Output = ()> + Send {
        std::future::pending()
    }
}

/// A record's place, as items name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    log_id: Uuid,
    shard: Shard,
    position: u64,
    leaf: Hash,
    /// When the log learned it.
    pub recorded_at: Timestamp,
}

impl Mark {
    /// The place of a record.
    pub fn of(recorded: &Recorded) -> Self {
        Self {
            log_id: recorded.log_id,
            shard: recorded.shard,
            position: recorded.position,
            leaf: recorded.leaf,
            recorded_at: recorded.recorded_at,
        }
    }

    /// Id of the log.
    pub fn log_id(&self) -> Bytes {
        uuid_bytes(self.log_id)
    }

    /// The cursor after it, for its shard.
    pub fn cursor(&self) -> ShardCursor {
        ShardCursor {
            shard: u32::from(self.shard.0),
            position: self.position,
            leaf_hash: Bytes::copy_from_slice(&self.leaf),
            number: 0,
        }
    }
}

/// Follows a log from a cursor on.
///
/// # Errors
///
/// The cursor is none of this log: as [`cursor_fault`] says.
pub async fn follow<S: Selection>(
    source: Arc<dyn LogSource>,
    log: LogName,
    selection: S,
    cursor: Option<&Cursor>,
    until_head: bool,
) -> Result<impl Stream<Item = Result<S::Item, Status>> + Send + use<S>, Fault> {
    let resumes = tally_eventlog::cursor::resume(&*source, log, cursor).await;
    let resumes = resumes.map_err(cursor_fault)?;
    let place = |(shard, next): (Shard, u64)| {
        let size = source.watch(log, shard);
        let end = until_head.then(|| *size.borrow());
        Place {
            next,
            end,
            size,
            silent: None,
        }
    };
    let next = resumes.iter().map(|resume| resume.next);
    let places = source.shards().all().zip(next).map(place).collect();
    let tail = Tail {
        source,
        log,
        selection,
        places,
        page: Page::new(BATCH, BATCH_BYTES),
        turn: 0,
        pending: VecDeque::new(),
        told: false,
    };
    Ok(stream::try_unfold(tail, move |mut tail| async move {
        let item = tail.next(until_head).await?;
        Ok(item.map(|item| (item, tail)))
    }))
}

/// The whole histories of the streams of these records, by id.
///
/// # Errors
///
/// The store cannot be read, or a record of it cannot be decoded.
pub async fn histories(
    store: &dyn EventStore,
    log: LogName,
    category: &'static str,
    records: &[Recorded],
) -> Result<HashMap<String, Vec<Recorded>>, Fault> {
    let ids = records.iter().map(|record| &record.envelope.stream_id);
    let ids: BTreeSet<&String> = ids.collect();
    let names: Vec<StreamName> = ids
        .iter()
        .map(|id| StreamName::new(category, id.as_str()))
        .collect();
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let read = store.read_streams(log, &names).await.map_err(store_fault)?;
    let decoded = ids.into_iter().zip(read).map(|(id, history)| {
        let history = history.iter().map(|stored| Recorded::decode(log, stored));
        Ok((id.clone(), history.collect::<Result<_, _>>()?))
    });
    let decoded: Result<_, DecodeError> = decoded.collect();
    decoded.map_err(Fault::internal)
}

/// Which of these states, one after each event of a history, is the last that
/// differs from the one before it.
///
/// Only that one is told to a follower: what was overtaken since is left out, so
/// that nobody who begins today is shown what has been corrected or ended.
pub fn last_change<V: PartialEq>(start: &V, states: &[V]) -> Option<usize> {
    let before = |at: usize| match at {
        0 => start,
        _ => &states[at - 1],
    };
    (0..states.len())
        .rev()
        .find(|at| states[*at] != *before(*at))
}

struct Tail<S: Selection> {
    source: Arc<dyn LogSource>,
    log: LogName,
    selection: S,
    places: Vec<Place>,
    page: Page,
    /// The shard whose turn it is, so that a busy one does not starve the others.
    turn: usize,
    pending: VecDeque<S::Item>,
    /// The caller was told of something since it was last told that it is at the head.
    told: bool,
}

struct Place {
    next: u64,
    /// Where to end; nothing follows on.
    end: Option<u64>,
    size: watch::Receiver<u64>,
    /// The last record read and how many have gone by without an item.
    silent: Option<(Mark, u64)>,
}

impl<S: Selection> Tail<S> {
    async fn next(&mut self, until_head: bool) -> Result<Option<S::Item>, Fault> {
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
            if until_head {
                self.say_where(1);
                if self.pending.is_empty() && self.selection.outdated().now_or_never().is_some() {
                    self.say_again().await?;
                }
                return Ok(self.pending.pop_front());
            }
            if std::mem::take(&mut self.told) {
                self.say_where(1);
                if self.pending.is_empty() {
                    self.say_again().await?;
                }
                continue;
            }
            if !self.grown().await? {
                return Ok(None);
            }
        }
    }

    /// Waits until any shard grows or the caller has to be told where it is.
    /// False: the store is gone.
    async fn grown(&mut self) -> Result<bool, Fault> {
        // Who has read nothing is nowhere.
        let begun = self.places.iter().any(|place| place.next > 0);
        let sizes = self.places.iter_mut().map(|place| &mut place.size);
        let changes = sizes.map(|size| size.changed().boxed());
        tokio::select! {
            (changed, _, _) = select_all(changes) => return Ok(changed.is_ok()),
            () = self.selection.outdated(), if begun => {}
        }
        self.say_again().await?;
        Ok(true)
    }

    /// Says where the caller is on a shard that it has read of.
    async fn say_again(&mut self) -> Result<(), Fault> {
        let begun = self.places.iter().position(|place| place.next > 0);
        let Some(index) = begun else {
            return Ok(());
        };
        let last = self.places[index].next - 1;
        let read = self.source.read(self.log, shard_at(index), last, 1).await;
        let read = read.map_err(store_fault)?;
        // Else it would be due for ever.
        let Some(stored) = read.first() else {
            return Err(Fault::internal("a record that was read is not there"));
        };
        let record = Recorded::decode(self.log, stored).map_err(Fault::internal)?;
        let checkpoint = self.selection.checkpoint(&Mark::of(&record));
        self.pending.extend(checkpoint);
        Ok(())
    }

    /// Reads the next batch of a shard. False: there is none.
    async fn fill(&mut self, index: usize) -> Result<bool, Fault> {
        let place = &mut self.places[index];
        let size = *place.size.borrow_and_update();
        let end = place.end.unwrap_or(size);
        let wanted = end.saturating_sub(place.next).min(self.page.limit() as u64);
        if wanted == 0 {
            return Ok(false);
        }
        let shard = shard_at(index);
        let limit = usize::try_from(wanted).expect("a batch fits in memory");
        let (source, log, from) = (self.source.clone(), self.log, place.next);
        let read = in_turn(async move { source.read(log, shard, from, limit).await });
        let stored = read.await.map_err(store_fault)?;
        self.page.took(&stored);
        let decoded = stored
            .iter()
            .map(|stored| Recorded::decode(self.log, stored));
        let records: Vec<Recorded> = decoded.collect::<Result<_, _>>().map_err(Fault::internal)?;
        let Some(last) = records.last().map(Mark::of) else {
            return Ok(false);
        };
        let begin = place.next;
        place.next = last.position + 1;
        let items = self.selection.items(records).await?;
        self.told |= !items.is_empty();
        let said = items.last().map(|(position, _)| position + 1);
        self.pending.extend(items.into_iter().map(|(_, item)| item));
        let before = match (said, place.silent) {
            (None, Some((_, count))) => count,
            _ => 0,
        };
        let silent = before + place.next - said.unwrap_or(begin);
        place.silent = (silent > 0).then_some((last, silent));
        self.say_where(CHECKPOINT_EVERY);
        Ok(true)
    }

    /// Says how far the caller is on the shards where so much has gone by.
    fn say_where(&mut self, least: u64) {
        for place in &mut self.places {
            if let Some((mark, _)) = place.silent.take_if(|(_, count)| *count >= least) {
                self.pending.extend(self.selection.checkpoint(&mark));
            }
        }
    }
}

fn shard_at(index: usize) -> Shard {
    Shard(u16::try_from(index).expect("a shard's number has 16 bits"))
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
