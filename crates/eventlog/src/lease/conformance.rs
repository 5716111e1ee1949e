//! The cases that every store of leases must pass, run by
//! [`lease_conformance!`](crate::lease_conformance).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::{Lease, Leases, Standing, share};
use crate::shard::{Shard, ShardCount};

/// A place for leases, empty at first.
#[async_trait]
pub trait Fixture: Send + Sync + 'static {
    /// A place of its own.
    async fn create() -> Self
    where
        Self: Sized;

    /// Opens it, as one more process.
    async fn open(&self) -> Arc<dyn Leases>;

    /// Lets time pass, as far as the leases can tell.
    async fn pass(&self, time: Duration);
}

/// Defines one test per case for a [`Fixture`] type.
#[macro_export]
macro_rules! lease_conformance {
    ($fixture:ty) => {
        $crate::lease_conformance!($fixture;
            one_holder_at_a_time
            an_expired_lease_is_taken_under_a_later_epoch
            renewing_keeps_the_epoch
            a_zombie_is_told_that_it_lost
            what_is_released_is_free_at_once
            acquiring_again_changes_nothing
            one_of_many_wins_each_shard
            names_are_apart
            members_share_the_shards
        );
    };
    ($fixture:ty; $($case:ident)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                use $crate::lease::conformance::Fixture;
                let fixture = <$fixture as Fixture>::create().await;
                $crate::lease::conformance::$case(&fixture).await;
            }
        )+
    };
}

const NAME: &str = "conformance.reader";
const TERM: Duration = Duration::from_secs(60);
/// Less than a term, and more than half of one.
const MOST_OF_IT: Duration = Duration::from_secs(40);

fn wanted(shards: std::ops::Range<u16>) -> Vec<(&'static str, Shard)> {
    shards.map(|shard| (NAME, Shard(shard))).collect()
}

async fn acquire(
    leases: &Arc<dyn Leases>,
    holder: Uuid,
    shards: std::ops::Range<u16>,
) -> Vec<Lease> {
    let acquired = leases.acquire(holder, &wanted(shards), TERM).await;
    let mut acquired = acquired.expect("the store answers");
    acquired.sort_unstable();
    acquired
}

async fn renew(leases: &Arc<dyn Leases>, holder: Uuid, held: &[Lease]) -> Vec<Lease> {
    let renewed = leases.renew(holder, held, TERM).await;
    let mut renewed = renewed.expect("the store answers");
    renewed.sort_unstable();
    renewed
}

fn shards(leases: &[Lease]) -> Vec<u16> {
    leases.iter().map(|lease| lease.shard.0).collect()
}

/// Two processes ask for the same: the second gets what the first did not want.
pub async fn one_holder_at_a_time(fixture: &dyn Fixture) {
    let (one, other) = (fixture.open().await, fixture.open().await);
    let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
    assert_eq!(shards(&acquire(&one, a, 0..3).await), [0, 1, 2]);
    assert_eq!(shards(&acquire(&other, b, 0..5).await), [3, 4]);
    fixture.pass(MOST_OF_IT).await;
    assert_eq!(shards(&acquire(&other, b, 0..3).await), [] as [u16; 0]);
}

/// Who does not renew loses it, and the next holder has a later epoch.
pub async fn an_expired_lease_is_taken_under_a_later_epoch(fixture: &dyn Fixture) {
    let leases = fixture.open().await;
    let mut epoch = 0;
    for _ in 0..4 {
        let held = acquire(&leases, Uuid::new_v4(), 7..8).await;
        let now = held.first().expect("nobody holds it any more").epoch;
        assert!(now > epoch, "{now} follows {epoch}");
        epoch = now;
        fixture.pass(TERM).await;
    }
}

