//! A record as a department states it, judged by the policy pack: every fault
//! at once, or a draft that is ready to be sealed.

use jiff::Timestamp;
use tally_domain::date::{LegalDate, Term};
use tally_domain::department::DepartmentId;
use tally_domain::document::DocumentNumber;
use tally_domain::fault::FieldFault;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::{BackfillFault, BasisFault, RecordType, Terms};
use tally_domain::subject::SubjectType;
use tally_eventlog::sealing::Sealer;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::stored_field::Value;
use tally_service::Policy;
use tally_service::field::{Faults, readable};
use tally_service::subject::{self, SubjectInput};
use uuid::Uuid;

use crate::fields::{self, DraftField, DraftValue};

/// By what a record is judged.
pub(crate) struct Judge<'a> {
    /// The active policy.
    pub policy: &'a Policy,
    /// The legal date now.
    pub today: LegalDate,
    /// The department that states the record.
    pub department: &'a DepartmentId,
    /// For a correction: the basis that the record rests on. It carries the
    /// correction even where the catalogue has moved on, because what is wrong
    /// must always be correctable.
    pub held_basis: Option<&'a LegalBasisRef>,
}

/// A record without faults, not sealed yet. Without `Debug`: it holds personal
/// values.
pub(crate) struct Draft {
    /// Id of the catalogue item.
    pub record_type: String,
    /// Number of the decision document.
    pub document_number: DocumentNumber,
    /// The legal basis it rests on.
    pub legal_basis: LegalBasisRef,
    /// First moment of the first day it holds.
    pub effective_at: Timestamp,
    /// The days by which it is due; backfill has no term.
    terms: Option<Terms>,
    decided_on: LegalDate,
    term: Term,
    fields: Vec<DraftField>,
    check_id: String,
}

impl Draft {
    /// True if something of it must be sealed.
    pub fn is_personal(&self) -> bool {
        self.fields
            .iter()
            .any(|field| matches!(field.value, DraftValue::Personal(_)))
    }

    /// When it is due and when it comes; what is stored, without the content.
    pub fn timeliness(&self, policy: &Policy, today: LegalDate) -> pb::RecordAccepted {
        let mut body = pb::RecordAccepted {
            accepted_on: today.to_string(),
            ..pb::RecordAccepted::default()
        };
        if let Some(terms) = self.terms {
            let late = policy.working_days.late(terms.push_by, today);
            body.publish_by = terms.publish_by.date.to_string();
            body.publish_by_provisional = terms.publish_by.provisional;
            body.push_by = terms.push_by.date.to_string();
            body.push_by_provisional = terms.push_by.provisional;
            body.late_working_days = late.working_days;
            body.late_provisional = late.provisional;
        }
        body
    }

    /// What is stored. Personal values are sealed by `sealer`, that of the
    /// record's stream.
    ///
    /// # Panics
    ///
    /// If the draft [`Draft::is_personal`] and there is no sealer: nothing
    /// personal is ever stored in clear.
    pub fn seal(self, sealer: Option<&Sealer>) -> pb::StoredContent {
        let stored = |field: DraftField| {
            let value = match field.value {
                DraftValue::Clear(text) => Value::Text(text),
                DraftValue::Personal(text) => {
                    let sealer =
                        sealer.expect("sealers are made for all personal drafts of a chunk");
                    Value::Sealed(sealer.seal(&field.name, &text))
                }
            };
            pb::StoredField {
                name: field.name,
                value: Some(value),
            }
        };
        pb::StoredContent {
            record_type: self.record_type,
            document_number: self.document_number.into(),
            decided_on: self.decided_on.to_string(),
            valid_from: self.term.from.to_string(),
            valid_until: self
                .term
                .until
                .map(|until| until.to_string())
                .unwrap_or_default(),
            fields: self.fields.into_iter().map(stored).collect(),
            check_id: self.check_id,
        }
    }
}

