//! One shard on its way from the topic to its readers.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tally_eventlog::event::StoredRecord;
use tally_eventlog::merkle::Hash;
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::Shard;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::feed::{Feed, Offered, Seen};

/// Answers of the owner that are remembered, for readers that lag.
const ANSWERS_MAX: usize = 32;

/// Why a pump must take its partition anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejoin {
    /// Its messages go elsewhere.
    Queue,
    /// The topic is another one.
    Topic,
}

pub(super) struct Lane {
    pub(super) shard: Shard,
    state: Mutex<State>,
    /// How far it can be read; changes also when there are doubts.
    end: watch::Sender<u64>,
    /// Wakes the pump: there is room, or something is asked of it.
    wake: Notify,
    /// Held by the pump that runs.
    pub(super) turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    feed: Feed,
    followers: usize,
    pump: Option<CancellationToken>,
    doubts: u64,
    /// What the owner said: when it was asked, and its size. Sizes differ.
    answers: VecDeque<(Timestamp, u64)>,
    /// Since when nothing has come although the owner has more, and where.
    quiet: Option<(u64, Instant)>,
    /// Nothing came for so long that the owner is read until something does.
    stalled: bool,
    /// The pump is to read what the owner has.
    refill: bool,
    rejoin: Option<Rejoin>,
}

impl Lane {
    pub(super) fn new(shard: Shard) -> Self {
        Self {
            shard,
            state: Mutex::default(),
            end: watch::Sender::new(0),
            wake: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more follower. The first one needs a pump, which ends with the token.
    pub(super) fn follow(
        &self,
        next: u64,
        stop: impl FnOnce() -> CancellationToken,
    ) -> Option<CancellationToken> {
        let mut state = self.state();
        state.followers += 1;
        if state.followers > 1 {
            return None;
        }
        let stop = stop();
        state.pump = Some(stop.clone());
        state.feed.begin(next);
        (state.quiet, state.stalled, state.refill) = (None, false, false);
        state.rejoin = None;
        self.end.send_replace(next);
        Some(stop)
    }

    pub(super) fn unfollow(&self) {
        let mut state = self.state();
        state.followers = state.followers.saturating_sub(1);
        if state.followers == 0 {
            if let Some(pump) = state.pump.take() {
                pump.cancel();
            }
            // Its records would only take memory.
            let end = state.feed.end();
            state.feed.begin(end);
        }
    }

    pub(super) fn is_followed(&self) -> bool {
        self.state().followers > 0
    }

    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    pub(super) fn end(&self) -> u64 {
        self.state().feed.end()
    }

    /// Where the next of the owner's records goes, and for which generation.
    pub(super) fn wanted(&self) -> (u64, u64) {
        let state = self.state();
        (state.feed.end(), state.feed.generation())
    }

    /// Whether the owner is known to have more.
    pub(super) fn is_behind(&self) -> bool {
        let state = self.state();
        let said = state.answers.back();
        said.is_some_and(|(_, size)| *size > state.feed.end())
    }

    pub(super) fn held_max(&self) -> usize {
        self.state().feed.held_max()
    }

    pub(super) fn doubts(&self) -> u64 {
        self.state().doubts
    }

    pub(super) fn offset_after(&self, next: u64) -> Option<u64> {
        self.state().feed.offset_after(next)
    }

    pub(super) fn complete_at(&self, next: u64) -> Option<Timestamp> {
        let state = self.state();
        let answers = state.answers.iter().rev();
        let mut complete = answers.filter(|(_, size)| *size <= next);
        complete.next().map(|(asked_at, _)| *asked_at)
    }

    /// Records for a reader; nothing where the owner must be read.
    pub(super) fn take(&self, from: u64, limit: usize) -> Option<Vec<StoredRecord>> {
        let mut state = self.state();
        if state.followers == 0 {
            return None;
        }
        let records = state.feed.take(from, limit)?;
        drop(state);
        self.wake.notify_one();
        Some(records)
    }

    /// Takes in an answer of the owner, who was asked when this ended at `end`.
    pub(super) fn owner_says(
        &self,
        head: &Head,
        asked_at: Timestamp,
        end: u64,
        stalled_after: Duration,
    ) {
        let size = head.size();
        let mut state = self.state();
        state.answers.retain(|(_, known)| *known != size);
        if state.answers.len() == ANSWERS_MAX {
            state.answers.pop_front();
        }
        state.answers.push_back((asked_at, size));
        let doubted = state.feed.owner_says(head.log_id, size, end);
        if doubted {
            state.doubts += 1;
        }
        let behind = size > state.feed.end();
        let quiet = behind && state.feed.is_drained() && state.followers > 0;
        let here = state.feed.end();
        let since = match state.quiet {
            Some((at, since)) if at == here => since,
            _ => Instant::now(),
        };
        state.quiet = quiet.then_some((here, since));
        state.stalled |= quiet && since.elapsed() >= stalled_after;
        state.refill |= doubted || (quiet && state.stalled);
        // Nobody is woken by an answer that changes nothing.
        self.end
            .send_if_modified(|end| std::mem::replace(end, here) != here || doubted);
        let refill = state.refill;
        drop(state);
        if refill {
            self.wake.notify_one();
        }
    }

    /// What a message is, before it is decoded.
    pub(super) fn seen(&self, position: u64, leaf: &Hash) -> Seen {
        let mut state = self.state();
        let seen = state.feed.seen(position, leaf);
        if seen == Seen::Suspect {
            state.doubts += 1;
            self.end.send_modify(|_| {});
        }
        seen
    }

    /// Offers a record of the topic.
    pub(super) fn offer(&self, record: StoredRecord, log_id: Uuid, offset_after: u64) -> Offered {
        let mut state = self.state();
        let offered = state.feed.offer(record, log_id, offset_after);
        if offered == Offered::Delivered {
            state.stalled = false;
            self.end.send_replace(state.feed.end());
        }
        offered
    }

    /// Takes what the owner gave. False: it serves no more.
    pub(super) fn fill(&self, generation: u64, records: Vec<StoredRecord>) -> bool {
        let mut state = self.state();
        let taken = state.feed.fill(generation, records);
        self.end.send_replace(state.feed.end());
        taken
    }

    /// The owner lacks what the topic has.
    pub(super) fn doubt(&self) {
        let mut state = self.state();
        state.doubts += 1;
        self.end.send_modify(|_| {});
    }

    /// A message came elsewhere: librdkafka had not begun to fetch the partition
    /// when its queue was split off, and has joined it again. It may be the last
    /// for long, so that no gap would show.
    pub(super) fn strayed(&self, position: Option<u64>) {
        let mut state = self.state();
        if position.is_some_and(|position| position < state.feed.end()) {
            return;
        }
        state.rejoin = Some(Rejoin::Queue);
        state.refill = true;
        drop(state);
        self.wake.notify_one();
    }

    pub(super) fn rejoin(&self, why: Rejoin) {
        self.state().rejoin = Some(why);
        self.wake.notify_one();
    }

    /// What is asked of the pump, once.
    pub(super) fn asked(&self) -> (bool, Option<Rejoin>) {
        let mut state = self.state();
        (std::mem::take(&mut state.refill), state.rejoin.take())
    }

    /// Waits until something may be asked of the pump, or there may be more room.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    pub(super) fn has_room(&self, records_max: usize, bytes_max: usize) -> bool {
        self.state().feed.has_room(records_max, bytes_max)
    }
}

#[cfg(test)]
mod tests;
