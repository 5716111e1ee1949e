//! The bytes of a record.

use bytes::{BufMut as _, Bytes, BytesMut};
use jiff::Timestamp;
use prost::Message as _;
use uuid::Uuid;

use crate::event::to_proto_time;
use crate::shard::Shard;

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
    prost::encoding::encode_varint(envelope.len() as u64, &mut buffer);
    buffer.put_slice(envelope);
    buffer.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

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
