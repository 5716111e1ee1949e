//! What a shard's readers find: the records that have come, without a gap, and
//! what is known of those before. Pure: what comes is handed in, and it says
//! what to do about it.

use std::collections::VecDeque;
use std::ops::Range;

use tally_eventlog::event::StoredRecord;
use tally_eventlog::merkle::Hash;
use uuid::Uuid;

/// Records whose leaves are remembered, so that one that comes again is known.
const KNOWN_MAX: usize = 1_024;

/// What to do about a message, before it is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    /// It may be new.
    New,
    /// It has come before.
    Duplicate,
    /// Another one had come at its position.
    Suspect,
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Offered {
    /// Readers can read it.
    Delivered,
    /// It has come before.
    Duplicate,
    /// These are missing before it.
    Gap(Range<u64>),
    /// It is of another log than the owner's: ask the owner.
    Foreign,
}

/// The records of one shard that have come.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    /// Position of the first that is held: where the foremost reader is.
    start: u64,
    held: VecDeque<StoredRecord>,
    held_bytes: usize,
    /// The most that was held.
    held_max: usize,
    /// Leaves of the last records, up to the last that has come, and the
    /// topic's offsets after them where they came from there.
    known: VecDeque<(Hash, Option<u64>)>,
    /// Id of the log, as the owner said last.
    log_id: Option<Uuid>,
    /// Counts what makes answers that are under way worthless.
    generation: u64,
}

impl Feed {
    /// Begins anew after the first `next` records.
    pub(crate) fn begin(&mut self, next: u64) {
        self.start = next;
        self.held.clear();
        self.held_bytes = 0;
        self.known.clear();
        self.generation += 1;
    }

    /// The next position wanted.
    pub(crate) fn end(&self) -> u64 {
        self.start + self.held.len() as u64
    }

    /// Whether the readers have taken all.
    pub(crate) fn is_drained(&self) -> bool {
        self.held.is_empty()
    }

    /// Whether it holds less than these bounds.
    pub(crate) fn has_room(&self, records_max: usize, bytes_max: usize) -> bool {
        self.held.len() < records_max && self.held_bytes < bytes_max
    }

    /// The most records that it held.
    pub(crate) fn held_max(&self) -> usize {
        self.held_max
    }

    /// Changes when what the owner was asked for before is worthless.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// What a message is, by its position and leaf.
    pub(crate) fn seen(&self, position: u64, leaf: &Hash) -> Seen {
        match self.known_at(position) {
            _ if position >= self.end() => Seen::New,
            Some((known, _)) if known != leaf => Seen::Suspect,
            _ => Seen::Duplicate,
        }
    }

    /// Takes a record of the topic, if it is the next one.
    pub(crate) fn offer(
        &mut self,
        record: StoredRecord,
        log_id: Uuid,
        offset_after: u64,
    ) -> Offered {
        let end = self.end();
        if record.position < end {
            return Offered::Duplicate;
        }
        // A topic outlives a restored log: what it still has may be history that
        // the owner no longer knows. What carries the owner's own id is not.
        if self.log_id != Some(log_id) {
            return Offered::Foreign;
        }
        if record.position > end {
            return Offered::Gap(end..record.position);
        }
        self.push(record, Some(offset_after));
        Offered::Delivered
    }

    /// Takes records that the owner gave for where it ended in that generation.
    /// False: they serve no more, or are not the next.
    pub(crate) fn fill(&mut self, generation: u64, records: Vec<StoredRecord>) -> bool {
        if generation != self.generation {
            return false;
        }
        for record in records {
            if record.position != self.end() {
                return false;
            }
            self.push(record, None);
        }
        true
    }

