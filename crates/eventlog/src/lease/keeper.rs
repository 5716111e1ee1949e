//! Keeps the leases of a process: one keeper per role and process.
//!
//! A lease is counted from before it was asked for, by a clock that never goes
//! back, and what runs under it is stopped a while before its term is over if it
//! could not be renewed. So a process that still runs is through before anybody
//! else can begin; one that stood still meanwhile is fenced by the checkpoints.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::held::{Held, Place, Places};
use super::{Lease, Leases, share};
use crate::shard::{Shard, ShardCount};
use crate::store::StoreError;
use crate::throttle::Throttle;

/// Bounds of a keeper.
#[derive(Debug, Clone)]
pub struct KeeperOptions {
    /// How long a lease lasts that is not renewed, and so how long the shards of a
    /// process that died wait for another. A keeper renews at a third of it.
    pub term: Duration,
}

impl Default for KeeperOptions {
    fn default() -> Self {
        Self {
            term: Duration::from_secs(5),
        }
    }
}

/// Keeps the leases of a process under all names of a role.
pub struct Keeper {
    leases: Arc<dyn Leases>,
    member: Uuid,
    options: KeeperOptions,
    names: BTreeMap<&'static str, Name>,
    /// What is held, and until when what runs under it may go on.
    held: BTreeMap<(&'static str, Shard), Tenure>,
}

struct Name {
    shards: ShardCount,
    places: Arc<Places>,
}

#[derive(Clone, Copy)]
struct Tenure {
    epoch: u64,
    until: Instant,
}

impl Keeper {
    /// Holds nothing yet.
    pub fn new(leases: Arc<dyn Leases>, options: KeeperOptions) -> Self {
        Self {
            leases,
            member: Uuid::new_v4(),
            options,
            names: BTreeMap::new(),
            held: BTreeMap::new(),
        }
    }

    /// Takes part in sharing the shards of one more name.
    pub fn join(&mut self, name: &'static str, shards: ShardCount) -> Held {
        let name = self.names.entry(name).or_insert_with(|| Name {
            shards,
            places: Arc::new(Places::new(shards, Place::Free)),
        });
        Held::leased(name.places.clone())
    }

