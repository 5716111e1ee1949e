//! The unary calls, in process.

mod support;

use support::{BUREAU, COMPANY, COUNTY, Mesh, PENALTY, by, field, id, penalty, report, system};
use tally_auth::Caller;
use tally_collection::codec::{RECORD_ACCEPTED, RECORD_CORRECTED, RECORD_WITHDRAWN};
use tally_domain::document::DocumentNumber;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::log::v1::DocumentRef;
use tonic::Code;
use uuid::Uuid;

fn violations(fault: &tally_rpc::FaultReport) -> Vec<(&str, &str)> {
    fault
        .violations
        .iter()
        .map(|one| (one.field.as_str(), one.reason.as_str()))
        .collect()
}

#[tokio::test]
async fn a_pushed_record_is_in_the_log_at_its_receipt_and_in_the_counts() {
    let mesh = Mesh::start().await;
    let accepted = mesh
        .push(system(BUREAU), id(), penalty(1))
        .await
        .expect("accepted");
    let number = DocumentNumber::parse("罚[2026]1号").expect("valid");
    let (department, subject) = (
        BUREAU.parse().expect("valid"),
        COMPANY.parse().expect("valid"),
    );
    let expected = tally_collection::record_id(&department, &number, &subject, PENALTY);
    assert_eq!(accepted.record_id, expected.to_string());

    let receipt = accepted.receipt.expect("a receipt");
    let log = mesh.records().await;
    let [record] = log.as_slice() else {
        panic!("one record")
    };
    assert_eq!(
        (receipt.log.as_str(), receipt.shard),
        ("collection", u32::from(record.shard.0))
    );
    assert_eq!(
        (receipt.position, &receipt.leaf_hash[..], receipt.repeated),
        (0, &record.leaf[..], false)
    );
    let envelope = &record.envelope;
    assert_eq!(
        (envelope.category.as_str(), envelope.stream_id.as_str()),
        ("record", accepted.record_id.as_str())
    );
    assert_eq!(
        (envelope.event_type.as_str(), envelope.subject.as_str()),
        (RECORD_ACCEPTED, COMPANY)
    );
    assert_eq!(envelope.pack_version, "2026.1");
    let body: pb::RecordAccepted = record.payload().expect("its payload");
    assert_eq!(
        (body.publish_by.as_str(), body.publish_by_provisional),
        ("2026-02-28", false)
    );

    assert_eq!(mesh.counts("").await, [(PENALTY.to_owned(), 1, 0, 0)]);
    assert_eq!(mesh.counts(COUNTY).await, []);
}

#[tokio::test]
async fn a_repeat_is_answered_with_the_first_receipt() {
    let mesh = Mesh::start().await;
    let command = id();
    let first = mesh
        .push(system(BUREAU), command, penalty(1))
        .await
        .expect("accepted");
    let again = mesh
        .push(system(BUREAU), command, penalty(1))
        .await
        .expect("the same command");
    let identical = mesh
        .push(system(BUREAU), id(), penalty(1))
        .await
        .expect("the same record");
    for repeat in [again, identical] {
        assert_eq!(repeat.record_id, first.record_id);
        let (receipt, first) = (
            repeat.receipt.expect("a receipt"),
            first.receipt.clone().expect("a receipt"),
        );
        assert!(receipt.repeated);
        assert_eq!(
            pb::AcceptedRecord {
                receipt: Some(first),
                ..Default::default()
            },
            pb::AcceptedRecord {
                receipt: Some(tally_proto::tally::log::v1::Receipt {
                    repeated: false,
                    ..receipt
                }),
                ..Default::default()
            }
        );
    }
    let reused = mesh
        .push(system(BUREAU), command, penalty(2))
        .await
        .expect_err("another content");
    assert_eq!(
        (reused.code, reused.reason.as_str()),
        (Code::AlreadyExists, "COMMAND_ID_REUSED")
    );
    assert_eq!(mesh.records().await.len(), 1);
}

