//! The calls of sanctions: authorise, decode, execute, encode.

mod evidence;
mod stream;

use std::sync::Arc;

use futures::stream::BoxStream;
use prost::Message;
use tally_auth::Caller;
use tally_domain::department::DepartmentId;
use tally_eventlog::append::Appended;
use tally_eventlog::consumer::Progress;
use tally_eventlog::pb::Receipt;
use tally_proto::tally::sanctions::v1 as pb;
use tally_proto::tally::sanctions::v1::sanctions_service_server::SanctionsService;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::jws::Signer;
use tally_service::open_streams::OpenStreams;
use tally_service::repeat::or_first;
use tally_service::wiring::Readers;
use tally_service::{CommandScope, Deps, Policy, digest, logs, receipt};
use tonic::{Request, Response, Status, Streaming};

use crate::directive::Rejection;
use crate::engine::{CheckOptions, Engine};
use crate::mailbox::{self, Items};
use crate::respond::{self, Responder, kind};
use crate::token::Tokens;
use crate::{consumer, question};

type Answers = BoxStream<'static, Result<pb::CheckManyResponse, Status>>;

/// The service.
#[derive(Clone)]
pub struct Sanctions {
    deps: Deps,
    tokens: Arc<Tokens>,
    own: Arc<Progress>,
    /// How far the records are known that report decisions.
    records: Arc<Progress>,
    engine: Engine,
    subscriptions: OpenStreams,
    signer: Option<Arc<Signer>>,
}

impl Sanctions {
    pub(crate) fn new(
        deps: Deps,
        readers: &Readers,
        options: CheckOptions,
        subscriptions: OpenStreams,
        signer: Option<Arc<Signer>>,
    ) -> Self {
        let deps = deps.on(logs::SANCTIONS);
        let tokens = Arc::new(Tokens::new(readers.get(consumer::LISTS)));
        let engine = Engine::start(deps.clone(), tokens.clone(), options);
        Self {
            deps,
            tokens,
            own: readers.get(consumer::SELF),
            records: readers.get(consumer::COLLECTION),
            engine,
            subscriptions,
            signer,
        }
    }

    /// The caller's department, if the policy pack has it, and the policy.
    fn member(
        &self,
        caller: &Caller,
        right: &'static str,
    ) -> Result<(DepartmentId, Arc<Policy>), Fault> {
        let department = caller.department()?;
        let policy = self.deps.catalogue.active()?;
        if policy.pack.department(department).is_none() {
            return Err(Fault::permission(
                right,
                "the department is not in the policy pack, so it takes no part",
            ));
        }
        Ok((department.clone(), policy))
    }

