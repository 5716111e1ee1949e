//! A message of the contracts as lines for people.

use jiff::tz::TimeZone;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage as _, Value};

/// The fields of `message` that are there, one a line, in the order of the contract.
///
/// Receipts, legal bases and times take one line each, and values of enumerations lose the prefix
/// that the contract's language asks for: what is left is what a reader looks for and copies.
pub fn lines(message: &DynamicMessage) -> Vec<String> {
    let mut lines = Vec::new();
    for field in message.descriptor().fields() {
        if !message.has_field(&field) && !is_number(&field) {
            continue;
        }
        let name = field.name().replace('_', " ");
        match message.get_field(&field).as_ref() {
            Value::List(items) => list(&mut lines, &name, &field, items),
            value => one(&mut lines, &name, &field, value),
        }
    }
    lines
}

/// A number that is not said to be absent is 0, and that is an answer.
fn is_number(field: &FieldDescriptor) -> bool {
    let number = matches!(field.kind(), Kind::Uint32 | Kind::Uint64);
    number && !field.is_list() && !field.supports_presence()
}

fn one(lines: &mut Vec<String>, name: &str, field: &FieldDescriptor, value: &Value) {
    let nested = match value {
        Value::Message(message) => match phrase(message) {
            Some(text) => return lines.push(format!("{name}: {text}")),
            None => self::lines(message),
        },
        value => return lines.push(format!("{name}: {}", scalar(field, value))),
    };
    lines.push(format!("{name}:"));
    lines.extend(nested.into_iter().map(|line| format!("  {line}")));
}

fn list(lines: &mut Vec<String>, name: &str, field: &FieldDescriptor, items: &[Value]) {
    let Kind::Message(_) = field.kind() else {
        let texts: Vec<_> = items.iter().map(|item| scalar(field, item)).collect();
        return lines.push(format!("{name}: {}", texts.join(", ")));
    };
    lines.push(format!("{name}:"));
    for item in items.iter().filter_map(Value::as_message) {
        let nested = phrase(item).map_or_else(|| self::lines(item), |text| vec![text]);
        for (index, line) in nested.iter().enumerate() {
            let mark = if index == 0 { "-" } else { " " };
            lines.push(format!("  {mark} {line}"));
        }
    }
}

/// A message that is read as a whole, as one phrase.
fn phrase(message: &DynamicMessage) -> Option<String> {
    let text = |name: &str| {
        let field = message.descriptor().get_field_by_name(name)?;
        Some(scalar(&field, &message.get_field(&field)))
    };
    match message.descriptor().full_name() {
        "google.protobuf.Timestamp" => time(message),
        "tally.log.v1.LegalBasisRef" => Some(format!("{}@{}", text("id")?, text("version")?)),
        "tally.log.v1.Receipt" => {
            let at = message.get_field_by_name("recorded_at")?;
            let at = at.as_message().and_then(time).unwrap_or_default();
            let repeated = text("repeated")? == "true";
            let again = if repeated {
                ", the first result again"
            } else {
                ""
            };
            let place = format!("{}/{}/{}", text("log")?, text("shard")?, text("position")?);
            Some(format!("{place} at {at}{again}"))
        }
        "tally.collection.v1.Field" => Some(format!("{}: {}", text("name")?, text("value")?)),
        _ => None,
    }
}

fn time(message: &DynamicMessage) -> Option<String> {
    let part = |name: &str| message.get_field_by_name(name);
    let seconds = part("seconds")?.as_i64()?;
    let nanoseconds = part("nanos")?.as_i32()?;
    let time = jiff::Timestamp::new(seconds, nanoseconds).ok()?;
    Some(here(time))
}

/// A time as people read it, where they are, and as commands take it.
pub fn here(time: jiff::Timestamp) -> String {
    local(time, TimeZone::system())
}

fn local(time: jiff::Timestamp, zone: TimeZone) -> String {
    let time = time.to_zoned(zone);
    time.strftime("%Y-%m-%dT%H:%M:%S%.f%:z").to_string()
}

fn scalar(field: &FieldDescriptor, value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::F32(value) => value.to_string(),
        Value::F64(value) => value.to_string(),
        Value::String(value) => value.clone(),
        Value::Bytes(value) => value.iter().map(|byte| format!("{byte:02x}")).collect(),
        Value::EnumNumber(number) => enumerated(field, *number),
        // Lists and messages have lines of their own, and the contracts have no maps.
        Value::Message(_) | Value::List(_) | Value::Map(_) => String::new(),
    }
}

/// `ENTRY_STATE_LISTED` of the enumeration `EntryState` as `LISTED`.
fn enumerated(field: &FieldDescriptor, number: i32) -> String {
    let Kind::Enum(kind) = field.kind() else {
        return number.to_string();
    };
    let Some(value) = kind.get_value(number) else {
        return number.to_string();
    };
    let unset = kind.get_value(0);
    let unset = unset.as_ref().map_or("", |unset| unset.name());
    let prefix = unset.strip_suffix("UNSPECIFIED").unwrap_or("");
    let name = value.name();
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use tally_proto::tally::lists::v1 as lists;
    use tally_proto::tally::log::v1 as log;

    use super::super::output::dynamic;
    use super::*;

    #[test]
    fn receipts_and_bases_take_one_line() {
        let receipt = log::Receipt {
            log: "lists".into(),
            shard: 13,
            recorded_at: Some(prost_types::Timestamp {
                seconds: 1,
                nanos: 0,
            }),
            ..Default::default()
        };
        let answer = lists::NominateResponse {
            entry_id: "e".into(),
            receipt: Some(receipt),
        };
        let seen = lines(&dynamic(&answer));
        // Position 0 is a default of the wire format, and still said.
        let at = here(jiff::Timestamp::from_second(1).expect("a time"));
        assert_eq!(
            seen,
            [
                "entry id: e".to_owned(),
                format!("receipt: lists/13/0 at {at}")
            ]
        );
    }

    #[test]
    fn a_time_is_said_where_people_are() {
        let time: jiff::Timestamp = "2026-03-02T16:00:00.25Z".parse().expect("a time");
        let there = TimeZone::fixed(jiff::tz::offset(8));
        let said = local(time, there);
        assert_eq!(said, "2026-03-03T00:00:00.25+08:00");
        assert_eq!(said.parse().ok(), Some(time), "a command takes it back");
    }

    #[test]
    fn a_list_marks_the_first_line_of_each_item() {
        let entry = lists::Entry {
            entry_id: "e".into(),
            state: lists::EntryState::Listed.into(),
            legal_basis: Some(log::LegalBasisRef {
                id: "law/1".into(),
                version: 2,
            }),
            ..Default::default()
        };
        let answer = lists::GetSubjectEntriesResponse {
            entries: vec![entry.clone(), entry],
            ..Default::default()
        };
        let seen = lines(&dynamic(&answer));
        assert_eq!(seen[0], "entries:");
        assert_eq!(
            seen.iter().filter(|line| line.starts_with("  - ")).count(),
            2
        );
        assert!(seen.contains(&"    state: LISTED".to_owned()), "{seen:?}");
        assert!(
            seen.contains(&"    legal basis: law/1@2".to_owned()),
            "{seen:?}"
        );
    }
}
