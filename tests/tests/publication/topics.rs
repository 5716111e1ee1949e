//! What outsiders are told over topics is what the streams tell them.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::{Value, json};
use tally_bus_kafka::{
    Access, KafkaOptions, KafkaTransport, TopicOptions, prepare_topic, published_topic,
};
use tally_domain::department::DepartmentId;
use tally_eventlog::execute::Executor;
use tally_eventlog::lease::Held;
use tally_eventlog::relay::{Relay, RelayHandle, RelayOptions};
use tally_proto::tally::feedback::v1 as feedback;
use tally_service::published::{Publication, Published as _};
use tally_service::{Deps, Sources, logs};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::*;

/// Bound on what is asked of the cluster.
const REQUEST: Duration = Duration::from_secs(20);

/// A topic for outsiders with its relay.
struct Topic {
    kafka: KafkaOptions,
    name: String,
    relay: RelayHandle,
    stop: CancellationToken,
}

/// A message as an outsider reads it.
#[derive(Debug, Clone, PartialEq)]
struct Event {
    headers: BTreeMap<String, String>,
    key: String,
    data: Value,
}

impl Event {
    fn header(&self, key: &str) -> &str {
        self.headers.get(key).map_or("", String::as_str)
    }
}

impl Topic {
    async fn open(scene: &Scene, publication: Publication) -> Self {
        let brokers = std::env::var("KAFKA_BROKERS")
            .expect("KAFKA_BROKERS names a Kafka cluster for tests; `make services` starts one");
        let kafka = KafkaOptions {
            prefix: format!("test-{}", Uuid::now_v7().simple()),
            ..KafkaOptions::at(brokers)
        };
        let name = published_topic(&kafka, publication.topic);
        let store = scene.mesh.whole().store.clone();
        let options = TopicOptions {
            replication: 1,
            min_insync: 1,
            ..TopicOptions::default()
        };
        let prepared = prepare_topic(&kafka, &name, store.shards(), Access::Owner(&options));
        prepared.await.expect("the topic can be made");
        let transport = KafkaTransport::published(&kafka, publication.topic, publication.outward);
        let relay = Relay {
            name: publication.relay,
            log: publication.log,
            held: Held::all(1),
            store,
            transport: Arc::new(transport.expect("the settings are right")),
            options: RelayOptions::default(),
        };
        let stop = CancellationToken::new();
        Self {
            relay: relay.start(stop.clone()),
            kafka,
            name,
            stop,
        }
    }

    /// Waits until all that is recorded has been told.
    async fn has_told(&self, scene: &Scene) {
        let store = &scene.mesh.whole().store;
        let progress = self.relay.progress();
        for shard in store.shards().all() {
            let size = *store.watch(progress.log(), shard).borrow();
            let told = progress.wait_for(shard, size, REQUEST).await;
            assert!(told, "{:?}", progress.shard(shard));
        }
    }

    /// All events of a key, in order, and the bytes of everything.
    async fn events(&self, key: &str) -> (Vec<Event>, Vec<u8>) {
        let (brokers, name) = (self.kafka.brokers.clone(), self.name.clone());
        let read = tokio::task::spawn_blocking(move || read(&brokers, &name));
        let (events, bytes) = read.await.expect("it reads");
        (
            events
                .into_iter()
                .filter(|event| event.key == key)
                .collect(),
            bytes,
        )
    }

    async fn end(self) {
        self.stop.cancel();
        self.relay.join().await;
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.kafka.brokers);
        let admin: AdminClient<DefaultClientContext> = config.create().expect("a client");
        let deleted = admin
            .delete_topics(&[&self.name], &AdminOptions::new())
            .await;
        deleted.expect("the cluster answers");
    }
}

