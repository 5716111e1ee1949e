//! Holds what the mesh has in the end against what it acknowledged.

use std::collections::BTreeMap;

use serde_json::Value;
use tally_proto::tally::audit::v1 as audit;

use crate::harness::{Harness, status};
use crate::load::{Course, Ledger};

/// Directives that follow from one listing under the small pack.
const DIRECTIVES_PER_LISTING: usize = 4;

/// Who reacts to whose events.
const REACTS: [(&str, &str); 2] = [("sanctions", "lists"), ("feedback", "sanctions")];

/// Every acknowledged command is there once, and all that follows from it; what
/// follows about a subject is in the order of what it follows from; no reader is
/// behind or has left something out; the history verifies, and the views are what
/// it makes them.
///
/// # Panics
///
/// If not.
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
    let stand = how_directives_stand(mesh).await;
    for (entry, (subject, course)) in &ledger.entries {
        assert_eq!(listed.get(entry), Some(&1), "{subject} is listed once");
        let directives = directives.get(entry.as_str());
        assert_eq!(directives, Some(&DIRECTIVES_PER_LISTING), "{subject}");
        let expected = match course {
            Course::Stands | Course::Upheld => Stands::InForce,
            Course::Suspended => Stands::Suspended,
            Course::CorrectedOut => Stands::Lifted,
        };
        for (directive, stands) in &stand[entry] {
            assert_eq!(*stands, expected, "{subject}, {course:?}: {directive}");
        }
    }
    assert!(
        by_stream(&triggered).values().all(|count| *count == 1),
        "none twice"
    );
    for (log, source) in REACTS {
        let followed = in_order(mesh, log, source).await;
        println!("order: {followed} events of {log} are in the order of {source}");
    }
    nothing_is_left_out(mesh).await;
    mesh.assert_history_holds().await;
}

/// How a directive stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    InForce,
    Suspended,
    Lifted,
}

/// How every directive of an entry stands after all that was recorded of it.
async fn how_directives_stand(mesh: &Harness) -> BTreeMap<String, BTreeMap<String, Stands>> {
    let mut entries: BTreeMap<String, String> = BTreeMap::new();
    let mut stand: BTreeMap<String, BTreeMap<String, Stands>> = BTreeMap::new();
    for event in history(mesh, "sanctions").await {
        let directive = text(&event, "stream_id");
        let stands = match event["event_type"].as_str() {
            Some("tally.sanctions.v1.DirectiveTriggered") => {
                let entry = text(&event["payload"]["directive"], "entryId");
                entries.insert(directive.clone(), entry);
                Stands::InForce
            }
            Some("tally.sanctions.v1.DirectiveResumed") => Stands::InForce,
            Some("tally.sanctions.v1.DirectiveSuspended") => Stands::Suspended,
            Some("tally.sanctions.v1.DirectiveLifted") => Stands::Lifted,
            _ => continue,
        };
        let entry = entries[&directive].clone();
        stand.entry(entry).or_default().insert(directive, stands);
    }
    stand
}

/// About each subject, what one role recorded because of another's events comes in
/// the order of those. Returns how many there are.
async fn in_order(mesh: &Harness, log: &str, source: &str) -> usize {
    let mut places: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for event in history(mesh, source).await {
        places.insert(text(&event, "event_id"), place(&event));
    }
    let mut last: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut followed = 0;
    for event in history(mesh, log).await {
        let subject = text(&event, "subject");
        let Some(cause) = places.get(&text(&event, "causation_id")) else {
            continue;
        };
        if subject.is_empty() {
            continue;
        }
        followed += 1;
        let before = last.insert(subject, *cause).unwrap_or_default();
        let kind = &event["event_type"];
        assert!(
            before <= *cause,
            "{log}: {kind} because of {source} {cause:?} comes after what {before:?} caused"
        );
    }
    assert!(followed > 0, "nothing in {log} comes of {source}");
    followed
}

/// Every reader has applied all that the owner of its log has, and none is stopped
/// or has parked something.
async fn nothing_is_left_out(mesh: &Harness) {
    let sizes = mesh.sizes().await;
    let operator = mesh.operator().await;
    let mut readers = 0;
    for role in operator.processes() {
        for reader in status(&operator, *role).await.readers {
            let name = &reader.consumer;
            assert_eq!(reader.stopped, "", "{name} of {role}");
            assert_eq!(reader.parked, 0, "{name} of {role}");
            assert_eq!(reader.applied, sizes[&reader.source], "{name} of {role}");
            readers += 1;
        }
    }
    assert!(readers > 0, "nobody reads");
}

fn text(event: &Value, name: &str) -> String {
    event[name].as_str().unwrap_or_default().to_owned()
}

fn place(event: &Value) -> (u64, u64) {
    let number = |name: &str| event[name].as_u64().expect("it has a place");
    (number("shard"), number("position"))
}

/// The events of a type in a log, in the order of each shard.
async fn events(mesh: &Harness, log: &str, event_type: &str) -> Vec<Value> {
    let events = history(mesh, log).await.into_iter();
    events
        .filter(|event| event["event_type"] == event_type)
        .collect()
}

/// The events of a log, in the order of each shard.
async fn history(mesh: &Harness, log: &str) -> Vec<Value> {
    let request = audit::ReplayRequest {
        log: log.to_owned(),
        ..Default::default()
    };
    let lines = mesh.replay(request).await;
    let lines = lines.iter();
    lines
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
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
