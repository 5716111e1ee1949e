//! How the events of a quarantined row are stored, and how a row is sealed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use prost::Message as _;
use tally_domain::date::{LegalDate, parse_legal_date};
use tally_eventlog::aggregate::{Codec, Encoded};
use tally_eventlog::event::{DecodeError, Recorded, from_proto_time, to_proto_time};
use tally_eventlog::sealing::Sealer;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::log::v1::Sealed;
use uuid::Uuid;

use super::{End, Event, Quarantine, Row};
use crate::codec::{
    ROW_CORRECTED, ROW_DISCARDED, ROW_QUARANTINED, ROW_RESUBMITTED, ROW_TAKEN, encoded, fault,
    legal_basis,
};

/// Name under which a row's content is sealed.
pub(crate) const CONTENT: &str = "content";

/// Name under which the key ring knows a row's data key.
pub(crate) fn sealing_stream(id: Uuid) -> String {
    format!("collection/quarantine/{id}")
}

/// Seals what a row says.
pub(crate) fn seal(sealer: &Sealer, content: &pb::QuarantinedContent) -> Sealed {
    sealer.seal(CONTENT, &STANDARD.encode(content.encode_to_vec()))
}

/// Reads what was sealed; nothing if it is not what [`seal`] made.
pub(crate) fn unseal(text: &str) -> Option<pb::QuarantinedContent> {
    let bytes = STANDARD.decode(text).ok()?;
    pb::QuarantinedContent::decode(&*bytes).ok()
}

impl Codec for Quarantine {
    fn encode(event: &Event) -> Encoded {
        match event {
            Event::Quarantined(row) => {
                let body = pb::RowQuarantined {
                    department: row.department.clone(),
                    record_type: row.record_type.clone(),
                    faults: row.faults.clone(),
                    content: Some(row.content.clone()),
                    quarantined_at: Some(to_proto_time(row.at)),
                    quarantined_on: day_text(row.on),
                };
                let body = body.encode_to_vec();
                encoded(ROW_QUARANTINED, body, row.at, &row.legal_basis)
            }
            Event::Corrected {
                row,
                record_type_before,
                since,
            } => {
                let body = pb::RowCorrected {
                    department: row.department.clone(),
                    record_type: row.record_type.clone(),
                    faults: row.faults.clone(),
                    content: Some(row.content.clone()),
                    quarantined_at: Some(to_proto_time(*since)),
                    record_type_before: record_type_before.clone(),
                    corrected_on: day_text(row.on),
                };
                let body = body.encode_to_vec();
                encoded(ROW_CORRECTED, body, row.at, &row.legal_basis)
            }
            Event::Taken {
                row,
                record_id,
                since,
                at,
            } => {
                let body = pb::RowTaken {
                    department: row.department.clone(),
                    record_type: row.record_type.clone(),
                    record_id: record_id.clone(),
                    quarantined_at: Some(to_proto_time(*since)),
                };
                encoded(ROW_TAKEN, body.encode_to_vec(), *at, &row.legal_basis)
            }
            Event::Ended {
                row,
                end,
                since,
                at,
                on,
            } => {
                let (event_type, body) = ended(row, end, *since, *on);
                encoded(event_type, body, *at, &row.legal_basis)
            }
        }
    }

