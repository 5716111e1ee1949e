//! Faults under load, with a process for each role, Postgres and a real Kafka.
//!
//! The services are killed here: only those that this checkout started.

mod duplicates;
mod restored;

use std::time::{Duration, Instant};

use tally::role::Role;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_sanctions::CheckOptions;
use tally_tests::accounts;
use tally_tests::harness::*;
use tally_tests::load::Load;
use tally_tests::outage::{FaultLog, alone, services};
use tally_tests::processes::{delete_topics, prefix};

/// How long the mesh may take to draw all consequences in the end.
const SETTLES: Duration = Duration::from_secs(180);

/// After this a reader that its topic brings nothing may know from the owner.
const OWNER_ASKED: Duration = Duration::from_secs(20);

const START: &str = "2026-03-02T01:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn every_role_is_killed_under_load_and_nothing_is_lost_or_done_twice() {
    let _alone = alone().await;
    let mut mesh = Harness::in_processes(START).await;
    let load = Load::start(&mesh).await;
    let mut log = FaultLog::of("every role is killed");
    for role in Role::ALL {
        let processes = mesh.processes();
        log.strike(&load, &format!("SIGKILL of {role}"), async {
            processes.kill(role);
            processes.revive(role).await;
        })
        .await;
    }
    let ledger = load.end().await;
    mesh.settle_within(SETTLES).await;
    accounts::add_up(&mesh, &ledger).await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_and_database_are_killed_and_topics_deleted_under_load_and_nothing_is_lost_or_done_twice()
 {
    let _alone = alone().await;
    let mesh = Harness::in_processes(START).await;
    let load = Load::start(&mesh).await;
    let mut log = FaultLog::of("broker and database are killed, topics deleted");
    log.strike(&load, "SIGKILL of the broker", async {
        services("kafka-kill").await;
        services("kafka-start").await;
    })
    .await;
    let prefix = prefix(mesh.dir.path());
    log.strike(&load, "deletion of the topics", async {
        delete_topics(&prefix).await.expect("the cluster answers");
    })
    .await;
    log.strike(&load, "SIGKILL of Postgres", async {
        services("postgres-kill").await;
        services("postgres-start").await;
    })
    .await;
    let ledger = load.end().await;
    mesh.settle_within(SETTLES).await;
    accounts::add_up(&mesh, &ledger).await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_that_is_not_relayed_is_in_force_nowhere_within_the_bound() {
    let _alone = alone().await;
    let mesh = Harness::in_processes(START).await;
    let scene = Scene::on(mesh).await;
    let (entry, listed) = scene.listed(COMPANY).await;
    let answer = scene.check_after(COMPANY, &listed).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);

    scene.mesh.hold("relay.lists", true).await;
    let suspended = accept_objection(&scene.third, &entry).await;
    let struck = Instant::now();
    let bound = CheckOptions::default().freshness + Duration::from_secs(2);
    let late = scene.stale_checks(COMPANY, struck, bound).await;
    for _ in 0..50 {
        let outcome = scene.check_once(COMPANY).await.outcome();
        assert_ne!(
            outcome,
            sanctions::CheckOutcome::InForce,
            "never in force again"
        );
        // After half a minute without anything the reader asks the owner, and knows.
        assert!(
            outcome == sanctions::CheckOutcome::Undetermined || struck.elapsed() > OWNER_ASKED,
            "{outcome:?} after {:?}",
            struck.elapsed()
        );
    }
    scene.mesh.hold("relay.lists", false).await;
    let answer = scene.check_after(COMPANY, &suspended).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::Clear);
    scene.mesh.settle().await;
    let opened = scene.mesh.corrected_checks().await;
    let missing: Vec<&String> = late.difference(&opened).collect();
    assert!(missing.is_empty(), "late, and not corrected: {missing:?}");
    let more = opened.len() - late.len();
    println!(
        "{} late checks corrected, {more} more that may have been late",
        late.len()
    );
    scene.mesh.assert_history_holds().await;
    scene.mesh.stop().await;
}
