//! Topics of a benchmark's own, and Kafka's own producer test.

use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use tally_bus_kafka::{Access, KafkaOptions, TopicOptions, log_topic, prepare_topic};
use tally_eventlog::shard::ShardCount;
use tally_service::logs;
use tally_tests::processes::{delete_topics, service};
use tokio::process::Command;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::schema::Schema;

/// A topic.
pub struct Topic {
    /// Its name.
    pub name: String,
    prefix: String,
}

impl Topic {
    /// A fresh one, as the owner of a log makes it.
    pub async fn fresh(shards: ShardCount) -> Self {
        let prefix = format!("bench-{}", Uuid::new_v4().simple());
        let kafka = KafkaOptions {
            prefix: prefix.clone(),
            ..KafkaOptions::at(service("KAFKA_BROKERS"))
        };
        let name = log_topic(&kafka, logs::COLLECTION);
        let options = TopicOptions {
            replication: 1,
            min_insync: 1,
            ..TopicOptions::default()
        };
        prepare_topic(&kafka, &name, shards, Access::Owner(&options))
            .await
            .expect("the topic can be made");
        Self { name, prefix }
    }

    /// Deletes it.
    pub async fn delete(self) {
        let deleted = delete_topics(&self.prefix).await;
        deleted.expect("the cluster deletes it");
    }
}

/// Where the cluster is, for a client of a benchmark's own.
pub fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", service("KAFKA_BROKERS"));
    config
}

/// A bare producer with the relay's settings, and what it sends: the records of a log.
pub struct Producing {
    topic: Topic,
    producer: BaseProducer,
    /// Each with its partition.
    records: Vec<(i32, Vec<u8>)>,
}

impl Producing {
    /// Reads the records, and sends a first message, so that it is connected.
    pub async fn prepare(store: &Schema, shards: ShardCount) -> Self {
        let records =
            sqlx::query_as("SELECT ((id >> 40) & 65535)::int, record FROM event ORDER BY id");
        let connection = &mut store.connect().await;
        let records = records.fetch_all(connection).await;
        let topic = Topic::fresh(shards).await;
        let mut config = client();
        for (key, value) in AS_THE_RELAY {
            config.set(key, value);
        }
        config.set("queue.buffering.max.messages", "200000");
        let producing = Self {
            topic,
            producer: config.create().expect("a producer can be made"),
            records: records.expect("the rows can be read"),
        };
        producing.send(0, b"first");
        producing.flush();
        producing
    }

    /// Sends all, on a thread of its own; it ends when all is delivered.
    pub fn start(self) -> JoinHandle<Topic> {
        tokio::task::spawn_blocking(move || {
            for (partition, record) in &self.records {
                self.send(*partition, record);
            }
            self.flush();
            self.topic
        })
    }

    fn send(&self, partition: i32, value: &[u8]) {
        loop {
            let record = BaseRecord::<[u8], [u8]>::to(&self.topic.name);
            match self
                .producer
                .send(record.partition(partition).payload(value))
            {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.producer.poll(POLL);
                }
                Err((error, _)) => panic!("the message is not taken: {error}"),
            }
        }
        self.producer.poll(Duration::ZERO);
    }

    fn flush(&self) {
        let flushed = self.producer.flush(FLUSH_MAX);
        flushed.expect("all messages are delivered");
    }
}

/// The settings of the relay's producer, by the names that librdkafka shares with Kafka's own.
pub const AS_THE_RELAY: [(&str, &str); 5] = [
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("linger.ms", "2"),
    ("compression.type", "zstd"),
    ("compression.level", "1"),
];

/// How long a full queue is left alone.
const POLL: Duration = Duration::from_millis(5);

/// The longest that delivering may take.
const FLUSH_MAX: Duration = Duration::from_secs(60);

/// Kafka's own producer test: how long it takes for so many records of so many bytes, when
/// it has warmed up.
pub async fn producer_test(
    topic: &Topic,
    records: usize,
    bytes: usize,
    settings: &[(&str, &str)],
) -> Duration {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services.sh");
    let warm_up = records / 4;
    let mut command = Command::new(script);
    command
        .args([
            "kafka-tool",
            "ProducerPerformance",
            "--topic",
            &topic.name,
            "--throughput",
            "-1",
        ])
        .args(["--num-records", &(records + warm_up).to_string()])
        .args(["--warmup-records", &warm_up.to_string()])
        .args(["--record-size", &bytes.to_string()])
        .args(["--bootstrap-server", &service("KAFKA_BROKERS")])
        .arg("--command-property")
        .args(settings.iter().map(|(key, value)| format!("{key}={value}")));
    let done = command.output().await.expect("the script runs");
    let said = String::from_utf8_lossy(&done.stdout);
    let per_second = steady_rate(&said).unwrap_or_else(|| {
        let failed = String::from_utf8_lossy(&done.stderr);
        panic!("Kafka's producer test says no rate:\n{said}{failed}")
    });
    Duration::from_secs_f64(records as f64 / per_second)
}

/// Records a second, of the last line that says them: the one after the warm-up.
fn steady_rate(said: &str) -> Option<f64> {
    let line = said.lines().rfind(|line| line.contains(" records/sec"))?;
    let before = line.split(" records/sec").next()?;
    before.rsplit(' ').next()?.parse().ok()
}
