//! What the demo knows of the policy pack: who may do what to whom. Ids are
//! looked up in it, not written down a second time.

use jiff::civil::Date;
use tally_domain::calendar::WorkingDays;
use tally_domain::department::DepartmentId;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::{Department, ListPolarity, ListType, Pack, RecordType, TermRule};
use tally_proto::tally::collection::v1::RecordContent;

use super::texts::Phrase;

/// A department: its place among those of the pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dept(usize);

impl Dept {
    /// Place among the departments of the pack.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A directive that a listing must give rise to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Due {
    /// What is to be done.
    pub measure: String,
    /// By whom.
    pub dept: Dept,
}

/// Whether a record comes within its term.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// Within it.
    InTime,
    /// After it.
    Late,
    /// It has none: the decision is from before the beginning.
    Backfill,
}

/// The pack, and its departments by place.
pub struct World {
    /// The pack.
    pub pack: Pack,
    /// Its calendar.
    pub working_days: WorkingDays,
    departments: Vec<Department>,
}

impl World {
    /// Of that pack.
    pub fn new(pack: Pack) -> Self {
        Self {
            working_days: pack.working_days(),
            departments: pack.departments.values().cloned().collect(),
            pack,
        }
    }

    /// All departments.
    pub fn depts(&self) -> impl ExactSizeIterator<Item = Dept> + DoubleEndedIterator + use<> {
        (0..self.departments.len()).map(Dept)
    }

    /// What the pack says of a department.
    pub fn department(&self, dept: Dept) -> &Department {
        &self.departments[dept.0]
    }

    /// Its id: the unified social credit code.
    pub fn id(&self, dept: Dept) -> &DepartmentId {
        &self.department(dept).id
    }

    /// Its name.
    pub fn name(&self, dept: Dept) -> Phrase {
        let department = self.department(dept);
        Phrase::named(&department.name, department.name_zh.as_ref())
    }

    /// The department of that id, or the id where the pack has none.
    pub fn name_of(&self, id: &str) -> Phrase {
        self.by_id(id)
            .map_or_else(|| Phrase::of(id), |dept| self.name(dept))
    }

    /// The department of that id.
    pub fn by_id(&self, id: &str) -> Option<Dept> {
        self.depts().find(|dept| self.id(*dept).as_str() == id)
    }

    /// Name of a record type.
    pub fn item(&self, id: &str) -> Phrase {
        let found = self.pack.record_type(id);
        found.map_or_else(
            || Phrase::of(id),
            |item| Phrase::named(&item.name, item.name_zh.as_ref()),
        )
    }

    /// Name of a measure.
    pub fn measure(&self, id: &str) -> Phrase {
        let found = self.pack.measure(id);
        found.map_or_else(
            || Phrase::of(id),
            |measure| Phrase::named(&measure.name, measure.name_zh.as_ref()),
        )
    }

    /// Name of a list type.
    pub fn list(&self, id: &str) -> Phrase {
        let found = self.pack.list_type(id);
        found.map_or_else(
            || Phrase::of(id),
            |list| Phrase::named(&list.name, list.name_zh.as_ref()),
        )
    }

    /// The lists, red ones first.
    pub fn list_types(&self) -> Vec<&ListType> {
        let mut lists: Vec<&ListType> = self.pack.list_types.values().collect();
        lists.sort_by_key(|list| list.polarity != ListPolarity::Red);
        lists
    }

    /// The record types that a department reports.
    pub fn reported_by(&self, dept: Dept) -> impl Iterator<Item = &RecordType> {
        let types = self.pack.record_types.values();
        types.filter(move |item| item.reporters.contains(self.id(dept)))
    }

    /// The directives that a listing on `day` must give rise to, by the pack alone.
    pub fn directives_due(&self, list_type: &str, day: Date) -> Vec<Due> {
        let memoranda = self.pack.memoranda_for(list_type, day);
        let mut due = Vec::new();
        for assigned in memoranda.flat_map(|memorandum| &memorandum.measures) {
            let able = |id: &&DepartmentId| {
                let department = self.pack.department(id);
                department.is_some_and(|department| department.has_power(&assigned.measure))
            };
            let able = assigned.departments.iter().filter(able);
            due.extend(
                able.filter_map(|id| self.by_id(id.as_str()))
                    .map(|dept| Due {
                        measure: assigned.measure.clone(),
                        dept,
                    }),
            );
        }
        due
    }

