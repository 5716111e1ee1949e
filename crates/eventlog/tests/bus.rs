//! The buses' conformance suite in process: readers read the owner's log itself.

use std::sync::Arc;

use async_trait::async_trait;
use tally_eventlog::conformance::bus::{BusFixture, SourceSetup};
use tally_eventlog::relay::Transport;
use tally_eventlog::shard::{Shard, ShardCount};
use tally_eventlog::store::LogSource;

struct InProcess;

#[async_trait]
impl BusFixture for InProcess {
    async fn create(_shards: ShardCount) -> Self {
        Self
    }

    async fn transport(&self) -> Option<Arc<dyn Transport>> {
        None
    }

    async fn source(&self, setup: SourceSetup) -> Arc<dyn LogSource> {
        setup.owner
    }

    async fn lose_all(&self) {}

    async fn expire(&self, _shard: Shard) {}

    fn held_max(&self, _source: &dyn LogSource, _shard: Shard) -> Option<usize> {
        None
    }
}

tally_eventlog::bus_conformance!(InProcess);
