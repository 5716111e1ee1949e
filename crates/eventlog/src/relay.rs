//! The relay: hands the records of a role's own log to a transport, shard by
//! shard, in order, each at least once.
//!
//! It reads from a checkpoint, and moves that only over what was delivered, so
//! that a crash repeats and never skips. At the first failed delivery it gives
//! the producer up and goes on from the checkpoint: what was handed over after
//! a record that failed must not pass it for good.

mod shipper;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::consumer::{Elsewhere, Progress};
use crate::event::StoredRecord;
use crate::lease::Held;
use crate::shard::{LogName, Shard};
use crate::store::EventStore;
use shipper::Shipper;

/// Where a relay's records go.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Hands over records of one shard, in order, after those handed over
    /// before. Returns when it holds them all, however long that takes while its
    /// queue is full; whether they arrive is known later.
    async fn send(&self, shard: Shard, records: &[StoredRecord]) -> Sent;

    /// Gives up a producer and what it still holds; what comes next goes by a
    /// new one. Nothing, if that has been given up already.
    fn discard(&self, producer: u64);
}

/// Records that were handed over.
pub struct Sent {
    /// The producer that has them.
    pub producer: u64,
    /// Ends when it is known how many of them were delivered; always ends.
    pub delivery: BoxFuture<'static, Delivered>,
}

/// How a delivery went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// How many from the front were delivered.
    pub records: usize,
    /// Why the next one was not; nothing if all were.
    pub failure: Option<String>,
}

/// What outsiders are told of a log: not its records, but messages with a
/// contract of their own.
#[async_trait]
pub trait Outward: Send + Sync + 'static {
    /// What is told of these records of one shard, in order. It may be asked
    /// again of the same.
    ///
    /// # Errors
    ///
    /// Why it cannot be said now: it is asked again.
    async fn messages(&self, records: &[StoredRecord]) -> Result<Vec<Outgoing>, String>;
}

/// A message for outsiders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Position of the record that it is told of.
    pub position: u64,
    /// Its key.
    pub key: String,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its value.
    pub value: Bytes,
}

/// Bounds of a relay.
#[derive(Debug, Clone)]
pub struct RelayOptions {
    /// Records per batch. More raise throughput, and what is repeated after a crash.
    pub batch_records_max: usize,
    /// Batches of a shard that are handed over before the first of them is
    /// delivered. Bounds memory, and what is repeated after a failure.
    pub batches_in_flight_max: usize,
    /// Bytes of a shard that are handed over and not delivered: from there on it waits
    /// until some are.
    pub bytes_in_flight_max: usize,
    /// How long what has come waits for more after a batch that was not full,
    /// so that there are not as many commits of checkpoints as records.
    pub gather: Duration,
    /// Pause after a failure; doubles with each in a row.
    pub retry_pause: Duration,
    /// The longest pause.
    pub retry_pause_max: Duration,
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            batch_records_max: 500,
            batches_in_flight_max: 4,
            bytes_in_flight_max: 4 << 20,
            gather: Duration::from_millis(5),
            retry_pause: Duration::from_millis(100),
            retry_pause_max: Duration::from_secs(10),
        }
    }
}

/// A relay, before it is started.
pub struct Relay {
    /// Its name, for example `relay.lists`: owns the checkpoints.
    pub name: &'static str,
    /// The log that it reads, of the same store.
    pub log: LogName,
    /// Where the log and the checkpoints are.
    pub store: Arc<dyn EventStore>,
    /// Where the records go.
    pub transport: Arc<dyn Transport>,
    /// The shards that it runs on.
    pub held: Held,
    /// Bounds.
    pub options: RelayOptions,
}

impl Relay {
    /// Starts relaying each shard that is held, whenever it is, until `stop` is cancelled.
    pub fn start(self, stop: CancellationToken) -> RelayHandle {
        let shards = self.store.shards();
        let progress = Arc::new(Progress::new(self.name, self.log, shards));
        let places = self.held.places(shards);
        let mut tasks = JoinSet::new();
        if self.held.is_shared() {
            progress.share_by(self.store.clone());
            tasks.spawn(Elsewhere::follow(
                self.store.clone(),
                progress.clone(),
                stop.clone(),
            ));
        }
        let relay = Arc::new(self);
        for shard in shards.all() {
            let (relay, progress, places) = (relay.clone(), progress.clone(), places.clone());
            let stop = stop.clone();
            tasks.spawn(async move {
                let work = |epoch, stop| {
                    Shipper::new(relay.clone(), shard, epoch, progress.clone()).run(stop)
                };
                places.run(shard, &progress, stop, work).await;
            });
        }
        RelayHandle { progress, tasks }
    }
}

/// A running relay.
pub struct RelayHandle {
    progress: Arc<Progress>,
    tasks: JoinSet<()>,
}

impl RelayHandle {
    /// How far it is: to be listed among the readers, and to pause it.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Waits until it has ended, after `stop` was cancelled.
    pub async fn join(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}
