//! The service: authorise, decode, execute, encode.

mod commands;

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tally_auth::Caller;
use tally_eventlog::consumer::Progress;
use tally_proto::tally::feedback::v1 as pb;
use tally_proto::tally::feedback::v1::feedback_service_server::FeedbackService;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::follow::follow;
use tally_service::open_streams::OpenStreams;
use tally_service::reply::load_fault;
use tally_service::wiring::{CATCH_UP_WAIT, Readers};
use tally_service::{Deps, logs, receipt};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::access::Sight;
use crate::codec::known_to_proto;
use crate::feedback::{Answered, Command, Feedback, Known, Rejection};
use crate::statistics::Selection;
use crate::stream::Seen;
use commands::report;

use crate::{SANCTIONS_CONSUMER, SELF_CONSUMER};

/// Characters of remarks and reasons.
const TEXT_CHARS_MAX: usize = 2_000;

/// Items on their way to a caller.
type ItemStream = Pin<Box<dyn Stream<Item = Result<pb::StreamFeedbackResponse, Status>> + Send>>;

/// Serves feedback.
pub(crate) struct Service {
    deps: Deps,
    directives: Arc<Progress>,
    views: Arc<Progress>,
    streams: OpenStreams,
}

impl Service {
    /// A service on these dependencies.
    pub(crate) fn new(deps: Deps, readers: &Readers, streams: OpenStreams) -> Self {
        let (directives, views) = (readers.get(SANCTIONS_CONSUMER), readers.get(SELF_CONSUMER));
        Self {
            deps,
            directives,
            views,
            streams,
        }
    }

    async fn report_inner(
        &self,
        request: Request<pb::ReportRequest>,
    ) -> Result<pb::ReportResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        let department = caller.department()?.to_string();
        let request = request.into_inner();
        let (at, policy) = (self.deps.clock.now(), self.deps.catalogue.active()?);
        let mut faults = Faults::default();
        let report = report(&request, policy.today(at), &mut faults);
        let order = self.order(
            &caller,
            &request.command_id,
            &request.directive_id,
            policy,
            faults,
            |_| {
                report.map(|report| Command::Report {
                    department,
                    report,
                    answered: Answered::default(),
                    at,
                })
            },
        );
        let appended = self
            .settle(
                &caller,
                "feedback.Report",
                &request.command_id,
                &request,
                order,
            )
            .await?;
        Ok(pb::ReportResponse {
            receipt: Some(receipt(&appended)),
        })
    }

    async fn accept_inner(
        &self,
        request: Request<pb::AcceptReportRequest>,
    ) -> Result<pb::AcceptReportResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        caller.officer()?;
        let department = caller.department()?.to_string();
        let request = request.into_inner();
        let (at, policy) = (self.deps.clock.now(), self.deps.catalogue.active()?);
        let faults = Faults::default();
        let order = self.order(
            &caller,
            &request.command_id,
            &request.directive_id,
            policy,
            faults,
            |_| Some(Command::Accept { department, at }),
        );
        let appended = self
            .settle(
                &caller,
                "feedback.AcceptReport",
                &request.command_id,
                &request,
                order,
            )
            .await?;
        Ok(pb::AcceptReportResponse {
            receipt: Some(receipt(&appended)),
        })
    }

    async fn return_inner(
        &self,
        request: Request<pb::ReturnReportRequest>,
    ) -> Result<pb::ReturnReportResponse, Fault> {
        let caller = Caller::of(&request)?.clone();
        caller.officer()?;
        let department = caller.department()?.to_string();
        let request = request.into_inner();
        let (at, policy) = (self.deps.clock.now(), self.deps.catalogue.active()?);
        let today = policy.today(at);
        let faults = Faults::default();
        let order = self.order(
            &caller,
            &request.command_id,
            &request.directive_id,
            policy,
            faults,
            |faults| {
                let reason = faults.text("reason", &request.reason, TEXT_CHARS_MAX)?;
                Some(Command::Return {
                    department,
                    reason,
                    today,
                    at,
                })
            },
        );
        let appended = self
            .settle(
                &caller,
                "feedback.ReturnReport",
                &request.command_id,
                &request,
                order,
            )
            .await?;
        Ok(pb::ReturnReportResponse {
            receipt: Some(receipt(&appended)),
        })
    }

    /// The feedback on a directive. Whoever has just received the directive may
    /// be ahead of this service, so that it catches up before it says no.
    async fn known(&self, directive_id: &str) -> Result<Known, Fault> {
        if let Some(known) = self.load(directive_id).await? {
            return Ok(known);
        }
        self.caught_up(&self.directives).await?;
        self.load(directive_id)
            .await?
            .ok_or_else(|| Rejection::Unknown.into())
    }

    async fn load(&self, directive_id: &str) -> Result<Option<Known>, Fault> {
        let loaded = self
            .deps
            .executor
            .load::<Feedback>(logs::FEEDBACK, &[directive_id])
            .await;
        let mut loaded = loaded.map_err(load_fault)?;
        Ok(loaded.pop().and_then(|loaded| loaded.state.0))
    }

    /// Waits, bounded, until a reader has all that its log holds now.
    async fn caught_up(&self, progress: &Progress) -> Result<(), Fault> {
        let waited = self.deps.sources.caught_up_everywhere(progress);
        match tokio::time::timeout(CATCH_UP_WAIT, waited).await {
            Ok(true) => Ok(()),
            _ => Err(behind(progress)),
        }
    }

    async fn get_inner(
        &self,
        request: Request<pb::GetFeedbackRequest>,
    ) -> Result<pb::GetFeedbackResponse, Fault> {
        let sight = Sight::of(Caller::of(&request)?, &*self.deps.catalogue.active()?)?;
        let mut faults = Faults::default();
        let directive_id = directive(&request.into_inner().directive_id, &mut faults);
        let directive_id = directive_id.ok_or_else(|| Fault::invalid(faults.into_vec()))?;
        let known = self.known(&directive_id).await?;
        sight.admits(&known)?;
        Ok(pb::GetFeedbackResponse {
            feedback: Some(known_to_proto(&directive_id, &known)),
        })
    }

    async fn statistics_inner(
        &self,
        request: Request<pb::GetStatisticsRequest>,
    ) -> Result<pb::GetStatisticsResponse, Fault> {
        let sight = Sight::of(Caller::of(&request)?, &*self.deps.catalogue.active()?)?;
        let selection = Selection::decode(&request.into_inner(), sight)?;
        self.caught_up(&self.directives).await?;
        self.caught_up(&self.views).await?;
        let counts = selection.counts(&*self.deps.store).await?;
        Ok(pb::GetStatisticsResponse { counts })
    }

    async fn stream_inner(
        &self,
        request: Request<pb::StreamFeedbackRequest>,
    ) -> Result<ItemStream, Fault> {
        let sight = Sight::of(Caller::of(&request)?, &*self.deps.catalogue.active()?)?;
        let seat = self.streams.admit(Caller::of(&request)?)?;
        let request = request.into_inner();
        let items = follow(
            self.deps.store.clone(),
            logs::FEEDBACK,
            Seen(sight),
            request.cursor.as_ref(),
            request.until_head,
        );
        Ok(seat.hold(items.await?))
    }
}

