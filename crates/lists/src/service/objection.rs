//! Objections, and other ends of a listing.

use bytes::Bytes;
use tally_auth::Caller;
use tally_domain::policy::{Level, ListPolarity};
use tally_eventlog::append::Appended;
use tally_eventlog::pb::DocumentRef;
use tally_proto::tally::lists::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::receipt;
use tonic::{Request, Response};

use super::Lists;
use super::case::{Case, Target, free_text, nomination, officer_of};
use crate::entry::{Command, Decision, Officer, right};

impl Lists {
    pub(super) async fn do_accept_objection(
        &self,
        request: Request<pb::AcceptObjectionRequest>,
    ) -> Result<Response<pb::AcceptObjectionResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(
            right::ACCEPT_OBJECTION,
            &officer,
            &request.command_id,
            &request,
        );
        let outcome = self.accept_objection(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        Ok(Response::new(pb::AcceptObjectionResponse {
            receipt: Some(receipt(&appended)),
        }))
    }

    async fn accept_objection(
        &self,
        officer: (Caller, Officer),
        request: &pb::AcceptObjectionRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let target = self.target(&mut faults, officer, &request.command_id, &request.entry_id);
        let objection = faults.document("objection", request.objection.as_ref());
        let (true, Some(target), Some(objection)) = (faults.is_empty(), target, objection) else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        let case = self.open(target).await?;
        let by = case.target.by.clone();
        let department = case.policy.pack.department(&by.department);
        let province_level =
            department.is_some_and(|department| department.level == Level::Province);
        let command = Command::AcceptObjection {
            by,
            province_level,
            objection,
            at: case.now,
        };
        self.execute(
            right::ACCEPT_OBJECTION,
            request,
            case,
            command,
            Bytes::new(),
        )
        .await
    }

    pub(super) async fn do_uphold(
        &self,
        request: Request<pb::UpholdRequest>,
    ) -> Result<Response<pb::UpholdResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(right::UPHOLD, &officer, &request.command_id, &request);
        let outcome = self.uphold(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        Ok(Response::new(pb::UpholdResponse {
            receipt: Some(receipt(&appended)),
        }))
    }

    async fn uphold(
        &self,
        officer: (Caller, Officer),
        request: &pb::UpholdRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let target = self.target(&mut faults, officer, &request.command_id, &request.entry_id);
        let decision = decision(
            &mut faults,
            "decision",
            request.decision.as_ref(),
            &request.reason,
        );
        let (case, decision) = self.decided(faults, target, decision).await?;
        let polarity = self.polarity(&case).await?;
        let command = Command::Uphold {
            by: case.target.by.clone(),
            polarity,
            decision,
            at: case.now,
        };
        self.execute(right::UPHOLD, request, case, command, Bytes::new())
            .await
    }

    pub(super) async fn do_correct_out(
        &self,
        request: Request<pb::CorrectOutRequest>,
    ) -> Result<Response<pb::CorrectOutResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(right::CORRECT_OUT, &officer, &request.command_id, &request);
        let outcome = self.correct_out(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        Ok(Response::new(pb::CorrectOutResponse {
            receipt: Some(receipt(&appended)),
        }))
    }

    async fn correct_out(
        &self,
        officer: (Caller, Officer),
        request: &pb::CorrectOutRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let target = self.target(&mut faults, officer, &request.command_id, &request.entry_id);
        let decision = decision(
            &mut faults,
            "decision",
            request.decision.as_ref(),
            &request.reason,
        );
        let (case, decision) = self.decided(faults, target, decision).await?;
        let polarity = self.polarity(&case).await?;
        let command = Command::CorrectOut {
            by: case.target.by.clone(),
            polarity,
            decision,
        };
        self.execute(right::CORRECT_OUT, request, case, command, Bytes::new())
            .await
    }

    pub(super) async fn do_remove(
        &self,
        request: Request<pb::RemoveRequest>,
    ) -> Result<Response<pb::RemoveResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(right::REMOVE, &officer, &request.command_id, &request);
        let outcome = self.remove(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        Ok(Response::new(pb::RemoveResponse {
            receipt: Some(receipt(&appended)),
        }))
    }

    async fn remove(
        &self,
        officer: (Caller, Officer),
        request: &pb::RemoveRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let target = self.target(&mut faults, officer, &request.command_id, &request.entry_id);
        let decision = decision(
            &mut faults,
            "decision",
            request.decision.as_ref(),
            &request.reason,
        );
        let (case, decision) = self.decided(faults, target, decision).await?;
        let polarity = self.polarity(&case).await?;
        let command = Command::Remove {
            by: case.target.by.clone(),
            polarity,
            decision,
            at: case.now,
        };
        self.execute(right::REMOVE, request, case, command, Bytes::new())
            .await
    }

    pub(super) async fn do_request_removal(
        &self,
        request: Request<pb::RequestRemovalRequest>,
    ) -> Result<Response<pb::RequestRemovalResponse>, Fault> {
        let officer = officer_of(&request)?;
        let request = request.into_inner();
        let key = self.key(
            right::REQUEST_REMOVAL,
            &officer,
            &request.command_id,
            &request,
        );
        let outcome = self.request_removal(officer, &request).await;
        let appended = self.or_first(key, outcome).await?;
        Ok(Response::new(pb::RequestRemovalResponse {
            receipt: Some(receipt(&appended)),
        }))
    }

    async fn request_removal(
        &self,
        officer: (Caller, Officer),
        request: &pb::RequestRemovalRequest,
    ) -> Result<Appended, Fault> {
        let mut faults = Faults::default();
        let target = self.target(&mut faults, officer, &request.command_id, &request.entry_id);
        let asked = decision(
            &mut faults,
            "document",
            request.document.as_ref(),
            &request.reason,
        );
        let (case, asked) = self.decided(faults, target, asked).await?;
        let polarity = self.polarity(&case).await?;
        let command = Command::RequestRemoval {
            by: case.target.by.clone(),
            polarity,
            request: asked,
            at: case.now,
        };
        self.execute(right::REQUEST_REMOVAL, request, case, command, Bytes::new())
            .await
    }

    async fn polarity(&self, case: &Case) -> Result<ListPolarity, Fault> {
        let list_type = self.nominated_list_type(nomination(&case.entry)?).await?;
        Ok(list_type.polarity)
    }

    async fn decided(
        &self,
        faults: Faults,
        target: Option<Target>,
        decision: Option<Decision>,
    ) -> Result<(Case, Decision), Fault> {
        let (true, Some(target), Some(decision)) = (faults.is_empty(), target, decision) else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        Ok((self.open(target).await?, decision))
    }
}

fn decision(
    faults: &mut Faults,
    field: &str,
    document: Option<&DocumentRef>,
    reason: &str,
) -> Option<Decision> {
    let document = faults.document(field, document);
    let reason = free_text(faults, "reason", reason);
    Some(Decision {
        document: document?,
        reason: reason?,
    })
}
