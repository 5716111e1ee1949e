//! A topic of its own for a test, on the cluster of the environment.

use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tally_bus_kafka::{
    Access, KafkaOptions, KafkaSource, KafkaTransport, SourceOptions, TopicOptions, log_topic,
    prepare_topic,
};
use tally_eventlog::conformance::bus::{BusFixture, LOG, SourceSetup};
use tally_eventlog::relay::Transport;
use tally_eventlog::shard::{Shard, ShardCount};
use tally_eventlog::store::LogSource;
use uuid::Uuid;

/// Bound on what is asked of the cluster.
pub const REQUEST: Duration = Duration::from_secs(20);

/// Where the cluster is.
pub fn brokers() -> String {
    std::env::var("KAFKA_BROKERS")
        .expect("KAFKA_BROKERS names a Kafka cluster for tests; `make services` starts one")
}

/// The cluster, with names of this test's own.
pub fn kafka() -> KafkaOptions {
    KafkaOptions {
        prefix: format!("test-{}", Uuid::now_v7().simple()),
        delivery_timeout: Duration::from_secs(5),
        ..KafkaOptions::at(brokers())
    }
}

/// Topics on a cluster of one broker.
pub fn topic_options() -> TopicOptions {
    TopicOptions {
        replication: 1,
        min_insync: 1,
        ..TopicOptions::default()
    }
}

/// A client that changes topics.
pub fn admin() -> AdminClient<DefaultClientContext> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config.create().expect("a client can be made")
}

/// A client that only asks.
pub fn asking() -> BaseConsumer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    config.create().expect("a client can be made")
}

/// Deletes a topic, and waits until it is gone.
pub async fn delete_topic(topic: &str) {
    let options = AdminOptions::new().operation_timeout(Some(REQUEST));
    let deleted = admin().delete_topics(&[topic], &options).await;
    let mut deleted = deleted.expect("the cluster answers");
    deleted.remove(0).expect("it can be deleted");
    let began = Instant::now();
    // A broker knows it for a moment longer than the controller does.
    while partitions(topic) > 0 {
        assert!(began.elapsed() < REQUEST, "the topic stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Partitions of a topic; none where it is gone.
fn partitions(topic: &str) -> usize {
    let metadata = asking().fetch_metadata(Some(topic), REQUEST);
    let metadata = metadata.expect("the cluster answers");
    metadata.topics()[0].partitions().len()
}

/// The topic of a log, for a test.
pub struct Kafka {
    /// The cluster.
    pub options: KafkaOptions,
    /// The topic.
    pub topic: String,
    shards: ShardCount,
    sources: Mutex<Vec<Weak<KafkaSource>>>,
}

impl Kafka {
    async fn prepare(&self) {
        let options = topic_options();
        let access = Access::Owner(&options);
        let prepared = prepare_topic(&self.options, &self.topic, self.shards, access).await;
        prepared.expect("the topic can be made");
    }

    /// The offset after the last message of a partition.
    pub fn end(&self, shard: Shard) -> i64 {
        let ends = asking().fetch_watermarks(&self.topic, i32::from(shard.0), REQUEST);
        ends.expect("the cluster answers").1
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // On a thread of its own: a test's runtime may be ending.
        let topic = self.topic.clone();
        let deleting = std::thread::spawn(move || {
            let options = AdminOptions::new();
            // Whoever looks for what was left finds it by its name.
            let _ = futures::executor::block_on(admin().delete_topics(&[&topic], &options));
        });
        let _ = deleting.join();
    }
}

#[async_trait]
impl BusFixture for Kafka {
    async fn create(shards: ShardCount) -> Self {
        let options = kafka();
        let topic = log_topic(&options, LOG);
        let bus = Self {
            options,
            topic,
            shards,
            sources: Mutex::default(),
        };
        bus.prepare().await;
        bus
    }

    async fn transport(&self) -> Option<Arc<dyn Transport>> {
        let transport = KafkaTransport::new(&self.options, LOG);
        Some(Arc::new(transport.expect("the settings are right")))
    }

    async fn source(&self, setup: SourceSetup) -> Arc<dyn LogSource> {
        let options = SourceOptions {
            poll: setup.poll,
            stalled_after: setup.stalled_after,
            records_max: setup.records_max,
            ..SourceOptions::default()
        };
        let source = KafkaSource::open(&self.options, LOG, setup.owner, setup.clock, options);
        let source = Arc::new(source.expect("the settings are right"));
        let mut sources = self.sources.lock().expect("nobody panicked with it");
        sources.push(Arc::downgrade(&source));
        source
    }

    async fn lose_all(&self) {
        delete_topic(&self.topic).await;
        self.prepare().await;
    }

    async fn expire(&self, shard: Shard) {
        let mut before = TopicPartitionList::new();
        let end = Offset::Offset(self.end(shard));
        before
            .add_partition_offset(&self.topic, i32::from(shard.0), end)
            .expect("it is an offset");
        let options = AdminOptions::new();
        let deleted = admin().delete_records(&before, &options).await;
        deleted.expect("the cluster deletes records");
    }

    fn held_max(&self, source: &dyn LogSource, shard: Shard) -> Option<usize> {
        let sources = self.sources.lock().expect("nobody panicked with it");
        let mut sources = sources.iter().filter_map(Weak::upgrade);
        let found = sources.find(|known| std::ptr::addr_eq(Arc::as_ptr(known), source));
        found.map(|source| source.held_max(shard))
    }
}
