//! Record types: what may be collected, from whom, and on which legal basis.

use serde::{Deserialize, Serialize};

use super::first_version;
use crate::department::DepartmentId;
use crate::legal::LegalBasisRef;
use crate::subject::SubjectType;

/// A kind of record that departments may report. Nothing outside these is collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordType {
    /// Identity of the record type.
    pub id: String,
    /// Version of this entry, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Name in English.
    pub name: String,
    /// Name in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// Departments that may report it.
    pub reporters: Vec<DepartmentId>,
    /// Basis for collecting it.
    pub legal_basis: LegalBasisRef,
    /// Kinds of subject it may be about.
    pub subject_types: Vec<SubjectType>,
    /// The separate basis that switches natural persons on for this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub natural_person_basis: Option<LegalBasisRef>,
    /// Working days from the decision within which it must be reported.
    pub report_within_working_days: u32,
    /// Whether a new one opens a proposal to remove its subject from red lists.
    #[serde(default)]
    pub serious: bool,
    /// The fields such a record carries, in the order they are shown.
    pub fields: Vec<FieldRule>,
}

impl RecordType {
    /// The rule for a field, if the record type has that field.
    pub fn field(&self, name: &str) -> Option<&FieldRule> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The basis for collecting it about a subject of that type; `None` if such subjects are not covered.
    pub fn basis_for(&self, subject_type: SubjectType) -> Option<&LegalBasisRef> {
        basis_for(
            &self.subject_types,
            &self.legal_basis,
            self.natural_person_basis.as_ref(),
            subject_type,
        )
    }
}

/// The basis that applies to a subject type: natural persons never fall back on the ordinary one.
pub(super) fn basis_for<'a>(
    subject_types: &[SubjectType],
    ordinary: &'a LegalBasisRef,
    natural_person: Option<&'a LegalBasisRef>,
    subject_type: SubjectType,
) -> Option<&'a LegalBasisRef> {
    if !subject_types.contains(&subject_type) {
        return None;
    }
    match subject_type {
        SubjectType::Organisation => Some(ordinary),
        SubjectType::NaturalPerson => natural_person,
    }
}

/// One field of a record type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldRule {
    /// Name on the wire, lower snake case.
    pub name: String,
    /// The column's name in Chinese forms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// What the value is, and whether it is sealed.
    pub kind: FieldKind,
    /// Whether a record without it is refused.
    #[serde(default)]
    pub required: bool,
    /// Longest value accepted, in characters (not bytes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<u32>,
}

/// What a field's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Free text.
    Text,
    /// A legal date, ISO 8601.
    Date,
    /// An amount in units of 10,000 yuan, as departments' forms give it.
    Money,
    /// A whole number.
    Integer,
    /// An organisation's identifier as `scheme:value`.
    Identifier,
    /// Text that names or describes a natural person: sealed.
    PersonalText,
    /// A natural person's identity number: sealed.
    PersonalId,
}

impl FieldKind {
    /// Whether the value names or identifies a natural person and must be sealed wherever it is stored.
    pub fn is_personal(self) -> bool {
        matches!(self, Self::PersonalText | Self::PersonalId)
    }

    /// Whether values of this kind are bounded by `max_chars`.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::PersonalText | Self::PersonalId)
    }
}
