//! A simulated province on six processes, Postgres and a real Kafka, while every
//! fault strikes in turn; then an account of every command. `make soak` says for how
//! many minutes; without it there is one, and the faults that fit into it.
//!
//! The services are killed here: only those that this checkout started.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tally::role::Role;
use tally::simulate::parameters::Parameters;
use tally::simulate::{self, Live, SimulateOptions};
use tally_catalog::pack::BuiltIn;
use tally_tests::harness::Harness;
use tally_tests::outage::{FaultLog, alone, services};
use tally_tests::processes::{LEASE_TERM, delete_topics, prefix};
use tally_tests::redelivery::deliver_again;
use tokio_util::sync::CancellationToken;

const START: &str = "2026-03-02T01:00:00Z";

/// How long the mesh may take to draw all consequences in the end.
const SETTLES: Duration = Duration::from_secs(180);
/// Commands acknowledged, and among them listings, between two faults: a listing takes
/// what `lists` has heard from `collection`, so that each fault strikes a mesh that works again.
const BETWEEN: (u64, u64) = (100, 2);
/// How long the load may take to go on after a fault.
const GOES_ON: Duration = Duration::from_secs(120);
/// How often it is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// No fault strikes so shortly before the end, which is to find the load at work.
const CALM: Duration = Duration::from_secs(15);