    /// Records from a position on, and what is before it is let go. Nothing: it
    /// is not here, so that the owner must be read.
    pub(crate) fn take(&mut self, from: u64, limit: usize) -> Option<Vec<StoredRecord>> {
        let skip = usize::try_from(from.checked_sub(self.start)?).ok()?;
        if skip > self.held.len() {
            return Some(Vec::new());
        }
        for record in self.held.drain(..skip) {
            self.held_bytes -= record.bytes.len();
        }
        self.start = from;
        Some(self.held.iter().take(limit).cloned().collect())
    }

    /// The topic's offset after the first `next` records.
    pub(crate) fn offset_after(&self, next: u64) -> Option<u64> {
        self.known_at(next.checked_sub(1)?)?.1
    }

    /// Takes in what the owner said of its log. True: that is not what a growing
    /// log says, and what has come is let go.
    ///
    /// `delivered` is where this feed ended before the owner was asked.
    pub(crate) fn owner_says(&mut self, log_id: Uuid, size: u64, delivered: u64) -> bool {
        let former = self.log_id.replace(log_id);
        let another = former.is_some_and(|former| former != log_id);
        // Compared with what it had before it was asked: since then more may
        // have been recorded and relayed.
        let shrank = size < delivered.min(self.end());
        if another || shrank {
            self.begin(self.start);
        }
        another || shrank
    }

    fn known_at(&self, position: u64) -> Option<&(Hash, Option<u64>)> {
        let back = usize::try_from(self.end().checked_sub(position)?).ok()?;
        self.known.get(self.known.len().checked_sub(back)?)
    }

