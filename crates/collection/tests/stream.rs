//! The push stream, in process.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{StreamExt as _, stream};
use support::{BUREAU, COUNTY, Mesh, PENALTY, by, id, penalty, system};
use tally_eventlog::memory::CommitFault;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tally_service::logs;
use tonic::Code;

fn request(record: pb::RecordContent) -> pb::PushRecordsRequest {
    pb::PushRecordsRequest {
        command_id: id().to_string(),
        record: Some(record),
        ..Default::default()
    }
}

fn requests(count: usize) -> Vec<pb::PushRecordsRequest> {
    (0..count).map(|n| request(penalty(n))).collect()
}

fn accepted(answer: &pb::PushRecordsResponse) -> &pb::AcceptedRecord {
    match &answer.outcome {
        Some(Outcome::Accepted(accepted)) => accepted,
        other => panic!("not accepted: {other:?}"),
    }
}

fn faults(answer: &pb::PushRecordsResponse) -> Vec<(&str, &str)> {
    match &answer.outcome {
        Some(Outcome::Refused(refusal)) => refusal
            .faults
            .iter()
            .map(|fault| (fault.field.as_str(), fault.reason.as_str()))
            .collect(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_come_in_the_order_of_the_requests_and_so_do_the_records() {
    let mesh = Mesh::start().await;
    let requests = requests(3_000);
    let (answers, end) = mesh
        .push_all(system(BUREAU), stream::iter(requests.clone()))
        .await;
    assert_eq!(end, Ok(()));
    let asked: Vec<&str> = requests
        .iter()
        .map(|request| request.command_id.as_str())
        .collect();
    let answered: Vec<&str> = answers
        .iter()
        .map(|answer| answer.command_id.as_str())
        .collect();
    assert_eq!(answered, asked);
    // All are about one subject, so that its order in the log is that of the stream.
    for (position, answer) in answers.iter().enumerate() {
        let receipt = accepted(answer).receipt.as_ref().expect("a receipt");
        assert_eq!(
            (receipt.position, receipt.repeated),
            (position as u64, false)
        );
    }
    assert_eq!(mesh.counts("").await, [(PENALTY.to_owned(), 3_000, 0, 0)]);
}

#[tokio::test]
async fn a_bad_record_is_refused_in_its_place_and_the_stream_goes_on() {
    let mesh = Mesh::start().await;
    let mut different = penalty(1);
    different.fields[2].value = "9".into();
    let mut bad = penalty(2);
    bad.subject = "cn-resident-id:999999200002291230".into();
    bad.decided_on = "2026-02-30".into();
    let mut old = request(penalty(3));
    old.command_id = "01890a5d-ac96-774b-bcce-b302099a8057".into();
    let mut reused = request(penalty(4));
    let first = request(penalty(1));
    reused.command_id.clone_from(&first.command_id);
    let all = vec![
        first,
        request(penalty(1)),
        request(different),
        request(bad),
        old,
        pb::PushRecordsRequest {
            command_id: id().to_string(),
            record: None,
            ..Default::default()
        },
        reused,
        request(penalty(5)),
    ];
    let (answers, end) = mesh.push_all(system(BUREAU), stream::iter(all)).await;
    assert_eq!((answers.len(), end), (8, Ok(())));
    let (first, identical) = (accepted(&answers[0]), accepted(&answers[1]));
    assert_eq!(first.record_id, identical.record_id);
    assert!(identical.receipt.as_ref().expect("a receipt").repeated);
    assert_eq!(
        faults(&answers[2]),
        [("record.fields.fine", "RECORD_EXISTS_DIFFERENT")]
    );
    assert_eq!(
        faults(&answers[3]),
        [
            ("record.decided_on", "DATE_NO_SUCH_DAY"),
            ("record.subject", "NATURAL_PERSON_OFF")
        ]
    );
    assert_eq!(faults(&answers[4]), [("command_id", "COMMAND_ID_TOO_OLD")]);
    assert_eq!(faults(&answers[5]), [("record", "FIELD_REQUIRED")]);
    assert_eq!(faults(&answers[6]), [("command_id", "COMMAND_ID_REUSED")]);
    accepted(&answers[7]);
    assert_eq!(mesh.records().await.len(), 2);
}

#[tokio::test]
async fn a_department_that_is_no_reporter_is_told_so_among_the_other_faults() {
    let mesh = Mesh::start().await;
    let mut licence = penalty(1);
    licence.record_type = "administrative-licence".into();
    let (answers, end) = mesh
        .push_all(system(COUNTY), stream::iter([request(licence)]))
        .await;
    assert_eq!(end, Ok(()));
    let named = faults(&answers[0]);
    assert!(
        named.contains(&("record.record_type", "RIGHT_MISSING")),
        "{named:?}"
    );
    assert!(
        named.contains(&("record.fields.licence_category", "FIELD_REQUIRED")),
        "{named:?}"
    );
}

/// A failed commit ends the stream; the rest is sent again with the same ids.
async fn the_store_fails(fault: CommitFault) {
    let mesh = Mesh::start().await;
    let requests = requests(2_000);
    mesh.faults.script([Some(fault)]);
    let (answers, end) = mesh
        .push_all(system(BUREAU), stream::iter(requests.clone()))
        .await;
    let end = end.expect_err("the store failed");
    assert_eq!(end.code, Code::Unavailable);
    assert_eq!(end.metadata["answered"], answers.len().to_string());
    assert!(
        end.retry.is_some() && end.message.contains("same command ids"),
        "{end}"
    );

    let (again, end) = mesh.push_all(system(BUREAU), stream::iter(requests)).await;
    assert_eq!((again.len(), end), (2_000, Ok(())));
    for (first, again) in answers.iter().zip(&again) {
        let (first, again) = (accepted(first), accepted(again));
        let position =
            |it: &pb::AcceptedRecord| it.receipt.as_ref().map(|receipt| receipt.position);
        assert_eq!(position(first), position(again));
        assert!(again.receipt.as_ref().expect("a receipt").repeated);
    }
    let mut ids: Vec<String> = mesh
        .log(logs::COLLECTION)
        .await
        .into_iter()
        .map(|event| event.envelope.stream_id)
        .collect();
    assert_eq!(ids.len(), 2_000);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 2_000);
}

#[tokio::test]
async fn after_a_commit_that_failed_each_record_is_there_once() {
    the_store_fails(CommitFault::NotApplied).await;
}

#[tokio::test]
async fn after_a_commit_of_unknown_outcome_each_record_is_there_once() {
    the_store_fails(CommitFault::UnknownApplied).await;
    the_store_fails(CommitFault::UnknownNotApplied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_streams_with_the_same_records_make_each_once() {
    let mesh = Mesh::start().await;
    let one = mesh.push_all(system(BUREAU), stream::iter(requests(1_000)));
    let other = mesh.push_all(system(BUREAU), stream::iter(requests(1_000)));
    let ((one, ended), (other, other_ended)) = futures::join!(one, other);
    assert_eq!(
        (one.len(), ended, other.len(), other_ended),
        (1_000, Ok(()), 1_000, Ok(()))
    );
    for (one, other) in one.iter().zip(&other) {
        let (one, other) = (accepted(one), accepted(other));
        assert_eq!(one.record_id, other.record_id);
        let (one, other) = (
            one.receipt.clone().expect("a receipt"),
            other.receipt.clone().expect("a receipt"),
        );
        assert_eq!(one.leaf_hash, other.leaf_hash);
        assert_ne!(one.repeated, other.repeated);
    }
    assert_eq!(mesh.records().await.len(), 1_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_does_not_read_its_answers_is_not_read_from() {
    const ALL: usize = 12_000;
    // Answers, chunks on their way, and what the transport holds.
    const BOUND: usize = 10 * 512;
    let mesh = Mesh::start().await;
    let pulled = Arc::new(AtomicUsize::new(0));
    let counter = pulled.clone();
    let requests = stream::iter(0..ALL).map(move |n| {
        counter.fetch_add(1, Ordering::SeqCst);
        request(penalty(n))
    });
    let response = mesh
        .client()
        .push_records(by(system(BUREAU), requests))
        .await
        .expect("it starts");
    let mut answers = response.into_inner();
    let mut read = 0;
    while let Some(answer) = answers.next().await {
        let answer = answer.expect("an answer");
        let receipt = accepted(&answer).receipt.as_ref();
        assert_eq!(receipt.map(|receipt| receipt.position), Some(read as u64));
        read += 1;
        let ahead = pulled.load(Ordering::SeqCst) - read;
        assert!(
            ahead <= BOUND,
            "{ahead} requests were taken in ahead of answer {read}"
        );
    }
    assert_eq!(read, ALL);
}

#[tokio::test]
async fn without_a_policy_nothing_is_taken_in() {
    let mut mesh = Mesh::start().await;
    mesh.deps.catalogue = Arc::default();
    let (answers, end) = mesh
        .push_all(system(BUREAU), stream::iter(requests(1)))
        .await;
    assert_eq!(
        (answers.len(), end.expect_err("no policy").reason.as_str()),
        (0, "NO_POLICY_PACK")
    );
}
