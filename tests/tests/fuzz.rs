//! Bytes as they should not be: whatever a store, a log or a client's cursor
//! holds is what it should be, or is refused; nothing panics over it.
//!
//! `PROPTEST_CASES` says how many; `make fuzz` runs many more.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRng;
use prost::Message as _;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use tally_auth::identity::Identity;
use tally_collection::record::Record;
use tally_domain::identifier::Scheme;
use tally_eventlog::aggregate::{Aggregate, Codec};
use tally_eventlog::event::{Recorded, StoredRecord};
use tally_eventlog::ids::parse_command_id;
use tally_eventlog::pb;
use tally_eventlog::sealing::{KeyRing, MasterKey, MemoryKeyStore};
use tally_eventlog::shard::{LogName, Shard};
use tally_feedback::feedback::Feedback;
use tally_lists::entry::Entry;
use tally_lists::link::Link;
use tally_sanctions::correction::Correction;
use tally_sanctions::directive::Directive;
use tally_tests::contracts;

const LOG: LogName = LogName("collection");

/// What is stored as an event, and what a client sends: every message of ours.
static MESSAGES: LazyLock<Vec<MessageDescriptor>> = LazyLock::new(|| {
    let messages = contracts::messages(&contracts::pool());
    messages
        .into_iter()
        .filter(|message| {
            let file = message.parent_file();
            file.name().ends_with("events.proto")
        })
        .collect()
});

