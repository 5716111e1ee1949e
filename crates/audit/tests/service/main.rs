//! The service on a store in memory, called through its generated client
//! without a network.

mod as_of;
mod mesh;
mod roots;

use futures::TryStreamExt as _;
use mesh::*;
use tally_eventlog::event::{StreamName, to_proto_time};
use tally_eventlog::merkle::leaf_hash;
use tally_eventlog::pb as log;
use tally_eventlog::pb::log_service_client::LogServiceClient;
use tally_eventlog::store::LogSource as _;
use tally_proto::tally::audit::v1 as pb;
use tally_proto::tally::audit::v1::audit_service_client::AuditServiceClient;
use tally_proto::tally::collection::v1 as collection;
use tally_rpc::FaultReport;
use tally_service::{log_service, logs};
use tonic::Code;
use uuid::Uuid;

/// A client straight on the server.
#[macro_export]
macro_rules! client {
    ($mesh:expr) => {
        AuditServiceClient::new(tally_audit::server($mesh.audit.clone()))
    };
}

fn question(on: &str, known_at: &str, subject: &str) -> pb::AsOfRequest {
    pb::AsOfRequest {
        on: on.to_owned(),
        known_at: (!known_at.is_empty()).then(|| to_proto_time(at(known_at))),
        subject: subject.to_owned(),
        list_type: String::new(),
    }
}

async fn replayed(mesh: &Mesh, request: pb::ReplayRequest) -> Vec<pb::ReplayResponse> {
    let stream = client!(mesh)
        .replay(by_operator(request))
        .await
        .expect("replays");
    stream.into_inner().try_collect().await.expect("no fault")
}

#[tokio::test]
async fn replay_gives_the_exact_bytes_and_readable_json() {
    let mesh = Mesh::start().await;
    let entry = mesh.listed(MOUTAI).await;
    mesh.listed(SINOPEC).await;
    let about = pb::ReplayRequest {
        log: "lists".to_owned(),
        subject: MOUTAI.to_owned(),
        ..Default::default()
    };
    let records = replayed(&mesh, about).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].leaf_hash.as_ref(), leaf_hash(&records[0].record));
    let json: serde_json::Value = serde_json::from_str(&records[0].json).expect("json");
    assert_eq!(
        (&json["log"], &json["stream_id"]),
        (&"lists".into(), &entry.id.clone().into())
    );
    assert_eq!(json["event_type"], "tally.lists.v1.EntryListed");
    assert_eq!(json["payload"]["listType"], "serious-violation");
    assert_eq!(json["legal_basis"]["id"], "tally-credit-regulations/20");
    assert!(!records[0].json.contains('\n'));

    let stream = pb::ReplayRequest {
        stream: entry.to_string(),
        ..Default::default()
    };
    assert_eq!(replayed(&mesh, stream).await, records);
    let all = replayed(&mesh, pb::ReplayRequest::default()).await;
    assert!(all.len() > 2 && all.contains(&records[0]));
    let catalog = pb::ReplayRequest {
        log: "catalog".to_owned(),
        from: 3,
        to: Some(5),
        ..Default::default()
    };
    let positions: Vec<u64> = replayed(&mesh, catalog)
        .await
        .iter()
        .map(|record| {
            serde_json::from_str::<serde_json::Value>(&record.json).expect("json")["position"]
                .as_u64()
                .expect("a number")
        })
        .collect();
    assert_eq!(positions, [3, 4, 5]);
    mesh.stop().await;
}

#[tokio::test]
async fn sealed_fields_stay_sealed_in_a_replay() {
    let mesh = Mesh::start().await;
    let sealer = mesh
        .audit
        .keyring
        .sealers(&["record/1"])
        .await
        .expect("a key")
        .pop()
        .expect("one");
    let sealed = sealer.seal("legal_representative", "Zhang San");
    let field = collection::StoredField {
        name: "legal_representative".to_owned(),
        value: Some(collection::stored_field::Value::Sealed(sealed)),
    };
    let content = collection::StoredContent {
        fields: vec![field],
        ..Default::default()
    };
    let event = collection::RecordAccepted {
        content: Some(content),
        ..Default::default()
    };
    let stream = StreamName::new("record", "1");
    let event_type = "tally.collection.v1.RecordAccepted";
    append(
        &*mesh.store,
        logs::COLLECTION,
        stream,
        MOUTAI,
        event_type,
        "2012-01-10T01:00:00Z",
        &event,
    )
    .await;
    let request = pb::ReplayRequest {
        log: "collection".to_owned(),
        ..Default::default()
    };
    let records = replayed(&mesh, request).await;
    let json: serde_json::Value = serde_json::from_str(&records[0].json).expect("json");
    let sealed = &json["payload"]["content"]["fields"][0]["sealed"];
    assert!(sealed["keyId"].is_string() && sealed["ciphertext"].is_string());
    assert!(!records[0].json.contains("Zhang"));
    mesh.stop().await;
}

