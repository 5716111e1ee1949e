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
    CheckOutcome, ConsistencyToken, DirectiveState, ExecuteRequest, GetDirectiveRequest,
    LiftReason, ShardBasis,
};

use super::cast::Dept;
use super::checking::outcome_text;
use super::error::{Answered as _, refusal};
use super::ledger::{REMOVED, Standing, Temperament, UPHELD, WRONG};
use super::listing::{ACCEPTS_OBJECTIONS, DECIDES_OBJECTIONS, LISTS};
use super::push::document;
use super::responder::purpose;
use super::{Demo, DemoError};
use crate::client::command_id;

impl Demo {
    pub(super) async fn object(&mut self) -> Result<(), DemoError> {
        self.summary
            .section("two objections, and a serious record about an honest taxpayer");
        self.advance_to(self.schedule.objection).await?;
        self.expect_check("before the objection", WRONG, CheckOutcome::InForce)
            .await?;
        let receipt = self.accept_objection(WRONG).await?;
        let token = ConsistencyToken {
            shards: vec![ShardBasis {
                shard: receipt.shard,
                lists: receipt.position + 1,
                sanctions: 0,
            }],
            pack_version: String::new(),
        };
        let subject = self.ledger.listings[WRONG].subject.clone();
        let answer = self
            .ask(Dept::Resources, &subject, purpose(false), Some(token))
            .await?;
        let seen = outcome_text(answer.outcome());
        self.summary.holds(
            "a check with the objection's receipt",
            "not in force",
            seen,
            answer.outcome() != CheckOutcome::InForce,
        );
        self.accept_objection(UPHELD).await?;
        self.push_serious_record().await?;
        self.quiet().await?;
        self.respond().await?;
        let suspended = self
            .ledger
            .notes
            .values()
            .filter(|note| note.suspended)
            .count();
        let affected = self
            .ledger
            .notes_of(WRONG)
            .chain(self.ledger.notes_of(UPHELD))
            .count();
        self.summary
            .equal("directives told to stop", affected, suspended);
        self.try_to_execute_suspended().await
    }

    pub(super) async fn decide_objections(&mut self) -> Result<(), DemoError> {
        self.summary.section("the objections are decided");
        self.advance_to(self.schedule.decision).await?;
        self.correct_out().await?;
        self.uphold().await?;
        self.remove().await?;
        self.quiet().await?;
        self.respond().await?;
        self.expect_check("after the correction", WRONG, CheckOutcome::Clear)
            .await?;
        self.expect_check(
            "after an objection without ground",
            UPHELD,
            CheckOutcome::InForce,
        )
        .await?;
        self.expect_check("after the removal", REMOVED, CheckOutcome::Clear)
            .await?;
        self.expect_lifted("the wrong listing", WRONG, LiftReason::CorrectedOut)
            .await?;
        self.expect_lifted("the removed listing", REMOVED, LiftReason::Removed)
            .await?;
        let stopped = self
            .ledger
            .notes
            .values()
            .filter(|note| note.suspended)
            .count();
        self.summary
            .equal("directives still told to stop", 0, stopped);
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
        let record = self.plan.serious.clone();
        let request = PushRecordRequest {
            command_id: command_id(),
            record: Some(record.clone()),
            ..Default::default()
        };
        let system = &self.cast.desk(Dept::Market).system;
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
        self.ledger
            .records_of(Dept::Market, &record.record_type)
            .accepted += 1;
        self.quiet().await?;
        let request = GetEntryRequest {
            entry_id: self.ledger.listings[REMOVED].entry_id.clone(),
        };
        let entry = system
            .lists()
            .get_entry(request)
            .await
            .during("get an entry")?
            .into_inner();
        let entry = entry.entry.during("get an entry")?;
        let proposed = entry.removal_proposed_by.contains(&record_id);
        let listed = entry.state() == EntryState::Listed;
        self.summary.holds(
            "a serious record about an honest taxpayer",
            "proposes removal, removes nothing",
            format!(
                "{}, {}",
                if proposed { "proposed" } else { "not proposed" },
                if listed { "still listed" } else { "not listed" }
            ),
            proposed && listed,
        );
        Ok(())
    }

    async fn try_to_execute_suspended(&mut self) -> Result<(), DemoError> {
        let slow = |note: &&super::ledger::Note| note.temperament == Temperament::Slow;
        let note = self
            .ledger
            .notes_of(WRONG)
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
            .refused("a suspended directive is executed", refusal(answer));
        Ok(())
    }

    async fn correct_out(&mut self) -> Result<(), DemoError> {
        let listing = &self.ledger.listings[WRONG];
        let request = CorrectOutRequest {
            command_id: command_id(),
            entry_id: listing.entry_id.clone(),
            decision: Some(document("示更〔2026〕1号".to_owned())),
            reason: "the penalty was another company's".to_owned(),
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
        self.ledger.listings[WRONG].standing = Standing::Ended;
        self.summary
            .refused("the listing officer decides the objection", by_lister);
        Ok(())
    }

    async fn uphold(&mut self) -> Result<(), DemoError> {
        let listing = &self.ledger.listings[UPHELD];
        let request = UpholdRequest {
            command_id: command_id(),
            entry_id: listing.entry_id.clone(),
            decision: Some(document("示维〔2026〕1号".to_owned())),
            reason: "the facts were verified and stand".to_owned(),
        };
        let officer = &self.cast.desk(listing.initiator).officers[DECIDES_OBJECTIONS];
        officer.lists().uphold(request).await.during("uphold")?;
        self.ledger.listings[UPHELD].standing = Standing::Listed;
        Ok(())
    }

    async fn remove(&mut self) -> Result<(), DemoError> {
        let listing = &self.ledger.listings[REMOVED];
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
        self.summary
            .refused("one officer alone takes off a red entry", by_first);
        self.ledger.listings[REMOVED].standing = Standing::Ended;
        Ok(())
    }

    /// A check of the county must say this of a listing's subject.
    pub(super) async fn expect_check(
        &mut self,
        when: &str,
        at: usize,
        expected: CheckOutcome,
    ) -> Result<(), DemoError> {
        let listing = &self.ledger.listings[at];
        let (subject, red) = (listing.subject.clone(), listing.is_red());
        let answer = self
            .ask(Dept::Resources, &subject, purpose(red), None)
            .await?;
        let name = format!("a check {when}");
        self.summary
            .equal(name, outcome_text(expected), outcome_text(answer.outcome()));
        Ok(())
    }

    /// Every directive of a listing is lifted for that reason, and confirmed.
    pub(super) async fn expect_lifted(
        &mut self,
        what: &str,
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
        self.summary
            .equal(format!("{what}: lifts confirmed"), ids.len(), confirmed);
        Ok(())
    }
}
