//! Where the logs are that a role reads: its own in its store, another role's
//! wherever that role keeps it.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::SignedDuration;
use tally_eventlog::append::HeadGuard;
use tally_eventlog::consumer::Progress;
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::{LogSource, StoreError};

use crate::logs;
use crate::wiring::CATCH_UP_WAIT;

/// By how much the clocks of two roles may differ. What hangs on it counts what
/// lies within it as late; `tally doctor` says where they differ by more.
pub const CLOCK_SKEW_MAX: SignedDuration = SignedDuration::from_secs(1);

/// The logs that a role can read, by name.
///
/// A role never looks for another's log in its own store: embedded, all are in
/// one; distributed, each role has its own, and this leads there.
#[derive(Clone)]
pub struct Sources {
    logs: Arc<HashMap<LogName, Arc<dyn LogSource>>>,
    /// True if all of them are in the role's own store.
    in_own_store: bool,
}

impl Sources {
    /// Each log from its own place.
    pub fn new(logs: impl IntoIterator<Item = (LogName, Arc<dyn LogSource>)>) -> Self {
        Self {
            logs: Arc::new(logs.into_iter().collect()),
            in_own_store: false,
        }
    }

    /// All logs of the mesh from the store that the roles share.
    pub fn all_in(store: Arc<dyn LogSource>) -> Self {
        Self {
            in_own_store: true,
            ..Self::new(logs::ALL.map(|log| (log, store.clone())))
        }
    }

    /// A guard that a log still ends there when a decision commits; nothing
    /// where the log is in another store, which no commit here can look into.
    pub fn head_guard(&self, log: LogName, shard: Shard, size: u64) -> Option<HeadGuard> {
        self.in_own_store.then_some(HeadGuard { log, shard, size })
    }

    /// By how much times that were recorded in two of the logs can differ although
    /// they are of one moment: nothing where one clock dates them all.
    pub fn clock_skew(&self) -> SignedDuration {
        if self.in_own_store {
            SignedDuration::ZERO
        } else {
            CLOCK_SKEW_MAX
        }
    }

    /// The source of a log.
    ///
    /// # Panics
    ///
    /// If the composition root did not name one: a wiring mistake that the
    /// first use shows.
    pub fn of(&self, log: LogName) -> &Arc<dyn LogSource> {
        self.logs
            .get(&log)
            .unwrap_or_else(|| panic!("log `{log}` has no source in this process"))
    }

    /// Number of records that the owner of a log has in a shard, as the owner
    /// says now.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: the owner cannot be asked; retry.
    ///
    /// # Panics
    ///
    /// As [`of`](Self::of).
    pub async fn size(&self, log: LogName, shard: Shard) -> Result<u64, StoreError> {
        let heads = self.of(log).heads(log).await?;
        let head = heads.get(usize::from(shard.0));
        head.map(Head::size)
            .ok_or_else(|| StoreError::new(format!("log {log} has no shard {shard}")))
    }

    /// Waits until a consumer has applied what its source holds on a shard now,
    /// so that a caller finds in a view what it has just written there. False: it
    /// did not within [`CATCH_UP_WAIT`], or the owner cannot be asked.
    ///
    /// # Panics
    ///
    /// As [`of`](Self::of).
    pub async fn caught_up(&self, progress: &Progress, shard: Shard) -> bool {
        let size = if self.in_own_store {
            Ok(*self
                .of(progress.log())
                .watch(progress.log(), shard)
                .borrow())
        } else {
            self.size(progress.log(), shard).await
        };
        match size {
            Ok(size) => progress.wait_for(shard, size, CATCH_UP_WAIT).await,
            Err(_) => false,
        }
    }

    /// The same for every shard.
    ///
    /// # Panics
    ///
    /// As [`of`](Self::of).
    pub async fn caught_up_everywhere(&self, progress: &Progress) -> bool {
        let log = progress.log();
        let source = self.of(log);
        let shards = source.shards().all();
        let sizes: Vec<u64> = if self.in_own_store {
            shards
                .map(|shard| *source.watch(log, shard).borrow())
                .collect()
        } else {
            match source.heads(log).await {
                Ok(heads) => heads.iter().map(Head::size).collect(),
                Err(_) => return false,
            }
        };
        let waits = source.shards().all().zip(sizes);
        let waits = waits.map(|(shard, size)| progress.wait_for(shard, size, CATCH_UP_WAIT));
        futures::future::join_all(waits)
            .await
            .into_iter()
            .all(|there| there)
    }
}

#[cfg(test)]
mod tests {
    use tally_eventlog::clock::{Clock, SystemClock};
    use tally_eventlog::group::GroupOptions;
    use tally_eventlog::memory::MemoryStore;
    use tally_eventlog::shard::ShardCount;

    use super::*;

    fn store(log: LogName) -> Arc<dyn LogSource> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let shards = ShardCount::new(2).expect("in range");
        Arc::new(MemoryStore::open(
            &[log],
            shards,
            clock,
            GroupOptions::default(),
            None,
        ))
    }

    #[tokio::test]
    async fn each_log_is_asked_of_its_owner() {
        let lists = store(logs::LISTS);
        let sanctions = store(logs::SANCTIONS);
        let sources = Sources::new([
            (logs::LISTS, lists.clone()),
            (logs::SANCTIONS, sanctions.clone()),
        ]);
        assert!(Arc::ptr_eq(sources.of(logs::LISTS), &lists));
        assert!(Arc::ptr_eq(sources.of(logs::SANCTIONS), &sanctions));
        assert_eq!(sources.size(logs::LISTS, Shard(1)).await.ok(), Some(0));
        assert!(sources.size(logs::LISTS, Shard(2)).await.is_err());
    }

    #[tokio::test]
    #[should_panic(expected = "log `feedback` has no source in this process")]
    async fn a_log_without_a_source_is_a_wiring_mistake() {
        Sources::new([(logs::LISTS, store(logs::LISTS))]).of(logs::FEEDBACK);
    }
}
