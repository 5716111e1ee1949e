//! The relay from a Postgres log to its topic, and Kafka's own producer test.

use super::ingest::Filled;
use super::kafka::{AS_THE_RELAY, Topic, producer_test};
use crate::meter::{Cost, Meter};
use crate::report::{Report, Turn};

/// Lets the relay go on that was held, until all is in the topic; then has Kafka's own tool
/// produce `produced` records of that size.
pub async fn relay(filled: &Filled, produced: usize, report: &mut Report) {
    let meter = Meter::start();
    filled.release().await;
    filled.relayed().await;
    let ours = Cost {
        processors: None,
        ..meter.read()
    };
    // As Kafka has them by default, and as the relay has them.
    let as_it_comes = [("acks", "all"), ("enable.idempotence", "true")];
    let settings = [
        (
            "5a relay / Kafka's producer, its defaults",
            &as_it_comes[..],
        ),
        (
            "5b relay / Kafka's producer, as the relay",
            &settings_of_java()[..],
        ),
    ];
    for (path, settings) in settings {
        let topic = Topic::fresh(filled.shards).await;
        let took = producer_test(&topic, produced, filled.bytes, settings).await;
        topic.delete().await;
        let bare = Cost {
            elapsed: took.mul_f64(filled.held as f64 / produced as f64),
            processors: None,
        };
        let turn = Turn {
            count: filled.held,
            ours,
            bare,
            notes: Vec::new(),
            gated: true,
        };
        report.add(path, turn);
    }
}

/// Kafka's own client has a level for each compression.
fn settings_of_java() -> [(&'static str, &'static str); 5] {
    AS_THE_RELAY.map(|(key, value)| match key {
        "compression.level" => ("compression.zstd.level", value),
        _ => (key, value),
    })
}
