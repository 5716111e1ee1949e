//! The report on decisions that needed a check first: in pages, and counted.

use std::collections::BTreeMap;

use prost::Message as _;
use tally_domain::date::parse_legal_date;
use tally_domain::department::DepartmentId;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::{EventStore, prefix_end};
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::{page, store_fault};
use uuid::Uuid;

use crate::corrections::whose;
use crate::decision::Verdict;
use crate::projection::{counts_of, decision_key, decisions_of};
use crate::view;

const RIGHT: &str = "sanctions.decisions";

/// Count rows read at a time.
const BATCH: usize = 1_000;

/// The verdicts under which decisions are kept, in the order of a page.
const VERDICTS: [Verdict; 10] = [
    Verdict::CheckedClear,
    Verdict::NotChecked,
    Verdict::CheckUnknown,
    Verdict::CheckOtherSubject,
    Verdict::CheckWrongPurpose,
    Verdict::CheckAfterDecision,
    Verdict::CheckTooOld,
    Verdict::Undetermined,
    Verdict::MeasureInForce,
    Verdict::Withdrawn,
];

/// Which part of whose decisions.
#[derive(Debug)]
pub struct Page {
    department: String,
    verdicts: Vec<Verdict>,
    month: String,
    size: usize,
    after: Option<Place>,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    shard: Shard,
    verdict: Verdict,
    decided_on: String,
    record_id: String,
}

impl Page {
    /// Reads a request. `caller` is the department that asks; the operator is
    /// none, and names one.
    ///
    /// # Errors
    ///
    /// Every fault of the request; or it is about another department.
    pub fn decode(
        request: &pb::ListDecisionsRequest,
        caller: Option<&DepartmentId>,
        shards: u16,
    ) -> Result<Self, Fault> {
        let mut faults = Faults::default();
        let department = whose(caller, &request.department, RIGHT)?;
        if department.is_empty() {
            let message = "say whose decisions: the code of a department";
            faults.add("department", "FIELD_REQUIRED", message);
        }
        let size = page::size(&mut faults, request.page_size, "decisions");
        faults.month_or_none("month", &request.month);
        let verdicts: Vec<Verdict> = VERDICTS
            .into_iter()
            .filter(|verdict| [i32::from(*verdict), 0].contains(&request.verdict))
            .collect();
        if verdicts.is_empty() {
            let kept = VERDICTS.map(|verdict| verdict.as_str_name()).join(", ");
            let message = format!(
                "no decision is kept under this verdict; use none for all, or one of {kept}"
            );
            faults.add("verdict", "VERDICT_UNKNOWN", message);
        }
        let after = page::token(&mut faults, &request.page_token, |token| {
            Place::parse(token).filter(|place| place.shard.0 < shards)
        });
        if !faults.is_empty() {
            return Err(Fault::invalid(faults.into_vec()));
        }
        Ok(Self {
            department,
            verdicts,
            month: request.month.clone(),
            size,
            after,
        })
    }

    /// Reads the page.
    ///
    /// # Errors
    ///
    /// The store cannot be read: retry.
    pub async fn read(self, store: &dyn EventStore) -> Result<pb::ListDecisionsResponse, Fault> {
        let mut decisions: Vec<pb::Decision> = Vec::new();
        let mut last = None;
        let parts = store.shards().all();
        let parts =
            parts.flat_map(|shard| self.verdicts.iter().copied().map(move |of| (shard, of)));
        for (shard, verdict) in parts {
            let Some(from) = self.from(shard, verdict) else {
                continue;
            };
            let end = prefix_end(&decisions_of(&self.department, verdict, &self.month));
            // One more than fits says whether there is another page.
            let wanted = self.size + 1 - decisions.len();
            let rows = store
                .scan(view::DECISION, shard, &from, end.as_deref(), wanted)
                .await
                .map_err(store_fault)?;
            for (_, value) in rows {
                if decisions.len() == self.size {
                    let next_page_token = last.as_ref().map_or_else(String::new, Place::to_token);
                    return Ok(pb::ListDecisionsResponse {
                        decisions,
                        next_page_token,
                    });
                }
                let row = pb::DecisionRow::decode(value).map_err(Fault::internal)?;
                let decision = row.decision.unwrap_or_default();
                last = Some(Place {
                    shard,
                    verdict,
                    decided_on: decision.decided_on.clone(),
                    record_id: decision.record_id.clone(),
                });
                decisions.push(decision);
            }
        }
        Ok(pb::ListDecisionsResponse {
            decisions,
            next_page_token: String::new(),
        })
    }

    /// The first key of a part that is not on an earlier page; nothing if all are.
    /// Built from the caller's own department, so that no token leads elsewhere.
    fn from(&self, shard: Shard, verdict: Verdict) -> Option<Vec<u8>> {
        let start = decisions_of(&self.department, verdict, &self.month);
        let Some(after) = &self.after else {
            return Some(start);
        };
        let (here, there) = ((shard, i32::from(verdict)), after.part());
        if here != there {
            return (here > there).then_some(start);
        }
        let mut key = decision_key(
            &self.department,
            verdict,
            &after.decided_on,
            &after.record_id,
        );
        key.push(0);
        Some(key.max(start))
    }
}

