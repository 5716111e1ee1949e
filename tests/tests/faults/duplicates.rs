//! What Kafka delivers again, it delivers to readers that know it.

use tally_tests::accounts;
use tally_tests::harness::Harness;
use tally_tests::load::Load;
use tally_tests::outage::{FaultLog, alone};
use tally_tests::processes::prefix;
use tally_tests::redelivery::deliver_again;

use crate::{SETTLES, START};

/// Logs whose readers act on what they read.
const LOGS: [&str; 3] = ["collection", "lists", "sanctions"];

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_again_under_load_is_done_once() {
    let _alone = alone().await;
    let mesh = Harness::in_processes(START).await;
    let load = Load::start(&mesh).await;
    let mut faults = FaultLog::of("records are delivered again");
    let prefix = prefix(mesh.dir.path());
    for round in 0..3 {
        for log in LOGS {
            let topic = format!("{prefix}.{log}.log");
            let what = format!("delivery of records of {log} again");
            let again = faults.strike(&load, &what, deliver_again(topic)).await;
            assert!(again > 0, "round {round}: nothing of {log} came again");
            faults.write(&format!("{again} records of {log} were sent again"));
        }
    }
    let ledger = load.end().await;
    mesh.settle_within(SETTLES).await;
    accounts::add_up(&mesh, &ledger).await;
    mesh.stop().await;
}
