//! How the stores in databases lay out values in columns: one layout, so that a
//! store can be moved from one database to the other row by row.

use crate::append::{Appended, LastRecord};
use crate::merkle::Hash;
use crate::sequence::Head;
use crate::shard::{LogName, Shard};
use crate::store::FormerId;
use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// Positions per shard: 40 bits of an event's id.
pub const POSITIONS_MAX: u64 = 1 << 40;

/// Numbers of logs: 7 bits, so that no id is negative. The last one is left
/// free so that every shard's range has an end.
pub const LOGS_MAX: u8 = 127;

/// Id of a record: log, shard and position in one integer that sorts by them.
/// A position beyond the end gives the end of the shard's range.
pub fn event_id(log: u8, shard: Shard, position: u64) -> i64 {
    (i64::from(log) << 56) + (i64::from(shard.0) << 40) + position.min(POSITIONS_MAX).cast_signed()
}

/// Position of a record by its id.
pub fn position_of(id: i64) -> u64 {
    id.cast_unsigned() & (POSITIONS_MAX - 1)
}

/// Key of a stream: a hash of fixed length keeps the index small however long
/// the ids, and 16 bytes of SHA-256 do not collide.
pub type StreamKey = [u8; 16];

/// The key of a stream.
pub fn stream_key(log: LogName, category: &str, id: &str) -> StreamKey {
    let mut hasher = Sha256::new();
    for part in [log.0, category, id] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let hash: Hash = hasher.finalize().into();
    hash[..16].try_into().expect("16 of 32 bytes")
}

/// Checksum of a head's row.
pub fn head_checksum(shard: Shard, head: &Head) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(head.log_id.as_bytes());
    hasher.update(shard.0.to_be_bytes());
    hasher.update(head.size().to_be_bytes());
    hasher.update(head.leaf);
    hasher.update(head.recorded_at.as_second().to_be_bytes());
    hasher.update(head.recorded_at.subsec_nanosecond().to_be_bytes());
    hasher.update(head.frontier.to_bytes());
    hasher.finalize().into()
}

/// The ids that a log had, from rows of number, id and size in the order of
/// number and shard.
pub fn former_ids(rows: impl IntoIterator<Item = (i64, Uuid, u64)>) -> Vec<FormerId> {
    let mut ids: Vec<(i64, FormerId)> = Vec::new();
    for (number, log_id, size) in rows {
        match ids.last_mut() {
            Some((last, id)) if *last == number => id.sizes.push(size),
            _ => {
                let sizes = vec![size];
                ids.push((number, FormerId { log_id, sizes }));
            }
        }
    }
    ids.into_iter().map(|(_, id)| id).collect()
}

const RESULT_FORMAT: u8 = 1;

/// A command's first result: format, log id, shard, last record if any, note.
pub fn encode_result(appended: &Appended) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(72 + appended.note.len());
    bytes.push(RESULT_FORMAT);
    bytes.extend_from_slice(appended.log_id.as_bytes());
    bytes.extend_from_slice(&appended.shard.0.to_be_bytes());
    bytes.push(u8::from(appended.last.is_some()));
    if let Some(last) = &appended.last {
        bytes.extend_from_slice(&last.position.to_be_bytes());
        bytes.extend_from_slice(&last.leaf);
        bytes.extend_from_slice(&last.recorded_at.as_second().to_be_bytes());
        bytes.extend_from_slice(&last.recorded_at.subsec_nanosecond().to_be_bytes());
    }
    bytes.extend_from_slice(&appended.note);
    bytes
}

/// Reads what [`encode_result`] wrote; nothing if it did not write it.
pub fn decode_result(log: LogName, mut bytes: &[u8]) -> Option<Appended> {
    let bytes = &mut bytes;
    let [RESULT_FORMAT] = take(bytes)? else {
        return None;
    };
    let log_id = Uuid::from_bytes(take(bytes)?);
    let shard = Shard(u16::from_be_bytes(take(bytes)?));
    let last = match take(bytes)? {
        [0] => None,
        [1] => {
            let position = u64::from_be_bytes(take(bytes)?);
            let leaf = take(bytes)?;
            let second = i64::from_be_bytes(take(bytes)?);
            let nanosecond = i32::from_be_bytes(take(bytes)?);
            let recorded_at = Timestamp::new(second, nanosecond).ok()?;
            Some(LastRecord {
                position,
                leaf,
                recorded_at,
            })
        }
        _ => return None,
    };
    let note = Bytes::copy_from_slice(bytes);
    Some(Appended {
        log,
        log_id,
        shard,
        last,
        note,
        repeated: false,
    })
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: LogName = LogName("lists");

    #[test]
    fn ids_sort_by_log_shard_and_position() {
        let ids = [
            event_id(0, Shard(0), 0),
            event_id(0, Shard(0), POSITIONS_MAX - 1),
            event_id(0, Shard(1), 0),
            event_id(0, Shard(1023), 7),
            event_id(1, Shard(0), 0),
            event_id(LOGS_MAX - 1, Shard(1023), POSITIONS_MAX),
        ];
        assert!(ids.is_sorted_by(|a, b| a < b));
        assert_eq!(event_id(0, Shard(0), u64::MAX), event_id(0, Shard(1), 0));
        assert_eq!(position_of(event_id(3, Shard(9), 41)), 41);
    }

    #[test]
    fn parts_of_a_stream_do_not_run_into_each_other() {
        assert_ne!(stream_key(LOG, "ab", "c"), stream_key(LOG, "a", "bc"));
        assert_ne!(
            stream_key(LOG, "a", "b"),
            stream_key(LogName("list"), "a", "b")
        );
    }

    #[test]
    fn a_result_is_read_as_it_was_written() {
        let recorded_at = "1969-01-02T03:04:05.000000006Z"
            .parse()
            .expect("a timestamp");
        let last = LastRecord {
            position: 9,
            leaf: [7; 32],
            recorded_at,
        };
        for last in [None, Some(last)] {
            let appended = Appended {
                log: LOG,
                log_id: Uuid::from_u128(5),
                shard: Shard(3),
                last,
                note: Bytes::from_static(b"note"),
                repeated: false,
            };
            let bytes = encode_result(&appended);
            assert_eq!(decode_result(LOG, &bytes), Some(appended));
            assert_eq!(decode_result(LOG, &bytes[..10]), None);
        }
        assert_eq!(decode_result(LOG, &[9; 80]), None);
    }
}
