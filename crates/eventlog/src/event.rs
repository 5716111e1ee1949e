//! Streams, events before they are recorded, and records.

use std::fmt;

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use tally_domain::department::{Actor, Role};
use tally_domain::legal::LegalBasisRef;
use uuid::Uuid;

use crate::merkle::Hash;
use crate::pb;
use crate::shard::{LogName, Shard};

/// Name of a stream: a category and an id within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName {
    /// Category, for example `record`.
    pub category: &'static str,
    /// Id within the category.
    pub id: String,
}

impl StreamName {
    /// A stream of a category.
    pub fn new(category: &'static str, id: impl Into<String>) -> Self {
        Self {
            category,
            id: id.into(),
        }
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.category, self.id)
    }
}

/// An event that is to be appended. Its version, position and recorded time
/// are given out under the shard's lock.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// UUIDv7.
    pub event_id: Uuid,
    /// Full name of the payload's message.
    pub event_type: &'static str,
    /// Whom it is about, as text; empty if no one.
    pub subject: String,
    /// The encoded payload. Personal fields are sealed already.
    pub payload: Bytes,
    /// When it holds in law.
    pub effective_at: Timestamp,
    /// What it has in common with the other events of its command.
    pub context: std::sync::Arc<EventContext>,
    /// The legal basis it rests on.
    pub legal_basis: Option<LegalBasisRef>,
}

/// What the events of one command have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct EventContext {
    /// Who decided.
    pub actor: pb::Actor,
    /// Version of the policy pack it was judged by.
    pub pack_version: String,
    /// The command.
    pub command_id: Uuid,
    /// The event or command that caused the command.
    pub causation_id: Uuid,
    /// The first command of the chain.
    pub correlation_id: Uuid,
    /// W3C trace context; empty if there was none.
    pub traceparent: String,
}

/// The bytes of a UUID, for a proto field.
pub fn uuid_bytes(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

/// An actor as it is stored.
pub fn actor_to_proto(actor: &Actor) -> pb::Actor {
    let role = match actor.role {
        Role::System => pb::ActorRole::System,
        Role::Officer => pb::ActorRole::Officer,
        Role::Operator => pb::ActorRole::Operator,
        Role::Process => pb::ActorRole::Process,
    };
    pb::Actor {
        department: actor
            .department
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        officer: actor
            .officer
            .map(|officer| uuid_bytes(officer.0))
            .unwrap_or_default(),
        role: role.into(),
    }
}

/// A time as it is stored.
pub fn to_proto_time(at: Timestamp) -> prost_types::Timestamp {
    let mut seconds = at.as_second();
    let mut nanos = at.subsec_nanosecond();
    // jiff counts towards zero before 1970; the contract counts upwards.
    if nanos < 0 {
        seconds -= 1;
        nanos += 1_000_000_000;
    }
    prost_types::Timestamp { seconds, nanos }
}

/// A time as it was stored; nothing if it is out of range.
pub fn from_proto_time(at: &prost_types::Timestamp) -> Option<Timestamp> {
    Timestamp::new(at.seconds, at.nanos).ok()
}

/// Bytes of a record, at most, as far as what carries records has to care: the largest
/// command makes one of half of that.
pub const RECORD_BYTES_MAX: usize = 8 << 20;

/// A record's exact bytes and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Shard.
    pub shard: Shard,
    /// Position in the shard.
    pub position: u64,
    /// Leaf hash as it was stored.
    pub leaf: Hash,
    /// The encoded [`pb::Record`].
    pub bytes: Bytes,
}

/// A record, decoded.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// Log it is in.
    pub log: LogName,
    /// Id of that log.
    pub log_id: Uuid,
    /// Shard.
    pub shard: Shard,
    /// Position in the shard.
    pub position: u64,
    /// When the log learned it.
    pub recorded_at: Timestamp,
    /// When it holds in law.
    pub effective_at: Timestamp,
    /// Leaf hash.
    pub leaf: Hash,
    /// The envelope.
    pub envelope: pb::Envelope,
}

/// A stored record could not be read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("record {log}/{shard}/{position} cannot be decoded: {reason}; run `tally verify`")]
pub struct DecodeError {
    /// Log.
    pub log: LogName,
    /// Shard.
    pub shard: Shard,
    /// Position.
    pub position: u64,
    /// What is wrong.
    pub reason: String,
}

impl Recorded {
    /// Decodes a stored record.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]: the store was tampered with or written by a newer
    /// version; verify the log.
    pub fn decode(log: LogName, stored: &StoredRecord) -> Result<Self, DecodeError> {
        let fault = |reason: String| DecodeError {
            log,
            shard: stored.shard,
            position: stored.position,
            reason,
        };
        let record =
            pb::Record::decode(stored.bytes.clone()).map_err(|error| fault(error.to_string()))?;
        let envelope =
            pb::Envelope::decode(record.envelope).map_err(|error| fault(error.to_string()))?;
        let log_id = Uuid::from_slice(&record.log_id).map_err(|error| fault(error.to_string()))?;
        let time = |at: Option<&prost_types::Timestamp>, name: &str| {
            at.and_then(from_proto_time)
                .ok_or_else(|| fault(format!("{name} is missing or out of range")))
        };
        Ok(Self {
            log,
            log_id,
            shard: stored.shard,
            position: stored.position,
            recorded_at: time(record.recorded_at.as_ref(), "recorded_at")?,
            effective_at: time(envelope.effective_at.as_ref(), "effective_at")?,
            leaf: stored.leaf,
            envelope,
        })
    }

    /// Decodes the payload.
    ///
    /// # Errors
    ///
    /// [`DecodeError`]: it is not that message.
    pub fn payload<M: prost::Message + Default>(&self) -> Result<M, DecodeError> {
        M::decode(self.envelope.payload.clone()).map_err(|error| DecodeError {
            log: self.log,
            shard: self.shard,
            position: self.position,
            reason: format!("payload of {}: {error}", self.envelope.event_type),
        })
    }

    /// The stream, as `category/id`.
    pub fn stream(&self) -> String {
        format!("{}/{}", self.envelope.category, self.envelope.stream_id)
    }
}