/// Who renews in time keeps it for ever.
pub async fn renewing_keeps_the_epoch(fixture: &dyn Fixture) {
    let (one, other) = (fixture.open().await, fixture.open().await);
    let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
    let held = acquire(&one, a, 0..4).await;
    for _ in 0..3 {
        fixture.pass(MOST_OF_IT).await;
        assert_eq!(renew(&one, a, &held).await, held);
        assert!(acquire(&other, b, 0..4).await.is_empty());
    }
    fixture.pass(TERM).await;
    // It was late, and nobody was in between.
    assert_eq!(renew(&one, a, &held).await, held);
    assert!(acquire(&other, b, 0..4).await.is_empty());
}

/// A process that stood still learns what it lost, and can neither keep nor give
/// it back.
pub async fn a_zombie_is_told_that_it_lost(fixture: &dyn Fixture) {
    let (one, other) = (fixture.open().await, fixture.open().await);
    let (zombie, b) = (Uuid::new_v4(), Uuid::new_v4());
    let held = acquire(&one, zombie, 0..4).await;
    fixture.pass(TERM).await;
    let taken = acquire(&other, b, 0..2).await;
    assert_eq!(shards(&taken), [0, 1]);
    assert_eq!(shards(&renew(&one, zombie, &held).await), [2, 3]);
    one.release(zombie, &held).await.expect("the store answers");
    assert_eq!(renew(&other, b, &taken).await, taken);
    // Also where it holds the shard again: that is another lease.
    other.release(b, &taken).await.expect("the store answers");
    let again = acquire(&one, zombie, 0..1).await;
    assert!(again[0].epoch > taken[0].epoch);
    assert!(renew(&one, zombie, &held[..1]).await.is_empty());
    assert_eq!(renew(&one, zombie, &again).await, again);
}

/// Nobody waits for what was given back.
pub async fn what_is_released_is_free_at_once(fixture: &dyn Fixture) {
    let (one, other) = (fixture.open().await, fixture.open().await);
    let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
    let held = acquire(&one, a, 0..2).await;
    one.release(a, &held[..1]).await.expect("the store answers");
    let taken = acquire(&other, b, 0..2).await;
    assert_eq!(shards(&taken), [0]);
    assert!(taken[0].epoch > held[0].epoch);
    assert_eq!(shards(&renew(&one, a, &held).await), [1]);
}

/// An answer that was lost is asked for again.
pub async fn acquiring_again_changes_nothing(fixture: &dyn Fixture) {
    let leases = fixture.open().await;
    let holder = Uuid::new_v4();
    let held = acquire(&leases, holder, 0..3).await;
    assert_eq!(acquire(&leases, holder, 0..3).await, held);
    fixture.pass(MOST_OF_IT).await;
    assert_eq!(acquire(&leases, holder, 0..3).await, held);
    fixture.pass(MOST_OF_IT).await;
    assert!(
        acquire(&leases, Uuid::new_v4(), 0..3).await.is_empty(),
        "it was extended"
    );
    assert!(
        leases
            .acquire(holder, &[], TERM)
            .await
            .expect("nothing asked")
            .is_empty()
    );
}

/// Many ask for all shards at once, in whatever order.
pub async fn one_of_many_wins_each_shard(fixture: &dyn Fixture) {
    let mut asking = tokio::task::JoinSet::new();
    for n in 0..8 {
        let leases = fixture.open().await;
        asking.spawn(async move {
            let mut wanted = wanted(0..16);
            wanted.rotate_left(n);
            if n % 2 == 0 {
                wanted.reverse();
            }
            let acquired = leases.acquire(Uuid::new_v4(), &wanted, TERM).await;
            acquired.expect("the store answers")
        });
    }
    let won = asking.join_all().await.concat();
    let places: BTreeSet<Shard> = won.iter().map(|lease| lease.shard).collect();
    assert_eq!((won.len(), places.len()), (16, 16));
}

