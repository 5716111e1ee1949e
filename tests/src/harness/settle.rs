//! Waiting for a mesh: what its readers have applied, and holding them.

use std::collections::BTreeMap;
use std::time::Duration;

use tally::client::Client;
use tally::mesh::Mesh;
use tally::role::Role;
use tally_eventlog::shard::LogName;
use tally_proto::tally::log::v1::GetHeadsRequest;
use tally_proto::tally::node::v1 as node;

use super::{Harness, LOOK_AGAIN, Running};
use crate::patience::{PATIENCE, answered};

impl Harness {
    /// Holds a reader where it is, or lets it go on.
    ///
    /// # Panics
    ///
    /// If no process has it.
    pub async fn hold(&self, consumer: &str, paused: bool) {
        let operator = self.operator().await;
        let held = async {
            // It answers also where the reader has not seen yet that it is held.
            while !told_to_hold(&operator, consumer, paused).await {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let held = tokio::time::timeout(PATIENCE, held).await;
        held.unwrap_or_else(|_| panic!("there is no reader {consumer} that is held: {paused}"));
    }

    /// Waits until every consumer has applied all there is, and what follows
    /// from it. Fails the test if that takes longer than a minute.
    ///
    /// # Panics
    ///
    /// If it takes too long.
    pub async fn settle(&self) {
        self.settle_within(Duration::from_secs(60)).await;
    }

    /// The same with another bound.
    ///
    /// # Panics
    ///
    /// If it takes longer.
    pub async fn settle_within(&self, limit: Duration) {
        let settled = async {
            match &self.mesh {
                Running::Whole(mesh) => self.settle_whole(mesh, limit).await,
                Running::Roles(_) => self.settle_roles().await,
            }
        };
        tokio::time::timeout(limit, settled)
            .await
            .expect("the mesh settles in time");
    }

    /// An effect makes new records for other consumers: settled is when nothing
    /// grew during a whole round.
    async fn settle_whole(&self, mesh: &Mesh, limit: Duration) {
        loop {
            let before = self.sizes().await;
            for progress in mesh.readers.iter() {
                for shard in mesh.store.shards().all() {
                    let size = *mesh.store.watch(progress.log(), shard).borrow();
                    progress.wait_for(shard, size, limit).await;
                }
            }
            if self.sizes().await == before {
                return;
            }
        }
    }

    /// The same of several processes, asked from outside.
    async fn settle_roles(&self) {
        let operator = self.operator().await;
        let mut before = BTreeMap::new();
        loop {
            let sizes = sizes(&operator).await;
            let mut done = sizes == before;
            for role in operator.processes() {
                let status = status(&operator, *role).await;
                for reader in status.readers {
                    let behind = |(applied, size): (&u64, &u64)| applied < size;
                    let size = &sizes[&reader.source];
                    let behind = reader.applied.iter().zip(size).any(behind);
                    done &= !behind || !reader.stopped.is_empty();
                }
            }
            if done {
                return;
            }
            before = sizes;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Number of records in every shard of every log.
    pub async fn sizes(&self) -> BTreeMap<String, Vec<u64>> {
        let Running::Whole(mesh) = &self.mesh else {
            return sizes(&self.operator().await).await;
        };
        let sizes = |log: &LogName| {
            let shards = mesh.store.shards().all();
            let sizes = shards.map(|shard| *mesh.store.watch(*log, shard).borrow());
            (log.to_string(), sizes.collect())
        };
        tally_service::logs::ALL.iter().map(sizes).collect()
    }
}

/// Tells every process to hold a reader, or to let it go on, and says whether the one
/// that has it does.
async fn told_to_hold(operator: &Client, consumer: &str, paused: bool) -> bool {
    let mut held = false;
    for role in operator.processes() {
        let request = node::PauseReaderRequest {
            consumer: consumer.to_owned(),
            paused,
        };
        if operator.node(*role).pause_reader(request).await.is_ok() {
            let readers = status(operator, *role).await.readers;
            let mut of_name = readers.iter().filter(|reader| reader.consumer == consumer);
            held |= of_name.any(|reader| reader.paused == paused);
        }
    }
    held
}

/// What the process of a role says of itself.
pub(crate) async fn status(operator: &Client, role: Role) -> node::GetStatusResponse {
    let request = node::GetStatusRequest {};
    let answer = answered(|| async { operator.node(role).get_status(request).await }).await;
    answer.expect("a status")
}

/// Number of records in every shard of every log, as the owners say.
async fn sizes(operator: &Client) -> BTreeMap<String, Vec<u64>> {
    let mut sizes = BTreeMap::new();
    for log in tally_service::logs::ALL {
        let request = GetHeadsRequest {
            log: log.to_string(),
        };
        let owner = Role::owner_of(log);
        let heads = answered(|| async { operator.log(owner).get_heads(request.clone()).await });
        let heads = heads.await.expect("the owner answers").heads;
        sizes.insert(
            log.to_string(),
            heads.iter().map(|head| head.size).collect(),
        );
    }
    sizes
}
