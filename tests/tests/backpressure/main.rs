//! What nobody takes waits where it is kept, not in memory: with a process for each
//! role, Postgres and a real Kafka.
//!
//! The services are stopped and killed here: only those that this checkout started.

mod kafka;
mod postgres;
mod push;
mod subscribers;

use std::time::Duration;

use tally_proto::tally::collection::v1 as collection;
use tally_tests::harness::penalty;

const START: &str = "2026-03-02T01:00:00Z";

/// How long the mesh may take to draw all consequences in the end.
const SETTLES: Duration = Duration::from_secs(180);

/// A record with as much text as the small pack takes: about 36 KiB.
fn large(subject: &str, number: &str) -> collection::RecordContent {
    let mut record = penalty(subject, number, "2026-03-01");
    for (name, chars) in [
        ("violation_type", 2_000),
        ("violation_facts", 4_000),
        ("penalty_ground", 2_048),
        ("penalty_content", 4_000),
    ] {
        record.fields.push(collection::Field {
            name: name.to_owned(),
            // Three bytes each.
            value: "€".repeat(chars),
        });
    }
    record
}

/// Bytes as people read them.
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