    fn responder<'a>(
        &'a self,
        caller: &'a Caller,
        right: &'static str,
    ) -> Result<Responder<'a>, Fault> {
        let (department, policy) = self.member(caller, right)?;
        Ok(Responder {
            deps: &self.deps,
            lists: self.tokens.lists(),
            caller,
            department,
            policy,
        })
    }

    /// The outcome of a command, or its first result where it is a repeat that
    /// would be refused today.
    async fn or_first(
        &self,
        caller: &Caller,
        kind: &str,
        command_id: &str,
        request: &impl Message,
        outcome: Result<Receipt, Fault>,
    ) -> Result<Receipt, Fault> {
        if outcome.is_ok() {
            return outcome;
        }
        let scope = CommandScope::new(caller, command_id, &*self.deps.clock);
        let key = scope.ok().map(|scope| scope.key(digest(kind, request)));
        let first = |first: &Appended| Ok(receipt(first));
        or_first(&self.deps, logs::SANCTIONS, key, outcome, first).await
    }

    async fn do_subscribe(&self, request: Request<pb::SubscribeRequest>) -> Result<Items, Fault> {
        let caller = Caller::of(&request)?;
        let (department, _) = self.member(caller, "sanctions.subscribe")?;
        let seat = self.subscriptions.admit(caller)?;
        let items = mailbox::subscribe(
            &self.deps,
            self.own.clone(),
            department.to_string(),
            request.get_ref(),
        );
        Ok(seat.hold(items.await?))
    }

    async fn do_acknowledge(
        &self,
        request: Request<pb::AcknowledgeRequest>,
    ) -> Result<pb::AcknowledgeResponse, Fault> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let outcome = match self.responder(caller, "sanctions.respond") {
            Ok(responder) => responder.acknowledge(request).await,
            Err(fault) => Err(fault),
        };
        let receipt = self
            .or_first(
                caller,
                kind::ACKNOWLEDGE,
                &request.command_id,
                request,
                outcome,
            )
            .await?;
        Ok(pb::AcknowledgeResponse {
            receipt: Some(receipt),
        })
    }

    async fn do_start(
        &self,
        request: Request<pb::StartRequest>,
    ) -> Result<pb::StartResponse, Fault> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let outcome = match self.responder(caller, "sanctions.respond") {
            Ok(responder) => responder.start(request).await,
            Err(fault) => Err(fault),
        };
        let receipt = self
            .or_first(caller, kind::START, &request.command_id, request, outcome)
            .await?;
        Ok(pb::StartResponse {
            receipt: Some(receipt),
        })
    }

    async fn do_execute(
        &self,
        request: Request<pb::ExecuteRequest>,
    ) -> Result<pb::ExecuteResponse, Fault> {
        let caller = Caller::of(&request)?;
        caller.officer()?;
        let request = request.get_ref();
        let outcome = match self.responder(caller, "sanctions.execute") {
            Ok(responder) => responder.executed(request).await,
            Err(fault) => Err(fault),
        };
        let receipt = self
            .or_first(caller, kind::EXECUTE, &request.command_id, request, outcome)
            .await?;
        Ok(pb::ExecuteResponse {
            receipt: Some(receipt),
        })
    }

    async fn do_decline(
        &self,
        request: Request<pb::DeclineRequest>,
    ) -> Result<pb::DeclineResponse, Fault> {
        let caller = Caller::of(&request)?;
        caller.officer()?;
        let request = request.get_ref();
        let outcome = match self.responder(caller, "sanctions.execute") {
            Ok(responder) => responder.decline(request).await,
            Err(fault) => Err(fault),
        };
        let receipt = self
            .or_first(caller, kind::DECLINE, &request.command_id, request, outcome)
            .await?;
        Ok(pb::DeclineResponse {
            receipt: Some(receipt),
        })
    }

    async fn do_confirm_lift(
        &self,
        request: Request<pb::ConfirmLiftRequest>,
    ) -> Result<pb::ConfirmLiftResponse, Fault> {
        let caller = Caller::of(&request)?;
        let request = request.get_ref();
        let outcome = match self.responder(caller, "sanctions.respond") {
            Ok(responder) => responder.confirm_lift(request).await,
            Err(fault) => Err(fault),
        };
        let receipt = self
            .or_first(
                caller,
                kind::CONFIRM_LIFT,
                &request.command_id,
                request,
                outcome,
            )
            .await?;
        Ok(pb::ConfirmLiftResponse {
            receipt: Some(receipt),
        })
    }

    async fn do_get_directive(
        &self,
        request: Request<pb::GetDirectiveRequest>,
    ) -> Result<pb::GetDirectiveResponse, Fault> {
        let caller = Caller::of(&request)?;
        let mut faults = Faults::default();
        let id = respond::uuid(&mut faults, "directive_id", &request.get_ref().directive_id);
        let id = id.ok_or_else(|| Fault::invalid(faults.into_vec()))?;
        let directive = respond::load(&self.deps, &id)
            .await?
            .present()
            .ok_or(Rejection::Unknown)?;
        // Departments see what they initiated or have to answer, the operator all.
        if let Some(department) = &caller.department {
            respond::seen_by(&directive, department)?;
        }
        Ok(pb::GetDirectiveResponse {
            directive: Some(directive),
        })
    }

    async fn do_check(
        &self,
        request: Request<pb::CheckRequest>,
    ) -> Result<pb::CheckResponse, Fault> {
        let caller = Caller::of(&request)?;
        let (department, policy) = self.member(caller, "sanctions.check")?;
        let question = question::decode(
            &self.deps,
            &self.tokens,
            caller,
            &department,
            &policy,
            request.get_ref(),
        )
        .await?;
        let answer = self.engine.answer(vec![question]).await.pop();
        answer.unwrap_or_else(|| Err(Fault::internal("a question was not answered")))
    }
}

