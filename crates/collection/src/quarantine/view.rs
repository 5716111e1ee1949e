//! The read models of the quarantine: the rows of a department by state, and
//! counts.

use bytes::Bytes;
use jiff::Timestamp;
use tally_eventlog::aggregate::Codec as _;
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, ViewRows};
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_eventlog::shard::Shard;
use tally_proto::tally::collection::v1 as pb;

use super::{End, Event, Quarantine, Row};
use crate::codec::{ROW_CORRECTED, ROW_DISCARDED, ROW_QUARANTINED, ROW_RESUBMITTED, ROW_TAKEN};
use crate::projection::SEPARATOR;

/// View of rows: by department, state, record type and the time they came.
pub const ROW_VIEW: &str = "collection.quarantine";
/// View of counts, by department and record type.
pub const COUNT_VIEW: &str = "collection.quarantine_count";

/// Rows that came since then, of one type, in one state: what orders them.
pub(crate) struct Place<'a> {
    /// Whose.
    pub department: &'a str,
    /// In which state.
    pub state: pb::QuarantineState,
    /// Catalogue item.
    pub record_type: &'a str,
    /// When it came.
    pub since: Timestamp,
    /// Its id.
    pub id: &'a str,
}

/// First bytes of the keys of a department's rows in a state.
pub(crate) fn rows_of(department: &str, state: pb::QuarantineState) -> Vec<u8> {
    let state = match state {
        pb::QuarantineState::Resubmitted => b'r',
        pb::QuarantineState::Discarded => b'd',
        pb::QuarantineState::Open | pb::QuarantineState::Unspecified => b'o',
    };
    [department.as_bytes(), &[SEPARATOR, state, SEPARATOR]].concat()
}

/// The same, of one record type.
pub(crate) fn rows_of_type(
    department: &str,
    state: pb::QuarantineState,
    record_type: &str,
) -> Vec<u8> {
    let mut key = rows_of(department, state);
    key.extend_from_slice(record_type.as_bytes());
    key.push(SEPARATOR);
    key
}

impl Place<'_> {
    /// Its key.
    pub fn key(&self) -> Vec<u8> {
        let mut key = rows_of_type(self.department, self.state, self.record_type);
        // Times are after 1970, so that their bytes are in their order.
        key.extend_from_slice(&self.since.as_microsecond().to_be_bytes());
        key.extend_from_slice(self.id.as_bytes());
        key
    }
}

/// A row that waits, as it is shown.
pub(crate) fn row(id: &str, row: &Row, since: Timestamp) -> pb::QuarantinedRow {
    pb::QuarantinedRow {
        quarantine_id: id.to_owned(),
        department: row.department.clone(),
        record_type: row.record_type.clone(),
        faults: row.faults.clone(),
        state: pb::QuarantineState::Open.into(),
        quarantined_at: Some(to_proto_time(since)),
        changed_at: Some(to_proto_time(row.at)),
        ..pb::QuarantinedRow::default()
    }
}

/// Marks what became of a row.
pub(crate) fn close(row: &mut pb::QuarantinedRow, end: &End) {
    row.set_state(state_of(end));
    match end {
        End::Resubmitted { record_id } => row.record_id.clone_from(record_id),
        End::Discarded { reason } => row.discard_reason.clone_from(reason),
    }
}

fn state_of(end: &End) -> pb::QuarantineState {
    match end {
        End::Resubmitted { .. } => pb::QuarantineState::Resubmitted,
        End::Discarded { .. } => pb::QuarantineState::Discarded,
    }
}

/// True for the events of the quarantine.
pub(crate) fn is_row_event(event_type: &str) -> bool {
    matches!(
        event_type,
        ROW_QUARANTINED | ROW_CORRECTED | ROW_TAKEN | ROW_RESUBMITTED | ROW_DISCARDED
    )
}

