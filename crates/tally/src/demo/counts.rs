//! The records of every department: what the province sees of each item, how
//! much of it was late, and what was refused. All of it must be what the
//! departments know.

use std::collections::{BTreeMap, BTreeSet};

use tally_proto::tally::collection::v1::{GetTimelinessRequest, RecordContent, TimelinessFigures};
use tally_proto::tally::sanctions::v1::DecisionVerdict;

use super::error::Answered as _;
use super::ledger::Ledger;
use super::province::MONTH;
use super::summary::{Grid, Section};
use super::texts::{self, Phrase, Text};
use super::world::{Dept, Timing, World};
use super::{Demo, DemoError};

/// Rows of one page of figures.
const PAGE_ROWS: u32 = 500;

/// Records of one department and type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// Accepted within their term.
    pub in_time: u64,
    /// Accepted after it.
    pub late: u64,
    /// Accepted without one, as they are from before the beginning.
    pub backfilled: u64,
    /// Corrected.
    pub corrected: u64,
    /// Withdrawn.
    pub withdrawn: u64,
    /// Refused, on a stream or in a table.
    pub refused: u64,
    /// Of those, kept in quarantine.
    pub quarantined: u64,
    /// Of those, handed in again and accepted.
    pub resubmitted: u64,
    /// Of those, given up.
    pub discarded: u64,
}

impl RecordCounts {
    /// Counts an accepted record.
    pub fn accept(&mut self, timing: Timing) {
        *match timing {
            Timing::InTime => &mut self.in_time,
            Timing::Late => &mut self.late,
            Timing::Backfill => &mut self.backfilled,
        } += 1;
    }

    /// All that were accepted.
    pub fn accepted(self) -> u64 {
        self.in_time + self.late + self.backfilled
    }

    /// The sum of both.
    pub fn plus(self, more: Self) -> Self {
        Self {
            in_time: self.in_time + more.in_time,
            late: self.late + more.late,
            backfilled: self.backfilled + more.backfilled,
            corrected: self.corrected + more.corrected,
            withdrawn: self.withdrawn + more.withdrawn,
            refused: self.refused + more.refused,
            quarantined: self.quarantined + more.quarantined,
            resubmitted: self.resubmitted + more.resubmitted,
            discarded: self.discarded + more.discarded,
        }
    }

    /// As numbers of a table, in the order of [`COLUMNS`].
    fn row(self) -> [u64; COLUMNS.len()] {
        [
            self.accepted(),
            self.in_time,
            self.late,
            self.backfilled,
            self.corrected,
            self.withdrawn,
            self.refused,
            self.quarantined,
            self.resubmitted,
            self.discarded,
        ]
    }
}

/// The columns of the figures.
const COLUMNS: [Text; 10] = [
    texts::REPORTED,
    texts::IN_TIME,
    texts::LATE,
    texts::BACKFILLED,
    texts::CORRECTED,
    texts::WITHDRAWN,
    texts::REFUSED_ROWS,
    texts::QUARANTINED,
    texts::RESUBMITTED,
    texts::DISCARDED,
];

impl Ledger {
    /// The counts of a department's records of a type.
    pub fn records_of(&mut self, dept: Dept, record_type: &str) -> &mut RecordCounts {
        self.records
            .entry((dept, record_type.to_owned()))
            .or_default()
    }

    /// A department's record was accepted that cites no check.
    pub fn accept(&mut self, world: &World, dept: Dept, record: &RecordContent, timing: Timing) {
        self.records_of(dept, &record.record_type).accept(timing);
        if world.needs_check(dept, record) {
            *self.decisions_of(dept, DecisionVerdict::NotChecked) += 1;
        }
    }

    /// A department's record that cites no check was withdrawn.
    pub fn withdraw(&mut self, world: &World, dept: Dept, record: &RecordContent) {
        self.records_of(dept, &record.record_type).withdrawn += 1;
        if world.needs_check(dept, record) {
            *self.decisions_of(dept, DecisionVerdict::NotChecked) -= 1;
            *self.decisions_of(dept, DecisionVerdict::Withdrawn) += 1;
        }
    }

    /// The count of a department's decisions with that verdict.
    pub fn decisions_of(&mut self, dept: Dept, verdict: DecisionVerdict) -> &mut u64 {
        self.decisions.entry((dept, verdict)).or_default()
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
            // In short: whatever differs beyond that is counted below.
            checks.push((name, said(of(known, dept)), said(of(&found, dept))));
        }
        let differ = keys.iter().filter(|key| known.get(key) != found.get(key));
        let different = differ.count();
        let accepted = known.values().map(|counts| counts.accepted()).sum();
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
        let mut collection = self.cast.operator.collection();
        let mut found = BTreeMap::new();
        let mut page_token = String::new();
        loop {
            let request = GetTimelinessRequest {
                from_month: MONTH.to_owned(),
                to_month: MONTH.to_owned(),
                page_size: PAGE_ROWS,
                page_token,
                ..Default::default()
            };
            let answer = collection.get_timeliness(request).await;
            let answer = answer.during("get the timeliness")?.into_inner();
            for row in answer.rows {
                let dept = self.world.by_id(&row.department);
                let dept = dept.during("find a department in the pack")?;
                let counts = counts_of(&row.figures.unwrap_or_default());
                // What was due and did not come has a row too.
                if counts != RecordCounts::default() {
                    found.insert((dept, row.record_type), counts);
                }
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                return Ok(found);
            }
        }
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
            let name = match item.as_str() {
                "" => Phrase::of(&texts::NO_ITEM),
                item => self.world.item(item),
            };
            let row = counts.row().to_vec();
            sections[dept.index()].rows.push((name, row));
            total = total.plus(*counts);
        }
        sections.push(Section {
            title: Phrase::of(&texts::TOTAL),
            rows: vec![(Phrase::of(&texts::ALL_ITEMS), total.row().to_vec())],
        });
        let headings = std::iter::once(&texts::ITEM).chain(&COLUMNS);
        self.summary.table(Grid {
            title: texts::TABLE_RECORDS.with(&[&MONTH]),
            headings: headings.map(Phrase::of).collect(),
            sections,
        });
    }
}

fn counts_of(figures: &TimelinessFigures) -> RecordCounts {
    RecordCounts {
        in_time: figures.in_time,
        late: figures.late_up_to_three
            + figures.late_up_to_seven
            + figures.late_up_to_thirty
            + figures.late_over_thirty,
        backfilled: figures.backfilled,
        corrected: figures.corrected,
        withdrawn: figures.withdrawn,
        refused: figures.refused,
        quarantined: figures.quarantined,
        resubmitted: figures.resubmitted,
        discarded: figures.discarded,
    }
}

fn said(counts: RecordCounts) -> Phrase {
    texts::COUNTED.with(&[&counts.accepted(), &counts.late, &counts.refused])
}
