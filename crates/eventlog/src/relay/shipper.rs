//! Relays one shard.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Delivered, Relay, Sent};
use crate::append::{Append, AppendError, Checkpoint, CheckpointMove};
use crate::consumer::{Progress, Stopped, fenced};
use crate::event::{Recorded, StoredRecord};
use crate::page::Page;
use crate::shard::Shard;
use crate::store::{StoreError, has_place};
use crate::throttle::Throttle;

pub(super) struct Shipper {
    relay: Arc<Relay>,
    shard: Shard,
    /// Of the lease that it runs under.
    epoch: u64,
    progress: Arc<Progress>,
    checkpoint: Checkpoint,
    /// Number of records handed over.
    handed: u64,
    in_flight: VecDeque<InFlight>,
    page: Page,
    /// Before that, what has come waits for more.
    next_read: Instant,
    pause: Duration,
}

struct InFlight {
    producer: u64,
    records: Vec<StoredRecord>,
    delivery: BoxFuture<'static, Delivered>,
}

/// Why it does not simply go on.
enum Halt {
    /// Go on from the checkpoint after a pause.
    Retry(String),
    Stop(Stopped),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Retry(error.to_string())
    }
}

impl Shipper {
    pub(super) fn new(
        relay: Arc<Relay>,
        shard: Shard,
        epoch: u64,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            checkpoint: Checkpoint::start(epoch),
            pause: relay.options.retry_pause,
            page: Page::new(
                relay.options.batch_records_max,
                relay.options.bytes_in_flight_max / relay.options.batches_in_flight_max.max(1),
            ),
            relay,
            shard,
            epoch,
            progress,
            handed: 0,
            in_flight: VecDeque::new(),
            next_read: Instant::now(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        // A transport that panics must be seen as a stopped relay, not as one that lags.
        let running = AssertUnwindSafe(self.run_until_stopped()).catch_unwind();
        let stopped = match stop.run_until_cancelled(running).await {
            None => return,
            Some(Ok(stopped)) => stopped,
            Some(Err(_)) => Stopped {
                reason: "PANICKED",
                message: "the relay failed on a record, which is a bug: report it with the log's \
                          last lines, and start the process again"
                    .to_owned(),
            },
        };
        tracing::error!(
            relay = self.relay.name,
            shard = self.shard.0,
            reason = stopped.reason,
            message = stopped.message,
            "relay stopped"
        );
        self.progress
            .update(self.shard, |state| state.stopped = Some(stopped));
    }

    async fn run_until_stopped(&mut self) -> Stopped {
        let mut begun = false;
        loop {
            let outcome = match begun {
                false => self.begin().await.map(|()| begun = true),
                true => self.relay_until_halt().await,
            };
            match outcome {
                Ok(()) => {}
                Err(Halt::Stop(stopped)) => return stopped,
                Err(Halt::Retry(reason)) => {
                    begun = false;
                    self.rest(&reason).await;
                }
            }
        }
    }

    /// Pauses after a failure, each time longer.
    async fn rest(&mut self, reason: &str) {
        static THROTTLE: Throttle = Throttle::minutely();
        let name = self.relay.name;
        if let Some(held_back) = THROTTLE.pass(&format!("{name}: {reason}")) {
            tracing::warn!(
                relay = name,
                shard = self.shard.0,
                reason,
                held_back,
                "relay tries again"
            );
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(self.relay.options.retry_pause_max);
    }

    /// Loads the checkpoint and goes back to it.
    async fn begin(&mut self) -> Result<(), Halt> {
        let relay = &self.relay;
        self.in_flight.clear();
        let stored = relay.store.checkpoints(relay.name).await?;
        let stored = stored.into_iter().nth(usize::from(self.shard.0)).flatten();
        if let Some(checkpoint) = stored {
            if checkpoint.epoch > self.epoch {
                return Err(Halt::Stop(fenced(checkpoint.epoch)));
            }
            self.checkpoint = Checkpoint {
                epoch: self.epoch,
                ..checkpoint
            };
        }
        self.verify_place().await?;
        self.handed = self.checkpoint.next;
        let next = self.checkpoint.next;
        self.progress.update(self.shard, |state| state.next = next);
        Ok(())
    }

    /// The checkpoint is restored together with the log, or one of them is not.
    async fn verify_place(&mut self) -> Result<(), Halt> {
        let (relay, shard, at) = (&self.relay, self.shard, &self.checkpoint);
        if has_place(&*relay.store, relay.log, shard, at.next, &at.leaf).await? {
            return Ok(());
        }
        let last = at.next - 1;
        Err(Halt::Stop(Stopped {
            reason: "LOG_DIVERGED",
            message: format!(
                "{} has relayed {}/{shard}/{last}, and its own store has another record there, or \
                 none: checkpoint and log were not restored together; reconcile with `tally reconcile`",
                relay.name, relay.log
            ),
        }))
    }

    async fn relay_until_halt(&mut self) -> Result<(), Halt> {
        let relay = self.relay.clone();
        let mut grown = relay.store.watch(relay.log, self.shard);
        let mut paused = self.progress.paused();
        loop {
            let held = *paused.borrow_and_update();
            grown.borrow_and_update();
            let full = self.is_full();
            let waits = Instant::now() < self.next_read;
            if !held && !full && !waits && self.hand_over().await? {
                continue;
            }
            tokio::select! {
                Some(delivered) = front(&mut self.in_flight) => self.settle(delivered).await?,
                _ = grown.changed(), if !held && !full && !waits => {}
                () = tokio::time::sleep_until(self.next_read), if waits => {}
                _ = paused.changed() => {}
            }
        }
    }

    /// Bytes that are handed over and not delivered.
    fn bytes_in_flight(&self) -> usize {
        self.in_flight
            .iter()
            .map(|batch| bytes(&batch.records))
            .sum()
    }

    fn is_full(&self) -> bool {
        let options = &self.relay.options;
        self.in_flight.len() >= options.batches_in_flight_max
            || self.bytes_in_flight() >= options.bytes_in_flight_max
    }

    /// Hands over the next batch. False: there is none.
    async fn hand_over(&mut self) -> Result<bool, Halt> {
        let relay = &self.relay;
        let limit = self.page.limit();
        let (log, shard) = (relay.log, self.shard);
        let mut records = relay.store.read(log, shard, self.handed, limit).await?;
        self.page.took(&records);
        let is_part = records.len() < limit;
        // Larger ones may have come than the last ones were: the rest is read again.
        let room = relay.options.bytes_in_flight_max;
        while records.len() > 1 && bytes(&records) > room {
            records.truncate(records.len() / 2);
        }
        let Some(last) = records.last() else {
            return Ok(false);
        };
        if is_part {
            self.next_read = Instant::now() + relay.options.gather;
        }
        self.handed = last.position + 1;
        let Sent { producer, delivery } = relay.transport.send(shard, &records).await;
        self.in_flight.push_back(InFlight {
            producer,
            records,
            delivery,
        });
        Ok(true)
    }

    /// Moves the checkpoint over what was delivered.
    async fn settle(&mut self, mut delivered: Delivered) -> Result<(), Halt> {
        let mut last = None;
        let failed = loop {
            let Some(batch) = self.in_flight.pop_front() else {
                break None;
            };
            if let Some(at) = delivered.records.checked_sub(1) {
                last = batch.records.get(at).cloned();
            }
            if let Some(reason) = delivered.failure {
                break Some((batch.producer, reason));
            }
            // What is known by now goes into the same commit.
            match front(&mut self.in_flight).now_or_never().flatten() {
                Some(next) => delivered = next,
                None => break None,
            }
        };
        let moved = match last {
            Some(last) => self.commit(&last).await,
            None => Ok(()),
        };
        if let Some((producer, reason)) = failed {
            self.relay.transport.discard(producer);
            moved?;
            return Err(Halt::Retry(reason));
        }
        self.pause = self.relay.options.retry_pause;
        moved
    }

    async fn commit(&mut self, last: &StoredRecord) -> Result<(), Halt> {
        let relay = &self.relay;
        let recorded = Recorded::decode(relay.log, last).map_err(|error| {
            Halt::Stop(Stopped {
                reason: "DECODE",
                message: error.to_string(),
            })
        })?;
        let to = Checkpoint {
            next: last.position + 1,
            log_id: recorded.log_id,
            leaf: last.leaf,
            ..self.checkpoint.clone()
        };
        let append = Append {
            checkpoint: Some(CheckpointMove {
                consumer: relay.name,
                shard: self.shard,
                from: self.checkpoint.next,
                to: to.clone(),
            }),
            ..Append::to(relay.log, self.shard)
        };
        let outcome = relay.store.append(vec![append]).await.pop();
        match outcome.expect("one result per append") {
            Ok(_) => {
                let next = to.next;
                self.checkpoint = to;
                self.progress.update(self.shard, |state| state.next = next);
                Ok(())
            }
            // The stored checkpoint says whether another holder has the shard, or
            // an unknown outcome had been applied after all.
            Err(AppendError::CheckpointMoved { .. }) => {
                Err(Halt::Retry("the checkpoint had moved".to_owned()))
            }
            Err(error) => Err(Halt::Retry(error.to_string())),
        }
    }
}

fn bytes(records: &[StoredRecord]) -> usize {
    records.iter().map(|record| record.bytes.len()).sum()
}

/// How the oldest batch went; nothing where none is in flight.
async fn front(in_flight: &mut VecDeque<InFlight>) -> Option<Delivered> {
    match in_flight.front_mut() {
        Some(batch) => Some((&mut batch.delivery).await),
        None => None,
    }
}
