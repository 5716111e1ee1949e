//! Sentences on what changes in an item.

use serde_json::{Map, Value};

use crate::policy::{ItemKind, Pack};

/// What a new item brings.
pub(super) fn added(kind: ItemKind, body: &Value) -> String {
    let name = name(body);
    match kind {
        ItemKind::Department => format!("{name} takes part"),
        ItemKind::LegalBasis => format!("{name} may be cited, {}", days(&body["in_force"])),
        ItemKind::RecordType => format!("records of `{name}` may be pushed"),
        ItemKind::ListType => format!("subjects may be nominated for `{name}`"),
        ItemKind::Measure => format!("`{name}` may be agreed in memoranda"),
        ItemKind::Memorandum => {
            format!(
                "listings on `{}` give rise to its directives",
                text(&body["list_type"])
            )
        }
        ItemKind::Decision => format!("before `{name}` a check is needed"),
        ItemKind::Form => format!(
            "records of `{}` have the form `{name}`: templates have its titles, and tables with the \
             names of the fields are read as before",
            text(&body["record_type"])
        ),
        ItemKind::HolidayNotice => "terms that reach into this year become final".to_owned(),
        ItemKind::Pack => name,
    }
}

/// What the loss of an item means. What was done under it stands.
pub(super) fn removed(kind: ItemKind, body: &Value) -> String {
    let name = name(body);
    match kind {
        ItemKind::Department => {
            format!("{name} no longer takes part; its certificates open nothing")
        }
        ItemKind::LegalBasis => {
            format!("{name} can no longer be cited; what rests on it is no longer in force")
        }
        ItemKind::RecordType => format!("records of `{name}` are no longer taken"),
        ItemKind::ListType => format!(
            "nobody can be nominated for `{name}` any more; its listings are no longer in force"
        ),
        ItemKind::Measure => format!("`{name}` is no longer applied"),
        ItemKind::Memorandum => {
            format!(
                "new listings on `{}` give rise to no directives under it",
                text(&body["list_type"])
            )
        }
        ItemKind::Decision => format!("before `{name}` no check is needed any more"),
        ItemKind::Form => format!(
            "records of `{}` no longer have the form `{name}`: tables with its titles need a mapping",
            text(&body["record_type"])
        ),
        ItemKind::HolidayNotice => "terms that reach into this year become provisional".to_owned(),
        ItemKind::Pack => name,
    }
}

/// What is another in an item, field by field.
pub(super) fn changed(kind: ItemKind, old: &Value, new: &Value, packs: [&Pack; 2]) -> Vec<String> {
    let none = Map::new();
    let fields = |value| Value::as_object(value).unwrap_or(&none);
    let (old, new) = (fields(old), fields(new));
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let mut words = Vec::new();
    if kind == ItemKind::Form {
        let record_type = new.get("record_type").map(text).unwrap_or_default();
        words.push(format!(
            "the form of records of `{record_type}` is another: a table needs its titles, or the names of the fields"
        ));
    }
    for name in names {
        let value = |map: &Map<String, Value>| match (map.get(name), name.as_str()) {
            (Some(value), _) => value.clone(),
            // What holds where a pack says nothing.
            (None, "shared_with") => "division".into(),
            (None, _) => Value::Null,
        };
        let (old, new) = (value(old), value(new));
        if old != new {
            words.extend(field(kind, name, &old, &new, packs));
        }
    }
    words
}

/// What may be done by the departments, measures or grounds of a list.
const MEMBERS: [(ItemKind, &str, &str); 12] = [
    (ItemKind::Department, "powers", "carry it out: measure"),
    (ItemKind::LegalBasis, "departments", "cite it:"),
    (
        ItemKind::LegalBasis,
        "subject_types",
        "be affected: subjects of type",
    ),
    (ItemKind::RecordType, "reporters", "report it:"),
    (ItemKind::RecordType, "shared_with", "see it:"),
    (
        ItemKind::RecordType,
        "subject_types",
        "be recorded: subjects of type",
    ),
    (ItemKind::ListType, "initiators", "list and decide:"),
    (ItemKind::ListType, "shared_with", "see who is listed:"),
    (
        ItemKind::ListType,
        "grounds",
        "ground a listing: records of type",
    ),
    (
        ItemKind::ListType,
        "subject_types",
        "be listed: subjects of type",
    ),
    (
        ItemKind::Measure,
        "purposes",
        "be the purpose of a check that applies it:",
    ),
    (
        ItemKind::Decision,
        "purposes",
        "be the purpose of the check:",
    ),
];

fn field(kind: ItemKind, name: &str, old: &Value, new: &Value, packs: [&Pack; 2]) -> Vec<String> {
    let member = MEMBERS
        .iter()
        .find(|(of, field, _)| (*of, *field) == (kind, name));
    let member = member.map(|(.., act)| *act);
    let member = member.or((kind == ItemKind::Decision && name == "departments")
        .then_some("take the decision, after a check:"));
    match (member, old.as_array(), new.as_array()) {
        (Some(act), Some(old), Some(new)) => return members(act, old, new, packs),
        // `all` on one side of a basis.
        (Some(act), ..) => {
            return vec![format!(
                "may {act} {} instead of {}",
                shown(new, packs),
                shown(old, packs)
            )];
        }
        _ => {}
    }
    match (kind, name) {
        (ItemKind::RecordType, "fields") => parts("field", "name", old, new),
        (ItemKind::Form, "columns") => parts("column", "title", old, new),
        (ItemKind::Memorandum, "measures") => parts("measure", "measure", old, new)
            .into_iter()
            .map(|words| with_names(words, packs))
            .collect(),
        (ItemKind::HolidayNotice, "off") => {
            days_of("is a day off", "is no longer a day off", old, new)
        }
        (ItemKind::HolidayNotice, "makeup") => days_of(
            "is a working day",
            "is no longer a make-up working day",
            old,
            new,
        ),
        (_, "published") => vec![said_or_not(new, "the public", "sees it")],
        (_, "registers_subject") => {
            vec![said_or_not(
                new,
                "a record",
                "says that its subject is newly registered",
            )]
        }
        (_, "in_force") => vec![format!("in force {} instead of {}", days(new), days(old))],
        _ => vec![format!(
            "{}: {} instead of {}",
            label(name),
            shown(new, packs),
            shown(old, packs)
        )],
    }
}

