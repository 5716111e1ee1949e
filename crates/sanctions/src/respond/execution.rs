//! That a directive was executed, checked against what `lists` holds.

use std::time::Duration;

use prost::Message as _;
use tally_domain::date::LegalDate;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::Pack;
use tally_eventlog::append::Guard;
use tally_eventlog::event::StreamName;
use tally_eventlog::execute::{ExecuteError, TRIES_MAX};
use tally_eventlog::pb::Receipt;
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::wiring::CATCH_UP_WAIT;
use tally_service::{digest, execute_fault, logs, store_fault};

use super::parts::{complete, subject_of, uuid};
use super::{Relied, Responder, kind};
use crate::basis::ListsBasis;
use crate::consumer;
use crate::directive::{Command, Competence, Directive, Rejection};
use crate::engine::{CHECK_CATEGORY, check_stream};
use crate::known::Standing;
use crate::projection::subject_row;

/// When a caller is told to try again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

impl Responder<'_> {
    /// The department has executed it: compare-and-set on what is known of the
    /// entry, so that a suspended entry cannot be applied.
    ///
    /// # Errors
    ///
    /// Every fault of the request, or the refusal.
    pub async fn executed(&self, request: &pb::ExecuteRequest) -> Result<Receipt, Fault> {
        let today = self.policy.today(self.deps.clock.now());
        let mut faults = Faults::default();
        let scoped = self.scoped(&mut faults, &request.command_id, &request.directive_id);
        let decision = faults.document("decision", request.decision.as_ref());
        let executed_on = faults.date("executed_on", &request.executed_on);
        if executed_on.is_some_and(|on| on > today) {
            faults.add(
                "executed_on",
                "DATE_IN_FUTURE",
                format!("today is {today}; report it when it is done"),
            );
        }
        let check_id = match request.check_id.as_str() {
            "" => Some(String::new()),
            id => uuid(&mut faults, "check_id", id),
        };
        let parts = scoped.zip(decision).zip(executed_on).zip(check_id);
        let (((scoped, decision), executed_on), check_id) = complete(parts, faults)?;
        if !check_id.is_empty() {
            self.verify_check(&check_id).await?;
        }
        let loaded = self.load(&scoped.directive_id).await?;
        for _ in 0..TRIES_MAX {
            let (entry, lists_basis, relied) = self.entry_today(&loaded).await?;
            let command = Command::Execute {
                department: self.department.to_string(),
                decision: decision.clone(),
                executed_on,
                check_id: check_id.clone(),
                lists_basis,
                entry,
                competence: self.competence(&loaded, executed_on)?,
                at: self.policy.start_of(executed_on),
            };
            let digest = digest(kind::EXECUTE, request);
            match self
                .execute_loaded(&loaded, &scoped, digest, command, relied)
                .await
            {
                // Lists, or the reader of it, moved on between the look and the
                // append: look again.
                Err(ExecuteError::Outdated) => {}
                result => return result.map_err(|error| execute_fault(error, Fault::from)),
            }
        }
        Err(execute_fault(
            ExecuteError::<Rejection>::Outdated,
            Fault::from,
        ))
    }

    /// How the entry stands by all that `lists` holds now, and what makes sure
    /// that it still is so when the execution commits.
    ///
    /// The owner of `lists` says how much there is. Where its log is in the same
    /// store, the execution commits only if nothing has come to it since; where
    /// it is not, what comes between this question and the commit is found by
    /// the reconciler.
    async fn entry_today(
        &self,
        directive: &Directive,
    ) -> Result<(Standing, ListsBasis, Relied), Fault> {
        let (made, _) = directive.made.as_ref().ok_or(Rejection::Unknown)?;
        let subject = subject_of(directive)?;
        let shard = self.deps.store.shards().of(&made.subject);
        let sources = &self.deps.sources;
        let history = sources.of(logs::LISTS).history(logs::LISTS).await;
        let history = history.map_err(|_| behind())?;
        let size = history.size(shard);
        if !self.lists.wait_for(shard, size, CATCH_UP_WAIT).await {
            return Err(behind());
        }
        // The position comes before the row: a row may be newer, which the guard
        // finds, but never older.
        let (basis, parked) = self.lists.with(shard, |reader| {
            let parked = reader.parked.contains_key(&made.subject);
            (ListsBasis::of(reader), parked)
        });
        if parked {
            return Err(behind());
        }
        // A reader that goes by what a restored log no longer has counts further.
        if !history.is_read_by(shard, basis.log_id, basis.records) {
            return Err(behind());
        }
        let row = self
            .deps
            .store
            .rows(&[subject_row(shard, &made.subject)])
            .await
            .map_err(store_fault)?;
        let row = row
            .into_iter()
            .next()
            .flatten()
            .map(pb::SubjectRow::decode)
            .transpose();
        let row = row.map_err(Fault::internal)?.unwrap_or_default();
        let today = self.policy.today(self.deps.clock.now());
        let entry = row
            .entries
            .iter()
            .find(|entry| entry.entry_id == made.entry_id);
        let standing = entry.map_or(Standing::Unknown, |entry| {
            Standing::of(entry, &self.policy.pack, today, subject.subject_type())
        });
        let guard = Guard {
            consumer: consumer::LISTS,
            shard,
            next: basis.records,
        };
        let head = sources.head_guard(logs::LISTS, shard, basis.records);
        let relied = Relied {
            guards: vec![guard],
            heads: head.into_iter().collect(),
        };
        Ok((standing, basis, relied))
    }

    /// Whether the department may apply the measure: its basis must be in force
    /// today, when it is recorded, and on the day on which it was applied.
    fn competence(
        &self,
        directive: &Directive,
        executed_on: LegalDate,
    ) -> Result<Competence, Fault> {
        let (made, _) = directive.made.as_ref().ok_or(Rejection::Unknown)?;
        let pack: &Pack = &self.policy.pack;
        if !pack
            .department(&self.department)
            .is_some_and(|found| found.has_power(&made.measure))
        {
            return Ok(Competence::PowerMissing);
        }
        let basis = made.legal_basis.clone().unwrap_or_default();
        let basis = LegalBasisRef::new(basis.id, basis.version);
        let today = self.policy.today(self.deps.clock.now());
        let subject_type = subject_of(directive)?.subject_type();
        for day in [today, executed_on] {
            if let Err(fault) = pack.in_force(&basis, day, &self.department, subject_type) {
                return Ok(Competence::BasisMissing(fault.to_string()));
            }
        }
        Ok(Competence::Held)
    }

    async fn verify_check(&self, check_id: &str) -> Result<(), Fault> {
        let stream = check_stream(self.department.as_str(), check_id).to_string();
        let stream = StreamName::new(CHECK_CATEGORY, stream);
        let found = self
            .deps
            .store
            .read_streams(logs::SANCTIONS_ACCESS, &[stream])
            .await
            .map_err(store_fault)?;
        if found.iter().all(Vec::is_empty) {
            let mut faults = Faults::default();
            faults.add(
                "check_id",
                "CHECK_UNKNOWN",
                "this department asked no check with that id; leave it out or name one",
            );
            return Err(Fault::invalid(faults.into_vec()));
        }
        Ok(())
    }
}

fn behind() -> Fault {
    Fault::unavailable(
        "LISTS_BEHIND",
        "what is known of the lists is not current, so nothing may be applied; retry with the same command id",
        RETRY_AFTER,
    )
}
