//! `tally simulate` with the province's pack, in one process and in six.

use std::sync::Arc;
use std::time::Duration;

use tally::simulate::parameters::Parameters;
use tally::simulate::{self, SimulateOptions};
use tally_tests::harness::Harness;
use tokio_util::sync::CancellationToken;

const START: &str = "2026-03-02T01:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn a_province_adds_up_to_what_it_was_acknowledged() {
    let mesh = Harness::province(START).await;
    let options = SimulateOptions {
        dir: mesh.dir.path().to_owned(),
        parameters: Parameters {
            seed: 11,
            lasts: Duration::from_secs(10),
            subjects: 400,
            records: 20.0,
            listings: 2.0,
            checks: 15.0,
            connections: 2,
            ..Parameters::default()
        },
        ledger: mesh.dir.path().join("ledger"),
        settle: Duration::from_secs(120),
        progress: false,
    };
    let report = simulate::run(&options, Arc::default(), CancellationToken::new()).await;
    let report = report.expect("pack and parameters go together");
    assert!(report.holds(), "{:#?}", report.lines());
    let account = &report.account;
    assert!(account.ended);
    // By seed and rate; that the lists of this pack concern departments of three levels is its own.
    assert!(account.consequences.listings > 8, "{account:?}");
    assert!(account.consequences.directives > 40, "{account:?}");
    assert!(account.commands.acknowledged > 300, "{account:?}");
    // The same account by whoever has only the ledger.
    let again = simulate::check_ledger(&options.dir, &options.ledger, options.settle).await;
    assert_eq!(&again.expect("the mesh answers"), account);
    mesh.assert_history_holds().await;
    mesh.stop().await;
}
