//! The topics: their names, and that they are what the log needs.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use tally_eventlog::shard::{LogName, ShardCount};

use crate::context::Told;
use crate::options::{KafkaOptions, MESSAGE_BYTES_MAX, OptionsError, TopicOptions, client};

/// Bound on a request to the cluster.
const REQUEST: Duration = Duration::from_secs(10);

/// Bound on a topic's appearing once it is created.
const APPEARS: Duration = Duration::from_secs(20);

/// What the caller is to the topic.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// The owner of the log creates the topic where it is missing.
    Owner(&'a TopicOptions),
    /// Whoever reads only finds out.
    Reader,
}

/// Why a topic cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// A setting is wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The cluster does not answer.
    #[error(
        "Kafka at {brokers} does not answer: {reason}; start it, or correct the address or the security settings"
    )]
    Unreachable {
        /// Where it was sought.
        brokers: String,
        /// Why.
        reason: String,
    },
    /// There is none.
    #[error(
        "Kafka has no topic `{topic}`; the role that owns the log creates it when it starts: start that first"
    )]
    Missing {
        /// The topic.
        topic: String,
    },
    /// Partition is shard, so that the numbers must agree.
    #[error(
        "topic `{topic}` has {found} partitions and the log {shards} shards; stop the readers, delete the \
         topic and start the owner, which creates it anew: the log has all that was in it"
    )]
    PartitionCount {
        /// The topic.
        topic: String,
        /// Its partitions.
        found: usize,
        /// Shards of the log.
        shards: u16,
    },
    /// The cluster refuses to create it.
    #[error(
        "Kafka refuses to create topic `{topic}`: {reason}; correct the topic's options, or create it by hand with {shards} partitions"
    )]
    Refused {
        /// The topic.
        topic: String,
        /// Why.
        reason: String,
        /// Shards of the log.
        shards: u16,
    },
}

/// Name of a log's topic.
pub fn log_topic(kafka: &KafkaOptions, log: LogName) -> String {
    format!("{}.{log}.log", kafka.prefix)
}

/// Name of a topic for outsiders.
pub fn published_topic(kafka: &KafkaOptions, name: &str) -> String {
    format!("{}.published.{name}", kafka.prefix)
}

/// Makes sure that a topic exists and has a partition per shard.
///
/// # Errors
///
/// [`TopicError`]; it says what to do.
pub async fn prepare_topic(
    kafka: &KafkaOptions,
    topic: &str,
    shards: ShardCount,
    access: Access<'_>,
) -> Result<(), TopicError> {
    if let Some(found) = partitions(kafka, topic).await? {
        return verify(topic, found, shards);
    }
    let Access::Owner(options) = access else {
        return Err(TopicError::Missing {
            topic: topic.to_owned(),
        });
    };
    create(kafka, topic, shards, options).await?;
    let began = tokio::time::Instant::now();
    loop {
        match partitions(kafka, topic).await? {
            Some(found) => return verify(topic, found, shards),
            None if began.elapsed() > APPEARS => {
                return Err(TopicError::Missing {
                    topic: topic.to_owned(),
                });
            }
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn verify(topic: &str, found: usize, shards: ShardCount) -> Result<(), TopicError> {
    if found == usize::from(shards.get()) {
        return Ok(());
    }
    Err(TopicError::PartitionCount {
        topic: topic.to_owned(),
        found,
        shards: shards.get(),
    })
}

async fn create(
    kafka: &KafkaOptions,
    topic: &str,
    shards: ShardCount,
    options: &TopicOptions,
) -> Result<(), TopicError> {
    let admin: AdminClient<Told> = kafka.client()?.create_with_context(Told).map_err(client)?;
    let retention = options.retention.as_millis().to_string();
    let bytes_max = MESSAGE_BYTES_MAX.to_string();
    let min_insync = options.min_insync.to_string();
    let replication = TopicReplication::Fixed(options.replication);
    let new = NewTopic::new(topic, i32::from(shards.get()), replication)
        .set("cleanup.policy", "delete")
        .set("retention.ms", &retention)
        .set("min.insync.replicas", &min_insync)
        .set("max.message.bytes", &bytes_max)
        // As the relay has compressed it.
        .set("compression.type", "producer");
    let asked = AdminOptions::new().request_timeout(Some(REQUEST));
    let created = admin.create_topics([&new], &asked).await;
    let refused = |reason: String| TopicError::Refused {
        topic: topic.to_owned(),
        reason,
        shards: shards.get(),
    };
    let created = created.map_err(|error| refused(error.to_string()))?;
    match created.into_iter().next() {
        // Another replica of the owner was first.
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(refused(code.to_string())),
        None => Err(refused("it says nothing".to_owned())),
    }
}

/// Partitions of a topic; nothing where there is none.
async fn partitions(kafka: &KafkaOptions, topic: &str) -> Result<Option<usize>, TopicError> {
    metadata(kafka, topic, REQUEST, |found| found.partitions().len()).await
}

/// What the cluster says of a topic; nothing where there is none.
pub(crate) async fn metadata<T: Send + 'static>(
    kafka: &KafkaOptions,
    topic: &str,
    bound: Duration,
    read: impl FnOnce(&MetadataTopic) -> T + Send + 'static,
) -> Result<Option<T>, TopicError> {
    let consumer: BaseConsumer<Told> = kafka.client()?.create_with_context(Told).map_err(client)?;
    let name = topic.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let metadata = consumer.fetch_metadata(Some(&name), bound)?;
        let found = metadata.topics().iter().find(|found| found.name() == name);
        Ok(found.filter(|found| found.error().is_none()).map(read))
    });
    let asked: Result<_, KafkaError> = asked.await.expect("asking does not panic");
    asked.map_err(|error| TopicError::Unreachable {
        brokers: kafka.brokers.clone(),
        reason: error.to_string(),
    })
}
