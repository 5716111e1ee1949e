//! docs/asyncapi.yaml is written from the contracts and held against the code:
//! every topic, every type, every field. `UPDATE=1` writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value as Field,
};
use serde_json::{Value, json};
use tally_service::published::{FEEDBACK, LIST_CHANGES, Published, REGISTRATIONS, Told};

/// Fields of a stream's item that a message has in its attributes.
const IN_ATTRIBUTES: [&str; 5] = ["log_id", "cursor", "recorded_at", "kind", "state"];

/// What the document says of a topic beside its fields.
struct Topic {
    name: &'static str,
    /// The stream's item.
    item: &'static str,
    /// The field whose values make the types of messages.
    what: &'static str,
    log: &'static str,
    title: &'static str,
    description: &'static str,
}

const TOPICS: [Topic; 3] = [
    Topic {
        name: LIST_CHANGES,
        item: "tally.lists.v1.FollowPublicationsResponse",
        what: "kind",
        log: "lists",
        title: "Changes of lists that the public may see",
        description: "For mirrors: who is on a published list. Organisations only. What \
                      ListsService/FollowPublications tells its followers.",
    },
    Topic {
        name: REGISTRATIONS,
        item: "tally.collection.v1.FollowRegistrationsResponse",
        what: "kind",
        log: "collection",
        title: "Newly registered organisations",
        description: "For the one department that the operator names: what \
                      CollectionService/FollowRegistrations tells it, of all divisions.",
    },
    Topic {
        name: FEEDBACK,
        item: "tally.feedback.v1.StreamFeedbackResponse",
        what: "state",
        log: "feedback",
        title: "What becomes of directives",
        description: "For the platform of the province: what FeedbackService/StreamFeedback tells a \
                      department of province level. A natural person is a random id.",
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The contracts with their comments, which the build leaves out.
fn commented() -> DescriptorPool {
    let proto = root().join("proto");
    let mut compiler = protox::Compiler::new([&proto]).expect("the folder is there");
    compiler.include_imports(true).include_source_info(true);
    for file in [
        "tally/lists/v1/lists.proto",
        "tally/collection/v1/collection.proto",
        "tally/feedback/v1/feedback.proto",
    ] {
        compiler.open_file(file).expect("the contract compiles");
    }
    compiler.descriptor_pool()
}

/// The comment of an element, in one line.
fn comment(field: &FieldDescriptor) -> String {
    let file = field.parent_message().parent_file();
    let file = file.file_descriptor_proto();
    let locations = file.source_code_info.iter().flat_map(|info| &info.location);
    let mut own = locations.filter(|location| location.path == field.path());
    let text = own
        .next()
        .and_then(|location| location.leading_comments.clone());
    let text = text.unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(!words.is_empty(), "{} has no comment", field.full_name());
    words.join(" ")
}

/// Values of an enumeration, without what they have in common.
fn values(kind: &Kind) -> Vec<String> {
    let Kind::Enum(descriptor) = kind else {
        panic!("{kind:?} is no enumeration");
    };
    let names = descriptor.values().map(|value| value.name().to_owned());
    let names: Vec<String> = names.collect();
    let prefix = names[0]
        .strip_suffix("UNSPECIFIED")
        .expect("the first is none");
    let known = names[1..].iter();
    known.map(|name| name[prefix.len()..].to_owned()).collect()
}

fn schema(message: &MessageDescriptor, leaves_out: &[&str]) -> Value {
    let fields = message
        .fields()
        .filter(|field| !leaves_out.contains(&field.name()));
    let (mut properties, mut required) = (serde_json::Map::new(), BTreeSet::new());
    for field in fields {
        let mut described = match field.kind() {
            Kind::Message(inner) => schema(&inner, &[]),
            kind @ Kind::Enum(_) => json!({ "type": "string", "enum": values(&kind) }),
            Kind::Bool => json!({ "type": "boolean" }),
            Kind::String => json!({ "type": "string" }),
            Kind::Bytes => json!({ "type": "string", "pattern": "^([0-9a-f]{2})*$" }),
            Kind::Uint32 | Kind::Uint64 => json!({ "type": "integer", "minimum": 0 }),
            other => panic!(
                "{} is {other:?}: say how it looks in JSON",
                field.full_name()
            ),
        };
        // What is a message or a choice is only there where it says something.
        let optional = matches!(field.kind(), Kind::Message(_) | Kind::Enum(_));
        if field.is_list() {
            described = json!({ "type": "array", "items": described });
        }
        if !optional || field.is_list() {
            required.insert(field.name().to_owned());
        }
        described["description"] = comment(&field).into();
        properties.insert(field.name().to_owned(), described);
    }
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// Types of a topic's messages: the last part of each, with its value.
fn types(pool: &DescriptorPool, topic: &Topic) -> Vec<(String, i32)> {
    let item = pool.get_message_by_name(topic.item).expect("a message");
    let field = item.get_field_by_name(topic.what).expect("a field");
    let of = |name: &String| name.to_lowercase().replace('_', "-");
    let names = values(&field.kind());
    let numbered = names
        .iter()
        .zip(1..)
        .map(|(name, number)| (of(name), number));
    numbered.filter(|(name, _)| name != "checkpoint").collect()
}

fn document(pool: &DescriptorPool) -> Value {
    let (mut channels, mut operations) = (serde_json::Map::new(), serde_json::Map::new());
    let (mut messages, mut schemas) = (serde_json::Map::new(), serde_json::Map::new());
    for topic in &TOPICS {
        let name = topic.name;
        let item = pool.get_message_by_name(topic.item).expect("a message");
        schemas.insert(name.to_owned(), schema(&item, &IN_ATTRIBUTES));
        let kinds = types(pool, topic).into_iter();
        let kinds: Vec<String> = kinds
            .map(|(what, _)| format!("tally.{name}.v1.{what}"))
            .collect();
        let text = |pattern: &str, about: &str| json!({ "type": "string", "pattern": pattern, "description": about });
        messages.insert(name.to_owned(), json!({
            "name": name,
            "title": topic.title,
            "contentType": "application/json",
            "payload": { "$ref": format!("#/components/schemas/{name}") },
            "headers": {
                "type": "object",
                "required": ["ce_id", "ce_source", "ce_specversion", "ce_subject", "ce_time", "ce_type", "content-type"],
                "properties": {
                    "ce_specversion": { "type": "string", "const": "1.0" },
                    "ce_id": text(
                        "^[0-9a-f-]{36}/[0-9]+/[0-9]+$",
                        "Log, shard and position of what is told. It comes again under the same id: pass over what you have had.",
                    ),
                    "ce_source": { "type": "string", "const": format!("/tally/{}", topic.log) },
                    "ce_type": { "type": "string", "enum": kinds },
                    "ce_subject": text("^.+$", "What it is about, by the id that is in the payload too."),
                    "ce_time": { "type": "string", "format": "date-time", "description": "When it was recorded." },
                    "content-type": { "type": "string", "const": "application/json" },
                },
            },
            "bindings": { "kafka": { "key": {
                "type": "string",
                "description": "The id in ce_subject. All about one organisation is on one partition, in order.",
            } } },
        }));
        channels.insert(
            name.to_owned(),
            json!({
                "address": format!("tally.published.{name}"),
                "title": topic.title,
                "description": topic.description,
                "messages": { name: { "$ref": format!("#/components/messages/{name}") } },
            }),
        );
        operations.insert(
            format!("publish-{name}"),
            json!({
                "action": "send",
                "channel": { "$ref": format!("#/channels/{name}") },
            }),
        );
    }
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tally: topics for outsiders",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in the binary mode of the Kafka binding. Each message comes at \
                            least once; the names of topics begin with the mesh's prefix, `tally` unless the \
                            operator chose another. What they are for and what a consumer does: docs/PUBLICATION.md. \
                            Written by tests/tests/asyncapi.rs from the contracts.",
        },
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
    })
}

