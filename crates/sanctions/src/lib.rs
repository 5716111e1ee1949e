//! Sanctions: a listing meets the memoranda and becomes directives, one per
//! listing, measure and department; departments check before they decide.
//!
//! Owns the aggregates [`directive`], [`correction`] and [`decision`] on the log `sanctions`,
//! the checks on the log `sanctions-access`, and what it knows of `lists`: all
//! that is answered or refused here rests on that view, never on another
//! service's store.

mod answered;
pub mod assess;
pub mod basis;
mod check;
mod codec;
pub mod correction;
mod corrections;
pub mod decision;
mod decisions;
pub mod directive;
mod engine;
mod known;
mod mailbox;
pub mod memoranda;
mod process;
mod projection;
mod question;
mod receipt;
mod reconcile;
mod respond;
mod service;
mod settle;
mod token;

use std::sync::Arc;
use std::time::Duration;

use tally_proto::tally::sanctions::v1::sanctions_service_server::SanctionsServiceServer;
use tally_service::jws::Signer;
use tally_service::open_streams::OpenStreams;
use tally_service::wiring::{ConsumerSpec, Readers};
use tally_service::{Deps, logs};

pub use engine::CheckOptions;
pub use service::Sanctions;

/// Names of the consumers of this role.
pub mod consumer {
    /// Follows `lists`: what a check knows, and the directives of a listing.
    pub const LISTS: &str = "sanctions.lists";
    /// Follows the own log: directives and mailboxes.
    pub const SELF: &str = "sanctions.self";
    /// Follows the checks: whom to tell when an answer was wrong.
    pub const ACCESS: &str = "sanctions.access";
    /// Follows the records: decisions that need a check first.
    pub const COLLECTION: &str = "sanctions.collection";
}

/// Names of the views of this role.
pub mod view {
    /// All that a check needs of one subject.
    pub const SUBJECT: &str = "sanctions.subject";
    /// A directive in its present state.
    pub const DIRECTIVE: &str = "sanctions.directive";
    /// Directives of an entry.
    pub const ENTRY_DIRECTIVES: &str = "sanctions.entry_directives";
    /// Items per department, numbered without a gap per shard.
    pub const MAILBOX: &str = "sanctions.mailbox";
    /// Number of a mailbox's last item.
    pub const MAILBOX_HEAD: &str = "sanctions.mailbox_head";
    /// What has to be put right, by department.
    pub const CORRECTION: &str = "sanctions.correction";
    /// Checks that said an entry is in force.
    pub const CHECK: &str = "sanctions.check";
    /// Decisions that needed a check first, by department and verdict.
    pub const DECISION: &str = "sanctions.decision";
    /// Counts of them.
    pub const DECISION_COUNT: &str = "sanctions.decision_count";
}

/// How often it is written down that all of `lists` is known; well below the
/// age at which a check can no longer be answered.
const LISTS_IDLE_CHECKPOINT: Duration = Duration::from_millis(500);

/// How long answered checks wait for more, before it is looked whether one of
/// them has become wrong: most find nothing, and nobody waits for it.
const ACCESS_GATHER: Duration = Duration::from_millis(50);

/// The consumers that this role needs.
pub fn consumers(deps: &Deps) -> Vec<ConsumerSpec> {
    let deps = deps.on(logs::SANCTIONS);
    let shards = deps.store.shards();
    vec![
        ConsumerSpec {
            name: consumer::LISTS,
            source: logs::LISTS,
            projection: Arc::new(projection::ListsProjection),
            process: Some(Arc::new(process::ListsProcess::new(deps.clone()))),
            idle_checkpoint: Some(LISTS_IDLE_CHECKPOINT),
            gather: None,
        },
        ConsumerSpec {
            name: consumer::SELF,
            source: logs::SANCTIONS,
            projection: Arc::new(projection::SelfProjection),
            process: None,
            idle_checkpoint: None,
            gather: None,
        },
        ConsumerSpec {
            name: consumer::ACCESS,
            source: logs::SANCTIONS_ACCESS,
            projection: Arc::new(projection::AccessProjection { shards }),
            process: Some(Arc::new(process::AccessProcess::new(deps.clone()))),
            idle_checkpoint: None,
            gather: Some(ACCESS_GATHER),
        },
        ConsumerSpec {
            name: consumer::COLLECTION,
            source: logs::COLLECTION,
            projection: Arc::new(assess::CollectionProjection),
            process: Some(Arc::new(assess::CollectionProcess::new(deps))),
            idle_checkpoint: None,
            gather: None,
        },
    ]
}

/// The service, with the usual bounds of checks.
///
/// # Panics
///
/// Outside of a tokio runtime, or if the consumers of this role were not started.
pub fn server(deps: Deps, readers: &Readers) -> SanctionsServiceServer<Sanctions> {
    server_with(
        deps,
        readers,
        CheckOptions::default(),
        OpenStreams::default(),
        None,
    )
}

/// The service; `subscriptions` bounds those that are open, and ends them, and
/// receipts are signed by `signer`, if there is one.
///
/// # Panics
///
/// Outside of a tokio runtime, or if the consumers of this role were not started.
pub fn server_with(
    deps: Deps,
    readers: &Readers,
    options: CheckOptions,
    subscriptions: OpenStreams,
    signer: Option<Arc<Signer>>,
) -> SanctionsServiceServer<Sanctions> {
    let service = Sanctions::new(deps, readers, options, subscriptions, signer);
    SanctionsServiceServer::new(service)
}
