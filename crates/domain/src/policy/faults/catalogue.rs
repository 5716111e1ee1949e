//! Faults of departments, legal bases and record types.

use std::collections::BTreeSet;

use super::Check;
use crate::policy::{Backfill, DepartmentScope, FieldKind, FieldRule, ItemKind, Level, RecordType};
use crate::subject::SubjectType;

/// Words that mark a field as a score, rank or grade, which no natural person may be given.
const SCORE_WORDS: [&str; 7] = [
    "score", "rank", "ranking", "grade", "rating", "points", "tier",
];

/// The same in the Chinese name of a field.
const SCORE_WORDS_ZH: [&str; 9] = [
    "评分", "得分", "分数", "积分", "打分", "等级", "评级", "排名", "名次",
];

impl Check<'_> {
    pub(super) fn departments(&mut self) {
        for it in self.pack.departments.values() {
            self.begin(ItemKind::Department, it.id.to_string(), it.version);
            self.text("name", &it.name);
            match Level::of_division(&it.division) {
                None => self.fault("division", "must be a six-digit GB/T 2260 code"),
                Some(level) if level != it.level => {
                    let message = "the division is one of another level of government";
                    self.fault("division", message);
                }
                Some(_) => {}
            }
            let mut seen = BTreeSet::new();
            for (index, power) in it.powers.iter().enumerate() {
                let field = format!("powers[{index}]");
                if !seen.insert(power) {
                    self.fault(field, format!("measure `{power}` is named twice"));
                    continue;
                }
                let Some(measure) = self.pack.measure(power) else {
                    self.dangling(field, ItemKind::Measure, power.clone());
                    continue;
                };
                let basis = &measure.legal_basis;
                // A basis that is not in the pack is reported once, at the measure.
                if self.pack.legal_basis(basis).is_some() {
                    self.covered(&field, basis, std::slice::from_ref(&it.id), &[], None);
                }
            }
        }
    }

    pub(super) fn legal_bases(&mut self) {
        for it in self.pack.legal_bases.values() {
            self.begin(ItemKind::LegalBasis, &it.id, it.version);
            self.id(&it.id);
            self.text("title", &it.title);
            self.text("article", &it.article);
            self.days_in_force(&it.in_force);
            if let DepartmentScope::Listed(ids) = &it.departments {
                self.known_departments("departments", ids);
            }
            self.subject_types(&it.subject_types);
        }
    }

    pub(super) fn record_types(&mut self) {
        for it in self.pack.record_types.values() {
            self.begin(ItemKind::RecordType, &it.id, it.version);
            self.id(&it.id);
            self.text("name", &it.name);
            self.known_departments("reporters", &it.reporters);
            self.sharing(&it.shared_with);
            let ordinary = self.subject_types(&it.subject_types);
            self.covered(
                "legal_basis",
                &it.legal_basis,
                &it.reporters,
                &ordinary,
                None,
            );
            let own = it.natural_person_basis.as_ref();
            self.natural_persons(&it.subject_types, &it.legal_basis, own, &it.reporters, None);
            let days = it.report_within_working_days;
            self.at_least_one_day("report_within_working_days", days);
            if it.due_day_of_month.is_some_and(|day| day == 0 || day > 31) {
                self.fault("due_day_of_month", "must be a day from 1 to 31");
            }
            if it.backfill.is_some() && it.collected_from.is_none() {
                let message = "say with `collected_from` what is backfill";
                self.fault("backfill", message);
            }
            if matches!(it.backfill, Some(Backfill::Years(years)) if !(1..=100).contains(&years)) {
                self.fault("backfill", "must be from 1 to 100 years");
            }
            self.fields(it);
            self.publication(it);
        }
    }

    /// What the public sees of a record type, and what it says of new registrations.
    fn publication(&mut self, it: &RecordType) {
        self.published(it.published, &it.subject_types);
        if it.published && !it.fields.iter().any(FieldRule::is_public) {
            let message = "none of the fields may be shown: all are personal or internal";
            self.fault("published", message);
        }
        for (index, rule) in it.fields.iter().enumerate() {
            if rule.ends_publication && rule.kind != FieldKind::Date {
                let message = "only a field of kind `date` can end the publication";
                self.fault(format!("fields[{index}].ends_publication"), message);
            }
        }
        let Some(when) = &it.registers_when else {
            return;
        };
        if !it.registers_subject {
            self.fault("registers_when", "needs `registers_subject` beside it");
        }
        match it.field(&when.field) {
            None => {
                let message = format!("the record type has no field `{}`", when.field);
                self.fault("registers_when", message);
            }
            Some(rule) if rule.kind.is_personal() => {
                self.fault("registers_when", "a personal field says nothing in clear");
            }
            Some(rule) if !rule.allows(&when.value) => {
                let message = format!("`{}` is no choice of `{}`", when.value, when.field);
                self.fault("registers_when", message);
            }
            Some(_) => {}
        }
    }

    /// What is about natural persons is never published.
    pub(super) fn published(&mut self, published: bool, subject_types: &[SubjectType]) {
        if published && !subject_types.contains(&SubjectType::Organisation) {
            let message = "only what is about organisations is published, never natural persons";
            self.fault("published", message);
        }
    }

    fn fields(&mut self, it: &RecordType) {
        if it.fields.is_empty() {
            self.fault("fields", "must name at least one field");
        }
        let persons = it.subject_types.contains(&SubjectType::NaturalPerson);
        let mut seen = BTreeSet::new();
        for (index, rule) in it.fields.iter().enumerate() {
            let at = |field: &str| format!("fields[{index}].{field}");
            if !seen.insert(&rule.name) {
                let message = format!("field `{}` comes twice", rule.name);
                self.fault(at("name"), message);
            }
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let letter_first = rule.name.starts_with(|c: char| c.is_ascii_lowercase());
            if !letter_first || !rule.name.chars().all(plain) {
                let message = "a field name is lower snake case and begins with a letter";
                self.fault(at("name"), message);
            }
            if persons {
                let message = "no field may hold a score, rank or grade of a natural person";
                if rule.name.split('_').any(|w| SCORE_WORDS.contains(&w)) {
                    self.fault(at("name"), message);
                }
                let zh = rule.name_zh.as_deref().unwrap_or_default();
                if SCORE_WORDS_ZH.iter().any(|word| zh.contains(word)) {
                    self.fault(at("name_zh"), message);
                }
            }
            match (rule.kind.is_text(), rule.max_chars) {
                (true, None) => self.fault(at("kind"), "text needs `max_chars`"),
                (true, Some(0)) => self.fault(at("max_chars"), "must be at least 1"),
                (false, Some(_)) => self.fault(at("max_chars"), "only text has `max_chars`"),
                _ => {}
            }
            if rule.kind != FieldKind::Text && !rule.choices.is_empty() {
                self.fault(at("choices"), "only fields of kind `text` have `choices`");
            }
            let mut named = BTreeSet::new();
            for (place, choice) in rule.choices.iter().enumerate() {
                let field = at(&format!("choices[{place}]"));
                if !named.insert(choice) {
                    self.fault(field, format!("choice `{choice}` comes twice"));
                } else if choice.is_empty() || choice.trim() != choice {
                    self.fault(field, "a choice is not empty and has no blanks around it");
                }
            }
            if rule.open_choice.is_some() && rule.choices.is_empty() {
                self.fault(at("open_choice"), "needs `choices` beside it");
            }
        }
    }
}
