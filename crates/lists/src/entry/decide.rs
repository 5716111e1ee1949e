//! The decisions: what may follow on what, and by whom.

use jiff::Timestamp;
use tally_domain::calendar::Deadline;
use tally_domain::date::LegalDate;
use tally_domain::policy::ListPolarity;

use super::{
    Command, Decision, Entry, Event, Fact, Listing, ListingCheck, Nomination, Notice, Officer,
    Rejection, State, right,
};

pub(super) fn decide(entry: &Entry, command: &Command) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Nominate(nominate) => {
            entry.must_be(&[State::Absent], "new")?;
            let nomination = nominate.judge()?;
            let fact = Fact::Nominated(nomination);
            Ok(vec![Event {
                at: nominate.at,
                basis: nominate.basis.clone(),
                fact,
            }])
        }
        Command::Notify {
            by,
            polarity,
            notice,
            today,
            at,
        } => entry.notify(by, *polarity, notice, *today, *at),
        Command::Represent { by, document, at } => {
            entry.of_initiator(by, right::REPRESENT)?;
            entry.must_be(&[State::Notified], "notified")?;
            entry.event(
                *at,
                Fact::Represented {
                    document: document.clone(),
                },
            )
        }
        Command::List {
            by,
            decision,
            check,
            today,
            at,
        } => {
            let nomination = entry.listable(by, check, *today)?;
            let listing = Listing {
                by: by.clone(),
                list_type: nomination.list_type.clone(),
                term: nomination.term,
                ground_record_id: nomination.ground_record_id.clone(),
                decision: decision.clone(),
            };
            entry.event((*at).min(check.term_starts_at), Fact::Listed(listing))
        }
        Command::Drop { by, reason, at } => {
            entry.of_initiator(by, right::DROP)?;
            let open = [State::Nominated, State::Notified, State::Represented];
            entry.must_be(&open, "nominated and not yet listed")?;
            entry.event(
                *at,
                Fact::Dropped {
                    reason: reason.clone(),
                },
            )
        }
        Command::AcceptObjection {
            by,
            province_level,
            objection,
            at,
        } => {
            entry.may_accept_objection(by, *province_level)?;
            entry.must_be(&[State::Listed], "listed")?;
            entry.event(
                *at,
                Fact::Suspended {
                    by: by.clone(),
                    objection: objection.clone(),
                },
            )
        }
        Command::Uphold {
            by,
            polarity,
            decision,
            at,
        } => {
            entry.may_decide_objection(by, right::UPHOLD)?;
            if *polarity == ListPolarity::Black {
                entry.has_not_accepted_objection(by)?;
            }
            entry.event(*at, Fact::Upheld(decision.clone()))
        }
        Command::CorrectOut {
            by,
            polarity,
            decision,
        } => {
            if entry.state == State::Expired && entry.objection_open {
                // The term ran out while the objection was being verified; what
                // was wrong from its first day is still put right.
                entry.of_initiator(by, right::CORRECT_OUT)?;
                entry.has_not_decided(by)?;
            } else {
                entry.may_decide_objection(by, right::CORRECT_OUT)?;
            }
            if *polarity == ListPolarity::Red {
                entry.has_not_accepted_objection(by)?;
            }
            // It never rightfully held, so it ends in law where it began.
            let at = entry.listed_from.ok_or(Rejection::Unknown)?;
            entry.event(at, Fact::CorrectedOut(decision.clone()))
        }
        Command::RequestRemoval {
            by,
            polarity,
            request,
            at,
        } => entry.request_removal(by, *polarity, request, *at),
        Command::Remove {
            by,
            polarity,
            decision,
            at,
        } => entry.remove(by, *polarity, decision, *at),
        Command::Expire { today, at } => entry.expire(*today, *at),
        Command::FixDeadline { deadline, at } => entry.fix_deadline(*deadline, *at),
        Command::WithdrawGround { record_id, at } => entry.withdraw_ground(record_id, *at),
        Command::ProposeRemoval {
            record_id,
            record_type,
            at,
        } => {
            if !entry.state.is_live() || entry.removal_proposed_by.contains(record_id) {
                return Ok(Vec::new());
            }
            let (record_id, record_type) = (record_id.clone(), record_type.clone());
            entry.event(
                *at,
                Fact::RemovalProposed {
                    record_id,
                    record_type,
                },
            )
        }
    }
}

