//! The answers to pushed records: receipts, and refusals with every reason.

use std::collections::BTreeSet;

use bytes::Bytes;
use tally_domain::fault::FieldFault;
use tally_eventlog::append::{Appended, LastRecord};
use tally_eventlog::event::Recorded;
use tally_eventlog::execute::ExecuteError;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::{Fault, fault};
use tally_service::{execute_fault, receipt};
use uuid::Uuid;

use crate::quarantine;
use crate::record::Rejection;

/// The right to push, as the contract names it.
pub(crate) const RIGHT_PUSH: &str = "collection.push";

/// The reason where an id came again with another content.
const COMMAND_ID_REUSED: &str = "COMMAND_ID_REUSED";

/// The answer to one record.
pub(crate) struct Answer {
    /// The command it answers.
    pub command_id: String,
    /// Accepted, or why not.
    pub outcome: Result<pb::AcceptedRecord, Failure>,
    /// Where it waits in quarantine.
    pub quarantine_id: Option<Uuid>,
}

/// What is wrong with a record before any state is looked at.
pub(crate) struct Refused {
    pub faults: Vec<FieldFault>,
    /// Set where the caller's department may not report such records.
    pub not_competent: Option<String>,
}

/// Why a record was not accepted.
pub(crate) enum Failure {
    /// It is wrong in itself.
    Refused(Refused),
    /// It was not executed.
    NotExecuted {
        /// Why.
        error: ExecuteError<Rejection>,
        /// The record that its natural key names.
        record_id: Uuid,
    },
    /// What became of it before cannot be read, or it could not be kept.
    Unsettled(Fault),
}

/// The first event of a record that is there already, as a result.
pub(crate) fn as_appended(first: &Recorded) -> Appended {
    Appended {
        log: first.log,
        log_id: first.log_id,
        shard: first.shard,
        last: Some(LastRecord {
            position: first.position,
            leaf: first.leaf,
            recorded_at: first.recorded_at,
        }),
        note: Bytes::new(),
        repeated: true,
    }
}

/// The receipt of a record.
pub(crate) fn accepted(record_id: Uuid, appended: &Appended) -> pb::AcceptedRecord {
    // A repeat is answered with what the first time was answered.
    let id = Uuid::from_slice(&appended.note).unwrap_or(record_id);
    pb::AcceptedRecord {
        record_id: id.to_string(),
        receipt: Some(receipt(appended)),
    }
}

impl Refused {
    /// Of a record that is handed in again from a place which has become
    /// another record.
    pub fn left() -> Self {
        Self {
            faults: vec![quarantine::Rejection::Closed.field_fault()],
            not_competent: None,
        }
    }

    /// The reasons, each once; nothing where the caller was denied the call
    /// itself: what is denied leaves no trace.
    fn reasons(&self) -> Option<BTreeSet<&'static str>> {
        let reasons = self.faults.iter().map(|fault| fault.reason);
        self.not_competent.is_none().then(|| reasons.collect())
    }

    fn into_faults(mut self) -> Vec<FieldFault> {
        let denied = self.not_competent.map(|message| {
            FieldFault::new("record.record_type", fault::reason::RIGHT_MISSING, message)
        });
        self.faults.extend(denied);
        self.faults
    }
}

impl Answer {
    /// The answer to a record that was not accepted, and waits nowhere so far.
    pub fn failed(command_id: String, failure: Failure) -> Self {
        Self {
            command_id,
            outcome: Err(failure),
            quarantine_id: None,
        }
    }

    /// The answer to a single call.
    ///
    /// # Errors
    ///
    /// The refusal, which names the record's place in quarantine; or a failure.
    pub fn into_accepted(self) -> Result<pb::AcceptedRecord, Fault> {
        self.outcome.map_err(|failure| {
            let fault = failure.into_fault();
            match self.quarantine_id {
                Some(place) => fault.with("quarantine_id", place.to_string()),
                None => fault,
            }
        })
    }

    /// The answer on a stream, which goes on after a refusal.
    ///
    /// # Errors
    ///
    /// It is no refusal: the stream ends with this fault.
    pub fn into_response(self) -> Result<pb::PushRecordsResponse, Fault> {
        use pb::push_records_response::Outcome;
        let outcome = match self.outcome {
            Ok(accepted) => Outcome::Accepted(accepted),
            Err(failure) => {
                let place = self.quarantine_id.map(|place| place.to_string());
                Outcome::Refused(pb::Refusal {
                    faults: failure.into_faults()?,
                    quarantine_id: place.unwrap_or_default(),
                })
            }
        };
        Ok(pb::PushRecordsResponse {
            command_id: self.command_id,
            outcome: Some(outcome),
        })
    }
}

impl Failure {
    /// Why the row was refused, each reason once; nothing where it was not
    /// judged, or the caller was denied the call.
    pub fn refused_for(&self) -> Option<BTreeSet<&'static str>> {
        match self {
            Self::Refused(refused) => refused.reasons(),
            Self::NotExecuted {
                error: ExecuteError::Rejected(rejection),
                ..
            } => Some(BTreeSet::from([rejection.reason()])),
            Self::NotExecuted {
                error: ExecuteError::CommandReused { .. },
                ..
            } => Some(BTreeSet::from([COMMAND_ID_REUSED])),
            Self::NotExecuted { .. } | Self::Unsettled(_) => None,
        }
    }

    /// The failure of a single call.
    fn into_fault(self) -> Fault {
        match self {
            Self::Refused(Refused {
                not_competent: Some(message),
                ..
            }) => Fault::permission(RIGHT_PUSH, message),
            Self::Refused(refused) => Fault::invalid(refused.faults),
            Self::NotExecuted { error, record_id } => execute_fault(error, |rejection| {
                Fault::from(rejection).with("record_id", record_id.to_string())
            }),
            Self::Unsettled(fault) => fault,
        }
    }

    fn into_faults(self) -> Result<Vec<pb::Fault>, Fault> {
        let faults = match self {
            Self::Refused(refused) => refused.into_faults(),
            Self::NotExecuted {
                error: ExecuteError::Rejected(rejection),
                ..
            } => rejection.field_faults(),
            Self::NotExecuted {
                error: error @ ExecuteError::CommandReused { .. },
                ..
            } => {
                vec![FieldFault::new(
                    "command_id",
                    COMMAND_ID_REUSED,
                    error.to_string(),
                )]
            }
            failure => return Err(failure.into_fault()),
        };
        let faults = faults.into_iter().map(|fault| pb::Fault {
            field: fault.field,
            reason: fault.reason.to_owned(),
            message: fault.message,
        });
        Ok(faults.collect())
    }
}
