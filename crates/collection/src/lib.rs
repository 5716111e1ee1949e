//! Collection: records come in from departments, are judged by the catalogue
//! item they claim, and get a receipt or every reason against them.
//!
//! Owns the aggregates `record` and `quarantine` and the counts of refused rows
//! in the log `collection`, the log `collection-access` of who was shown sealed
//! fields, and the views `collection.record`, `collection.timeliness`,
//! `collection.quarantine` and `collection.quarantine_count`.

pub mod codec;
pub mod figures;
pub mod opening;
pub mod projection;
pub mod quarantine;
pub mod record;
pub mod refusals;

mod amend;
mod answer;
mod chunk;
mod content;
mod draft;
mod fields;
mod intake;
mod process;
mod publication;
mod push;
mod query;
mod service;
mod settle;
mod timeliness;

use std::sync::Arc;

use tally_domain::department::DepartmentId;
use tally_service::published::{self, Publication};
use tally_service::wiring::ConsumerSpec;
use tally_service::{Deps, logs};

pub use intake::record_id;
pub use projection::CollectionViews;
pub use service::{server, server_with};

/// The consumer that writes the views of collection.
pub const CONSUMER: &str = "collection.self";

/// What a department is told over a topic: the new registrations of all divisions,
/// as far as they are shared with it. The topic is for nobody else.
pub fn publication(deps: Deps, reader: DepartmentId) -> Publication {
    let relay = "relay.published.registrations";
    let scope = publication::Scope::registrations_for(reader);
    let followed = publication::Followed::new(deps, scope, publication::registration);
    Publication::new(published::REGISTRATIONS, relay, logs::COLLECTION, followed)
}

/// The consumers that the service needs.
pub fn consumers(deps: &Deps) -> Vec<ConsumerSpec> {
    vec![ConsumerSpec {
        name: CONSUMER,
        source: logs::COLLECTION,
        projection: Arc::new(CollectionViews),
        process: Some(Arc::new(process::Leaving(deps.clone()))),
        idle_checkpoint: None,
        gather: None,
    }]
}
