//! A TOML file as a tree that remembers where each key and value stands.

use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::LocatedFault;

/// A value and the byte offset at which it, or the key it belongs to, stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Leaf(Value),
    List(Vec<Node>),
    /// Key, offset of the key, value.
    Table(Vec<(String, usize, Node)>),
}

impl Node {
    /// The entries of a table; none for anything else.
    pub(super) fn entries(&self) -> &[(String, usize, Node)] {
        match &self.content {
            Content::Table(entries) => entries,
            _ => &[],
        }
    }

    /// Whether this is a table.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.content, Content::Table(_))
    }

    /// The elements of a list; `None` for anything else.
    pub(super) fn elements(&self) -> Option<&[Node]> {
        match &self.content {
            Content::List(elements) => Some(elements),
            _ => None,
        }
    }

    /// The value under a key of a table.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let mut entries = self.entries().iter();
        entries
            .find(|(name, _, _)| name == key)
            .map(|(_, _, node)| node)
    }

    /// The value as JSON; dates are ISO texts.
    pub(super) fn json(&self) -> Value {
        match &self.content {
            Content::Leaf(value) => value.clone(),
            Content::List(elements) => elements.iter().map(Self::json).collect(),
            Content::Table(entries) => {
                let pairs = entries
                    .iter()
                    .map(|(key, _, node)| (key.clone(), node.json()));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }

    /// The value as a text without quotation marks.
    pub(super) fn plain(&self) -> String {
        match &self.content {
            Content::Leaf(Value::String(text)) => text.clone(),
            _ => self.json().to_string(),
        }
    }

    /// Where the field at `path` (for example `measures[1].legal_basis`) stands, or the innermost
    /// thing around it that is there.
    pub(super) fn find(&self, path: &str) -> usize {
        let mut place = (self, self.at);
        for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
            let (node, _) = place;
            let next = match step.strip_suffix(']').and_then(|index| index.parse().ok()) {
                Some(index) => element(node, index).map(|found| (found, found.at)),
                None => {
                    let entry = node.entries().iter().find(|(name, _, _)| name == step);
                    entry.map(|(_, at, found)| (found, *at))
                }
            };
            match next {
                Some(next) => place = next,
                None => break,
            }
        }
        place.1
    }
}

/// The element that carries `index`, counting every day of a run of dates.
fn element(node: &Node, index: usize) -> Option<&Node> {
    let mut passed = 0;
    node.elements()?.iter().find(|element| {
        let days = super::fields::days(element).map_or(1, |days| days.len());
        passed += days;
        passed > index
    })
}

/// Parses one file.
///
/// # Errors
///
/// Every syntax error with its byte offset.
pub(super) fn parse(text: &str) -> Result<Node, Vec<(usize, String)>> {
    let (root, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table(root.span(), root.get_ref()));
    }
    let located = errors.iter().map(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, format!("not valid toml: {}", error.message()))
    });
    Err(located.collect())
}

fn table(span: Range<usize>, entries: &DeTable<'_>) -> Node {
    let mut read: Vec<_> = entries
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), key.span().start, node(value)))
        .collect();
    read.sort_by_key(|(_, at, _)| *at);
    Node {
        at: span.start,
        content: Content::Table(read),
    }
}

fn node(value: &Spanned<DeValue<'_>>) -> Node {
    let leaf = |value: Value| Content::Leaf(value);
    let content = match value.get_ref() {
        DeValue::Table(entries) => return table(value.span(), entries),
        DeValue::Array(elements) => Content::List(elements.iter().map(node).collect()),
        DeValue::String(text) => leaf(text.as_ref().into()),
        DeValue::Boolean(it) => leaf((*it).into()),
        DeValue::Datetime(it) => leaf(it.to_string().into()),
        // A pack has no fractions; as a text it is refused wherever a number belongs.
        DeValue::Float(it) => leaf(it.as_str().into()),
        DeValue::Integer(it) => match i64::from_str_radix(it.as_str(), it.radix()) {
            Ok(number) => leaf(number.into()),
            Err(_) => leaf(it.as_str().into()),
        },
    };
    Node {
        at: value.span().start,
        content,
    }
}

/// A file's name and where its lines begin.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: String,
    text: String,
}

impl Source {
    pub(super) fn new(name: &str, text: &str) -> Self {
        Self {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    /// A fault at the byte offset `at`.
    pub(super) fn fault(&self, at: usize, message: impl Into<String>) -> LocatedFault {
        let before = self.text.get(..at).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        LocatedFault {
            file: self.name.clone(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}
