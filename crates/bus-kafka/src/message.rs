//! A record as a message: its bytes as the value, and in the headers what a
//! reader needs before it decodes them. No key: the partition is the shard, and
//! nothing about a person leaves the record.

use bytes::Bytes;
use prost::Message as _;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};
use tally_eventlog::event::{Recorded, StoredRecord};
use tally_eventlog::merkle::{Hash, leaf_hash};
use tally_eventlog::pb;
use tally_eventlog::relay::Outgoing;
use tally_eventlog::shard::{LogName, Shard};
use uuid::Uuid;

const POSITION: &str = "position";
const LEAF: &str = "leaf";
const EVENT_TYPE: &str = "event-type";
const TRACEPARENT: &str = "traceparent";

/// A message that is to be sent.
pub(crate) struct Sending<'a> {
    pub(crate) shard: Shard,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: OwnedHeaders,
    pub(crate) value: &'a [u8],
}

/// A record's message.
///
/// # Errors
///
/// The record cannot be decoded.
pub(crate) fn of_record(log: LogName, record: &StoredRecord) -> Result<Sending<'_>, String> {
    let recorded = Recorded::decode(log, record).map_err(|error| error.to_string())?;
    let envelope = recorded.envelope;
    let position = record.position.to_string();
    let mut headers = OwnedHeaders::new_with_capacity(4)
        .insert(header(POSITION, position.as_bytes()))
        .insert(header(LEAF, &record.leaf))
        .insert(header(EVENT_TYPE, envelope.event_type.as_bytes()));
    if !envelope.traceparent.is_empty() {
        headers = headers.insert(header(TRACEPARENT, envelope.traceparent.as_bytes()));
    }
    Ok(Sending {
        shard: record.shard,
        key: None,
        headers,
        value: &record.bytes,
    })
}

/// A message for outsiders.
pub(crate) fn of_outgoing(message: &Outgoing, shard: Shard) -> Sending<'_> {
    let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
    for (key, value) in &message.headers {
        headers = headers.insert(header(key, value.as_bytes()));
    }
    Sending {
        shard,
        key: Some(message.key.as_bytes()),
        headers,
        value: &message.value,
    }
}

fn header<'a>(key: &'a str, value: &'a [u8]) -> Header<'a, &'a [u8]> {
    Header {
        key,
        value: Some(value),
    }
}

/// A message, not yet decoded.
pub(crate) struct Arrived<'a> {
    /// Where it says that it belongs.
    pub(crate) position: u64,
    /// What it says its leaf is.
    pub(crate) leaf: Hash,
    /// The topic's offset after it.
    pub(crate) offset_after: u64,
    value: &'a [u8],
}

impl<'a> Arrived<'a> {
    /// Reads a message's headers; nothing where it is none of a relay's.
    pub(crate) fn of(message: &'a BorrowedMessage<'_>) -> Option<Self> {
        let headers = message.headers()?;
        let find = |key| headers.iter().find(|header| header.key == key)?.value;
        let position = std::str::from_utf8(find(POSITION)?).ok()?.parse().ok()?;
        Some(Self {
            position,
            leaf: find(LEAF)?.try_into().ok()?,
            offset_after: u64::try_from(message.offset()).ok()? + 1,
            value: message.payload()?,
        })
    }

    /// The record and the id of its log; nothing where it is not what the
    /// headers say.
    pub(crate) fn record(&self, shard: Shard) -> Option<(StoredRecord, Uuid)> {
        if leaf_hash(self.value) != self.leaf {
            return None;
        }
        let bytes = Bytes::copy_from_slice(self.value);
        let record = pb::Record::decode(bytes.clone()).ok()?;
        if record.shard != u32::from(shard.0) || record.position != self.position {
            return None;
        }
        let log_id = Uuid::from_slice(&record.log_id).ok()?;
        let stored = StoredRecord {
            shard,
            position: self.position,
            leaf: self.leaf,
            bytes,
        };
        Some((stored, log_id))
    }
}
