use tally_proto::tally::sanctions::v1 as pb;

use super::*;
use crate::question;
use crate::service::tests::ENTRY;
use crate::service::tests::mesh::*;

/// What was looked up before the reader moved is never recorded after it, and
/// the question is decided again.
#[tokio::test]
async fn an_answer_on_an_old_look_is_not_recorded() {
    let mesh = Mesh::start().await;
    mesh.list(MOUTAI, ENTRY, "2027-01-31").await;
    mesh.settled().await;
    let deps = mesh.deps();
    let tokens = Arc::new(Tokens::new(mesh.reader_of_lists()));
    let worker = Worker::new(deps.clone(), tokens, Duration::from_secs(5));
    let policy = deps.catalogue.active().expect("loaded");
    let department = CITY.parse().expect("valid");
    let (caller, request) = (system(CITY), mesh.question(MOUTAI));
    let question = question::decode(
        deps,
        &worker.tokens,
        &caller,
        &department,
        &policy,
        &request,
    );
    let question = question.await.expect("faultless");
    let known = worker
        .look_up(std::iter::once(&question))
        .await
        .expect("readable");
    let decided = worker.decide(&question, &known, &Bytes::new());
    assert_eq!(decided.verdict.outcome, pb::CheckOutcome::InForce);
    mesh.suspend(ENTRY).await;
    mesh.settled().await;
    let late = record::append_of(deps, &question, &decided);
    let outcome = deps
        .store
        .append(vec![late])
        .await
        .pop()
        .expect("one result");
    assert!(
        matches!(outcome, Err(AppendError::Outdated { .. })),
        "{outcome:?}"
    );
    assert!(mesh.events(logs::SANCTIONS_ACCESS).await.is_empty());
    let answer = worker
        .answer(std::slice::from_ref(&question))
        .await
        .pop()
        .expect("one answer");
    assert_eq!(answer.expect("answered").outcome(), pb::CheckOutcome::Clear);
}
