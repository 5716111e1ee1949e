//! What of its shards a process holds, by name of the reader or relay.

use std::time::Duration;

use tally_eventlog::lease::{Held, Keeper, KeeperOptions};
use tally_eventlog::shard::ShardCount;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Store;

/// The shares of a process: all there is of a store that it has for itself, what
/// it has leases of where there may be replicas.
pub(super) enum Shares {
    All { epoch: u64 },
    Leased(Keeper),
}

impl Shares {
    pub(super) fn of(store: &Store, term: Duration) -> Self {
        match store {
            Store::Sqlite(store) => Self::All {
                epoch: store.epoch(),
            },
            Store::Postgres(store) => {
                Self::Leased(Keeper::new(store.clone(), KeeperOptions { term }))
            }
        }
    }

    /// The shards of one more name.
    pub(super) fn join(&mut self, name: &'static str, shards: ShardCount) -> Held {
        match self {
            Self::All { epoch } => Held::all(*epoch),
            Self::Leased(keeper) => keeper.join(name, shards),
        }
    }

    /// Begins to share, once all names have joined; ends when `stop` is cancelled and
    /// all has been given back.
    pub(super) fn start(self, stop: CancellationToken) -> Option<JoinHandle<()>> {
        match self {
            Self::All { .. } => None,
            Self::Leased(keeper) => Some(keeper.start(stop)),
        }
    }
}
