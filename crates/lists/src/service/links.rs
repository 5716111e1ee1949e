//! Links between identifiers.

use bytes::Bytes;
use prost::Message;
use tally_auth::Caller;
use tally_domain::department::DepartmentId;
use tally_domain::policy::{Level, ListType, Pack};
use tally_domain::subject::SubjectType;
use tally_eventlog::append::Appended;
use tally_eventlog::consumer::{Poison, ReactError};
use tally_eventlog::event::Recorded;
use tally_eventlog::execute::Task;
use tally_eventlog::ids::Cause;
use tally_proto::tally::lists::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::subject;
use tally_service::{CommandScope, Policy, digest, execute_fault, receipt};
use tonic::{Request, Response};

use super::Lists;
use super::case::{free_text, officer_of};
use crate::SELF;
use crate::entry::Officer;
use crate::link::{Command, Link, Pair};
use crate::process::mirror;

/// What digests of the two calls are of, so that neither repeats the other.
const LINK: &str = "lists.link";
const UNLINK: &str = "lists.unlink";

impl Lists {
    pub(super) async fn do_link(
        &self,
        request: Request<pb::LinkIdentifiersRequest>,
    ) -> Result<Response<pb::LinkIdentifiersResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(LINK, &officer, &request.command_id, &request);
        let outcome = self.link(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        // The same pair in every repeat: its digest is the same.
        let subjects = (&request.subject, &request.linked_subject);
        let pair = pair(&mut Faults::default(), subjects.0, subjects.1);
        Ok(Response::new(pb::LinkIdentifiersResponse {
            link_id: pair.map(|pair| pair.id().to_string()).unwrap_or_default(),
            receipt: Some(receipt(&appended)),
        }))
    }

    async fn link(
        &self,
        (caller, by): (Caller, Officer),
        request: &pb::LinkIdentifiersRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let scope = self.scope(&mut faults, &caller, &request.command_id);
        let pair = pair(&mut faults, &request.subject, &request.linked_subject);
        let evidence = faults.document("evidence", request.evidence.as_ref());
        let basis = faults.legal_basis("legal_basis", request.legal_basis.as_ref());
        let (true, Some(scope), Some(pair), Some(evidence), Some(basis)) =
            (faults.is_empty(), scope, pair, evidence, basis)
        else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        let policy = self.deps.catalogue.active()?;
        let now = self.deps.clock.now();
        let command = Command::Link {
            competent: may_link(&policy.pack, &by.department),
            basis_verdict: policy.pack.in_force(
                &basis,
                policy.today(now),
                &by.department,
                SubjectType::Organisation,
            ),
            basis,
            by,
            linked_subject: pair.second.clone(),
            evidence,
            at: now,
        };
        self.execute_link(LINK, request, &scope, &policy, &pair, command)
            .await
    }

    pub(super) async fn do_unlink(
        &self,
        request: Request<pb::UnlinkIdentifiersRequest>,
    ) -> Result<Response<pb::UnlinkIdentifiersResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(UNLINK, &officer, &request.command_id, &request);
        let outcome = self.unlink(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        Ok(Response::new(pb::UnlinkIdentifiersResponse {
            receipt: Some(receipt(&appended)),
        }))
    }

    async fn unlink(
        &self,
        (caller, by): (Caller, Officer),
        request: &pb::UnlinkIdentifiersRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let scope = self.scope(&mut faults, &caller, &request.command_id);
        let pair = pair(&mut faults, &request.subject, &request.linked_subject);
        let reason = free_text(&mut faults, "reason", &request.reason);
        let (true, Some(scope), Some(pair), Some(reason)) =
            (faults.is_empty(), scope, pair, reason)
        else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        let policy = self.deps.catalogue.active()?;
        let department = policy.pack.department(&by.department);
        let command = Command::Unlink {
            province_level: department
                .is_some_and(|department| department.level == Level::Province),
            by,
            linked_subject: pair.second.clone(),
            reason,
            at: self.deps.clock.now(),
        };
        self.execute_link(UNLINK, request, &scope, &policy, &pair, command)
            .await
    }

    fn scope(
        &self,
        faults: &mut Faults,
        caller: &Caller,
        command_id: &str,
    ) -> Option<CommandScope> {
        faults.keep(CommandScope::new(caller, command_id, &*self.deps.clock))
    }

    /// Decides on the first identifier's stream, then mirrors it on the second's.
    async fn execute_link(
        &self,
        kind: &str,
        request: &impl Message,
        scope: &CommandScope,
        policy: &Policy,
        pair: &Pair,
        command: Command,
    ) -> Result<Appended, Fault> {
        let task = Task::<Link> {
            stream_id: pair.id().to_string(),
            subject: pair.first.clone(),
            command,
            key: scope.key(digest(kind, request)),
            context: scope.context(policy.version()),
            note: Bytes::new(),
            fresh: false,
            guards: Vec::new(),
        };
        let appended = self.deps.executor.execute(self.deps.log, task).await;
        let appended = appended.map_err(|error| execute_fault(error, Fault::from))?;
        if let Err(error) = self.mirror(&appended).await {
            // What was decided stands; the process manager mirrors it later.
            tracing::warn!(error = %error, "link is not mirrored yet");
        }
        Ok(appended)
    }

    /// The same effect, under the same id, that the process manager draws from
    /// the record; here already, so that the caller finds it at once.
    async fn mirror(&self, appended: &Appended) -> Result<(), ReactError> {
        let Some(last) = appended.last else {
            return Ok(());
        };
        let log = self.deps.log;
        let stored = self
            .deps
            .store
            .read(log, appended.shard, last.position, 1)
            .await?;
        let Some(stored) = stored.first() else {
            return Ok(());
        };
        let event = Recorded::decode(log, stored).map_err(Poison::from)?;
        let cause = Cause {
            at: event.recorded_at,
            log,
            shard: event.shard,
            position: event.position,
            handler: SELF,
        };
        mirror(&self.deps, &event, cause).await
    }
}

/// A link makes a listing reach another identifier, so it is stated by a
/// department that lists, or by one of province level.
fn may_link(pack: &Pack, department: &DepartmentId) -> bool {
    let lists = |list_type: &ListType| list_type.initiators.contains(department);
    let known = pack.department(department);
    known.is_some_and(|known| known.level == Level::Province || pack.list_types.values().any(lists))
}

/// Two different organisations' identifiers.
fn pair(faults: &mut Faults, subject: &str, linked_subject: &str) -> Option<Pair> {
    let one = faults.keep(subject::organisation("subject", subject));
    let other = faults.keep(subject::organisation("linked_subject", linked_subject));
    let pair = Pair::of(&one?, &other?);
    if pair.is_none() {
        faults.add(
            "linked_subject",
            "SAME_SUBJECT",
            "the two identifiers are the same; name two",
        );
    }
    pair
}