fn behind(progress: &Progress) -> Fault {
    Fault::unavailable(
        "READER_BEHIND",
        format!(
            "{} has not caught up with its log; retry, and tell the operator if it stays so",
            progress.consumer()
        ),
        CATCH_UP_WAIT,
    )
}

/// A directive's id, as the stream is named.
fn directive(text: &str, faults: &mut Faults) -> Option<String> {
    uuid("directive_id", text, faults)
}

fn uuid(field: &str, text: &str, faults: &mut Faults) -> Option<String> {
    match Uuid::try_parse(text) {
        Ok(id) => Some(id.to_string()),
        Err(_) => {
            faults.add(field, "ID_INVALID", "an id is a UUID, as it was received");
            None
        }
    }
}

#[tonic::async_trait]
impl FeedbackService for Service {
    type StreamFeedbackStream = ItemStream;

    async fn report(
        &self,
        request: Request<pb::ReportRequest>,
    ) -> Result<Response<pb::ReportResponse>, Status> {
        Ok(Response::new(self.report_inner(request).await?))
    }

    async fn accept_report(
        &self,
        request: Request<pb::AcceptReportRequest>,
    ) -> Result<Response<pb::AcceptReportResponse>, Status> {
        Ok(Response::new(self.accept_inner(request).await?))
    }

    async fn return_report(
        &self,
        request: Request<pb::ReturnReportRequest>,
    ) -> Result<Response<pb::ReturnReportResponse>, Status> {
        Ok(Response::new(self.return_inner(request).await?))
    }

    async fn get_feedback(
        &self,
        request: Request<pb::GetFeedbackRequest>,
    ) -> Result<Response<pb::GetFeedbackResponse>, Status> {
        Ok(Response::new(self.get_inner(request).await?))
    }

    async fn get_statistics(
        &self,
        request: Request<pb::GetStatisticsRequest>,
    ) -> Result<Response<pb::GetStatisticsResponse>, Status> {
        Ok(Response::new(self.statistics_inner(request).await?))
    }

    async fn stream_feedback(
        &self,
        request: Request<pb::StreamFeedbackRequest>,
    ) -> Result<Response<ItemStream>, Status> {
        Ok(Response::new(self.stream_inner(request).await?))
    }
}
