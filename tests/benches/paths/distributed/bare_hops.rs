//! Bare commits and bare hops over Kafka, one after the other.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use sqlx::{Executor as _, PgConnection};
use tally_eventlog::shard::ShardCount;
use tokio::sync::mpsc;

use super::kafka::{Topic, client};
use super::schema::Schema;
use crate::meter::Meter;

/// Bytes of a row and of a message.
const BYTES: usize = 1_024;

/// How long a consumer waits before it looks whether it is still wanted.
const POLL: Duration = Duration::from_millis(100);

/// One connection that commits, and one producer with a consumer.
pub struct BareHops {
    // The schema goes last.
    connection: PgConnection,
    topic: Topic,
    producer: FutureProducer,
    consumed: mpsc::UnboundedReceiver<i64>,
    row: i64,
    _schema: Schema,
}

impl BareHops {
    /// A table and a topic of its own.
    pub async fn start() -> Self {
        let shards = ShardCount::new(1).expect("in range");
        let schema = Schema::store(&[], shards).await;
        let mut connection = schema.connect().await;
        let table = "CREATE TABLE bare (id bigint PRIMARY KEY, bytes bytea NOT NULL)";
        connection.execute(table).await.expect("a table is made");
        let topic = Topic::fresh(shards).await;
        let mut producer = client();
        producer
            .set("acks", "all")
            .set("enable.idempotence", "true");
        producer.set("linger.ms", "0");
        let consumed = consume(&topic.name);
        Self {
            connection,
            topic,
            producer: producer.create().expect("a producer can be made"),
            consumed,
            row: 0,
            _schema: schema,
        }
    }

    /// So many commits of a row each, then so many times from produce to consume, one after
    /// the other.
    pub async fn go(&mut self, commits: usize, hops: usize) -> Duration {
        let meter = Meter::start();
        for _ in 0..commits {
            self.row += 1;
            sqlx::query("INSERT INTO bare (id, bytes) VALUES ($1, $2)")
                .bind(self.row)
                .bind(vec![b'x'; BYTES])
                .execute(&mut self.connection)
                .await
                .expect("a row is inserted");
        }
        for _ in 0..hops {
            let sent = Instant::now();
            let value = vec![b'x'; BYTES];
            let record = FutureRecord::<[u8], _>::to(&self.topic.name)
                .partition(0)
                .payload(&value);
            let delivery = self.producer.send_result(record);
            let delivery = delivery.map_err(|(error, _)| error).expect("it has room");
            self.consumed.recv().await.expect("the message comes");
            let _ = (delivery, sent);
        }
        meter.read().elapsed
    }

    /// Ends.
    pub async fn end(self) {
        drop(self.consumed);
        self.topic.delete().await;
    }
}

/// The offsets of what comes.
fn consume(topic: &str) -> mpsc::UnboundedReceiver<i64> {
    let mut config = client();
    config.set("group.id", "bench-assigns-only");
    config.set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create().expect("a consumer can be made");
    let mut partitions = TopicPartitionList::new();
    partitions
        .add_partition_offset(topic, 0, Offset::Beginning)
        .expect("it is an offset");
    consumer.assign(&partitions).expect("it is assigned");
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        while !sender.is_closed() {
            if let Some(Ok(message)) = consumer.poll(POLL) {
                // Whoever waited may have gone.
                let _ = sender.send(message.offset());
            }
        }
    });
    receiver
}