#[tonic::async_trait]
impl SanctionsService for Sanctions {
    type SubscribeStream = Items;
    type CheckManyStream = Answers;

    async fn subscribe(
        &self,
        request: Request<pb::SubscribeRequest>,
    ) -> Result<Response<Items>, Status> {
        Ok(Response::new(self.do_subscribe(request).await?))
    }

    async fn acknowledge(
        &self,
        request: Request<pb::AcknowledgeRequest>,
    ) -> Result<Response<pb::AcknowledgeResponse>, Status> {
        Ok(Response::new(self.do_acknowledge(request).await?))
    }

    async fn start(
        &self,
        request: Request<pb::StartRequest>,
    ) -> Result<Response<pb::StartResponse>, Status> {
        Ok(Response::new(self.do_start(request).await?))
    }

    async fn execute(
        &self,
        request: Request<pb::ExecuteRequest>,
    ) -> Result<Response<pb::ExecuteResponse>, Status> {
        Ok(Response::new(self.do_execute(request).await?))
    }

    async fn decline(
        &self,
        request: Request<pb::DeclineRequest>,
    ) -> Result<Response<pb::DeclineResponse>, Status> {
        Ok(Response::new(self.do_decline(request).await?))
    }

    async fn confirm_lift(
        &self,
        request: Request<pb::ConfirmLiftRequest>,
    ) -> Result<Response<pb::ConfirmLiftResponse>, Status> {
        Ok(Response::new(self.do_confirm_lift(request).await?))
    }

    async fn get_directive(
        &self,
        request: Request<pb::GetDirectiveRequest>,
    ) -> Result<Response<pb::GetDirectiveResponse>, Status> {
        Ok(Response::new(self.do_get_directive(request).await?))
    }

    async fn list_corrections(
        &self,
        request: Request<pb::ListCorrectionsRequest>,
    ) -> Result<Response<pb::ListCorrectionsResponse>, Status> {
        Ok(Response::new(self.do_list_corrections(request).await?))
    }

    async fn check(
        &self,
        request: Request<pb::CheckRequest>,
    ) -> Result<Response<pb::CheckResponse>, Status> {
        Ok(Response::new(self.do_check(request).await?))
    }

    async fn get_signed_receipt(
        &self,
        request: Request<pb::GetSignedReceiptRequest>,
    ) -> Result<Response<pb::GetSignedReceiptResponse>, Status> {
        Ok(Response::new(self.do_get_signed_receipt(request).await?))
    }

    async fn get_receipt_keys(
        &self,
        request: Request<pb::GetReceiptKeysRequest>,
    ) -> Result<Response<pb::GetReceiptKeysResponse>, Status> {
        Ok(Response::new(self.do_get_receipt_keys(&request)?))
    }

    async fn list_decisions(
        &self,
        request: Request<pb::ListDecisionsRequest>,
    ) -> Result<Response<pb::ListDecisionsResponse>, Status> {
        Ok(Response::new(self.do_list_decisions(request).await?))
    }

    async fn get_decision_counts(
        &self,
        request: Request<pb::GetDecisionCountsRequest>,
    ) -> Result<Response<pb::GetDecisionCountsResponse>, Status> {
        Ok(Response::new(self.do_get_decision_counts(request).await?))
    }

    async fn check_many(
        &self,
        request: Request<Streaming<pb::CheckManyRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let caller = Caller::of(&request)?.clone();
        Ok(Response::new(
            self.do_check_many(caller, request.into_inner())?,
        ))
    }
}

#[cfg(test)]
pub(crate) mod tests;
