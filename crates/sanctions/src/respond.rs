//! What responding departments say about their directives.

mod parts;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message;
use tally_auth::Caller;
use tally_domain::department::DepartmentId;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::Pack;
use tally_eventlog::append::{Appended, Guard};
use tally_eventlog::consumer::Progress;
use tally_eventlog::event::StreamName;
use tally_eventlog::execute::{ExecuteError, TRIES_MAX, Task};
use tally_eventlog::pb::Receipt;
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::{
    CommandScope, Deps, Policy, digest, execute_fault, logs, receipt, store_fault,
};

use parts::{complete, subject_of};
pub use parts::{load, uuid};

use crate::consumer;
use crate::directive::{Command, Competence, Directive, Rejection};
use crate::engine::{CHECK_CATEGORY, check_stream};
use crate::known::Standing;
use crate::projection::subject_row;

const GROUNDS_CHARS_MAX: usize = 2_000;

/// When a caller is told to try again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Who responds, by which policy.
pub struct Responder<'a> {
    /// What the service has.
    pub deps: &'a Deps,
    /// The reader of lists.
    pub lists: &'a Progress,
    /// The caller.
    pub caller: &'a Caller,
    /// Its department.
    pub department: &'a DepartmentId,
    /// The active policy.
    pub policy: &'a Arc<Policy>,
}

/// A command that was read, without what its directive adds.
struct Scoped {
    scope: CommandScope,
    directive_id: String,
}

