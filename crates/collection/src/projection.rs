//! The read models of collection: each record as it stands, and counts.

use bytes::Bytes;
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, Projection, ViewRows};
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_proto::tally::collection::v1 as pb;

use crate::codec::{EVENT_TYPES, RECORD_ACCEPTED, RECORD_CORRECTED, RECORD_WITHDRAWN, department};
use crate::quarantine::view;

/// View of records, by id.
pub const RECORD_VIEW: &str = "collection.record";
/// View of counts, by department and record type.
pub const COUNT_VIEW: &str = "collection.count";

/// Between the parts of a key.
pub(crate) const SEPARATOR: u8 = 0;

/// The views over the log `collection`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CollectionViews;

/// An event of a record, as the views need it.
enum Change {
    Accepted(pb::StoredContent),
    Corrected(pb::StoredContent),
    Withdrawn { record_type: String },
}

impl Change {
    fn of(event: &Recorded) -> Result<Option<Self>, Poison> {
        let content = |content: Option<pb::StoredContent>| {
            content.ok_or_else(|| Poison::new("an event of a record has no content"))
        };
        Ok(match event.envelope.event_type.as_str() {
            RECORD_ACCEPTED => Some(Self::Accepted(content(
                event.payload::<pb::RecordAccepted>()?.content,
            )?)),
            RECORD_CORRECTED => Some(Self::Corrected(content(
                event.payload::<pb::RecordCorrected>()?.content,
            )?)),
            RECORD_WITHDRAWN => {
                let withdrawn: pb::RecordWithdrawn = event.payload()?;
                Some(Self::Withdrawn {
                    record_type: withdrawn.record_type,
                })
            }
            _ => None,
        })
    }

    fn record_type(&self) -> &str {
        match self {
            Self::Accepted(content) | Self::Corrected(content) => &content.record_type,
            Self::Withdrawn { record_type } => record_type,
        }
    }
}

fn record_key(event: &Recorded) -> RowKey {
    let key = Bytes::copy_from_slice(event.envelope.stream_id.as_bytes());
    RowKey {
        view: RECORD_VIEW,
        shard: event.shard,
        key,
    }
}

fn count_key(event: &Recorded, change: &Change) -> RowKey {
    // Only the department that pushed a record changes it.
    let key = [
        department(event).as_bytes(),
        &[SEPARATOR],
        change.record_type().as_bytes(),
    ]
    .concat();
    RowKey {
        view: COUNT_VIEW,
        shard: event.shard,
        key: key.into(),
    }
}

impl Projection for CollectionViews {
    fn views(&self) -> &'static [&'static str] {
        &[RECORD_VIEW, COUNT_VIEW, view::ROW_VIEW, view::COUNT_VIEW]
    }

    fn knows(&self, event_type: &str) -> bool {
        EVENT_TYPES.contains(&event_type)
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        if view::is_row_event(&event.envelope.event_type) {
            return view::reads(event);
        }
        let Some(change) = Change::of(event)? else {
            return Ok(Vec::new());
        };
        let count = count_key(event, &change);
        // A new record has no row yet: nothing is read for it.
        Ok(match change {
            Change::Accepted(_) => vec![count],
            Change::Corrected(_) | Change::Withdrawn { .. } => vec![record_key(event), count],
        })
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        if view::is_row_event(&event.envelope.event_type) {
            return view::apply(event, rows);
        }
        let Some(change) = Change::of(event)? else {
            return Ok(());
        };
        let count_key = count_key(event, &change);
        let record_key = record_key(event);
        let mut count: pb::CountRow = rows.get(&count_key)?.unwrap_or_default();
        let row = match change {
            Change::Accepted(content) => {
                count.accepted += 1;
                new_row(event, content)
            }
            Change::Corrected(content) => {
                count.corrected += 1;
                let mut row = held(rows, &record_key)?;
                row.corrections += 1;
                row.content = Some(content);
                set_basis(&mut row, event);
                row
            }
            Change::Withdrawn { .. } => {
                count.withdrawn += 1;
                let mut row = held(rows, &record_key)?;
                row.set_state(pb::RecordState::Withdrawn);
                row
            }
        };
        rows.put(count_key, &count);
        rows.put(record_key, &row);
        Ok(())
    }
}

fn new_row(event: &Recorded, content: pb::StoredContent) -> pb::RecordRow {
    let mut row = pb::RecordRow {
        subject: event.envelope.subject.clone(),
        department: department(event).to_owned(),
        content: Some(content),
        state: pb::RecordState::Accepted.into(),
        recorded_at: Some(to_proto_time(event.recorded_at)),
        ..pb::RecordRow::default()
    };
    set_basis(&mut row, event);
    row
}

fn set_basis(row: &mut pb::RecordRow, event: &Recorded) {
    if let Some(basis) = &event.envelope.legal_basis {
        row.legal_basis_id.clone_from(&basis.id);
        row.legal_basis_version = basis.version;
    }
}

fn held(rows: &ViewRows, key: &RowKey) -> Result<pb::RecordRow, Poison> {
    rows.get(key)?
        .ok_or_else(|| Poison::new("a record changed that was never accepted"))
}

#[cfg(test)]
#[path = "projection_tests.rs"]
mod tests;
