//! The read models of collection: each record as it stands, and what
//! happened in each month.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::tz::TimeZone;
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, Projection, ViewRows};
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_proto::tally::collection::v1 as pb;

use crate::codec::{
    EVENT_TYPES, RECORD_ACCEPTED, RECORD_CORRECTED, RECORD_WITHDRAWN, REFUSALS_COUNTED,
    ROW_DISCARDED, ROW_QUARANTINED, ROW_RESUBMITTED, department,
};
use crate::figures;
use crate::quarantine::view;
use crate::timeliness::month_text;

/// View of records, by id.
pub const RECORD_VIEW: &str = "collection.record";
/// View of what happened, by department, month and record type.
pub const TIMELINESS_VIEW: &str = "collection.timeliness";

/// Between the parts of a key.
pub(crate) const SEPARATOR: u8 = 0;

/// Characters of a month at the beginning of a date.
const MONTH_CHARS: usize = "2026-03".len();

/// The views over the log `collection`.
#[derive(Debug, Clone, Copy, Default)]
pub struct CollectionViews;

/// Of an acceptance what the keys of its figures need: most events are one, and to decode all
/// of its fields once more for that would cost as much as to apply it.
#[derive(Clone, PartialEq, prost::Message)]
struct AcceptedKey {
    #[prost(message, optional, tag = "1")]
    content: Option<ContentKey>,
    #[prost(string, tag = "9")]
    accepted_on: String,
}

/// The same of its content.
#[derive(Clone, PartialEq, prost::Message)]
struct ContentKey {
    #[prost(string, tag = "1")]
    record_type: String,
}

/// An event, as the views need it.
enum Change {
    Accepted(Box<pb::RecordAccepted>),
    Corrected(pb::RecordCorrected),
    Withdrawn(pb::RecordWithdrawn),
    Refused(pb::RefusalsCounted),
    Quarantined(pb::RowQuarantined),
    Resubmitted(pb::RowResubmitted),
    Discarded(pb::RowDiscarded),
}

impl Change {
    fn of(event: &Recorded) -> Result<Option<Self>, Poison> {
        Ok(match event.envelope.event_type.as_str() {
            RECORD_ACCEPTED => Some(Self::Accepted(Box::new(event.payload()?))),
            RECORD_CORRECTED => Some(Self::Corrected(event.payload()?)),
            RECORD_WITHDRAWN => Some(Self::Withdrawn(event.payload()?)),
            REFUSALS_COUNTED => Some(Self::Refused(event.payload()?)),
            ROW_QUARANTINED => Some(Self::Quarantined(event.payload()?)),
            ROW_RESUBMITTED => Some(Self::Resubmitted(event.payload()?)),
            ROW_DISCARDED => Some(Self::Discarded(event.payload()?)),
            _ => None,
        })
    }

    /// What it adds to the figures, by catalogue item.
    fn figures(&self) -> Result<Vec<(&str, pb::TimelinessFigures)>, Poison> {
        Ok(match self {
            Self::Accepted(accepted) => {
                let record_type = &content(accepted.content.as_ref())?.record_type;
                vec![(record_type, figures::of_accepted(accepted))]
            }
            Self::Corrected(corrected) => {
                let record_type = &content(corrected.content.as_ref())?.record_type;
                vec![(record_type, figures::one(|it| &mut it.corrected))]
            }
            Self::Withdrawn(withdrawn) => {
                vec![(&withdrawn.record_type, figures::one(|it| &mut it.withdrawn))]
            }
            Self::Refused(refused) => {
                let refused = refused.refused.iter();
                refused
                    .map(|rows| (rows.record_type.as_str(), figures::of_refused(rows)))
                    .collect()
            }
            Self::Quarantined(row) => {
                vec![(&row.record_type, figures::one(|it| &mut it.quarantined))]
            }
            Self::Resubmitted(row) => {
                vec![(&row.record_type, figures::one(|it| &mut it.resubmitted))]
            }
            Self::Discarded(row) => vec![(&row.record_type, figures::one(|it| &mut it.discarded))],
        })
    }

    /// The legal day of it; empty in events from before it was noted.
    fn day(&self) -> &str {
        match self {
            Self::Accepted(accepted) => &accepted.accepted_on,
            Self::Corrected(corrected) => &corrected.corrected_on,
            Self::Withdrawn(withdrawn) => &withdrawn.withdrawn_on,
            Self::Refused(refused) => &refused.refused_on,
            Self::Quarantined(row) => &row.quarantined_on,
            Self::Resubmitted(row) => &row.resubmitted_on,
            Self::Discarded(row) => &row.discarded_on,
        }
    }

