//! Faults of list types, measures and memoranda.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, meet};
use crate::policy::{
    CheckedDecision, ItemKind, ListPolarity, ListType, MeasureKind, Memorandum, MemorandumMeasure,
    Strength, TermRule,
};

impl Check<'_> {
    pub(super) fn list_types(&mut self) {
        for it in self.pack.list_types.values() {
            self.begin(ItemKind::ListType, &it.id, it.version);
            self.id(&it.id);
            self.text("name", &it.name);
            self.known_departments("initiators", &it.initiators);
            self.sharing(&it.shared_with);
            let ordinary = self.subject_types(&it.subject_types);
            let days = Some(&it.in_force);
            self.covered(
                "legal_basis",
                &it.legal_basis,
                &it.initiators,
                &ordinary,
                days,
            );
            let own = it.natural_person_basis.as_ref();
            self.natural_persons(
                &it.subject_types,
                &it.legal_basis,
                own,
                &it.initiators,
                days,
            );
            self.days_in_force(&it.in_force);
            self.published(it.published, &it.subject_types);
            self.grounds(it);
            self.term(it);
            // Who is to be restrained is heard first; an honour needs no hearing.
            if it.polarity == ListPolarity::Black {
                let days = it.representation_working_days;
                self.at_least_one_day("representation_working_days", days);
            }
        }
    }

    fn grounds(&mut self, it: &ListType) {
        if it.grounds.is_empty() {
            self.fault("grounds", "must name at least one record type");
            return;
        }
        let mut seen = BTreeSet::new();
        let mut reachable = Vec::new();
        let mut complete = true;
        for (index, ground) in it.grounds.iter().enumerate() {
            let field = format!("grounds[{index}]");
            if !seen.insert(ground) {
                self.fault(field, format!("record type `{ground}` is named twice"));
                continue;
            }
            match self.pack.record_type(ground) {
                Some(record_type) => reachable.extend(&record_type.subject_types),
                None => {
                    complete = false;
                    self.dangling(field, ItemKind::RecordType, ground.clone());
                }
            }
        }
        for subject_type in &it.subject_types {
            if complete && !reachable.contains(&subject_type) {
                let message = format!("no ground is about subjects of type {}", subject_type);
                self.fault("grounds", message);
            }
        }
    }

    fn term(&mut self, it: &ListType) {
        match it.term {
            None if it.polarity == ListPolarity::Black => {
                self.fault("term", "a black list needs a term");
            }
            Some(TermRule::Months {
                months_min,
                months_max,
            }) if months_min > months_max => {
                self.fault("term", "`months_min` is greater than `months_max`");
            }
            Some(
                TermRule::Months { months_max: 0, .. }
                | TermRule::Explicit {
                    months_max: Some(0),
                },
            ) => self.fault("term", "`months_max` must be at least 1"),
            _ => {}
        }
    }

    pub(super) fn decisions(&mut self) {
        // Which check a department owes before a decision that it reports in such a record.
        let mut owed: BTreeMap<_, Vec<&CheckedDecision>> = BTreeMap::new();
        for it in self.pack.decisions.values() {
            self.begin(ItemKind::Decision, &it.id, it.version);
            self.id(&it.id);
            self.text("name", &it.name);
            self.known_departments("departments", &it.departments);
            self.days_in_force(&it.in_force);
            let days = Some(&it.in_force);
            self.covered("legal_basis", &it.legal_basis, &it.departments, &[], days);
            if it.valid_days == 0 {
                self.fault("valid_days", "must be at least 1 day");
            }
            match self.pack.record_type(&it.record_type) {
                None => {
                    self.dangling("record_type", ItemKind::RecordType, it.record_type.clone());
                }
                Some(record_type) => {
                    for (index, department) in it.departments.iter().enumerate() {
                        if !record_type.reporters.contains(department) {
                            let message = format!(
                                "department {department} does not report record type `{}`, so that no record could cite the check",
                                it.record_type
                            );
                            self.fault(format!("departments[{index}]"), message);
                        }
                    }
                }
            }
            for (index, department) in it.departments.iter().enumerate() {
                let others = owed.entry((&it.record_type, department)).or_default();
                if let Some(other) = others.iter().find(|o| meet(&o.in_force, &it.in_force)) {
                    let message = format!(
                        "decision `{}` already says which check department {department} needs before record type `{}`",
                        other.id, it.record_type
                    );
                    self.fault(format!("departments[{index}]"), message);
                }
                others.push(it);
            }
            if it.purposes.is_empty() {
                self.fault("purposes", "must name at least one purpose of a check");
            }
            for (index, purpose) in it.purposes.iter().enumerate() {
                if self.pack.measures_at(purpose).next().is_none() {
                    let message = format!(
                        "no standing measure has the purpose `{purpose}`, so that no check has it"
                    );
                    self.fault(format!("purposes[{index}]"), message);
                }
            }
        }
    }

    pub(super) fn forms(&mut self) {
        for it in self.pack.forms.values() {
            self.begin(ItemKind::Form, &it.id, it.version);
            self.id(&it.id);
            self.text("name", &it.name);
            match self.pack.record_type(&it.record_type) {
                None => {
                    self.dangling("record_type", ItemKind::RecordType, it.record_type.clone());
                }
                Some(record_type) => {
                    for (field, message) in it.faults(record_type) {
                        self.fault(field, message);
                    }
                }
            }
        }
    }

    pub(super) fn measures(&mut self) {
        for it in self.pack.measures.values() {
            self.begin(ItemKind::Measure, &it.id, it.version);
            self.id(&it.id);
            self.text("name", &it.name);
            self.covered("legal_basis", &it.legal_basis, &[], &[], None);
            if it.kind == MeasureKind::Standing && it.purposes.is_empty() {
                let message = "a standing measure needs a purpose, or no check would apply it";
                self.fault("purposes", message);
            }
            let mut seen = BTreeSet::new();
            for (index, purpose) in it.purposes.iter().enumerate() {
                let field = format!("purposes[{index}]");
                self.text(&field, purpose);
                if !seen.insert(purpose) {
                    self.fault(field, format!("purpose `{purpose}` is named twice"));
                }
            }
        }
    }

    pub(super) fn memoranda(&mut self) {
        // Who already carries out which measure of which list, by which memorandum.
        let mut assigned: BTreeMap<_, Vec<&Memorandum>> = BTreeMap::new();
        for it in self.pack.memoranda.values() {
            self.begin(ItemKind::Memorandum, &it.id, it.version);
            self.id(&it.id);
            self.text("name", &it.name);
            self.days_in_force(&it.in_force);
            let days = it.acknowledge_within_working_days;
            self.at_least_one_day("acknowledge_within_working_days", days);
            let days = it.report_within_working_days;
            self.at_least_one_day("report_within_working_days", days);
            if it.measures.is_empty() {
                self.fault("measures", "must name at least one measure");
            }
            let list_type = self.pack.list_type(&it.list_type);
            match list_type {
                None => self.dangling("list_type", ItemKind::ListType, it.list_type.clone()),
                Some(list) if !meet(&it.in_force, &list.in_force) => {
                    let message = "the list type is not in force on any of the memorandum's days";
                    self.fault("list_type", message);
                }
                Some(_) => {}
            }
            for (index, entry) in it.measures.iter().enumerate() {
                self.memorandum_measure(it, index, entry, list_type);
                for (at, department) in entry.departments.iter().enumerate() {
                    let key = (&it.list_type, &entry.measure, department);
                    let others = assigned.entry(key).or_default();
                    if let Some(other) = others.iter().find(|o| meet(&o.in_force, &it.in_force)) {
                        let message = format!(
                            "memorandum `{}` already assigns measure `{}` to department {department}",
                            other.id, entry.measure
                        );
                        self.fault(format!("measures[{index}].departments[{at}]"), message);
                    }
                    others.push(it);
                }
            }
        }
    }

    fn memorandum_measure(
        &mut self,
        it: &Memorandum,
        index: usize,
        entry: &MemorandumMeasure,
        list_type: Option<&ListType>,
    ) {
        let at = |field: &str| format!("measures[{index}].{field}");
        self.known_departments(&at("departments"), &entry.departments);
        let subject_types = list_type.map_or(&[][..], |list| &list.subject_types);
        self.covered(
            &at("legal_basis"),
            &entry.legal_basis,
            &entry.departments,
            subject_types,
            Some(&it.in_force),
        );
        let Some(measure) = self.pack.measure(&entry.measure) else {
            self.dangling(at("measure"), ItemKind::Measure, entry.measure.clone());
            return;
        };
        // No directive follows unless the measure's own basis carries it too. One that is not in
        // the pack is reported once, at the measure.
        if self.pack.legal_basis(&measure.legal_basis).is_some() {
            let (basis, days) = (&measure.legal_basis, Some(&it.in_force));
            self.covered(&at("measure"), basis, &[], subject_types, days);
        }
        if list_type.is_some_and(|list| !measure.polarity.suits(list.polarity)) {
            let message = "incentives follow from red lists and sanctions from black ones";
            self.fault(at("measure"), message);
        }
        if entry.strength == Strength::Mandatory && measure.strength == Strength::Recommended {
            let message = "the measure is only recommended; a memorandum cannot make it mandatory";
            self.fault(at("strength"), message);
        }
        for (place, id) in entry.departments.iter().enumerate() {
            let department = self.pack.department(id);
            if department.is_some_and(|department| !department.has_power(&entry.measure)) {
                let message = format!(
                    "department {id} has no power for measure `{}`",
                    entry.measure
                );
                self.fault(at(&format!("departments[{place}]")), message);
            }
        }
    }
}
