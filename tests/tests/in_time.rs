//! Whatever a call waits for, it is answered.

use std::time::Duration;

use tally::client::Client;
use tally::data_dir::{DataDir, OPERATOR};
use tally::mesh::{Mesh, MeshOptions, UNBOUNDED};
use tally::pack_client::load_pack;
use tally_auth::Rules;
use tally_auth::identity::Identity;
use tally_catalog::pack::BuiltIn;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_rpc::FaultReport;
use tally_rpc::fault::reason::NO_ANSWER_IN_TIME;
use tally_tests::harness::{COMPANY, TAX, question};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_waits_for_too_long_is_answered_with_a_hint() {
    let place = TempDir::new().expect("a temporary directory");
    let dir = DataDir::new(place.path());
    let options = MeshOptions {
        answer_max: Duration::from_millis(100),
        ..MeshOptions::in_dir(dir.clone())
    };
    let mesh = Mesh::start(options).await.expect("a fresh mesh starts");
    let operator = Client::of_dir(place.path(), OPERATOR).await;
    let pack = BuiltIn::Small.load().expect("a built-in pack");
    let loaded = load_pack(&operator.expect("it answers"), &pack).await;
    loaded.expect("this may take its time");
    let identity = format!("urn:tally:department:{TAX}");
    let identity = Identity::parse(&identity).expect("a valid identity");
    dir.issue(&identity, "tax").expect("the authority issues");
    let tax = Client::of_dir(place.path(), "tax").await;
    let tax = tax.expect("it answers");
    // Nobody ever has so many records: it waits for them for seconds.
    let unreached = sanctions::ShardBasis {
        lists: 1_000_000,
        ..Default::default()
    };
    let request = sanctions::CheckRequest {
        at_least: Some(sanctions::ConsistencyToken {
            shards: vec![unreached],
            ..Default::default()
        }),
        ..question(COMPANY)
    };
    let refused = tax.sanctions().check(request).await.expect_err("late");
    let report = FaultReport::from(&refused);
    assert_eq!(report.reason, NO_ANSWER_IN_TIME, "{report:?}");
    assert!(report.retry.is_some(), "{report:?}");
    mesh.stop().await.expect("it stops cleanly");
}

#[test]
fn what_may_take_longer_is_there() {
    let rules = Rules::from_descriptors().expect("every method has a rule");
    for begin in UNBOUNDED {
        let known = rules.paths().any(|path| path.starts_with(begin));
        assert!(known, "{begin}");
    }
}
