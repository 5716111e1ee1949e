//! What readers that follow a log find in memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::GroupOptions;
use crate::event::StoredRecord;
use crate::sequence::{Loaded, Rows};
use crate::shard::{LogName, Shard, ShardCount};

/// The newest records of each shard in memory, and each shard's size as it grows.
#[derive(Debug)]
pub struct Tail {
    shards: HashMap<(LogName, Shard), ShardTail>,
    records_max: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct ShardTail {
    recent: Mutex<Recent>,
    size: watch::Sender<u64>,
}

/// The newest records of a shard.
#[derive(Debug, Default)]
struct Recent {
    records: VecDeque<StoredRecord>,
    bytes: usize,
}

impl Recent {
    fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }

    /// Adds a record, and lets the oldest go beyond these bounds.
    fn push(&mut self, record: StoredRecord, records_max: usize, bytes_max: usize) {
        self.bytes += record.bytes.len();
        self.records.push_back(record);
        while self.records.len() > 1 && (self.records.len() > records_max || self.bytes > bytes_max)
        {
            let oldest = self.records.pop_front();
            self.bytes -= oldest.map_or(0, |record| record.bytes.len());
        }
    }
}

impl ShardTail {
    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of a size, unless a later one was told already: by then another
    /// process may have appended behind this one's commit.
    fn grow(&self, size: u64) -> bool {
        self.size.send_if_modified(|known| {
            let grown = size > *known;
            *known = size.max(*known);
            grown
        })
    }
}

impl Tail {
    /// A tail over these logs, whose shards have these sizes now.
    pub fn new(
        logs: &[LogName],
        shards: ShardCount,
        size: impl Fn(LogName, Shard) -> u64,
        options: &GroupOptions,
    ) -> Self {
        let shards = logs
            .iter()
            .flat_map(|log| shards.all().map(|shard| (*log, shard)))
            .map(|(log, shard)| {
                let tail = ShardTail {
                    recent: Mutex::default(),
                    size: watch::Sender::new(size(log, shard)),
                };
                ((log, shard), tail)
            })
            .collect();
        Self {
            shards,
            records_max: options.tail_records_max,
            bytes_max: options.tail_bytes_max,
        }
    }