    fn push(&mut self, record: StoredRecord, offset_after: Option<u64>) {
        if self.known.len() == KNOWN_MAX {
            self.known.pop_front();
        }
        self.known.push_back((record.leaf, offset_after));
        self.held_bytes += record.bytes.len();
        self.held.push_back(record);
        self.held_max = self.held_max.max(self.held.len());
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tally_eventlog::shard::Shard;

    use super::*;

    const LOG: Uuid = Uuid::from_u128(1);
    const RESTORED: Uuid = Uuid::from_u128(2);

    fn record(position: u64) -> StoredRecord {
        StoredRecord {
            shard: Shard(0),
            position,
            leaf: [u8::try_from(position % 251).expect("it is small"); 32],
            bytes: Bytes::from_static(b"0123456789"),
        }
    }

    fn feed(next: u64) -> Feed {
        let mut feed = Feed::default();
        feed.begin(next);
        assert!(!feed.owner_says(LOG, next, 0), "nobody knew better before");
        feed
    }

    fn offer(feed: &mut Feed, position: u64) -> Offered {
        feed.offer(record(position), LOG, 100 + position)
    }

    fn positions(records: Option<Vec<StoredRecord>>) -> Option<Vec<u64>> {
        let position = |record: &StoredRecord| record.position;
        records.map(|records| records.iter().map(position).collect())
    }

    #[test]
    fn records_are_delivered_in_order_and_once() {
        let mut feed = feed(5);
        assert_eq!(offer(&mut feed, 4), Offered::Duplicate);
        assert_eq!(offer(&mut feed, 5), Offered::Delivered);
        assert_eq!(offer(&mut feed, 5), Offered::Duplicate);
        assert_eq!(offer(&mut feed, 6), Offered::Delivered);
        assert_eq!(positions(feed.take(5, 9)), Some(vec![5, 6]));
        // A reader whose commit failed reads the same again.
        assert_eq!(positions(feed.take(5, 1)), Some(vec![5]));
        assert_eq!(positions(feed.take(7, 9)), Some(vec![]));
        assert_eq!(positions(feed.take(5, 9)), None, "that is the owner's now");
        assert!(feed.is_drained());
    }

    #[test]
    fn a_gap_is_filled_before_what_follows() {
        let mut feed = feed(0);
        assert_eq!(offer(&mut feed, 2), Offered::Gap(0..2));
        assert!(feed.fill(feed.generation(), vec![record(0), record(1)]));
        assert_eq!(offer(&mut feed, 2), Offered::Delivered);
        assert!(
            !feed.fill(feed.generation(), vec![record(7)]),
            "it is not the next"
        );
        assert_eq!(positions(feed.take(0, 9)), Some(vec![0, 1, 2]));
    }

    #[test]
    fn room_is_bounded_in_records_and_bytes() {
        let mut feed = feed(0);
        for position in 0..3 {
            assert!(feed.has_room(3, 1_000));
            offer(&mut feed, position);
        }
        assert!(!feed.has_room(3, 1_000));
        assert!(!feed.has_room(9, 30));
        feed.take(1, 1);
        assert!(feed.has_room(3, 30), "what was taken makes room");
        assert_eq!(feed.held_max(), 3);
    }

    #[test]
    fn offsets_are_known_of_what_came_by_the_topic() {
        let mut feed = feed(3);
        offer(&mut feed, 3);
        feed.fill(feed.generation(), vec![record(4)]);
        offer(&mut feed, 5);
        let offsets = [3, 4, 5, 6, 7].map(|next| feed.offset_after(next));
        assert_eq!(offsets, [None, Some(103), None, Some(105), None]);
        for position in 6..6 + KNOWN_MAX as u64 {
            offer(&mut feed, position);
        }
        assert_eq!(feed.offset_after(6), None, "it is forgotten");
        assert_eq!(feed.offset_after(7), Some(106));
    }

    #[test]
    fn a_record_that_comes_again_as_another_is_suspect() {
        let mut feed = feed(3);
        offer(&mut feed, 3);
        assert_eq!(feed.seen(3, &record(3).leaf), Seen::Duplicate);
        assert_eq!(feed.seen(3, &[9; 32]), Seen::Suspect);
        assert_eq!(feed.seen(2, &[9; 32]), Seen::Duplicate, "nobody knows");
        assert_eq!(feed.seen(4, &[9; 32]), Seen::New);
    }

    #[test]
    fn an_owner_that_grows_is_believed() {
        let mut feed = feed(0);
        offer(&mut feed, 0);
        offer(&mut feed, 1);
        assert!(!feed.owner_says(LOG, 2, 2));
        // It was asked before the second had come.
        assert!(!feed.owner_says(LOG, 1, 1));
        assert!(!feed.owner_says(LOG, 900, 2));
        assert_eq!(positions(feed.take(0, 9)), Some(vec![0, 1]));
    }

    #[test]
    fn an_owner_that_shrank_or_changed_is_doubted_once() {
        let mut feed = feed(0);
        offer(&mut feed, 0);
        offer(&mut feed, 1);
        feed.take(1, 1);
        let generation = feed.generation();
        assert!(feed.owner_says(LOG, 1, 2));
        assert_eq!(feed.end(), 1, "what was not taken is let go");
        assert!(
            !feed.fill(generation, vec![record(1)]),
            "it was asked before"
        );
        assert!(!feed.owner_says(LOG, 1, 1));
        assert!(feed.owner_says(RESTORED, 5, 1));
        assert!(!feed.owner_says(RESTORED, 6, 1));
    }

    #[test]
    fn history_that_the_owner_no_longer_knows_is_not_delivered() {
        let mut feed = feed(0);
        feed.owner_says(RESTORED, 2, 0);
        assert_eq!(offer(&mut feed, 0), Offered::Foreign);
        assert_eq!(offer(&mut feed, 5), Offered::Foreign);
        assert!(feed.fill(feed.generation(), vec![record(0)]));
        assert_eq!(offer(&mut feed, 0), Offered::Duplicate);
        assert_eq!(feed.offer(record(1), RESTORED, 7), Offered::Delivered);
    }

    #[test]
    fn before_the_owner_has_said_anything_nothing_is_delivered() {
        let mut feed = Feed::default();
        feed.begin(0);
        assert_eq!(offer(&mut feed, 0), Offered::Foreign);
    }
}