    /// Whose figures it changes.
    fn department<'a>(&'a self, event: &'a Recorded) -> &'a str {
        match self {
            // The mesh itself closes a row.
            Self::Quarantined(row) => &row.department,
            Self::Resubmitted(row) => &row.department,
            Self::Discarded(row) => &row.department,
            // Only the department that pushed a record changes it.
            _ => department(event),
        }
    }
}

fn content<T>(content: Option<&T>) -> Result<&T, Poison> {
    content.ok_or_else(|| Poison::new("an event of a record has no content"))
}

fn record_key(event: &Recorded) -> RowKey {
    let key = Bytes::copy_from_slice(event.envelope.stream_id.as_bytes());
    RowKey {
        view: RECORD_VIEW,
        shard: event.shard,
        key,
    }
}

/// The rows of figures that an event changes, in its order.
fn figure_keys<'a>(
    event: &'a Recorded,
    change: &'a Change,
    figures: &'a [(&str, pb::TimelinessFigures)],
) -> impl Iterator<Item = RowKey> + 'a {
    let department = change.department(event);
    let keys = figures.iter();
    keys.map(move |(record_type, _)| figure_key(event, change.day(), department, record_type))
}

/// The row of figures of a department and a catalogue item in the month of a day.
fn figure_key(event: &Recorded, day: &str, department: &str, record_type: &str) -> RowKey {
    // A projection knows no time zone: of old events, the day in UTC.
    let month = day.get(..MONTH_CHARS).map_or_else(
        || month_text(event.recorded_at.to_zoned(TimeZone::UTC).date()).into(),
        Cow::Borrowed,
    );
    let key = [
        department.as_bytes(),
        &[SEPARATOR],
        month.as_bytes(),
        &[SEPARATOR],
        record_type.as_bytes(),
    ];
    RowKey {
        view: TIMELINESS_VIEW,
        shard: event.shard,
        key: key.concat().into(),
    }
}

impl Projection for CollectionViews {
    fn views(&self) -> &'static [&'static str] {
        &[
            RECORD_VIEW,
            TIMELINESS_VIEW,
            view::ROW_VIEW,
            view::COUNT_VIEW,
        ]
    }

    fn knows(&self, event_type: &str) -> bool {
        EVENT_TYPES.contains(&event_type)
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        let mut keys = match view::is_row_event(&event.envelope.event_type) {
            true => view::reads(event)?,
            false => Vec::new(),
        };
        if event.envelope.event_type == RECORD_ACCEPTED {
            let accepted: AcceptedKey = event.payload()?;
            let record_type = content(accepted.content.as_ref())?.record_type.as_str();
            let (day, department) = (accepted.accepted_on.as_str(), department(event));
            keys.push(figure_key(event, day, department, record_type));
            return Ok(keys);
        }
        let Some(change) = Change::of(event)? else {
            return Ok(keys);
        };
        keys.extend(figure_keys(event, &change, &change.figures()?));
        // A new record has no row yet: nothing is read for it.
        if matches!(change, Change::Corrected(_) | Change::Withdrawn(_)) {
            keys.push(record_key(event));
        }
        Ok(keys)
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        if view::is_row_event(&event.envelope.event_type) {
            view::apply(event, rows)?;
        }
        let Some(change) = Change::of(event)? else {
            return Ok(());
        };
        let more = change.figures()?;
        for (key, (_, more)) in figure_keys(event, &change, &more).zip(&more) {
            let mut row: pb::TimelinessRow = rows.get(&key)?.unwrap_or_default();
            figures::add(row.figures.get_or_insert_default(), more);
            rows.put(key, &row);
        }
        let record_key = record_key(event);
        let row = match change {
            Change::Accepted(accepted) => new_row(event, accepted.content.unwrap_or_default()),
            Change::Corrected(corrected) => {
                let mut row = held(rows, &record_key)?;
                row.corrections += 1;
                row.content = corrected.content;
                set_basis(&mut row, event);
                row
            }
            Change::Withdrawn(_) => {
                let mut row = held(rows, &record_key)?;
                row.set_state(pb::RecordState::Withdrawn);
                row
            }
            Change::Refused(_)
            | Change::Quarantined(_)
            | Change::Resubmitted(_)
            | Change::Discarded(_) => return Ok(()),
        };
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
