//! How the events of a record are stored, and how a stored record reads.

use jiff::Timestamp;
use prost::Message as _;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::aggregate::{Codec, Encoded};
use tally_eventlog::event::{DecodeError, Recorded};
use tally_proto::tally::collection::v1 as pb;

use crate::record::{Accepted, Corrected, Event, Record, Withdrawn};

/// A record was accepted.
pub const RECORD_ACCEPTED: &str = "tally.collection.v1.RecordAccepted";
/// A record was corrected.
pub const RECORD_CORRECTED: &str = "tally.collection.v1.RecordCorrected";
/// A record was withdrawn.
pub const RECORD_WITHDRAWN: &str = "tally.collection.v1.RecordWithdrawn";
/// Rows that a department pushed were refused.
pub const REFUSALS_COUNTED: &str = "tally.collection.v1.RefusalsCounted";
/// Somebody was shown sealed fields; in the log `collection-access`.
pub const SEALED_OPENED: &str = "tally.collection.v1.SealedOpened";

/// A refused row was kept.
pub const ROW_QUARANTINED: &str = "tally.collection.v1.RowQuarantined";
/// A quarantined row was handed in again and refused again.
pub const ROW_CORRECTED: &str = "tally.collection.v1.RowCorrected";
/// A record that is handed in again took its place.
pub const ROW_TAKEN: &str = "tally.collection.v1.RowTaken";
/// A quarantined row was handed in again and accepted.
pub const ROW_RESUBMITTED: &str = "tally.collection.v1.RowResubmitted";
/// A quarantined row was given up.
pub const ROW_DISCARDED: &str = "tally.collection.v1.RowDiscarded";

/// Every event type of the log `collection`.
pub const EVENT_TYPES: &[&str] = &[
    RECORD_ACCEPTED,
    RECORD_CORRECTED,
    RECORD_WITHDRAWN,
    ROW_QUARANTINED,
    ROW_CORRECTED,
    ROW_TAKEN,
    ROW_RESUBMITTED,
    ROW_DISCARDED,
    REFUSALS_COUNTED,
];

impl Codec for Record {
    fn encode(event: &Event) -> Encoded {
        match event {
            Event::Accepted(accepted) => encoded(
                RECORD_ACCEPTED,
                accepted.body.encode_to_vec(),
                accepted.effective_at,
                &accepted.legal_basis,
            ),
            Event::Corrected(corrected) => encoded(
                RECORD_CORRECTED,
                corrected.body.encode_to_vec(),
                corrected.effective_at,
                &corrected.legal_basis,
            ),
            Event::Withdrawn(withdrawn) => encoded(
                RECORD_WITHDRAWN,
                withdrawn.body.encode_to_vec(),
                withdrawn.at,
                &withdrawn.legal_basis,
            ),
        }
    }

    fn decode(recorded: &Recorded) -> Result<Event, DecodeError> {
        let legal_basis = || legal_basis(recorded);
        let department = || department(recorded).to_owned();
        let subject = || recorded.envelope.subject.clone();
        match recorded.envelope.event_type.as_str() {
            RECORD_ACCEPTED => Ok(Event::Accepted(
                Accepted {
                    department: department(),
                    subject: subject(),
                    legal_basis: legal_basis()?,
                    effective_at: recorded.effective_at,
                    body: recorded.payload()?,
                }
                .into(),
            )),
            RECORD_CORRECTED => Ok(Event::Corrected(
                Corrected {
                    department: department(),
                    subject: subject(),
                    legal_basis: legal_basis()?,
                    effective_at: recorded.effective_at,
                    body: recorded.payload()?,
                }
                .into(),
            )),
            RECORD_WITHDRAWN => Ok(Event::Withdrawn(
                Withdrawn {
                    legal_basis: legal_basis()?,
                    at: recorded.effective_at,
                    body: recorded.payload()?,
                }
                .into(),
            )),
            other => Err(fault(recorded, format!("{other} is no event of a record"))),
        }
    }
}

/// Department of an event's actor.
pub(crate) fn department(recorded: &Recorded) -> &str {
    recorded
        .envelope
        .actor
        .as_ref()
        .map_or("", |actor| &actor.department)
}

/// A legal basis for the contract.
pub(crate) fn basis_to_proto(basis: &LegalBasisRef) -> tally_eventlog::pb::LegalBasisRef {
    tally_eventlog::pb::LegalBasisRef {
        id: basis.id.clone(),
        version: basis.version,
    }
}

/// A content without its sealed fields, as the contract shows it.
pub(crate) fn clear_content(
    subject: &str,
    content: &pb::StoredContent,
    basis: &LegalBasisRef,
) -> pb::RecordContent {
    let fields = content
        .fields
        .iter()
        .filter_map(|field| match &field.value {
            Some(pb::stored_field::Value::Text(text)) => Some(pb::Field {
                name: field.name.clone(),
                value: text.clone(),
            }),
            _ => None,
        });
    pb::RecordContent {
        subject: subject.to_owned(),
        record_type: content.record_type.clone(),
        document_number: content.document_number.clone(),
        decided_on: content.decided_on.clone(),
        valid_from: content.valid_from.clone(),
        valid_until: content.valid_until.clone(),
        legal_basis: Some(basis_to_proto(basis)),
        fields: fields.collect(),
        check_id: content.check_id.clone(),
    }
}

pub(crate) fn encoded(
    event_type: &'static str,
    payload: Vec<u8>,
    effective_at: Timestamp,
    legal_basis: &LegalBasisRef,
) -> Encoded {
    Encoded {
        event_type,
        payload: payload.into(),
        effective_at,
        legal_basis: Some(legal_basis.clone()),
    }
}

pub(crate) fn legal_basis(recorded: &Recorded) -> Result<LegalBasisRef, DecodeError> {
    let basis = recorded.envelope.legal_basis.as_ref();
    let basis = basis.ok_or_else(|| fault(recorded, "its legal basis is missing".to_owned()))?;
    Ok(LegalBasisRef::new(basis.id.clone(), basis.version))
}

pub(crate) fn fault(recorded: &Recorded, reason: String) -> DecodeError {
    DecodeError {
        log: recorded.log,
        shard: recorded.shard,
        position: recorded.position,
        reason,
    }
}
