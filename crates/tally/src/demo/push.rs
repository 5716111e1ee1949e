//! Step 1: departments' systems push their records, all at once.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::try_join_all;
use indicatif::ProgressBar;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tally_proto::tally::collection::v1::{
    AcceptedRecord, CorrectRecordRequest, PushRecordsRequest, WithdrawRecordRequest,
};
use tally_proto::tally::log::v1::DocumentRef;

use super::content::{Expect, Plan, Push, correction_of};
use super::error::Answered as _;
use super::texts::{Phrase, Text};
use super::world::Dept;
use super::{Demo, DemoError, texts};
use crate::client::{Client, command_id};

/// Records that are corrected, and as many that are withdrawn.
const REVISED: usize = 3;

/// Differences shown; all are counted.
const SHOWN_MAX: usize = 5;

/// What came back on one stream.
#[derive(Debug, Default)]
struct Received {
    /// By place; empty where it was refused.
    accepted: Vec<Option<AcceptedRecord>>,
    new: u64,
    repeated: u64,
    refused: u64,
    /// Answers that are not the one to the request at their place.
    disordered: u64,
    /// Answers other than expected. They name reasons, never values.
    differences: Vec<Phrase>,
}

impl Received {
    fn take(
        &mut self,
        pushes: &[Push],
        command_id: &str,
        answered: &str,
        outcome: Option<Outcome>,
    ) {
        let at = self.accepted.len();
        self.disordered += u64::from(command_id != answered);
        let accepted = match outcome {
            Some(Outcome::Accepted(accepted)) => {
                let repeated = accepted
                    .receipt
                    .as_ref()
                    .is_some_and(|receipt| receipt.repeated);
                self.new += u64::from(!repeated);
                self.repeated += u64::from(repeated);
                if let Some(difference) = self.differs(pushes[at].expect, &accepted, repeated) {
                    self.differences
                        .push(texts::RECORD_AT.with(&[&at, &difference]));
                }
                Some(accepted)
            }
            Some(Outcome::Refused(refusal)) => {
                self.refused += 1;
                let reasons: Vec<&str> = refusal
                    .faults
                    .iter()
                    .map(|fault| fault.reason.as_str())
                    .collect();
                let expected = match pushes[at].expect {
                    Expect::Refused { faults_min } => reasons.len() >= faults_min,
                    Expect::Accepted | Expect::Same { .. } | Expect::Retried { .. } => false,
                };
                if !expected {
                    let refused = texts::REFUSED_FOR.with(&[&reasons.join(", ")]);
                    self.differences
                        .push(texts::RECORD_AT.with(&[&at, &refused]));
                }
                None
            }
            None => {
                self.differences
                    .push(texts::RECORD_AT.with(&[&at, &texts::NO_OUTCOME]));
                None
            }
        };
        self.accepted.push(accepted);
    }

    fn differs(&self, expect: Expect, found: &AcceptedRecord, repeated: bool) -> Option<Text> {
        match expect {
            Expect::Accepted if repeated => Some(texts::FIRST_SAID_REPEATED),
            Expect::Accepted => None,
            Expect::Refused { .. } => Some(texts::ACCEPTED_THOUGH_FAULTY),
            Expect::Same { .. } | Expect::Retried { .. } if !repeated => {
                Some(texts::REPEAT_TAKEN_AS_NEW)
            }
            Expect::Same { of } | Expect::Retried { of } => {
                let place = |record: &AcceptedRecord| {
                    record
                        .receipt
                        .as_ref()
                        .map(|receipt| (receipt.shard, receipt.position))
                };
                let first = self.accepted[of].as_ref()?;
                let same = first.record_id == found.record_id && place(first) == place(found);
                (!same).then_some(texts::REPEAT_WITHOUT_FIRST)
            }
        }
    }
}