impl Entry {
    fn event(&self, at: Timestamp, fact: Fact) -> Result<Vec<Event>, Rejection> {
        let basis = self.basis.clone().ok_or(Rejection::Unknown)?;
        Ok(vec![Event { at, basis, fact }])
    }

    fn nomination(&self) -> Result<&Nomination, Rejection> {
        self.nomination.as_ref().ok_or(Rejection::Unknown)
    }

    fn must_be(&self, allowed: &[State], needed: &'static str) -> Result<(), Rejection> {
        if allowed.contains(&self.state) {
            return Ok(());
        }
        Err(Rejection::State {
            state: self.state,
            needed,
        })
    }

    fn of_initiator(&self, by: &Officer, right: &'static str) -> Result<&Nomination, Rejection> {
        let nomination = self.nomination()?;
        if nomination.by.department == by.department {
            return Ok(nomination);
        }
        Err(Rejection::OtherDepartment { right })
    }

    /// Whoever nominated or listed never decides on an objection to it.
    fn has_not_decided(&self, by: &Officer) -> Result<(), Rejection> {
        let nominated = self.nomination()?.by == *by;
        if nominated || self.listed_by.as_ref() == Some(by) {
            return Err(Rejection::OtherOfficerRequired);
        }
        Ok(())
    }

    /// An objection is decided to the subject's cost by another officer than the
    /// one who accepted it: on a black list where the listing is upheld and may
    /// be applied again, on a red one where the honour is corrected out. The
    /// first officer let the objection in, a second one disposes of it. To the
    /// subject's good one officer suffices, as for any removal from a black list.
    fn has_not_accepted_objection(&self, by: &Officer) -> Result<(), Rejection> {
        if self.objection_accepted_by.as_ref() == Some(by) {
            return Err(Rejection::SecondOfficerForObjection);
        }
        Ok(())
    }

    fn notify(
        &self,
        by: &Officer,
        polarity: ListPolarity,
        notice: &Notice,
        today: LegalDate,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        self.of_initiator(by, right::NOTIFY)?;
        if polarity == ListPolarity::Red {
            return Err(Rejection::NoticeNotNeeded);
        }
        self.must_be(&[State::Nominated], "nominated and not yet notified")?;
        if notice.served_on > today {
            return Err(Rejection::ServedInFuture);
        }
        self.event(at, Fact::Notified(notice.clone()))
    }

    fn listable(
        &self,
        by: &Officer,
        check: &ListingCheck,
        today: LegalDate,
    ) -> Result<&Nomination, Rejection> {
        let nomination = self.of_initiator(by, right::LIST)?;
        if nomination.by.id == by.id {
            return Err(Rejection::SecondOfficerRequired);
        }
        match check.polarity {
            ListPolarity::Red => self.must_be(&[State::Nominated], "nominated")?,
            ListPolarity::Black => {
                self.must_be(
                    &[State::Notified, State::Represented],
                    "notified or represented",
                )?;
                self.representation_is_closed(check, today)?;
            }
        }
        if !check.list_type_open {
            return Err(Rejection::ListTypeNotInForce);
        }
        check.basis.clone().map_err(Rejection::Basis)?;
        if check.ground_withdrawn || self.ground_withdrawn {
            return Err(Rejection::GroundWithdrawn);
        }
        Ok(nomination)
    }

    fn representation_is_closed(
        &self,
        check: &ListingCheck,
        today: LegalDate,
    ) -> Result<(), Rejection> {
        if self.state == State::Represented {
            return Ok(());
        }
        let notice = self.notice.as_ref().ok_or(Rejection::Unknown)?;
        let until = match check.representation_until {
            Some(fixed_again) if notice.provisional => fixed_again.max(notice.representation_until),
            _ => notice.representation_until,
        };
        if today <= until {
            return Err(Rejection::RepresentationOpen { until });
        }
        Ok(())
    }

