//! Lists: officers put subjects on red and black lists, decide objections to
//! that, and take them off again; and state which identifiers are one organisation.
//!
//! Owns the log `lists` with its aggregates `entry` and `link`, the views
//! `lists.entry`, `lists.subject`, `lists.timer` and `lists.provisional` of that
//! log, and `lists.ground` of the log of collection.

pub mod codec;
mod deadline;
pub mod entry;
mod file;
pub mod link;
mod process;
pub mod projection;
mod publication;
mod service;
#[cfg(test)]
mod testing;
mod timer;

use std::sync::Arc;

use tally_proto::tally::lists::v1::lists_service_server::ListsServiceServer;
use tally_service::open_streams::OpenStreams;
use tally_service::published::{self, Publication};
use tally_service::wiring::{ConsumerSpec, Readers, TimerSpec};
use tally_service::{Deps, logs};

pub use service::Lists;

/// The consumer of the own log.
pub const SELF: &str = "lists.self";
/// The consumer of the log of collection.
pub const COLLECTION: &str = "lists.collection";

/// The consumers that lists needs.
pub fn consumers(deps: &Deps) -> Vec<ConsumerSpec> {
    vec![
        ConsumerSpec {
            name: SELF,
            source: logs::LISTS,
            projection: Arc::new(projection::EntriesProjection),
            process: Some(Arc::new(process::LinkMirror(deps.clone()))),
            idle_checkpoint: None,
            gather: None,
        },
        ConsumerSpec {
            name: COLLECTION,
            source: logs::COLLECTION,
            projection: Arc::new(projection::GroundsProjection),
            process: Some(Arc::new(process::Proposals::new(deps.clone()))),
            idle_checkpoint: None,
            gather: None,
        },
    ]
}

/// The timers that lists needs.
pub fn timers(deps: &Deps) -> Vec<TimerSpec> {
    vec![
        TimerSpec {
            handler: Arc::new(timer::ExpiryTimer(deps.clone())),
            consumer: SELF,
        },
        TimerSpec {
            handler: Arc::new(timer::DeadlineTimer(deps.clone())),
            consumer: SELF,
        },
    ]
}

/// What the public is told over a topic: all that followers of publications are.
pub fn publication(deps: Deps) -> Publication {
    let relay = "relay.published.list-changes";
    let followed = publication::Followed::new(deps);
    Publication::new(published::LIST_CHANGES, relay, logs::LISTS, followed)
}

/// The service.
///
/// # Panics
///
/// If one of [`consumers`] was not started: a wiring mistake that the first
/// start shows.
pub fn server(deps: Deps, readers: &Readers) -> ListsServiceServer<Lists> {
    ListsServiceServer::new(Lists::new(deps, readers))
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
) -> ListsServiceServer<Lists> {
    ListsServiceServer::new(Lists::new(deps, readers).with_followers(followers))
}
