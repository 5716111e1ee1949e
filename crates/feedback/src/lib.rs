//! Feedback: what was done about each directive, when and by which document;
//! accepted or returned by the department that listed; overdue ones escalated;
//! counts; the province's stream.
//!
//! Owns the log `feedback`, the aggregate [`feedback::Feedback`] and the views
//! `feedback.feedback`, `feedback.count` and `feedback.timer`. Follows the log
//! of sanctions.

mod access;
pub mod codec;
mod directives;
pub mod feedback;
mod process;
mod projection;
mod service;
mod statistics;
mod stream;

use std::sync::Arc;

use tally_eventlog::consumer::{ProcessManager, Projection};
use tally_proto::tally::feedback::v1::feedback_service_server::{
    FeedbackService, FeedbackServiceServer,
};
use tally_service::open_streams::OpenStreams;
use tally_service::published::{self, Publication};
use tally_service::wiring::{ConsumerSpec, Readers, TimerSpec};
use tally_service::{Deps, logs};

pub use directives::DIRECTIVE_VIEW;
pub use projection::{COUNT_VIEW, FEEDBACK_VIEW, TIMER_VIEW};

/// Follows the log of sanctions.
pub const SANCTIONS_CONSUMER: &str = "feedback.sanctions";
/// Follows the own log.
pub const SELF_CONSUMER: &str = "feedback.self";

/// The consumers of this service.
pub fn consumers(deps: &Deps) -> Vec<ConsumerSpec> {
    let directives: Arc<dyn ProcessManager> = Arc::new(process::DirectiveProcess::new(deps));
    let answers: Arc<dyn Projection> = Arc::new(directives::DirectiveProjection);
    vec![
        ConsumerSpec {
            name: SANCTIONS_CONSUMER,
            source: logs::SANCTIONS,
            projection: answers,
            process: Some(directives),
            idle_checkpoint: None,
            gather: None,
        },
        ConsumerSpec {
            name: SELF_CONSUMER,
            source: logs::FEEDBACK,
            projection: Arc::new(projection::FeedbackProjection),
            process: None,
            idle_checkpoint: None,
            gather: None,
        },
    ]
}

/// The timers of this service.
pub fn timers(deps: &Deps) -> Vec<TimerSpec> {
    vec![TimerSpec {
        handler: Arc::new(process::OverdueTimer::new(deps)),
        consumer: SELF_CONSUMER,
    }]
}

/// What the province is told over a topic: all that its stream says.
pub fn publication() -> Publication {
    let relay = "relay.published.feedback";
    let seen = stream::Seen(access::Sight::All);
    Publication::new(published::FEEDBACK, relay, logs::FEEDBACK, seen)
}

/// The service; `readers` must know its consumers.
pub fn server(deps: Deps, readers: &Readers) -> FeedbackServiceServer<impl FeedbackService> {
    server_with(deps, readers, OpenStreams::default())
}

/// The same; `streams` bounds those that are open, and ends them.
pub fn server_with(
    deps: Deps,
    readers: &Readers,
    streams: OpenStreams,
) -> FeedbackServiceServer<impl FeedbackService> {
    FeedbackServiceServer::new(service::Service::new(deps, readers, streams))
}