fn config() -> ProptestConfig {
    ProptestConfig {
        // What is found becomes a test of its own.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Texts that some field takes for what it is.
const TEXTS: [&str; 14] = [
    "",
    "2026-03-02",
    "2026-02-30",
    "9999-12-31",
    "cn-uscc:9152000071430580XT",
    "11990000MB0000107X",
    "person:5f0c954e-0f2c-4b8e-9d59-6a1f4f0f7c11",
    "5f0c954e-0f2c-4b8e-9d59-6a1f4f0f7c11",
    "administrative-penalty",
    "serious-violation",
    "罚〔2026〕1号",
    "1.5",
    "-1",
    "\u{0}\u{feff}\u{202e}",
];

/// A message with fields of the right kinds, each of them filled or not.
fn filled(message: &MessageDescriptor, random: &mut TestRng, depth: u32) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in message.fields() {
        if random.random_ratio(1, 4) || field.is_map() {
            continue;
        }
        if field.is_list() {
            let count = random.random_range(0..3);
            let values = (0..count).map(|_| value(&field, random, depth)).collect();
            filled.set_field(&field, Value::List(values));
        } else {
            filled.set_field(&field, value(&field, random, depth));
        }
    }
    filled
}

fn value(field: &FieldDescriptor, random: &mut TestRng, depth: u32) -> Value {
    let number = [0, 1, 2, 16, i64::MAX, i64::MIN, -1][random.random_range(0..7)];
    match field.kind() {
        Kind::Message(inner) if depth > 0 => Value::Message(filled(&inner, random, depth - 1)),
        Kind::Message(inner) => Value::Message(DynamicMessage::new(inner)),
        Kind::String => Value::String(TEXTS[random.random_range(0..TEXTS.len())].to_owned()),
        Kind::Bytes => {
            let mut bytes = vec![0; [0, 1, 16, 24, 32, 33][random.random_range(0..6)]];
            random.fill_bytes(&mut bytes);
            Value::Bytes(bytes.into())
        }
        Kind::Bool => Value::Bool(random.random()),
        Kind::Enum(_) => Value::EnumNumber([0, 1, 2, 3, -1, i32::MAX][random.random_range(0..6)]),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(number as i32),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(number as u32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(number),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(number as u64),
        Kind::Float | Kind::Double => unreachable!("no contract has a fraction"),
    }
}

/// A stored record of some event, well or ill filled, then spoilt or not.
fn any_stored() -> impl Strategy<Value = StoredRecord> {
    let spoilt = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (0..MESSAGES.len(), Just(()), spoilt).prop_perturb(|(which, (), spoilt), mut random| {
        let message = &MESSAGES[which];
        let pool = message.parent_pool();
        let of = |name: &str| pool.get_message_by_name(name).expect("a contract");
        let mut envelope = filled(&of("tally.log.v1.Envelope"), &mut random, 2);
        // Mostly what its type says.
        if random.random_ratio(9, 10) {
            let name = Value::String(message.full_name().to_owned());
            envelope.set_field_by_name("event_type", name);
            let at = time(&mut random);
            envelope.set_field_by_name("effective_at", at);
        }
        let mut payload = filled(message, &mut random, 3).encode_to_vec();
        spoil(&mut payload, &spoilt);
        envelope.set_field_by_name("payload", Value::Bytes(payload.into()));
        let mut record = filled(&of("tally.log.v1.Record"), &mut random, 1);
        let mut log_id = vec![0; 16];
        random.fill_bytes(&mut log_id);
        record.set_field_by_name("log_id", Value::Bytes(log_id.into()));
        let at = time(&mut random);
        record.set_field_by_name("recorded_at", at);
        let envelope = Value::Bytes(envelope.encode_to_vec().into());
        record.set_field_by_name("envelope", envelope);
        let mut bytes = record.encode_to_vec();
        if random.random_ratio(1, 4) {
            spoil(&mut bytes, &spoilt);
        }
        StoredRecord {
            shard: Shard(0),
            position: 0,
            leaf: [0; 32],
            bytes: bytes.into(),
        }
    })
}

fn time(random: &mut TestRng) -> Value {
    let pool = MESSAGES[0].parent_pool();
    let message = pool.get_message_by_name("google.protobuf.Timestamp");
    let mut at = DynamicMessage::new(message.expect("it is imported"));
    let seconds = [0, 1_772_413_200, -62_135_596_800, 253_402_300_799, i64::MAX];
    let seconds = seconds[random
        .random_range(0..20)
        .min(1 + random.random_range(0..4))];
    at.set_field_by_name("seconds", Value::I64(seconds));
    at.set_field_by_name(
        "nanos",
        Value::I32([0, 999_999_999][random.random_range(0..2)]),
    );
    Value::Message(at)
}

fn spoil(bytes: &mut Vec<u8>, spoilt: &[(prop::sample::Index, u8)]) {
    for (at, with) in spoilt {
        if bytes.is_empty() {
            return;
        }
        let at = at.index(bytes.len());
        match with % 3 {
            0 => bytes[at] = *with,
            1 => bytes.truncate(at),
            _ => bytes.insert(at, *with),
        }
    }
}

/// Decodes an event and takes it into whatever state came before; what was read
/// is written the same way twice.
fn read<A: Codec>(state: &mut A, recorded: &Recorded) -> bool {
    let Ok(event) = A::decode(recorded) else {
        return false;
    };
    let encoded = A::encode(&event);
    let mut again = recorded.clone();
    again.envelope.event_type = encoded.event_type.to_owned();
    again.envelope.payload = encoded.payload.clone();
    if let Ok(same) = A::decode(&again) {
        assert_eq!(A::encode(&same), encoded, "{}", encoded.event_type);
    }
    state.evolve(&event);
    true
}

fn read_all<A: Aggregate + Codec>(recorded: &[Recorded]) -> usize {
    let mut state = A::default();
    let read = recorded.iter().filter(|one| read(&mut state, one));
    read.count()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_stored_record_is_an_event_or_refused(stored in prop::collection::vec(any_stored(), 1..8)) {
        let recorded: Vec<Recorded> = stored
            .iter()
            .filter_map(|stored| Recorded::decode(LOG, stored).ok())
            .collect();
        read_all::<Record>(&recorded);
        read_all::<Entry>(&recorded);
        read_all::<Link>(&recorded);
        read_all::<Directive>(&recorded);
        read_all::<Correction>(&recorded);
        read_all::<Feedback>(&recorded);
    }

    #[test]
    fn any_bytes_are_a_record_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let stored = StoredRecord {
            shard: Shard(0),
            position: 0,
            leaf: [0; 32],
            bytes: bytes.clone().into(),
        };
        let _ = Recorded::decode(LOG, &stored);
        let _ = pb::Cursor::decode(Bytes::from(bytes));
    }

    #[test]
    fn names_and_ids_are_read_or_refused(
        text in "(urn:tally:(department|operator|mesh):)?[0-9A-Za-z:._-]{0,40}|\\PC{0,40}",
        id: [u8; 16],
    ) {
        let _ = Identity::parse(&text);
        let _ = text.parse::<Scheme>();
        let now = Timestamp::UNIX_EPOCH;
        let _ = parse_command_id(&text, now);
        let mut id = id;
        id[6] = id[6] & 0x0f | 0x70;
        let _ = parse_command_id(&uuid::Uuid::from_bytes(id).to_string(), now);
        let _ = MasterKey::from_hex_file_contents(&text);
    }

    #[test]
    fn what_was_sealed_opens_unaltered_or_not_at_all(
        text in "\\PC{0,40}", which in 0..3usize,
        spoilt in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let store = Arc::new(MemoryKeyStore::new());
            let ring = KeyRing::new(store, MasterKey::generate().expect("randomness"));
            let sealers = ring.sealers(&["record/1"]).await.expect("a key");
            let sealed = sealers[0].seal("name", &text);
            let mut altered = sealed.clone();
            let part = match which {
                0 => &mut altered.key_id,
                1 => &mut altered.nonce,
                _ => &mut altered.ciphertext,
            };
            let mut bytes = part.to_vec();
            spoil(&mut bytes, &spoilt);
            *part = bytes.into();
            let opened = ring.open(&[("name", &altered)]).await;
            // Another key's id may name one that was erased; it is never a text.
            if altered == sealed {
                prop_assert!(opened.is_ok());
            } else {
                let text = opened.is_ok_and(|opened| opened[0] != tally_eventlog::sealing::Opened::Erased);
                prop_assert!(!text, "altered bytes were opened");
            }
            Ok(())
        })?;
    }
}

/// Without this, a codec that refuses everything would pass.
#[test]
fn events_of_every_kind_are_among_what_is_tried() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = any_stored();
    let mut seen = [0; 5];
    for _ in 0..4_000 {
        let stored = strategy.new_tree(&mut runner).expect("a record").current();
        let Ok(recorded) = Recorded::decode(LOG, &stored) else {
            continue;
        };
        let recorded = [recorded];
        seen[0] += read_all::<Record>(&recorded);
        seen[1] += read_all::<Entry>(&recorded);
        seen[2] += read_all::<Directive>(&recorded);
        seen[3] += read_all::<Correction>(&recorded);
        seen[4] += read_all::<Feedback>(&recorded);
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}
