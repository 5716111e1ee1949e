//! What names a person, in process: sealed, compared, opened, erased.

mod support;

use support::{BUREAU, COMPANY, COUNTY, Mesh, field, id, penalty, system};
use tally_auth::Caller;
use tally_collection::codec::SEALED_OPENED;
use tally_domain::department::OfficerId;
use tally_eventlog::memory::CommitFault;
use tally_proto::tally::collection::v1 as pb;
use tally_service::logs;
use tonic::Code;
use uuid::Uuid;

const NAME: &str = "王芳芳";
const NUMBER: &str = "999999200002291230";

fn personal() -> pb::RecordContent {
    let mut record = penalty(1);
    record.fields.push(field("legal_representative", NAME));
    record.fields.push(field("legal_representative_id", NUMBER));
    record
}

#[tokio::test]
async fn what_names_a_person_is_sealed_wherever_it_is_stored() {
    let mesh = Mesh::start().await;
    mesh.push(system(BUREAU), id(), personal())
        .await
        .expect("accepted");
    assert_eq!(mesh.counts("").await.len(), 1);
    let mut bytes = Vec::new();
    for shard in mesh.deps.store.shards().all() {
        for stored in mesh
            .deps
            .store
            .read(logs::COLLECTION, shard, 0, 100)
            .await
            .expect("it can be read")
        {
            bytes.extend_from_slice(&stored.bytes);
        }
        for view in ["collection.record", "collection.timeliness"] {
            for (key, value) in mesh
                .deps
                .store
                .scan(view, shard, &[], None, 100)
                .await
                .expect("it can be read")
            {
                bytes.extend_from_slice(&key);
                bytes.extend_from_slice(&value);
            }
        }
    }
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds("甲公司") && !holds(NAME) && !holds(NUMBER));
}

#[tokio::test]
async fn sealed_values_are_compared_without_opening_them() {
    let mesh = Mesh::start().await;
    mesh.push(system(BUREAU), id(), personal())
        .await
        .expect("accepted");
    let again = mesh
        .push(system(BUREAU), id(), personal())
        .await
        .expect("identical");
    assert!(again.receipt.expect("a receipt").repeated);
    let mut other = personal();
    other.fields[3].value = "李雷".into();
    let fault = mesh
        .push(system(BUREAU), id(), other)
        .await
        .expect_err("another name");
    assert_eq!(
        fault.metadata["fields"],
        "record.fields.legal_representative"
    );
    assert!(mesh.log(logs::COLLECTION_ACCESS).await.is_empty());
}

#[tokio::test]
async fn sealed_fields_are_opened_for_their_department_with_a_case_and_logged() {
    let mesh = Mesh::start().await;
    let record = mesh
        .push(system(BUREAU), id(), personal())
        .await
        .expect("accepted")
        .record_id;
    let both = ["legal_representative", "legal_representative_id"];
    for (caller, case) in [
        (system(BUREAU), ""),
        (system(BUREAU), " "),
        (system(COUNTY), "case-1"),
        (Caller::operator(), "case-1"),
    ] {
        let shown = mesh.get(caller, &record, case).await.expect("it is shown");
        assert_eq!(shown.withheld, both);
        let names: Vec<String> = shown
            .record
            .expect("its content")
            .fields
            .into_iter()
            .map(|it| it.name)
            .collect();
        assert_eq!(names, ["party_name", "penalty_category", "fine"]);
    }
    assert!(mesh.log(logs::COLLECTION_ACCESS).await.is_empty());

    let officer = OfficerId(Uuid::from_u128(7));
    let caller = Caller::of_officer(BUREAU.parse().expect("valid"), officer);
    let shown = mesh
        .get(caller, &record, "case-1")
        .await
        .expect("it is shown");
    assert!(shown.withheld.is_empty());
    let fields = shown.record.expect("its content").fields;
    assert_eq!(fields[1], field("legal_representative", NAME));
    assert_eq!(fields[2], field("legal_representative_id", NUMBER));
    let access = mesh.log(logs::COLLECTION_ACCESS).await;
    let [opening] = access.as_slice() else {
        panic!("one opening")
    };
    let opened: pb::SealedOpened = opening.payload().expect("its payload");
    assert_eq!(
        (
            opening.envelope.event_type.as_str(),
            opening.envelope.category.as_str()
        ),
        (SEALED_OPENED, "opening")
    );
    assert_eq!(
        (opened.stream, opened.case_number),
        (format!("record/{record}"), "case-1".to_owned())
    );
    assert_eq!(opened.fields, both);
    let actor = opening.envelope.actor.as_ref().expect("an actor");
    assert_eq!(
        (actor.department.as_str(), &actor.officer[..]),
        (BUREAU, &officer.0.as_bytes()[..])
    );
    assert_eq!(opening.envelope.subject, COMPANY);
}

#[tokio::test]
async fn an_opening_that_cannot_be_logged_opens_nothing() {
    let mesh = Mesh::start().await;
    let record = mesh
        .push(system(BUREAU), id(), personal())
        .await
        .expect("accepted")
        .record_id;
    assert_eq!(mesh.counts("").await.len(), 1);
    mesh.faults.script([Some(CommitFault::NotApplied)]);
    let fault = mesh
        .get(system(BUREAU), &record, "case-1")
        .await
        .expect_err("the log is down");
    assert_eq!(fault.code, Code::Unavailable);
}

#[tokio::test]
async fn an_erased_field_is_withheld() {
    let mesh = Mesh::start().await;
    let record = mesh
        .push(system(BUREAU), id(), personal())
        .await
        .expect("accepted")
        .record_id;
    let stream = format!("collection/record/{record}");
    assert!(
        mesh.deps
            .keyring
            .erase_stream(&stream)
            .await
            .expect("erased")
    );
    let shown = mesh
        .get(system(BUREAU), &record, "case-1")
        .await
        .expect("it is shown");
    assert_eq!(shown.withheld.len(), 2);
    assert!(!format!("{shown:?}").contains(NAME));
}
