//! Step 4: departments check before they decide, and the answers are compared
//! with what the clients know.

use std::collections::BTreeSet;

use tally_proto::tally::log::v1::LegalBasisRef;
use tally_proto::tally::sanctions::v1::check_many_response::Outcome;
use tally_proto::tally::sanctions::v1::{
    CheckManyRequest, CheckOutcome, CheckRequest, CheckResponse, ConsistencyToken,
};

use super::cast::Dept;
use super::content::LISTED;
use super::error::Answered as _;
use super::responder::purpose;
use super::{Demo, DemoError};
use crate::client::command_id;

/// Basis on which a department asks.
const BASIS: &str = "tally-credit-regulations/18";

/// What an answer says, in short: outcome, entries, measures.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    outcome: CheckOutcome,
    entries: BTreeSet<String>,
    measures: BTreeSet<String>,
}

impl Demo {
    /// Asks what is in force.
    pub(super) async fn ask(
        &mut self,
        dept: Dept,
        subject: &str,
        purpose: &str,
        at_least: Option<ConsistencyToken>,
    ) -> Result<CheckResponse, DemoError> {
        let request = CheckRequest {
            at_least,
            ..self.question(subject, purpose)
        };
        let system = &self.cast.desk(dept).system;
        let answer = system
            .sanctions()
            .check(request)
            .await
            .during("check")?
            .into_inner();
        self.ledger.checks += 1;
        Ok(answer)
    }

    fn question(&self, subject: &str, purpose: &str) -> CheckRequest {
        CheckRequest {
            check_id: command_id(),
            subject: subject.to_owned(),
            purpose: purpose.to_owned(),
            case_number: format!("CASE-{}", self.ledger.checks + 1),
            legal_basis: Some(LegalBasisRef {
                id: BASIS.to_owned(),
                version: 1,
            }),
            at_least: None,
        }
    }

    /// Every department asks about everyone listed and as many who are not.
    pub(super) async fn check_everyone(&mut self) -> Result<(), DemoError> {
        self.summary.section("departments check before they decide");
        let (mut asked, mut as_known, mut repeated) = (0, 0, 0);
        for dept in Dept::ALL {
            let mut questions = Vec::new();
            for (index, organisation) in self.plan.organisations.iter().take(2 * LISTED).enumerate()
            {
                // Half of them are asked about for the other purpose too, where no measure applies.
                questions.push(self.question(
                    &organisation.subject,
                    purpose(super::content::is_red(index)),
                ));
                if index % 2 == 0 {
                    questions.push(self.question(
                        &organisation.subject,
                        purpose(!super::content::is_red(index)),
                    ));
                }
            }
            let answers = self.check_many(dept, &questions).await?;
            asked += questions.len();
            for (question, answer) in questions.iter().zip(&answers) {
                let known = self.known(dept, &question.subject, &question.purpose);
                let same = answer.check_id == question.check_id && said(answer) == known;
                as_known += usize::from(same);
            }
            let again = self.check_many(dept, &questions[..1]).await?;
            repeated += again
                .iter()
                .zip(&answers)
                .filter(|(again, first)| is_repeat(again, first))
                .count();
        }
        self.summary.line(format!(
            "{asked} questions on streams, {as_known} answered as known"
        ));
        self.summary
            .equal("checks answered as the clients know", asked, as_known);
        self.summary.equal(
            "checks asked again give the first receipt",
            Dept::ALL.len(),
            repeated,
        );
        self.quiet().await
    }

    async fn check_many(
        &mut self,
        dept: Dept,
        questions: &[CheckRequest],
    ) -> Result<Vec<CheckResponse>, DemoError> {
        let ask = |check: &CheckRequest| CheckManyRequest {
            check: Some(check.clone()),
        };
        let requests: Vec<_> = questions.iter().map(ask).collect();
        let mut sanctions = self.cast.desk(dept).system.sanctions();
        let stream = sanctions.check_many(futures::stream::iter(requests)).await;
        let mut stream = stream.during("check many")?.into_inner();
        let mut answers = Vec::with_capacity(questions.len());
        while answers.len() < questions.len() {
            let Some(answer) = stream.message().await.during("check many")? else {
                break;
            };
            match answer.outcome {
                Some(Outcome::Answer(answer)) => answers.push(answer),
                // Kept in its place, so that the comparison shows it.
                Some(Outcome::Refused(_)) | None => answers.push(CheckResponse::default()),
            }
        }
        self.ledger.checks += answers.len() as u64;
        Ok(answers)
    }

    fn known(&self, dept: Dept, subject: &str, purpose: &str) -> Said {
        let in_force = self.ledger.in_force(subject, self.today);
        let mut measures = BTreeSet::new();
        for listing in &in_force {
            for memorandum in self.pack.memoranda_for(listing.list_type, self.today) {
                let of_dept = |measure: &&tally_domain::policy::MemorandumMeasure| {
                    measure
                        .departments
                        .iter()
                        .any(|id| id.as_str() == dept.id())
                };
                let assigned = memorandum.measures.iter().filter(of_dept);
                let applies = |id: &String| self.pack.measures_at(purpose).any(|m| m.id == *id);
                measures.extend(
                    assigned
                        .map(|measure| measure.measure.clone())
                        .filter(applies),
                );
            }
        }
        let outcome = if in_force.is_empty() {
            CheckOutcome::Clear
        } else {
            CheckOutcome::InForce
        };
        let entries = in_force
            .iter()
            .map(|listing| listing.entry_id.clone())
            .collect();
        Said {
            outcome,
            entries,
            measures,
        }
    }
}

fn said(answer: &CheckResponse) -> Said {
    let measures = answer.entries.iter().flat_map(|entry| &entry.measures);
    Said {
        outcome: answer.outcome(),
        entries: answer
            .entries
            .iter()
            .map(|entry| entry.entry_id.clone())
            .collect(),
        measures: measures.map(|measure| measure.measure.clone()).collect(),
    }
}

fn is_repeat(again: &CheckResponse, first: &CheckResponse) -> bool {
    match (&again.receipt, &first.receipt) {
        (Some(again), Some(first)) => {
            again.repeated && !first.repeated && again.leaf_hash == first.leaf_hash
        }
        _ => false,
    }
}

/// An outcome, as the summary shows it.
pub fn outcome_text(outcome: CheckOutcome) -> &'static str {
    match outcome {
        CheckOutcome::Unspecified => "nothing",
        CheckOutcome::Clear => "clear",
        CheckOutcome::InForce => "in force",
        CheckOutcome::Undetermined => "undetermined",
    }
}
