//! What a new pack would change, in words, and for whom.
//!
//! Items are compared as the JSON that events carry, so that no field of an item can be forgotten
//! here; the fields that people ask about have words of their own.

mod phrases;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::{DepartmentScope, ItemKind, ItemRef, Pack, PackItem};
use crate::department::DepartmentId;
use crate::legal::LegalBasisRef;

/// One item that a new pack would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackChange {
    /// The item; its new version where there are two.
    pub item: ItemRef,
    /// What becomes of it.
    pub kind: ChangeKind,
    /// What changes, a sentence each.
    pub words: Vec<String>,
    /// Departments that it concerns, before or after.
    pub departments: BTreeSet<DepartmentId>,
}

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It serves no new act; what was done under it stands.
    Removed,
    /// It is another.
    Changed,
}

impl ChangeKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
        }
    }
}

impl fmt::Display for PackChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.item, self.kind.as_str())?;
        for words in &self.words {
            write!(formatter, "\n  {words}")?;
        }
        Ok(())
    }
}

impl Pack {
    /// What would change if `new` took this pack's place, in canonical order of the items.
    pub fn diff(&self, new: &Pack) -> Vec<PackChange> {
        let mut changes = Vec::new();
        let words = own_words(self, new);
        if !words.is_empty() {
            changes.push(PackChange {
                item: ItemRef::new(ItemKind::Pack, &new.meta.id, 1),
                kind: ChangeKind::Changed,
                words,
                departments: new.departments.keys().cloned().collect(),
            });
        }
        let (before, after) = (by_address(self), by_address(new));
        let addresses: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        for address in addresses {
            let (old, now) = (before.get(address), after.get(address));
            let (kind, words) = match (old, now) {
                (Some(old), Some(now)) if old.body == now.body => continue,
                (Some(old), Some(now)) => {
                    let words = phrases::changed(old.kind, &body(old), &body(now), [self, new]);
                    (ChangeKind::Changed, words)
                }
                (None, Some(now)) => (
                    ChangeKind::Added,
                    vec![phrases::added(now.kind, &body(now))],
                ),
                (Some(old), None) => (
                    ChangeKind::Removed,
                    vec![phrases::removed(old.kind, &body(old))],
                ),
                (None, None) => continue,
            };
            let mut departments = BTreeSet::new();
            for (pack, item) in [(self, old), (new, now)] {
                departments.extend(item.map(|item| pack.concerned(item)).unwrap_or_default());
            }
            if let (Some(_), Some(now)) = (old, now) {
                departments.extend(seeing(self, new, now));
            }
            changes.extend(now.or(old).map(|item| PackChange {
                item: item.reference(),
                kind,
                words,
                departments,
            }));
        }
        changes
    }

    /// The departments that an item of this pack concerns.
    fn concerned(&self, item: &PackItem) -> BTreeSet<DepartmentId> {
        let everyone = || self.departments.keys().cloned().collect();
        match item.kind {
            ItemKind::Pack | ItemKind::HolidayNotice => everyone(),
            ItemKind::Department => item.id.parse().into_iter().collect(),
            ItemKind::LegalBasis => {
                let reference = LegalBasisRef::new(item.id.clone(), item.version);
                match self.legal_basis(&reference).map(|basis| &basis.departments) {
                    Some(DepartmentScope::Listed(ids)) => ids.iter().cloned().collect(),
                    _ => everyone(),
                }
            }
            ItemKind::RecordType => {
                let found = self.record_type(&item.id);
                found.iter().flat_map(|it| &it.reporters).cloned().collect()
            }
            ItemKind::ListType => {
                let found = self.list_type(&item.id);
                let initiators = found.iter().flat_map(|it| &it.initiators);
                let memoranda = self.memoranda.values();
                let responders = memoranda
                    .filter(|memorandum| memorandum.list_type == item.id)
                    .flat_map(|memorandum| &memorandum.measures)
                    .flat_map(|measure| &measure.departments);
                initiators.chain(responders).cloned().collect()
            }
            ItemKind::Measure => {
                let able = self.departments.values();
                let able = able.filter(|department| department.has_power(&item.id));
                able.map(|department| department.id.clone()).collect()
            }
            ItemKind::Memorandum => {
                let found = self.memorandum(&item.id);
                let measures = found.iter().flat_map(|it| &it.measures);
                let responders = measures.flat_map(|measure| &measure.departments);
                let list = found.and_then(|it| self.list_type(&it.list_type));
                let initiators = list.iter().flat_map(|list| &list.initiators);
                responders.chain(initiators).cloned().collect()
            }
            ItemKind::Form => {
                let form = self.forms.get(&item.id);
                let record_type = form.and_then(|form| self.record_type(&form.record_type));
                let reporters = record_type.iter().flat_map(|it| &it.reporters);
                reporters.cloned().collect()
            }
            ItemKind::Decision => {
                let found = self.decisions.get(&item.id);
                let departments = found.iter().flat_map(|it| &it.departments);
                departments.cloned().collect()
            }
        }
    }

