//! Repeats of commands that would now be refused: whoever lost an answer gets
//! the first one.

mod support;

use std::sync::Arc;

use futures::stream;
use support::{BUREAU, Mesh, id, penalty, system};
use tally_eventlog::append::CommandKey;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tally_proto::tally::log::v1::{DocumentRef, Receipt};
use tally_service::{Catalogue, logs};
use uuid::Uuid;

fn as_repeat(first: Receipt) -> Receipt {
    assert!(!first.repeated);
    Receipt {
        repeated: true,
        ..first
    }
}

#[tokio::test]
async fn a_push_is_answered_with_its_first_receipt_after_its_basis_ended() {
    let mesh = Mesh::start().await;
    let command = id();
    let first = mesh
        .push(system(BUREAU), command, penalty(1))
        .await
        .expect("accepted");
    mesh.end_basis();

    let again = mesh
        .push(system(BUREAU), command, penalty(1))
        .await
        .expect("it was applied");
    assert_eq!(again.record_id, first.record_id);
    assert_eq!(again.receipt, first.receipt.map(as_repeat));
    for (command, record) in [(id(), penalty(1)), (command, penalty(2))] {
        let fault = mesh
            .push(system(BUREAU), command, record)
            .await
            .expect_err("another command");
        assert_eq!(fault.reason, "LEGAL_BASIS_NOT_IN_FORCE");
    }
    assert_eq!(mesh.records().await.len(), 1);
}

#[tokio::test]
async fn a_stream_answers_repeats_in_their_places() {
    let mesh = Mesh::start().await;
    let ids: Vec<Uuid> = (0..3).map(|_| id()).collect();
    let requests = |ids: &[Uuid]| {
        let requests: Vec<_> = ids
            .iter()
            .enumerate()
            .map(|(n, id)| pb::PushRecordsRequest {
                command_id: id.to_string(),
                record: Some(penalty(n)),
                ..Default::default()
            })
            .collect();
        stream::iter(requests)
    };
    let (first, ended) = mesh.push_all(system(BUREAU), requests(&ids)).await;
    ended.expect("all are answered");
    mesh.end_basis();

    let with_another = [ids[0], id(), ids[2]];
    let (again, ended) = mesh.push_all(system(BUREAU), requests(&with_another)).await;
    ended.expect("all are answered");
    let receipts: Vec<Option<Receipt>> = [&first, &again]
        .into_iter()
        .flatten()
        .map(|answer| match answer.outcome.clone().expect("an outcome") {
            Outcome::Accepted(accepted) => accepted.receipt,
            Outcome::Refused(refusal) => {
                let reasons: Vec<_> = refusal.faults.iter().map(|it| &it.reason).collect();
                assert_eq!(reasons, ["LEGAL_BASIS_NOT_IN_FORCE"]);
                None
            }
        })
        .collect();
    let [a, _, c, a_again, other, c_again] = receipts.as_slice() else {
        panic!("six answers")
    };
    assert_eq!(*a_again, a.clone().map(as_repeat));
    assert_eq!(*other, None);
    assert_eq!(*c_again, c.clone().map(as_repeat));
}

#[tokio::test]
async fn a_correction_is_answered_with_its_first_receipt_after_its_basis_ended() {
    let mesh = Mesh::start().await;
    let record = mesh
        .push(system(BUREAU), id(), penalty(1))
        .await
        .expect("accepted");
    let corrected = |command: Uuid, fine: &str| {
        let mut record_now = penalty(1);
        record_now.fields[2].value = fine.into();
        pb::CorrectRecordRequest {
            command_id: command.to_string(),
            record_id: record.record_id.clone(),
            record: Some(record_now),
            reason: "a typing error".into(),
        }
    };
    let command = id();
    let first = mesh
        .correct(system(BUREAU), corrected(command, "2"))
        .await
        .expect("corrected");
    mesh.end_basis();

    let again = mesh.correct(system(BUREAU), corrected(command, "2")).await;
    assert_eq!(again.expect("it was applied"), as_repeat(first));
    for (command, fine) in [(id(), "2"), (command, "3")] {
        let fault = mesh
            .correct(system(BUREAU), corrected(command, fine))
            .await
            .expect_err("another command");
        assert_eq!(fault.reason, "LEGAL_BASIS_NOT_IN_FORCE");
    }
}

#[tokio::test]
async fn a_withdrawal_is_answered_with_its_first_receipt_without_a_pack() {
    let mut mesh = Mesh::start().await;
    let record = mesh
        .push(system(BUREAU), id(), penalty(1))
        .await
        .expect("accepted");
    let withdrawal = |command: Uuid, reason: &str| pb::WithdrawRecordRequest {
        command_id: command.to_string(),
        record_id: record.record_id.clone(),
        reason: reason.into(),
        document: Some(DocumentRef {
            number: "复〔2026〕2号".into(),
            ..Default::default()
        }),
    };
    let command = id();
    let first = mesh
        .withdraw(system(BUREAU), withdrawal(command, "revoked"))
        .await
        .expect("withdrawn");
    let reused = mesh
        .withdraw(system(BUREAU), withdrawal(command, "another reason"))
        .await;
    assert_eq!(
        reused.expect_err("another content").reason,
        "COMMAND_ID_REUSED"
    );
    mesh.deps.catalogue = Arc::new(Catalogue::default());

    let again = mesh
        .withdraw(system(BUREAU), withdrawal(command, "revoked"))
        .await;
    assert_eq!(again.expect("it was applied"), as_repeat(first));
    for (command, reason) in [(id(), "revoked"), (command, "another reason")] {
        let fault = mesh
            .withdraw(system(BUREAU), withdrawal(command, reason))
            .await
            .expect_err("another command");
        assert_eq!(fault.reason, "NO_POLICY_PACK");
    }
}

#[tokio::test]
async fn what_stands_for_a_content_is_no_plain_hash() {
    let (one, other) = (Mesh::start().await, Mesh::start().await);
    let digest = async |mesh: &Mesh| {
        let command = id();
        mesh.push(system(BUREAU), command, penalty(1))
            .await
            .expect("accepted");
        let key = CommandKey {
            department: BUREAU.into(),
            id: command,
            digest: [0; 32],
        };
        let remembered = mesh.deps.store.remembered(logs::COLLECTION, &[key]).await;
        let remembered = remembered.expect("it can be read").pop().flatten();
        remembered.expect("it was applied").digest
    };
    // Two deployments have two master keys.
    assert_ne!(digest(&one).await, digest(&other).await);
}
