//! Holds what the mesh has in the end against what it acknowledged.

use std::collections::BTreeMap;

use serde_json::Value;
use tally_proto::tally::audit::v1 as audit;
use tally_tests::harness::Harness;

use crate::load::Ledger;

/// Directives that follow from one listing under the small pack.
const DIRECTIVES_PER_LISTING: usize = 4;

/// Every acknowledged command is there once, and all that follows from it; every
/// subject's events are in one order; the history verifies, and the views are
/// what it makes them.
pub async fn add_up(mesh: &Harness, ledger: &Ledger) {
    let accepted = events(mesh, "collection", "tally.collection.v1.RecordAccepted").await;
    let accepted = by_stream(&accepted);
    for (record, number) in &ledger.records {
        assert_eq!(accepted.get(record), Some(&1), "{number} is there once");
    }
    assert_eq!(
        accepted.len(),
        ledger.records.len(),
        "nothing that nobody pushed"
    );
    let listed = events(mesh, "lists", "tally.lists.v1.EntryListed").await;
    let listed = by_stream(&listed);
    let triggered = events(mesh, "sanctions", "tally.sanctions.v1.DirectiveTriggered").await;
    let mut directives: BTreeMap<&str, usize> = BTreeMap::new();
    for event in &triggered {
        let entry = event["payload"]["directive"]["entryId"]
            .as_str()
            .expect("it names its entry");
        *directives.entry(entry).or_default() += 1;
    }
    for (entry, subject) in &ledger.entries {
        assert_eq!(listed.get(entry), Some(&1), "{subject} is listed once");
        let directives = directives.get(entry.as_str());
        assert_eq!(directives, Some(&DIRECTIVES_PER_LISTING), "{subject}");
    }
    assert!(
        by_stream(&triggered).values().all(|count| *count == 1),
        "none twice"
    );
    mesh.assert_history_holds().await;
}

/// The events of a type in a log, in the order of each shard.
async fn events(mesh: &Harness, log: &str, event_type: &str) -> Vec<Value> {
    let request = audit::ReplayRequest {
        log: log.to_owned(),
        ..Default::default()
    };
    let lines = mesh.replay(request).await;
    let events = lines.iter().map(|line| {
        let event: Value = serde_json::from_str(line).expect("a line of JSON");
        event
    });
    events
        .filter(|event| event["event_type"] == event_type)
        .collect()
}

/// How many there are of each stream.
fn by_stream(events: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for event in events {
        let stream = event["stream_id"].as_str().expect("it has a stream");
        *counts.entry(stream.to_owned()).or_default() += 1;
    }
    counts
}
