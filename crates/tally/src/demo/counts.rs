//! The records of every department, item by item. All of it must be what the
//! departments know.

use std::collections::{BTreeMap, BTreeSet};

use tally_proto::tally::collection::v1::GetCountsRequest;

use super::error::Answered as _;
use super::province::MONTH;
use super::summary::{Grid, Section};
use super::texts::{self, Phrase};
use super::world::Dept;
use super::{Demo, DemoError};

/// Records of one department and type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Accepted.
    pub accepted: u64,
    /// Corrected.
    pub corrected: u64,
    /// Withdrawn.
    pub withdrawn: u64,
}

impl RecordCounts {
    /// The sum of both.
    pub fn plus(self, more: Self) -> Self {
        Self {
            accepted: self.accepted + more.accepted,
            corrected: self.corrected + more.corrected,
            withdrawn: self.withdrawn + more.withdrawn,
        }
    }

    /// As numbers of a table, in the order of the fields.
    pub fn row(self) -> Vec<u64> {
        vec![self.accepted, self.corrected, self.withdrawn]
    }
}

impl Demo {
    pub(super) async fn compare_counts(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::COUNTS);
        let found = self.figures().await?;
        let known = &self.ledger.records;
        let keys: BTreeSet<_> = known.keys().chain(found.keys()).cloned().collect();
        let of = |counts: &BTreeMap<(Dept, String), RecordCounts>, dept: Dept| {
            let own = counts.iter().filter(|((of, _), _)| *of == dept);
            own.fold(RecordCounts::default(), |sum, (_, more)| sum.plus(*more))
        };
        let mut checks = Vec::new();
        for dept in self.world.depts() {
            let name = texts::CHECK_COUNTS.with(&[&self.world.name(dept)]);
            checks.push((name, said(of(known, dept)), said(of(&found, dept))));
        }
        let differ = keys.iter().filter(|key| known.get(key) != found.get(key));
        let different = differ.count();
        let accepted = known.values().map(|counts| counts.accepted).sum();
        for (name, expected, found) in checks {
            self.summary.equal(&name, &expected, &found);
        }
        self.summary
            .equal(&texts::CHECK_COUNTS_DIFFER, &0, &different);
        self.summary.count("records", accepted);
        let checks = self.ledger.checks();
        self.summary.count("checks", checks);
        self.show_counts(&found);
        Ok(())
    }

    /// What collection counted, by department and item.
    async fn figures(&self) -> Result<BTreeMap<(Dept, String), RecordCounts>, DemoError> {
        let request = GetCountsRequest {
            department: String::new(),
        };
        let answer = self.cast.operator.collection().get_counts(request).await;
        let mut found = BTreeMap::new();
        for count in answer.during("get the counts")?.into_inner().counts {
            let dept = self.world.by_id(&count.department);
            let dept = dept.during("find a department in the pack")?;
            let counts = RecordCounts {
                accepted: count.accepted,
                corrected: count.corrected,
                withdrawn: count.withdrawn,
            };
            found.insert((dept, count.record_type), counts);
        }
        Ok(found)
    }

    fn show_counts(&mut self, found: &BTreeMap<(Dept, String), RecordCounts>) {
        let mut sections: Vec<Section> = self
            .world
            .depts()
            .map(|dept| Section {
                title: self.world.name(dept),
                rows: Vec::new(),
            })
            .collect();
        let mut total = RecordCounts::default();
        for ((dept, item), counts) in found {
            let name = self.world.item(item);
            sections[dept.index()].rows.push((name, counts.row()));
            total = total.plus(*counts);
        }
        sections.push(Section {
            title: Phrase::of(&texts::TOTAL),
            rows: vec![(Phrase::of(&texts::ALL_ITEMS), total.row())],
        });
        let headings = [
            texts::ITEM,
            texts::REPORTED,
            texts::CORRECTED,
            texts::WITHDRAWN,
        ];
        self.summary.table(Grid {
            title: texts::TABLE_RECORDS.with(&[&MONTH]),
            headings: headings.iter().map(Phrase::of).collect(),
            sections,
        });
    }
}

fn said(counts: RecordCounts) -> Phrase {
    let RecordCounts {
        accepted,
        corrected,
        withdrawn,
    } = counts;
    texts::COUNTED.with(&[&accepted, &corrected, &withdrawn])
}
