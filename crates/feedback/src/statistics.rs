//! Counts, kept per shard and summed when read.

use std::collections::BTreeMap;

use prost::Message as _;
use tally_domain::department::DepartmentId;
use tally_eventlog::store::{EventStore, prefix_end};
use tally_proto::tally::feedback::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::store_fault;

use crate::access::Sight;
use crate::projection::{COUNT_VIEW, joined};

/// Rows read at a time.
const BATCH: usize = 1_000;

/// Which counts are asked for, and by whom.
#[derive(Debug)]
pub(crate) struct Selection {
    department: String,
    month: String,
    sight: Sight,
}

impl Selection {
    /// Reads a question.
    ///
    /// # Errors
    ///
    /// Every fault of the message: correct the fields.
    pub(crate) fn decode(request: &pb::GetStatisticsRequest, sight: Sight) -> Result<Self, Fault> {
        let mut faults = Faults::default();
        let department = match request.department.as_str() {
            "" => Some(String::new()),
            text => faults
                .keep(DepartmentId::parse(text).map_err(|fault| fault.at("department")))
                .map(|id| id.to_string()),
        };
        faults.month_or_none("month", &request.month);
        match department {
            Some(department) if faults.is_empty() => Ok(Self {
                department,
                month: request.month.clone(),
                sight,
            }),
            _ => Err(Fault::invalid(faults.into_vec())),
        }
    }

    /// The counts, by department, month and measure.
    ///
    /// # Errors
    ///
    /// The store cannot be read: retry.
    pub(crate) async fn counts(
        &self,
        store: &dyn EventStore,
    ) -> Result<Vec<pb::FeedbackCount>, Fault> {
        let mut sums = BTreeMap::new();
        let prefix = self.prefix();
        let end = prefix_end(&prefix);
        for shard in store.shards().all() {
            let mut from = prefix.clone();
            loop {
                let rows = store
                    .scan(COUNT_VIEW, shard, &from, end.as_deref(), BATCH)
                    .await;
                let rows = rows.map_err(store_fault)?;
                for (_, value) in &rows {
                    let row = pb::CountRow::decode(value.clone()).map_err(Fault::internal)?;
                    self.add(row, &mut sums);
                }
                let Some((last, _)) = rows.last().filter(|_| rows.len() == BATCH) else {
                    break;
                };
                from = last.to_vec();
                from.push(0);
            }
        }
        Ok(sums.into_values().collect())
    }

    /// Where the keys of the department begin, if one is asked for.
    fn prefix(&self) -> Vec<u8> {
        match (self.department.as_str(), self.month.as_str()) {
            ("", _) => Vec::new(),
            (department, "") => joined(&[department, ""]).to_vec(),
            (department, month) => joined(&[department, month, ""]).to_vec(),
        }
    }

    fn add(&self, row: pb::CountRow, sums: &mut BTreeMap<[String; 3], pb::FeedbackCount>) {
        let Some(count) = row.count else { return };
        let asked = self.month.is_empty() || count.month == self.month;
        if !asked || !self.sight.covers(&count.department, &row.initiator) {
            return;
        }
        let key = [
            count.department.clone(),
            count.month.clone(),
            count.measure.clone(),
        ];
        let sum = sums.entry(key).or_insert_with(|| pb::FeedbackCount {
            department: count.department.clone(),
            month: count.month.clone(),
            measure: count.measure.clone(),
            ..Default::default()
        });
        sum.due += count.due;
        sum.submitted += count.submitted;
        sum.executed += count.executed;
        sum.declined += count.declined;
        sum.accepted += count.accepted;
        sum.returned += count.returned;
        sum.escalated += count.escalated;
        sum.closed += count.closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_question_is_named_at_once() {
        let request = pb::GetStatisticsRequest {
            department: "nobody".to_owned(),
            month: "2026-13".to_owned(),
        };
        let fault = Selection::decode(&request, Sight::All).expect_err("refused");
        let fields: Vec<&str> = fault.violations().iter().map(|it| &*it.field).collect();
        assert_eq!(fields, ["department", "month"]);
    }
}