/// JSON as YAML, in the order of its keys.
fn yaml(value: &Value, indent: usize, to: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                to.push_str(&format!("\n{pad}{}:", scalar(&json!(key))));
                yaml(value, indent + 1, to);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                to.push_str(&format!("\n{pad}-"));
                yaml(item, indent + 1, to);
            }
        }
        other => to.push_str(&format!(" {}", scalar(other))),
    }
}

/// A text is only left without quotes where nobody could take it for anything else.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if plain(text) => text.clone(),
        other => other.to_string(),
    }
}

fn plain(text: &str) -> bool {
    let word = |text: &str| {
        text.chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && word(text)
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text)
}

#[test]
fn the_document_is_what_the_contracts_say() {
    let mut text =
        String::from("# Written by `UPDATE=1 cargo test -p tally-tests --test asyncapi`.");
    yaml(&document(&commented()), 0, &mut text);
    text.push('\n');
    let path = root().join("docs/asyncapi.yaml");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).expect("it can be written");
    }
    let written = std::fs::read_to_string(&path).expect("docs/asyncapi.yaml is there");
    assert_eq!(written, text, "write it again with UPDATE=1");
}

/// A message with something in every field.
fn full(message: &MessageDescriptor) -> DynamicMessage {
    let mut made = DynamicMessage::new(message.clone());
    for field in message.fields() {
        let value = match field.kind() {
            Kind::Message(inner) => Field::Message(full(&inner)),
            Kind::Enum(_) => Field::EnumNumber(1),
            Kind::Bool => Field::Bool(true),
            Kind::String => Field::String(format!("the {}", field.name())),
            Kind::Bytes => Field::Bytes(vec![7; 16].into()),
            Kind::Uint32 => Field::U32(7),
            Kind::Uint64 => Field::U64(7),
            Kind::Int32 => Field::I32(7),
            Kind::Int64 => Field::I64(7),
            other => panic!("{} is {other:?}", field.full_name()),
        };
        let value = match field.is_list() {
            true => Field::List(vec![value]),
            false => value,
        };
        made.set_field(&field, value);
    }
    made
}

