//! The topics that logs were relayed to, which have what a backup lacks.

use std::sync::Arc;

use tally_bus_kafka::{KafkaOptions, TopicError, TopicTail};
use tally_eventlog::BoxError;
use tally_eventlog::archive::{Tail, TailRecords};
use tally_eventlog::event::{DecodeError, Recorded, StoredRecord};
use tally_eventlog::shard::{LogName, Shard};
use tally_service::catalogue::event_type;
use tally_service::logs;
use uuid::Uuid;

use crate::role::Role;

/// The topics of a mesh.
pub(super) struct Topics {
    kafka: KafkaOptions,
}

impl Topics {
    /// On this cluster.
    pub(super) fn on(kafka: &KafkaOptions) -> Self {
        let kafka = kafka.clone();
        Self { kafka }
    }
}

impl Tail for Topics {
    fn records(
        &self,
        log: LogName,
        log_id: Uuid,
        shard: Shard,
        from: u64,
    ) -> Result<TailRecords, BoxError> {
        if !Role::owner_of(log)
            .relays()
            .any(|(relayed, _)| relayed == log)
        {
            return Ok(Box::new(std::iter::empty()));
        }
        let topic = Arc::new(TopicTail::open(&self.kafka, log)?);
        match topic.records(log_id, shard, from) {
            Ok(records) if log == logs::CATALOG => {
                let records: Result<Vec<_>, TopicError> = records.collect();
                let whole = whole_packs(records?)?;
                Ok(Box::new(whole.into_iter().map(Ok)))
            }
            Ok(records) => Ok(Box::new(records.map(|record| Ok(record?)))),
            // Nothing was relayed, or it was deleted.
            Err(TopicError::Missing { .. }) => Ok(Box::new(std::iter::empty())),
            Err(error) => Err(error.into()),
        }
    }
}

/// What of a catalogue's tail ends with a pack. A load is the one command with several
/// records, and the topic may have only the first of them: half a pack that is taken
/// back would have its command remembered as applied, and never become active.
fn whole_packs(mut records: Vec<StoredRecord>) -> Result<Vec<StoredRecord>, DecodeError> {
    while let Some(last) = records.last() {
        let last = Recorded::decode(logs::CATALOG, last)?;
        if last.envelope.event_type != event_type::PACK_ITEM_LOADED {
            break;
        }
        records.pop();
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost::bytes::Bytes;
    use tally_eventlog::pb;

    use super::*;

    fn record(position: u64, event_type: &str) -> StoredRecord {
        let envelope = pb::Envelope {
            event_type: event_type.to_owned(),
            effective_at: Some(prost_types::Timestamp::default()),
            ..Default::default()
        };
        let record = pb::Record {
            log_id: Bytes::copy_from_slice(Uuid::from_u128(1).as_bytes()),
            position,
            recorded_at: Some(prost_types::Timestamp::default()),
            envelope: envelope.encode_to_vec().into(),
            ..Default::default()
        };
        StoredRecord {
            shard: Shard(0),
            position,
            leaf: [0; 32],
            bytes: record.encode_to_vec().into(),
        }
    }

    #[test]
    fn half_a_pack_is_not_taken_back() {
        use event_type::{PACK_ACTIVATED, PACK_ITEM_LOADED};
        let cases: [(&[&str], usize); 4] = [
            (&[], 0),
            (&[PACK_ITEM_LOADED], 0),
            (&[PACK_ITEM_LOADED, PACK_ACTIVATED], 2),
            (
                &[
                    PACK_ITEM_LOADED,
                    PACK_ACTIVATED,
                    PACK_ITEM_LOADED,
                    PACK_ITEM_LOADED,
                ],
                2,
            ),
        ];
        for (types, kept) in cases {
            let records = (0..).zip(types).map(|(n, one)| record(n, one)).collect();
            let whole = whole_packs(records).expect("they decode");
            assert_eq!(whole.len(), kept, "{types:?}");
        }
    }
}
