//! The calls of collection.

use std::sync::Arc;

use futures::stream::BoxStream;
use tally_auth::Caller;
use tally_eventlog::consumer::Progress;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::collection_service_server::{
    CollectionService, CollectionServiceServer,
};
use tally_rpc::Fault;
use tally_service::Deps;
use tally_service::open_streams::OpenStreams;
use tally_service::wiring::Readers;
use tonic::{Request, Response, Status, Streaming};

use crate::intake::Intake;
use crate::publication::Scope;
use crate::quarantine::{calls, page};
use crate::timeliness::Question;
use crate::{CONSUMER, amend, publication, push, query};

/// The service over its log.
///
/// # Panics
///
/// If the composition root did not start the consumers of [`crate::consumers`].
pub fn server(
    deps: Deps,
    readers: &Readers,
) -> CollectionServiceServer<impl CollectionService + use<>> {
    server_with(deps, readers, OpenStreams::default())
}

/// The same; `followers` bounds the followers' streams that are open, and ends them.
///
/// # Panics
///
/// As [`server`].
pub fn server_with(
    deps: Deps,
    readers: &Readers,
    followers: OpenStreams,
) -> CollectionServiceServer<impl CollectionService + use<>> {
    CollectionServiceServer::new(Service {
        deps,
        reader: readers.get(CONSUMER),
        followers,
    })
}

struct Service {
    deps: Deps,
    reader: Arc<Progress>,
    followers: OpenStreams,
}

/// Items on their way to a caller.
type Items<T> = BoxStream<'static, Result<T, Status>>;

impl Service {
    fn push_all(
        &self,
        request: Request<Streaming<pb::PushRecordsRequest>>,
    ) -> Result<BoxStream<'static, Result<pb::PushRecordsResponse, Status>>, Fault> {
        let intake = Intake::new(self.deps.clone(), Caller::of(&request)?)?;
        Ok(push::start(intake, request.into_inner()))
    }

    async fn push_one(
        &self,
        request: Request<pb::PushRecordRequest>,
    ) -> Result<pb::PushRecordResponse, Fault> {
        let intake = Intake::new(self.deps.clone(), Caller::of(&request)?)?;
        let pb::PushRecordRequest {
            command_id,
            record,
            quarantine,
            quarantine_id,
        } = request.into_inner();
        let request = pb::PushRecordsRequest {
            command_id,
            record,
            quarantine,
            quarantine_id,
        };
        let chunk = intake.prepare(vec![request]).await?;
        let answer = intake
            .execute(chunk)
            .await
            .pop()
            .expect("one answer per request");
        Ok(pb::PushRecordResponse {
            accepted: Some(answer.into_accepted()?),
        })
    }

    async fn correct(
        &self,
        request: Request<pb::CorrectRecordRequest>,
    ) -> Result<pb::CorrectRecordResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        amend::correct(&self.deps, &caller, request.into_inner()).await
    }

    async fn withdraw(
        &self,
        request: Request<pb::WithdrawRecordRequest>,
    ) -> Result<pb::WithdrawRecordResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        amend::withdraw(&self.deps, &caller, request.into_inner()).await
    }

    async fn show(
        &self,
        request: Request<pb::GetRecordRequest>,
    ) -> Result<pb::GetRecordResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        query::record(&self.deps, &caller, request.into_inner()).await
    }

    async fn timeliness(
        &self,
        request: Request<pb::GetTimelinessRequest>,
    ) -> Result<pb::GetTimelinessResponse, Fault> {
        let caller = Caller::of(&request)?;
        let policy = self.deps.catalogue.active()?;
        let today = policy.today(self.deps.clock.now());
        let question = Question::decode(caller, request.get_ref(), &policy.pack, today)?;
        query::caught_up(&self.deps, &self.reader, query::COUNTS_ARE).await?;
        question.read(&self.deps, &policy).await
    }

    async fn count(
        &self,
        request: Request<pb::GetCountsRequest>,
    ) -> Result<pb::GetCountsResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        query::counts(&self.deps, &self.reader, &caller, request.into_inner()).await
    }

    async fn list_rows(
        &self,
        request: Request<pb::ListQuarantineRequest>,
    ) -> Result<pb::ListQuarantineResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        page::list(&self.deps, &caller, &self.reader, request.into_inner()).await
    }

    async fn show_row(
        &self,
        request: Request<pb::GetQuarantinedRequest>,
    ) -> Result<pb::GetQuarantinedResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        calls::get(&self.deps, &caller, request.into_inner()).await
    }

    async fn discard_row(
        &self,
        request: Request<pb::DiscardQuarantinedRequest>,
    ) -> Result<pb::DiscardQuarantinedResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        calls::discard(&self.deps, &caller, request.into_inner()).await
    }

    async fn count_rows(
        &self,
        request: Request<pb::GetQuarantineCountsRequest>,
    ) -> Result<pb::GetQuarantineCountsResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        calls::counts(&self.deps, &caller, &self.reader, request.into_inner()).await
    }

    async fn registrations(
        &self,
        request: Request<pb::FollowRegistrationsRequest>,
    ) -> Result<Items<pb::FollowRegistrationsResponse>, Fault> {
        let caller = Caller::of(&request)?;
        let policy = self.deps.catalogue.active()?;
        policy.member(caller, "collection.registrations")?;
        let reader = caller.department()?.clone();
        let seat = self.followers.admit(caller)?;
        let request = request.into_inner();
        let scope = Scope::registered(reader, request.division)?;
        let (cursor, until_head) = (request.cursor.as_ref(), request.until_head);
        let item = publication::registration;
        let items = publication::stream(&self.deps, scope, cursor, until_head, item).await?;
        Ok(seat.hold(items))
    }

    async fn publications(
        &self,
        request: Request<pb::FollowPublicationsRequest>,
    ) -> Result<Items<pb::FollowPublicationsResponse>, Fault> {
        let caller = Caller::of(&request)?;
        let policy = self.deps.catalogue.active()?;
        policy.member(caller, "collection.publications")?;
        let seat = self.followers.admit(caller)?;
        let request = request.into_inner();
        let scope = Scope::public(&policy, request.record_types)?;
        let (cursor, until_head) = (request.cursor.as_ref(), request.until_head);
        let item = |item| item;
        let items = publication::stream(&self.deps, scope, cursor, until_head, item).await?;
        Ok(seat.hold(items))
    }
}

