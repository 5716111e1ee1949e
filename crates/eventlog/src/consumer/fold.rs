//! Views outside a store: how they are rebuilt.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Poison, Projection, ViewRows};
use crate::append::RowKey;
use crate::event::Recorded;

/// Folds events through a projection outside a store: how views are rebuilt.
pub struct Fold<'a> {
    projection: &'a dyn Projection,
    rows: BTreeMap<RowKey, Bytes>,
}

impl<'a> Fold<'a> {
    /// Starts with no rows.
    pub fn new(projection: &'a dyn Projection) -> Self {
        Self {
            projection,
            rows: BTreeMap::new(),
        }
    }

    /// Applies an event.
    ///
    /// # Errors
    ///
    /// [`Poison`]: it cannot be applied; its rows are as before.
    pub fn apply(&mut self, event: &Recorded) -> Result<(), Poison> {
        let mut rows = ViewRows::default();
        let wanted = self.projection.reads(event)?;
        let stored: Vec<_> = wanted
            .into_iter()
            .map(|row| {
                let value = self.rows.get(&row).cloned();
                (row, value)
            })
            .collect();
        rows.insert_stored(stored);
        self.projection.apply(event, &mut rows)?;
        rows.keep();
        for write in rows.take_writes() {
            match write.value {
                Some(value) => self.rows.insert(write.row, value),
                None => self.rows.remove(&write.row),
            };
        }
        Ok(())
    }

    /// The rows, in order of view, shard and key.
    pub fn into_rows(self) -> BTreeMap<RowKey, Bytes> {
        self.rows
    }
}