fn told<M: Published + prost::Message + Default>(item: &DynamicMessage) -> Option<Told> {
    item.transcode_to::<M>().expect("it is that message").told()
}

fn tell(topic: &str, item: &DynamicMessage) -> Option<Told> {
    use tally_proto::tally::{collection, feedback, lists};
    match topic {
        LIST_CHANGES => told::<lists::v1::FollowPublicationsResponse>(item),
        REGISTRATIONS => told::<collection::v1::FollowRegistrationsResponse>(item),
        _ => told::<feedback::v1::StreamFeedbackResponse>(item),
    }
}

/// The paths of all values.
fn paths(value: &Value, path: &str, to: &mut BTreeMap<String, &'static str>) {
    match value {
        Value::Object(map) => {
            let inner = |key: &String| format!("{path}/{key}");
            map.iter()
                .for_each(|(key, value)| paths(value, &inner(key), to));
        }
        Value::Array(items) => items
            .iter()
            .for_each(|item| paths(item, &format!("{path}[]"), to)),
        Value::String(_) => drop(to.insert(path.to_owned(), "string")),
        Value::Bool(_) => drop(to.insert(path.to_owned(), "boolean")),
        Value::Number(_) => drop(to.insert(path.to_owned(), "integer")),
        Value::Null => drop(to.insert(path.to_owned(), "null")),
    }
}

/// The paths that a schema knows.
fn described(schema: &Value, path: &str, to: &mut BTreeMap<String, &'static str>) {
    match schema["type"].as_str() {
        Some("object") => {
            for (key, inner) in schema["properties"].as_object().expect("properties") {
                described(inner, &format!("{path}/{key}"), to);
            }
        }
        Some("array") => described(&schema["items"], &format!("{path}[]"), to),
        Some("string") => drop(to.insert(path.to_owned(), "string")),
        Some("boolean") => drop(to.insert(path.to_owned(), "boolean")),
        Some("integer") => drop(to.insert(path.to_owned(), "integer")),
        other => panic!("{path} is {other:?}"),
    }
}

#[test]
fn what_is_sent_has_every_field_of_the_document_and_no_other() {
    let pool = commented();
    let document = document(&pool);
    for topic in &TOPICS {
        let message = pool.get_message_by_name(topic.item).expect("a message");
        let item = full(&message);
        let told = tell(topic.name, &item).expect("it says something");
        let (mut sent, mut known) = (BTreeMap::new(), BTreeMap::new());
        paths(&told.data, "", &mut sent);
        described(
            &document["components"]["schemas"][topic.name],
            "",
            &mut known,
        );
        assert_eq!(sent, known, "{}", topic.name);
    }
}

#[test]
fn what_is_sent_has_the_types_of_the_document() {
    let pool = commented();
    let document = document(&pool);
    for topic in &TOPICS {
        let message = pool.get_message_by_name(topic.item).expect("a message");
        let field = message.get_field_by_name(topic.what).expect("a field");
        let mut sent = Vec::new();
        let Kind::Enum(kinds) = field.kind() else {
            panic!("{} is no enumeration", field.full_name());
        };
        for value in kinds.values() {
            let mut item = full(&message);
            item.set_field(&field, Field::EnumNumber(value.number()));
            let told = tell(topic.name, &item);
            let silent = ["UNSPECIFIED", "CHECKPOINT"]
                .iter()
                .any(|end| value.name().ends_with(end));
            assert_eq!(told.is_none(), silent, "{}", value.name());
            sent.extend(told.map(|told| format!("tally.{}.v1.{}", topic.name, told.what)));
        }
        let headers = &document["components"]["messages"][topic.name]["headers"];
        assert_eq!(headers["properties"]["ce_type"]["enum"], json!(sent));
    }
}
