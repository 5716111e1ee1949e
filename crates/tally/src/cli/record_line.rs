//! A record as a line of JSON, as `tally push` and its kin read it; docs/IMPORT.md has the table.

use std::fmt;

use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tally_proto::tally::collection::v1 as pb;

use super::list::parse_basis;

/// A record as a line of JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordLine {
    /// UUIDv7; made if absent. Give it to be able to retry.
    #[serde(default)]
    pub(super) command_id: Option<String>,
    subject: String,
    record_type: String,
    document_number: String,
    decided_on: String,
    #[serde(default)]
    valid_from: String,
    #[serde(default)]
    valid_until: String,
    /// `id@version`.
    legal_basis: String,
    #[serde(default, deserialize_with = "in_order")]
    fields: Vec<pb::Field>,
    /// The check that was made before the decision.
    #[serde(default)]
    check_id: String,
    /// The place in quarantine that it is handed in again from.
    #[serde(default)]
    pub(super) quarantine_id: String,
}

/// The fields of an object in the order of the line, by which a fault names the place of one.
fn in_order<'de, D: Deserializer<'de>>(fields: D) -> Result<Vec<pb::Field>, D::Error> {
    struct Fields;
    impl<'de> Visitor<'de> for Fields {
        type Value = Vec<pb::Field>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object of texts, or a list of names and values")
        }

        /// As the contract has them, and as other commands print them.
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some(FieldLine { name, value }) = seq.next_element()? {
                fields.push(pb::Field { name, value });
            }
            Ok(fields)
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
                // A number would lose how its amount was written.
                let serde_json::Value::String(value) = value else {
                    let fault = format!("field `{name}` is written as a text, in quotes");
                    return Err(A::Error::custom(fault));
                };
                fields.push(pb::Field { name, value });
            }
            Ok(fields)
        }
    }
    fields.deserialize_any(Fields)
}

/// A field in a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldLine {
    name: String,
    value: String,
}

impl RecordLine {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            let text = error.to_string();
            let place = format!(" at line {line} column {column}");
            // A record is one line, and where that is in the input is known outside.
            match text.strip_suffix(&place) {
                Some(text) if line == 1 => format!("{text}, column {column}"),
                _ => text,
            }
        })
    }

    pub(super) fn content(self) -> Result<pb::RecordContent, String> {
        Ok(pb::RecordContent {
            subject: self.subject,
            record_type: self.record_type,
            document_number: self.document_number,
            decided_on: self.decided_on,
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            legal_basis: Some(parse_basis(&self.legal_basis)?),
            fields: self.fields,
            check_id: self.check_id,
        })
    }
}

/// The record that a JSON object states.
///
/// # Errors
///
/// What is wrong with the text, and where.
pub(super) fn content_of(text: &str) -> Result<pb::RecordContent, String> {
    RecordLine::parse(text).and_then(RecordLine::content)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::{Map, Value};

    use super::*;

    /// The names between back quotes in a text.
    fn quoted(text: &str) -> BTreeSet<String> {
        let parts = text.split('`').skip(1).step_by(2);
        parts.map(str::to_owned).collect()
    }

    /// The table of the page: each field, and whether a line needs it.
    fn documented() -> BTreeMap<String, bool> {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/IMPORT.md");
        let page = std::fs::read_to_string(page).expect("the page");
        let lines = page
            .lines()
            .skip_while(|line| *line != "## JSON lines")
            .skip(1);
        let section = lines.take_while(|line| !line.starts_with("## "));
        let rows = section.filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
        rows.map(|(name, rest)| {
            let needed = rest.split('|').nth(1).map(str::trim);
            assert!(matches!(needed, Some("yes" | "no")), "{name}: {rest}");
            (name.to_owned(), needed == Some("yes"))
        })
        .collect()
    }

    #[test]
    fn the_page_has_the_fields_of_a_line_and_which_are_needed() {
        let table = documented();
        // What is unknown is answered with what is known.
        let unknown = RecordLine::parse("{\"?\": 1}").expect_err("no such field");
        let (_, known) = unknown.split_once("expected one of").expect("the fields");
        let names: BTreeSet<String> = table.keys().cloned().collect();
        assert_eq!(names, quoted(known));

        let value = |name: &str| match name {
            "fields" => Value::Object(Map::new()),
            "legal_basis" => "law/1@1".into(),
            _ => "text".into(),
        };
        for (name, needed) in &table {
            let mut line: Map<String, Value> = table
                .keys()
                .map(|name| (name.clone(), value(name)))
                .collect();
            line.remove(name);
            let read = content_of(&Value::Object(line).to_string());
            assert_eq!(read.is_err(), *needed, "{name}: {read:?}");
        }
    }
}