    /// An objection is checked for form only and suspends at once, so the
    /// subject may hand it to the initiating department or go past it to any
    /// department of province level; in either, to an officer who has not
    /// decided on the entry. (No source document says more than "the platform
    /// accepts"; here only officers decide.)
    fn may_accept_objection(&self, by: &Officer, province_level: bool) -> Result<(), Rejection> {
        let initiating = self.nomination()?.by.department == by.department;
        if !initiating && !province_level {
            return Err(Rejection::NotCompetentForObjection);
        }
        self.has_not_decided(by)
    }

    fn may_decide_objection(&self, by: &Officer, right: &'static str) -> Result<(), Rejection> {
        self.of_initiator(by, right)?;
        self.has_not_decided(by)?;
        self.must_be(&[State::Suspended], "suspended")
    }

    fn removable(&self, by: &Officer, right: &'static str) -> Result<(), Rejection> {
        self.of_initiator(by, right)?;
        if self.state == State::Suspended {
            return Err(Rejection::Suspended);
        }
        self.must_be(&[State::Listed], "listed")
    }

    fn request_removal(
        &self,
        by: &Officer,
        polarity: ListPolarity,
        request: &Decision,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        self.removable(by, right::REQUEST_REMOVAL)?;
        if polarity == ListPolarity::Black {
            return Err(Rejection::RequestNotNeeded);
        }
        if self.removal_requested_by.is_some() {
            return Ok(Vec::new());
        }
        let (by, request) = (by.clone(), request.clone());
        self.event(at, Fact::RemovalRequested { by, request })
    }

    /// Taking off a red entry takes something from the subject: one officer
    /// asks, a second one decides. Taking off a black one does not.
    fn remove(
        &self,
        by: &Officer,
        polarity: ListPolarity,
        decision: &Decision,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        self.removable(by, right::REMOVE)?;
        match (polarity, &self.removal_requested_by) {
            (ListPolarity::Black, _) => {}
            (ListPolarity::Red, None) => return Err(Rejection::RemovalNotRequested),
            (ListPolarity::Red, Some(first)) if first == by => {
                return Err(Rejection::SecondOfficerForRemoval);
            }
            (ListPolarity::Red, Some(_)) => {}
        }
        self.event(at, Fact::Removed(decision.clone()))
    }

    /// Also ends a suspended entry: a term that went on after the suspension
    /// would be a clock that ran to the subject's cost.
    fn expire(&self, today: LegalDate, at: Timestamp) -> Result<Vec<Event>, Rejection> {
        let term = self.nomination()?.term;
        match term.until {
            Some(term_until) if self.state.is_live() && term.ended(today) => {
                self.event(at, Fact::Expired { term_until })
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The subject was told a day, so that a notice may give it more time and
    /// never less.
    fn fix_deadline(&self, deadline: Deadline, at: Timestamp) -> Result<Vec<Event>, Rejection> {
        let notice = match &self.notice {
            Some(notice) if notice.provisional && self.state == State::Notified => notice,
            _ => return Ok(Vec::new()),
        };
        let representation_until = deadline.date.max(notice.representation_until);
        if deadline.provisional && representation_until == notice.representation_until {
            return Ok(Vec::new());
        }
        let fact = Fact::DeadlineFixed {
            representation_until,
            provisional: deadline.provisional,
        };
        self.event(at, fact)
    }

    /// Proposes only: an officer drops, removes or corrects out.
    fn withdraw_ground(&self, record_id: &str, at: Timestamp) -> Result<Vec<Event>, Rejection> {
        let rests_on_it = self
            .nomination
            .as_ref()
            .is_some_and(|nomination| nomination.ground_record_id == record_id);
        let stands = self.state.is_open() || self.state.is_live();
        if !rests_on_it || !stands || self.ground_withdrawn {
            return Ok(Vec::new());
        }
        let record_id = record_id.to_owned();
        self.event(at, Fact::GroundWithdrawn { record_id })
    }
}