impl Responder<'_> {
    /// The department has it.
    ///
    /// # Errors
    ///
    /// Every fault of the request, or the refusal.
    pub async fn acknowledge(&self, request: &pb::AcknowledgeRequest) -> Result<Receipt, Fault> {
        let mut faults = Faults::default();
        let scoped = self.scoped(&mut faults, &request.command_id, &request.directive_id);
        let scoped = complete(scoped, faults)?;
        let command = Command::Acknowledge {
            department: self.department.to_string(),
            at: self.deps.clock.now(),
        };
        self.execute(scoped, "sanctions.acknowledge", request, command)
            .await
    }

    /// The department begins.
    ///
    /// # Errors
    ///
    /// Every fault of the request, or the refusal.
    pub async fn start(&self, request: &pb::StartRequest) -> Result<Receipt, Fault> {
        let mut faults = Faults::default();
        let scoped = self.scoped(&mut faults, &request.command_id, &request.directive_id);
        let scoped = complete(scoped, faults)?;
        let command = Command::Start {
            department: self.department.to_string(),
            at: self.deps.clock.now(),
        };
        self.execute(scoped, "sanctions.start", request, command)
            .await
    }

    /// The department declines.
    ///
    /// # Errors
    ///
    /// Every fault of the request, or the refusal.
    pub async fn decline(&self, request: &pb::DeclineRequest) -> Result<Receipt, Fault> {
        let mut faults = Faults::default();
        let scoped = self.scoped(&mut faults, &request.command_id, &request.directive_id);
        let grounds = faults.text("grounds", &request.grounds, GROUNDS_CHARS_MAX);
        let given = request.legal_basis.as_ref();
        let basis = given.and_then(|basis| faults.legal_basis("legal_basis", Some(basis)));
        let (scoped, grounds) = complete(scoped.zip(grounds), faults)?;
        let loaded = self.load(&scoped.directive_id).await?;
        if let Some(basis) = &basis {
            let subject = subject_of(&loaded)?;
            let today = self.policy.today(self.deps.clock.now());
            let in_force =
                self.policy
                    .pack
                    .in_force(basis, today, self.department, subject.subject_type());
            if let Err(fault) = in_force {
                let mut faults = Faults::default();
                faults.add("legal_basis", "LEGAL_BASIS_NOT_IN_FORCE", fault.to_string());
                return Err(Fault::invalid(faults.into_vec()));
            }
        }
        let command = Command::Decline {
            department: self.department.to_string(),
            grounds,
            legal_basis: basis,
            at: self.deps.clock.now(),
        };
        self.execute_loaded(
            &loaded,
            &scoped,
            digest("sanctions.decline", request),
            command,
            Vec::new(),
        )
        .await
        .map_err(|error| execute_fault(error, Fault::from))
    }

    /// The department no longer applies it.
    ///
    /// # Errors
    ///
    /// Every fault of the request, or the refusal.
    pub async fn confirm_lift(&self, request: &pb::ConfirmLiftRequest) -> Result<Receipt, Fault> {
        let mut faults = Faults::default();
        let scoped = self.scoped(&mut faults, &request.command_id, &request.directive_id);
        let document = faults.document_or_none("document", request.document.as_ref());
        let scoped = complete(scoped, faults)?;
        let command = Command::ConfirmLift {
            department: self.department.to_string(),
            document,
            at: self.deps.clock.now(),
        };
        self.execute(scoped, "sanctions.confirm_lift", request, command)
            .await
    }

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
            let (entry, lists_basis, guard) = self.entry_today(&loaded).await?;
            let command = Command::Execute {
                department: self.department.to_string(),
                decision: decision.clone(),
                executed_on,
                check_id: check_id.clone(),
                lists_basis,
                entry,
                competence: self.competence(&loaded)?,
                at: self.policy.start_of(executed_on),
            };
            let digest = digest("sanctions.execute", request);
            match self
                .execute_loaded(&loaded, &scoped, digest, command, vec![guard])
                .await
            {
                // The reader moved on between the look and the append: look again.
                Err(ExecuteError::Outdated) => {}
                result => return result.map_err(|error| execute_fault(error, Fault::from)),
            }
        }
        Err(execute_fault(
            ExecuteError::<Rejection>::Outdated,
            Fault::from,
        ))
    }

    /// How the entry stands by all that `lists` holds now, and a guard that it
    /// still is so when the execution commits.
    async fn entry_today(&self, directive: &Directive) -> Result<(Standing, u64, Guard), Fault> {
        let (made, _) = directive.made.as_ref().ok_or(Rejection::Unknown)?;
        let subject = subject_of(directive)?;
        let shard = self.deps.store.shards().of(&made.subject);
        let current = self.deps.sources.caught_up(self.lists, shard).await;
        let (next, parked) = self.lists.with(shard, |reader| {
            (reader.next, reader.parked.contains_key(&made.subject))
        });
        if !current || parked {
            return Err(Fault::unavailable(
                "LISTS_BEHIND",
                "what is known of the lists is not current, so nothing may be applied; retry with the same command id",
                RETRY_AFTER,
            ));
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
        Ok((
            standing,
            next,
            Guard {
                consumer: consumer::LISTS,
                shard,
                next,
            },
        ))
    }

    fn competence(&self, directive: &Directive) -> Result<Competence, Fault> {
        let (made, _) = directive.made.as_ref().ok_or(Rejection::Unknown)?;
        let pack: &Pack = &self.policy.pack;
        if !pack
            .department(self.department)
            .is_some_and(|found| found.has_power(&made.measure))
        {
            return Ok(Competence::PowerMissing);
        }
        let basis = made.legal_basis.clone().unwrap_or_default();
        let basis = LegalBasisRef::new(basis.id, basis.version);
        let today = self.policy.today(self.deps.clock.now());
        let subject_type = subject_of(directive)?.subject_type();
        Ok(
            match pack.in_force(&basis, today, self.department, subject_type) {
                Ok(()) => Competence::Held,
                Err(fault) => Competence::BasisMissing(fault.to_string()),
            },
        )
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

    fn scoped(&self, faults: &mut Faults, command_id: &str, directive_id: &str) -> Option<Scoped> {
        let scope = faults.keep(CommandScope::new(
            self.caller,
            command_id,
            &*self.deps.clock,
        ));
        let directive_id = uuid(faults, "directive_id", directive_id);
        Some(Scoped {
            scope: scope?,
            directive_id: directive_id?,
        })
    }

    async fn load(&self, directive_id: &str) -> Result<Directive, Fault> {
        load(self.deps, directive_id).await
    }

    async fn execute(
        &self,
        scoped: Scoped,
        kind: &str,
        content: &impl Message,
        command: Command,
    ) -> Result<Receipt, Fault> {
        let loaded = self.load(&scoped.directive_id).await?;
        self.execute_loaded(&loaded, &scoped, digest(kind, content), command, Vec::new())
            .await
            .map_err(|error| execute_fault(error, Fault::from))
    }

    async fn execute_loaded(
        &self,
        loaded: &Directive,
        scoped: &Scoped,
        digest: tally_eventlog::merkle::Hash,
        command: Command,
        guards: Vec<Guard>,
    ) -> Result<Receipt, ExecuteError<Rejection>> {
        let (made, _) = loaded
            .made
            .as_ref()
            .ok_or(ExecuteError::Rejected(Rejection::Unknown))?;
        let task = Task::<Directive> {
            stream_id: scoped.directive_id.clone(),
            subject: made.subject.clone(),
            command,
            key: scoped.scope.key(digest),
            context: scoped.scope.context(self.policy.version()),
            note: Bytes::new(),
            fresh: false,
            guards,
        };
        let appended: Appended = self.deps.executor.execute(logs::SANCTIONS, task).await?;
        Ok(receipt(&appended))
    }
}