/// All that is in a topic now.
fn read(brokers: &str, topic: &str) -> (Vec<Event>, Vec<u8>) {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "an-outsider");
    let consumer: BaseConsumer = config.create().expect("a client can be made");
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST);
    let metadata = metadata.expect("the cluster answers");
    let mut list = TopicPartitionList::new();
    let mut left = 0;
    for partition in metadata.topics()[0].partitions() {
        let ends = consumer.fetch_watermarks(topic, partition.id(), REQUEST);
        let (low, high) = ends.expect("the cluster answers");
        left += high - low;
        list.add_partition_offset(topic, partition.id(), Offset::Beginning)
            .expect("it is an offset");
    }
    consumer.assign(&list).expect("it can be assigned");
    let (mut events, mut bytes) = (Vec::new(), Vec::new());
    while left > 0 {
        let message = consumer.poll(REQUEST).expect("there are more");
        let message = message.expect("it can be read");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it is text");
        let headers = message.headers().expect("it has headers").iter();
        let headers = headers.map(|header| {
            let value = header.value.map(text).unwrap_or_default();
            (header.key.to_owned(), value)
        });
        let headers: BTreeMap<_, _> = headers.collect();
        let value = message.payload().expect("it has a value");
        bytes.extend(headers.values().flat_map(|value| value.as_bytes()));
        bytes.extend(message.key().into_iter().flatten());
        bytes.extend(value);
        events.push(Event {
            headers,
            key: message.key().map(text).unwrap_or_default(),
            data: serde_json::from_slice(value).expect("it is JSON"),
        });
        left -= 1;
    }
    (events, bytes)
}

fn deps(scene: &Scene) -> Deps {
    let mesh = scene.mesh.whole();
    Deps {
        log: logs::LISTS,
        store: mesh.store.clone(),
        sources: Sources::all_in(mesh.store.clone()),
        executor: Executor {
            store: mesh.store.clone(),
            clock: mesh.clock.clone(),
        },
        keyring: mesh.keyring.clone(),
        catalogue: mesh.catalogue.clone(),
        clock: mesh.clock.clone(),
    }
}

fn types(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.header("ce_type")).collect()
}

