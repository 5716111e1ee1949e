//! Sends a relay's records to a topic.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Statistics};
use tally_eventlog::event::StoredRecord;
use tally_eventlog::relay::{Delivered, Sent, Transport};
use tally_eventlog::shard::{LogName, Shard};
use tokio::sync::oneshot;

use crate::context;
use crate::message::headers;
use crate::options::{KafkaOptions, OptionsError};
use crate::topics::log_topic;

/// How long a full queue is left alone.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// How much later than librdkafka's own bound a delivery is given up.
const MARGIN: Duration = Duration::from_secs(5);

type Producer = ThreadedProducer<Deliveries>;

/// The topic of a log, for the relay of its owner.
pub struct KafkaTransport {
    log: LogName,
    topic: String,
    config: ClientConfig,
    delivery_max: Duration,
    current: Mutex<Current>,
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
        Ok(Self {
            log,
            topic: log_topic(kafka, log),
            config: kafka.producer()?,
            delivery_max: kafka.delivery_timeout + MARGIN,
            current: Mutex::default(),
        })
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

    /// Enqueues one record.
    async fn enqueue(
        &self,
        producer: &Producer,
        record: &StoredRecord,
        due: Due,
    ) -> Result<(), String> {
        let headers = headers(self.log, record)?;
        let mut message = BaseRecord::<(), [u8], _>::with_opaque_to(&self.topic, Box::new(due))
            .partition(i32::from(record.shard.0))
            .payload(&record.bytes)
            .headers(headers);
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
        let (number, producer) = self.producer();
        let (batch, done) = Batch::new(records.len());
        match producer {
            Ok(producer) => {
                for (index, record) in records.iter().enumerate() {
                    let due = batch.due(index);
                    if let Err(reason) = self.enqueue(&producer, record, due).await {
                        batch.failed(index, reason);
                        break;
                    }
                }
            }
            Err(error) => batch.failed(0, error.to_string()),
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

/// What is known of the deliveries of one batch.
#[derive(Clone)]
struct Batch(Arc<Mutex<BatchState>>);

struct BatchState {
    /// Messages whose delivery is not known, and one while they are enqueued.
    open: usize,
    /// Records from the front before the first that failed.
    good: usize,
    failure: Option<String>,
    done: Option<oneshot::Sender<Delivered>>,
}

impl Batch {
    fn new(records: usize) -> (Self, oneshot::Receiver<Delivered>) {
        let (done, known) = oneshot::channel();
        let state = BatchState {
            open: 1,
            good: records,
            failure: None,
            done: Some(done),
        };
        (Self(Arc::new(Mutex::new(state))), known)
    }

    fn due(&self, record: usize) -> Due {
        self.with(|state| state.open += 1);
        Due {
            batch: self.clone(),
            record,
        }
    }

    fn failed(&self, record: usize, reason: String) {
        self.with(|state| {
            if record < state.good {
                state.good = record;
                state.failure = Some(reason);
            }
        });
    }

    fn settle(&self) {
        self.with(|state| {
            state.open -= 1;
            if state.open == 0
                && let Some(done) = state.done.take()
            {
                // A relay that has ended does not want to know.
                let _ = done.send(Delivered {
                    records: state.good,
                    failure: state.failure.take(),
                });
            }
        });
    }

    fn with(&self, change: impl FnOnce(&mut BatchState)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// A message whose delivery is not known yet.
struct Due {
    batch: Batch,
    record: usize,
}

impl Drop for Due {
    fn drop(&mut self) {
        self.batch.settle();
    }
}

/// Context of producers: hears of deliveries.
struct Deliveries;

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        context::log(level, fac, message);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        context::tell(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Due>;

    fn delivery(&self, result: &DeliveryResult<'_>, due: Box<Due>) {
        if let Err((error, _)) = result {
            due.batch.failed(due.record, error.to_string());
        }
    }
}
