//! Leases within a process: for tests, and where one process is all there is.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{Lease, Leases, Standing};
use crate::clock::Clock;
use crate::shard::Shard;
use crate::store::StoreError;

/// Leases in memory, by the clock that is passed in. Clones share them.
#[derive(Clone)]
pub struct MemoryLeases {
    clock: Arc<dyn Clock>,
    held: Arc<Mutex<Content>>,
}

#[derive(Default)]
struct Content {
    leases: BTreeMap<(&'static str, Shard), Held>,
    members: HashMap<(&'static str, Uuid), Timestamp>,
}

struct Held {
    epoch: u64,
    holder: Option<Uuid>,
    expires_at: Timestamp,
}

impl Held {
    /// Who holds it at a time.
    fn holder_at(&self, now: Timestamp) -> Option<Uuid> {
        self.holder.filter(|_| now < self.expires_at)
    }
}

impl MemoryLeases {
    /// Nothing is held.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            held: Arc::default(),
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, term: Duration) -> Timestamp {
        let term = SignedDuration::try_from(term).unwrap_or(SignedDuration::MAX);
        self.clock
            .wall()
            .saturating_add(term)
            .unwrap_or(Timestamp::MAX)
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn acquire(
        &self,
        holder: Uuid,
        wanted: &[(&'static str, Shard)],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let (now, expires_at) = (self.clock.wall(), self.end(term));
        let mut content = self.content();
        let mut acquired = Vec::with_capacity(wanted.len());
        for (name, shard) in wanted.iter().copied() {
            let held = content.leases.entry((name, shard)).or_insert(Held {
                epoch: 0,
                holder: None,
                expires_at,
            });
            if held.holder_at(now).is_some_and(|other| other != holder) {
                continue;
            }
            if held.holder != Some(holder) {
                held.epoch += 1;
            }
            held.holder = Some(holder);
            held.expires_at = expires_at;
            let epoch = held.epoch;
            acquired.push(Lease { name, shard, epoch });
        }
        Ok(acquired)
    }

    async fn renew(
        &self,
        holder: Uuid,
        held: &[Lease],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let expires_at = self.end(term);
        let mut content = self.content();
        let mut renewed = Vec::with_capacity(held.len());
        for lease in held {
            if let Some(held) = content.leases.get_mut(&(lease.name, lease.shard))
                && (held.holder, held.epoch) == (Some(holder), lease.epoch)
            {
                held.expires_at = expires_at;
                renewed.push(*lease);
            }
        }
        Ok(renewed)
    }

    async fn release(&self, holder: Uuid, held: &[Lease]) -> Result<(), StoreError> {
        let mut content = self.content();
        for lease in held {
            if let Some(held) = content.leases.get_mut(&(lease.name, lease.shard))
                && (held.holder, held.epoch) == (Some(holder), lease.epoch)
            {
                held.holder = None;
            }
        }
        Ok(())
    }

    async fn join(
        &self,
        member: Uuid,
        names: &[&'static str],
        term: Duration,
    ) -> Result<Vec<Standing>, StoreError> {
        let (now, expires_at) = (self.clock.wall(), self.end(term));
        let mut content = self.content();
        for name in names {
            content.members.insert((name, member), expires_at);
        }
        content.members.retain(|_, expires_at| now < *expires_at);
        let standing = |name: &&'static str| {
            let of_name = |(of, member): &(&'static str, Uuid)| (of == name).then_some(*member);
            let held = content.leases.iter().filter(|((of, _), _)| of == name);
            Standing {
                members: content
                    .members
                    .keys()
                    .filter_map(of_name)
                    .chain([member])
                    .collect(),
                held: held
                    .filter_map(|((_, shard), held)| Some((*shard, held.holder_at(now)?)))
                    .collect(),
            }
        };
        Ok(names.iter().map(standing).collect())
    }

    async fn leave(&self, member: Uuid, names: &[&'static str]) -> Result<(), StoreError> {
        let mut content = self.content();
        for name in names {
            content.members.remove(&(name, member));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::Fixture;
    use super::*;
    use crate::conformance::TestClock;

    struct Memory {
        clock: Arc<TestClock>,
        leases: MemoryLeases,
    }

    #[async_trait]
    impl Fixture for Memory {
        async fn create() -> Self {
            let clock = Arc::new(TestClock::default());
            let leases = MemoryLeases::new(clock.clone());
            Self { clock, leases }
        }

        async fn open(&self) -> Arc<dyn Leases> {
            Arc::new(self.leases.clone())
        }

        async fn pass(&self, time: Duration) {
            let time = SignedDuration::try_from(time).expect("in range");
            self.clock.set(self.clock.wall() + time);
        }
    }

    crate::lease_conformance!(Memory);
}
