//! Leases: what has effects runs once per shard, in one of several processes.
//!
//! A lease says who may; it does not stop one who has stopped looking. What does
//! is its *epoch*, which grows with each change of holder: a checkpoint that was
//! written under a later epoch refuses an earlier one.

pub mod conformance;
mod held;
mod keeper;
mod memory;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::shard::{Shard, ShardCount};
use crate::store::StoreError;

pub use held::Held;
pub(crate) use held::Places;
pub use keeper::{Keeper, KeeperOptions};
pub use memory::MemoryLeases;

/// A lease that the asker held when it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// What is leased, usually the name of a consumer.
    pub name: &'static str,
    /// On which shard.
    pub shard: Shard,
    /// Grows with each change of holder.
    pub epoch: u64,
}

/// Who shares the shards of a name, as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The members, the asker among them.
    pub members: BTreeSet<Uuid>,
    /// Who holds which shard; what is missing is free.
    pub held: BTreeMap<Shard, Uuid>,
}

/// The leases of a role.
///
/// A holder counts a lease's term from before it asked for it, by a clock of its
/// own that never goes back, and stops when it has not been able to renew in time;
/// the store counts it from when it was asked. So the holder is through before
/// anybody else can begin, whatever their clocks say.
///
/// # Errors
///
/// [`StoreError`]: what was asked for may have been done; ask again. All of it may
/// be repeated.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Takes for a term what nobody holds any more, and what `holder` holds anyhow.
    /// What is missing in the answer is held by others.
    async fn acquire(
        &self,
        holder: Uuid,
        wanted: &[(&'static str, Shard)],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError>;

    /// Extends leases to a term from now. What is missing in the answer is lost:
    /// stop what runs under it.
    async fn renew(
        &self,
        holder: Uuid,
        held: &[Lease],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError>;

    /// Gives leases back; those that were lost already stay with whom they are.
    async fn release(&self, holder: Uuid, held: &[Lease]) -> Result<(), StoreError>;

    /// Says that `member` wants its share of the shards of each name, for a term, and
    /// learns who else does; answered in the order of the names, which are different.
    /// It renews what it holds before: what has expired counts as free.
    async fn join(
        &self,
        member: Uuid,
        names: &[&'static str],
        term: Duration,
    ) -> Result<Vec<Standing>, StoreError>;

    /// Takes it back.
    async fn leave(&self, member: Uuid, names: &[&'static str]) -> Result<(), StoreError>;
}

/// What a member does so that the shards are shared evenly.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// To acquire: its part of what is free.
    pub take: Vec<Shard>,
    /// To stop, then release: what it holds beyond its share.
    pub give: Vec<Shard>,
}

/// The share of one member. Every member that sees the same standing arrives at
/// shares that fit together, and no shard moves without need.
pub fn share(shards: ShardCount, standing: &Standing, me: Uuid) -> Share {
    let mut holds: HashMap<Uuid, Vec<Shard>> = HashMap::new();
    for (shard, holder) in &standing.held {
        holds.entry(*holder).or_default().push(*shard);
    }
    let count = |member: &Uuid| holds.get(member).map_or(0, Vec::len);
    // Who holds most may hold one more, so that it need not give it up.
    let mut members: Vec<Uuid> = standing.members.iter().copied().collect();
    members.sort_by_key(|member| (std::cmp::Reverse(count(member)), *member));
    if members.is_empty() {
        return Share::default();
    }
    let (each, more) = (
        usize::from(shards.get()) / members.len(),
        usize::from(shards.get()) % members.len(),
    );
    let mut wants: Vec<(Uuid, usize)> = Vec::with_capacity(members.len());
    let mut shared = Share::default();
    for (n, member) in members.into_iter().enumerate() {
        let quota = each + usize::from(n < more);
        let held = count(&member);
        wants.push((member, quota.saturating_sub(held)));
        if member == me && held > quota {
            shared.give = holds[&member][quota..].to_vec();
        }
    }
    let free = shards
        .all()
        .filter(|shard| !standing.held.contains_key(shard));
    for shard in free {
        // The first of those who lack most.
        let Some(most) = wants
            .iter()
            .map(|(_, lacks)| *lacks)
            .max()
            .filter(|most| *most > 0)
        else {
            break;
        };
        let next = wants.iter_mut().find(|(_, lacks)| *lacks == most);
        let (member, lacks) = next.expect("one lacks as many");
        *lacks -= 1;
        if *member == me {
            shared.take.push(shard);
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn standing(members: std::ops::Range<u128>) -> Standing {
        Standing {
            members: members.map(member).collect(),
            held: BTreeMap::new(),
        }
    }

    /// Lets all members act on the same standing; returns how many shards moved.
    fn round(shards: ShardCount, standing: &mut Standing) -> usize {
        let members: Vec<Uuid> = standing.members.iter().copied().collect();
        let shares: Vec<_> = members
            .iter()
            .map(|me| (*me, share(shards, standing, *me)))
            .collect();
        let mut moved = 0;
        for (me, share) in shares {
            for shard in share.give {
                assert_eq!(standing.held.remove(&shard), Some(me));
                moved += 1;
            }
            for shard in share.take {
                assert_eq!(standing.held.insert(shard, me), None, "two take {shard}");
            }
        }
        moved
    }

    fn counts(standing: &Standing) -> Vec<usize> {
        let of = |member: &Uuid| {
            standing
                .held
                .values()
                .filter(|held| *held == member)
                .count()
        };
        let mut counts: Vec<usize> = standing.members.iter().map(of).collect();
        counts.sort_unstable();
        counts
    }

    #[test]
    fn shards_are_shared_evenly_at_once() {
        for shards in [1, 4, 16, 17, 1_024] {
            let shards = ShardCount::new(shards).expect("in range");
            for members in 1..=9 {
                let mut standing = standing(0..members);
                assert_eq!(round(shards, &mut standing), 0);
                assert_eq!(standing.held.len(), usize::from(shards.get()));
                let counts = counts(&standing);
                assert!(counts[counts.len() - 1] - counts[0] <= 1, "{counts:?}");
                let before = standing.clone();
                assert_eq!(round(shards, &mut standing), 0);
                assert_eq!(standing, before, "and then nothing moves");
            }
        }
    }

    #[test]
    fn who_comes_gets_its_share_and_no_more_moves() {
        let shards = ShardCount::default();
        let mut standing = standing(0..3);
        round(shards, &mut standing);
        standing.members.insert(member(9));
        assert_eq!(round(shards, &mut standing), 4, "a quarter is given up");
        assert_eq!(round(shards, &mut standing), 0, "and taken");
        assert_eq!(counts(&standing), [4, 4, 4, 4]);
    }

    #[test]
    fn what_a_member_leaves_is_taken_by_those_who_stay() {
        let shards = ShardCount::default();
        let mut standing = standing(0..4);
        round(shards, &mut standing);
        let stay = standing.held.clone();
        standing.members.remove(&member(2));
        // Until its leases expire, nobody can take them.
        assert_eq!(round(shards, &mut standing), 0);
        assert_eq!(standing.held, stay);
        standing.held.retain(|_, holder| *holder != member(2));
        assert_eq!(round(shards, &mut standing), 0);
        assert_eq!(counts(&standing), [5, 5, 6]);
        let kept = |(shard, holder): (&Shard, &Uuid)| standing.held[shard] == *holder;
        assert_eq!(
            stay.iter().filter(|at| kept(*at)).count(),
            12,
            "nothing else moves"
        );
    }

    #[test]
    fn more_members_than_shards_leave_some_idle() {
        let shards = ShardCount::new(2).expect("in range");
        let mut standing = standing(0..5);
        round(shards, &mut standing);
        assert_eq!(counts(&standing), [0, 0, 0, 1, 1]);
        assert_eq!(round(shards, &mut standing), 0);
    }

    #[test]
    fn who_is_no_member_takes_nothing() {
        let shards = ShardCount::default();
        assert_eq!(share(shards, &standing(0..2), member(7)), Share::default());
        assert_eq!(
            share(shards, &Standing::default(), member(7)),
            Share::default()
        );
    }
}
