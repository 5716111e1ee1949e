//! What the topic of a log still has after a backup: its records are those of the
//! log, so that a role is restored up to what others may have read of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tally_eventlog::event::StoredRecord;
use tally_eventlog::shard::{LogName, Shard};
use uuid::Uuid;

use crate::context::Told;
use crate::message::Arrived;
use crate::options::{KafkaOptions, SourceOptions, client};
use crate::topics::{TopicError, log_topic};

/// How long the cluster may take for an answer, or for more of a partition.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// How long one poll waits.
const POLL: Duration = Duration::from_millis(200);

/// The topic of a log, read from before to its end. It blocks: not for a task.
pub struct TopicTail {
    consumer: BaseConsumer<Told>,
    brokers: String,
    topic: String,
}

impl TopicTail {
    /// Opens the topic of a log.
    ///
    /// # Errors
    ///
    /// [`TopicError::Options`]: correct the setting.
    pub fn open(kafka: &KafkaOptions, log: LogName) -> Result<Self, TopicError> {
        let mut config = kafka.consumer(&SourceOptions::default())?;
        config.set("enable.partition.eof", "true");
        let consumer = config.create_with_context(Told).map_err(client)?;
        Ok(Self {
            consumer,
            brokers: kafka.brokers.clone(),
            topic: log_topic(kafka, log),
        })
    }

    /// The records of a shard from a position on, recorded under this id of the log:
    /// in order, each once, up to the first that the topic lacks.
    ///
    /// # Errors
    ///
    /// [`TopicError::Missing`] where there is no such topic, else
    /// [`TopicError::Unreachable`]: try again.
    pub fn records(
        self: &Arc<Self>,
        log_id: Uuid,
        shard: Shard,
        from: u64,
    ) -> Result<ShardTail, TopicError> {
        let partition = i32::from(shard.0);
        let known = self.consumer.fetch_metadata(Some(&self.topic), ANSWER_MAX);
        let known = known.map_err(|error| self.unreachable(&error))?;
        let there = known.topics().iter().flat_map(|topic| topic.partitions());
        if !there.into_iter().any(|one| one.id() == partition) {
            return Err(TopicError::Missing {
                topic: self.topic.clone(),
            });
        }
        let mut place = TopicPartitionList::new();
        place
            .add_partition_offset(&self.topic, partition, Offset::Beginning)
            .and_then(|()| self.consumer.assign(&place))
            .map_err(|error| self.unreachable(&error))?;
        Ok(ShardTail {
            topic: self.clone(),
            log_id,
            shard,
            next: from,
            ended: false,
        })
    }

    fn unreachable(&self, error: &KafkaError) -> TopicError {
        TopicError::Unreachable {
            brokers: self.brokers.clone(),
            reason: error.to_string(),
        }
    }
}

/// The records of a shard that its partition has. Of one topic, only the one that was
/// asked for last.
pub struct ShardTail {
    topic: Arc<TopicTail>,
    log_id: Uuid,
    shard: Shard,
    next: u64,
    ended: bool,
}

impl ShardTail {
    fn read(&mut self) -> Result<Option<StoredRecord>, TopicError> {
        // Since it said something: what is passed over may be days of records.
        let mut heard = Instant::now();
        while heard.elapsed() < ANSWER_MAX {
            let message = match self.topic.consumer.poll(POLL) {
                None => continue,
                Some(Ok(message)) => {
                    heard = Instant::now();
                    message
                }
                Some(Err(KafkaError::PartitionEOF(partition)))
                    if partition == i32::from(self.shard.0) =>
                {
                    return Ok(None);
                }
                // What else it says passes, or the time runs out.
                Some(Err(_)) => continue,
            };
            if message.partition() != i32::from(self.shard.0) {
                continue;
            }
            let arrived = Arrived::of(&message).filter(|arrived| arrived.position >= self.next);
            let Some(arrived) = arrived else { continue };
            // Of another id, or not what it says that it is: none of this log's.
            let record = arrived.record(self.shard);
            let Some((record, _)) = record.filter(|(_, log_id)| *log_id == self.log_id) else {
                continue;
            };
            if record.position > self.next {
                return Ok(None);
            }
            self.next += 1;
            return Ok(Some(record));
        }
        Err(TopicError::Unreachable {
            brokers: self.topic.brokers.clone(),
            reason: format!("nothing more of topic `{}` comes", self.topic.topic),
        })
    }
}

impl Iterator for ShardTail {
    type Item = Result<StoredRecord, TopicError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read().transpose();
        self.ended = !matches!(read, Some(Ok(_)));
        read
    }
}