/// A flag as a sentence: it does, or it no longer does.
fn said_or_not(flag: &Value, who: &str, does: &str) -> String {
    match flag {
        Value::Bool(true) => format!("{who} {does}"),
        _ => format!("{who} no longer {does}"),
    }
}

fn members(act: &str, old: &[Value], new: &[Value], packs: [&Pack; 2]) -> Vec<String> {
    let missing = |from: &[Value], of: &[Value]| -> Vec<String> {
        let gone = from.iter().filter(|value| !of.contains(value));
        gone.map(|value| shown(value, packs)).collect()
    };
    let mut words = Vec::new();
    for (verb, names) in [
        ("may", missing(new, old)),
        ("may no longer", missing(old, new)),
    ] {
        if !names.is_empty() {
            words.push(format!("{verb} {act} {}", names.join(", ")));
        }
    }
    if words.is_empty() {
        words.push(format!("{act} the same in another order"));
    }
    words
}

/// Changes of a list of tables that one of their fields names.
fn parts(what: &str, key: &str, old: &Value, new: &Value) -> Vec<String> {
    let none = Vec::new();
    let (old, new) = (
        old.as_array().unwrap_or(&none),
        new.as_array().unwrap_or(&none),
    );
    let find =
        |parts: &[Value], of: &Value| parts.iter().find(|part| part[key] == of[key]).cloned();
    let mut words = Vec::new();
    for part in new {
        match find(old, part) {
            None => words.push(format!(
                "{what} `{}` is new: {}",
                text(&part[key]),
                plain(part, key)
            )),
            Some(before) if before != *part => words.push(format!(
                "{what} `{}`: {} instead of {}",
                text(&part[key]),
                plain(part, key),
                plain(&before, key)
            )),
            Some(_) => {}
        }
    }
    for part in old.iter().filter(|part| find(new, part).is_none()) {
        words.push(format!("{what} `{}` is left out", text(&part[key])));
    }
    if words.is_empty() {
        words.push(format!("{what}s in another order"));
    }
    words
}

/// The fields of a part but its name, and but those that say nothing.
fn plain(part: &Value, key: &str) -> String {
    let none = Map::new();
    let fields = part.as_object().unwrap_or(&none).iter();
    let said = fields.filter(|(name, value)| name.as_str() != key && **value != Value::Bool(false));
    let said = said.map(|(name, value)| match value {
        Value::Bool(true) => label(name),
        value => format!("{} {}", label(name), value_text(value)),
    });
    said.collect::<Vec<_>>().join(", ")
}

fn days_of(is: &str, no_longer: &str, old: &Value, new: &Value) -> Vec<String> {
    let none = Vec::new();
    let (old, new) = (
        old.as_array().unwrap_or(&none),
        new.as_array().unwrap_or(&none),
    );
    let added = new
        .iter()
        .filter(|day| !old.contains(day))
        .map(|day| format!("{} {is}", text(day)));
    let gone = old.iter().filter(|day| !new.contains(day));
    added
        .chain(gone.map(|day| format!("{} {no_longer}", text(day))))
        .collect()
}

/// Days in force as people say them.
fn days(in_force: &Value) -> String {
    match &in_force["until"] {
        Value::Null => format!("from {}", text(&in_force["from"])),
        until => format!("from {} until {}", text(&in_force["from"]), text(until)),
    }
}

/// A value, with a department's name beside its code.
fn shown(value: &Value, packs: [&Pack; 2]) -> String {
    if let Value::Array(values) = value {
        let values: Vec<_> = values.iter().map(|value| shown(value, packs)).collect();
        return values.join(", ");
    }
    let named = value
        .as_str()
        .and_then(|text| text.parse().ok())
        .and_then(|id| {
            packs
                .iter()
                .rev()
                .find_map(|pack| pack.department(&id))
                .map(|it| format!("{} ({id})", it.name))
        });
    named.unwrap_or_else(|| value_text(value))
}

fn with_names(words: String, packs: [&Pack; 2]) -> String {
    packs
        .iter()
        .flat_map(|pack| pack.departments.values())
        .fold(words, |words, it| {
            let code = it.id.to_string();
            let named = format!("{} ({code})", it.name);
            if words.contains(&named) {
                words
            } else {
                words.replace(&code, &named)
            }
        })
}

fn name(body: &Value) -> String {
    for field in ["name", "title"] {
        if let Some(name) = body[field].as_str() {
            let article = body["article"]
                .as_str()
                .map(|article| format!(", {article}"));
            return format!("{name}{}", article.unwrap_or_default());
        }
    }
    text(&body["year"])
}

/// A field's name as words.
fn label(name: &str) -> String {
    name.replace('_', " ")
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Array(values) => values.iter().map(value_text).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            // A reference to a legal basis, as packs write it.
            if let (2, Some(Value::String(id)), Some(version)) =
                (fields.len(), fields.get("id"), fields.get("version"))
            {
                return format!("`{id}@{version}`");
            }
            let fields = fields
                .iter()
                .map(|(name, value)| format!("{} {}", label(name), value_text(value)));
            fields.collect::<Vec<_>>().join(", ")
        }
        Value::Number(number) => number.to_string(),
    }
}
