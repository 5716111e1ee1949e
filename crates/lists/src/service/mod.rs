//! The calls. Each authorises, decodes with every fault, executes, encodes.

mod case;
mod links;
mod listing;
mod nominating;
mod objection;
mod queries;
mod sight;

use std::sync::Arc;

use futures::stream::BoxStream;
use tally_eventlog::consumer::Progress;
use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::lists::v1::lists_service_server::ListsService;
use tally_service::Deps;
use tally_service::open_streams::OpenStreams;
use tally_service::wiring::Readers;
use tonic::{Request, Response, Status};

/// The service of lists.
pub struct Lists {
    deps: Deps,
    /// How far the views of the own log are.
    own: Arc<Progress>,
    /// How far the records of collection are known.
    collection: Arc<Progress>,
    /// The followers' streams that are open.
    followers: OpenStreams,
}

/// Items on their way to a follower.
type Items = BoxStream<'static, Result<pb::FollowPublicationsResponse, Status>>;

impl Lists {
    /// The service on its own, for callers in the same process.
    ///
    /// # Panics
    ///
    /// If one of [`crate::consumers`] was not started: a wiring mistake that the
    /// first start shows.
    pub fn new(deps: Deps, readers: &Readers) -> Self {
        Self {
            deps,
            own: readers.get(crate::SELF),
            collection: readers.get(crate::COLLECTION),
            followers: OpenStreams::default(),
        }
    }

    /// The same with these bounds of the followers' streams.
    pub fn with_followers(self, followers: OpenStreams) -> Self {
        Self { followers, ..self }
    }
}

#[tonic::async_trait]
impl ListsService for Lists {
    type FollowPublicationsStream = Items;

    async fn nominate(
        &self,
        request: Request<pb::NominateRequest>,
    ) -> Result<Response<pb::NominateResponse>, Status> {
        Ok(self.do_nominate(request).await?)
    }

    async fn notify(
        &self,
        request: Request<pb::NotifyRequest>,
    ) -> Result<Response<pb::NotifyResponse>, Status> {
        Ok(self.do_notify(request).await?)
    }

    async fn represent(
        &self,
        request: Request<pb::RepresentRequest>,
    ) -> Result<Response<pb::RepresentResponse>, Status> {
        Ok(self.do_represent(request).await?)
    }

    async fn list(
        &self,
        request: Request<pb::ListRequest>,
    ) -> Result<Response<pb::ListResponse>, Status> {
        Ok(self.do_list(request).await?)
    }

    async fn drop(
        &self,
        request: Request<pb::DropRequest>,
    ) -> Result<Response<pb::DropResponse>, Status> {
        Ok(self.do_drop(request).await?)
    }

    async fn accept_objection(
        &self,
        request: Request<pb::AcceptObjectionRequest>,
    ) -> Result<Response<pb::AcceptObjectionResponse>, Status> {
        Ok(self.do_accept_objection(request).await?)
    }

    async fn uphold(
        &self,
        request: Request<pb::UpholdRequest>,
    ) -> Result<Response<pb::UpholdResponse>, Status> {
        Ok(self.do_uphold(request).await?)
    }

    async fn correct_out(
        &self,
        request: Request<pb::CorrectOutRequest>,
    ) -> Result<Response<pb::CorrectOutResponse>, Status> {
        Ok(self.do_correct_out(request).await?)
    }

    async fn request_removal(
        &self,
        request: Request<pb::RequestRemovalRequest>,
    ) -> Result<Response<pb::RequestRemovalResponse>, Status> {
        Ok(self.do_request_removal(request).await?)
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveRequest>,
    ) -> Result<Response<pb::RemoveResponse>, Status> {
        Ok(self.do_remove(request).await?)
    }

    async fn link_identifiers(
        &self,
        request: Request<pb::LinkIdentifiersRequest>,
    ) -> Result<Response<pb::LinkIdentifiersResponse>, Status> {
        Ok(self.do_link(request).await?)
    }

    async fn unlink_identifiers(
        &self,
        request: Request<pb::UnlinkIdentifiersRequest>,
    ) -> Result<Response<pb::UnlinkIdentifiersResponse>, Status> {
        Ok(self.do_unlink(request).await?)
    }

    async fn get_entry(
        &self,
        request: Request<pb::GetEntryRequest>,
    ) -> Result<Response<pb::GetEntryResponse>, Status> {
        Ok(self.do_get_entry(request).await?)
    }

    async fn get_subject_entries(
        &self,
        request: Request<pb::GetSubjectEntriesRequest>,
    ) -> Result<Response<pb::GetSubjectEntriesResponse>, Status> {
        Ok(self.do_get_subject_entries(request).await?)
    }
    async fn follow_publications(
        &self,
        request: Request<pb::FollowPublicationsRequest>,
    ) -> Result<Response<Items>, Status> {
        Ok(self.do_follow_publications(request).await?)
    }
}
