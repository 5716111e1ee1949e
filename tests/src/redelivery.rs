//! Records that Kafka delivers again.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Message as _, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::patience::{PATIENCE, PAUSE};

/// Bound on what is asked of the cluster.
const REQUEST: Duration = Duration::from_secs(20);

/// The newest records of each shard that are sent again, in order.
const RANGE: usize = 40;

/// Sends records of a topic again, as an owner does that does not know what became of
/// them: old ones, the newest first, and then the newest in their order. Returns how many.
///
/// # Panics
///
/// If the cluster does not answer or take them.
pub async fn deliver_again(topic: String) -> usize {
    let reading = topic.clone();
    let partitions = tokio::task::spawn_blocking(move || read(&reading)).await;
    let partitions = partitions.expect("no panic");
    let producer: FutureProducer = config().create().expect("a producer");
    let mut under_way = Vec::new();
    for messages in &partitions {
        let old = messages.iter().rev().step_by(3);
        let range = &messages[messages.len().saturating_sub(RANGE)..];
        for message in old.chain(range) {
            let record = FutureRecord::<(), [u8]> {
                topic: &topic,
                partition: Some(message.partition()),
                payload: message.payload(),
                key: None,
                timestamp: None,
                headers: message.headers().cloned(),
            };
            let delivered = producer.send_result(record);
            let delivered = delivered.unwrap_or_else(|(error, _)| panic!("{error}"));
            under_way.push(delivered);
        }
    }
    let sent = under_way.len();
    for delivered in under_way {
        let delivered = delivered.await.expect("an answer");
        delivered.expect("it is delivered");
    }
    sent
}

fn config() -> ClientConfig {
    let brokers = std::env::var("KAFKA_BROKERS").expect("the mesh needed it");
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "reads-only")
        .set("enable.auto.commit", "false");
    config
}

/// What each partition of a topic has now.
fn read(topic: &str) -> Vec<Vec<OwnedMessage>> {
    let consumer: BaseConsumer = config().create().expect("a consumer");
    let partitions = answered(|| {
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST)?;
        let found = &metadata.topics()[0];
        match found.error() {
            Some(error) => Err(KafkaError::MetadataFetch(error.into())),
            None => Ok(found
                .partitions()
                .iter()
                .map(|one| one.id())
                .collect::<Vec<_>>()),
        }
    });
    let partitions = partitions.into_iter();
    partitions
        .map(|partition| read_partition(&consumer, topic, partition))
        .collect()
}

/// Asks a cluster again that has just been without the topic, or away.
fn answered<T>(ask: impl Fn() -> KafkaResult<T>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
        }
        std::thread::sleep(PAUSE);
    }
}

fn read_partition(consumer: &BaseConsumer, topic: &str, partition: i32) -> Vec<OwnedMessage> {
    let (low, high) = answered(|| consumer.fetch_watermarks(topic, partition, REQUEST));
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(low))
        .expect("an offset");
    consumer.assign(&list).expect("it is assigned");
    let mut messages = Vec::new();
    while messages.len() < usize::try_from(high - low).expect("they are few") {
        let message = answered(|| consumer.poll(REQUEST).expect("a message in time"));
        messages.push(message.detach());
    }
    messages
}
