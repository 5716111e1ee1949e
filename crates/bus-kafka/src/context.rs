//! What librdkafka has to say, for the log.

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::{ClientContext, Statistics};
use tally_eventlog::throttle::Throttle;

/// Logs of clients. A broker that is away is told of several times a second.
static THROTTLE: Throttle = Throttle::minutely();

/// Context of every client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told;

impl ClientContext for Told {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        log(level, fac, message);
    }

    fn stats(&self, _: Statistics) {}

    fn error(&self, error: KafkaError, reason: &str) {
        tell(&error, reason);
    }
}

impl ConsumerContext for Told {}

pub(crate) fn log(level: RDKafkaLogLevel, fac: &str, message: &str) {
    match level {
        // That a setting of ours is an experiment of theirs is no news.
        _ if fac == "CONFWARN" => tracing::debug!(fac, message, "Kafka client"),
        RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
            tracing::debug!(fac, message, "Kafka client");
        }
        _ => {
            if let Some(held_back) = THROTTLE.pass(fac) {
                tracing::warn!(fac, message, held_back, "Kafka client");
            }
        }
    }
}

pub(crate) fn tell(error: &KafkaError, reason: &str) {
    let error = error.to_string();
    if let Some(held_back) = THROTTLE.pass(&error) {
        tracing::warn!(error, reason, held_back, "Kafka client");
    }
}
