//! The report on decisions that needed a check first.

use tally_eventlog::clock::Clock as _;
use tally_proto::tally::collection::v1::RefusalsCounted;
use tally_proto::tally::sanctions::v1 as pb;
use tally_proto::tally::sanctions::v1::sanctions_service_server::SanctionsService as _;
use tally_service::logs;
use tonic::Code;

use super::mesh::*;
use super::records::{append, event};
use super::tonic_reason::reason;
use crate::consumer;

#[tokio::test]
async fn a_report_waits_for_the_records_that_it_is_about() {
    let mesh = Mesh::start().await;
    let records = mesh.progress(consumer::COLLECTION);
    records.pause();
    let counted = "tally.collection.v1.RefusalsCounted";
    let counted = event(
        mesh.clock.now(),
        counted,
        PROVINCE,
        RefusalsCounted::default(),
    );
    let stream = ("refusals", PROVINCE);
    append(&*mesh.store, logs::COLLECTION, PROVINCE, stream, counted).await;

    let listed = async || {
        let request = by(system(PROVINCE), pb::ListDecisionsRequest::default());
        mesh.service.list_decisions(request).await.map(|_| ())
    };
    let counts = async || {
        let request = by(system(PROVINCE), pb::GetDecisionCountsRequest::default());
        mesh.service.get_decision_counts(request).await.map(|_| ())
    };
    for answer in [listed().await, counts().await] {
        let behind = answer.expect_err("what was reported is not known yet");
        assert_eq!(behind.code(), Code::Unavailable);
        assert!(reason(&behind, "DECISIONS_BEHIND"));
    }
    records.unpause();
    listed().await.expect("known");
    counts().await.expect("known");
}
