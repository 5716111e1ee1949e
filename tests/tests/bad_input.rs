//! Bad input gets its error, with every fault named, and the service goes on.

use tally::client::{Client, command_id};
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tally_rpc::FaultReport;
use tally_tests::harness::*;
use tonic::Code;
use uuid::{NoContext, Timestamp, Uuid};

const START: &str = "2026-03-02T01:00:00Z";

async fn refused(
    client: &Client,
    command_id: String,
    record: collection::RecordContent,
) -> FaultReport {
    let request = collection::PushRecordRequest {
        command_id,
        record: Some(record),
        ..Default::default()
    };
    FaultReport::from(
        &client
            .collection()
            .push_record(request)
            .await
            .expect_err("refused"),
    )
}

fn reasons(report: &FaultReport) -> Vec<&str> {
    let mut reasons: Vec<&str> = report
        .violations
        .iter()
        .map(|violation| violation.reason.as_str())
        .collect();
    reasons.sort_unstable();
    reasons
}

async fn assert_goes_on(client: &Client, number: &str) {
    push(client, penalty(COMPANY, number, "2026-03-01")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_record_is_named_at_once() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let mut record = penalty("cn-uscc:9152000071430580XA", "", "2026-02-30");
    record.legal_basis = None;
    record.fields.retain(|field| field.name != "party_name");
    record.fields.push(collection::Field {
        name: "no_such_field".to_owned(),
        value: "x".to_owned(),
    });
    let report = refused(&system, "not-an-id".to_owned(), record).await;
    assert_eq!(report.code, Code::InvalidArgument);
    let fields: Vec<&str> = report
        .violations
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    for part in [
        "command_id",
        "subject",
        "document_number",
        "decided_on",
        "legal_basis",
        "record.fields[1]",
        "party_name",
    ] {
        assert!(
            fields.iter().any(|field| field.contains(part)) || report.to_string().contains(part),
            "{part} is not named: {report}"
        );
    }
    assert!(
        report
            .violations
            .iter()
            .all(|violation| !violation.message.is_empty())
    );
    assert_goes_on(&system, "after every fault").await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_catalogue_does_not_allow_is_refused() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let good = || penalty(COMPANY, "penalty 1", "2026-03-01");

    let unknown = collection::RecordContent {
        record_type: "gossip".to_owned(),
        ..good()
    };
    let report = refused(&system, command_id(), unknown).await;
    assert!(
        reasons(&report).contains(&"RECORD_TYPE_UNKNOWN"),
        "{report}"
    );

    let lapsed = collection::RecordContent {
        legal_basis: basis(LAPSED),
        ..good()
    };
    let report = refused(&system, command_id(), lapsed).await;
    assert!(
        report
            .violations
            .iter()
            .any(|violation| violation.field.contains("legal_basis")),
        "{report}"
    );

    // The county department may push penalties, but no licences.
    let resources = mesh.system(RESOURCES).await;
    let licence = collection::RecordContent {
        record_type: "administrative-licence".to_owned(),
        ..good()
    };
    let report = refused(&resources, command_id(), licence).await;
    assert!(
        matches!(report.code, Code::PermissionDenied | Code::InvalidArgument),
        "{report}"
    );

    // Natural persons are off; the number is not repeated.
    let person = collection::RecordContent {
        subject: "cn-resident-id:999999200002291230".to_owned(),
        ..good()
    };
    let report = refused(&system, command_id(), person).await;
    assert!(reasons(&report).contains(&"NATURAL_PERSON_OFF"), "{report}");
    assert!(!format!("{report:?}").contains("999999200002291230"));

    // A department that the pack does not know may push nothing.
    let stranger = mesh.system("11990000MB0000001M").await;
    let report = refused(&stranger, command_id(), good()).await;
    assert!(
        matches!(report.code, Code::PermissionDenied | Code::InvalidArgument),
        "{report}"
    );
    assert_goes_on(&system, "after refusals").await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn command_ids_have_a_window_and_one_content() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let month = 31 * 24 * 3_600;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let old = Uuid::new_v7(Timestamp::from_unix(NoContext, now - month, 0)).to_string();
    let report = refused(&system, old, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    assert!(reasons(&report).contains(&"COMMAND_ID_TOO_OLD"), "{report}");

    let id = command_id();
    let request = |number: &str| collection::PushRecordRequest {
        command_id: id.clone(),
        record: Some(penalty(COMPANY, number, "2026-03-01")),
        ..Default::default()
    };
    let first = system
        .collection()
        .push_record(request("penalty 2"))
        .await
        .expect("accepted")
        .into_inner();
    let again = system
        .collection()
        .push_record(request("penalty 2"))
        .await
        .expect("accepted")
        .into_inner();
    let position = |answer: &collection::PushRecordResponse| {
        answer
            .accepted
            .as_ref()
            .and_then(|accepted| accepted.receipt.as_ref())
            .map(|receipt| receipt.position)
    };
    assert_eq!(position(&first), position(&again), "the first result again");
    assert_eq!(
        again
            .accepted
            .and_then(|accepted| accepted.receipt)
            .map(|receipt| receipt.repeated),
        Some(true)
    );
    let other = system
        .collection()
        .push_record(request("penalty 3"))
        .await
        .expect_err("another content");
    assert_eq!(FaultReport::from(&other).reason, "COMMAND_ID_REUSED");
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_different_record_under_the_same_key_is_to_be_corrected() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let (id, _) = push(&system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    let (same, receipt) = push(&system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    assert_eq!((same, receipt.repeated), (id, true));
    let report = refused(
        &system,
        command_id(),
        penalty(COMPANY, "penalty 1", "2026-02-27"),
    )
    .await;
    assert!(
        report.to_string().contains("decided_on"),
        "the field that differs is named: {report}"
    );
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_record_does_not_end_the_stream() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let requests: Vec<collection::PushRecordsRequest> = (0..300)
        .map(|n| {
            let subject = if n % 3 == 0 {
                "cn-uscc:9152000071430580XA"
            } else {
                COMPANY
            };
            collection::PushRecordsRequest {
                command_id: command_id(),
                record: Some(penalty(subject, &format!("penalty {n}"), "2026-03-01")),
                ..Default::default()
            }
        })
        .collect();
    let ids: Vec<String> = requests
        .iter()
        .map(|request| request.command_id.clone())
        .collect();
    let mut answers = system
        .collection()
        .push_records(tokio_stream::iter(requests))
        .await
        .expect("a stream")
        .into_inner();
    let mut seen = Vec::new();
    while let Some(answer) = answers.message().await.expect("the stream goes on") {
        let refused = matches!(answer.outcome, Some(Outcome::Refused(_)));
        assert_eq!(refused, seen.len() % 3 == 0, "answer {}", seen.len());
        seen.push(answer.command_id);
    }
    assert_eq!(seen, ids, "one answer a record, in order");
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_too_large_or_broken_are_refused() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let mut huge = penalty(COMPANY, "penalty 1", "2026-03-01");
    huge.fields.push(collection::Field {
        name: "party_name".to_owned(),
        value: "x".repeat(50 << 20),
    });
    let report = refused(&system, command_id(), huge).await;
    assert_eq!(
        (report.code, report.reason.as_str()),
        (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        "{report}"
    );
    assert_goes_on(&system, "after a large message").await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_certificate_may_not_do_is_refused_by_name() {
    let mesh = Harness::start(START).await;
    let operator = mesh.operator().await;
    let report = refused(
        &operator,
        command_id(),
        penalty(COMPANY, "penalty 1", "2026-03-01"),
    )
    .await;
    assert_eq!(
        (report.code, report.reason.as_str()),
        (Code::PermissionDenied, "RIGHT_MISSING"),
        "{report}"
    );
    assert!(report.to_string().contains("collection.push"), "{report}");
    mesh.stop().await;
}
