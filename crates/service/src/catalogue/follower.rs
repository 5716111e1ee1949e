//! Reads the log of the catalogue into what a process knows of it, and goes on.
//!
//! It is small and read from its beginning, so that there is no checkpoint: where the
//! log turns out to be another one, since it was restored from a backup, it is read
//! anew.

use std::sync::Arc;
use std::time::Duration;

use futures::future::select_all;
use tally_eventlog::event::Recorded;
use tally_eventlog::merkle::Hash;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::{Following, LogSource, StoreError, has_place};
use tally_eventlog::throttle::Throttle;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Catalogue;
use crate::logs;

/// Records read at a time.
const BATCH: usize = 1_000;

/// Pause before what failed is tried again, and between looks at whether the log
/// still is the one that was read.
const PAUSE: Duration = Duration::from_millis(500);

/// Why it is not further.
enum Halt {
    /// The log cannot be read now.
    Unread(StoreError),
    /// There is an event that this version does not know, or that is damaged.
    Unknown(String),
    /// The log is not the one that was read.
    Diverged,
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Unread(error)
    }
}

/// How far a shard has been read.
struct Place {
    shard: Shard,
    next: u64,
    /// Leaf of the last record that was read.
    leaf: Hash,
    doubts_settled: u64,
    grown: watch::Receiver<u64>,
    following: Option<Following>,
}

pub(super) struct Follower {
    source: Arc<dyn LogSource>,
    catalogue: Arc<Catalogue>,
    places: Vec<Place>,
}

impl Follower {
    /// Reads all there is into a catalogue.
    pub(super) async fn begin(
        source: Arc<dyn LogSource>,
        catalogue: Arc<Catalogue>,
    ) -> Result<Self, StoreError> {
        let mut follower = Self {
            places: places(&source),
            source,
            catalogue,
        };
        for place in &mut follower.places {
            match read(&*follower.source, place, &follower.catalogue).await {
                Err(Halt::Unread(error)) => return Err(error),
                Err(Halt::Unknown(reason)) => complain("is not applied", &reason),
                Err(Halt::Diverged) | Ok(()) => {}
            }
        }
        Ok(follower)
    }

    /// Reads what comes, until `stop` is cancelled.
    pub(super) async fn follow(mut self, stop: CancellationToken) {
        for place in &mut self.places {
            place.following =
                Following::begin(&self.source, logs::CATALOG, place.shard, place.next, None);
        }
        stop.run_until_cancelled(async move {
            loop {
                match self.catch_up().await {
                    Ok(()) => self.wait().await,
                    Err(Halt::Unread(error)) => {
                        complain("cannot be read", &error.to_string());
                        tokio::time::sleep(PAUSE).await;
                    }
                    Err(Halt::Unknown(reason)) => {
                        complain("is not applied any further", &reason);
                        tokio::time::sleep(PAUSE).await;
                    }
                    Err(Halt::Diverged) => self.begin_anew().await,
                }
            }
        })
        .await;
    }

    /// Waits for more records; where they come over a transport, also for the time
    /// to look whether it is still the same log.
    async fn wait(&mut self) {
        let grown = self
            .places
            .iter_mut()
            .map(|place| Box::pin(place.grown.changed()));
        let grown = select_all(grown);
        if self.source.remote().is_some() {
            let _ = tokio::time::timeout(PAUSE, grown).await;
        } else if grown.await.0.is_err() {
            // The store is gone, and with it whoever could append.
            std::future::pending::<()>().await;
        }
    }

    async fn catch_up(&mut self) -> Result<(), Halt> {
        for place in &mut self.places {
            verify_place(&*self.source, place).await?;
            place.grown.borrow_and_update();
            read(&*self.source, place, &self.catalogue).await?;
        }
        Ok(())
    }

    /// Reads the log from its beginning, and only then serves that instead.
    async fn begin_anew(&mut self) {
        tracing::warn!("the log of the catalogue is another one than was read; it is read anew");
        for place in &mut self.places {
            place.following = None;
        }
        let fresh = Arc::new(Catalogue::default());
        match Self::begin(self.source.clone(), fresh.clone()).await {
            Ok(begun) => {
                self.catalogue.replace(&fresh);
                self.places = begun.places;
                for place in &mut self.places {
                    place.following = Following::begin(
                        &self.source,
                        logs::CATALOG,
                        place.shard,
                        place.next,
                        None,
                    );
                }
            }
            Err(error) => {
                complain("cannot be read", &error.to_string());
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn places(source: &Arc<dyn LogSource>) -> Vec<Place> {
    let place = |shard| Place {
        shard,
        next: 0,
        leaf: [0; 32],
        doubts_settled: doubts(&**source, shard),
        grown: source.watch(logs::CATALOG, shard),
        following: None,
    };
    source.shards().all().map(place).collect()
}

fn doubts(source: &dyn LogSource, shard: Shard) -> u64 {
    let remote = source.remote();
    remote.map_or(0, |remote| remote.doubts(logs::CATALOG, shard))
}

/// Verifies that the log still has what was read last, where there are doubts.
async fn verify_place(source: &dyn LogSource, place: &mut Place) -> Result<(), Halt> {
    let doubts = doubts(source, place.shard);
    if doubts == place.doubts_settled {
        return Ok(());
    }
    if !has_place(source, logs::CATALOG, place.shard, place.next, &place.leaf).await? {
        return Err(Halt::Diverged);
    }
    place.doubts_settled = doubts;
    Ok(())
}

/// Reads what there is of a shard. What is wrong with a pack is said, and the pack
/// passed over; an event that may be anything is waited at.
async fn read(source: &dyn LogSource, place: &mut Place, into: &Catalogue) -> Result<(), Halt> {
    loop {
        let records = source
            .read(logs::CATALOG, place.shard, place.next, BATCH)
            .await?;
        for stored in &records {
            let at = format!("{}/{}/{}", logs::CATALOG, place.shard, stored.position);
            let event = Recorded::decode(logs::CATALOG, stored)
                .map_err(|error| Halt::Unknown(format!("{at}: {error}")))?;
            if !Catalogue::knows(&event.envelope.event_type) {
                return Err(Halt::Unknown(format!(
                    "{at} is a {}, which this version does not know; upgrade this role",
                    event.envelope.event_type
                )));
            }
            if let Err(reason) = into.apply(&event) {
                tracing::error!(at, reason, "pack not applied");
            }
            place.next = stored.position + 1;
            place.leaf = stored.leaf;
        }
        if records.len() < BATCH {
            return Ok(());
        }
    }
}

fn complain(what: &'static str, reason: &str) {
    static THROTTLE: Throttle = Throttle::minutely();
    if let Some(held_back) = THROTTLE.pass(reason) {
        tracing::error!(reason, held_back, "the catalogue {what}");
    }
}

#[cfg(test)]
mod tests;