impl Judge<'_> {
    /// The draft and whom it is about; nothing where something is wrong, here
    /// or among the faults before.
    pub fn judge(
        &self,
        record: Option<pb::RecordContent>,
        faults: &mut Faults,
    ) -> Option<(SubjectInput, Draft)> {
        let Some(record) = record else {
            faults.add("record", "FIELD_REQUIRED", "a record is required");
            return None;
        };
        for (field, text) in [
            ("record.subject", &record.subject),
            ("record.document_number", &record.document_number),
        ] {
            faults.keep(readable(field, text));
        }
        let subject = faults.keep(subject::parse("record.subject", &record.subject));
        let record_type = self.policy.pack.record_type(&record.record_type);
        if record_type.is_none() {
            faults.add(
                "record.record_type",
                "RECORD_TYPE_UNKNOWN",
                "the policy pack has no such record type, and nothing outside the pack is collected",
            );
        }
        let number = faults.document_number("record.document_number", &record.document_number);
        let decided_on = self.decided_on(&record.decided_on, faults);
        let term = term(decided_on, &record, faults);
        let basis = faults.legal_basis("record.legal_basis", record.legal_basis.as_ref());
        if let Some(basis) = &basis {
            let about = subject.as_ref().map(subject_type);
            self.judge_basis(record_type, about, basis, decided_on, faults);
        }
        if let (Some(record_type), Some(decided_on), Some(term)) = (record_type, decided_on, &term)
        {
            self.judge_backfill(record_type, decided_on, term, faults);
        }
        let check_id = faults.keep(cited_check(&record.check_id));
        let fields =
            record_type.map(|record_type| fields::validate(record_type, record.fields, faults));
        if !faults.is_empty() {
            return None;
        }
        let (record_type, decided_on, term) = (record_type?, decided_on?, term?);
        let draft = Draft {
            record_type: record.record_type,
            document_number: number?,
            legal_basis: basis?,
            effective_at: self.policy.start_of(term.from),
            terms: self.policy.terms(record_type, decided_on),
            decided_on,
            term,
            fields: fields?,
            check_id: check_id?,
        };
        Some((subject?, draft))
    }

    fn decided_on(&self, text: &str, faults: &mut Faults) -> Option<LegalDate> {
        let decided_on = faults.date("record.decided_on", text)?;
        if decided_on > self.today {
            faults.add(
                "record.decided_on",
                "DATE_IN_FUTURE",
                format!(
                    "today is {}; a decision is reported once it is taken",
                    self.today
                ),
            );
            return None;
        }
        Some(decided_on)
    }

    /// Old decisions only as far as the catalogue item's rule goes; what was
    /// taken once stays correctable.
    fn judge_backfill(
        &self,
        record_type: &RecordType,
        decided_on: LegalDate,
        term: &Term,
        faults: &mut Faults,
    ) {
        if self.held_basis.is_some() {
            return;
        }
        let Err(fault) = record_type.check_backfill(decided_on, term.until, self.today) else {
            return;
        };
        let (field, reason) = match fault {
            BackfillFault::NoLongerValid { .. } => ("record.valid_until", "BACKFILL_NOT_VALID"),
            BackfillFault::TooOld { .. } => ("record.decided_on", "BACKFILL_TOO_OLD"),
        };
        faults.add(field, reason, fault.to_string());
    }

    /// No record without a legal basis for it. The catalogue item's basis must
    /// be in force today, because collecting is an act of today; the version
    /// cited must have been in force on the day of the decision. What can be
    /// said of the basis cited is said, whatever else of the record is wrong.
    fn judge_basis(
        &self,
        record_type: Option<&RecordType>,
        about: Option<SubjectType>,
        cited: &LegalBasisRef,
        decided_on: Option<LegalDate>,
        faults: &mut Faults,
    ) {
        let (Some(record_type), Some(subject_type)) = (record_type, about) else {
            self.judge_cited(about, cited, decided_on, faults);
            return;
        };
        let Some(expected) = record_type.basis_for(subject_type) else {
            faults.push(not_covered(subject_type));
            self.judge_cited(None, cited, decided_on, faults);
            return;
        };
        let is_held = self.held_basis.is_some_and(|held| held.id == cited.id);
        if cited.id != expected.id && !is_held {
            faults.add(
                "record.legal_basis",
                "LEGAL_BASIS_OTHER",
                format!("records of this type rest on {expected}; cite that one"),
            );
        }
        if self.judge_cited(about, cited, decided_on, faults) && self.held_basis.is_none() {
            self.in_force(expected, self.today, about, faults);
        }
    }

    /// Adds what is wrong with the basis cited; true if nothing is.
    fn judge_cited(
        &self,
        about: Option<SubjectType>,
        cited: &LegalBasisRef,
        decided_on: Option<LegalDate>,
        faults: &mut Faults,
    ) -> bool {
        if let Some(decided_on) = decided_on {
            return self.in_force(cited, decided_on, about, faults);
        }
        let known = self.policy.pack.legal_basis(cited).is_some();
        if !known {
            let unknown = BasisFault::Unknown {
                id: cited.id.clone(),
                version: cited.version,
            };
            faults.add(
                "record.legal_basis",
                basis_reason(&unknown),
                unknown.to_string(),
            );
        }
        known
    }

    /// True if a basis is in force on a day; else one fault more. Of a subject
    /// that cannot be read, nothing is said.
    fn in_force(
        &self,
        basis: &LegalBasisRef,
        day: LegalDate,
        about: Option<SubjectType>,
        faults: &mut Faults,
    ) -> bool {
        let subject_type = about.unwrap_or(SubjectType::Organisation);
        let pack = &self.policy.pack;
        match pack.in_force(basis, day, self.department, subject_type) {
            Ok(()) => true,
            Err(BasisFault::SubjectType { .. }) if about.is_none() => true,
            Err(fault) => {
                faults.add(
                    "record.legal_basis",
                    basis_reason(&fault),
                    format!("on {day}: {fault}"),
                );
                false
            }
        }
    }
}