    /// The size of a shard as it grows.
    ///
    /// # Panics
    ///
    /// If the store has no such log or shard.
    pub fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.shard(log, shard).size.subscribe()
    }

    /// Records from a position on, if all of them are still in memory: as many as
    /// were asked for, or all up to the shard's size.
    pub fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Option<Vec<StoredRecord>> {
        let tail = self.shards.get(&(log, shard))?;
        let recent = tail.recent();
        let size = *tail.size.borrow();
        if from >= size {
            return Some(Vec::new());
        }
        let first = recent.records.front()?.position;
        let skip = usize::try_from(from.checked_sub(first)?).ok()?;
        let found = recent.records.iter().skip(skip).take(limit);
        let found: Vec<StoredRecord> = found.cloned().collect();
        // What another process appended never came through here; a reader that
        // gets less than it asked for takes that for the head.
        let end = found.last().map_or(from, |last| last.position + 1);
        (found.len() == limit || end >= size).then_some(found)
    }

    fn shard(&self, log: LogName, shard: Shard) -> &ShardTail {
        self.shards
            .get(&(log, shard))
            .expect("the store was opened with this log and shard")
    }

    /// Takes over the size that a store found: after a commit of unknown outcome,
    /// or after another process appended. Those records never came through here:
    /// readers find them in the store. A smaller size is out of date and ignored.
    pub fn catch_up(&self, log: LogName, shard: Shard, size: u64) {
        let tail = self.shard(log, shard);
        let mut recent = tail.recent();
        if tail.grow(size) {
            recent.clear();
        }
    }

    pub(super) fn publish(&self, rows: &Rows) {
        for row in &rows.events {
            let mut recent = self.shard(row.log, row.record.shard).recent();
            // Another process appended in between: a reader would skip its records.
            let hole = |last: &StoredRecord| last.position + 1 != row.record.position;
            if recent.records.back().is_some_and(hole) {
                recent.clear();
            }
            recent.push(row.record.clone(), self.records_max, self.bytes_max);
        }
        for ((log, shard), head) in &rows.heads {
            self.shard(*log, *shard).grow(head.size());
        }
    }

    pub(super) fn catch_up_all(&self, loaded: &Loaded) {
        for ((log, shard), head) in &loaded.heads {
            self.catch_up(*log, *shard, head.size());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;
    use crate::event::StreamName;
    use crate::merkle::Frontier;
    use crate::sequence::{EventRow, Head};

    const PLACE: (LogName, Shard) = (LogName("tail"), Shard(0));

    fn tail() -> Tail {
        tail_of(GroupOptions::default())
    }

    fn tail_of(options: GroupOptions) -> Tail {
        let shards = ShardCount::new(1).expect("in range");
        Tail::new(&[PLACE.0], shards, |_, _| 0, &options)
    }

    const RECORD_BYTES: usize = 100;

    /// What a commit of this process writes.
    fn commit(positions: std::ops::Range<u64>) -> Rows {
        let mut rows = Rows::default();
        let mut head = Head::empty(Uuid::nil());
        head.frontier = Frontier::default();
        for position in 0..positions.end {
            head.frontier.push([0; 32]);
            if position >= positions.start {
                rows.events.push(EventRow {
                    log: PLACE.0,
                    record: StoredRecord {
                        shard: PLACE.1,
                        position,
                        leaf: [0; 32],
                        bytes: Bytes::from_static(&[0; RECORD_BYTES]),
                    },
                    stream: StreamName::new("case", "s"),
                    version: position,
                    recorded_at: Timestamp::UNIX_EPOCH,
                });
            }
        }
        rows.heads.insert(PLACE, head);
        rows
    }

    /// Positions of what is read from memory.
    fn read(tail: &Tail, from: u64, limit: usize) -> Option<Vec<u64>> {
        let found = tail.read(PLACE.0, PLACE.1, from, limit)?;
        Some(found.iter().map(|record| record.position).collect())
    }

    #[test]
    fn a_commit_of_another_process_leaves_no_hole() {
        let tail = tail();
        tail.publish(&commit(0..2));
        assert_eq!(read(&tail, 0, 9), Some(vec![0, 1]));
        // Another process appended 2 and 3, and nobody has said so yet.
        tail.publish(&commit(4..6));
        for from in 0..4 {
            assert_eq!(read(&tail, from, 9), None, "from {from}");
        }
        assert_eq!(read(&tail, 4, 9), Some(vec![4, 5]));
    }

    #[test]
    fn large_records_take_no_more_memory_than_many_small_ones() {
        let tail = tail_of(GroupOptions {
            tail_bytes_max: 3 * RECORD_BYTES,
            ..GroupOptions::default()
        });
        tail.publish(&commit(0..5));
        assert_eq!(read(&tail, 2, 9), Some(vec![2, 3, 4]));
        assert_eq!(read(&tail, 1, 9), None, "it is in the store only");
        let tail = tail_of(GroupOptions {
            tail_bytes_max: 1,
            ..GroupOptions::default()
        });
        tail.publish(&commit(0..2));
        assert_eq!(read(&tail, 1, 9), Some(vec![1]), "the newest in any case");
    }

    #[test]
    fn a_size_never_goes_back() {
        let tail = tail();
        let size = tail.watch(PLACE.0, PLACE.1);
        // This process committed 0 and 1, another 2 to 4, and its word of that
        // came before this process told of its own.
        tail.catch_up(PLACE.0, PLACE.1, 5);
        tail.publish(&commit(0..2));
        assert_eq!(*size.borrow(), 5);
        tail.catch_up(PLACE.0, PLACE.1, 3);
        assert_eq!(*size.borrow(), 5);
        assert_eq!(read(&tail, 5, 9), Some(vec![]), "the head");
    }

    #[test]
    fn part_of_what_there_is_does_not_pass_for_the_head() {
        let tail = tail();
        tail.catch_up(PLACE.0, PLACE.1, 5);
        tail.publish(&commit(0..3));
        assert_eq!(read(&tail, 0, 9), None, "3 and 4 are in the store only");
        assert_eq!(read(&tail, 1, 2), Some(vec![1, 2]), "as many as asked for");
        assert_eq!(read(&tail, 3, 9), None);
        assert_eq!(read(&tail, 4, 9), None);
    }
}
