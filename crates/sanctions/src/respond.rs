//! What responding departments say about their directives.

mod execution;
mod parts;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tally_auth::Caller;
use tally_domain::department::DepartmentId;
use tally_eventlog::append::{Appended, Guard, HeadGuard};
use tally_eventlog::consumer::Progress;
use tally_eventlog::execute::{ExecuteError, Task};
use tally_eventlog::pb::Receipt;
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::{CommandScope, Deps, Policy, digest, execute_fault, logs, receipt};

use parts::{complete, subject_of};
pub use parts::{load, seen_by, uuid};

use crate::directive::{Command, Directive, Rejection};

const GROUNDS_CHARS_MAX: usize = 2_000;

/// Kinds of commands, as their digests name them.
pub mod kind {
    /// The department has it.
    pub const ACKNOWLEDGE: &str = "sanctions.acknowledge";
    /// The department begins.
    pub const START: &str = "sanctions.start";
    /// The department has executed it.
    pub const EXECUTE: &str = "sanctions.execute";
    /// The department declines.
    pub const DECLINE: &str = "sanctions.decline";
    /// The department no longer applies it.
    pub const CONFIRM_LIFT: &str = "sanctions.confirm_lift";
}

/// Who responds, by which policy.
pub struct Responder<'a> {
    /// What the service has.
    pub deps: &'a Deps,
    /// The reader of lists.
    pub lists: &'a Progress,
    /// The caller.
    pub caller: &'a Caller,
    /// Its department.
    pub department: DepartmentId,
    /// The active policy.
    pub policy: Arc<Policy>,
}

/// What a decision relied on, and must still hold when it commits.
#[derive(Default)]
struct Relied {
    guards: Vec<Guard>,
    heads: Vec<HeadGuard>,
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
        self.execute(scoped, kind::ACKNOWLEDGE, request, command)
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
        self.execute(scoped, kind::START, request, command).await
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
                    .in_force(basis, today, &self.department, subject.subject_type());
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
            digest(kind::DECLINE, request),
            command,
            Relied::default(),
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
        self.execute(scoped, kind::CONFIRM_LIFT, request, command)
            .await
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
        let directive = load(self.deps, directive_id).await?;
        let (made, _) = directive.made.as_ref().ok_or(Rejection::Unknown)?;
        seen_by(made, &self.department)?;
        Ok(directive)
    }

    async fn execute(
        &self,
        scoped: Scoped,
        kind: &str,
        content: &impl Message,
        command: Command,
    ) -> Result<Receipt, Fault> {
        let loaded = self.load(&scoped.directive_id).await?;
        let digest = digest(kind, content);
        self.execute_loaded(&loaded, &scoped, digest, command, Relied::default())
            .await
            .map_err(|error| execute_fault(error, Fault::from))
    }

    async fn execute_loaded(
        &self,
        loaded: &Directive,
        scoped: &Scoped,
        digest: tally_eventlog::merkle::Hash,
        command: Command,
        relied: Relied,
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
            guards: relied.guards,
        };
        let executor = &self.deps.executor;
        let appended: Appended = executor
            .execute_at(logs::SANCTIONS, task, relied.heads)
            .await?;
        Ok(receipt(&appended))
    }
}
