//! The shards of a name that this process holds, for those who run under them.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::consumer::Progress;
use crate::shard::{Shard, ShardCount};

/// The shards of a name that this process holds: all of them for good, or those
/// that a [`Keeper`](super::Keeper) has a lease of, as they come and go.
#[derive(Debug, Clone)]
pub struct Held(Kind);

#[derive(Debug, Clone)]
enum Kind {
    All { epoch: u64 },
    Leased(Arc<Places>),
}

impl Held {
    /// Every shard, under one epoch, for as long as the process lives: where no
    /// other process can open the store.
    pub fn all(epoch: u64) -> Self {
        Self(Kind::All { epoch })
    }

    pub(super) fn leased(places: Arc<Places>) -> Self {
        Self(Kind::Leased(places))
    }

    /// True if other processes may hold what this one does not.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Kind::Leased(_))
    }

    /// The places of those who run under it.
    ///
    /// # Panics
    ///
    /// If it was leased for another number of shards: a wiring mistake that the
    /// first start shows.
    pub(crate) fn places(&self, shards: ShardCount) -> Arc<Places> {
        match &self.0 {
            Kind::All { epoch } => Arc::new(Places::new(shards, Place::Granted(*epoch))),
            Kind::Leased(places) => {
                assert_eq!(places.0.len(), usize::from(shards.get()), "shards leased");
                places.clone()
            }
        }
    }
}

/// What is done with one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nothing: it is not held, or nothing runs under it yet.
    Free,
    /// It may begin under this epoch.
    Granted(u64),
    /// It runs.
    Running(u64),
    /// It has to end.
    Ending,
}

/// What is done with each shard of a name. One side grants and ends, the other
/// runs.
pub(crate) struct Places(Vec<watch::Sender<Place>>);

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|place| *place.borrow()))
            .finish()
    }
}

impl Places {
    pub(super) fn new(shards: ShardCount, place: Place) -> Self {
        Self(shards.all().map(|_| watch::Sender::new(place)).collect())
    }

    fn of(&self, shard: Shard) -> &watch::Sender<Place> {
        &self.0[usize::from(shard.0)]
    }

    /// True if it may begin at once.
    pub(crate) fn is_granted(&self, shard: Shard) -> bool {
        matches!(*self.of(shard).borrow(), Place::Granted(_))
    }

    /// True if nothing runs and nothing may begin.
    pub(super) fn is_free(&self, shard: Shard) -> bool {
        *self.of(shard).borrow() == Place::Free
    }

    /// Lets a free shard begin.
    pub(super) fn grant(&self, shard: Shard, epoch: u64) {
        self.of(shard).send_if_modified(|place| {
            let free = *place == Place::Free;
            if free {
                *place = Place::Granted(epoch);
            }
            free
        });
    }

    /// Says that what runs has to end.
    pub(super) fn end(&self, shard: Shard) {
        self.of(shard).send_if_modified(|place| {
            let before = *place;
            *place = match before {
                Place::Free | Place::Granted(_) => Place::Free,
                Place::Running(_) | Place::Ending => Place::Ending,
            };
            *place != before
        });
    }

    /// Waits until nothing runs.
    pub(super) async fn ended(&self, shard: Shard) {
        let mut place = self.of(shard).subscribe();
        // The sender is here.
        let _ = place.wait_for(|place| *place == Place::Free).await;
    }

    /// Does `work` for as long as a shard is held, each time that it is, until
    /// `stop` is cancelled. `work` ends early when its token is cancelled, and
    /// may end by itself, which is then its last word under that lease.
    pub(crate) async fn run<F, W>(
        &self,
        shard: Shard,
        progress: &Progress,
        stop: CancellationToken,
        mut work: F,
    ) where
        F: FnMut(u64, CancellationToken) -> W,
        W: Future<Output = ()>,
    {
        let place = self.of(shard);
        while let Some(epoch) = stop.run_until_cancelled(begun(place)).await {
            progress.update(shard, |state| {
                state.held = true;
                state.stopped = None;
            });
            let tenure = stop.child_token();
            let mut changes = place.subscribe();
            let ending = changes.wait_for(|place| *place == Place::Ending);
            let ended = tenure.clone();
            let watching = async {
                let _ = stop.run_until_cancelled(ending).await;
                ended.cancel();
            };
            tokio::join!(work(epoch, tenure), watching);
            let stops = stop.is_cancelled();
            progress.update(shard, |state| {
                state.held = false;
                // What a process ends with is looked at after it.
                if !stops {
                    state.stopped = None;
                }
            });
            place.send_replace(Place::Free);
        }
    }
}

/// Waits until a shard is granted, and begins.
async fn begun(place: &watch::Sender<Place>) -> u64 {
    let mut changes = place.subscribe();
    loop {
        let mut epoch = None;
        place.send_if_modified(|place| {
            if let Place::Granted(granted) = *place {
                epoch = Some(granted);
                *place = Place::Running(granted);
            }
            epoch.is_some()
        });
        if let Some(epoch) = epoch {
            return epoch;
        }
        // The sender is here.
        let _ = changes.changed().await;
    }
}