/// The fault where records of a type are not about such subjects.
fn not_covered(subject_type: SubjectType) -> FieldFault {
    match subject_type {
        SubjectType::NaturalPerson => subject::natural_persons_off("record.subject"),
        SubjectType::Organisation => FieldFault::new(
            "record.subject",
            "SUBJECT_TYPE_NOT_COVERED",
            "records of this type are not about organisations",
        ),
    }
}

/// The check that a record cites, as it is named everywhere. Whether there is such
/// a check is for the report on decisions: the decision was taken all the same.
fn cited_check(text: &str) -> Result<String, FieldFault> {
    if text.is_empty() {
        return Ok(String::new());
    }
    Uuid::try_parse(text).map(|id| id.to_string()).map_err(|_| {
        FieldFault::new(
            "record.check_id",
            "CHECK_ID_INVALID",
            "a check's id is the UUID under which it was asked; leave it empty if none was made",
        )
    })
}

fn term(
    decided_on: Option<LegalDate>,
    record: &pb::RecordContent,
    faults: &mut Faults,
) -> Option<Term> {
    let given = faults.date_or_none("record.valid_from", &record.valid_from);
    let until = faults.date_or_none("record.valid_until", &record.valid_until);
    let from = if record.valid_from.is_empty() {
        decided_on?
    } else {
        given?
    };
    faults.keep(Term::new(from, until).map_err(|fault| fault.at("record.valid_until")))
}

fn subject_type(subject: &SubjectInput) -> SubjectType {
    match subject {
        SubjectInput::Organisation(_) => SubjectType::Organisation,
        SubjectInput::Person(_) | SubjectInput::PersonId(_) => SubjectType::NaturalPerson,
    }
}

fn basis_reason(fault: &BasisFault) -> &'static str {
    match fault {
        BasisFault::Unknown { .. } => "LEGAL_BASIS_UNKNOWN",
        BasisFault::NotYetInForce { .. } | BasisFault::Expired { .. } => "LEGAL_BASIS_NOT_IN_FORCE",
        BasisFault::Department { .. } => "LEGAL_BASIS_OTHER_DEPARTMENT",
        BasisFault::SubjectType { .. } => "LEGAL_BASIS_OTHER_SUBJECT_TYPE",
    }
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
