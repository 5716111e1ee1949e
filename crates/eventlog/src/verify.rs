//! Verifies a log: bytes, positions, times, streams, leaf hashes and roots.

use std::collections::HashMap;

use bytes::Bytes;
use jiff::Timestamp;

use crate::event::Recorded;
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::sequence::Head;
use crate::shard::{LogName, Shard};
use crate::store::{FormerId, LogSource, StoreError};

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Position; nothing if it is about the whole shard.
    pub position: Option<u64>,
    /// Stable reason: `LEAF`, `POSITION`, `DECODE`, `TIME`, `STREAM`, `ROOT`.
    pub reason: &'static str,
    /// What is wrong.
    pub message: String,
}

/// Faults kept per shard; the count goes on.
pub const FAULTS_MAX: usize = 100;

/// Verification of one shard, fed with its records in order.
#[derive(Debug)]
pub struct ShardVerifier {
    log: LogName,
    shard: Shard,
    head: Head,
    former: Vec<FormerId>,
    frontier: Frontier,
    recorded_at: Timestamp,
    versions: HashMap<[u8; 16], u64>,
    /// What does not hold, the first [`FAULTS_MAX`] of it.
    pub faults: Vec<Fault>,
}

impl ShardVerifier {
    /// A verification up to a head that was read before, of a log that had these
    /// ids before its present one.
    pub fn new(log: LogName, shard: Shard, head: Head, former: Vec<FormerId>) -> Self {
        Self {
            log,
            shard,
            head,
            former,
            frontier: Frontier::default(),
            recorded_at: Timestamp::UNIX_EPOCH,
            versions: HashMap::new(),
            faults: Vec::new(),
        }
    }

    /// Takes the next record as it is stored: its bytes and its leaf hash.
    pub fn record(&mut self, position: u64, bytes: &Bytes, leaf: Hash) {
        let expected = self.frontier.size();
        if position != expected {
            self.fault(
                Some(position),
                "POSITION",
                format!("found where position {expected} should be"),
            );
        }
        let computed = leaf_hash(bytes);
        if computed != leaf {
            self.fault(
                Some(expected),
                "LEAF",
                "the stored bytes do not have the stored leaf hash".to_owned(),
            );
        }
        self.frontier.push(computed);
        self.contents(expected, bytes, leaf);
    }

    fn contents(&mut self, position: u64, bytes: &Bytes, leaf: Hash) {
        let stored = crate::event::StoredRecord {
            shard: self.shard,
            position,
            leaf,
            bytes: bytes.clone(),
        };
        let recorded = match Recorded::decode(self.log, &stored) {
            Ok(recorded) => recorded,
            Err(error) => return self.fault(Some(position), "DECODE", error.reason),
        };
        // The place inside the bytes is what travels; it must be the place it is stored at.
        match <crate::pb::Record as prost::Message>::decode(bytes.clone()) {
            Ok(record)
                if record.position == position && record.shard == u32::from(self.shard.0) => {}
            _ => self.fault(
                Some(position),
                "POSITION",
                "the record says that it belongs elsewhere".to_owned(),
            ),
        }
        let log_id = FormerId::at(&self.former, self.head.log_id, self.shard, position);
        if recorded.log_id != log_id {
            let message = format!(
                "the record is of log {}, where the log was {log_id}",
                recorded.log_id
            );
            self.fault(Some(position), "POSITION", message);
        }
        if recorded.recorded_at < self.recorded_at {
            self.fault(
                Some(position),
                "TIME",
                "recorded before the record before it".to_owned(),
            );
        }
        self.recorded_at = recorded.recorded_at;
        let stream = stream_hash(&recorded);
        let version = self.versions.get(&stream).map_or(0, |version| version + 1);
        if recorded.envelope.version != version {
            let message = format!(
                "stream {} has version {} where {version} should be",
                recorded.stream(),
                recorded.envelope.version
            );
            self.fault(Some(position), "STREAM", message);
        }
        self.versions.insert(stream, recorded.envelope.version);
    }

    /// Number of records taken.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// Ends the verification: size and root must be the head's. Returns the root.
    pub fn finish(&mut self) -> Hash {
        let root = self.frontier.root();
        if self.frontier.size() != self.head.size() {
            let message = format!(
                "{} records found, the head says {}",
                self.frontier.size(),
                self.head.size()
            );
            self.fault(None, "POSITION", message);
        } else if root != self.head.frontier.root() {
            self.fault(
                None,
                "ROOT",
                "the records do not have the head's Merkle root".to_owned(),
            );
        }
        root
    }

    fn fault(&mut self, position: Option<u64>, reason: &'static str, message: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault {
                position,
                reason,
                message,
            });
        }
    }
}

fn stream_hash(recorded: &Recorded) -> [u8; 16] {
    let hash = leaf_hash(recorded.stream().as_bytes());
    hash[..16].try_into().expect("16 of 32 bytes")
}

/// Verifies a shard of a log that can be read here.
///
/// # Errors
///
/// [`StoreError`]: the store cannot be read; retry.
pub async fn verify_shard(
    source: &dyn LogSource,
    log: LogName,
    shard: Shard,
    head: Head,
) -> Result<(Hash, Vec<Fault>), StoreError> {
    const BATCH: usize = 1_000;
    let size = head.size();
    let former = source.former_ids(log).await?;
    let mut verifier = ShardVerifier::new(log, shard, head, former);
    let mut next = 0;
    while next < size {
        let records = source.read_durable(log, shard, next, BATCH).await?;
        let Some(last) = records.last() else { break };
        let after = last.position + 1;
        for record in records.iter().take_while(|record| record.position < size) {
            verifier.record(record.position, &record.bytes, record.leaf);
        }
        next = after.max(next + 1);
    }
    let root = verifier.finish();
    Ok((root, verifier.faults))
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use uuid::Uuid;

    use super::*;
    use crate::event::to_proto_time;
    use crate::pb;

    const LOG: LogName = LogName("lists");

    fn record(id: Uuid) -> Bytes {
        let envelope = pb::Envelope {
            event_id: Bytes::copy_from_slice(id.as_bytes()),
            effective_at: Some(to_proto_time(Timestamp::UNIX_EPOCH)),
            ..pb::Envelope::default()
        };
        let record = pb::Record {
            log_id: Bytes::copy_from_slice(id.as_bytes()),
            shard: 0,
            position: 0,
            recorded_at: Some(to_proto_time(Timestamp::UNIX_EPOCH)),
            envelope: envelope.encode_to_vec().into(),
        };
        record.encode_to_vec().into()
    }

    fn reasons(leaf: Hash, head_leaf: Hash, bytes: &Bytes, id: Uuid) -> Vec<&'static str> {
        let mut head = Head::empty(id);
        head.frontier.push(head_leaf);
        let mut verifier = ShardVerifier::new(LOG, Shard(0), head, Vec::new());
        verifier.record(0, bytes, leaf);
        verifier.finish();
        verifier.faults.iter().map(|fault| fault.reason).collect()
    }

    #[test]
    fn leaf_and_root_are_each_held_against_the_bytes() {
        let id = Uuid::from_u128(7);
        let bytes = record(id);
        let leaf = leaf_hash(&bytes);
        assert_eq!(reasons(leaf, leaf, &bytes, id), [""; 0]);
        assert_eq!(reasons([1; 32], leaf, &bytes, id), ["LEAF"]);
        assert_eq!(reasons(leaf, [1; 32], &bytes, id), ["ROOT"]);
    }
}
