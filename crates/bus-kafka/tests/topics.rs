//! Topics: made by the owner, found by readers, refused where they do not fit.

mod common;

use common::{Kafka, admin, asking, brokers, kafka, topic_options};
use rdkafka::admin::{AdminOptions, ResourceSpecifier};
use rdkafka::consumer::Consumer as _;
use tally_bus_kafka::{Access, KafkaOptions, TopicError, TopicOptions, log_topic, prepare_topic};
use tally_eventlog::conformance::bus::{BusFixture as _, LOG};
use tally_eventlog::shard::ShardCount;

fn shards(count: u16) -> ShardCount {
    ShardCount::new(count).expect("it is in range")
}

#[tokio::test]
async fn the_owner_makes_the_topic_with_a_partition_per_shard() {
    let bus = Kafka::create(shards(3)).await;
    let metadata = asking().fetch_metadata(Some(&bus.topic), common::REQUEST);
    let metadata = metadata.expect("the cluster answers");
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
    assert_eq!(bus.topic, format!("{}.{LOG}.log", bus.options.prefix));
    let described = admin()
        .describe_configs(
            &[ResourceSpecifier::Topic(&bus.topic)],
            &AdminOptions::new(),
        )
        .await
        .expect("the cluster answers")
        .remove(0)
        .expect("the topic is there");
    let of = |key| described.get(key).and_then(|entry| entry.value.clone());
    assert_eq!(of("cleanup.policy").as_deref(), Some("delete"));
    assert_eq!(of("retention.ms").as_deref(), Some("604800000"));
    assert_eq!(of("min.insync.replicas").as_deref(), Some("1"));
    assert_eq!(of("compression.type").as_deref(), Some("producer"));
}

#[tokio::test]
async fn another_number_of_partitions_is_refused_with_the_remedy() {
    let bus = Kafka::create(shards(3)).await;
    let options = topic_options();
    for access in [Access::Owner(&options), Access::Reader] {
        let refused = prepare_topic(&bus.options, &bus.topic, shards(4), access).await;
        let refused = refused.expect_err("it has three");
        let message = refused.to_string();
        assert!(matches!(
            refused,
            TopicError::PartitionCount {
                found: 3,
                shards: 4,
                ..
            }
        ));
        assert!(
            message.contains("delete the topic and start the owner"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn only_the_owner_makes_it_and_several_may_at_once() {
    let options = kafka();
    let topic = log_topic(&options, LOG);
    let reader = prepare_topic(&options, &topic, shards(2), Access::Reader).await;
    assert!(
        matches!(reader, Err(TopicError::Missing { .. })),
        "{reader:?}"
    );
    let wished = topic_options();
    let make = || prepare_topic(&options, &topic, shards(2), Access::Owner(&wished));
    let (a, b, c) = tokio::join!(make(), make(), make());
    for made in [a, b, c] {
        made.expect("one makes it, the others find it");
    }
    let reader = prepare_topic(&options, &topic, shards(2), Access::Reader).await;
    reader.expect("it is there now");
    common::delete_topic(&topic).await;
}

#[tokio::test]
async fn what_the_cluster_cannot_do_is_said() {
    let options = kafka();
    let topic = log_topic(&options, LOG);
    // One broker cannot keep five copies.
    let wished = TopicOptions {
        replication: 5,
        ..topic_options()
    };
    let refused = prepare_topic(&options, &topic, shards(2), Access::Owner(&wished)).await;
    let refused = refused.expect_err("it is refused").to_string();
    assert!(refused.contains("with 2 partitions"), "{refused}");
    let nowhere = KafkaOptions::at("127.0.0.1:1");
    let away = prepare_topic(&nowhere, &topic, shards(2), Access::Reader).await;
    assert!(
        matches!(away, Err(TopicError::Unreachable { .. })),
        "{away:?}"
    );
    assert_ne!(brokers(), nowhere.brokers);
}
