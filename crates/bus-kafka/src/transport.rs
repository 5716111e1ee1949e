//! Sends a relay's records to a topic.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, ThreadedProducer};
use tally_eventlog::event::StoredRecord;
use tally_eventlog::relay::{Delivered, Outward, Sent, Transport};
use tally_eventlog::shard::{LogName, Shard, ShardCount};

use crate::delivery::{Batch, Deliveries, Due};
use crate::message::{Sending, of_outgoing, of_record};
use crate::options::{KafkaOptions, OptionsError, TopicOptions};
use crate::topics::{Access, log_topic, prepare_topic, published_topic};

/// How long a full queue is left alone.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// How much later than librdkafka's own bound a delivery is given up.
const MARGIN: Duration = Duration::from_secs(5);

type Producer = ThreadedProducer<Deliveries>;

/// A topic, for a relay of a log's owner.
pub struct KafkaTransport {
    content: Content,
    topic: String,
    config: ClientConfig,
    delivery_max: Duration,
    current: Mutex<Current>,
    /// What the topic is made anew by where it is gone.
    kept: Option<Kept>,
}

struct Kept {
    kafka: KafkaOptions,
    options: TopicOptions,
    shards: ShardCount,
}

/// What the topic has of a record.
enum Content {
    /// The record itself.
    Record(LogName),
    /// What outsiders are told of it.
    Told(Arc<dyn Outward>),
}

/// The producer in use. Made when it is needed, so that a cluster that is away
/// at the start is no more than a failed delivery.
#[derive(Default)]
struct Current {
    number: u64,
    producer: Option<Arc<Producer>>,
}

impl KafkaTransport {
    /// A transport to the topic of a log, which [`prepare_topic`] has made.
    ///
    /// [`prepare_topic`]: crate::prepare_topic
    ///
    /// # Errors
    ///
    /// [`OptionsError`]: correct the setting.
    pub fn new(kafka: &KafkaOptions, log: LogName) -> Result<Self, OptionsError> {
        Self::to(kafka, log_topic(kafka, log), Content::Record(log))
    }

    /// A transport of what outsiders are told to the topic of that name, which
    /// [`prepare_topic`] has made.
    ///
    /// [`prepare_topic`]: crate::prepare_topic
    ///
    /// # Errors
    ///
    /// [`OptionsError`]: correct the setting.
    pub fn published(
        kafka: &KafkaOptions,
        name: &str,
        outward: Arc<dyn Outward>,
    ) -> Result<Self, OptionsError> {
        Self::to(kafka, published_topic(kafka, name), Content::Told(outward))
    }

    fn to(kafka: &KafkaOptions, topic: String, content: Content) -> Result<Self, OptionsError> {
        Ok(Self {
            content,
            topic,
            config: kafka.producer()?,
            delivery_max: kafka.delivery_timeout + MARGIN,
            current: Mutex::default(),
            kept: None,
        })
    }

    /// The same, which makes the topic anew where it is gone: a topic that was
    /// deleted is no reason to start the owner again.
    #[must_use]
    pub fn keeping(
        mut self,
        kafka: &KafkaOptions,
        options: TopicOptions,
        shards: ShardCount,
    ) -> Self {
        self.kept = Some(Kept {
            kafka: kafka.clone(),
            options,
            shards,
        });
        self
    }

    /// Sees to the topic, before a producer takes the place of one that failed.
    async fn see_to_topic(&self) -> Result<(), String> {
        let first = {
            let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            current.number == 0 || current.producer.is_some()
        };
        let Some(kept) = self.kept.as_ref().filter(|_| !first) else {
            return Ok(());
        };
        let access = Access::Owner(&kept.options);
        let seen = prepare_topic(&kept.kafka, &self.topic, kept.shards, access).await;
        seen.map_err(|error| error.to_string())
    }

    fn producer(&self) -> (u64, Result<Arc<Producer>, KafkaError>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = &current.producer {
            return (current.number, Ok(producer.clone()));
        }
        let made: Result<Producer, _> = self.config.create_with_context(Deliveries);
        let made = made.map(Arc::new);
        current.producer = made.as_ref().ok().cloned();
        (current.number, made)
    }

    /// Hands a producer what the topic has of these records.
    async fn enqueue_all(
        &self,
        producer: &Producer,
        records: &[StoredRecord],
        batch: &Batch,
    ) -> Result<(), (usize, String)> {
        match &self.content {
            Content::Record(log) => {
                for (index, record) in records.iter().enumerate() {
                    let sending = of_record(*log, record).map_err(|reason| (index, reason))?;
                    let enqueued = self.enqueue(producer, sending, batch.due(index)).await;
                    enqueued.map_err(|reason| (index, reason))?;
                }
            }
            Content::Told(outward) => {
                let told = outward.messages(records).await;
                for message in told.map_err(|reason| (0, reason))? {
                    let place = |record: &StoredRecord| record.position == message.position;
                    let index = records.iter().position(place);
                    let index = index.ok_or((0, "it is told of another record".to_owned()))?;
                    let sending = of_outgoing(&message, records[index].shard);
                    let enqueued = self.enqueue(producer, sending, batch.due(index)).await;
                    enqueued.map_err(|reason| (index, reason))?;
                }
            }
        }
        Ok(())
    }

    /// Hands a producer one message, as soon as it has room for it.
    async fn enqueue(
        &self,
        producer: &Producer,
        sending: Sending<'_>,
        due: Due,
    ) -> Result<(), String> {
        let mut message = BaseRecord::<[u8], [u8], _>::with_opaque_to(&self.topic, Box::new(due))
            .partition(i32::from(sending.shard.0))
            .payload(sending.value)
            .headers(sending.headers);
        message.key = sending.key;
        loop {
            match producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    message = back;
                    tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                }
                Err((error, _)) => return Err(error.to_string()),
            }
        }
    }
}

#[async_trait]
impl Transport for KafkaTransport {
    async fn send(&self, _shard: Shard, records: &[StoredRecord]) -> Sent {
        let seen = self.see_to_topic().await;
        let (number, producer) = self.producer();
        let (batch, done) = Batch::new(records.len());
        match (seen, producer) {
            (Ok(()), Ok(producer)) => {
                let enqueued = self.enqueue_all(&producer, records, &batch).await;
                if let Err((index, reason)) = enqueued {
                    batch.failed(index, reason);
                }
            }
            (Err(reason), _) => batch.failed(0, reason),
            (_, Err(error)) => batch.failed(0, error.to_string()),
        }
        batch.settle();
        let given_up = tokio::time::timeout(self.delivery_max, done);
        let delivery = given_up.map(|known| match known {
            Ok(Ok(delivered)) => delivered,
            _ => Delivered {
                records: 0,
                failure: Some("the producer does not say what became of the records".to_owned()),
            },
        });
        Sent {
            producer: number,
            delivery: delivery.boxed(),
        }
    }

    fn discard(&self, producer: u64) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.number == producer {
            current.number += 1;
            end(current.producer.take());
        }
    }
}

impl Drop for KafkaTransport {
    fn drop(&mut self) {
        let current = self.current.get_mut();
        end(current
            .unwrap_or_else(PoisonError::into_inner)
            .producer
            .take());
    }
}

/// Ends a producer elsewhere: it waits for its threads, and for half a second
/// for what it still holds.
fn end(producer: Option<Arc<Producer>>) {
    if let Some(producer) = producer {
        std::thread::spawn(move || drop(producer));
    }
}
