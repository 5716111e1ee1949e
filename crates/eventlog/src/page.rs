//! How many records are read at once.

use crate::event::StoredRecord;

/// Records asked for at first, before it is known how large they are.
const FIRST: usize = 32;

/// How many records to read at once: as many as have about so many bytes, as far as
/// the last ones tell. What a reader holds is bounded so also where records are large.
///
/// Stores are not asked for bytes, because less than was asked for says that the head
/// is reached.
#[derive(Debug, Clone)]
pub struct Page {
    records_max: usize,
    bytes_max: usize,
    limit: usize,
}

impl Page {
    /// Pages of at most so many records, and about so many bytes.
    pub fn new(records_max: usize, bytes_max: usize) -> Self {
        Self {
            records_max: records_max.max(1),
            bytes_max,
            limit: records_max.clamp(1, FIRST),
        }
    }

    /// Records to ask for next.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes note of what has come.
    pub fn took(&mut self, records: &[StoredRecord]) {
        let bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
        if bytes == 0 {
            return;
        }
        let fit = self.bytes_max.saturating_mul(records.len()) / bytes;
        // Not much more at a time than is known to fit: the next ones may be larger.
        let grown = self.limit.saturating_mul(2);
        self.limit = fit.min(grown).clamp(1, self.records_max);
    }

    /// Nothing came, or not in time: asks for less.
    pub fn failed(&mut self) {
        self.limit = (self.limit / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::shard::Shard;

    fn records(count: usize, bytes: usize) -> Vec<StoredRecord> {
        let record = |position| StoredRecord {
            shard: Shard(0),
            position,
            leaf: [0; 32],
            bytes: Bytes::from(vec![0; bytes]),
        };
        (0..count as u64).map(record).collect()
    }

    #[test]
    fn small_records_come_in_full_pages_soon() {
        let mut page = Page::new(500, 1 << 20);
        let mut limits = Vec::new();
        for _ in 0..6 {
            limits.push(page.limit());
            page.took(&records(page.limit(), 1_000));
        }
        assert_eq!(limits, [32, 64, 128, 256, 500, 500]);
    }

    #[test]
    fn a_page_of_large_records_has_the_bytes_of_one_of_small_ones() {
        let mut page = Page::new(500, 1 << 20);
        page.took(&records(20, 100 << 10));
        assert_eq!(page.limit(), 10);
        page.took(&records(10, 4 << 20));
        assert_eq!(page.limit(), 1, "one at least");
        page.took(&[]);
        assert_eq!(page.limit(), 1);
    }

    #[test]
    fn what_does_not_come_is_asked_for_in_parts() {
        let mut page = Page::new(4, 1 << 20);
        for limit in [4, 2, 1, 1] {
            assert_eq!(page.limit(), limit);
            page.failed();
        }
    }
}
