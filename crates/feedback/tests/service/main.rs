//! The service on a store in memory, called through its generated client
//! without a network.

mod mesh;
mod reading;

use mesh::*;
use tally_auth::Caller;
use tally_eventlog::store::EventStore as _;
use tally_proto::tally::feedback::v1 as pb;
use tally_proto::tally::feedback::v1::feedback_service_client::FeedbackServiceClient;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_rpc::FaultReport;
use tally_service::logs;
use tonic::{Code, Status};
use uuid::Uuid;

const MOUTAI: &str = "cn-uscc:9152000071430580XT";
const SINOPEC: &str = "cn-uscc:91110000710926094P";

/// A client straight on the server.
#[macro_export]
macro_rules! client {
    ($mesh:expr) => {
        FeedbackServiceClient::new(tally_feedback::server($mesh.deps.clone(), &$mesh.readers))
    };
}

fn executed(directive: Uuid) -> pb::ReportRequest {
    pb::ReportRequest {
        command_id: command_id(),
        directive_id: directive.to_string(),
        outcome: pb::ReportedOutcome::Executed.into(),
        document: document(),
        done_on: "2026-03-02".to_owned(),
        ..Default::default()
    }
}

fn accept(directive: Uuid) -> pb::AcceptReportRequest {
    pb::AcceptReportRequest {
        command_id: command_id(),
        directive_id: directive.to_string(),
    }
}

fn get(directive: Uuid) -> pb::GetFeedbackRequest {
    pb::GetFeedbackRequest {
        directive_id: directive.to_string(),
    }
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>) -> (Code, String) {
    let status = outcome.expect_err("refused");
    (status.code(), FaultReport::from(&status).reason)
}

#[tokio::test]
async fn a_report_right_after_the_directive_is_taken_and_accepted() {
    let mesh = Mesh::start().await;
    let mut client = client!(mesh);
    let directive = mesh.executed_directive(MOUTAI, COUNTY).await;

    let request = executed(directive);
    let first = client
        .report(by(system(COUNTY), request.clone()))
        .await
        .expect("taken")
        .into_inner();
    let first = first.receipt.expect("a receipt");
    assert_eq!((first.log.as_str(), first.repeated), ("feedback", false));
    let again = client
        .report(by(system(COUNTY), request.clone()))
        .await
        .expect("taken")
        .into_inner();
    let again = again.receipt.expect("a receipt");
    assert_eq!(
        (again.position, again.leaf_hash, again.repeated),
        (first.position, first.leaf_hash, true)
    );
    let other = pb::ReportRequest {
        remarks: "other".to_owned(),
        ..request
    };
    let reused = client.report(by(system(COUNTY), other)).await;
    assert_eq!(
        refused(reused),
        (Code::AlreadyExists, "COMMAND_ID_REUSED".to_owned())
    );

    client
        .accept_report(by(officer(PROVINCE), accept(directive)))
        .await
        .expect("accepted");
    let feedback = client
        .get_feedback(by(officer(COUNTY), get(directive)))
        .await
        .expect("seen");
    let feedback = feedback.into_inner().feedback.expect("a feedback");
    assert_eq!(feedback.state(), pb::FeedbackState::Accepted);
    assert_eq!(
        (feedback.subject.as_str(), feedback.report_by.as_str()),
        (MOUTAI, REPORT_BY)
    );
    mesh.stop().await;
}

#[tokio::test]
async fn others_may_not_report_decide_or_see() {
    let mesh = Mesh::start().await;
    let mut client = client!(mesh);
    let directive = mesh.executed_directive(MOUTAI, COUNTY).await;
    let denied = (Code::PermissionDenied, "RIGHT_MISSING".to_owned());
    let unknown = (Code::NotFound, "FEEDBACK_UNKNOWN".to_owned());
    // It is no party, so that there is no such directive for it.
    assert_eq!(
        refused(client.report(by(system(CITY), executed(directive))).await),
        unknown
    );
    // It listed, so that it sees the directive and may not report on it.
    assert_eq!(
        refused(
            client
                .report(by(system(PROVINCE), executed(directive)))
                .await
        ),
        denied
    );
    assert_eq!(
        refused(
            client
                .report(by(Caller::operator(), executed(directive)))
                .await
        ),
        denied
    );
    client
        .report(by(system(COUNTY), executed(directive)))
        .await
        .expect("taken");
    for caller in [officer(COUNTY), system(PROVINCE), Caller::operator()] {
        assert_eq!(
            refused(client.accept_report(by(caller, accept(directive))).await),
            denied
        );
    }
    let stranger = client
        .accept_report(by(officer(CITY), accept(directive)))
        .await;
    assert_eq!(refused(stranger), unknown);
    assert_eq!(
        refused(client.get_feedback(by(officer(CITY), get(directive))).await),
        unknown
    );
    assert_eq!(
        refused(
            client
                .report(by(system(COUNTY), executed(Uuid::now_v7())))
                .await
        ),
        unknown
    );
    client
        .get_feedback(by(Caller::operator(), get(directive)))
        .await
        .expect("the operator sees all");
    let request = tonic::Request::new(get(directive));
    assert_eq!(
        client
            .get_feedback(request)
            .await
            .expect_err("nobody")
            .code(),
        Code::Unauthenticated
    );
    mesh.stop().await;
}

