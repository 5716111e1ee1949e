//! The calls about a process itself: state, readers, movable clock.

mod divergences;
mod parked;

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::date;
use jiff::tz::TimeZone;
use tally_domain::fault::FieldFault;
use tally_eventlog::clock::{Clock as _, MovableClock};
use tally_eventlog::consumer::Progress;
use tally_eventlog::event::{from_proto_time, to_proto_time};
use tally_proto::tally::node::v1 as pb;
use tally_proto::tally::node::v1::node_service_server::{NodeService, NodeServiceServer};
use tally_rpc::Fault;
use tally_service::reply::append_fault;
use tally_service::wiring::Readers;
use tally_service::{Catalogue, Sources, store_fault};
use tonic::{Request, Response, Status};

use crate::mesh::{NodeClock, Store};
use crate::role::Role;
pub use divergences::Divergences;
pub use parked::Parked;

/// How long the state of a process waits for another's.
const OWNER_WAIT: Duration = Duration::from_secs(1);

/// The movable clock of a store that was created for it.
pub type TestClock = MovableClock;

/// What the calls work on.
pub struct NodeState {
    /// The roles that the process serves.
    pub roles: Vec<Role>,
    /// The logs that its readers read.
    pub sources: Sources,
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: NodeClock,
}

/// The service of this process.
pub fn server(
    state: NodeState,
    catalogue: Arc<Catalogue>,
    readers: Readers,
    parked: Parked,
    divergences: Divergences,
) -> NodeServiceServer<impl NodeService> {
    NodeServiceServer::new(Service {
        state,
        catalogue,
        readers,
        parked,
        divergences,
    })
}

struct Service {
    state: NodeState,
    catalogue: Arc<Catalogue>,
    readers: Readers,
    parked: Parked,
    divergences: Divergences,
}

impl Service {
    fn now(&self) -> prost_types::Timestamp {
        to_proto_time(match &self.state.clock {
            NodeClock::System(clock) => clock.now(),
            NodeClock::Movable(clock) => clock.now(),
        })
    }

    async fn status(&self) -> pb::GetStatusResponse {
        let mut readers = Vec::new();
        for progress in self.readers.iter() {
            readers.push(self.reader_status(progress).await);
        }
        readers.sort_by(|a, b| a.consumer.cmp(&b.consumer));
        pb::GetStatusResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            now: Some(self.now()),
            test_clock: self.state.clock.test_clock().is_some(),
            pack_version: self
                .catalogue
                .try_active()
                .map(|policy| policy.version().to_owned())
                .unwrap_or_default(),
            readers,
            roles: self.state.roles.iter().map(ToString::to_string).collect(),
        }
    }

    async fn reader_status(&self, progress: &Progress) -> pb::ReaderStatus {
        let mut status = pb::ReaderStatus {
            consumer: progress.consumer().to_owned(),
            source: progress.log().to_string(),
            paused: progress.is_paused(),
            ..Default::default()
        };
        let states = progress.all();
        let sizes = self.sizes(progress).await;
        for (n, (state, size)) in (0..).zip(states.into_iter().zip(sizes)) {
            status.applied.push(state.next);
            status.lag += size.saturating_sub(state.next);
            status.parked += state.parked.len() as u64;
            if state.held {
                status.held.push(n);
            }
            if let Some(stopped) = state.stopped {
                status.stopped = format!("shard {n}: {}: {}", stopped.reason, stopped.message);
            }
        }
        status
    }

    /// Sizes of a reader's log, by shard. What has come over a transport is not all
    /// there is, and comes only for the shards that run here: the owner knows.
    async fn sizes(&self, progress: &Progress) -> Vec<u64> {
        let (log, source) = (progress.log(), self.state.sources.of(progress.log()));
        let come = |shard| *source.watch(log, shard).borrow();
        let mut sizes: Vec<u64> = source.shards().all().map(come).collect();
        if source.remote().is_some() {
            let heads = tokio::time::timeout(OWNER_WAIT, source.heads(log)).await;
            // Unanswered: what is known here has to do.
            if let Ok(Ok(heads)) = heads {
                for (size, head) in sizes.iter_mut().zip(&heads) {
                    *size = head.size().max(*size);
                }
            }
        }
        sizes
    }

    async fn pause(&self, request: &pb::PauseReaderRequest) -> Result<(), Fault> {
        let reader = self
            .readers
            .iter()
            .find(|reader| reader.consumer() == request.consumer);
        let Some(reader) = reader else {
            let known = self.readers.iter().map(|reader| reader.consumer());
            return Err(unknown_reader(&request.consumer, known));
        };
        reader.hold(request.paused).await.map_err(append_fault)
    }

    async fn advance(
        &self,
        request: pb::AdvanceClockRequest,
    ) -> Result<pb::AdvanceClockResponse, Fault> {
        let Some(clock) = self.state.clock.test_clock() else {
            return Err(Fault::rejected(
                "CLOCK_FIXED",
                "this store has the system's clock; a movable one exists only on a store created with --test-clock",
            ));
        };
        let invalid =
            |reason, message: String| Fault::invalid(vec![FieldFault::new("to", reason, message)]);
        let to = request
            .to
            .as_ref()
            .ok_or_else(|| invalid("FIELD_REQUIRED", "a time is required".to_owned()))?;
        // Terms reach decades beyond the clock, and calendars end with the year 9999.
        let latest = date(9_000, 1, 1).to_zoned(TimeZone::UTC);
        let latest = latest.map_err(Fault::internal)?.timestamp();
        let to = from_proto_time(to)
            .filter(|to| *to < latest)
            .ok_or_else(|| {
                let message = format!("a time is before {latest}; ask for an earlier one");
                invalid("TIME_OUT_OF_RANGE", message)
            })?;
        let ahead = clock
            .advance_to(to)
            .map_err(|backward| Fault::rejected("CLOCK_BACKWARD", backward.to_string()))?;
        self.state
            .store
            .keep_ahead(ahead)
            .await
            .map_err(store_fault)?;
        Ok(pb::AdvanceClockResponse {
            now: Some(self.now()),
        })
    }
}

