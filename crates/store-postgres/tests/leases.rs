//! The cases of leases on Postgres, and what only it has.

mod common;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::{LOG, SHARD, Schema, append};
use tally_eventlog::append::{Append, Checkpoint, CheckpointMove};
use tally_eventlog::lease::Leases;
use tally_eventlog::lease::conformance::Fixture;
use tally_eventlog::shard::Shard;
use uuid::Uuid;

#[async_trait]
impl Fixture for Schema {
    async fn create() -> Self {
        Self::with_store().await
    }

    async fn open(&self) -> Arc<dyn Leases> {
        Arc::new(Schema::open(self).await)
    }

    async fn pass(&self, time: Duration) {
        // The database's clock cannot be moved; what it is compared with can.
        let back = format!(
            "expires_at = expires_at - interval '{} ms'",
            time.as_millis()
        );
        self.run(&format!(
            "UPDATE lease SET {back}; UPDATE lease_member SET {back}"
        ))
        .await;
    }
}

tally_eventlog::lease_conformance!(Schema);

#[tokio::test]
async fn a_new_lease_begins_above_the_checkpoint_of_its_name() {
    let schema = Schema::with_store().await;
    let store = Schema::open(&schema).await;
    let moved = Append {
        checkpoint: Some(CheckpointMove {
            consumer: "lists.self",
            shard: SHARD,
            from: 0,
            to: Checkpoint::start(41),
        }),
        ..Append::to(LOG, SHARD)
    };
    append(&store, moved).await;
    let wanted = [("lists.self", SHARD), ("lists.self", Shard(2))];
    let term = Duration::from_secs(60);
    let acquired = store.acquire(Uuid::new_v4(), &wanted, term).await;
    let epochs: Vec<u64> = acquired
        .expect("free")
        .iter()
        .map(|lease| lease.epoch)
        .collect();
    assert_eq!(epochs, [42, 1]);
}
