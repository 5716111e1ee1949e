//! SIGKILL at random points under load: nothing acknowledged is lost, nothing
//! is there twice, and nothing is there that nobody asked for.
//!
//! The ledger is in this process, the mesh in another. Kill points are counts of
//! commands sent or acknowledged, drawn from a seed that is printed; set
//! `TALLY_KILL_SEED` to draw the same ones again.

mod killing;
mod process;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use killing::accounts;
use killing::cases::Dates;
use killing::ledger::Ledger;
use killing::load::Load;
use killing::round::{Counted, Round, sizes};
use process::Place;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

/// When a life of the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// Under full load, after so many commands sent or acknowledged.
    UnderLoad(Counted, u32),
    /// While unknown commands are retried, after so many sent.
    InRetry(u32),
    /// With so many answers committed and not read.
    Unread(usize),
    /// Before it serves.
    InStart,
}

/// Deaths of each kind.
fn deaths(random: &mut StdRng) -> Vec<Death> {
    let mut deaths = Vec::new();
    deaths.extend(
        (0..10).map(|_| Death::UnderLoad(Counted::Acknowledged, random.random_range(1..=1_000))),
    );
    deaths.extend((0..8).map(|_| Death::UnderLoad(Counted::Sent, random.random_range(1..=1_500))));
    deaths.extend((0..4).map(|_| Death::InRetry(random.random_range(1..=60))));
    deaths.extend((0..3).map(|_| Death::Unread(random.random_range(20..=80))));
    deaths.extend((0..3).map(|_| Death::InStart));
    deaths.shuffle(random);
    deaths
}

fn seed() -> u64 {
    match std::env::var("TALLY_KILL_SEED") {
        Ok(text) => text.parse().expect("TALLY_KILL_SEED is a number"),
        Err(_) => rand::random(),
    }
}

fn dates() -> Dates {
    let day = |hours: i64| {
        let at = Timestamp::now() + SignedDuration::from_hours(hours);
        at.strftime("%Y-%m-%d").to_string()
    };
    // Two days each way, so that no time zone makes a difference.
    Dates {
        past: day(-48),
        ahead: day(24 * 300),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_points_it_accounts_for_every_command() {
    let seed = seed();
    println!("TALLY_KILL_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let began = Instant::now();
    let place = Place::new();
    let ledger = Arc::new(Ledger::default());
    let load = Arc::new(Load::new(dates()));
    let mut kills = 0;
    let (mut found, mut applied) = (0, 0);
    let mut catalog = None;
    for death in deaths(&mut random) {
        let starting = place.spawn();
        if death == Death::InStart && catalog.is_some() {
            // Somewhere in the start: a number of turns, not a time.
            (0..random.random_range(0..100_000)).for_each(|_| std::thread::yield_now());
            starting.kill();
            kills += 1;
            continue;
        }
        let server = starting.ready(&place);
        let (counted, after) = match death {
            Death::UnderLoad(counted, after) => (counted, after),
            Death::InRetry(after) => (Counted::Sent, after),
            // The round decides itself.
            Death::Unread(_) | Death::InStart => (Counted::Sent, u32::MAX),
        };
        let unknown = ledger.unknown().len();
        let round = Arc::new(Round::open(&place, server, ledger.clone(), counted, after).await);
        if catalog.is_none() {
            catalog = Some(sizes(&round.operator).await.expect("sizes"));
        }
        if !matches!(death, Death::InRetry(_)) {
            round.retry_unknown().await;
        }
        match death {
            Death::Unread(records) => load.run_unread(&round, records).await,
            Death::InStart => round.trigger.fire(),
            Death::InRetry(_) => {
                round.retry_unknown().await;
                load.run(&round).await;
            }
            Death::UnderLoad(..) => load.run(&round).await,
        }
        assert!(round.trigger.fired());
        kills += 1;
        found += round.found.load(Ordering::Relaxed);
        applied += round.applied.load(Ordering::Relaxed);
        println!(
            "kill {kills} {death:?}: {unknown} unknown before, {} after, {} commands in all, {:?}",
            ledger.unknown().len(),
            ledger.len(),
            began.elapsed()
        );
    }

    // The last life: everything unknown is retried, and then it is counted.
    let round =
        Arc::new(Round::open(&place, place.up(), ledger.clone(), Counted::Sent, u32::MAX).await);
    round.retry_unknown().await;
    found += round.found.load(Ordering::Relaxed);
    applied += round.applied.load(Ordering::Relaxed);
    round.settle().await;
    println!(
        "{kills} kills, {} commands; of those retried {found} were in the log and {applied} were not; {:?}",
        ledger.len(),
        began.elapsed()
    );
    let kinds = ledger.kinds();
    println!("{kinds:?}");
    assert_eq!(kinds.len(), 8, "every kind of command took part");
    assert!(kills >= 20);
    assert!(found > 0, "some died between commit and reply");
    let catalog = catalog.expect("it has served");
    accounts::logs_match(&round, &catalog).await.settle();
    accounts::mailboxes_match(&round, &load).await;
    accounts::counts_match(&round, &ledger).await;
    place.run(&["rebuild"]).exits(0);
    place.run(&["verify"]).exits(0);
    let said = place.said();
    assert!(!said.contains("panicked"), "the server said:\n{said}");
    println!("accounted for in {:?}", began.elapsed());
}

/// What a first start makes, in any order. Killed as soon as one is there, it
/// can be started again.
const MADE_AT_FIRST: [&str; 7] = [
    "tally.db",
    "master.key",
    "keyring.db",
    "pki/ca.key",
    "pki/server.key",
    "certs/operator.key",
    "endpoint",
];

#[test]
fn a_first_start_that_is_killed_can_be_made_again() {
    for file in MADE_AT_FIRST {
        let place = Place::new();
        let starting = place.spawn();
        let path = place.data().join(file);
        let began = Instant::now();
        while !path.exists() {
            assert!(
                began.elapsed().as_secs() < 60,
                "{file} is not made; the server said:\n{}",
                place.said()
            );
            std::thread::yield_now();
        }
        starting.kill();
        let server = place.up();
        place.run(&["status", "--json"]).exits(0);
        place.run(&["verify"]).exits(0);
        assert!(server.terminate().success(), "{file}");
    }
}