    /// Who asks about a subject of that list, and before what decision: whoever
    /// applies a standing measure to it.
    pub fn window(&self, list_type: &str, day: Date) -> Option<(Dept, String)> {
        self.directives_due(list_type, day)
            .into_iter()
            .find_map(|due| {
                let purposes = &self.pack.measure(&due.measure)?.purposes;
                Some((due.dept, purposes.first()?.clone()))
            })
    }

    /// Before what decision a measure is looked up; any for one that is executed once.
    pub fn purpose_of(&self, measure: &str) -> &str {
        let standing = self.pack.measure(measure);
        let purpose = standing.and_then(|measure| measure.purposes.first());
        purpose.map_or_else(|| self.purposes()[0], String::as_str)
    }

    /// The basis on which departments check before they decide.
    pub fn basis_of_checks(&self) -> &LegalBasisRef {
        let decision = self.pack.decisions.values().next();
        let decision = decision.expect("the province's pack says before which decisions to check");
        &decision.legal_basis
    }

    /// Every purpose for which departments check.
    pub fn purposes(&self) -> Vec<&str> {
        let measures = self.pack.measures.values();
        let mut purposes: Vec<&str> = measures
            .flat_map(|measure| measure.purposes.iter().map(String::as_str))
            .collect();
        purposes.sort_unstable();
        purposes.dedup();
        purposes
    }

    /// How a record of that day is in time if it is pushed on `today`.
    pub fn timing(&self, item: &RecordType, decided_on: Date, today: Date) -> Timing {
        match item.terms(decided_on, &self.working_days) {
            None => Timing::Backfill,
            Some(terms) if terms.push_by.date < today => Timing::Late,
            Some(_) => Timing::InTime,
        }
    }

    /// Whether the department has to check before the decision of that record.
    pub fn needs_check(&self, dept: Dept, record: &RecordContent) -> bool {
        let decided_on = record.decided_on.parse();
        let due = |on| {
            let pack = &self.pack;
            pack.check_before(&record.record_type, self.id(dept), on)
        };
        decided_on.is_ok_and(|on| due(on).is_some())
    }

    /// How that record is in time if it is pushed on `today`.
    pub fn timing_of(&self, record: &RecordContent, today: Date) -> Timing {
        let decided_on = record.decided_on.parse().unwrap_or(today);
        let item = self.pack.record_type(&record.record_type);
        item.map_or(Timing::InTime, |item| self.timing(item, decided_on, today))
    }
}

/// True if the decision to list names any last day, however near.
pub fn has_explicit_term(list: &ListType) -> bool {
    matches!(list.term, Some(TermRule::Explicit { .. }))
}

#[cfg(test)]
pub(super) fn province() -> std::sync::Arc<World> {
    let pack = tally_catalog::pack::BuiltIn::Province
        .load()
        .expect("the built-in pack is consistent");
    std::sync::Arc::new(World::new(pack))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::demo::schedule::Schedule;

    #[test]
    fn departments_of_three_levels_respond_and_every_list_has_a_window() {
        let world = province();
        let day = Schedule::default().first;
        let mut levels = BTreeSet::new();
        let mut responders = BTreeSet::new();
        for list in world.list_types() {
            let due = world.directives_due(&list.id, day);
            assert!(!due.is_empty(), "{}", list.id);
            responders.extend(due.into_iter().map(|due| due.dept));
            assert!(world.window(&list.id, day).is_some(), "{}", list.id);
        }
        levels.extend(responders.iter().map(|dept| world.department(*dept).level));
        assert_eq!(levels.len(), 3);
        assert!(responders.len() >= 8);
        assert_eq!(world.list_types().len(), 6);
    }

    #[test]
    fn every_department_reports_something() {
        let world = province();
        for dept in world.depts() {
            assert!(world.reported_by(dept).next().is_some());
            assert_eq!(world.by_id(world.id(dept).as_str()), Some(dept));
        }
    }
}