#[tokio::test]
async fn a_different_record_under_the_same_key_is_refused_with_the_fields() {
    let mesh = Mesh::start().await;
    mesh.push(system(BUREAU), id(), penalty(1))
        .await
        .expect("accepted");
    let mut different = penalty(1);
    different.fields[2].value = "2".into();
    different.valid_until = "2027-01-01".into();
    let fault = mesh
        .push(system(BUREAU), id(), different.clone())
        .await
        .expect_err("it differs");
    assert_eq!(
        (fault.code, fault.reason.as_str()),
        (Code::AlreadyExists, "RECORD_EXISTS_DIFFERENT")
    );
    assert_eq!(
        fault.metadata["fields"],
        "record.valid_until,record.fields.fine"
    );
    // Another department's decision is another record.
    mesh.push(system(COUNTY), id(), different)
        .await
        .expect("its own record");
}

#[tokio::test]
async fn every_fault_is_named_at_once() {
    let mesh = Mesh::start().await;
    let mut bad = penalty(1);
    bad.subject = "cn-uscc:9152000071430580X0".into();
    bad.decided_on = "2026-03-03".into();
    bad.legal_basis = None;
    bad.fields.push(field("score", "7"));
    let request = pb::PushRecordRequest {
        command_id: "x".into(),
        record: Some(bad),
        ..Default::default()
    };
    let fault = report(
        mesh.client()
            .push_record(by(system(BUREAU), request))
            .await
            .expect_err("it is bad"),
    );
    assert_eq!(fault.code, Code::InvalidArgument);
    assert_eq!(
        violations(&fault),
        [
            ("command_id", "COMMAND_ID_INVALID"),
            ("record.subject", "IDENTIFIER_CHECK_CHARACTER"),
            ("record.decided_on", "DATE_IN_FUTURE"),
            ("record.legal_basis", "LEGAL_BASIS_REQUIRED"),
            ("record.fields[3]", "FIELD_UNKNOWN"),
        ]
    );
    assert!(mesh.records().await.is_empty());
}

#[tokio::test]
async fn only_departments_that_report_the_type_push_it() {
    let mesh = Mesh::start().await;
    let mut licence = penalty(1);
    licence.record_type = "administrative-licence".into();
    let fault = mesh
        .push(system(COUNTY), id(), licence)
        .await
        .expect_err("no reporter");
    assert_eq!(
        (fault.code, fault.metadata["right"].as_str()),
        (Code::PermissionDenied, "collection.push")
    );
    for nobody in [Caller::operator(), Caller::mesh()] {
        let fault = mesh
            .push(nobody, id(), penalty(1))
            .await
            .expect_err("no department");
        assert_eq!(fault.code, Code::PermissionDenied);
    }
    let request = pb::PushRecordRequest {
        command_id: id().to_string(),
        record: Some(penalty(1)),
        ..Default::default()
    };
    let status = mesh
        .client()
        .push_record(request)
        .await
        .expect_err("nobody");
    assert_eq!(status.code(), Code::Unauthenticated);
    assert!(mesh.records().await.is_empty());
}

fn correction(
    command_id: Uuid,
    record_id: &str,
    record: pb::RecordContent,
) -> pb::CorrectRecordRequest {
    pb::CorrectRecordRequest {
        command_id: command_id.to_string(),
        record_id: record_id.into(),
        record: Some(record),
        reason: "a typing error".into(),
    }
}

fn withdrawal(command_id: Uuid, record_id: &str) -> pb::WithdrawRecordRequest {
    pb::WithdrawRecordRequest {
        command_id: command_id.to_string(),
        record_id: record_id.into(),
        reason: "revoked on reconsideration".into(),
        document: Some(DocumentRef {
            number: "复〔2026〕2号".into(),
            ..Default::default()
        }),
    }
}

