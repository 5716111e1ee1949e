//! How far a reader is on shards that another process holds, and whether an
//! operator holds it: from the store, as the holder writes it down there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::parked::{self, changes_row};
use super::progress::{Progress, paused_row};
use crate::shard::Shard;
use crate::store::{EventStore, StoreError};
use crate::throttle::Throttle;

/// How often the store is asked, besides when somebody waits for a shard.
pub(crate) const POLL: Duration = Duration::from_millis(200);

/// Follows the checkpoints of one reader.
pub(crate) struct Elsewhere {
    store: Arc<dyn EventStore>,
    progress: Arc<Progress>,
    /// What is parked is read again where this has changed.
    parked_changes: HashMap<Shard, Option<Bytes>>,
}

impl Elsewhere {
    /// Follows a reader until `stop` is cancelled.
    pub(crate) async fn follow(
        store: Arc<dyn EventStore>,
        progress: Arc<Progress>,
        stop: CancellationToken,
    ) {
        let elsewhere = Self {
            store,
            progress,
            parked_changes: HashMap::new(),
        };
        stop.run_until_cancelled(elsewhere.run()).await;
    }

    async fn run(mut self) {
        static THROTTLE: Throttle = Throttle::minutely();
        loop {
            if let Err(error) = self.look().await {
                let (consumer, error) = (self.progress.consumer(), error.to_string());
                if let Some(held_back) = THROTTLE.pass(&format!("{consumer}: {error}")) {
                    tracing::warn!(consumer, error, held_back, "checkpoints not read");
                }
            }
            tokio::select! {
                () = self.progress.asked() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Looks once, and tells what it saw.
    async fn look(&mut self) -> Result<(), StoreError> {
        let name = self.progress.consumer();
        let elsewhere = self.progress.elsewhere();
        let checkpoints = match elsewhere.is_empty() {
            true => Vec::new(),
            false => self.store.checkpoints(name).await?,
        };
        // Read after the checkpoints: a subject that was parked with one of them is
        // seen, and one that is seen too early makes an answer undetermined.
        let mut rows = vec![paused_row(name)];
        rows.extend(elsewhere.iter().map(|shard| changes_row(name, *shard)));
        let mut rows = self.store.rows(&rows).await?.into_iter();
        let paused = rows.next().flatten().is_some();
        self.progress.set_paused(paused);
        self.parked_changes
            .retain(|shard, _| elsewhere.contains(shard));
        for (shard, changes) in elsewhere.into_iter().zip(rows) {
            let checkpoint = checkpoints.get(usize::from(shard.0)).cloned().flatten();
            let mut parked = None;
            if self.parked_changes.get(&shard) != Some(&changes) {
                let mut counts: HashMap<String, usize> = HashMap::new();
                for event in parked::load(&*self.store, name, shard).await? {
                    *counts.entry(event.subject).or_default() += 1;
                }
                parked = Some(counts);
                self.parked_changes.insert(shard, changes);
            }
            self.progress.update_elsewhere(shard, |state| {
                let place = checkpoint.as_ref().map(|at| (at.next, at.log_id));
                (state.next, state.log_id) = place.unwrap_or_default();
                let seen_at = checkpoint.map(|at| at.seen_at);
                state.seen_at = seen_at.filter(|at| *at != Timestamp::UNIX_EPOCH);
                if let Some(parked) = parked {
                    state.parked = parked;
                }
            });
        }
        Ok(())
    }
}
