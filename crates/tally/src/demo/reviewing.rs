//! Initiating departments accept reports or return them, and responders amend.

use tally_proto::tally::feedback::v1::{AcceptReportRequest, ReturnReportRequest};

use super::error::{Answered as _, refusal};
use super::ledger::{Note, Report};
use super::world::Dept;
use super::{Demo, DemoError, texts};
use crate::client::command_id;

/// What becomes of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Review {
    Accept,
    /// Returned, amended, then accepted.
    ReturnAndAccept,
    /// Returned, and never amended.
    Return,
    /// Nobody looks at it.
    Leave,
}

impl Demo {
    pub(super) async fn review_reports(&mut self) -> Result<(), DemoError> {
        self.compare_directives();
        self.summary.section(&texts::REVIEW);
        let submitted = self.submitted();
        self.try_to_accept_ones_own(&submitted).await?;
        let (mut accepted, mut returned) = (0, 0);
        for (turn, (id, dept, initiator, ordinary)) in submitted.iter().enumerate() {
            let review = if *ordinary {
                review(turn)
            } else {
                Review::Accept
            };
            if matches!(review, Review::Return | Review::ReturnAndAccept) {
                self.return_report(*initiator, id).await?;
                returned += 1;
            }
            if review == Review::ReturnAndAccept {
                self.report_again(*dept, id).await?;
            }
            if matches!(review, Review::Accept | Review::ReturnAndAccept) {
                self.accept_report(*initiator, id).await?;
                accepted += 1;
            }
        }
        let total = submitted.len();
        self.summary
            .line(&texts::REVIEWED.with(&[&total, &accepted, &returned]));
        self.quiet().await
    }

    /// Reports that nobody has looked at: directive, responder, initiator, and
    /// whether the listing is an ordinary one. In an order that a seed gives
    /// again, which that of the ids is not.
    fn submitted(&self) -> Vec<(String, Dept, Dept, bool)> {
        let notes = self.ledger.notes();
        let mut submitted: Vec<_> = notes
            .filter(|note| note.report == Report::Submitted)
            .collect();
        submitted.sort_by_key(|note| (note.listing, &note.directive.measure, note.dept));
        let row = |note: &Note| {
            let listing = &self.ledger.listings[note.listing];
            let id = note.directive.directive_id.clone();
            (id, note.dept, listing.initiator, listing.ordinary)
        };
        submitted.into_iter().map(row).collect()
    }

    async fn accept_report(&mut self, initiator: Dept, id: &str) -> Result<(), DemoError> {
        let request = AcceptReportRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
        };
        let officer = &self.cast.desk(initiator).officers[0];
        officer
            .feedback()
            .accept_report(request)
            .await
            .during("accept a report")?;
        self.note(id)?.report = Report::Accepted;
        Ok(())
    }

    async fn return_report(&mut self, initiator: Dept, id: &str) -> Result<(), DemoError> {
        let request = ReturnReportRequest {
            command_id: command_id(),
            directive_id: id.to_owned(),
            reason: "the number of the decision is missing".to_owned(),
        };
        let officer = &self.cast.desk(initiator).officers[0];
        officer
            .feedback()
            .return_report(request)
            .await
            .during("return a report")?;
        let note = self.note(id)?;
        note.report = Report::Returned;
        note.returns += 1;
        Ok(())
    }

    /// Whoever reports is not the one who accepts.
    async fn try_to_accept_ones_own(
        &mut self,
        submitted: &[(String, Dept, Dept, bool)],
    ) -> Result<(), DemoError> {
        let other = submitted
            .iter()
            .find(|(_, dept, initiator, _)| dept != initiator);
        let (id, dept, ..) = other.during("find a report to another department")?;
        let request = AcceptReportRequest {
            command_id: command_id(),
            directive_id: id.clone(),
        };
        let officer = &self.cast.desk(*dept).officers[0];
        let answer = officer.feedback().accept_report(request).await;
        self.summary
            .refused(&texts::CHECK_OWN_REPORT, refusal(answer));
        Ok(())
    }
}

fn review(turn: usize) -> Review {
    match turn % 7 {
        2 => Review::ReturnAndAccept,
        4 => Review::Return,
        5 => Review::Leave,
        _ => Review::Accept,
    }
}
