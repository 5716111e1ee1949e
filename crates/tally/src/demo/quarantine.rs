//! After the import: of the rows that wait in quarantine one is
//! corrected and handed in again, and one is given up.

use std::collections::BTreeMap;
use std::sync::Arc;

use tally_proto::tally::collection::v1::{
    DiscardQuarantinedRequest, GetQuarantineCountsRequest, GetQuarantinedRequest,
    ListQuarantineRequest, PushRecordRequest, QuarantineState, QuarantinedRow,
};

use super::content::{Push, Table};
use super::counts::RecordCounts;
use super::error::Answered as _;
use super::texts::Phrase;
use super::world::Dept;
use super::{Demo, DemoError, texts};
use crate::client::command_id;

/// Rows that wait, were handed in again, and were given up.
type Places = [u64; 3];

impl Demo {
    pub(super) async fn work_the_quarantine(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::QUARANTINE);
        let plan = Arc::clone(&self.plan);
        let table = plan.tables.first().during("find a table")?;
        let (dept, item) = (table.dept, &table.record_type);
        let waiting = self.rows(dept, item, QuarantineState::Open).await?;
        let (place, correct) = self.find_correctable(table, &waiting).await?;
        let record_id = self.hand_in_again(dept, &place, correct).await?;
        let other = waiting.iter().find(|row| row.quarantine_id != place);
        let other = other.during("find another row in quarantine")?;
        self.give_up(dept, item, &other.quarantine_id).await?;
        let name = self.world.name(dept);
        self.summary.line(&texts::WORKED.with(&[&name]));
        self.quiet().await?;
        let handed = self.rows(dept, item, QuarantineState::Resubmitted).await?;
        let closed =
            |row: &&QuarantinedRow| row.quarantine_id == place && row.record_id == record_id;
        let closed = handed.iter().filter(closed).count();
        self.summary
            .equal(&texts::CHECK_QUARANTINE_CLOSED, &1, &closed);
        self.compare_quarantine().await
    }

    /// The department's rows of an item. There are fewer than fit on a page.
    async fn rows(
        &self,
        dept: Dept,
        record_type: &str,
        state: QuarantineState,
    ) -> Result<Vec<QuarantinedRow>, DemoError> {
        let request = ListQuarantineRequest {
            state: state.into(),
            record_type: record_type.to_owned(),
            ..Default::default()
        };
        let mut collection = self.cast.desk(dept).system.collection();
        let answer = collection.list_quarantine(request).await;
        Ok(answer.during("list the quarantine")?.into_inner().rows)
    }

    /// A row whose right content is known: by the number of its document, for
    /// which it has to be opened.
    async fn find_correctable<'a>(
        &self,
        table: &'a Table,
        waiting: &[QuarantinedRow],
    ) -> Result<(String, &'a Push), DemoError> {
        let mut collection = self.cast.desk(table.dept).system.collection();
        for row in waiting {
            let request = GetQuarantinedRequest {
                quarantine_id: row.quarantine_id.clone(),
                case_number: "CASE-QUARANTINE-1".to_owned(),
            };
            let answer = collection.get_quarantined(request).await;
            let answer = answer.during("open a row in quarantine")?.into_inner();
            let number = answer
                .record
                .map_or_else(String::new, |record| record.document_number);
            let mut spoilt = table.spoilt.iter();
            let correct = spoilt.find(|push| push.record.document_number == number);
            if let Some(correct) = correct {
                return Ok((row.quarantine_id.clone(), correct));
            }
        }
        None.during("find a row in quarantine that was imported")
    }

    async fn hand_in_again(
        &mut self,
        dept: Dept,
        place: &str,
        correct: &Push,
    ) -> Result<String, DemoError> {
        let request = PushRecordRequest {
            command_id: command_id(),
            record: Some(correct.record.clone()),
            quarantine_id: place.to_owned(),
            ..Default::default()
        };
        let mut collection = self.cast.desk(dept).system.collection();
        let answer = collection.push_record(request).await;
        let answer = answer.during("hand a row in again")?.into_inner();
        let accepted = answer.accepted.during("hand a row in again")?;
        self.ledger
            .accept(&self.world, dept, &correct.record, correct.timing);
        self.ledger
            .records_of(dept, &correct.record.record_type)
            .resubmitted += 1;
        Ok(accepted.record_id)
    }

    async fn give_up(&mut self, dept: Dept, item: &str, place: &str) -> Result<(), DemoError> {
        let request = DiscardQuarantinedRequest {
            command_id: command_id(),
            quarantine_id: place.to_owned(),
            reason: "the decision was never taken".to_owned(),
        };
        let mut collection = self.cast.desk(dept).system.collection();
        let answer = collection.discard_quarantined(request).await;
        answer.during("give a row up")?;
        self.ledger.records_of(dept, item).discarded += 1;
        Ok(())
    }

    async fn compare_quarantine(&mut self) -> Result<(), DemoError> {
        let request = GetQuarantineCountsRequest::default();
        let mut collection = self.cast.operator.collection();
        let answer = collection.get_quarantine_counts(request).await;
        let answer = answer.during("get the counts of the quarantine")?;
        let mut found = BTreeMap::<Dept, Places>::new();
        for count in answer.into_inner().counts {
            let dept = self.world.by_id(&count.department);
            let dept = dept.during("find a department in the pack")?;
            let more = [count.open, count.resubmitted, count.discarded];
            add(found.entry(dept).or_default(), more);
        }
        let mut known = BTreeMap::<Dept, Places>::new();
        for ((dept, _), counts) in &self.ledger.records {
            add(known.entry(*dept).or_default(), places(counts));
        }
        for dept in self.world.depts() {
            let of = |counts: &BTreeMap<Dept, Places>| counts.get(&dept).copied();
            let [known, found] = [of(&known), of(&found)].map(Option::unwrap_or_default);
            if known != Places::default() || found != Places::default() {
                let name = texts::CHECK_QUARANTINE.with(&[&self.world.name(dept)]);
                self.summary.equal(&name, &said(known), &said(found));
            }
        }
        Ok(())
    }
}

fn places(counts: &RecordCounts) -> Places {
    let RecordCounts {
        quarantined,
        resubmitted,
        discarded,
        ..
    } = *counts;
    [
        quarantined - resubmitted - discarded,
        resubmitted,
        discarded,
    ]
}

fn add(sum: &mut Places, more: Places) {
    for (sum, more) in sum.iter_mut().zip(more) {
        *sum += more;
    }
}

fn said([open, resubmitted, discarded]: Places) -> Phrase {
    texts::IN_QUARANTINE.with(&[&open, &resubmitted, &discarded])
}
