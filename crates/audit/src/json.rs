//! A record as one JSON object: its place, its envelope, and its payload in
//! protobuf's canonical JSON. Sealed fields stay sealed.

use std::sync::LazyLock;

use prost_reflect::{DescriptorPool, DynamicMessage};
use serde::Serialize;
use tally_eventlog::event::{Recorded, StoredRecord};
use tally_eventlog::pb;
use tally_eventlog::shard::LogName;
use tally_service::reply::hex;
use uuid::Uuid;

static CONTRACTS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(tally_proto::DESCRIPTORS)
        .expect("the contracts' own descriptors decode, or they would not have compiled")
});

#[derive(Serialize)]
struct Line<'a> {
    log: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_id: Option<String>,
    shard: u16,
    position: u64,
    leaf_hash: String,
    #[serde(flatten)]
    contents: Contents<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Contents<'a> {
    Event(Box<Event<'a>>),
    /// A record that cannot be read is shown as one, so that a replay does not end at it.
    Unreadable {
        unreadable: String,
    },
}

#[derive(Serialize)]
struct Event<'a> {
    recorded_at: String,
    effective_at: String,
    event_id: String,
    category: &'a str,
    stream_id: &'a str,
    version: u64,
    event_type: &'a str,
    subject: &'a str,
    actor: Actor<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    legal_basis: Option<LegalBasis<'a>>,
    pack_version: &'a str,
    command_id: String,
    causation_id: String,
    correlation_id: String,
    traceparent: &'a str,
    #[serde(flatten)]
    payload: Payload,
}

#[derive(Serialize)]
struct Actor<'a> {
    department: &'a str,
    officer: String,
    role: &'static str,
}

#[derive(Serialize)]
struct LegalBasis<'a> {
    id: &'a str,
    version: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Payload {
    Payload(DynamicMessage),
    /// An event of a type that this version does not know.
    PayloadHex(String),
}

/// A stored record as one JSON object, without a line feed.
///
/// # Errors
///
/// The payload has no JSON form, for example a time out of range: verify the log.
pub(crate) fn line(log: LogName, stored: &StoredRecord) -> Result<String, serde_json::Error> {
    let decoded = Recorded::decode(log, stored);
    let contents = match &decoded {
        Ok(event) => Contents::Event(Box::new(contents(event))),
        Err(error) => Contents::Unreadable {
            unreadable: error.reason.clone(),
        },
    };
    let line = Line {
        log: log.0,
        log_id: decoded.as_ref().ok().map(|event| event.log_id.to_string()),
        shard: stored.shard.0,
        position: stored.position,
        leaf_hash: hex(&stored.leaf),
        contents,
    };
    serde_json::to_string(&line)
}

fn contents(event: &Recorded) -> Event<'_> {
    let envelope = &event.envelope;
    Event {
        recorded_at: event.recorded_at.to_string(),
        effective_at: event.effective_at.to_string(),
        event_id: id(&envelope.event_id),
        category: &envelope.category,
        stream_id: &envelope.stream_id,
        version: envelope.version,
        event_type: &envelope.event_type,
        subject: &envelope.subject,
        actor: actor(envelope.actor.as_ref()),
        legal_basis: envelope.legal_basis.as_ref().map(|basis| LegalBasis {
            id: &basis.id,
            version: basis.version,
        }),
        pack_version: &envelope.pack_version,
        command_id: id(&envelope.command_id),
        causation_id: id(&envelope.causation_id),
        correlation_id: id(&envelope.correlation_id),
        traceparent: &envelope.traceparent,
        payload: payload(envelope),
    }
}

fn actor(actor: Option<&pb::Actor>) -> Actor<'_> {
    let role = actor.map_or(pb::ActorRole::Unspecified, pb::Actor::role);
    Actor {
        department: actor.map_or("", |actor| actor.department.as_str()),
        officer: actor.map(|actor| id(&actor.officer)).unwrap_or_default(),
        role: role.as_str_name(),
    }
}

fn payload(envelope: &pb::Envelope) -> Payload {
    let descriptor = CONTRACTS.get_message_by_name(&envelope.event_type);
    let decoded =
        descriptor.and_then(|it| DynamicMessage::decode(it, envelope.payload.clone()).ok());
    match decoded {
        Some(message) => Payload::Payload(message),
        None => Payload::PayloadHex(hex(&envelope.payload)),
    }
}

/// A UUID as text; other bytes as hexadecimal digits.
fn id(bytes: &[u8]) -> String {
    Uuid::from_slice(bytes).map_or_else(|_| hex(bytes), |id| id.to_string())
}
