//! Step 6: the clock moves on. What was not reported is overdue, and a short
//! term ends.

use tally_proto::tally::feedback::v1::{FeedbackState, GetFeedbackRequest};
use tally_proto::tally::lists::v1::{EntryState, GetEntryRequest};
use tally_proto::tally::sanctions::v1::{CheckOutcome, LiftReason};

use super::error::Answered as _;
use super::ledger::{Report, Standing};
use super::texts::Text;
use super::{Demo, DemoError, texts, wait};
use crate::client::Client;

impl Demo {
    pub(super) async fn let_reports_be_overdue(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::OVERDUE_FIRST);
        self.advance_to(self.schedule.first_overdue).await?;
        self.wait_for_escalations(texts::CHECK_OVERDUE_FIRST).await
    }

    pub(super) async fn let_one_expire(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::SHORT_TERM);
        let short = self.ledger.special.short;
        self.advance_to(self.schedule.short_until).await?;
        self.expect_check(texts::ON_LAST_DAY, short, CheckOutcome::InForce)
            .await?;
        self.advance_to(self.schedule.expiry).await?;
        // Computed at the question: right even before any timer has fired.
        self.expect_check(texts::ON_DAY_AFTER, short, CheckOutcome::Clear)
            .await?;
        let entry_id = self.ledger.listings[short].entry_id.clone();
        let operator = self.cast.operator.clone();
        wait::until("the short term has expired", async || {
            Ok(entry_state(&operator, &entry_id).await? == EntryState::Expired)
        })
        .await?;
        self.ledger.listings[short].standing = Standing::Ended;
        self.quiet().await?;
        self.respond().await?;
        self.expect_lifted(texts::THE_EXPIRED, short, LiftReason::Expired)
            .await
    }

    pub(super) async fn let_the_rest_be_overdue(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::OVERDUE_SECOND);
        self.advance_to(self.schedule.second_overdue).await?;
        self.wait_for_escalations(texts::CHECK_OVERDUE_SECOND).await
    }

    /// Waits for each escalation that the ledger expects by now. Any other shows
    /// in the statistics.
    async fn wait_for_escalations(&mut self, check: Text) -> Result<(), DemoError> {
        let today = self.today.to_string();
        let owed: Vec<String> = self
            .ledger
            .notes()
            .filter(|note| matches!(note.report, Report::None | Report::Returned))
            .filter(|note| note.lifted.is_none() && !note.escalated)
            // Days in ISO 8601 are in order as texts.
            .filter(|note| note.directive.report_by < today)
            .map(|note| note.directive.directive_id.clone())
            .collect();
        let operator = self.cast.operator.clone();
        let mut waiting = owed.clone();
        let all = wait::until("overdue reports are escalated", async || {
            while let Some(id) = waiting.last() {
                if feedback_state(&operator, id).await? != FeedbackState::Escalated {
                    return Ok(false);
                }
                waiting.pop();
            }
            Ok(true)
        });
        let all = all.await;
        self.came_or_shows(all)?;
        let found = owed.len() - waiting.len();
        for id in &owed {
            self.note(id)?.escalated = true;
        }
        self.summary.line(&texts::ESCALATED.with(&[&found]));
        self.summary.equal(&check, &owed.len(), &found);
        self.quiet().await
    }

    /// What did not come is for a comparison to show, not a reason to stop.
    pub(super) fn came_or_shows(&mut self, came: Result<(), DemoError>) -> Result<(), DemoError> {
        match came {
            Err(never @ DemoError::NeverCame { .. }) => {
                self.summary.line(&texts::NEVER_CAME.with(&[&never]));
                Ok(())
            }
            came => came,
        }
    }
}

/// The state of an entry, as the operator sees it.
pub async fn entry_state(operator: &Client, entry_id: &str) -> Result<EntryState, DemoError> {
    let request = GetEntryRequest {
        entry_id: entry_id.to_owned(),
    };
    let answer = operator
        .lists()
        .get_entry(request)
        .await
        .during("get an entry")?
        .into_inner();
    Ok(answer.entry.during("get an entry")?.state())
}

async fn feedback_state(operator: &Client, directive_id: &str) -> Result<FeedbackState, DemoError> {
    let request = GetFeedbackRequest {
        directive_id: directive_id.to_owned(),
    };
    let answer = operator.feedback().get_feedback(request).await;
    let feedback = answer.during("get a feedback")?.into_inner().feedback;
    Ok(feedback.during("get a feedback")?.state())
}
