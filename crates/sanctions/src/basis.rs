//! How much of the log of `lists` an answer or an execution rests on.

use bytes::Bytes;
use tally_eventlog::consumer::ShardProgress;
use tally_eventlog::event::uuid_bytes;
use tally_proto::tally::sanctions::v1 as pb;
use uuid::Uuid;

/// How many records of one shard, and of which log: one that was restored from a
/// backup counts on under another id, from a lower number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct ListsBasis {
    /// Number of records that had been applied.
    pub records: u64,
    /// Id that the log had when the last of them was recorded; nil: not known.
    pub log_id: Uuid,
}

impl ListsBasis {
    /// What a reader has applied.
    pub fn of(reader: &ShardProgress) -> Self {
        Self {
            records: reader.next,
            log_id: reader.log_id,
        }
    }

    /// As it is stored. Anything but 16 bytes is no id.
    pub fn stored(records: u64, log_id: &[u8]) -> Self {
        Self {
            records,
            log_id: Uuid::from_slice(log_id).unwrap_or_default(),
        }
    }

    /// The id as it is stored; empty where it is not known.
    pub fn log_id(&self) -> Bytes {
        id_bytes(self.log_id)
    }

    /// True if the record that stopped an entry was among them. Two numbers of
    /// records can only be compared within one log.
    pub fn has_seen(&self, stop: &pb::Stop) -> bool {
        let stopped = Self::stored(stop.stopped_at, &stop.log_id);
        let comparable =
            self.log_id == stopped.log_id || self.log_id.is_nil() || stopped.log_id.is_nil();
        comparable && self.records >= stopped.records
    }
}

/// A log's id as it is stored; empty where there is none.
pub fn id_bytes(log_id: Uuid) -> Bytes {
    if log_id.is_nil() {
        return Bytes::new();
    }
    uuid_bytes(log_id)
}
