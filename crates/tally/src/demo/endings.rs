//! Step 6: the clock moves on. What was not reported is overdue, and a short
//! term ends.

use tally_proto::tally::feedback::v1::{FeedbackState, GetFeedbackRequest};
use tally_proto::tally::lists::v1::{EntryState, GetEntryRequest};
use tally_proto::tally::sanctions::v1::{CheckOutcome, LiftReason};

use super::error::Answered as _;
use super::ledger::{Report, SHORT, Standing};
use super::{Demo, DemoError, wait};
use crate::client::Client;

impl Demo {
    pub(super) async fn let_reports_be_overdue(&mut self) -> Result<(), DemoError> {
        self.summary
            .section("reports on the first listings are overdue");
        self.advance_to(self.schedule.first_overdue).await?;
        self.wait_for_escalations("first").await
    }

    pub(super) async fn let_one_expire(&mut self) -> Result<(), DemoError> {
        self.summary.section("a short term ends");
        self.advance_to(self.schedule.short_until).await?;
        self.expect_check("on the last day of the term", SHORT, CheckOutcome::InForce)
            .await?;
        self.advance_to(self.schedule.expiry).await?;
        // Computed at the question: right even before any timer has fired.
        self.expect_check("on the day after the term", SHORT, CheckOutcome::Clear)
            .await?;
        let entry_id = self.ledger.listings[SHORT].entry_id.clone();
        let operator = self.cast.operator.clone();
        wait::until("the short term has expired", async || {
            Ok(entry_state(&operator, &entry_id).await? == EntryState::Expired)
        })
        .await?;
        self.ledger.listings[SHORT].standing = Standing::Ended;
        self.quiet().await?;
        self.respond().await?;
        self.expect_lifted("the expired listing", SHORT, LiftReason::Expired)
            .await
    }

    pub(super) async fn let_the_rest_be_overdue(&mut self) -> Result<(), DemoError> {
        self.summary
            .section("reports on the second listings are overdue");
        self.advance_to(self.schedule.second_overdue).await?;
        self.wait_for_escalations("second").await
    }

    /// Waits for each escalation that the ledger expects by now. Any other shows
    /// in the statistics.
    async fn wait_for_escalations(&mut self, which: &str) -> Result<(), DemoError> {
        let today = self.today.to_string();
        let owed: Vec<String> = self
            .ledger
            .notes
            .values()
            .filter(|note| matches!(note.report, Report::None | Report::Returned))
            .filter(|note| note.lifted.is_none() && !note.escalated)
            // Days in ISO 8601 are in order as texts.
            .filter(|note| note.directive.report_by < today)
            .map(|note| note.directive.directive_id.clone())
            .collect();
        let operator = self.cast.operator.clone();
        let escalated = async || {
            let mut count = 0;
            for id in &owed {
                let state = feedback_state(&operator, id).await?;
                count += usize::from(state == FeedbackState::Escalated);
            }
            Ok::<usize, DemoError>(count)
        };
        let all = wait::until("overdue reports are escalated", async || {
            Ok(escalated().await? == owed.len())
        });
        // Too few at the end is for the comparison to show, not a reason to stop.
        match all.await {
            Ok(()) => {}
            Err(never @ DemoError::NeverCame { .. }) => self.summary.line(never.to_string()),
            Err(error) => return Err(error),
        }
        let found = escalated().await?;
        for id in &owed {
            self.note(id)?.escalated = true;
        }
        self.summary.line(format!("{found} reports escalated"));
        self.summary.equal(
            format!("{which} listings: overdue reports escalated"),
            owed.len(),
            found,
        );
        self.quiet().await
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