/// One process has the shards of one name, another those of another.
pub async fn names_are_apart(fixture: &dyn Fixture) {
    let leases = fixture.open().await;
    let (a, b) = (Uuid::new_v4(), Uuid::new_v4());
    assert_eq!(acquire(&leases, a, 0..2).await.len(), 2);
    let other = [
        ("conformance.other", Shard(0)),
        ("conformance.other", Shard(1)),
    ];
    let acquired = leases
        .acquire(b, &other, TERM)
        .await
        .expect("the store answers");
    assert_eq!(acquired.len(), 2);
    // All names at once, each for itself.
    let names = ["conformance.other", "conformance.third", NAME];
    let joined = leases.join(b, &names, TERM).await;
    let standings = joined.expect("the store answers");
    let members: Vec<_> = standings.iter().map(|one| one.members.clone()).collect();
    assert_eq!(members, [(); 3].map(|()| BTreeSet::from([b])));
    let held = [b, a].map(|holder| BTreeMap::from([(Shard(0), holder), (Shard(1), holder)]));
    assert_eq!(standings[0].held, held[0]);
    assert_eq!(standings[1].held, BTreeMap::new());
    assert_eq!(standings[2].held, held[1]);
    leases
        .leave(b, &names[..2])
        .await
        .expect("the store answers");
    let joined = leases.join(a, &names, TERM).await;
    let standings = joined.expect("the store answers");
    let members: Vec<_> = standings.into_iter().map(|one| one.members).collect();
    let alone = BTreeSet::from([a]);
    assert_eq!(members, [alone.clone(), alone, BTreeSet::from([a, b])]);
}

/// A process that takes part in the sharing.
struct Member {
    id: Uuid,
    leases: Arc<dyn Leases>,
    held: Vec<Lease>,
}

impl Member {
    async fn turn(&mut self, count: ShardCount) -> Standing {
        self.held = renew(&self.leases, self.id, &self.held).await;
        let joined = self.leases.join(self.id, &[NAME], TERM).await;
        let standing = joined.expect("the store answers").remove(0);
        let share = share(count, &standing, self.id);
        let (give, keep): (Vec<Lease>, Vec<Lease>) = self
            .held
            .iter()
            .partition(|lease| share.give.contains(&lease.shard));
        let released = self.leases.release(self.id, &give).await;
        released.expect("the store answers");
        self.held = keep;
        let take: Vec<_> = share.take.iter().map(|shard| (NAME, *shard)).collect();
        let taken = self.leases.acquire(self.id, &take, TERM).await;
        self.held.extend(taken.expect("the store answers"));
        standing
    }
}

/// Members come, leave and die, and each time the rest shares all shards evenly.
pub async fn members_share_the_shards(fixture: &dyn Fixture) {
    let count = ShardCount::default();
    let mut members: Vec<Member> = Vec::new();
    for _ in 0..3 {
        members.push(Member {
            id: Uuid::new_v4(),
            leases: fixture.open().await,
            held: Vec::new(),
        });
        settle(count, &mut members).await;
    }
    let mut leaving = members.remove(0);
    leaving
        .leases
        .leave(leaving.id, &[NAME])
        .await
        .expect("the store answers");
    leaving
        .leases
        .release(leaving.id, &leaving.held)
        .await
        .expect("the store answers");
    settle(count, &mut members).await;
    // Another dies without a word.
    leaving = members.remove(0);
    fixture.pass(TERM).await;
    settle(count, &mut members).await;
    assert!(
        renew(&leaving.leases, leaving.id, &leaving.held)
            .await
            .is_empty()
    );
}

/// Lets the members take turns until all shards are held.
async fn settle(count: ShardCount, members: &mut [Member]) {
    let ids: BTreeSet<Uuid> = members.iter().map(|member| member.id).collect();
    for _ in 0..3 {
        for member in &mut *members {
            let standing = member.turn(count).await;
            assert!(standing.members.contains(&member.id));
        }
    }
    let mut held: Vec<Shard> = Vec::new();
    for member in &mut *members {
        let standing = member.turn(count).await;
        assert_eq!(standing.members, ids);
        let even = usize::from(count.get()) / ids.len();
        assert!(
            (even..=even + 1).contains(&member.held.len()),
            "{:?}",
            member.held
        );
        held.extend(member.held.iter().map(|lease| lease.shard));
    }
    held.sort_unstable();
    assert_eq!(held, count.all().collect::<Vec<_>>());
}
