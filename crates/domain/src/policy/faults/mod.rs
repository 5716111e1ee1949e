//! Consistency of a pack: every fault at once, each with the item and field it belongs to.

mod agreements;
mod calendar;
mod catalogue;

use std::collections::BTreeSet;
use std::fmt;

use crate::department::DepartmentId;
use crate::legal::{InForce, LegalBasisRef};
use crate::subject::SubjectType;

use super::{ItemKind, ItemRef, Pack, SharedWith};

/// One inconsistency of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackFault {
    /// The item at fault.
    pub item: ItemRef,
    /// Path of the field at fault, for example `measures[1].legal_basis`; empty for the whole item.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
    /// What a dangling reference points to (kind, and id or `id@version`), so that a loader that saw
    /// that item, but could not read it, can leave the consequence out.
    pub missing: Option<(ItemKind, String)>,
}

impl PackFault {
    /// A fault of `item` at `field`.
    pub fn new(item: ItemRef, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            item,
            field: field.into(),
            message: message.into(),
            missing: None,
        }
    }
}

impl fmt::Display for PackFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.is_empty() {
            return write!(formatter, "{}: {}", self.item, self.message);
        }
        write!(formatter, "{}: {}: {}", self.item, self.field, self.message)
    }
}

impl Pack {
    /// Every inconsistency of the pack; a pack with any must not become active.
    ///
    /// The result is in canonical order of the items.
    pub fn faults(&self) -> Vec<PackFault> {
        let mut check = Check {
            pack: self,
            item: ItemRef::new(ItemKind::Pack, &self.meta.id, 1),
            faults: Vec::new(),
        };
        check.meta();
        check.departments();
        check.legal_bases();
        check.record_types();
        check.list_types();
        check.measures();
        check.memoranda();
        check.decisions();
        check.forms();
        check.holidays();
        check.faults
    }
}

/// Collects the faults of one pack, item after item.
struct Check<'a> {
    pack: &'a Pack,
    /// The item being looked at.
    item: ItemRef,
    faults: Vec<PackFault>,
}

