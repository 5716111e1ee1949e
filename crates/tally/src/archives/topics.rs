//! The topics that logs were relayed to, which have what a backup lacks.

use std::sync::Arc;

use tally_bus_kafka::{KafkaOptions, TopicError, TopicTail};
use tally_eventlog::BoxError;
use tally_eventlog::archive::{Tail, TailRecords};
use tally_eventlog::shard::{LogName, Shard};
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
            Ok(records) => Ok(Box::new(records.map(|record| Ok(record?)))),
            // Nothing was relayed, or it was deleted.
            Err(TopicError::Missing { .. }) => Ok(Box::new(std::iter::empty())),
            Err(error) => Err(error.into()),
        }
    }
}
