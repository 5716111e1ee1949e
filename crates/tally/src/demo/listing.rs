//! Step 2: officers nominate, notify, and list; always two of them.

use tally_eventlog::event::from_proto_time;
use tally_proto::tally::lists::v1::{
    EntryState, ListRequest, NominateRequest, NotifyRequest, RepresentRequest,
};
use tally_proto::tally::log::v1::LegalBasisRef;

use super::endings::entry_state;
use super::error::{Answered as _, refusal};
use super::ledger::{Answer, Listing, Standing};
use super::push::document;
use super::world::Dept;
use super::{Demo, DemoError, texts};
use crate::client::{Client, command_id};

/// Who of a department's officers does what.
pub const NOMINATES: usize = 0;
/// Never the one who nominated.
pub const LISTS: usize = 1;
/// Neither of these two.
pub const ACCEPTS_OBJECTIONS: usize = 2;
/// Nor this one.
pub const DECIDES_OBJECTIONS: usize = 3;

impl Demo {
    /// Everyone is nominated and told; whoever may be is listed.
    pub(super) async fn list_first(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::LIST);
        self.try_without_competence().await?;
        for at in 0..self.ledger.listings.len() {
            self.nominate(at).await?;
            if !self.ledger.listings[at].red {
                self.notify(at).await?;
                self.represent(at).await?;
            }
        }
        self.try_alone_and_too_early().await?;
        self.list_where(|listing| listing.red || listing.answer != Answer::None)
            .await
    }

    /// The days for a representation are over: the others are listed too.
    pub(super) async fn list_second(&mut self) -> Result<(), DemoError> {
        self.summary.section(&texts::LIST_SECOND);
        self.advance_to(self.schedule.second).await?;
        self.list_where(|listing| listing.standing == Standing::Nominated)
            .await?;
        let mut listed = 0;
        for listing in &self.ledger.listings {
            let state = entry_state(&self.cast.operator, &listing.entry_id).await?;
            listed += u64::from(state == EntryState::Listed);
        }
        let nominated = self.ledger.listings.len();
        self.summary
            .equal(&texts::CHECK_LISTED, &nominated, &listed);
        self.summary.count("listings", listed);
        Ok(())
    }

    fn officer(&self, dept: Dept, role: usize) -> &Client {
        &self.cast.desk(dept).officers[role]
    }

    async fn nominate(&mut self, at: usize) -> Result<(), DemoError> {
        let listing = &self.ledger.listings[at];
        let request = self.nomination(listing);
        let client = self.officer(listing.initiator, NOMINATES);
        let answer = client
            .lists()
            .nominate(request)
            .await
            .during("nominate")?
            .into_inner();
        let recorded = answer.receipt.and_then(|receipt| receipt.recorded_at);
        let recorded = recorded
            .as_ref()
            .and_then(from_proto_time)
            .during("nominate")?;
        self.ledger.nominated_at.get_or_insert(recorded);
        self.ledger.listings[at].entry_id = answer.entry_id;
        Ok(())
    }

    fn nomination(&self, listing: &Listing) -> NominateRequest {
        let ground = self.plan.grounds[listing.index];
        let basis = self
            .world
            .pack
            .list_type(&listing.list_type)
            .map(|list| &list.legal_basis);
        NominateRequest {
            command_id: command_id(),
            subject: listing.subject.clone(),
            list_type: listing.list_type.clone(),
            ground_record_id: self.ledger.record_ids[listing.initiator.index()][ground].clone(),
            criterion: if listing.red {
                "the best level in the last year".to_owned()
            } else {
                "the finding has become final".to_owned()
            },
            legal_basis: basis.map(|basis| LegalBasisRef {
                id: basis.id.clone(),
                version: basis.version,
            }),
            term_from: listing.term_from.to_string(),
            term_until: listing
                .term_until
                .map(|day| day.to_string())
                .unwrap_or_default(),
        }
    }

    async fn notify(&mut self, at: usize) -> Result<(), DemoError> {
        let listing = &self.ledger.listings[at];
        let request = NotifyRequest {
            command_id: command_id(),
            entry_id: listing.entry_id.clone(),
            served_on: self.today.to_string(),
            proof_of_service: Some(document(format!("示送〔2026〕{at}号"))),
        };
        let client = self.officer(listing.initiator, NOMINATES);
        let answer = client
            .lists()
            .notify(request)
            .await
            .during("notify")?
            .into_inner();
        if at == self.ledger.special.short {
            let list = self.world.pack.list_type(&listing.list_type);
            let days = list.map_or(0, |list| list.representation_working_days);
            let until = self.world.working_days.after(self.today, days).date;
            let found = answer.representation_until;
            self.summary
                .equal(&texts::CHECK_REPRESENTATION, &until, &found);
        }
        Ok(())
    }

    async fn represent(&mut self, at: usize) -> Result<(), DemoError> {
        let listing = &self.ledger.listings[at];
        let document = match listing.answer {
            Answer::None => return Ok(()),
            Answer::Waived => None,
            Answer::Document => Some(document(format!("陈述〔2026〕{at}号"))),
        };
        let request = RepresentRequest {
            command_id: command_id(),
            entry_id: listing.entry_id.clone(),
            waived: document.is_none(),
            document,
        };
        let client = self.officer(listing.initiator, NOMINATES);
        client
            .lists()
            .represent(request)
            .await
            .during("record a representation")?;
        Ok(())
    }

    async fn list_where(&mut self, wanted: fn(&Listing) -> bool) -> Result<(), DemoError> {
        let mut listed = 0;
        for at in 0..self.ledger.listings.len() {
            let listing = &self.ledger.listings[at];
            if !wanted(listing) {
                continue;
            }
            let client = self.officer(listing.initiator, LISTS);
            client
                .lists()
                .list(decision_to_list(listing))
                .await
                .during("list")?;
            self.ledger.listings[at].standing = Standing::Listed;
            listed += 1;
        }
        self.summary
            .line(&texts::LISTED_ON.with(&[&listed, &self.today]));
        self.quiet().await
    }

    /// Only an initiator may nominate.
    async fn try_without_competence(&mut self) -> Result<(), DemoError> {
        let wrong = &self.ledger.listings[self.ledger.special.wrong];
        let list = self.world.pack.list_type(&wrong.list_type);
        let able = |dept: &Dept| {
            let id = self.world.id(*dept);
            list.is_some_and(|list| list.initiators.contains(id))
        };
        let other = self.world.depts().find(|dept| !able(dept));
        let client = self.officer(other.during("find who may not list")?, NOMINATES);
        let answer = client.lists().nominate(self.nomination(wrong)).await;
        self.summary
            .refused(&texts::CHECK_NO_COMPETENCE, refusal(answer));
        Ok(())
    }

    /// One officer cannot do both, and nobody lists before the subject had its say.
    async fn try_alone_and_too_early(&mut self) -> Result<(), DemoError> {
        let answered = self
            .ledger
            .listings
            .iter()
            .find(|l| !l.red && l.answer == Answer::Waived);
        let answered = answered.during("find a subject that waived")?;
        let client = self.officer(answered.initiator, NOMINATES);
        let alone = refusal(client.lists().list(decision_to_list(answered)).await);
        let waiting = self
            .ledger
            .listings
            .iter()
            .find(|l| !l.red && l.answer == Answer::None);
        let waiting = waiting.during("find a subject that has not answered")?;
        let client = self.officer(waiting.initiator, LISTS);
        let too_early = refusal(client.lists().list(decision_to_list(waiting)).await);
        self.summary.refused(&texts::CHECK_ALONE, alone);
        self.summary.refused(&texts::CHECK_TOO_EARLY, too_early);
        Ok(())
    }
}

fn decision_to_list(listing: &Listing) -> ListRequest {
    ListRequest {
        command_id: command_id(),
        entry_id: listing.entry_id.clone(),
        decision: Some(document(format!("示列〔2026〕{}号", listing.index))),
    }
}