#[tonic::async_trait]
impl CollectionService for Service {
    type PushRecordsStream = Items<pb::PushRecordsResponse>;
    type FollowRegistrationsStream = Items<pb::FollowRegistrationsResponse>;
    type FollowPublicationsStream = Items<pb::FollowPublicationsResponse>;

    async fn push_records(
        &self,
        request: Request<Streaming<pb::PushRecordsRequest>>,
    ) -> Result<Response<Self::PushRecordsStream>, Status> {
        Ok(Response::new(self.push_all(request)?))
    }

    async fn push_record(
        &self,
        request: Request<pb::PushRecordRequest>,
    ) -> Result<Response<pb::PushRecordResponse>, Status> {
        Ok(Response::new(self.push_one(request).await?))
    }

    async fn correct_record(
        &self,
        request: Request<pb::CorrectRecordRequest>,
    ) -> Result<Response<pb::CorrectRecordResponse>, Status> {
        Ok(Response::new(self.correct(request).await?))
    }

    async fn withdraw_record(
        &self,
        request: Request<pb::WithdrawRecordRequest>,
    ) -> Result<Response<pb::WithdrawRecordResponse>, Status> {
        Ok(Response::new(self.withdraw(request).await?))
    }

    async fn get_record(
        &self,
        request: Request<pb::GetRecordRequest>,
    ) -> Result<Response<pb::GetRecordResponse>, Status> {
        Ok(Response::new(self.show(request).await?))
    }

    async fn get_timeliness(
        &self,
        request: Request<pb::GetTimelinessRequest>,
    ) -> Result<Response<pb::GetTimelinessResponse>, Status> {
        Ok(Response::new(self.timeliness(request).await?))
    }

    async fn get_counts(
        &self,
        request: Request<pb::GetCountsRequest>,
    ) -> Result<Response<pb::GetCountsResponse>, Status> {
        Ok(Response::new(self.count(request).await?))
    }

    async fn list_quarantine(
        &self,
        request: Request<pb::ListQuarantineRequest>,
    ) -> Result<Response<pb::ListQuarantineResponse>, Status> {
        Ok(Response::new(self.list_rows(request).await?))
    }

    async fn get_quarantined(
        &self,
        request: Request<pb::GetQuarantinedRequest>,
    ) -> Result<Response<pb::GetQuarantinedResponse>, Status> {
        Ok(Response::new(self.show_row(request).await?))
    }

    async fn discard_quarantined(
        &self,
        request: Request<pb::DiscardQuarantinedRequest>,
    ) -> Result<Response<pb::DiscardQuarantinedResponse>, Status> {
        Ok(Response::new(self.discard_row(request).await?))
    }

    async fn get_quarantine_counts(
        &self,
        request: Request<pb::GetQuarantineCountsRequest>,
    ) -> Result<Response<pb::GetQuarantineCountsResponse>, Status> {
        Ok(Response::new(self.count_rows(request).await?))
    }

    async fn follow_registrations(
        &self,
        request: Request<pb::FollowRegistrationsRequest>,
    ) -> Result<Response<Self::FollowRegistrationsStream>, Status> {
        Ok(Response::new(self.registrations(request).await?))
    }

    async fn follow_publications(
        &self,
        request: Request<pb::FollowPublicationsRequest>,
    ) -> Result<Response<Self::FollowPublicationsStream>, Status> {
        Ok(Response::new(self.publications(request).await?))
    }
}
