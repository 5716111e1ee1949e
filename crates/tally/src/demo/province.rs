//! Step 7: the province reads the stream of feedback and the statistics, and
//! both must be what the departments themselves know.

use std::collections::BTreeMap;

use tally_proto::tally::feedback::v1::{
    FeedbackCount, FeedbackState, GetStatisticsRequest, ReportedOutcome, StreamFeedbackRequest,
};
use tally_proto::tally::log::v1::{Cursor, ShardCursor};

use super::error::Answered as _;
use super::ledger::{Note, Report};
use super::{Demo, DemoError};

/// Month in which all directives of the demo are made.
const MONTH: &str = "2026-03";

/// The columns of the statistics.
const COLUMNS: [&str; 8] = [
    "due",
    "submitted",
    "executed",
    "declined",
    "accepted",
    "returned",
    "escalated",
    "closed",
];

type Row = [u64; COLUMNS.len()];

/// By department and measure.
type Table = BTreeMap<(String, String), Row>;

impl Demo {
    pub(super) async fn look_at_the_province(&mut self) -> Result<(), DemoError> {
        self.summary
            .section("the province reads its stream and its statistics");
        let mut cursor = Cursor::default();
        let streamed = self.stream_feedback(&mut cursor).await?;
        let again = self.stream_feedback(&mut cursor).await?;
        let total: u64 = streamed.values().sum();
        self.summary.line(format!("{total} items of feedback"));
        self.compare_stream(&streamed);
        self.summary.equal(
            "province: items behind the last cursor",
            0,
            again.values().sum::<u64>(),
        );
        self.compare_statistics().await
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
        let submissions: u64 = self
            .ledger
            .notes
            .values()
            .map(|note| note.submissions)
            .sum();
        for (state, name, expected) in [
            (FeedbackState::Due, "due", total[0]),
            (
                FeedbackState::Submitted,
                "submitted, amended too",
                submissions,
            ),
            (FeedbackState::Accepted, "accepted", total[4]),
            (FeedbackState::Returned, "returned", total[5]),
            (FeedbackState::Escalated, "escalated", total[6]),
            (FeedbackState::Closed, "closed", total[7]),
        ] {
            let found = streamed.get(&i32::from(state)).copied().unwrap_or(0);
            self.summary
                .equal(format!("province, stream: {name}"), expected, found);
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
            self.summary
                .equal(format!("province, statistics: {name}"), total[column], sum);
        }
        let keys = known
            .keys()
            .chain(found.keys())
            .collect::<std::collections::BTreeSet<_>>();
        let different = keys
            .into_iter()
            .filter(|key| known.get(*key) != found.get(*key))
            .count();
        self.summary.equal(
            "province, statistics: departments and measures that differ",
            0,
            different,
        );
        self.summary.count("reports", total[1]);
        Ok(())
    }

    fn known_table(&self) -> Table {
        let mut table = Table::new();
        for note in self.ledger.notes.values() {
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
            .notes
            .values()
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
