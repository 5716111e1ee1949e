//! `lists` is lost and restored from a backup that was taken under load.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tally::role::Role;
use tally_proto::tally::node::v1::GetStatusRequest;
use tally_tests::accounts;
use tally_tests::harness::Harness;
use tally_tests::load::Load;
use tally_tests::outage::{FaultLog, alone};
use tally_tests::processes::{Processes, delete_topics, prefix};

use super::{SETTLES, START};

/// Commands acknowledged before the backup, and before the end.
const BETWEEN: u64 = 150;

/// Records of `lists` that others have read between the backup and the loss: so many
/// that entries are listed among them, each by four.
const READ: u64 = 24;

/// How long a divergence may go unnoticed.
const NOTICED: Duration = Duration::from_secs(120);

/// Pause between two looks from outside at what several processes do.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

fn run(mut command: Command) -> (Output, Vec<Value>) {
    let done = command.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let lines = said.lines();
    let lines = lines.map(|line| serde_json::from_str(line).expect("a line of JSON"));
    let lines = lines.collect();
    (done, lines)
}

fn well(command: Command) -> Vec<Value> {
    let (done, lines) = run(command);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}{lines:?}");
    lines
}

fn back_up(processes: &Processes, to: &Path) {
    let to = to.display().to_string();
    well(processes.configured(&["backup", "--json", "--role", "lists", "--to", &to]));
}

