//! What a bare path inserts: the very rows that ours made of the same requests.

pub mod postgres;
pub mod sqlite;

use std::collections::HashMap;

use prost::Message as _;
use tally_eventlog::pb::{Envelope, Record};
use tally_proto::tally::collection::v1::RecordAccepted;
use tally_proto::tally::collection::v1::stored_field::Value;
use tally_proto::tally::sanctions::v1::CheckAnswered;

use crate::load::{IN_FORCE, PLAIN};

/// Bytes of a name: a UUID as text.
const NAME_BYTES: usize = 36;

/// A row of `event`.
pub struct EventRow {
    pub id: i64,
    pub stream: Vec<u8>,
    pub version: i64,
    pub leaf: Vec<u8>,
    pub record: Vec<u8>,
}

/// A row of `command`.
pub struct CommandRow {
    pub id: Vec<u8>,
    pub log: i64,
    pub department: String,
    pub digest: Vec<u8>,
    pub result: Vec<u8>,
}

/// A row of `view_row`.
pub struct ViewRow {
    pub view: i64,
    pub shard: i64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// A row of `shard_head`.
pub struct HeadRow {
    pub log: i64,
    pub shard: i64,
    pub size: i64,
    pub leaf: Vec<u8>,
    pub frontier: Vec<u8>,
    pub recorded_at: String,
    pub checksum: Vec<u8>,
}

/// A row of `checkpoint`.
pub struct CheckpointRow {
    pub consumer: String,
    pub shard: i64,
    pub next: i64,
    pub log_id: Vec<u8>,
    pub leaf: Vec<u8>,
    pub seen_at: String,
    pub epoch: i64,
}

/// A row of the key ring's `data_key`.
pub struct KeyRow {
    pub lookup: Vec<u8>,
    pub key_id: Vec<u8>,
    pub wrapped: Vec<u8>,
}

/// The rows of one request.
pub struct Item {
    pub event: EventRow,
    pub command: CommandRow,
    pub views: Vec<ViewRow>,
    pub key: Option<KeyRow>,
    /// Kind of its answer.
    pub kind: usize,
}

/// All rows of a load.
#[derive(Default)]
pub struct Material {
    /// One per request, in the order of the command ids.
    pub items: Vec<Item>,
    /// What each batch writes anew: heads, checkpoints, and the view rows that
    /// are no single request's.
    pub heads: Vec<HeadRow>,
    pub checkpoints: Vec<CheckpointRow>,
    pub views: Vec<ViewRow>,
    /// Rows that were there before.
    pub before: Counts,
    /// Where rows are by month: the one of the load.
    pub month: i32,
}

/// Rows of the tables that both insert into.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Rows of `event`.
    pub events: i64,
    /// Rows of `command`.
    pub commands: i64,
    /// Rows of `view_row`.
    pub views: i64,
}

/// Rows of a load, as a store has them.
struct Found {
    events: Vec<EventRow>,
    commands: Vec<CommandRow>,
    heads: Vec<HeadRow>,
    /// Those that the load moved.
    checkpoints: Vec<CheckpointRow>,
    /// By id.
    keys: HashMap<Vec<u8>, KeyRow>,
}

/// Requests, by the text by which rows of views name their events.
struct Places(HashMap<Vec<u8>, usize>);

impl Material {
    /// Puts together what belongs to one request.
    ///
    /// # Panics
    ///
    /// If there are not as many events and commands as there were requests.
    fn of(found: Found, requests: usize) -> (Self, Places) {
        let mut commands: HashMap<Vec<u8>, CommandRow> = found
            .commands
            .into_iter()
            .map(|row| (row.id.clone(), row))
            .collect();
        let mut keys = found.keys;
        let mut named = Vec::with_capacity(requests);
        for event in found.events {
            let envelope = envelope(&event);
            let command = commands
                .remove(&envelope.command_id[..])
                .expect("one event per command");
            let (name, kind) = name_and_kind(&envelope);
            let item = Item {
                event,
                command,
                views: Vec::new(),
                key: take_key(&envelope, &mut keys),
                kind,
            };
            named.push((name, item));
        }
        assert_eq!(
            (named.len(), commands.len()),
            (requests, 0),
            "one event per request"
        );
        named.sort_unstable_by(|(_, a), (_, b)| a.command.id.cmp(&b.command.id));
        let (names, items): (Vec<String>, Vec<Item>) = named.into_iter().unzip();
        let places = names.into_iter().map(String::into_bytes).zip(0..);
        let material = Self {
            items,
            heads: found.heads,
            checkpoints: found.checkpoints,
            ..Self::default()
        };
        (material, Places(places.collect()))
    }

    /// Gives a row of a view to the request that it is about; where there is none, it
    /// is one that each batch writes, if the load changed it.
    fn take_view(&mut self, places: &Places, row: ViewRow, changed: impl Fn(&ViewRow) -> bool) {
        // A time may stand right before a name.
        let named = |part: &[u8]| {
            let name = part.len().checked_sub(NAME_BYTES).map(|from| &part[from..]);
            name.and_then(|name| places.0.get(name)).copied()
        };
        match row.key.split(|byte| *byte == 0).find_map(named) {
            Some(at) => self.items[at].views.push(row),
            None if changed(&row) => self.views.push(row),
            None => {}
        }
    }

    /// Bytes of the records, without what SQLite adds.
    pub fn record_bytes(&self) -> usize {
        self.items.iter().map(|item| item.event.record.len()).sum()
    }

    /// Rows of views that belong to single requests.
    pub fn view_rows(&self) -> usize {
        self.items.iter().map(|item| item.views.len()).sum()
    }
}

fn envelope(event: &EventRow) -> Envelope {
    let record = Record::decode(&event.record[..]).expect("what is stored is a record");
    Envelope::decode(record.envelope).expect("a record has an envelope")
}

/// The text by which rows of views name the event, and the kind of its answer.
fn name_and_kind(envelope: &Envelope) -> (String, usize) {
    if envelope.category != "check" {
        return (envelope.stream_id.clone(), PLAIN);
    }
    let answered = CheckAnswered::decode(envelope.payload.clone()).expect("a check was answered");
    let kind = if answered.entry_ids.is_empty() {
        PLAIN
    } else {
        IN_FORCE
    };
    (answered.check_id, kind)
}

fn take_key(envelope: &Envelope, keys: &mut HashMap<Vec<u8>, KeyRow>) -> Option<KeyRow> {
    if keys.is_empty() {
        return None;
    }
    let content = RecordAccepted::decode(envelope.payload.clone())
        .ok()?
        .content?;
    let sealed = content.fields.iter().find_map(|field| match &field.value {
        Some(Value::Sealed(sealed)) => Some(sealed),
        _ => None,
    })?;
    keys.remove(&sealed.key_id[..])
}

/// The first and the last id of the commands of these events.
fn command_ids(events: &[EventRow]) -> (Vec<u8>, Vec<u8>) {
    let ids = || events.iter().map(|event| envelope(event).command_id);
    let (first, last) = (ids().min(), ids().max());
    let bytes = |id: Option<bytes::Bytes>| id.unwrap_or_default().to_vec();
    (bytes(first), bytes(last))
}
