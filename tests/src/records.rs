//! Records of any catalogue item, made from the item's own rules.

use tally_domain::policy::{FieldKind, FieldRule, RecordType};
use tally_proto::tally::collection::v1::{Field, RecordContent};
use tally_proto::tally::log::v1::LegalBasisRef;

use crate::harness::COMPANY;

/// The least that an item takes: its required fields, and no other.
pub fn minimal(
    record_type: &RecordType,
    subject: &str,
    number: &str,
    decided_on: &str,
) -> RecordContent {
    let required = record_type.fields.iter().filter(|rule| rule.required);
    RecordContent {
        subject: subject.to_owned(),
        record_type: record_type.id.clone(),
        document_number: number.to_owned(),
        decided_on: decided_on.to_owned(),
        legal_basis: Some(LegalBasisRef {
            id: record_type.legal_basis.id.clone(),
            version: record_type.legal_basis.version,
        }),
        fields: required
            .map(|rule| field(&rule.name, &a_value(rule)))
            .collect(),
        ..Default::default()
    }
}

/// A field.
pub fn field(name: &str, value: &str) -> Field {
    Field {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}

/// A value that the rule allows.
fn a_value(rule: &FieldRule) -> String {
    if let Some(choice) = rule.choices.first() {
        return choice.clone();
    }
    match rule.kind {
        FieldKind::Text | FieldKind::PersonalText => "示例".to_owned(),
        FieldKind::Date => "2026-01-05".to_owned(),
        FieldKind::Money => "1.5".to_owned(),
        FieldKind::Integer => "1".to_owned(),
        FieldKind::Identifier => COMPANY.to_owned(),
        // An identity number of a region that does not exist.
        FieldKind::PersonalId => "999999200002291230".to_owned(),
    }
}
