//! Timers: due dates as a view of the log, fired as commands with derived ids.
//!
//! The view's keys start with the due date, so that what is due is one range.
//! Firing is effective on the due date however late it is recorded.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::consumer::{Progress, ReactError};
use crate::shard::Shard;
use crate::store::EventStore;

/// What a service does when something is due.
#[async_trait]
pub trait TimerHandler: Send + Sync + 'static {
    /// The view of due dates.
    fn view(&self) -> &'static str;

    /// Keys below this are due at `now`.
    fn due_before(&self, now: Timestamp) -> Vec<u8>;

    /// Fires a row: a command whose id is derived from the row's key. When it
    /// has been applied, the log's events take the row out of the view.
    ///
    /// # Errors
    ///
    /// [`ReactError`]: it is tried again at the next turn.
    async fn fire(&self, shard: Shard, key: Bytes, value: Bytes) -> Result<(), ReactError>;
}

/// A timer, before it is started.
pub struct Timer {
    /// Where the view is.
    pub store: Arc<dyn EventStore>,
    /// What fires.
    pub handler: Arc<dyn TimerHandler>,
    /// The consumer that writes the view.
    pub progress: Arc<Progress>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// How often the view is looked at, besides when the clock is moved.
    pub interval: Duration,
}

/// Rows fired at a time.
const BATCH: usize = 256;

impl Timer {
    /// Runs until `stop` is cancelled.
    pub fn start(self, stop: CancellationToken) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            stop.run_until_cancelled(self.run()).await;
        })
    }

    async fn run(self) {
        let mut moved = self.clock.moved();
        loop {
            moved.borrow_and_update();
            for shard in self.store.shards().all() {
                if let Err(error) = self.fire_due(shard).await {
                    tracing::warn!(view = self.handler.view(), shard = shard.0, error = %error, "timer tries again");
                }
            }
            tokio::select! {
                _ = moved.changed() => {}
                () = tokio::time::sleep(self.interval) => {}
            }
        }
    }

    async fn fire_due(&self, shard: Shard) -> Result<(), ReactError> {
        let due = self.handler.due_before(self.clock.now());
        let mut from = Vec::new();
        loop {
            let rows = self
                .store
                .scan(self.handler.view(), shard, &from, Some(&due), BATCH)
                .await?;
            let full = rows.len() == BATCH;
            let Some((last, _)) = rows.last() else {
                return Ok(());
            };
            from = last.to_vec();
            from.push(0);
            for (key, value) in rows {
                // One row that cannot fire must not hold back what is due after it.
                if let Err(error) = self.handler.fire(shard, key, value).await {
                    tracing::warn!(
                        view = self.handler.view(),
                        shard = shard.0,
                        error = %error,
                        "not fired, tried again at the next turn"
                    );
                }
            }
            if !full {
                return Ok(());
            }
        }
    }
}
