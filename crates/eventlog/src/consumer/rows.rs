//! View rows while events are applied to them.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use prost::Message;

use super::Poison;
use crate::append::{RowKey, ViewWrite};

/// Rows kept from one batch to the next, per shard.
const ROWS_KEPT_MAX: usize = 512;

/// The rows that a batch of events reads and writes, over what is stored.
#[derive(Debug, Default)]
pub struct ViewRows {
    stored: HashMap<RowKey, Option<Bytes>>,
    written: BTreeMap<RowKey, Option<Bytes>>,
    /// What the event at hand wrote; undone if it turns out to be poison.
    pending: BTreeMap<RowKey, Option<Bytes>>,
}

impl ViewRows {
    /// A row as the event at hand sees it.
    ///
    /// # Errors
    ///
    /// [`Poison`]: the projection did not declare that it reads this row, or
    /// the row is not that message.
    pub fn get<M: Message + Default>(&self, row: &RowKey) -> Result<Option<M>, Poison> {
        let value = self
            .pending
            .get(row)
            .or_else(|| self.written.get(row))
            .or_else(|| self.stored.get(row))
            .ok_or_else(|| {
                Poison::new(format!(
                    "a row of {} is read but was not declared",
                    row.view
                ))
            })?;
        value
            .as_ref()
            .map(|value| M::decode(value.clone()))
            .transpose()
            .map_err(|error| {
                Poison::new(format!("a row of {} cannot be decoded: {error}", row.view))
            })
    }

    /// Sets a row.
    pub fn put(&mut self, row: RowKey, value: &impl Message) {
        self.pending.insert(row, Some(value.encode_to_vec().into()));
    }

    /// Deletes a row.
    pub fn delete(&mut self, row: RowKey) {
        self.pending.insert(row, None);
    }

    /// Keeps what the event at hand wrote.
    pub(super) fn keep(&mut self) {
        // Not `append`, which takes both maps apart: that is everything the
        // batch has written, for every event.
        self.written.extend(std::mem::take(&mut self.pending));
    }

    /// Undoes what the event at hand wrote.
    pub(super) fn undo(&mut self) {
        self.pending.clear();
    }

    /// Those of the rows that are not here yet.
    pub(super) fn unknown(&self, wanted: impl IntoIterator<Item = RowKey>) -> Vec<RowKey> {
        let mut unknown: Vec<RowKey> = wanted
            .into_iter()
            .filter(|row| !self.stored.contains_key(row) && !self.written.contains_key(row))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        unknown
    }

    /// Adds rows as they are stored.
    pub(super) fn insert_stored(
        &mut self,
        rows: impl IntoIterator<Item = (RowKey, Option<Bytes>)>,
    ) {
        self.stored.extend(rows);
    }

    /// All that was written and kept. Rows that events have read stay, as they
    /// are now: counters and heads are read again by almost every batch. The
    /// caller forgets all of them if the writes are not committed.
    pub(super) fn take_writes(&mut self) -> Vec<ViewWrite> {
        let written = std::mem::take(&mut self.written);
        if self.stored.len() > ROWS_KEPT_MAX {
            self.stored.clear();
        }
        for (row, value) in &written {
            if let Some(stored) = self.stored.get_mut(row) {
                stored.clone_from(value);
            }
        }
        written
            .into_iter()
            .map(|(row, value)| ViewWrite { row, value })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb;
    use crate::shard::Shard;

    fn row(key: &'static [u8]) -> RowKey {
        RowKey {
            view: "tests.rows",
            shard: Shard(0),
            key: Bytes::from_static(key),
        }
    }

    fn value(shard: u32) -> pb::ShardHead {
        pb::ShardHead {
            shard,
            ..Default::default()
        }
    }

    #[test]
    fn rows_that_were_read_are_kept_as_they_were_written_last() {
        let mut rows = ViewRows::default();
        rows.insert_stored([(row(b"count"), None)]);
        rows.put(row(b"count"), &value(1));
        rows.put(row(b"new"), &value(1));
        rows.keep();
        rows.put(row(b"count"), &value(2));
        rows.undo();
        assert_eq!(rows.take_writes().len(), 2);
        assert_eq!(rows.get(&row(b"count")), Ok(Some(value(1))));
        // What nobody has declared to read is not kept, so that it must be.
        assert_eq!(rows.unknown([row(b"count"), row(b"new")]), [row(b"new")]);
        rows.delete(row(b"count"));
        rows.keep();
        rows.take_writes();
        assert_eq!(rows.get::<pb::ShardHead>(&row(b"count")), Ok(None));
    }

    #[test]
    fn rows_are_not_kept_without_end() {
        let mut rows = ViewRows::default();
        let keys = (0..=ROWS_KEPT_MAX as u32).map(|n| RowKey {
            key: Bytes::copy_from_slice(&n.to_be_bytes()),
            ..row(b"")
        });
        let keys: Vec<RowKey> = keys.collect();
        rows.insert_stored(keys.iter().map(|key| (key.clone(), None)));
        rows.take_writes();
        assert_eq!(rows.unknown(keys.clone()).len(), keys.len());
    }
}