/// What strikes.
#[derive(Debug, Clone, Copy)]
enum Fault {
    KillsPostgres,
    KillsBroker,
    DeletesTopics,
    StallsBroker,
    Stalls(Role),
    HoldsRelay(&'static str),
    DeliversAgain(&'static str),
    Kills(Role),
}

/// Every one, in turn. What a minute has room for comes first.
const FAULTS: [Fault; 17] = [
    Fault::KillsPostgres,
    Fault::KillsBroker,
    Fault::Kills(Role::Lists),
    Fault::DeletesTopics,
    Fault::DeliversAgain("lists"),
    Fault::Stalls(Role::Sanctions),
    Fault::Kills(Role::Collection),
    Fault::StallsBroker,
    Fault::HoldsRelay("relay.lists"),
    Fault::Kills(Role::Sanctions),
    Fault::Stalls(Role::Lists),
    Fault::DeliversAgain("collection"),
    Fault::Kills(Role::Feedback),
    Fault::Kills(Role::Catalog),
    Fault::Kills(Role::Audit),
    Fault::HoldsRelay("relay.sanctions"),
    Fault::DeliversAgain("sanctions"),
];

fn minutes() -> u64 {
    let minutes = std::env::var("SOAK_MINUTES").unwrap_or_else(|_| "1".to_owned());
    minutes.parse().expect("SOAK_MINUTES is a number")
}

async fn strikes(fault: Fault, mesh: &mut Harness) {
    match fault {
        Fault::KillsPostgres => {
            services("postgres-kill").await;
            services("postgres-start").await;
        }
        Fault::KillsBroker => {
            services("kafka-kill").await;
            services("kafka-start").await;
        }
        Fault::StallsBroker => {
            services("kafka-stop").await;
            tokio::time::sleep(2 * LEASE_TERM).await;
            services("kafka-cont").await;
        }
        Fault::DeletesTopics => {
            let deleted = delete_topics(&prefix(mesh.dir.path())).await;
            deleted.expect("the cluster answers");
        }
        Fault::Stalls(role) => {
            mesh.processes().stand_still(role);
            tokio::time::sleep(2 * LEASE_TERM).await;
            mesh.processes().go_on(role);
        }
        Fault::HoldsRelay(relay) => {
            mesh.hold(relay, true).await;
            tokio::time::sleep(2 * LEASE_TERM).await;
            mesh.hold(relay, false).await;
        }
        Fault::DeliversAgain(log) => {
            let prefix = prefix(mesh.dir.path());
            deliver_again(format!("{prefix}.{log}.log")).await;
        }
        Fault::Kills(role) => {
            mesh.processes().kill(role);
            mesh.processes().revive(role).await;
        }
    }
}

/// The load, and when it is over: from then on nothing is waited for that it does.
struct Load {
    live: Arc<Live>,
    over: Instant,
}

/// Waits for something that the load does, or for its end.
async fn load_comes_to(load: &Load, what: &str, there: impl Fn(&Live) -> bool) {
    let waited = async {
        while !there(&load.live) && Instant::now() < load.over {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let waited = tokio::time::timeout(GOES_ON, waited).await;
    waited.unwrap_or_else(|_| panic!("{what}: the load does not go on"));
}

/// Strikes while commands are in flight, and waits until the load goes on.
async fn strike(log: &mut FaultLog, load: &Load, what: &str, fault: impl Future<Output = ()>) {
    let live = &*load.live;
    load_comes_to(load, what, |live| live.in_flight() > 0).await;
    let (in_flight, failed) = (live.in_flight(), live.failed());
    let began = Instant::now();
    fault.await;
    let lasted = began.elapsed();
    let (acknowledged, listed) = (live.acknowledged() + BETWEEN.0, live.listed() + BETWEEN.1);
    load_comes_to(load, what, |live| live.acknowledged() >= acknowledged).await;
    let answers = began.elapsed() - lasted;
    load_comes_to(load, what, |live| live.listed() >= listed).await;
    log.write(&format!(
        "{what} for {:.1} s: {in_flight} commands in flight, {} attempts failed, {} more acknowledged {:.1} s after it, {} of them listings {:.1} s",
        lasted.as_secs_f64(),
        live.failed() - failed,
        BETWEEN.0,
        answers.as_secs_f64(),
        BETWEEN.1,
        (began.elapsed() - lasted).as_secs_f64(),
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simulated_province_adds_up_whatever_strikes() {
    let _alone = alone().await;
    let mut mesh = Harness::in_processes(START).await;
    let province = BuiltIn::Province.load();
    mesh.load(&province.expect("a built-in pack is consistent"))
        .await;
    // To whom the shards go of one that stands still or is killed.
    for role in [Role::Lists, Role::Sanctions] {
        mesh.processes().replica(role).await;
    }
    let lasts = Duration::from_secs(60 * minutes());
    let listings = 1.0;
    let options = SimulateOptions {
        dir: mesh.dir.path().to_owned(),
        parameters: Parameters {
            lasts,
            // An organisation is listed once, and one in twenty is a body of government.
            subjects: 400 + (1.5 * listings * lasts.as_secs_f64()) as u32,
            records: 30.0,
            listings,
            checks: 30.0,
            ..Parameters::default()
        },
        // Left there for whoever wants to know what became of a command.
        ledger: Path::new(env!("CARGO_TARGET_TMPDIR")).join("soak.ledger"),
        settle: SETTLES,
        progress: false,
    };
    // That of an earlier soak.
    let _ = std::fs::remove_file(&options.ledger);
    let live = Arc::new(Live::default());
    let mut log = FaultLog::of("soak");
    let load = Load {
        live: live.clone(),
        over: Instant::now() + lasts,
    };
    let simulation = tokio::spawn({
        let (options, live) = (options.clone(), live.clone());
        async move { simulate::run(&options, live, CancellationToken::new()).await }
    });
    let mut struck = 0;
    for fault in FAULTS.into_iter().cycle() {
        load_comes_to(&load, "the load", |live| live.listed() >= BETWEEN.1).await;
        if Instant::now() + CALM > load.over {
            break;
        }
        let what = format!("{fault:?}");
        strike(&mut log, &load, &what, strikes(fault, &mut mesh)).await;
        struck += 1;
    }
    let report = simulation.await.expect("no panic");
    let report = report.expect("pack and parameters go together");
    for line in report.lines() {
        log.write(&line);
    }
    assert!(report.holds(), "{} faults struck; see above", struck);
    assert!(struck > 0 && report.account.consequences.listings > 0);
    mesh.assert_history_holds().await;
    mesh.stop().await;
}