impl Check<'_> {
    fn begin(&mut self, kind: ItemKind, id: impl Into<String>, version: u32) {
        self.item = ItemRef::new(kind, id, version);
        if version == 0 {
            self.fault("version", "versions count from 1");
        }
    }

    fn fault(&mut self, field: impl Into<String>, message: impl Into<String>) {
        let fault = PackFault::new(self.item.clone(), field, message);
        self.faults.push(fault);
    }

    fn dangling(&mut self, field: impl Into<String>, kind: ItemKind, id: String) {
        let message = format!("there is no {kind} `{id}` in this pack");
        let mut fault = PackFault::new(self.item.clone(), field, message);
        fault.missing = Some((kind, id));
        self.faults.push(fault);
    }

    fn meta(&mut self) {
        let meta = &self.pack.meta;
        self.id(&meta.id);
        self.text("version", &meta.version);
        self.text("title", &meta.title);
        if meta.tz().is_err() {
            let message = format!("`{}` is not an IANA time zone name", meta.time_zone);
            self.fault("time_zone", message);
        }
    }

    /// Ids travel in keys, topics and addresses, so they are kept to a small alphabet.
    fn id(&mut self, id: &str) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_./".contains(c);
        if id.is_empty() || id.len() > 64 || !id.chars().all(plain) {
            self.fault("id", "an id is 1 to 64 of a-z, 0-9, `-`, `_`, `.` and `/`");
        }
    }

    fn text(&mut self, field: &str, value: &str) {
        if value.trim().is_empty() {
            self.fault(field, "must not be empty");
        }
    }

    fn at_least_one_day(&mut self, field: &str, working_days: u32) {
        if working_days == 0 {
            self.fault(field, "must be at least 1 working day");
        }
    }

    fn days_in_force(&mut self, in_force: &InForce) {
        if let Err(fault) = in_force.check() {
            self.fault("in_force", fault.to_string());
        }
    }

    /// A list of department ids: some, each once, each in the pack.
    fn known_departments(&mut self, field: &str, ids: &[DepartmentId]) {
        if ids.is_empty() {
            self.fault(field, "must name at least one department");
        }
        let mut seen = BTreeSet::new();
        for (index, id) in ids.iter().enumerate() {
            let field = format!("{field}[{index}]");
            if !seen.insert(id) {
                self.fault(field, format!("department {id} is named twice"));
            } else if self.pack.department(id).is_none() {
                self.dangling(field, ItemKind::Department, id.to_string());
            }
        }
    }

    fn sharing(&mut self, shared_with: &SharedWith) {
        if let SharedWith::Listed(ids) = shared_with {
            self.known_departments("shared_with", ids);
        }
    }

    /// A reference to a legal basis that must cover all these departments and subject types.
    ///
    /// `in_force` are the days of the item that cites the basis: days that never meet those of the
    /// basis make the item dead. Partial overlap is no fault, because what a lapsed basis carries
    /// lapses with it.
    fn covered(
        &mut self,
        field: &str,
        basis: &LegalBasisRef,
        departments: &[DepartmentId],
        subject_types: &[SubjectType],
        in_force: Option<&InForce>,
    ) {
        let Some(found) = self.pack.legal_basis(basis) else {
            self.dangling(field, ItemKind::LegalBasis, basis.to_string());
            return;
        };
        for department in departments {
            if !found.departments.covers(department) {
                let message =
                    format!("legal basis `{basis}` does not cover department {department}");
                self.fault(field, message);
            }
        }
        for subject_type in subject_types {
            if !found.subject_types.contains(subject_type) {
                let message =
                    format!("legal basis `{basis}` does not cover subjects of type {subject_type}");
                self.fault(field, message);
            }
        }
        if in_force.is_some_and(|days| !meet(days, &found.in_force)) {
            let message = format!("legal basis `{basis}` is not in force on any of these days");
            self.fault(field, message);
        }
    }

    /// Natural persons are off until an item's own legal basis switches them on.
    fn natural_persons(
        &mut self,
        subject_types: &[SubjectType],
        ordinary: &LegalBasisRef,
        own: Option<&LegalBasisRef>,
        departments: &[DepartmentId],
        in_force: Option<&InForce>,
    ) {
        const FIELD: &str = "natural_person_basis";
        match (subject_types.contains(&SubjectType::NaturalPerson), own) {
            (false, None) => {}
            (false, Some(_)) => {
                self.fault(FIELD, "`subject_types` does not switch natural persons on");
            }
            (true, None) => self.fault(
                "subject_types",
                "natural persons need a legal basis of their own, `natural_person_basis`",
            ),
            (true, Some(own)) if own == ordinary => self.fault(
                FIELD,
                "natural persons need a basis of their own, not the item's ordinary one",
            ),
            (true, Some(own)) => {
                let person = [SubjectType::NaturalPerson];
                self.covered(FIELD, own, departments, &person, in_force);
            }
        }
    }

    /// A list of subject types: some, each once. Returns those that the ordinary basis must cover.
    fn subject_types(&mut self, subject_types: &[SubjectType]) -> Vec<SubjectType> {
        if subject_types.is_empty() {
            self.fault("subject_types", "must name at least one subject type");
        }
        for (index, subject_type) in subject_types.iter().enumerate() {
            if subject_types[..index].contains(subject_type) {
                self.fault(
                    format!("subject_types[{index}]"),
                    "this type is named twice",
                );
            }
        }
        let mut ordinary = subject_types.to_vec();
        ordinary.retain(|subject_type| *subject_type != SubjectType::NaturalPerson);
        ordinary
    }
}

/// Whether two ranges of days share a day.
fn meet(a: &InForce, b: &InForce) -> bool {
    let ends_before = |x: &InForce, y: &InForce| x.until.is_some_and(|until| until < y.from);
    !ends_before(a, b) && !ends_before(b, a)
}