    /// Takes its turn at every third of the term, and in between stops in time
    /// what could not be renewed. Once `stop` is cancelled and what ran has ended,
    /// everything is given back, so that nobody waits for it.
    pub fn start(mut self, stop: CancellationToken) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            stop.run_until_cancelled(self.keep()).await;
            let term = self.options.term;
            // A store that is away keeps nobody from stopping: the leases expire.
            if let Ok(Err(error)) = tokio::time::timeout(term, self.give_back()).await {
                report(&error.to_string());
            }
        })
    }

    async fn keep(&mut self) {
        let tick = self.options.term / 3;
        let mut next = Instant::now();
        loop {
            tokio::time::sleep_until(next.min(self.stops_next().unwrap_or(next))).await;
            let now = Instant::now();
            self.expire(now);
            if now < next {
                continue;
            }
            next = now + tick;
            // A store that does not answer must not keep anything running.
            let latest = next.min(self.stops_next().unwrap_or(next));
            match tokio::time::timeout_at(latest, self.turn(now)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => report(&error.to_string()),
                Err(_) => report("no answer in time"),
            }
        }
    }

    /// Renews what is held, gives what it holds beyond its share, and takes what
    /// it lacks. `now` is not later than the time of the call.
    ///
    /// It may be broken off, and is then repeated.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: what could be done is done; the next turn does the rest.
    pub async fn turn(&mut self, now: Instant) -> Result<(), StoreError> {
        self.expire(now);
        self.renew(now).await?;
        let names: Vec<&'static str> = self.names.keys().copied().collect();
        if names.is_empty() {
            return Ok(());
        }
        let term = self.options.term;
        let standings = self.leases.join(self.member, &names, term).await?;
        let (mut give, mut take) = (Vec::new(), Vec::new());
        for (name, standing) in names.into_iter().zip(standings) {
            let Name { shards, places } = &self.names[name];
            let share = share(*shards, &standing, self.member);
            let given: BTreeSet<Shard> = share.give.into_iter().collect();
            give.extend(given.iter().map(|shard| (name, *shard)));
            // Its own too where an answer was lost or it had to stop meanwhile.
            let own = standing.held.iter();
            let own = own.filter(|(shard, holder)| {
                **holder == self.member
                    && !given.contains(shard)
                    && !self.held.contains_key(&(name, **shard))
            });
            let wanted = share.take.into_iter().chain(own.map(|(shard, _)| *shard));
            take.extend(
                wanted
                    .filter(|shard| places.is_free(*shard))
                    .map(|shard| (name, shard)),
            );
        }
        self.give(give).await?;
        self.take(take, now).await
    }

    async fn renew(&mut self, now: Instant) -> Result<(), StoreError> {
        let held = self.held();
        if held.is_empty() {
            return Ok(());
        }
        let term = self.options.term;
        let renewed = self.leases.renew(self.member, &held, term).await?;
        let kept: BTreeSet<Lease> = renewed.into_iter().collect();
        for lease in held {
            let place = (lease.name, lease.shard);
            if !kept.contains(&lease) {
                tracing::warn!(lease = lease.name, shard = lease.shard.0, "lease lost");
                self.end(place);
            } else if let Some(tenure) = self.held.get_mut(&place) {
                tenure.until = now + term;
            }
        }
        Ok(())
    }

    /// Stops what runs, then gives the leases back.
    async fn give(&mut self, given: Vec<(&'static str, Shard)>) -> Result<(), StoreError> {
        let mut leases = Vec::new();
        for (name, shard) in given {
            if let Some(Tenure { epoch, .. }) = self.end((name, shard)) {
                leases.push(Lease { name, shard, epoch });
            }
        }
        for lease in &leases {
            self.names[lease.name].places.ended(lease.shard).await;
        }
        if leases.is_empty() {
            return Ok(());
        }
        self.leases.release(self.member, &leases).await
    }

    async fn take(
        &mut self,
        wanted: Vec<(&'static str, Shard)>,
        now: Instant,
    ) -> Result<(), StoreError> {
        if wanted.is_empty() {
            return Ok(());
        }
        let term = self.options.term;
        for lease in self.leases.acquire(self.member, &wanted, term).await? {
            let tenure = Tenure {
                epoch: lease.epoch,
                until: now + term,
            };
            self.held.insert((lease.name, lease.shard), tenure);
            self.names[lease.name]
                .places
                .grant(lease.shard, lease.epoch);
        }
        Ok(())
    }

    /// Stops what is past the time up to which it may run.
    fn expire(&mut self, now: Instant) {
        let margin = self.margin();
        let late = self.held.iter();
        let late = late.filter(|(_, tenure)| now + margin >= tenure.until);
        for place in late.map(|(place, _)| *place).collect::<Vec<_>>() {
            tracing::warn!(
                lease = place.0,
                shard = place.1.0,
                "lease not renewed in time"
            );
            self.end(place);
        }
    }

    /// Time for what runs to end before the term is over.
    fn margin(&self) -> Duration {
        self.options.term / 6
    }

    /// When the next lease has to be stopped that is not renewed before.
    fn stops_next(&self) -> Option<Instant> {
        let until = self.held.values().map(|tenure| tenure.until).min()?;
        Some(until - self.margin())
    }

    fn end(&mut self, (name, shard): (&'static str, Shard)) -> Option<Tenure> {
        let ended = self.held.remove(&(name, shard));
        self.names[name].places.end(shard);
        ended
    }

    /// What it holds.
    pub fn held(&self) -> Vec<Lease> {
        let lease = |(&(name, shard), tenure): (&(&'static str, Shard), &Tenure)| Lease {
            name,
            shard,
            epoch: tenure.epoch,
        };
        self.held.iter().map(lease).collect()
    }

    /// Stops everything, and takes part no longer.
    ///
    /// # Errors
    ///
    /// [`StoreError`]: what was not given back expires.
    pub async fn give_back(&mut self) -> Result<(), StoreError> {
        let names: Vec<&'static str> = self.names.keys().copied().collect();
        self.leases.leave(self.member, &names).await?;
        self.give(self.held.keys().copied().collect()).await
    }
}

fn report(error: &str) {
    static THROTTLE: Throttle = Throttle::minutely();
    if let Some(held_back) = THROTTLE.pass(error) {
        tracing::warn!(error, held_back, "leases are tried again");
    }
}
