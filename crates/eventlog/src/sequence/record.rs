//! The bytes of a record. Field numbers are those of `tally.log.v1`, and the
//! order is prost's: what is hashed must not depend on who encodes it.

use bytes::{BufMut as _, Bytes, BytesMut};
use jiff::Timestamp;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, message};
use tally_domain::legal::LegalBasisRef;
use uuid::Uuid;

use crate::event::{NewEvent, StreamName, to_proto_time};
use crate::shard::Shard;

/// What an envelope's fields take besides the payload, with room.
const ENVELOPE_BYTES: usize = 448;

/// Encodes a `tally.log.v1.Envelope`, at a version of its stream, from where its
/// fields are: to build the message first would copy a dozen of them.
pub(super) fn encode_envelope(event: &NewEvent, stream: &StreamName, version: u64) -> Vec<u8> {
    let context = &*event.context;
    let mut buffer = Vec::with_capacity(event.payload.len() + ENVELOPE_BYTES);
    let to = &mut buffer;
    put_bytes(1, event.event_id.as_bytes(), to);
    put_bytes(2, stream.category.as_bytes(), to);
    put_bytes(3, stream.id.as_bytes(), to);
    put_number(4, version, to);
    put_bytes(5, event.event_type.as_bytes(), to);
    put_bytes(6, event.subject.as_bytes(), to);
    message::encode(7, &context.actor, to);
    if let Some(LegalBasisRef { id, version }) = &event.legal_basis {
        encode_key(8, WireType::LengthDelimited, to);
        let version = u64::from(*version);
        encode_varint((bytes_len(id.as_bytes()) + number_len(version)) as u64, to);
        put_bytes(1, id.as_bytes(), to);
        put_number(2, version, to);
    }
    put_bytes(9, context.pack_version.as_bytes(), to);
    message::encode(10, &to_proto_time(event.effective_at), to);
    put_bytes(11, context.command_id.as_bytes(), to);
    put_bytes(12, context.causation_id.as_bytes(), to);
    put_bytes(13, context.correlation_id.as_bytes(), to);
    put_bytes(14, context.traceparent.as_bytes(), to);
    put_bytes(15, &event.payload, to);
    buffer
}

/// A text or bytes; proto3 leaves out what is empty.
fn put_bytes(field: u32, bytes: &[u8], to: &mut Vec<u8>) {
    if !bytes.is_empty() {
        encode_key(field, WireType::LengthDelimited, to);
        encode_varint(bytes.len() as u64, to);
        to.put_slice(bytes);
    }
}

/// A number; proto3 leaves out zero.
fn put_number(field: u32, number: u64, to: &mut Vec<u8>) {
    if number != 0 {
        encode_key(field, WireType::Varint, to);
        encode_varint(number, to);
    }
}

/// Bytes that [`put_bytes`] takes in a field below 16.
fn bytes_len(bytes: &[u8]) -> usize {
    match bytes.len() {
        0 => 0,
        len => 1 + encoded_len_varint(len as u64) + len,
    }
}

/// Bytes that [`put_number`] takes in a field below 16.
fn number_len(number: u64) -> usize {
    match number {
        0 => 0,
        number => 1 + encoded_len_varint(number),
    }
}

