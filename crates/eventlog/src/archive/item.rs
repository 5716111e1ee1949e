//! The items of an archive's files: protobuf messages, each after its length.
//! Fields are only ever added.

use bytes::{Buf as _, Bytes};
use jiff::{SignedDuration, Timestamp};
use prost::Message;
use uuid::Uuid;

use super::{CheckpointPart, LogPart, RowPart, StoreFacts};
use crate::append::Checkpoint;
use crate::encoding::{decode_result, encode_result};
use crate::event::StoredRecord;
use crate::merkle::{Frontier, Hash, leaf_hash};
use crate::sequence::{CommandRef, Head, Remembered};
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::FormerId;

#[derive(Clone, PartialEq, Message)]
pub(super) struct StoreItem {
    #[prost(uint32, tag = "1")]
    shards: u32,
    /// Distance of the movable clock, ISO 8601; empty where there is none.
    #[prost(string, tag = "2")]
    ahead: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LogItem {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(bytes = "bytes", tag = "2")]
    id: Bytes,
    #[prost(message, repeated, tag = "3")]
    heads: Vec<HeadItem>,
    #[prost(message, repeated, tag = "4")]
    former: Vec<FormerItem>,
}

/// An id that the log had, and how many records of each shard are left of it.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FormerItem {
    #[prost(bytes = "bytes", tag = "1")]
    id: Bytes,
    #[prost(uint64, repeated, tag = "2")]
    sizes: Vec<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct HeadItem {
    #[prost(uint64, tag = "1")]
    size: u64,
    #[prost(bytes = "bytes", tag = "2")]
    leaf: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    frontier: Bytes,
    #[prost(string, tag = "4")]
    recorded_at: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RecordItem {
    #[prost(uint32, tag = "1")]
    pub(super) shard: u32,
    #[prost(uint64, tag = "2")]
    position: u64,
    /// The record as it is stored; its leaf hash follows from it.
    #[prost(bytes = "bytes", tag = "3")]
    record: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CommandItem {
    #[prost(string, tag = "1")]
    pub(super) log: String,
    #[prost(string, tag = "2")]
    department: String,
    #[prost(bytes = "bytes", tag = "3")]
    id: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    digest: Bytes,
    /// As [`encode_result`] writes it.
    #[prost(bytes = "bytes", tag = "5")]
    result: Bytes,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct CheckpointItem {
    #[prost(string, tag = "1")]
    consumer: String,
    #[prost(uint32, tag = "2")]
    shard: u32,
    #[prost(uint64, tag = "3")]
    next: u64,
    #[prost(bytes = "bytes", tag = "4")]
    log_id: Bytes,
    #[prost(bytes = "bytes", tag = "5")]
    leaf: Bytes,
    #[prost(string, tag = "6")]
    seen_at: String,
    #[prost(uint64, optional, tag = "7")]
    hint: Option<u64>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct RowItem {
    #[prost(string, tag = "1")]
    view: String,
    #[prost(uint32, tag = "2")]
    shard: u32,
    #[prost(bytes = "bytes", tag = "3")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "4")]
    value: Bytes,
}

impl StoreItem {
    pub(super) fn of(facts: &StoreFacts) -> Self {
        Self {
            shards: u32::from(facts.shards.get()),
            ahead: facts
                .ahead
                .map(|ahead| ahead.to_string())
                .unwrap_or_default(),
        }
    }

    pub(super) fn read(&self) -> Option<StoreFacts> {
        let ahead = match self.ahead.as_str() {
            "" => None,
            text => Some(text.parse::<SignedDuration>().ok()?),
        };
        let shards = ShardCount::new(u16::try_from(self.shards).ok()?).ok()?;
        Some(StoreFacts { shards, ahead })
    }
}

impl LogItem {
    pub(super) fn of(log: &LogPart) -> Self {
        let head = |head: &Head| HeadItem {
            size: head.size(),
            leaf: bytes(&head.leaf),
            frontier: head.frontier.to_bytes().into(),
            recorded_at: head.recorded_at.to_string(),
        };
        let former = |former: &FormerId| FormerItem {
            id: uuid(former.log_id),
            sizes: former.sizes.clone(),
        };
        Self {
            name: log.name.0.to_owned(),
            id: uuid(log.id),
            heads: log.heads.iter().map(head).collect(),
            former: log.former.iter().map(former).collect(),
        }
    }

    pub(super) fn read(&self, name: LogName) -> Option<LogPart> {
        let id = Uuid::from_slice(&self.id).ok()?;
        let head = |head: &HeadItem| {
            Some(Head {
                log_id: id,
                recorded_at: head.recorded_at.parse().ok()?,
                leaf: hash(&head.leaf)?,
                frontier: Frontier::from_bytes(head.size, &head.frontier)?,
            })
        };
        let former = |former: &FormerItem| {
            Some(FormerId {
                log_id: Uuid::from_slice(&former.id).ok()?,
                sizes: former.sizes.clone(),
            })
        };
        Some(LogPart {
            name,
            id,
            former: self.former.iter().map(former).collect::<Option<_>>()?,
            heads: self.heads.iter().map(head).collect::<Option<_>>()?,
        })
    }
}

impl RecordItem {
    pub(super) fn of(record: &StoredRecord) -> Self {
        Self {
            shard: u32::from(record.shard.0),
            position: record.position,
            record: record.bytes.clone(),
        }
    }

    pub(super) fn read(&self) -> Option<StoredRecord> {
        Some(StoredRecord {
            shard: shard(self.shard)?,
            position: self.position,
            leaf: leaf_hash(&self.record),
            bytes: self.record.clone(),
        })
    }
}

impl CommandItem {
    pub(super) fn of((log, department, id): &CommandRef, remembered: &Remembered) -> Self {
        Self {
            log: log.0.to_owned(),
            department: department.clone(),
            id: uuid(*id),
            digest: bytes(&remembered.digest),
            result: encode_result(&remembered.first).into(),
        }
    }

    pub(super) fn read(&self, log: LogName) -> Option<(CommandRef, Remembered)> {
        let id = Uuid::from_slice(&self.id).ok()?;
        let remembered = Remembered {
            digest: hash(&self.digest)?,
            first: decode_result(log, &self.result)?,
        };
        Some(((log, self.department.clone(), id), remembered))
    }
}

impl CheckpointItem {
    pub(super) fn of(part: &CheckpointPart) -> Self {
        let at = &part.checkpoint;
        Self {
            consumer: part.consumer.clone(),
            shard: u32::from(part.shard.0),
            next: at.next,
            log_id: uuid(at.log_id),
            leaf: bytes(&at.leaf),
            seen_at: at.seen_at.to_string(),
            hint: at.hint,
        }
    }

    pub(super) fn read(&self) -> Option<CheckpointPart> {
        let seen_at: Timestamp = self.seen_at.parse().ok()?;
        Some(CheckpointPart {
            consumer: self.consumer.clone(),
            shard: shard(self.shard)?,
            checkpoint: Checkpoint {
                next: self.next,
                log_id: Uuid::from_slice(&self.log_id).ok()?,
                leaf: hash(&self.leaf)?,
                seen_at,
                epoch: 0,
                hint: self.hint,
            },
        })
    }
}

impl RowItem {
    pub(super) fn of(row: &RowPart) -> Self {
        Self {
            view: row.view.clone(),
            shard: u32::from(row.shard.0),
            key: row.key.clone(),
            value: row.value.clone(),
        }
    }

    pub(super) fn read(&self) -> Option<RowPart> {
        Some(RowPart {
            view: self.view.clone(),
            shard: shard(self.shard)?,
            key: self.key.clone(),
            value: self.value.clone(),
        })
    }
}

/// Reads the next item of a file's bytes.
pub(super) fn decode<M: Message + Default>(frame: Bytes) -> Option<M> {
    let mut frame = frame;
    let item = M::decode(&mut frame).ok()?;
    (!frame.has_remaining()).then_some(item)
}

fn bytes(hash: &Hash) -> Bytes {
    Bytes::copy_from_slice(hash)
}

fn hash(bytes: &Bytes) -> Option<Hash> {
    bytes.as_ref().try_into().ok()
}

fn uuid(id: Uuid) -> Bytes {
    Bytes::copy_from_slice(id.as_bytes())
}

fn shard(number: u32) -> Option<Shard> {
    u16::try_from(number).ok().map(Shard)
}