fn assert_never_sent(bytes: &[u8], needles: &[&str]) {
    for needle in needles {
        let mut windows = bytes.windows(needle.len());
        let found = windows.any(|window| window == needle.as_bytes());
        assert!(!found, "{needle} was sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_of_lists_tells_what_the_stream_tells() {
    let scene = loaded(Scene::whole().await).await;
    let topic = Topic::open(&scene, tally_lists::publication(deps(&scene))).await;
    let mirror = scene.mesh.system(RESOURCES).await;
    let mut follower = Follower::default();
    let (entry, _) = scene.listed(COMPANY).await;
    topic.has_told(&scene).await;
    let mut told = follower.lists(&mirror).await;
    accept_objection(&scene.third, &entry).await;
    topic.has_told(&scene).await;
    told.extend(follower.lists(&mirror).await);
    assert_eq!(told.len(), 2, "listed, and suspended");

    let (events, bytes) = topic.events(&entry).await;
    assert_eq!(
        types(&events),
        [
            "tally.list-changes.v1.listed",
            "tally.list-changes.v1.suspended"
        ]
    );
    for (event, item) in events.iter().zip(&told) {
        let expected = item.told().expect("it says something");
        assert_eq!(event.data, expected.data);
        let log_id = Uuid::from_slice(&item.log_id).expect("an id");
        let cursor = item.cursor.clone().expect("a place");
        let id = format!("{log_id}/{}/{}", cursor.shard, cursor.position);
        let expected = [
            ("ce_id", id.as_str()),
            ("ce_source", "/tally/lists"),
            ("ce_specversion", "1.0"),
            ("ce_subject", entry.as_str()),
            ("content-type", "application/json"),
        ];
        for (key, value) in expected {
            assert_eq!(event.header(key), value, "{key}");
        }
        assert!(event.header("ce_time").starts_with("2026-03-02T"));
        assert_eq!(event.headers.len(), 7, "{:?}", event.headers);
    }
    assert_eq!(events[0].data["entry"]["subject"], COMPANY);
    assert_eq!(
        events[1].data.get("entry"),
        None,
        "what is hidden is not named"
    );
    assert_never_sent(&bytes, &[NAME, NUMBER, REMARK]);
    topic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_of_registrations_tells_a_department_what_is_shared_with_it() {
    let scene = loaded(Scene::whole().await).await;
    let reader = DepartmentId::parse(RESOURCES).expect("a department");
    let deps = Deps {
        log: logs::COLLECTION,
        ..deps(&scene)
    };
    let topic = Topic::open(&scene, tally_collection::publication(deps, reader)).await;
    let registered = |kind, subject: &str, number| {
        with(
            of_type("registration", full_penalty(subject, number)),
            &[("kind", kind)],
        )
    };
    let (new, _) = push(&scene.system, registered("new", COMPANY, "registration 1")).await;
    let (old, _) = push(
        &scene.system,
        registered("renewal", OTHER_COMPANY, "registration 2"),
    )
    .await;
    topic.has_told(&scene).await;
    let (events, _) = topic.events(&new).await;
    assert_eq!(types(&events), ["tally.registrations.v1.published"]);
    withdraw(&scene.system, &new).await;
    topic.has_told(&scene).await;
    let (events, bytes) = topic.events(&new).await;
    assert_eq!(
        types(&events),
        [
            "tally.registrations.v1.published",
            "tally.registrations.v1.withdrawn"
        ]
    );
    let record = &events[0].data["record"];
    assert_eq!(record["subject"], COMPANY);
    let field = |field: &Value| field["name"].as_str().map(str::to_owned);
    let fields = record["fields"].as_array().expect("fields").iter();
    let fields: Vec<String> = fields.filter_map(field).collect();
    assert_eq!(
        fields,
        ["party_name", "penalty_category", "penalty_content", "kind"]
    );
    assert_eq!(events[1].data.get("record"), None);
    assert_eq!(topic.events(&old).await.0, [], "it registers nobody");
    assert_never_sent(&bytes, &[NAME, NUMBER, REMARK, OTHER_COMPANY]);
    topic.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_of_feedback_tells_the_province_what_becomes_of_directives() {
    let scene = loaded(Scene::whole().await).await;
    let topic = Topic::open(&scene, tally_feedback::publication()).await;
    scene.listed(COMPANY).await;
    scene.mesh.settle().await;
    let directive = mailbox(&scene.responder).await;
    let directive = directive.first().and_then(|item| item.directive.clone());
    let directive = directive.expect("a directive").directive_id;
    let officer = scene.mesh.officer(TAX, "7").await;
    execute(&scene.responder, &officer, &directive, "2026-03-02").await;
    scene.mesh.settle().await;
    report(&scene.responder, &directive, "2026-03-02").await;
    topic.has_told(&scene).await;
    let (events, _) = topic.events(&directive).await;
    assert_eq!(
        types(&events),
        ["tally.feedback.v1.due", "tally.feedback.v1.submitted"]
    );
    let request = feedback::StreamFeedbackRequest {
        cursor: None,
        until_head: true,
    };
    let province = scene.system.feedback().stream_feedback(request).await;
    let mut items = province.expect("it streams").into_inner();
    let mut told = Vec::new();
    while let Some(item) = items.message().await.expect("the stream goes on") {
        if item.directive_id == directive {
            told.push(item.told().expect("it says something").data);
        }
    }
    let data: Vec<&Value> = events.iter().map(|event| &event.data).collect();
    assert_eq!(data, told.iter().collect::<Vec<_>>());
    let submitted = json!({
        "directive_id": directive,
        "subject": COMPANY,
        "department": TAX,
        "outcome": "EXECUTED",
        "document": { "number": "decision 1", "sha256": "", "size_bytes": 0, "address": "" },
    });
    assert_eq!(events[1].data, submitted);
    topic.end().await;
}