/// Encodes a `tally.log.v1.Record` around an encoded envelope.
pub(super) fn encode_record(
    log_id: Uuid,
    shard: Shard,
    position: u64,
    recorded_at: Timestamp,
    envelope: &[u8],
) -> Bytes {
    let mut buffer = BytesMut::with_capacity(envelope.len() + 64);
    let head = crate::pb::Record {
        log_id: Bytes::copy_from_slice(log_id.as_bytes()),
        shard: u32::from(shard.0),
        position,
        recorded_at: Some(to_proto_time(recorded_at)),
        envelope: Bytes::new(),
    };
    head.encode(&mut buffer).expect("the buffer grows");
    // Field 5, length-delimited: the envelope comes last, as prost would put it.
    buffer.put_u8(0x2a);
    encode_varint(envelope.len() as u64, &mut buffer);
    buffer.put_slice(envelope);
    buffer.freeze()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{EventContext, uuid_bytes};
    use crate::pb;

    /// The message, field by field.
    fn envelope(event: &NewEvent, stream: &StreamName, version: u64) -> pb::Envelope {
        pb::Envelope {
            event_id: uuid_bytes(event.event_id),
            category: stream.category.to_owned(),
            stream_id: stream.id.clone(),
            version,
            event_type: event.event_type.to_owned(),
            subject: event.subject.clone(),
            actor: Some(event.context.actor.clone()),
            legal_basis: event.legal_basis.as_ref().map(|basis| pb::LegalBasisRef {
                id: basis.id.clone(),
                version: basis.version,
            }),
            pack_version: event.context.pack_version.clone(),
            effective_at: Some(to_proto_time(event.effective_at)),
            command_id: uuid_bytes(event.context.command_id),
            causation_id: uuid_bytes(event.context.causation_id),
            correlation_id: uuid_bytes(event.context.correlation_id),
            traceparent: event.context.traceparent.clone(),
            payload: event.payload.clone(),
        }
    }

    #[test]
    fn an_envelope_is_encoded_as_prost_would() {
        let empty = NewEvent {
            event_id: Uuid::nil(),
            event_type: "",
            subject: String::new(),
            payload: Bytes::new(),
            effective_at: Timestamp::UNIX_EPOCH,
            context: Arc::new(EventContext {
                actor: pb::Actor::default(),
                pack_version: String::new(),
                command_id: Uuid::nil(),
                causation_id: Uuid::nil(),
                correlation_id: Uuid::nil(),
                traceparent: String::new(),
            }),
            legal_basis: Some(LegalBasisRef::new("", 0)),
        };
        let full = NewEvent {
            event_id: Uuid::from_u128(1),
            event_type: "tally.x.v1.Happened",
            subject: "cn-uscc:9152000071430580XT".to_owned(),
            payload: vec![7; 70_000].into(),
            effective_at: "1969-12-31T23:59:59.5Z".parse().expect("a timestamp"),
            context: Arc::new(EventContext {
                actor: pb::Actor {
                    department: "department".to_owned(),
                    officer: uuid_bytes(Uuid::from_u128(2)),
                    role: pb::ActorRole::Officer.into(),
                },
                pack_version: "2026.1".to_owned(),
                command_id: Uuid::from_u128(3),
                causation_id: Uuid::from_u128(4),
                correlation_id: Uuid::from_u128(5),
                traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
            }),
            legal_basis: Some(LegalBasisRef::new("b".repeat(200), 300)),
        };
        let groundless = NewEvent {
            legal_basis: None,
            ..full.clone()
        };
        let stream = StreamName::new("record", "stream");
        for event in [empty, full, groundless] {
            for version in [0, 1, u64::MAX] {
                let ours = encode_envelope(&event, &stream, version);
                let theirs = envelope(&event, &stream, version).encode_to_vec();
                assert_eq!(ours, theirs, "{event:?}");
            }
        }
    }

    #[test]
    fn a_record_is_encoded_as_prost_would() {
        let envelope = crate::pb::Envelope {
            stream_id: "x".repeat(300),
            payload: Bytes::from_static(b"payload"),
            ..Default::default()
        };
        let at: Timestamp = "2026-01-02T03:04:05.000006Z".parse().expect("a timestamp");
        let encoded = envelope.encode_to_vec();
        let ours = encode_record(Uuid::from_u128(7), Shard(3), 9, at, &encoded);
        let theirs = crate::pb::Record {
            log_id: Bytes::copy_from_slice(Uuid::from_u128(7).as_bytes()),
            shard: 3,
            position: 9,
            recorded_at: Some(to_proto_time(at)),
            envelope: Bytes::from(encoded),
        };
        assert_eq!(ours, theirs.encode_to_vec());
    }
}