#[tokio::test]
async fn a_bad_report_gets_every_fault() {
    let mesh = Mesh::start().await;
    let mut client = client!(mesh);
    let bad = pb::ReportRequest {
        command_id: Uuid::new_v4().to_string(),
        directive_id: "x".to_owned(),
        outcome: pb::ReportedOutcome::Declined.into(),
        done_on: "2026-03-03".to_owned(),
        check_id: "y".to_owned(),
        remarks: "z".repeat(2_001),
        ..Default::default()
    };
    let status = client
        .report(by(system(COUNTY), bad))
        .await
        .expect_err("refused");
    let mut fields: Vec<_> = FaultReport::from(&status)
        .violations
        .into_iter()
        .map(|it| it.field)
        .collect();
    fields.sort();
    assert_eq!(
        fields,
        [
            "check_id",
            "command_id",
            "directive_id",
            "document",
            "done_on",
            "remarks"
        ]
    );
    let empty = pb::ReportRequest {
        command_id: command_id(),
        directive_id: Uuid::nil().to_string(),
        ..Default::default()
    };
    assert_eq!(
        refused(client.report(by(system(COUNTY), empty)).await).0,
        Code::InvalidArgument
    );
    mesh.stop().await;
}

#[tokio::test]
async fn what_is_overdue_is_escalated_on_its_day_unless_suspended_or_lifted() {
    let mesh = Mesh::start().await;
    let mut client = client!(mesh);
    let silent = mesh.directive(MOUTAI, COUNTY).await;
    let suspended = mesh.directive(MOUTAI, CITY).await;
    let lifted = mesh.directive(SINOPEC, COUNTY).await;
    let event = sanctions::DirectiveSuspended {
        department: CITY.to_owned(),
        ..Default::default()
    };
    mesh.sanctions(
        suspended,
        MOUTAI,
        "tally.sanctions.v1.DirectiveSuspended",
        &event,
    )
    .await;
    let event = sanctions::DirectiveLifted {
        department: COUNTY.to_owned(),
        ..Default::default()
    };
    mesh.sanctions(
        lifted,
        SINOPEC,
        "tally.sanctions.v1.DirectiveLifted",
        &event,
    )
    .await;
    mesh.caught_up().await;

    let shard = mesh.deps.store.shards().of(MOUTAI);
    let before = mesh
        .deps
        .store
        .heads(logs::FEEDBACK)
        .await
        .expect("readable")[usize::from(shard.0)]
    .size();
    // Still the last day in the pack's time zone; a minute later the next has begun.
    mesh.advance_to("2026-03-16T15:59:00Z");
    mesh.advance_to("2026-03-16T16:01:00Z");
    mesh.feedback_records(MOUTAI, before + 1).await;
    mesh.caught_up().await;

    let mut state = async |directive| {
        let request = by(Caller::operator(), get(directive));
        let feedback = client
            .get_feedback(request)
            .await
            .expect("seen")
            .into_inner()
            .feedback;
        feedback
            .map(|feedback| (feedback.state(), feedback.overdue))
            .expect("a feedback")
    };
    assert_eq!(state(silent).await, (pb::FeedbackState::Escalated, true));
    assert_eq!(state(suspended).await, (pb::FeedbackState::Due, false));
    assert_eq!(state(lifted).await, (pb::FeedbackState::Closed, false));
    let records = mesh
        .store
        .read_streams(logs::FEEDBACK, &[stream_of(silent)])
        .await
        .expect("readable");
    let last = records[0].last().expect("an event");
    let last = tally_eventlog::event::Recorded::decode(logs::FEEDBACK, last).expect("decodes");
    assert_eq!(
        last.effective_at.to_string(),
        "2026-03-16T16:00:00Z",
        "the first moment of the day after"
    );
    let rows = mesh
        .store
        .scan(tally_feedback::TIMER_VIEW, shard, &[], None, 10)
        .await
        .expect("readable");
    assert!(rows.is_empty(), "nothing is left to fire");
    mesh.executed(silent, MOUTAI, COUNTY).await;
    client
        .report(by(system(COUNTY), executed(silent)))
        .await
        .expect("late, and still taken");
    mesh.stop().await;
}

