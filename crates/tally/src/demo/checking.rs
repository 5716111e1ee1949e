//! Step 4: departments check before they decide, and the answers are compared
//! with what the clients know.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use tally_proto::tally::log::v1::LegalBasisRef;
use tally_proto::tally::sanctions::v1::check_many_response::Outcome;
use tally_proto::tally::sanctions::v1::{
    CheckManyRequest, CheckOutcome, CheckRequest, CheckResponse,
};

use super::content::LISTED;
use super::error::Answered as _;
use super::texts::Text;
use super::world::{Dept, World};
use super::{Demo, DemoError, texts};
use crate::client::{Client, command_id};

/// What an answer says, in short: outcome, entries, measures.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    outcome: CheckOutcome,
    entries: BTreeSet<String>,
    measures: BTreeSet<String>,
}

/// A question, numbered among those of its department.
pub fn question(world: &World, subject: &str, purpose: &str, number: u64) -> CheckRequest {
    let basis = world.basis_of_checks();
    CheckRequest {
        check_id: command_id(),
        subject: subject.to_owned(),
        purpose: purpose.to_owned(),
        case_number: format!("CASE-{}", number + 1),
        legal_basis: Some(LegalBasisRef {
            id: basis.id.clone(),
            version: basis.version,
        }),
        at_least: None,
    }
}

/// Asks what is in force.
pub async fn check(system: &Client, question: CheckRequest) -> Result<CheckResponse, DemoError> {
    let answer = system.sanctions().check(question).await;
    Ok(answer.during("check")?.into_inner())
}

async fn check_many(
    system: &Client,
    questions: &[CheckRequest],
) -> Result<Vec<CheckResponse>, DemoError> {
    let ask = |check: &CheckRequest| CheckManyRequest {
        check: Some(check.clone()),
    };
    let requests: Vec<_> = questions.iter().map(ask).collect();
    let mut sanctions = system.sanctions();
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
    Ok(answers)
}

impl Demo {
    /// A department asks what is in force.
    pub(super) async fn ask(
        &mut self,
        dept: Dept,
        question: CheckRequest,
    ) -> Result<CheckResponse, DemoError> {
        let answer = check(&self.cast.desk(dept).system, question).await?;
        self.ledger.books[dept.index()].checks += 1;
        Ok(answer)
    }

    /// A department's next question.
    pub(super) fn question(&self, dept: Dept, subject: &str, purpose: &str) -> CheckRequest {
        let number = self.ledger.books[dept.index()].checks;
        question(&self.world, subject, purpose, number)
    }

    /// Every department asks about everyone listed and as many who are not,
    /// each time before another kind of decision.
    pub(super) async fn check_everyone(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::CHECK);
        let purposes = self.world.purposes();
        let mut questions: Vec<Vec<CheckRequest>> = Vec::new();
        for dept in self.world.depts() {
            let asked = self.plan.organisations.iter().take(2 * LISTED).enumerate();
            let asked = asked.map(|(index, organisation)| {
                let purpose = purposes[(index + dept.index()) % purposes.len()];
                self.question(dept, &organisation.subject, purpose)
            });
            questions.push(asked.collect());
        }
        let mut asking = Vec::new();
        let mut asking_again = Vec::new();
        for (dept, questions) in self.world.depts().zip(&questions) {
            let system = &self.cast.desk(dept).system;
            asking.push(check_many(system, questions));
            asking_again.push(check_many(system, &questions[..1]));
        }
        let answers = try_join_all(asking).await?;
        let again = try_join_all(asking_again).await?;
        let (mut asked, mut as_known, mut repeated) = (0, 0, 0);
        for (dept, questions) in self.world.depts().zip(&questions) {
            let (answers, again) = (&answers[dept.index()], &again[dept.index()]);
            asked += questions.len();
            for (question, answer) in questions.iter().zip(answers) {
                let known = self.known(dept, &question.subject, &question.purpose);
                let same = answer.check_id == question.check_id && said(answer) == known;
                as_known += usize::from(same);
            }
            let pairs = again.iter().zip(answers);
            repeated += pairs
                .filter(|(again, first)| is_repeat(again, first))
                .count();
            let answered = answers.len() + again.len();
            self.ledger.books[dept.index()].checks += answered as u64;
        }
        self.summary.line(&texts::ASKED.with(&[&asked, &as_known]));
        self.summary
            .equal(&texts::CHECK_AS_KNOWN, &asked, &as_known);
        let departments = self.world.depts().len();
        self.summary
            .equal(&texts::CHECK_ASKED_AGAIN, &departments, &repeated);
        self.quiet().await
    }

    fn known(&self, dept: Dept, subject: &str, purpose: &str) -> Said {
        let in_force = self.ledger.in_force(subject, self.today);
        let mut measures = BTreeSet::new();
        for listing in &in_force {
            let due = self.world.directives_due(&listing.list_type, self.today);
            let own = due.into_iter().filter(|due| due.dept == dept);
            let applies = |id: &String| self.world.pack.measures_at(purpose).any(|m| m.id == *id);
            measures.extend(own.map(|due| due.measure).filter(applies));
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
pub fn outcome_text(outcome: CheckOutcome) -> Text {
    match outcome {
        CheckOutcome::Unspecified => texts::NOTHING,
        CheckOutcome::Clear => texts::CLEAR,
        CheckOutcome::InForce => texts::IN_FORCE,
        CheckOutcome::Undetermined => texts::UNDETERMINED,
    }
}