#[tokio::test]
async fn a_bad_question_gets_every_fault() {
    let mesh = Mesh::start().await;
    let mut client = client!(mesh);
    let bad = pb::ReplayRequest {
        shard: Some(4),
        from: 7,
        to: Some(6),
        stream: "record".to_owned(),
        subject: "x".to_owned(),
        ..Default::default()
    };
    let status = client.replay(by_operator(bad)).await.expect_err("refused");
    let mut fields: Vec<_> = FaultReport::from(&status)
        .violations
        .into_iter()
        .map(|it| it.field)
        .collect();
    fields.sort();
    assert_eq!(fields, ["shard", "stream", "subject", "to"]);
    let status = client
        .as_of(by_operator(question("2012", "", "y")))
        .await
        .expect_err("refused");
    assert_eq!(FaultReport::from(&status).violations.len(), 2);
    let unknown = pb::ReplayRequest {
        log: "list".to_owned(),
        ..Default::default()
    };
    let status = client
        .replay(by_operator(unknown))
        .await
        .expect_err("refused");
    assert_eq!(
        (status.code(), FaultReport::from(&status).reason.as_str()),
        (Code::NotFound, "LOG_UNKNOWN")
    );
    let status = client
        .verify(tonic::Request::new(pb::VerifyRequest {}))
        .await
        .expect_err("nobody");
    assert_eq!(status.code(), Code::Unauthenticated);
    mesh.stop().await;
}

#[tokio::test]
async fn a_rebuild_agrees_and_finds_every_corrupted_row() {
    let mesh = Mesh::start().await;
    for subject in [MOUTAI, SINOPEC, POISON, MOUTAI_BY_CODE, POISON] {
        mesh.listed(subject).await;
    }
    mesh.caught_up().await;
    let rebuild = async || {
        let stream = client!(mesh)
            .rebuild(by_operator(pb::RebuildRequest {}))
            .await
            .expect("rebuilds");
        let mut results: Vec<pb::RebuildResponse> =
            stream.into_inner().try_collect().await.expect("no fault");
        results.pop().expect("one target")
    };
    let result = rebuild().await;
    assert_eq!(
        (result.consumer.as_str(), result.source.as_str()),
        ("test.lists", "lists")
    );
    // What is parked has not reached the view, and is left out here too.
    assert_eq!(
        (result.records, result.rows, result.differences_total),
        (3, 3, 0)
    );
    mesh.corrupt(MOUTAI, Some(&[8, 9])).await;
    mesh.corrupt(SINOPEC, None).await;
    mesh.corrupt("cn-uscc:none", Some(&[8, 1])).await;
    let result = rebuild().await;
    let mut kinds: Vec<_> = result
        .differences
        .iter()
        .map(|it| it.kind.as_str())
        .collect();
    kinds.sort_unstable();
    assert_eq!(
        (kinds, result.differences_total),
        (vec!["different", "missing", "surplus"], 3)
    );
    mesh.stop().await;
}

#[tokio::test]
async fn verification_gives_one_result_per_shard_with_its_root() {
    let mesh = Mesh::start().await;
    mesh.listed(MOUTAI).await;
    let stream = client!(mesh)
        .verify(by_operator(pb::VerifyRequest {}))
        .await
        .expect("verifies");
    let results: Vec<pb::VerifyResponse> =
        stream.into_inner().try_collect().await.expect("no fault");
    assert_eq!(results.len(), logs::ALL.len() * 4);
    assert!(results.iter().all(|result| result.faults.is_empty()));
    let shard = mesh.store.shards().of(MOUTAI);
    let root = mesh.store.heads(logs::LISTS).await.expect("readable")[usize::from(shard.0)]
        .frontier
        .root();
    let of_shard = |result: &&pb::VerifyResponse| {
        result.log == "lists"
            && result
                .head
                .as_ref()
                .is_some_and(|head| head.shard == u32::from(shard.0))
    };
    let head = results
        .iter()
        .find(of_shard)
        .and_then(|result| result.head.clone())
        .expect("there");
    assert_eq!((head.size, head.root.as_ref()), (1, root.as_slice()));
    mesh.stop().await;
}

#[tokio::test]
async fn the_log_service_reads_from_a_position_and_tells_the_heads() {
    let mesh = Mesh::start().await;
    let mut client = LogServiceClient::new(log_service::server(sources(&mesh.store)));
    let heads = log::GetHeadsRequest {
        log: "catalog".to_owned(),
    };
    let heads = client
        .get_heads(by_operator(heads))
        .await
        .expect("told")
        .into_inner();
    assert!(Uuid::from_slice(&heads.log_id).is_ok());
    let head = heads
        .heads
        .iter()
        .find(|head| head.size > 0)
        .expect("the pack is somewhere");
    let read = |shard, from| log::ReadLogRequest {
        log: "catalog".to_owned(),
        shard,
        from,
        ..Default::default()
    };
    let stream = client
        .read_log(by_operator(read(head.shard, 2)))
        .await
        .expect("reads");
    let records: Vec<log::ReadLogResponse> =
        stream.into_inner().try_collect().await.expect("no fault");
    assert_eq!(records.len() as u64, head.size - 2);
    assert!(
        records
            .iter()
            .all(|record| record.leaf_hash.as_ref() == leaf_hash(&record.record))
    );
    let beyond = client
        .read_log(by_operator(read(head.shard, head.size + 5)))
        .await
        .expect("reads");
    assert_eq!(
        beyond
            .into_inner()
            .try_collect::<Vec<_>>()
            .await
            .expect("no fault")
            .len(),
        0
    );
    let status = client
        .read_log(by_operator(read(4, 0)))
        .await
        .expect_err("no such shard");
    assert_eq!(status.code(), Code::InvalidArgument);
    mesh.stop().await;
}
