//! Audit: replay as JSON lines, what was in force on a day as known at a time,
//! rebuilding the views and comparing them, verifying the logs.
//!
//! Owns no log and no view. It reads the logs it is given and folds the
//! projections it is given, so that it names no other service.

mod as_of;
mod json;
mod known;
mod rebuild;
mod replay;
mod service;
mod verify;

use std::sync::Arc;

use tally_eventlog::clock::Clock;
use tally_eventlog::consumer::Projection;
use tally_eventlog::sealing::KeyRing;
use tally_eventlog::shard::LogName;
use tally_eventlog::store::{EventStore, LogSource};
use tally_proto::tally::audit::v1::audit_service_server::{AuditService, AuditServiceServer};
use tally_service::log_service::Logs;

/// What audit needs from the process it runs in.
#[derive(Clone)]
pub struct Audit {
    /// The logs it can read, and from where.
    pub logs: Logs,
    /// Consumers whose views are rebuilt and compared.
    pub targets: Vec<RebuildTarget>,
    /// The store that writes the log of lists, where this process is the one
    /// that writes it: then a recorded time is closed as soon as it has passed.
    pub lists_writer: Option<Arc<dyn EventStore>>,
    /// Leads from a person's number to the random id that stands for it.
    pub keyring: Arc<KeyRing>,
    /// Time: the clock from which `lists_writer` takes recorded times.
    pub clock: Arc<dyn Clock>,
}

/// A consumer whose views can be rebuilt from its source.
#[derive(Clone)]
pub struct RebuildTarget {
    /// Its name.
    pub consumer: &'static str,
    /// The log it reads.
    pub log: LogName,
    /// Where that log is read from.
    pub source: Arc<dyn LogSource>,
    /// Its views.
    pub projection: Arc<dyn Projection>,
    /// Where its views and checkpoints are.
    pub store: Arc<dyn EventStore>,
}

/// The service.
pub fn server(audit: Audit) -> AuditServiceServer<impl AuditService> {
    AuditServiceServer::new(service::Service::new(audit))
}
