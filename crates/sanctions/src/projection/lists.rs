//! What is known of subjects.

use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, Projection, ViewRows};
use tally_eventlog::event::Recorded;
use tally_proto::tally::sanctions::v1 as pb;

use super::subject_row;
use crate::{known, view};

/// View `sanctions.subject`, from the log of lists.
pub struct ListsProjection;

impl Projection for ListsProjection {
    fn views(&self) -> &'static [&'static str] {
        &[view::SUBJECT]
    }

    fn knows(&self, event_type: &str) -> bool {
        known::event_type::ALL.contains(&event_type)
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        if !known::event_type::concerns(&event.envelope.event_type) {
            return Ok(Vec::new());
        }
        Ok(vec![subject_row(event.shard, &event.envelope.subject)])
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        if !known::event_type::concerns(&event.envelope.event_type) {
            return Ok(());
        }
        let key = subject_row(event.shard, &event.envelope.subject);
        let mut row: pb::SubjectRow = rows.get(&key)?.unwrap_or_default();
        known::apply(&mut row, event)?;
        rows.put(key, &row);
        Ok(())
    }
}
