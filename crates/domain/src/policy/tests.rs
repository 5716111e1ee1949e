mod records;
mod rules;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

const BUREAU: &str = "11990000MB0000107X";
const OTHER: &str = "11990100MB0000203C";

fn meta() -> PackMeta {
    PackMeta {
        id: "test".into(),
        version: "2026.1".into(),
        time_zone: "Asia/Shanghai".into(),
        title: "Test".into(),
        name_zh: None,
    }
}

fn item(kind: ItemKind, id: &str, body: Value) -> PackItem {
    PackItem {
        kind,
        id: id.into(),
        version: 1,
        body: body.to_string(),
    }
}

fn basis(id: &str) -> LegalBasisRef {
    LegalBasisRef::new(id, 1)
}

/// A small consistent pack in the form of events.
fn items() -> Vec<PackItem> {
    let bureau = |id: &str, powers: &[&str]| {
        let body = json!({ "id": id, "name": "Bureau", "level": "province",
            "division": "990000", "powers": powers });
        item(ItemKind::Department, id, body)
    };
    let law = |id: &str, until: Option<&str>, departments: Value| {
        let mut body = json!({ "id": id, "version": 1, "title": "Law", "article": "1",
            "in_force": { "from": "2005-01-01" }, "departments": departments,
            "subject_types": ["organisation"] });
        if let Some(until) = until {
            body["in_force"]["until"] = until.into();
        }
        item(ItemKind::LegalBasis, id, body)
    };
    let act = json!({ "id": "act", "version": 1 });
    vec![
        bureau(BUREAU, &["ban"]),
        bureau(OTHER, &[]),
        law("act", None, json!([BUREAU])),
        law("old", Some("2015-12-31"), json!("all")),
        item(
            ItemKind::RecordType,
            "penalty",
            json!({ "id": "penalty", "name": "Penalty", "reporters": [BUREAU], "legal_basis": act,
                "subject_types": ["organisation"], "report_within_working_days": 7,
                "fields": [{ "name": "content", "kind": "text", "max_chars": 10 }] }),
        ),
        item(
            ItemKind::ListType,
            "serious",
            json!({ "id": "serious", "name": "Serious", "polarity": "black", "legal_basis": act,
                "initiators": [BUREAU], "grounds": ["penalty"], "subject_types": ["organisation"],
                "term": { "explicit": true, "months_max": 36 }, "representation_working_days": 5,
                "in_force": { "from": "2005-01-01" } }),
        ),
        item(
            ItemKind::Measure,
            "ban",
            json!({ "id": "ban", "name": "Ban", "kind": "standing", "polarity": "sanction",
                "legal_basis": act, "strength": "mandatory", "when_undetermined": "refer",
                "purposes": ["funds"] }),
        ),
        item(
            ItemKind::Memorandum,
            "discipline",
            json!({ "id": "discipline", "name": "Discipline", "list_type": "serious",
                "acknowledge_within_working_days": 2, "report_within_working_days": 10,
                "in_force": { "from": "2010-01-01", "until": "2020-12-31" },
                "measures": [{ "measure": "ban", "departments": [BUREAU],
                    "strength": "mandatory", "legal_basis": act }] }),
        ),
        item(
            ItemKind::HolidayNotice,
            "2024",
            json!({ "year": 2024, "off": ["2024-01-01"], "makeup": ["2024-02-04"] }),
        ),
    ]
}

fn pack() -> Pack {
    Pack::from_items(meta(), items()).expect("the test's items are well formed")
}

fn department(id: &str) -> DepartmentId {
    id.parse().expect("a valid code")
}

#[test]
fn a_consistent_pack_has_no_faults() {
    assert_eq!(pack().faults(), []);
}

#[test]
fn items_round_trip_in_any_order() {
    let pack = pack();
    let mut items = pack.items();
    assert!(items.is_sorted_by_key(PackItem::reference));
    items.reverse();
    let again = Pack::from_items(meta(), items).expect("own items are readable");
    assert_eq!(again, pack);
    assert_eq!(again.digest(), pack.digest());
}

#[test]
fn a_body_is_canonical_json() {
    let items = pack().items();
    let notice = items.last().expect("the pack has items");
    let body = r#"{"makeup":["2024-02-04"],"off":["2024-01-01"],"year":2024}"#;
    assert_eq!(notice.body, body);
}

/// Changing these bytes breaks the proof of every pack already in a log.
#[test]
fn the_digest_is_pinned() {
    let hex: String = pack().digest().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(
        hex,
        "8e7ddf77222aae5e40fb93035a62f0b181b2e47d15489573bbd77e936396fe02"
    );
}

#[test]
fn the_digest_covers_the_packs_own_data_and_every_item() {
    let digest = pack().digest();
    let mut other = pack();
    other.meta.time_zone = "UTC".into();
    assert_ne!(other.digest(), digest);
    for skipped in 0..items().len() {
        let mut items = items();
        items.remove(skipped);
        let other = Pack::from_items(meta(), items).expect("readable");
        assert_ne!(
            other.digest(),
            digest,
            "item {skipped} is not in the digest"
        );
    }
}

#[test]
fn every_bad_item_is_named_at_once() {
    let mut items = items();
    items.push(items[0].clone());
    items[1].id = BUREAU.replace('X', "0");
    items[6].body = items[6].body.replace("standing", "hanging");
    items[8].version = 2;
    items.push(item(ItemKind::Pack, "test", json!({})));
    let faults = Pack::from_items(meta(), items).expect_err("five items are bad");
    let text: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 5, "{text:#?}");
    assert!(text[0].contains("the body says `11990100MB0000203C` version 1"));
    assert!(text[1].contains("unknown variant `hanging`"));
    assert!(text[2].contains("the body says `2024` version 1"));
    assert!(text[3].contains("comes twice"));
    assert!(text[4].contains("not one of its items"));
}

#[test]
fn an_unknown_field_is_refused() {
    let mut items = items();
    items[6].body = items[6].body.replace("\"name\"", "\"score\":1,\"name\"");
    assert!(Pack::from_items(meta(), items).is_err());
}

#[test]
fn history_keeps_every_version() {
    let mut history = PolicyHistory::default();
    assert!(history.active().is_none());
    let first = Arc::new(pack());
    assert_eq!(history.load(first.clone()), Ok(true));
    assert_eq!(history.load(first.clone()), Ok(false));

    let mut changed = pack();
    changed.meta.title = "Changed".into();
    let version = "2026.1".to_owned();
    let refused = history.load(Arc::new(changed.clone()));
    assert_eq!(refused, Err(HistoryFault::VersionTaken { version }));

    changed.meta.version = "2026.2".into();
    let second = Arc::new(changed);
    assert_eq!(history.load(second.clone()), Ok(true));
    assert_eq!(history.active(), Some(&second));
    assert_eq!(history.get("2026.1"), Some(&first));
    assert_eq!(history.get("2025.1"), None);
    assert_eq!(history.iter().count(), 2);
}

#[test]
fn what_an_older_pack_does_not_say_leaves_its_digest_alone() {
    let rule = json!({ "name": "field", "kind": "date" });
    let rule: FieldRule = serde_json::from_value(rule).expect("a rule");
    let text = serde_json::to_string(&rule).expect("JSON");
    assert!(
        !text.contains("internal") && !text.contains("ends_publication"),
        "{text}"
    );
}
