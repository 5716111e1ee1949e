//! Step 5: one listing was wrong. An objection suspends it at once; another
//! officer corrects it out; everyone lets go. A second objection is without
//! ground, and an honest taxpayer turns out not to be one.

use tally_eventlog::event::from_proto_time;
use tally_proto::tally::collection::v1::PushRecordRequest;
use tally_proto::tally::lists::v1::{
    AcceptObjectionRequest, CorrectOutRequest, EntryState, GetEntryRequest, RemoveRequest,
    RequestRemovalRequest, UpholdRequest,
};
use tally_proto::tally::log::v1::Receipt;
use tally_proto::tally::sanctions::v1::{
    CheckOutcome, CheckResponse, ConsistencyToken, DirectiveState, ExecuteRequest,
    GetDirectiveRequest, LiftReason,
};

use super::checking::outcome_text;
use super::content::Special;
use super::error::{Answered as _, refusal};
use super::ledger::{Standing, Temperament};
use super::listing::{ACCEPTS_OBJECTIONS, DECIDES_OBJECTIONS, LISTS};
use super::push::document;
use super::texts::Text;
use super::{Demo, DemoError, texts};
use crate::client::{command_id, token_of};

impl Demo {
    pub(super) async fn object(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::OBJECT);
        let Special { wrong, upheld, .. } = self.ledger.special;
        self.advance_to(self.schedule.objection).await?;
        self.expect_check(texts::BEFORE_OBJECTION, wrong, CheckOutcome::InForce)
            .await?;
        let receipt = self.accept_objection(wrong).await?;
        let token = token_of(&receipt);
        let answer = self.ask_at_window(wrong, Some(token)).await?;
        let seen = outcome_text(answer.outcome());
        self.summary.holds(
            &texts::CHECK_TOKEN,
            &texts::NOT_IN_FORCE,
            &seen,
            answer.outcome() != CheckOutcome::InForce,
        );
        self.accept_objection(upheld).await?;
        self.push_serious_record().await?;
        self.quiet().await?;
        self.respond().await?;
        self.compare_suspended(&texts::CHECK_SUSPENDED, &[wrong, upheld]);
        self.try_to_execute_suspended().await
    }

    /// The last objection stays open: a suspension has no end of its own.
    pub(super) async fn object_again(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::OBJECT_AGAIN);
        let open = self.ledger.special.open;
        self.accept_objection(open).await?;
        self.quiet().await?;
        self.respond().await?;
        self.compare_suspended(&texts::CHECK_SUSPENDED_AGAIN, &[open]);
        Ok(())
    }

    /// Told to stop must be the directives of these listings.
    fn compare_suspended(&mut self, check: &Text, listings: &[usize]) {
        let suspended = self.ledger.notes().filter(|note| note.suspended).count();
        let affected: usize = listings
            .iter()
            .map(|at| self.ledger.notes_of(*at).count())
            .sum();
        self.summary.equal(check, &affected, &suspended);
    }

    pub(super) async fn decide_objections(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::DECIDE);
        let Special {
            wrong,
            upheld,
            removed,
            ..
        } = self.ledger.special;
        self.advance_to(self.schedule.decision).await?;
        self.correct_out().await?;
        self.uphold().await?;
        self.remove().await?;
        self.quiet().await?;
        self.respond().await?;
        for (when, at, outcome) in [
            (texts::AFTER_CORRECTION, wrong, CheckOutcome::Clear),
            (texts::AFTER_UPHOLDING, upheld, CheckOutcome::InForce),
            (texts::AFTER_REMOVAL, removed, CheckOutcome::Clear),
        ] {
            self.expect_check(when, at, outcome).await?;
        }
        self.expect_lifted(texts::THE_WRONG, wrong, LiftReason::CorrectedOut)
            .await?;
        self.expect_lifted(texts::THE_REMOVED, removed, LiftReason::Removed)
            .await?;
        self.compare_suspended(&texts::CHECK_RESUMED, &[]);
        Ok(())
    }

    async fn accept_objection(&mut self, at: usize) -> Result<Receipt, DemoError> {
        let listing = &self.ledger.listings[at];
        let request = AcceptObjectionRequest {
            command_id: command_id(),
            entry_id: listing.entry_id.clone(),
            objection: Some(document(format!("异议〔2026〕{at}号"))),
        };
        let officer = &self.cast.desk(listing.initiator).officers[ACCEPTS_OBJECTIONS];
        let answer = officer.lists().accept_objection(request).await;
        let receipt = answer.during("accept an objection")?.into_inner().receipt;
        self.ledger.listings[at].standing = Standing::Suspended;
        receipt.during("accept an objection")
    }

    /// A rule proposes the removal; nothing is taken away by it.
    async fn push_serious_record(&mut self) -> Result<(), DemoError> {
        let (dept, record) = self.plan.serious.clone();
        let request = PushRecordRequest {
            command_id: command_id(),
            record: Some(record.clone()),
            ..Default::default()
        };
        let system = &self.cast.desk(dept).system;
        let answer = system
            .collection()
            .push_record(request)
            .await
            .during("push a record")?;
        let record_id = answer
            .into_inner()
            .accepted
            .during("push a record")?
            .record_id;
        let timing = self.world.timing_of(&record, self.today);
        self.ledger.accept(&self.world, dept, &record, timing);
        self.quiet().await?;
        let listing = &self.ledger.listings[self.ledger.special.removed];
        let request = GetEntryRequest {
            entry_id: listing.entry_id.clone(),
        };
        let initiator = &self.cast.desk(listing.initiator).system;
        let entry = initiator
            .lists()
            .get_entry(request)
            .await
            .during("get an entry")?
            .into_inner();
        let entry = entry.entry.during("get an entry")?;
        let proposed = entry.removal_proposed_by.contains(&record_id);
        let listed = entry.state() == EntryState::Listed;
        self.summary.holds(
            &texts::CHECK_SERIOUS,
            &texts::PROPOSED_STILL_LISTED,
            &match (proposed, listed) {
                (true, true) => texts::PROPOSED_STILL_LISTED,
                (true, false) => texts::PROPOSED_NOT_LISTED,
                (false, true) => texts::NOT_PROPOSED_STILL_LISTED,
                (false, false) => texts::NOT_PROPOSED_NOT_LISTED,
            },
            proposed && listed,
        );
        Ok(())
    }

    async fn try_to_execute_suspended(&mut self) -> Result<(), DemoError> {
        let slow = |note: &&super::ledger::Note| note.temperament == Temperament::Slow;
        let note = self
            .ledger
            .notes_of(self.ledger.special.wrong)
            .find(slow)
            .during("find a slow directive")?;
        let request = ExecuteRequest {
            command_id: command_id(),
            directive_id: note.directive.directive_id.clone(),
            decision: Some(document("示执〔2026〕0号".to_owned())),
            executed_on: self.today.to_string(),
            check_id: String::new(),
        };
        let officer = &self.cast.desk(note.dept).officers[0];
        let answer = officer.sanctions().execute(request).await;
        self.summary
            .refused(&texts::CHECK_EXECUTE_SUSPENDED, refusal(answer));
        Ok(())
    }

    async fn correct_out(&mut self) -> Result<(), DemoError> {
        let wrong = self.ledger.special.wrong;
        let listing = &self.ledger.listings[wrong];
        let request = CorrectOutRequest {
            command_id: command_id(),
            entry_id: listing.entry_id.clone(),
            decision: Some(document("示更〔2026〕1号".to_owned())),
            reason: "the finding was about another organisation".to_owned(),
        };
        let officers = &self.cast.desk(listing.initiator).officers;
        let again = CorrectOutRequest {
            command_id: command_id(),
            ..request.clone()
        };
        let by_lister = refusal(officers[LISTS].lists().correct_out(again).await);
        let answer = officers[DECIDES_OBJECTIONS]
            .lists()
            .correct_out(request)
            .await;
        let receipt = answer
            .during("correct out")?
            .into_inner()
            .receipt
            .during("correct out")?;
        self.ledger.corrected_at = receipt.recorded_at.as_ref().and_then(from_proto_time);
        self.ledger.listings[wrong].standing = Standing::Ended;
        self.summary
            .refused(&texts::CHECK_LISTER_DECIDES, by_lister);
        Ok(())
    }

    async fn uphold(&mut self) -> Result<(), DemoError> {
        let upheld = self.ledger.special.upheld;
        let listing = &self.ledger.listings[upheld];
        let request = UpholdRequest {
            command_id: command_id(),
            entry_id: listing.entry_id.clone(),
            decision: Some(document("示维〔2026〕1号".to_owned())),
            reason: "the facts were verified and stand".to_owned(),
        };
        let officer = &self.cast.desk(listing.initiator).officers[DECIDES_OBJECTIONS];
        officer.lists().uphold(request).await.during("uphold")?;
        self.ledger.listings[upheld].standing = Standing::Listed;
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), DemoError> {
        let removed = self.ledger.special.removed;
        let listing = &self.ledger.listings[removed];
        let request = RemoveRequest {
            command_id: command_id(),
            entry_id: listing.entry_id.clone(),
            decision: Some(document("示除〔2026〕1号".to_owned())),
            reason: "a serious violation has become known".to_owned(),
        };
        let officers = &self.cast.desk(listing.initiator).officers;
        let asked = RequestRemovalRequest {
            command_id: command_id(),
            entry_id: request.entry_id.clone(),
            document: Some(document("示请〔2026〕1号".to_owned())),
            reason: request.reason.clone(),
        };
        let first = officers[LISTS].lists().request_removal(asked).await;
        first.during("request removal")?;
        let alone = RemoveRequest {
            command_id: command_id(),
            ..request.clone()
        };
        let by_first = refusal(officers[LISTS].lists().remove(alone).await);
        let second = officers[DECIDES_OBJECTIONS].lists().remove(request).await;
        second.during("remove")?;
        self.summary.refused(&texts::CHECK_ALONE_REMOVES, by_first);
        self.ledger.listings[removed].standing = Standing::Ended;
        Ok(())
    }

    /// A check at the window must say this of a listing's subject.
    pub(super) async fn expect_check(
        &mut self,
        when: Text,
        at: usize,
        expected: CheckOutcome,
    ) -> Result<(), DemoError> {
        let answer = self.ask_at_window(at, None).await?;
        let name = texts::CHECK_CHECKED.with(&[&when]);
        let (expected, found) = (outcome_text(expected), outcome_text(answer.outcome()));
        self.summary.equal(&name, &expected, &found);
        Ok(())
    }

    /// Whoever applies a measure to such subjects asks about one.
    async fn ask_at_window(
        &mut self,
        at: usize,
        at_least: Option<ConsistencyToken>,
    ) -> Result<CheckResponse, DemoError> {
        let listing = &self.ledger.listings[at];
        let window = self.world.window(&listing.list_type, listing.term_from);
        let (dept, purpose) = window.during("find who applies a measure")?;
        let mut question = self.question(dept, &listing.subject, &purpose);
        question.at_least = at_least;
        self.ask(dept, question).await
    }

    /// Every directive of a listing is lifted for that reason, and confirmed.
    pub(super) async fn expect_lifted(
        &mut self,
        what: Text,
        at: usize,
        reason: LiftReason,
    ) -> Result<(), DemoError> {
        let ids: Vec<String> = self
            .ledger
            .notes_of(at)
            .map(|note| note.directive.directive_id.clone())
            .collect();
        let mut confirmed = 0;
        for directive_id in &ids {
            let request = GetDirectiveRequest {
                directive_id: directive_id.clone(),
            };
            let operator = &self.cast.operator;
            let answer = operator.sanctions().get_directive(request).await;
            let directive = answer.during("get a directive")?.into_inner().directive;
            let directive = directive.during("get a directive")?;
            let done = directive.state() == DirectiveState::LiftConfirmed;
            confirmed += usize::from(done && directive.lift_reason() == reason);
        }
        let name = texts::CHECK_LIFTED.with(&[&what]);
        self.summary.equal(&name, &ids.len(), &confirmed);
        Ok(())
    }
}