/// Waits until sanctions has read more of `lists` than there is now.
async fn others_read_more(mesh: &Harness) {
    let wanted = mesh.sizes().await["lists"].iter().sum::<u64>() + READ;
    let operator = mesh.operator().await;
    let began = Instant::now();
    loop {
        let mut node = operator.node(Role::Sanctions);
        let status = node.get_status(GetStatusRequest {});
        let readers = status.await.expect("a status").into_inner().readers;
        let reader = readers.iter().find(|one| one.consumer == "sanctions.lists");
        let read = reader.map_or(0, |one| one.applied.iter().sum());
        if read >= wanted {
            return;
        }
        assert!(began.elapsed() < SETTLES, "{read} of {wanted} are read");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Loses `lists` while the load runs, restores it, and returns how many records the
/// topics had after the backup.
async fn lose_and_restore(mesh: &mut Harness, load: &Load, from: &Path, more: &[&str]) -> u64 {
    let topics = prefix(mesh.dir.path());
    let processes = mesh.processes();
    processes.kill(Role::Lists);
    load.was_restored();
    processes.lose_store(Role::Lists).await;
    processes.migrate();
    let from = from.display().to_string();
    let mut arguments = vec!["restore", "--json", "--role", "lists", "--from", &from];
    arguments.extend(more);
    let told = well(processes.configured(&arguments));
    if !more.is_empty() {
        let deleted = delete_topics(&format!("{topics}.lists")).await;
        deleted.expect("the cluster answers");
    }
    processes.revive(Role::Lists).await;
    told[0]["recovered"].as_u64().expect("a number")
}

/// Waits until the reader of `lists` has been found to have read what is lost, and
/// returns how many records those are.
async fn noticed(processes: &Processes) -> u64 {
    let began = Instant::now();
    loop {
        let (done, told) = run(processes.tally(&["reconcile", "--json"]));
        if !told.is_empty() {
            assert_eq!(done.status.code(), Some(1), "some have diverged");
            let of = |name: &str| told.iter().map(|one| number(&one[name])).sum::<u64>();
            assert!(told.iter().all(|one| one["consumer"] == "sanctions.lists"));
            return of("applied") - of("common");
        }
        assert!(began.elapsed() < NOTICED, "nobody has noticed");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Takes back what is lost, until no shard has more of it, and returns what was told.
async fn reconciled(processes: &Processes) -> Vec<Value> {
    let began = Instant::now();
    let (mut told, mut without) = (Vec::new(), 0);
    // One shard may notice later than another.
    while without < 2 {
        told.extend(well(processes.tally(&["reconcile", "--json", "--apply"])));
        tokio::time::sleep(LOOK_AGAIN).await;
        let (done, left) = run(processes.tally(&["reconcile", "--json"]));
        let none = done.status.success() && left.is_empty();
        without = if none { without + 1 } else { 0 };
        assert!(began.elapsed() < NOTICED, "{left:?}");
    }
    told
}

/// What is reconciled once is not lost again.
fn assert_others(told: &[Value], before: &[Value]) {
    let of = |one: &Value| (one["consumer"].clone(), one["shard"].clone());
    let before: Vec<_> = before.iter().map(of).collect();
    let again = told.iter().map(of).find(|one| before.contains(one));
    assert_eq!(again, None);
}

/// Replays the subjects that were held for a decision which is lost, now that it was
/// repeated, and returns how many they are.
fn replay_held(processes: &Processes) -> usize {
    let held = well(processes.tally(&["parked", "list", "--json"]));
    for one in &held {
        let of = |name: &str| one[name].as_str().expect("it is named").to_owned();
        let (reader, subject) = (of("consumer"), of("subject"));
        well(processes.tally(&["parked", "replay", &reader, &subject, "--json"]));
    }
    held.len()
}

/// A number of protobuf's JSON, where large ones are texts.
fn number(value: &Value) -> u64 {
    let text = value.as_str().map(ToOwned::to_owned);
    let text = text.unwrap_or_else(|| value.to_string());
    text.parse().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_restored_from_a_backup_and_the_topics_has_what_others_have_read() {
    let _alone = alone().await;
    let mut mesh = Harness::in_processes(START).await;
    let load = Load::start(&mesh).await;
    let mut log = FaultLog::of("lists restored, with its topics");
    let place = mesh.dir.path().join("backup");
    load.goes_on_by(BETWEEN).await;
    back_up(mesh.processes(), &place);
    others_read_more(&mesh).await;
    let what = "loss of lists, restored from a backup and its topic";
    let recovered = log
        .strike(&load, what, lose_and_restore(&mut mesh, &load, &place, &[]))
        .await;
    assert!(recovered >= READ, "the topic had {recovered} more");
    log.write(&format!(
        "{recovered} records were taken back from the topic"
    ));
    // What only the owner had given, before it was relayed, may be gone all the same.
    let told = reconciled(mesh.processes()).await;
    let ledger = load.end().await;
    assert_others(&reconciled(mesh.processes()).await, &told);
    let repeated = ledger.repeat(&mesh).await;
    log.write(&format!("{repeated} cases repeated"));
    mesh.settle_within(SETTLES).await;
    let replayed = replay_held(mesh.processes());
    log.write(&format!("{replayed} subjects that were held replayed"));
    mesh.settle_within(SETTLES).await;
    accounts::add_up(&mesh, &ledger).await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_backup_and_the_topics_lack_is_noticed_and_reconciled() {
    let _alone = alone().await;
    let mut mesh = Harness::in_processes(START).await;
    let load = Load::start(&mesh).await;
    let mut log = FaultLog::of("lists restored, without its topics");
    let place = mesh.dir.path().join("backup");
    load.goes_on_by(BETWEEN).await;
    back_up(mesh.processes(), &place);
    others_read_more(&mesh).await;
    let without = ["--without-topics"];
    let what = "loss of lists and of its topic, restored from a backup";
    log.strike(
        &load,
        what,
        lose_and_restore(&mut mesh, &load, &place, &without),
    )
    .await;
    let lost = noticed(mesh.processes()).await;
    assert!(lost > 0, "it was read after the backup");
    let mut told = reconciled(mesh.processes()).await;
    assert!(!told.is_empty(), "it goes back");
    load.goes_on_by(BETWEEN).await;
    let ledger = load.end().await;
    let more = reconciled(mesh.processes()).await;
    assert_others(&more, &told);
    told.extend(more);
    let withheld = told.iter().map(|one| number(&one["settled_total"]));
    let withheld: u64 = withheld.sum();
    let settled = told.iter().filter_map(|one| one["settled"].as_array());
    let held = settled.flatten().filter(|one| one["held"] == true).count();
    assert!(held > 0, "suspensions of after the backup were read");
    assert!(withheld > 0, "listings of after the backup were read");
    log.write(&format!(
        "{lost} records that sanctions had read are lost; {withheld} entries settled"
    ));
    let repeated = ledger.repeat(&mesh).await;
    log.write(&format!("{repeated} cases repeated"));
    mesh.settle_within(SETTLES).await;
    let replayed = replay_held(mesh.processes());
    assert!(replayed > 0, "they wait");
    log.write(&format!("{replayed} subjects that were held replayed"));
    mesh.settle_within(SETTLES).await;
    accounts::add_up(&mesh, &ledger).await;
    mesh.stop().await;
}
