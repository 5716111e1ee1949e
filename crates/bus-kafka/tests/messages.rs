//! What lies in the topic, and what readers make of what no relay put there.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Kafka, REQUEST, brokers, delete_topic};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tally_bus_kafka::{KafkaOptions, KafkaSource, KafkaTransport, SourceOptions, TopicTail};
use tally_eventlog::conformance::bus::{BusBench, LOG, SUBJECT, about, append_to, traced};
use tally_eventlog::merkle::leaf_hash;
use tally_eventlog::relay::Transport as _;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::LogSource as _;
use uuid::Uuid;

const SHARD: Shard = Shard(0);

/// The messages of a partition.
fn messages(topic: &str, count: usize) -> Vec<OwnedMessage> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers())
        .set("group.id", "looks-on");
    let consumer: BaseConsumer = config.create().expect("a client can be made");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, i32::from(SHARD.0), Offset::Beginning)
        .expect("it is an offset");
    consumer.assign(&list).expect("it can be assigned");
    (0..count)
        .map(|n| {
            let message = consumer.poll(REQUEST);
            let message = message.unwrap_or_else(|| panic!("only {n} of {count} are there"));
            message.expect("it can be read").detach()
        })
        .collect()
}

fn header(message: &OwnedMessage, key: &str) -> Option<Vec<u8>> {
    let mut headers = message.headers()?.iter();
    let found = headers.find(|header| header.key == key)?;
    found.value.map(<[u8]>::to_vec)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_the_record_and_says_nothing_of_anybody() {
    const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let bus = new_bus().await;
    let topic = bus.topic.clone();
    let bench = BusBench::on(bus).await;
    bench.append(vec![traced(10, TRACE), traced(10, "")]).await;
    bench.relayed(2).await;
    let records = bench.records(SHARD).await;
    let found = tokio::task::spawn_blocking(move || messages(&topic, 2));
    let found = found.await.expect("it looks on");
    for (message, record) in found.iter().zip(&records) {
        assert_eq!(message.payload(), Some(&record.bytes[..]));
        assert_eq!(message.key(), None);
        let position = header(message, "position");
        assert_eq!(position, Some(record.position.to_string().into_bytes()));
        assert_eq!(header(message, "leaf"), Some(record.leaf.to_vec()));
        assert_eq!(
            header(message, "event-type").as_deref(),
            Some(&b"tally.conformance.v1.Happened"[..])
        );
    }
    let headers = |message: &OwnedMessage| message.headers().map_or(0, |all| all.count());
    assert_eq!(header(&found[0], "traceparent"), Some(TRACE.into()));
    assert_eq!((headers(&found[0]), headers(&found[1])), (4, 3));
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_records_arrive() {
    let bench = BusBench::on(new_bus().await).await;
    // As large as a call may be, and so badly compressed that nothing helps.
    let seed = (0..4 << 20).scan(7_u64, |state, _| {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        Some(b'!' + u8::try_from((*state >> 33) % 90).expect("it is below 90"))
    });
    let noise = String::from_utf8(seed.collect()).expect("it is ASCII");
    let mut append = traced(1, "");
    append.streams[0].events[0].payload = noise.into();
    bench
        .append(vec![traced(1, ""), append, traced(1, "")])
        .await;
    let process = bench.process().await;
    assert_eq!(process.follow(3).await, bench.records(SHARD).await);
    assert_eq!(bench.owner.gave.load(Ordering::SeqCst), 0, "by the topic");
    bench.end().await;
}

/// Puts a message into the topic that no relay has put there.
async fn inject(topic: &str, position: u64, leaf: &[u8], value: &[u8]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers());
    let producer: FutureProducer = config.create().expect("a client can be made");
    let position = position.to_string();
    let header = |key, value| Header {
        key,
        value: Some(value),
    };
    let headers = OwnedHeaders::new()
        .insert(header("position", position.as_bytes()))
        .insert(header("leaf", leaf));
    let message = FutureRecord::<(), [u8]>::to(topic)
        .partition(i32::from(SHARD.0))
        .payload(value)
        .headers(headers);
    let sent = producer.send(message, REQUEST).await;
    sent.expect("the cluster takes it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_relay_put_there_is_not_applied() {
    let bus = new_bus().await;
    let topic = bus.topic.clone();
    let bench = BusBench::on(bus).await;
    let process = bench.process().await;
    let reader = process.reader();
    bench.put(0..10).await;
    reader.reaches(10).await;
    bench.relayed(10).await;
    bench.stop_relay().await;
    let elsewhere = append_to(Shard(1), about(SUBJECT, "elsewhere"));
    bench.append(vec![elsewhere; 15]).await;
    let elsewhere = bench.records(Shard(1)).await;
    for position in 10..15 {
        bench.put([position]).await;
        let records = bench.records(SHARD).await;
        let at = usize::try_from(position).expect("it is small");
        let (before, here) = (&records[at - 1], &records[at]);
        let mut altered = here.bytes.to_vec();
        // The last of its text.
        altered
            .last_mut()
            .map(|byte| *byte ^= 1)
            .expect("it has bytes");
        let (leaf, value) = match position {
            10 => (here.leaf, altered),
            11 => (before.leaf, before.bytes.to_vec()),
            12 => (elsewhere[at].leaf, elsewhere[at].bytes.to_vec()),
            13 => (leaf_hash(b"no record"), b"no record".to_vec()),
            _ => (here.leaf, here.bytes[..9].to_vec()),
        };
        inject(&topic, position, &leaf, &value).await;
        // The owner has what should have been there, and is read.
        reader.reaches(position + 1).await;
        process.has_applied(0..=position).await;
    }
    bench.start_relay().await;
    bench.put(15..20).await;
    reader.reaches(20).await;
    process.has_applied(0..20).await;
    assert_eq!(reader.state().stopped, None);
    reader.end().await;
    bench.end().await;
}

async fn new_bus() -> Kafka {
    use tally_eventlog::conformance::bus::{BusFixture as _, SHARDS};
    use tally_eventlog::shard::ShardCount;
    Kafka::create(ShardCount::new(SHARDS).expect("it is in range")).await
}

/// A cluster that is away.
fn nowhere() -> KafkaOptions {
    KafkaOptions {
        delivery_timeout: Duration::from_millis(200),
        ..KafkaOptions::at("127.0.0.1:1")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_away_holds_nobody_up() {
    let bench = BusBench::on(new_bus().await).await;
    let transport = KafkaTransport::new(&nowhere(), LOG).expect("the settings are right");
    let transport = Arc::new(transport);
    bench.relay_by(transport.clone(), 1).await;
    bench.put(0..10).await;
    let records = bench.records(SHARD).await;
    let sent = transport.send(SHARD, &records).await;
    let known = tokio::time::timeout(REQUEST, sent.delivery).await;
    let known = known.expect("it is known in the end");
    assert_eq!(known.records, 0);
    assert!(known.failure.is_some());
    // Meanwhile readers read the owner, after a while.
    let options = SourceOptions {
        poll: Duration::from_millis(20),
        stalled_after: Duration::from_millis(200),
        ..SourceOptions::default()
    };
    let (owner, clock) = (bench.owner.clone(), bench.clock.clone());
    let source = KafkaSource::open(&nowhere(), LOG, owner, clock, options);
    let mut process = bench.process().await;
    process.source = Arc::new(source.expect("the settings are right"));
    let reader = process.reader();
    reader.reaches(10).await;
    process.has_applied(0..10).await;
    reader.end().await;
    // What is delivered by a cluster that is there is all of it.
    bench.start_relay().await;
    bench.relayed(10).await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_followed_is_read() {
    let bench = BusBench::on(new_bus().await).await;
    bench.put(0..10).await;
    bench.relayed(10).await;
    let process = bench.process().await;
    // Whoever only looks something up asks the owner.
    let read = process.source.read(LOG, SHARD, 3, 2).await;
    assert_eq!(read.expect("it can be read").len(), 2);
    assert_eq!(bench.owner.gave.load(Ordering::SeqCst), 2);
    assert_eq!(*process.source.watch(LOG, SHARD).borrow(), 0);
    let followed = process.follow(10).await;
    assert_eq!(followed, bench.records(SHARD).await);
    let before = bench.owner.gave.load(Ordering::SeqCst);
    process
        .source
        .read(LOG, SHARD, 0, 10)
        .await
        .expect("it can be read");
    assert_eq!(bench.owner.gave.load(Ordering::SeqCst), before + 10);
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_deleted_is_made_anew_by_its_owner() {
    let mut bus = new_bus().await;
    bus.options.delivery_timeout = Duration::from_secs(1);
    let (kafka, topic) = (bus.options.clone(), bus.topic.clone());
    let bench = BusBench::on(bus).await;
    let options = common::topic_options();
    let transport = KafkaTransport::new(&kafka, LOG).expect("the settings are right");
    let transport = transport.keeping(&kafka, options, bench.owner.shards());
    bench.relay_by(Arc::new(transport), 1).await;
    let process = bench.process().await;
    let reader = process.reader();
    bench.put(0..10).await;
    reader.reaches(10).await;
    delete_topic(&topic).await;
    bench.put(10..20).await;
    bench.relayed(20).await;
    reader.reaches(20).await;
    process.has_applied(0..20).await;
    reader.end().await;
    bench.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_topic_gives_back_what_a_backup_lacks() {
    let bus = new_bus().await;
    let (topic, kafka) = (bus.topic.clone(), bus.options.clone());
    let bench = BusBench::on(bus).await;
    bench.put(0..30).await;
    bench.relayed(30).await;
    let records = bench.records(SHARD).await;
    let heads = bench.owner.heads(LOG).await.expect("it is here");
    let log_id = heads[0].log_id;
    // Repeated, of nobody, not what it says that it is, and after a gap.
    inject(&topic, 25, &records[25].leaf, &records[25].bytes).await;
    inject(&topic, 30, &[7; 32], b"no record").await;
    let other = b"no record of this log";
    inject(&topic, 30, &leaf_hash(other), other).await;
    inject(&topic, 31, &records[29].leaf, &records[29].bytes).await;
    let tail = move |log_id, from| {
        let tail = Arc::new(TopicTail::open(&kafka, LOG).expect("the options are right"));
        let read = tail.records(log_id, SHARD, from).expect("it is there");
        read.map(|record| record.expect("it can be read"))
            .collect::<Vec<_>>()
    };
    let read = tokio::task::spawn_blocking(move || {
        (tail(log_id, 20), tail(log_id, 30), tail(Uuid::nil(), 20))
    });
    let (left, none, foreign) = read.await.expect("no panic");
    assert_eq!(left, records[20..], "byte for byte, and no more");
    assert_eq!((none.len(), foreign.len()), (0, 0));
    bench.end().await;
}