#[tokio::test]
async fn its_department_corrects_and_withdraws_and_nobody_else() {
    let mesh = Mesh::start().await;
    let record = mesh
        .push(system(BUREAU), id(), penalty(1))
        .await
        .expect("accepted")
        .record_id;
    let mut corrected = penalty(1);
    corrected.fields[2].value = "2".into();

    let foreign = mesh
        .correct(system(COUNTY), correction(id(), &record, corrected.clone()))
        .await;
    let foreign = foreign.expect_err("another department");
    assert_eq!(
        (foreign.code, foreign.metadata["right"].as_str()),
        (Code::PermissionDenied, "collection.correct")
    );
    let same = mesh
        .correct(system(BUREAU), correction(id(), &record, penalty(1)))
        .await;
    assert_eq!(same.expect_err("nothing changed").reason, "NOTHING_CHANGED");
    let other = mesh
        .correct(system(BUREAU), correction(id(), &record, penalty(2)))
        .await;
    assert_eq!(
        other.expect_err("another record").reason,
        "RECORD_IDENTITY_FIXED"
    );

    let command = id();
    let request = || correction(command, &record, corrected.clone());
    let first = mesh
        .correct(system(BUREAU), request())
        .await
        .expect("corrected");
    let again = mesh
        .correct(system(BUREAU), request())
        .await
        .expect("the same command");
    assert_eq!((first.position, first.repeated), (1, false));
    assert_eq!((again.position, again.repeated), (1, true));
    let shown = mesh
        .get(system(COUNTY), &record, "")
        .await
        .expect("it is in use");
    assert_eq!(
        (shown.corrections, shown.state()),
        (1, pb::RecordState::Accepted)
    );
    assert_eq!(
        shown.record.expect("its content").fields[2],
        field("fine", "2")
    );

    let foreign = mesh
        .withdraw(system(COUNTY), withdrawal(id(), &record))
        .await
        .expect_err("another department");
    assert_eq!(
        (foreign.code, foreign.metadata["right"].as_str()),
        (Code::PermissionDenied, "collection.withdraw")
    );
    mesh.withdraw(system(BUREAU), withdrawal(id(), &record))
        .await
        .expect("withdrawn");
    for refused in [
        mesh.withdraw(system(BUREAU), withdrawal(id(), &record))
            .await
            .map(|_| ()),
        mesh.correct(system(BUREAU), correction(id(), &record, penalty(1)))
            .await
            .map(|_| ()),
        mesh.push(system(BUREAU), id(), corrected).await.map(|_| ()),
    ] {
        assert_eq!(
            refused.expect_err("it is withdrawn").reason,
            "RECORD_WITHDRAWN"
        );
    }
    // For another department it is as if it had never been.
    for unseen in [
        mesh.get(system(COUNTY), &record, "").await.map(|_| ()),
        mesh.withdraw(system(COUNTY), withdrawal(id(), &record))
            .await
            .map(|_| ()),
    ] {
        assert_eq!(unseen.expect_err("not for it").reason, "RECORD_UNKNOWN");
    }
    let audit = mesh
        .get(Caller::operator(), &record, "")
        .await
        .expect("for audit");
    assert_eq!(audit.state(), pb::RecordState::Withdrawn);
    assert_eq!(mesh.counts(BUREAU).await, [(PENALTY.to_owned(), 1, 1, 1)]);
    let log = mesh.records().await;
    let types: Vec<&str> = log
        .iter()
        .map(|event| event.envelope.event_type.as_str())
        .collect();
    assert_eq!(types, [RECORD_ACCEPTED, RECORD_CORRECTED, RECORD_WITHDRAWN]);
}

#[tokio::test]
async fn changes_name_every_fault_at_once() {
    let mesh = Mesh::start().await;
    let mut bad = correction(id(), "x", penalty(1));
    bad.command_id.clear();
    bad.reason = " ".into();
    bad.record.as_mut().expect("a record").decided_on.clear();
    let fault = mesh
        .correct(system(BUREAU), bad)
        .await
        .expect_err("it is bad");
    let fields: Vec<&str> = violations(&fault)
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    assert_eq!(
        fields,
        ["command_id", "record_id", "reason", "record.decided_on"]
    );
    let bad = pb::WithdrawRecordRequest::default();
    let fault = mesh
        .withdraw(system(BUREAU), bad)
        .await
        .expect_err("it is bad");
    let fields: Vec<&str> = violations(&fault)
        .into_iter()
        .map(|(field, _)| field)
        .collect();
    assert_eq!(fields, ["command_id", "record_id", "reason", "document"]);
    let unknown = mesh
        .withdraw(system(BUREAU), withdrawal(id(), &id().to_string()))
        .await;
    assert_eq!(unknown.expect_err("no such record").code, Code::NotFound);
}
