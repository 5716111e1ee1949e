//! The account at the end: the ledger against the logs.

use std::collections::{BTreeMap, HashMap, HashSet};

use prost::Message as _;
use tally::client::Client;
use tally::role::Role;
use tally_eventlog::event::from_proto_time;
use tally_eventlog::ids::Cause;
use tally_eventlog::merkle::leaf_hash;
use tally_eventlog::shard::{LogName, Shard};
use tally_proto::tally::collection::v1::GetCountsRequest;
use tally_proto::tally::log::v1::{ActorRole, Envelope, ReadLogRequest, Record};
use tally_proto::tally::sanctions::v1::{SubscribeRequest, SubscribeResponse};
use tally_service::logs;
use uuid::Uuid;

use super::desk::by_shard;
use super::ledger::{Ledger, Line, Sizes};
use super::load::Load;
use super::request::Request;
use super::round::{Round, sizes};

/// Handlers of the mesh that draw effects from events.
const HANDLERS: [&str; 6] = [
    "lists.self",
    "lists.collection",
    "sanctions.lists",
    "sanctions.self",
    "feedback.sanctions",
    "feedback.self",
];

/// Effects that one event may have: measures times departments, with room.
const EFFECTS_MAX: u32 = 64;

/// A record of a log.
struct Found {
    log: LogName,
    shard: u32,
    position: u64,
    leaf: [u8; 32],
    record: Record,
    envelope: Envelope,
}

impl Found {
    fn place(&self) -> String {
        format!(
            "{}/{}/{} {}",
            self.log, self.shard, self.position, self.envelope.event_type
        )
    }

    fn command(&self) -> Uuid {
        Uuid::from_slice(&self.envelope.command_id).expect("16 bytes")
    }
}

/// What does not add up.
#[derive(Default)]
pub struct Faults(Vec<String>);

impl Faults {
    fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.0.push(fault());
        }
    }

    /// Fails the test with the first of them.
    pub fn settle(self) {
        let first: Vec<_> = self.0.iter().take(20).collect();
        assert!(
            self.0.is_empty(),
            "{} faults, the first are {first:#?}",
            self.0.len()
        );
    }
}

/// Holds the logs to the ledger. `catalog` is how large the catalogue was
/// before any kill.
pub async fn logs_match(round: &Round, catalog: &Sizes) -> Faults {
    let mut faults = Faults::default();
    let found = read_all(&round.operator, &mut faults).await;
    let mut by_command: HashMap<Uuid, Vec<&Found>> = HashMap::new();
    for one in &found {
        by_command.entry(one.command()).or_default().push(one);
    }
    let ledger = round.ledger.all();
    for (id, line) in &ledger {
        let events = by_command.get(id).map(Vec::as_slice).unwrap_or_default();
        account(*id, line, events, &mut faults);
    }
    let events: HashMap<&[u8], &Found> = found
        .iter()
        .map(|one| (one.envelope.event_id.as_ref(), one))
        .collect();
    faults.check(events.len() == found.len(), || {
        "event ids repeat".to_owned()
    });
    for one in found
        .iter()
        .filter(|one| !ledger.contains_key(&one.command()))
    {
        if one.log == logs::CATALOG {
            let size = catalog
                .get(&("catalog".to_owned(), one.shard))
                .copied()
                .unwrap_or(0);
            faults.check(one.position < size, || format!("{} is new", one.place()));
            continue;
        }
        let cause = events.get(one.envelope.causation_id.as_ref()).copied();
        faults.check(cause.is_some_and(|cause| is_effect(one, cause)), || {
            format!(
                "{} is of no command and no cause: {:?}",
                one.place(),
                one.envelope.actor
            )
        });
        faults.check(by_command[&one.command()].len() == 1, || {
            format!("{} is there twice", one.place())
        });
    }
    consequences(&ledger, &found, &mut faults);
    faults
}

/// An acknowledged command is there once, where and as it was acknowledged.
fn account(id: Uuid, line: &Line, events: &[&Found], faults: &mut Faults) {
    let Some(reply) = &line.reply else {
        return faults.0.push(format!("{id} was never answered: {line:?}"));
    };
    let [event] = events else {
        let places: Vec<_> = events.iter().map(|event| event.place()).collect();
        return faults.0.push(format!(
            "{id} is there {} times: {places:?}; {line:?}",
            events.len()
        ));
    };
    let receipt = &reply.receipt;
    let same_place = event.log.0 == receipt.log
        && event.shard == receipt.shard
        && event.position == receipt.position;
    faults.check(same_place, || {
        format!("{id} is at {} and not at {receipt:?}", event.place())
    });
    faults.check(event.leaf[..] == receipt.leaf_hash[..], || {
        format!("{id}: leaf hash of {}", event.place())
    });
    faults.check(event.record.recorded_at == receipt.recorded_at, || {
        format!("{id}: time of {}", event.place())
    });
    let (log, event_type) = line.request.event();
    let told = event.log.0 == log
        && event.envelope.event_type == event_type
        && line.request.is_told_by(&event.envelope);
    faults.check(told, || {
        format!("{} does not tell {:?}", event.place(), line.request)
    });
    let department = event
        .envelope
        .actor
        .as_ref()
        .map(|actor| actor.department.as_str());
    faults.check(department == Some(line.who.department()), || {
        format!("{} is of {department:?}", event.place())
    });
}