impl Place {
    fn part(&self) -> (Shard, i32) {
        (self.shard, self.verdict.into())
    }

    fn to_token(&self) -> String {
        format!(
            "{}.{}.{}.{}",
            self.shard.0,
            i32::from(self.verdict),
            self.decided_on,
            self.record_id
        )
    }

    fn parse(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let shard = Shard(parts.next()?.parse().ok()?);
        let verdict: i32 = parts.next()?.parse().ok()?;
        let (decided_on, record_id) = (parts.next()?, parts.next()?);
        parse_legal_date(decided_on).ok()?;
        Uuid::try_parse(record_id).ok()?;
        let place = Self {
            shard,
            verdict: Verdict::try_from(verdict).ok()?,
            decided_on: decided_on.to_owned(),
            record_id: record_id.to_owned(),
        };
        parts.next().is_none().then_some(place)
    }
}

/// Which counts of whose decisions.
#[derive(Debug)]
pub struct Counts {
    department: String,
    month: String,
}

impl Counts {
    /// Reads a request. `caller` is the department that asks, and sees its own;
    /// the operator is none, and sees those of all.
    ///
    /// # Errors
    ///
    /// Every fault of the request; or it is about another department.
    pub fn decode(
        request: &pb::GetDecisionCountsRequest,
        caller: Option<&DepartmentId>,
    ) -> Result<Self, Fault> {
        let mut faults = Faults::default();
        let department = whose(caller, &request.department, RIGHT)?;
        faults.month_or_none("month", &request.month);
        if !faults.is_empty() {
            return Err(Fault::invalid(faults.into_vec()));
        }
        Ok(Self {
            department,
            month: request.month.clone(),
        })
    }

    /// The counts, by department, month, kind and verdict.
    ///
    /// # Errors
    ///
    /// The store cannot be read: retry.
    pub async fn read(
        self,
        store: &dyn EventStore,
    ) -> Result<pb::GetDecisionCountsResponse, Fault> {
        let mut sums = BTreeMap::new();
        let prefix = counts_of(&self.department, &self.month);
        let end = prefix_end(&prefix);
        for shard in store.shards().all() {
            let mut from = prefix.clone();
            loop {
                let rows = store
                    .scan(view::DECISION_COUNT, shard, &from, end.as_deref(), BATCH)
                    .await
                    .map_err(store_fault)?;
                for (_, value) in &rows {
                    let row =
                        pb::DecisionCountRow::decode(value.clone()).map_err(Fault::internal)?;
                    self.add(row.count.unwrap_or_default(), &mut sums);
                }
                let Some((last, _)) = rows.last().filter(|_| rows.len() == BATCH) else {
                    break;
                };
                from = last.to_vec();
                from.push(0);
            }
        }
        Ok(pb::GetDecisionCountsResponse {
            counts: sums.into_values().collect(),
        })
    }

    fn add(&self, count: pb::DecisionCount, sums: &mut BTreeMap<Sum, pb::DecisionCount>) {
        // Of all departments at once the month is no part of the range.
        if !self.month.is_empty() && count.month != self.month {
            return;
        }
        let names = [&count.department, &count.month, &count.kind].map(String::clone);
        let sum = sums.entry((names, count.verdict));
        sum.and_modify(|sum| sum.count += count.count)
            .or_insert(count);
    }
}

/// What is summed over the shards: department, month and kind, and verdict.
type Sum = ([String; 3], i32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_no_month_are_refused() {
        let request = |month: &str| pb::GetDecisionCountsRequest {
            month: month.to_owned(),
            ..pb::GetDecisionCountsRequest::default()
        };
        assert!(Counts::decode(&request(""), None).is_ok());
        assert!(Counts::decode(&request("2026-03"), None).is_ok());
        let fault = Counts::decode(&request("2026-13"), None).expect_err("refused");
        assert_eq!(fault.reason(), "MONTH_INVALID");
    }

    #[test]
    fn a_verdict_that_nothing_is_kept_under_is_refused_and_the_others_are_named() {
        let request = pb::ListDecisionsRequest {
            department: "a department".to_owned(),
            verdict: Verdict::NotNeeded.into(),
            month: "2026-3".to_owned(),
            ..pb::ListDecisionsRequest::default()
        };
        let fault = Page::decode(&request, None, 8).expect_err("refused");
        let faults: Vec<_> = fault
            .violations()
            .iter()
            .map(|fault| fault.reason)
            .collect();
        assert_eq!(faults, ["MONTH_INVALID", "VERDICT_UNKNOWN"]);
        let message = &fault.violations()[1].message;
        assert!(
            message.contains("DECISION_VERDICT_NOT_CHECKED"),
            "{message}"
        );
    }
}
