//! Step 7: the province reads the stream of feedback and the statistics, and
//! both must be what the departments themselves know.

use std::collections::{BTreeMap, BTreeSet};

use tally_proto::tally::feedback::v1::{
    FeedbackCount, FeedbackState, GetStatisticsRequest, ReportedOutcome, StreamFeedbackRequest,
};
use tally_proto::tally::lists::v1::EntryState;
use tally_proto::tally::log::v1::{Cursor, ShardCursor};

use super::endings::entry_state;
use super::error::Answered as _;
use super::ledger::{Note, Report, Standing};
use super::summary::{Grid, Section};
use super::texts::{self, Phrase, Text};
use super::{Demo, DemoError};

/// Month in which all directives of the demo are made.
pub const MONTH: &str = "2026-03";

/// The columns of the statistics.
const COLUMNS: [Text; 8] = [
    texts::DUE,
    texts::SUBMITTED,
    texts::EXECUTED,
    texts::DECLINED,
    texts::ACCEPTED,
    texts::RETURNED,
    texts::OVERDUE,
    texts::CLOSED,
];

type Row = [u64; COLUMNS.len()];

/// By department and measure.
type Table = BTreeMap<(String, String), Row>;

impl Demo {
    pub(super) async fn look_at_the_province(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::PROVINCE);
        let mut cursor = Cursor::default();
        let streamed = self.stream_feedback(&mut cursor).await?;
        let again = self.stream_feedback(&mut cursor).await?;
        let total: u64 = streamed.values().sum();
        self.summary.line(&texts::FEEDBACK_ITEMS.with(&[&total]));
        self.compare_stream(&streamed);
        let behind = again.values().sum::<u64>();
        self.summary.equal(&texts::CHECK_STREAM_BEHIND, &0, &behind);
        self.compare_statistics().await?;
        self.count_lists().await
    }

    /// Reads to the head, and counts by the state that each item made.
    async fn stream_feedback(&self, cursor: &mut Cursor) -> Result<BTreeMap<i32, u64>, DemoError> {
        let request = StreamFeedbackRequest {
            cursor: Some(cursor.clone()),
            until_head: true,
        };
        let stream = self.cast.province.feedback().stream_feedback(request).await;
        let mut stream = stream.during("stream feedback")?.into_inner();
        let mut shards: BTreeMap<u32, ShardCursor> =
            cursor.shards.drain(..).map(|at| (at.shard, at)).collect();
        let mut counts = BTreeMap::new();
        while let Some(item) = stream.message().await.during("stream feedback")? {
            *counts.entry(item.state).or_insert(0) += 1;
            cursor.log_id = item.log_id;
            let at = item.cursor.during("stream feedback")?;
            shards.insert(at.shard, at);
        }
        cursor.shards = shards.into_values().collect();
        Ok(counts)
    }

    fn compare_stream(&mut self, streamed: &BTreeMap<i32, u64>) {
        let total = self.total();
        let submissions: u64 = self.ledger.notes().map(|note| note.submissions).sum();
        for (state, name, expected) in [
            (FeedbackState::Due, texts::DUE, total[0]),
            (
                FeedbackState::Submitted,
                texts::SUBMITTED_AMENDED,
                submissions,
            ),
            (FeedbackState::Accepted, texts::ACCEPTED, total[4]),
            (FeedbackState::Returned, texts::RETURNED, total[5]),
            (FeedbackState::Escalated, texts::OVERDUE, total[6]),
            (FeedbackState::Closed, texts::CLOSED, total[7]),
        ] {
            let found = streamed.get(&i32::from(state)).copied().unwrap_or(0);
            let name = texts::CHECK_STREAM.with(&[&name]);
            self.summary.equal(&name, &expected, &found);
        }
    }

    async fn compare_statistics(&mut self) -> Result<(), DemoError> {
        let request = GetStatisticsRequest {
            department: String::new(),
            month: MONTH.to_owned(),
        };
        let answer = self.cast.province.feedback().get_statistics(request).await;
        let counts = answer.during("get the statistics")?.into_inner().counts;
        let mut found = Table::new();
        for count in &counts {
            let key = (count.department.clone(), count.measure.clone());
            add(found.entry(key).or_default(), row_of(count));
        }
        let known = self.known_table();
        let total = self.total();
        for (column, name) in COLUMNS.iter().enumerate() {
            let sum: u64 = found.values().map(|row| row[column]).sum();
            let name = texts::CHECK_STATISTICS.with(&[name]);
            self.summary.equal(&name, &total[column], &sum);
        }
        let keys: BTreeSet<_> = known.keys().chain(found.keys()).collect();
        let differ = |key: &&(String, String)| known.get(*key) != found.get(*key);
        let different = keys.into_iter().filter(differ).count();
        self.summary
            .equal(&texts::CHECK_STATISTICS_DIFFER, &0, &different);
        self.summary.count("reports", total[1]);
        self.show_statistics(&found);
        Ok(())
    }

    fn show_statistics(&mut self, found: &Table) {
        let mut sections: Vec<Section> = Vec::new();
        let mut before = "";
        for ((department, measure), row) in found {
            if department != before {
                before = department;
                sections.push(Section {
                    title: self.world.name_of(department),
                    rows: Vec::new(),
                });
            }
            if let Some(section) = sections.last_mut() {
                section
                    .rows
                    .push((self.world.measure(measure), row.to_vec()));
            }
        }
        let mut total = Row::default();
        found.values().for_each(|row| add(&mut total, *row));
        sections.push(Section {
            title: Phrase::of(&texts::TOTAL),
            rows: vec![(Phrase::of(&texts::ALL_MEASURES), total.to_vec())],
        });
        let columns = COLUMNS.iter().map(Phrase::of);
        self.summary.table(Grid {
            title: texts::TABLE_FEEDBACK.with(&[&MONTH]),
            headings: std::iter::once(Phrase::of(&texts::MEASURE))
                .chain(columns)
                .collect(),
            sections,
        });
    }

    /// Where each entry stands by the end, list by list.
    async fn count_lists(&mut self) -> Result<(), DemoError> {
        let mut found: BTreeMap<String, [u64; 4]> = BTreeMap::new();
        let mut known = found.clone();
        for listing in &self.ledger.listings {
            let state = entry_state(&self.cast.operator, &listing.entry_id).await?;
            let seen = match state {
                EntryState::Listed => 1,
                EntryState::Suspended => 2,
                _ => 3,
            };
            let expected = match listing.standing {
                Standing::Listed => 1,
                Standing::Suspended => 2,
                Standing::Nominated | Standing::Ended => 3,
            };
            for (counts, place) in [(&mut found, seen), (&mut known, expected)] {
                let row = counts.entry(listing.list_type.clone()).or_default();
                row[0] += 1;
                row[place] += 1;
            }
        }
        let differ = |list: &&String| known.get(*list) != found.get(*list);
        let different = known.keys().filter(differ).count();
        self.summary.equal(&texts::CHECK_LISTS, &0, &different);
        let rows = found
            .iter()
            .map(|(list, row)| (self.world.list(list), row.to_vec()));
        let headings = [
            texts::LIST_NAME,
            texts::ENTRIES,
            texts::IN_FORCE,
            texts::SUSPENDED,
            texts::ENDED,
        ];
        self.summary.table(Grid {
            title: texts::TABLE_LISTS.with(&[&self.today]),
            headings: headings.iter().map(Phrase::of).collect(),
            sections: vec![Section {
                title: Phrase::default(),
                rows: rows.collect(),
            }],
        });
        Ok(())
    }

    fn known_table(&self) -> Table {
        let mut table = Table::new();
        for note in self.ledger.notes() {
            let key = (
                note.directive.department.clone(),
                note.directive.measure.clone(),
            );
            add(table.entry(key).or_default(), row_of_note(note));
        }
        table
    }

    fn total(&self) -> Row {
        let mut total = Row::default();
        self.ledger
            .notes()
            .for_each(|note| add(&mut total, row_of_note(note)));
        total
    }
}

fn row_of(count: &FeedbackCount) -> Row {
    [
        count.due,
        count.submitted,
        count.executed,
        count.declined,
        count.accepted,
        count.returned,
        count.escalated,
        count.closed,
    ]
}

fn row_of_note(note: &Note) -> Row {
    [
        1,
        u64::from(note.submissions > 0),
        u64::from(note.outcome == Some(ReportedOutcome::Executed)),
        u64::from(note.outcome == Some(ReportedOutcome::Declined)),
        u64::from(note.report == Report::Accepted),
        note.returns,
        u64::from(note.escalated),
        u64::from(note.closed),
    ]
}

fn add(row: &mut Row, more: Row) {
    row.iter_mut()
        .zip(more)
        .for_each(|(sum, more)| *sum += more);
}