/// True if the event is what the mesh itself draws from its cause.
fn is_effect(event: &Found, cause: &Found) -> bool {
    let role = event.envelope.actor.as_ref().map(|actor| actor.role());
    let Some(at) = cause.record.recorded_at.as_ref().and_then(from_proto_time) else {
        return false;
    };
    let shard = Shard(u16::try_from(cause.shard).expect("shards are few"));
    let drawn = HANDLERS.iter().any(|handler| {
        let cause = Cause {
            at,
            log: cause.log,
            shard,
            position: cause.position,
            handler,
        };
        (0..EFFECTS_MAX).any(|n| cause.derived_id(n) == event.command())
    });
    role == Some(ActorRole::Process) && event.command().get_version_num() == 8 && drawn
}

/// Every listing became its directives, once; every directive awaits a report, once.
fn consequences(ledger: &BTreeMap<Uuid, Line>, found: &[Found], faults: &mut Faults) {
    const DIRECTIVES_PER_LISTING: usize = 4;
    let listed = ledger
        .values()
        .filter(|line| matches!(line.request, Request::List(_)))
        .count();
    for event_type in [
        "tally.sanctions.v1.DirectiveTriggered",
        "tally.feedback.v1.FeedbackDue",
    ] {
        let events = found
            .iter()
            .filter(|one| one.envelope.event_type == event_type);
        let streams: Vec<_> = events.map(|one| &one.envelope.stream_id).collect();
        let distinct: HashSet<_> = streams.iter().collect();
        faults.check(distinct.len() == streams.len(), || {
            format!("{event_type} is there twice for one stream")
        });
        faults.check(streams.len() == DIRECTIVES_PER_LISTING * listed, || {
            format!("{} of {event_type} for {listed} listings", streams.len())
        });
    }
}

/// Every record of every log, through the mesh's own call.
async fn read_all(operator: &Client, faults: &mut Faults) -> Vec<Found> {
    let heads = sizes(operator).await.expect("sizes");
    let mut found = Vec::new();
    for log in logs::ALL {
        let shards = heads
            .keys()
            .map(|(_, shard)| *shard)
            .max()
            .map_or(0, |last| last + 1);
        for shard in 0..shards {
            let request = ReadLogRequest {
                log: log.0.to_owned(),
                shard,
                ..Default::default()
            };
            let mut records = operator
                .log(Role::owner_of(log))
                .read_log(request)
                .await
                .expect("the log is read")
                .into_inner();
            let mut position = 0;
            while let Some(answer) = records.message().await.expect("the stream goes on") {
                let record = Record::decode(answer.record.clone()).expect("a record");
                let envelope = Envelope::decode(record.envelope.clone()).expect("an envelope");
                let leaf = leaf_hash(&answer.record);
                let one = Found {
                    log,
                    shard,
                    position: record.position,
                    leaf,
                    record,
                    envelope,
                };
                faults.check(answer.leaf_hash[..] == one.leaf[..], || {
                    format!("{}: leaf hash", one.place())
                });
                faults.check(one.position == position, || {
                    format!("{} where {position} was expected", one.place())
                });
                faults.check(one.record.shard == shard, || {
                    format!("{}: shard", one.place())
                });
                position += 1;
                found.push(one);
            }
            if let Some(size) = heads.get(&(log.0.to_owned(), shard)) {
                faults.check(*size == position, || {
                    format!("{log}/{shard} has {position} of {size}")
                });
            }
        }
    }
    found
}

/// Mailboxes are contiguous, and what was received over all deaths of the
/// process is what they hold.
pub async fn mailboxes_match(round: &Round, load: &Load) {
    for desk in &load.desks {
        let request = SubscribeRequest {
            cursor: None,
            until_head: true,
        };
        let sanctions = round.client(desk.system).sanctions();
        let mut items = { sanctions }
            .subscribe(request)
            .await
            .expect("subscribed")
            .into_inner();
        let mut held: Vec<SubscribeResponse> = Vec::new();
        while let Some(item) = items.message().await.expect("the stream goes on") {
            held.push(item);
        }
        let held = by_shard(&held);
        for (shard, items) in &held {
            let numbers: Vec<u64> = items.iter().map(|(place, ..)| place.number).collect();
            let contiguous: Vec<u64> = (1..=items.len() as u64).collect();
            assert_eq!(
                numbers, contiguous,
                "numbers of shard {shard} for {:?}",
                desk.system
            );
        }
        assert!(!held.is_empty(), "{:?} has directives", desk.system);
        for (shard, received) in by_shard(&desk.received()) {
            let held = held.get(&shard).map(Vec::as_slice).unwrap_or_default();
            assert_eq!(
                held.get(..received.len()),
                Some(&received[..]),
                "shard {shard} for {:?}",
                desk.system
            );
        }
    }
}

/// The counts are those of the ledger.
pub async fn counts_match(round: &Round, ledger: &Ledger) {
    let answer = round
        .operator
        .collection()
        .get_counts(GetCountsRequest::default())
        .await
        .expect("counts");
    let counted: u64 = answer
        .into_inner()
        .counts
        .iter()
        .map(|count| count.accepted)
        .sum();
    let pushed = ledger
        .all()
        .values()
        .filter(|line| matches!(line.request, Request::Push(_)))
        .count();
    assert_eq!(counted, pushed as u64, "records counted");
}