impl Demo {
    pub(super) async fn push_records(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::PUSH);
        let bar = self.bar(self.plan.total(), "records");
        let one = |dept: Dept| {
            let system = self.cast.desk(dept).system.clone();
            push_all(system, Arc::clone(&self.plan), dept, bar.clone())
        };
        let received = try_join_all(self.world.depts().map(one)).await?;
        bar.finish_and_clear();
        for (dept, received) in self.world.depts().zip(received) {
            self.compare_pushes(dept, received);
        }
        self.revise().await?;
        self.quiet().await
    }

    fn compare_pushes(&mut self, dept: Dept, received: Received) {
        let plan = Arc::clone(&self.plan);
        let pushes = &plan.pushes[dept.index()];
        let count = |wanted: fn(&Expect) -> bool| {
            pushes.iter().filter(|push| wanted(&push.expect)).count() as u64
        };
        let name = self.world.name(dept);
        let new = count(|expect| *expect == Expect::Accepted);
        let repeated =
            count(|expect| matches!(expect, Expect::Same { .. } | Expect::Retried { .. }));
        let refused = count(|expect| matches!(expect, Expect::Refused { .. }));
        let numbers = |new: u64, repeated: u64, refused: u64| {
            texts::NEW_REPEATED_REFUSED.with(&[&new, &repeated, &refused])
        };
        let expected = numbers(new, repeated, refused);
        let found = numbers(received.new, received.repeated, received.refused);
        self.summary.line(&texts::NAMED.with(&[&name, &found]));
        for difference in received.differences.iter().take(SHOWN_MAX) {
            self.summary.line(&texts::NAMED.with(&[&name, difference]));
        }
        let odd = received.differences.len() as u64
            + received.disordered
            + pushes.len().abs_diff(received.accepted.len()) as u64;
        self.summary
            .equal(&texts::CHECK_PUSH.with(&[&name]), &expected, &found);
        self.summary
            .equal(&texts::CHECK_PUSH_ODD.with(&[&name]), &0, &odd);
        for push in pushes {
            // What names no item of the catalogue is counted under none.
            let item = self.world.pack.record_type(&push.record.record_type);
            let item = item.map_or("", |item| &item.id);
            match push.expect {
                Expect::Accepted => {
                    self.ledger
                        .accept(&self.world, dept, &push.record, push.timing);
                }
                Expect::Refused { .. } => self.ledger.records_of(dept, item).refused += 1,
                Expect::Same { .. } | Expect::Retried { .. } => {}
            }
        }
        let ids = received.accepted.into_iter();
        self.ledger.record_ids[dept.index()] = ids
            .map(|accepted| accepted.map_or_else(String::new, |record| record.record_id))
            .collect();
    }

    /// A few records are corrected, a few withdrawn.
    async fn revise(&mut self) -> Result<(), DemoError> {
        let plan = Arc::clone(&self.plan);
        // Whoever pushes most.
        let depts = self.world.depts();
        let most = depts.max_by_key(|dept| plan.pushes[dept.index()].len());
        let dept = most.during("find a department that pushes")?;
        let mut collection = self.cast.desk(dept).system.collection();
        let ids = self.ledger.record_ids[dept.index()].clone();
        for (turn, (at, push)) in self.revisable(&plan, dept).into_iter().enumerate() {
            if turn < REVISED {
                let request = CorrectRecordRequest {
                    command_id: command_id(),
                    record_id: ids[at].clone(),
                    record: Some(correction_of(&push.record)),
                    reason: "a remark was missing".to_owned(),
                };
                collection
                    .correct_record(request)
                    .await
                    .during("correct a record")?;
                self.ledger
                    .records_of(dept, &push.record.record_type)
                    .corrected += 1;
            } else {
                let request = WithdrawRecordRequest {
                    command_id: command_id(),
                    record_id: ids[at].clone(),
                    reason: "revoked after reconsideration".to_owned(),
                    document: Some(document(format!("示复〔2026〕{turn}号"))),
                };
                collection
                    .withdraw_record(request)
                    .await
                    .during("withdraw a record")?;
                self.ledger.withdraw(&self.world, dept, &push.record);
            }
        }
        self.summary
            .line(&texts::REVISED.with(&[&REVISED, &REVISED]));
        Ok(())
    }

    /// Records that nobody is listed for and that name no person.
    fn revisable<'a>(&self, plan: &'a Plan, dept: Dept) -> Vec<(usize, &'a Push)> {
        let grounds = plan.listings.iter().zip(&plan.grounds);
        let own = grounds.filter(|(planned, _)| planned.initiator == dept);
        let own: HashSet<usize> = own.map(|(_, at)| *at).collect();
        let pushes = plan.pushes[dept.index()].iter().enumerate();
        pushes
            .filter(|(at, push)| push.expect == Expect::Accepted && !own.contains(at))
            .filter(|(_, push)| !push.personal)
            .take(2 * REVISED)
            .collect()
    }
}

