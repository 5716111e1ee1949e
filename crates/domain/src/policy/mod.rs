//! The policy pack: the rules that change with the law, as data.
//!
//! Code carries the mechanisms; periods, limits, categories, measures and deadlines live in a
//! versioned [`Pack`], each with its legal basis and days in force. Every item is addressable by
//! kind, id and version ([`ItemRef`]); events name the pack version they were judged by, and
//! [`PolicyHistory`] finds that pack again.

mod basis;
mod decision;
mod department;
mod diff;
mod faults;
mod form;
mod history;
mod item;
mod list_type;
mod measure;
mod record_type;
mod sharing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::calendar::{HolidayNotice, WorkingDays};
use crate::department::DepartmentId;
use crate::legal::LegalBasisRef;

pub use basis::{BasisFault, DepartmentScope, LegalBasis};
pub use decision::CheckedDecision;
pub use department::{Department, Level};
pub use diff::{ChangeKind, PackChange};
pub use faults::PackFault;
pub use form::{Form, FormColumn, Target, TargetFault};
pub use history::{HistoryFault, PolicyHistory};
pub use item::{ItemKind, ItemRef, PackItem};
pub use list_type::{ListPolarity, ListType, TermFault, TermRule};
pub use measure::{
    Measure, MeasureKind, MeasurePolarity, Memorandum, MemorandumMeasure, Strength,
    WhenUndetermined,
};
pub use record_type::{
    Backfill, BackfillFault, FieldKind, FieldRule, FieldValue, RecordType, Terms,
};
pub use sharing::SharedWith;

/// One version of the rules.
///
/// A pack may be built with inconsistent items, so that all its faults can be shown at once;
/// only a pack whose [`Pack::faults`] are empty may become active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pack {
    /// Identity, version and time zone.
    pub meta: PackMeta,
    /// Departments by id.
    pub departments: BTreeMap<DepartmentId, Department>,
    /// Legal bases by id and version.
    pub legal_bases: BTreeMap<LegalBasisRef, LegalBasis>,
    /// Record types by id.
    pub record_types: BTreeMap<String, RecordType>,
    /// List types by id.
    pub list_types: BTreeMap<String, ListType>,
    /// Measures by id.
    pub measures: BTreeMap<String, Measure>,
    /// Memoranda by id.
    pub memoranda: BTreeMap<String, Memorandum>,
    /// Decisions that need a check first, by id.
    pub decisions: BTreeMap<String, CheckedDecision>,
    /// Forms by id.
    pub forms: BTreeMap<String, Form>,
    /// Holiday notices by year.
    pub holidays: BTreeMap<i16, HolidayNotice>,
}

/// What identifies a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackMeta {
    /// Identity, shared by the pack's versions.
    pub id: String,
    /// Version as its publisher counts, for example `2026.1`.
    pub version: String,
    /// IANA name of the time zone in which its dates and terms hold.
    pub time_zone: String,
    /// Title in English.
    pub title: String,
    /// Title in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
}

impl PackMeta {
    /// The time zone in which the pack's dates and terms hold.
    ///
    /// # Errors
    ///
    /// The name is not in the time zone database; a pack with no [`Pack::faults`] never fails.
    pub fn tz(&self) -> Result<TimeZone, jiff::Error> {
        TimeZone::get(&self.time_zone)
    }
}

impl Pack {
    /// A pack without items.
    pub fn empty(meta: PackMeta) -> Self {
        Self {
            meta,
            departments: BTreeMap::new(),
            legal_bases: BTreeMap::new(),
            record_types: BTreeMap::new(),
            list_types: BTreeMap::new(),
            measures: BTreeMap::new(),
            memoranda: BTreeMap::new(),
            decisions: BTreeMap::new(),
            forms: BTreeMap::new(),
            holidays: BTreeMap::new(),
        }
    }

    /// The department of that id.
    pub fn department(&self, id: &DepartmentId) -> Option<&Department> {
        self.departments.get(id)
    }

    /// The legal basis of that id and version.
    pub fn legal_basis(&self, reference: &LegalBasisRef) -> Option<&LegalBasis> {
        self.legal_bases.get(reference)
    }

    /// The record type of that id.
    pub fn record_type(&self, id: &str) -> Option<&RecordType> {
        self.record_types.get(id)
    }

    /// The list type of that id.
    pub fn list_type(&self, id: &str) -> Option<&ListType> {
        self.list_types.get(id)
    }

    /// The measure of that id.
    pub fn measure(&self, id: &str) -> Option<&Measure> {
        self.measures.get(id)
    }

    /// The memorandum of that id.
    pub fn memorandum(&self, id: &str) -> Option<&Memorandum> {
        self.memoranda.get(id)
    }

    /// The list types that a record of that type can ground.
    pub fn grounds_for<'a>(&'a self, record_type: &'a str) -> impl Iterator<Item = &'a ListType> {
        self.list_types
            .values()
            .filter(move |list| list.grounds.iter().any(|ground| ground == record_type))
    }

    /// The memoranda that answer a listing of that type on `date`.
    pub fn memoranda_for<'a>(
        &'a self,
        list_type: &'a str,
        date: Date,
    ) -> impl Iterator<Item = &'a Memorandum> {
        self.memoranda.values().filter(move |memorandum| {
            memorandum.list_type == list_type && memorandum.in_force.contains(date)
        })
    }

    /// The standing measures that apply at a check for `purpose`.
    pub fn measures_at<'a>(&'a self, purpose: &'a str) -> impl Iterator<Item = &'a Measure> {
        self.measures.values().filter(move |measure| {
            measure.kind == MeasureKind::Standing && measure.purposes.iter().any(|p| p == purpose)
        })
    }

    /// The forms whose rows are records of that type.
    pub fn forms_for<'a>(&'a self, record_type: &'a str) -> impl Iterator<Item = &'a Form> {
        self.forms
            .values()
            .filter(move |form| form.record_type == record_type)
    }

    /// The duty to check before a decision that is reported in such a record, if there is one.
    pub fn check_before<'a>(
        &'a self,
        record_type: &'a str,
        department: &'a DepartmentId,
        decided_on: Date,
    ) -> Option<&'a CheckedDecision> {
        self.decisions
            .values()
            .find(|decision| decision.concerns(record_type, department, decided_on))
    }

    /// The working-day calendar of the pack's holiday notices.
    pub fn working_days(&self) -> WorkingDays {
        WorkingDays::new(self.holidays.values().cloned())
    }
}

/// Version of an item whose file does not say.
fn first_version() -> u32 {
    1
}