    /// A department's name; its code where the pack does not know it.
    pub fn department_name(&self, id: &DepartmentId) -> String {
        self.department(id)
            .map_or_else(|| id.to_string(), |department| department.name.clone())
    }
}

/// The departments that would see more or less of what others do because an item is another; of a
/// department, also those of which they see it.
fn seeing(old: &Pack, new: &Pack, item: &PackItem) -> BTreeSet<DepartmentId> {
    let id = item.id.as_str();
    let sees = |pack: &Pack, reader: &DepartmentId, owner: &DepartmentId| match item.kind {
        ItemKind::RecordType => pack.may_read_record(id, owner.as_str(), reader),
        ItemKind::ListType => pack.may_read_listed(id, owner.as_str(), reader),
        _ => pack.oversees(reader, owner.as_str()),
    };
    let owners = |pack: &Pack| -> BTreeSet<DepartmentId> {
        let owners = match item.kind {
            ItemKind::RecordType => pack.record_type(id).map(|it| it.reporters.clone()),
            ItemKind::ListType => pack.list_type(id).map(|it| it.initiators.clone()),
            ItemKind::Department => Some(pack.departments.keys().cloned().collect()),
            _ => None,
        };
        owners.into_iter().flatten().collect()
    };
    let mut found = BTreeSet::new();
    // Who comes or goes as an owner is said as that.
    for owner in owners(old).intersection(&owners(new)) {
        for reader in old.departments.keys().chain(new.departments.keys()) {
            if sees(old, reader, owner) == sees(new, reader, owner) {
                continue;
            }
            if item.kind != ItemKind::Department {
                found.insert(reader.clone());
            } else if [reader.as_str(), owner.as_str()].contains(&id) {
                found.extend([reader.clone(), owner.clone()]);
            }
        }
    }
    found
}

/// Two items meet where a reference would lead from one to the other: legal bases by version, all
/// else by id.
type Address = (ItemKind, String, u32);

fn by_address(pack: &Pack) -> BTreeMap<Address, PackItem> {
    let address = |item: &PackItem| match item.kind {
        ItemKind::LegalBasis => (item.kind, item.id.clone(), item.version),
        _ => (item.kind, item.id.clone(), 0),
    };
    let items = pack.items().into_iter();
    items.map(|item| (address(&item), item)).collect()
}

fn body(item: &PackItem) -> Value {
    serde_json::from_str(&item.body).expect("a pack's own items are JSON")
}

fn own_words(old: &Pack, new: &Pack) -> Vec<String> {
    let (old, new) = (&old.meta, &new.meta);
    let mut words = Vec::new();
    if old.id != new.id {
        words.push(format!(
            "another pack: `{}` instead of `{}`",
            new.id, old.id
        ));
    }
    if old.version != new.version {
        words.push(format!(
            "version {} instead of {}",
            new.version, old.version
        ));
    }
    if old.time_zone != new.time_zone {
        words.push(format!(
            "days begin in {} instead of {}: every legal date and term moves",
            new.time_zone, old.time_zone
        ));
    }
    if (&old.title, &old.name_zh) != (&new.title, &new.name_zh) {
        words.push(format!("the title is `{}`", new.title));
    }
    words
}