fn stream_of(directive: Uuid) -> tally_eventlog::event::StreamName {
    tally_eventlog::event::StreamName::new("feedback", directive.to_string())
}

#[tokio::test]
async fn a_reader_that_is_behind_is_said_and_not_taken_for_an_unknown_directive() {
    let mesh = Mesh::start().await;
    let mut client = client!(mesh);
    mesh.readers.get(tally_feedback::SANCTIONS_CONSUMER).pause();
    let directive = mesh.executed_directive(MOUTAI, COUNTY).await;
    let behind = client.report(by(system(COUNTY), executed(directive))).await;
    assert_eq!(
        refused(behind),
        (Code::Unavailable, "READER_BEHIND".to_owned())
    );
    mesh.readers
        .get(tally_feedback::SANCTIONS_CONSUMER)
        .unpause();
    client
        .report(by(system(COUNTY), executed(directive)))
        .await
        .expect("taken");
    mesh.stop().await;
}

#[tokio::test]
async fn a_report_must_agree_with_what_sanctions_was_told() {
    let mesh = Mesh::start().await;
    let mut client = client!(mesh);
    let directive = mesh.directive(MOUTAI, COUNTY).await;
    let mut report = async |outcome: pb::ReportedOutcome| {
        let request = pb::ReportRequest {
            outcome: outcome.into(),
            ..executed(directive)
        };
        client.report(by(system(COUNTY), request)).await
    };
    let (done, declined) = (pb::ReportedOutcome::Executed, pb::ReportedOutcome::Declined);
    let failed = |reason: &str| (Code::FailedPrecondition, reason.to_owned());
    let early = refused(report(done).await);
    assert_eq!(early, failed("DIRECTIVE_NOT_ACKNOWLEDGED"));
    let received = sanctions::DirectiveReceived {
        department: COUNTY.to_owned(),
    };
    let event_type = "tally.sanctions.v1.DirectiveReceived";
    mesh.sanctions(directive, MOUTAI, event_type, &received)
        .await;
    let early = refused(report(done).await);
    assert_eq!(early, failed("DIRECTIVE_NOT_EXECUTED"));
    let early = refused(report(declined).await);
    assert_eq!(early, failed("DIRECTIVE_NOT_DECLINED"));
    // Right after the execution: the service catches up before it says that
    // the two disagree, or says that it cannot.
    let reader = mesh.readers.get(tally_feedback::SANCTIONS_CONSUMER);
    reader.pause();
    mesh.executed(directive, MOUTAI, COUNTY).await;
    let behind = (Code::Unavailable, "READER_BEHIND".to_owned());
    assert_eq!(refused(report(done).await), behind);
    reader.unpause();
    let other = refused(report(declined).await);
    assert_eq!(other, failed("REPORT_CONTRADICTS_DIRECTIVE"));
    report(done).await.expect("taken");
    mesh.stop().await;
}

/// A caller that lost an answer gets it, whatever today's pack says.
#[tokio::test]
async fn a_repeat_that_would_be_refused_today_gets_its_first_result() {
    let mesh = Mesh::start().await;
    let mut client = client!(mesh);
    let directive = mesh.executed_directive(MOUTAI, COUNTY).await;
    let mut report = async |request: pb::ReportRequest| {
        let answer = client.report(by(system(COUNTY), request)).await;
        answer.map(|answer| answer.into_inner().receipt.expect("a receipt"))
    };
    let request = executed(directive);
    let first = report(request.clone()).await.expect("taken");

    // Where the new pack counts its days, the day of the report is yet to come.
    let mut pack = tally_catalog::pack::embedded().expect("the embedded pack is sound");
    pack.meta.version = "2026.2".to_owned();
    pack.meta.time_zone = "America/New_York".to_owned();
    load(&*mesh.store, &pack).await;
    let catalogue = &mesh.deps.catalogue;
    let wait = std::time::Duration::from_secs(20);
    assert!(catalogue.wait_for_version("2026.2", wait).await.is_some());
    let again = report(request.clone()).await.expect("the first result");
    assert_eq!(
        (again.position, again.leaf_hash, again.repeated),
        (first.position, first.leaf_hash, true)
    );
    let invalid = (Code::InvalidArgument, "DATE_IN_FUTURE".to_owned());
    let new = report(executed(directive)).await;
    assert_eq!(refused(new), invalid);
    let other = pb::ReportRequest {
        remarks: "another content".to_owned(),
        ..request
    };
    assert_eq!(refused(report(other).await), invalid);
    mesh.stop().await;
}