/// A document of that number.
pub fn document(number: String) -> DocumentRef {
    DocumentRef {
        number,
        ..Default::default()
    }
}

async fn push_all(
    client: Client,
    plan: Arc<Plan>,
    dept: Dept,
    bar: ProgressBar,
) -> Result<Received, DemoError> {
    let pushes = &plan.pushes[dept.index()];
    let mut ids: Vec<String> = Vec::with_capacity(pushes.len());
    for push in pushes {
        let id = match push.expect {
            Expect::Retried { of } => ids[of].clone(),
            Expect::Accepted | Expect::Same { .. } | Expect::Refused { .. } => command_id(),
        };
        ids.push(id);
    }
    let ids = Arc::new(ids);
    let requests = {
        let (plan, ids) = (Arc::clone(&plan), Arc::clone(&ids));
        (0..pushes.len()).map(move |at| PushRecordsRequest {
            command_id: ids[at].clone(),
            record: Some(plan.pushes[dept.index()][at].record.clone()),
            ..Default::default()
        })
    };
    let answers = client
        .collection()
        .push_records(futures::stream::iter(requests))
        .await;
    let mut answers = answers.during("push records")?.into_inner();
    let mut received = Received::default();
    while let Some(answer) = answers.message().await.during("push records")? {
        let at = received.accepted.len();
        if at == pushes.len() {
            received.disordered += 1;
            break;
        }
        received.take(pushes, &ids[at], &answer.command_id, answer.outcome);
        bar.inc(1);
    }
    Ok(received)
}

#[cfg(test)]
mod tests {
    use tally_proto::tally::log::v1::Receipt;

    use super::*;
    use crate::demo::world::Timing;

    fn accepted(position: u64, repeated: bool) -> Option<Outcome> {
        let receipt = Receipt {
            position,
            repeated,
            ..Default::default()
        };
        let record_id = position.to_string();
        Some(Outcome::Accepted(AcceptedRecord {
            record_id,
            receipt: Some(receipt),
        }))
    }

    fn push(expect: Expect) -> Push {
        Push {
            record: Default::default(),
            expect,
            personal: false,
            timing: Timing::InTime,
        }
    }

    #[test]
    fn a_repeat_at_another_place_is_a_difference() {
        let pushes = [
            push(Expect::Accepted),
            push(Expect::Same { of: 0 }),
            push(Expect::Same { of: 0 }),
        ];
        let mut received = Received::default();
        received.take(&pushes, "a", "a", accepted(4, false));
        received.take(&pushes, "b", "b", accepted(4, true));
        assert!(received.differences.is_empty());
        received.take(&pushes, "c", "x", accepted(5, true));
        assert_eq!((received.differences.len(), received.disordered), (1, 1));
        assert_eq!((received.new, received.repeated), (1, 2));
    }

    #[test]
    fn a_refusal_must_name_every_fault() {
        let pushes = [
            push(Expect::Refused { faults_min: 2 }),
            push(Expect::Accepted),
        ];
        let mut received = Received::default();
        let refused = || Some(Outcome::Refused(Default::default()));
        received.take(&pushes, "a", "a", refused());
        received.take(&pushes, "b", "b", refused());
        assert_eq!((received.differences.len(), received.refused), (2, 2));
    }
}
