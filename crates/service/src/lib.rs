//! What every service does in the same way: the catalogue it follows, how a
//! request becomes a command, how a result becomes a reply.

pub mod catalogue;
pub mod command;
pub mod field;
pub mod follow;
pub mod jws;
pub mod log_service;
pub mod open_streams;
pub mod page;
pub mod provisional;
pub mod published;
pub mod remote_log;
pub mod repeat;
pub mod reply;
pub mod sources;
pub mod subject;
pub mod told_pack;
pub mod wiring;

use std::sync::Arc;

use tally_eventlog::clock::Clock;
use tally_eventlog::execute::Executor;
use tally_eventlog::sealing::KeyRing;
use tally_eventlog::shard::LogName;
use tally_eventlog::store::EventStore;

pub use catalogue::{Catalogue, Policy};
pub use command::{CommandScope, digest, process_context, process_key, self_context};
pub use reply::{execute_fault, receipt, store_fault};
pub use sources::Sources;

/// The logs of the mesh.
pub mod logs {
    use tally_eventlog::shard::LogName;

    /// Log of the catalogue.
    pub const CATALOG: LogName = LogName("catalog");
    /// Log of collection.
    pub const COLLECTION: LogName = LogName("collection");
    /// Who was shown sealed fields of collection.
    pub const COLLECTION_ACCESS: LogName = LogName("collection-access");
    /// Log of lists.
    pub const LISTS: LogName = LogName("lists");
    /// Log of sanctions.
    pub const SANCTIONS: LogName = LogName("sanctions");
    /// Checks that were answered.
    pub const SANCTIONS_ACCESS: LogName = LogName("sanctions-access");
    /// Log of feedback.
    pub const FEEDBACK: LogName = LogName("feedback");

    /// All of them.
    pub const ALL: [LogName; 7] = [
        CATALOG,
        COLLECTION,
        COLLECTION_ACCESS,
        LISTS,
        SANCTIONS,
        SANCTIONS_ACCESS,
        FEEDBACK,
    ];

    /// The log of that name.
    pub fn by_name(name: &str) -> Option<LogName> {
        ALL.into_iter().find(|log| log.0 == name)
    }
}

/// What a service needs from the process it runs in.
#[derive(Clone)]
pub struct Deps {
    /// Its log.
    pub log: LogName,
    /// Its store: its own log and views, and nobody else's.
    pub store: Arc<dyn EventStore>,
    /// The logs that it reads, its own and those of other roles.
    pub sources: Sources,
    /// Executes commands on that store.
    pub executor: Executor,
    /// Seals and opens personal fields.
    pub keyring: Arc<KeyRing>,
    /// The policy packs.
    pub catalogue: Arc<Catalogue>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Deps {
    /// The same for another log.
    pub fn on(&self, log: LogName) -> Self {
        Self {
            log,
            ..self.clone()
        }
    }
}
