//! What has to be put right, by department.

use jiff::Timestamp;
use tally_eventlog::aggregate::Codec as _;
use tally_eventlog::consumer::{Poison, ViewRows};
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_proto::tally::sanctions::v1 as pb;

use super::{prefix, row, time_key};
use crate::correction::{Correction, Stale};
use crate::view;

/// What a department has to do with a correction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It applied the measure, or was told that the entry is in force.
    Told,
    /// It listed the subject.
    Listed,
}

/// Takes an opened correction into the rows of both sides.
///
/// # Errors
///
/// [`Poison`]: the event cannot be decoded.
pub fn open(event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
    let opening = Correction::decode(event)?;
    let (check_id, directive_id) = match opening.stale {
        Stale::Check { check_id } => (check_id, String::new()),
        Stale::Execution { directive_id } => (String::new(), directive_id),
    };
    let correction = pb::Correction {
        correction_id: event.envelope.stream_id.clone(),
        subject: event.envelope.subject.clone(),
        entry_id: opening.entry_id,
        department: opening.department,
        initiator: opening.initiator,
        check_id,
        directive_id,
        opened_at: Some(to_proto_time(event.recorded_at)),
    };
    let sides = [
        (Side::Told, correction.department.clone()),
        (Side::Listed, correction.initiator.clone()),
    ];
    let row = pb::CorrectionRow {
        correction: Some(correction),
    };
    for (side, department) in sides {
        let id = &event.envelope.stream_id;
        let key = correction_row(side, &department, event.recorded_at, id);
        rows.put(self::row(view::CORRECTION, event.shard, &key), &row);
    }
    Ok(())
}

/// Key of a correction; a department's are one range, by the time they were opened.
pub fn correction_row(side: Side, department: &str, at: Timestamp, id: &str) -> Vec<u8> {
    let mut key = corrections_of(side, department);
    key.extend_from_slice(&time_key(at));
    key.extend_from_slice(id.as_bytes());
    key
}

/// First bytes of the keys of a department's corrections.
pub fn corrections_of(side: Side, department: &str) -> Vec<u8> {
    let mut key = prefix(match side {
        Side::Told => "told",
        Side::Listed => "listed",
    });
    key.extend(prefix(department));
    key
}