    fn decode(recorded: &Recorded) -> Result<Event, DecodeError> {
        let at = recorded.effective_at;
        match recorded.envelope.event_type.as_str() {
            ROW_QUARANTINED => {
                let body: pb::RowQuarantined = recorded.payload()?;
                Ok(Event::Quarantined(Arc::new(Row {
                    on: day(recorded, &body.quarantined_on)?,
                    department: body.department,
                    record_type: body.record_type,
                    legal_basis: legal_basis(recorded)?,
                    faults: body.faults,
                    content: sealed(recorded, body.content)?,
                    at,
                })))
            }
            ROW_CORRECTED => {
                let body: pb::RowCorrected = recorded.payload()?;
                Ok(Event::Corrected {
                    row: Arc::new(Row {
                        on: day(recorded, &body.corrected_on)?,
                        department: body.department,
                        record_type: body.record_type,
                        legal_basis: legal_basis(recorded)?,
                        faults: body.faults,
                        content: sealed(recorded, body.content)?,
                        at,
                    }),
                    record_type_before: body.record_type_before,
                    since: time(recorded, body.quarantined_at)?,
                })
            }
            ROW_TAKEN => {
                let body: pb::RowTaken = recorded.payload()?;
                Ok(Event::Taken {
                    since: time(recorded, body.quarantined_at)?,
                    record_id: body.record_id,
                    row: row_without_content(recorded, body.department, body.record_type)?,
                    at,
                })
            }
            ROW_RESUBMITTED => {
                let body: pb::RowResubmitted = recorded.payload()?;
                let record_id = body.record_id;
                let whose = (body.department, body.record_type);
                let end = End::Resubmitted { record_id };
                end_of(
                    recorded,
                    whose,
                    (body.quarantined_at, &body.resubmitted_on),
                    end,
                )
            }
            ROW_DISCARDED => {
                let body: pb::RowDiscarded = recorded.payload()?;
                let reason = body.reason;
                let whose = (body.department, body.record_type);
                let end = End::Discarded { reason };
                end_of(
                    recorded,
                    whose,
                    (body.quarantined_at, &body.discarded_on),
                    end,
                )
            }
            other => Err(fault(
                recorded,
                format!("{other} is no event of a quarantined row"),
            )),
        }
    }
}

fn ended(row: &Row, end: &End, since: Timestamp, on: Option<LegalDate>) -> (&'static str, Vec<u8>) {
    let (department, record_type) = (row.department.clone(), row.record_type.clone());
    let quarantined_at = Some(to_proto_time(since));
    match end {
        End::Resubmitted { record_id } => {
            let body = pb::RowResubmitted {
                department,
                record_type,
                record_id: record_id.clone(),
                quarantined_at,
                resubmitted_on: day_text(on),
            };
            (ROW_RESUBMITTED, body.encode_to_vec())
        }
        End::Discarded { reason } => {
            let body = pb::RowDiscarded {
                department,
                record_type,
                reason: reason.clone(),
                quarantined_at,
                discarded_on: day_text(on),
            };
            (ROW_DISCARDED, body.encode_to_vec())
        }
    }
}

/// The end of a row of a department, of a record type: since when it was there,
/// and on which day it ended.
fn end_of(
    recorded: &Recorded,
    (department, record_type): (String, String),
    (quarantined_at, on): (Option<prost_types::Timestamp>, &str),
    end: End,
) -> Result<Event, DecodeError> {
    Ok(Event::Ended {
        since: time(recorded, quarantined_at)?,
        row: row_without_content(recorded, department, record_type)?,
        end,
        at: recorded.effective_at,
        on: day(recorded, on)?,
    })
}

/// Taking and the end repeat whose row it is, and not what it says.
fn row_without_content(
    recorded: &Recorded,
    department: String,
    record_type: String,
) -> Result<Arc<Row>, DecodeError> {
    Ok(Arc::new(Row {
        department,
        record_type,
        legal_basis: legal_basis(recorded)?,
        faults: Vec::new(),
        content: Sealed::default(),
        at: recorded.effective_at,
        on: None,
    }))
}

fn sealed(recorded: &Recorded, content: Option<Sealed>) -> Result<Sealed, DecodeError> {
    content.ok_or_else(|| fault(recorded, "a quarantined row has no content".to_owned()))
}

fn day_text(day: Option<LegalDate>) -> String {
    day.map_or_else(String::new, |day| day.to_string())
}

fn day(recorded: &Recorded, text: &str) -> Result<Option<LegalDate>, DecodeError> {
    if text.is_empty() {
        return Ok(None);
    }
    let day = parse_legal_date(text).map_err(|error| fault(recorded, error.to_string()))?;
    Ok(Some(day))
}

fn time(recorded: &Recorded, at: Option<prost_types::Timestamp>) -> Result<Timestamp, DecodeError> {
    at.as_ref()
        .and_then(from_proto_time)
        .ok_or_else(|| fault(recorded, "a quarantined row came at no time".to_owned()))
}
