//! What became of the messages of a batch.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use rdkafka::{ClientContext, Statistics};
use tally_eventlog::relay::Delivered;
use tokio::sync::oneshot;

use crate::context;

/// What is known of the deliveries of one batch.
#[derive(Clone)]
pub(crate) struct Batch(Arc<Mutex<BatchState>>);

struct BatchState {
    /// Messages whose delivery is not known, and one while they are enqueued.
    open: usize,
    /// Records from the front before the first that failed.
    good: usize,
    failure: Option<String>,
    done: Option<oneshot::Sender<Delivered>>,
}

impl Batch {
    pub(crate) fn new(records: usize) -> (Self, oneshot::Receiver<Delivered>) {
        let (done, known) = oneshot::channel();
        let state = BatchState {
            open: 1,
            good: records,
            failure: None,
            done: Some(done),
        };
        (Self(Arc::new(Mutex::new(state))), known)
    }

    pub(crate) fn due(&self, record: usize) -> Due {
        self.with(|state| state.open += 1);
        Due {
            batch: self.clone(),
            record,
        }
    }

    pub(crate) fn failed(&self, record: usize, reason: String) {
        self.with(|state| {
            if record < state.good {
                state.good = record;
                state.failure = Some(reason);
            }
        });
    }

    pub(crate) fn settle(&self) {
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
pub(crate) struct Due {
    batch: Batch,
    record: usize,
}

impl Drop for Due {
    fn drop(&mut self) {
        self.batch.settle();
    }
}

/// Context of producers: hears of deliveries.
pub(crate) struct Deliveries;

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