fn unknown_reader<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> Fault {
    let mut known: Vec<&str> = known.collect();
    known.sort_unstable();
    let message = format!(
        "there is no reader `{asked}` in this process; there are: {}",
        known.join(", ")
    );
    Fault::not_found("READER_UNKNOWN", message)
}

#[tonic::async_trait]
impl NodeService for Service {
    async fn get_status(
        &self,
        _request: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::GetStatusResponse>, Status> {
        Ok(Response::new(self.status().await))
    }

    async fn pause_reader(
        &self,
        request: Request<pb::PauseReaderRequest>,
    ) -> Result<Response<pb::PauseReaderResponse>, Status> {
        self.pause(request.get_ref()).await?;
        Ok(Response::new(pb::PauseReaderResponse {}))
    }

    async fn list_parked(
        &self,
        request: Request<pb::ListParkedRequest>,
    ) -> Result<Response<pb::ListParkedResponse>, Status> {
        Ok(Response::new(self.parked.list(request.get_ref()).await?))
    }

    async fn get_parked(
        &self,
        request: Request<pb::GetParkedRequest>,
    ) -> Result<Response<pb::GetParkedResponse>, Status> {
        Ok(Response::new(self.parked.get(request.get_ref()).await?))
    }

    async fn replay_parked(
        &self,
        request: Request<pb::ReplayParkedRequest>,
    ) -> Result<Response<pb::ReplayParkedResponse>, Status> {
        Ok(Response::new(self.parked.replay(request.get_ref()).await?))
    }

    async fn reconcile(
        &self,
        request: Request<pb::ReconcileRequest>,
    ) -> Result<Response<pb::ReconcileResponse>, Status> {
        let reconciled = self.divergences.reconcile(request.get_ref()).await?;
        Ok(Response::new(reconciled))
    }

    async fn advance_clock(
        &self,
        request: Request<pb::AdvanceClockRequest>,
    ) -> Result<Response<pb::AdvanceClockResponse>, Status> {
        Ok(Response::new(self.advance(request.into_inner()).await?))
    }
}