/// Rows that [`apply`] will read for this event.
pub(crate) fn reads(recorded: &Recorded) -> Result<Vec<RowKey>, Poison> {
    let id = &recorded.envelope.stream_id;
    let shard = recorded.shard;
    Ok(match Quarantine::decode(recorded)? {
        Event::Quarantined(row) => vec![count_key(shard, &row.department, &row.record_type)],
        Event::Corrected {
            row,
            record_type_before,
            since,
        } => {
            let department = &row.department;
            vec![
                open_key(shard, department, &record_type_before, since, id),
                count_key(shard, department, &record_type_before),
                count_key(shard, department, &row.record_type),
            ]
        }
        // Until it has left it waits.
        Event::Taken { .. } => Vec::new(),
        Event::Ended { row, since, .. } => {
            let (department, record_type) = (&row.department, &row.record_type);
            vec![
                open_key(shard, department, record_type, since, id),
                count_key(shard, department, record_type),
            ]
        }
    })
}

/// Applies an event of a row.
pub(crate) fn apply(recorded: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
    let id = &recorded.envelope.stream_id;
    let shard = recorded.shard;
    match Quarantine::decode(recorded)? {
        Event::Quarantined(new) => {
            let (department, record_type) = (&new.department, &new.record_type);
            let key = open_key(shard, department, record_type, new.at, id);
            put(rows, key, self::row(id, &new, new.at));
            count(rows, shard, department, record_type, |count| {
                count.open += 1;
            })
        }
        Event::Corrected {
            row: new,
            record_type_before,
            since,
        } => {
            let department = &new.department;
            let before = open_key(shard, department, &record_type_before, since, id);
            let held = held(rows, &before)?;
            rows.delete(before);
            let key = open_key(shard, department, &new.record_type, since, id);
            let mut shown = self::row(id, &new, since);
            shown.corrections = held.corrections + 1;
            put(rows, key, shown);
            if record_type_before != new.record_type {
                count(rows, shard, department, &record_type_before, |count| {
                    count.open = count.open.saturating_sub(1);
                })?;
                count(rows, shard, department, &new.record_type, |count| {
                    count.open += 1;
                })?;
            }
            Ok(())
        }
        Event::Taken { .. } => Ok(()),
        Event::Ended {
            row: last,
            end,
            since,
            at,
            on: _,
        } => {
            let (department, record_type) = (&last.department, &last.record_type);
            let open = open_key(shard, department, record_type, since, id);
            let mut shown = held(rows, &open)?;
            rows.delete(open);
            close(&mut shown, &end);
            shown.changed_at = Some(to_proto_time(at));
            let place = Place {
                department,
                state: state_of(&end),
                record_type,
                since,
                id,
            };
            put(rows, row_key(shard, place.key()), shown);
            count(rows, shard, department, record_type, |count| {
                count.open = count.open.saturating_sub(1);
                match end {
                    End::Resubmitted { .. } => count.resubmitted += 1,
                    End::Discarded { .. } => count.discarded += 1,
                }
            })
        }
    }
}

fn row_key(shard: Shard, key: Vec<u8>) -> RowKey {
    RowKey {
        view: ROW_VIEW,
        shard,
        key: key.into(),
    }
}

fn open_key(
    shard: Shard,
    department: &str,
    record_type: &str,
    since: Timestamp,
    id: &str,
) -> RowKey {
    let place = Place {
        department,
        state: pb::QuarantineState::Open,
        record_type,
        since,
        id,
    };
    row_key(shard, place.key())
}

fn count_key(shard: Shard, department: &str, record_type: &str) -> RowKey {
    let key = [department.as_bytes(), &[SEPARATOR], record_type.as_bytes()];
    RowKey {
        view: COUNT_VIEW,
        shard,
        key: Bytes::from(key.concat()),
    }
}

fn put(rows: &mut ViewRows, key: RowKey, row: pb::QuarantinedRow) {
    rows.put(key, &pb::QuarantineRow { row: Some(row) });
}

fn held(rows: &ViewRows, key: &RowKey) -> Result<pb::QuarantinedRow, Poison> {
    rows.get::<pb::QuarantineRow>(key)?
        .and_then(|row| row.row)
        .ok_or_else(|| Poison::new("a quarantined row changed that was never kept"))
}

fn count(
    rows: &mut ViewRows,
    shard: Shard,
    department: &str,
    record_type: &str,
    change: impl FnOnce(&mut pb::QuarantineCountRow),
) -> Result<(), Poison> {
    let key = count_key(shard, department, record_type);
    let mut row: pb::QuarantineCountRow = rows.get(&key)?.unwrap_or_default();
    change(&mut row);
    rows.put(key, &row);
    Ok(())
}
