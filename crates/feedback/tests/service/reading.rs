//! Counts and the province's stream.

use futures::{StreamExt as _, TryStreamExt as _};
use tally_auth::Caller;
use tally_eventlog::pb::{Cursor, ShardCursor};
use tally_proto::tally::feedback::v1 as pb;
use tally_proto::tally::feedback::v1::feedback_service_client::FeedbackServiceClient;
use tally_rpc::FaultReport;
use tonic::Code;

use crate::mesh::*;
use crate::{MOUTAI, SINOPEC, accept, client, executed, refused};

#[tokio::test]
async fn counts_are_summed_over_the_shards_and_shown_to_those_concerned() {
    let mesh = Mesh::start().await;
    let mut client = client!(mesh);
    for subject in [MOUTAI, SINOPEC, "cn-uscc:91440300192317458F"] {
        let directive = mesh.executed_directive(subject, COUNTY).await;
        client
            .report(by(system(COUNTY), executed(directive)))
            .await
            .expect("taken");
        if subject == MOUTAI {
            client
                .accept_report(by(officer(PROVINCE), accept(directive)))
                .await
                .expect("accepted");
        }
    }
    mesh.executed_directive(MOUTAI, CITY).await;
    let mut ask = async |caller, department: &str, month: &str| {
        let request = pb::GetStatisticsRequest {
            department: department.to_owned(),
            month: month.to_owned(),
        };
        client
            .get_statistics(by(caller, request))
            .await
            .expect("counted")
            .into_inner()
            .counts
    };
    let all = ask(system(PROVINCE), "", "").await;
    assert_eq!(all.len(), 2);
    let county = all
        .iter()
        .find(|count| count.department == COUNTY)
        .expect("counted");
    assert_eq!(
        (
            county.due,
            county.submitted,
            county.executed,
            county.accepted
        ),
        (3, 3, 3, 1)
    );
    assert_eq!(
        (county.month.as_str(), county.measure.as_str()),
        ("2026-03", "revoke-honour")
    );
    assert_eq!(ask(Caller::operator(), "", "2026-03").await, all);
    assert_eq!(
        ask(Caller::operator(), COUNTY, "2026-03").await,
        std::slice::from_ref(county)
    );
    assert_eq!(
        ask(Caller::operator(), COUNTY, "").await,
        std::slice::from_ref(county)
    );
    assert!(ask(Caller::operator(), COUNTY, "2026-04").await.is_empty());
    let seen_by_city = ask(system(CITY), "", "").await;
    assert_eq!(
        seen_by_city
            .iter()
            .map(|count| count.department.as_str())
            .collect::<Vec<_>>(),
        [CITY]
    );
    let bad = pb::GetStatisticsRequest {
        department: "x".to_owned(),
        month: "2026".to_owned(),
    };
    let status = client
        .get_statistics(by(Caller::operator(), bad))
        .await
        .expect_err("refused");
    assert_eq!(FaultReport::from(&status).violations.len(), 2);
    mesh.stop().await;
}

#[tokio::test]
async fn the_stream_goes_on_where_the_cursor_says() {
    let mesh = Mesh::start().await;
    let mut client = client!(mesh);
    let first = mesh.executed_directive(MOUTAI, COUNTY).await;
    let second = mesh.executed_directive(SINOPEC, CITY).await;
    client
        .report(by(system(COUNTY), executed(first)))
        .await
        .expect("taken");
    mesh.caught_up().await;
    let to_head = |cursor| pb::StreamFeedbackRequest {
        cursor,
        until_head: true,
    };
    let items = client
        .stream_feedback(by(Caller::operator(), to_head(None)))
        .await
        .expect("streams");
    let items: Vec<_> = items.into_inner().try_collect().await.expect("no fault");
    let mut states: Vec<_> = items
        .iter()
        .map(|item| (item.directive_id.clone(), item.state()))
        .collect();
    states.sort_by_key(|(_, state)| i32::from(*state));
    assert_eq!(states.len(), 3);
    assert_eq!(states[2], (first.to_string(), pb::FeedbackState::Submitted));
    let submitted = items
        .iter()
        .find(|item| item.state() == pb::FeedbackState::Submitted)
        .expect("there");
    assert_eq!(
        (submitted.outcome(), submitted.document.is_some()),
        (pb::ReportedOutcome::Executed, true)
    );

    let city = client
        .stream_feedback(by(system(CITY), to_head(None)))
        .await
        .expect("streams");
    let city: Vec<_> = city.into_inner().try_collect().await.expect("no fault");
    assert_eq!(
        city.iter()
            .map(|item| item.directive_id.clone())
            .collect::<Vec<_>>(),
        [second.to_string()]
    );

    let mut latest: std::collections::BTreeMap<u32, ShardCursor> = Default::default();
    for cursor in items.iter().filter_map(|item| item.cursor.clone()) {
        latest.insert(cursor.shard, cursor);
    }
    let cursor = Cursor {
        log_id: log_id(&mesh.store).await,
        shards: latest.into_values().collect(),
    };
    let live = pb::StreamFeedbackRequest {
        cursor: Some(cursor.clone()),
        until_head: false,
    };
    let mut live = client
        .stream_feedback(by(Caller::operator(), live))
        .await
        .expect("streams")
        .into_inner();
    let accept = by(officer(PROVINCE), accept(first));
    let (_, next) = tokio::join!(client.accept_report(accept), live.next());
    let next = next.expect("open").expect("no fault");
    assert_eq!(
        (next.directive_id.clone(), next.state()),
        (first.to_string(), pb::FeedbackState::Accepted)
    );

    let mut forged = cursor;
    forged.shards[0].leaf_hash = vec![0; 32].into();
    let diverged = client
        .stream_feedback(by(Caller::operator(), to_head(Some(forged))))
        .await;
    assert_eq!(
        refused(diverged),
        (Code::FailedPrecondition, "LOG_DIVERGED".to_owned())
    );
    mesh.stop().await;
}
