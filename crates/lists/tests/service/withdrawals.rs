//! Grounds that are withdrawn before, while and after a subject is listed.

use std::sync::Arc;
use std::time::Duration;

use tally_eventlog::execute::Executor;
use tally_lists::Lists;
use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::lists::v1::lists_service_server::ListsService as _;
use tally_service::{Deps, logs};
use tonic::Code;

use crate::mesh::*;

const TERM: (&str, &str) = ("2026-01-05", "2027-01-04");
const ENTRY_LISTED: &str = "tally.lists.v1.EntryListed";

#[tokio::test]
async fn nothing_is_listed_while_a_withdrawal_may_not_be_known_yet() {
    let mesh = Mesh::start().await;
    let entry_id = mesh.represented(MOUTAI, TERM).await;
    let ground = mesh.entry(&entry_id).await.ground_record_id;
    mesh.known(tally_lists::COLLECTION, MOUTAI).await;
    let reader = mesh.readers.get(tally_lists::COLLECTION);
    reader.pause();
    mesh.withdraw_unseen(MOUTAI, &ground).await;
    let request = list(&entry_id);
    let behind = mesh.lists.list(by(CITY, 2, request.clone())).await;
    let behind = behind.expect_err("the reader is held");
    assert_eq!(
        (behind.code(), reason(&behind).as_str()),
        (Code::Unavailable, "GROUNDS_BEHIND")
    );
    let retry = tonic_types::StatusExt::get_details_retry_info(&behind);
    let delay = retry.and_then(|retry| retry.retry_delay);
    assert!(delay.is_some_and(|delay| delay > Duration::ZERO));

    reader.unpause();
    let refused = mesh.lists.list(by(CITY, 2, request)).await;
    assert_eq!(
        reason(&refused.expect_err("it is known by now")),
        "GROUND_WITHDRAWN"
    );
    let entry = mesh.entry(&entry_id).await;
    assert_eq!(entry.state(), pb::EntryState::Represented);
    assert!(entry.ground_withdrawn);
}

#[tokio::test]
async fn a_withdrawal_after_the_listing_proposes_and_decides_nothing() {
    let mesh = Mesh::start().await;
    let black = mesh.listed(MOUTAI, TERM).await;
    let red = mesh.listed_red(MOUTAI).await;
    let other = mesh.listed(MOUTAI, TERM).await;
    for entry_id in [&black, &red] {
        let ground = mesh.entry(entry_id).await.ground_record_id;
        mesh.withdraw(MOUTAI, &ground).await;
        let entry = mesh.entry(entry_id).await;
        assert_eq!(
            (entry.state(), entry.ground_withdrawn),
            (pb::EntryState::Listed, true)
        );
    }
    assert!(!mesh.entry(&other).await.ground_withdrawn);
    let noted = mesh.happens(MOUTAI, "tally.lists.v1.GroundWithdrawn").await;
    assert!(noted.envelope.legal_basis.is_some());
    let viewed = mesh.subject_entries(MOUTAI).await.entries;
    let withdrawn: Vec<bool> = viewed.iter().map(|entry| entry.ground_withdrawn).collect();
    assert_eq!(withdrawn, [true, true, false]);
}

#[tokio::test]
async fn an_entry_is_found_also_while_the_views_are_behind() {
    let mesh = Mesh::start().await;
    mesh.readers.get(tally_lists::SELF).pause();
    let entry_id = mesh.listed(MOUTAI, TERM).await;
    let ground = mesh.entry(&entry_id).await.ground_record_id;
    mesh.withdraw(MOUTAI, &ground).await;
    assert!(mesh.entry(&entry_id).await.ground_withdrawn);
}

/// Lists an entry; between the decision and its append `meanwhile` happens.
async fn list_while<F, T>(mesh: &Mesh, entry_id: &str, meanwhile: F) -> Result<(), tonic::Status>
where
    F: Fn() -> T + Send + Sync + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let store = Interposed::new(mesh.store.clone(), ENTRY_LISTED, meanwhile);
    let store = Arc::new(store);
    let deps = Deps {
        store: store.clone(),
        executor: Executor {
            store,
            ..mesh.deps.executor.clone()
        },
        ..mesh.deps.clone()
    };
    let lists = Lists::new(deps, &mesh.readers);
    let listed = lists.list(by(CITY, 2, list(entry_id))).await;
    listed.map(|_| ())
}

#[tokio::test]
async fn a_withdrawal_between_decision_and_listing_is_met() {
    let mesh = Arc::new(Mesh::start().await);
    let entry_id = mesh.represented(MOUTAI, TERM).await;
    let ground = mesh.entry(&entry_id).await.ground_record_id;
    let moving = mesh.clone();
    let refused = list_while(&mesh, &entry_id, move || {
        let (moving, ground) = (moving.clone(), ground.clone());
        async move { moving.withdraw(MOUTAI, &ground).await }
    });
    let refused = refused.await.expect_err("the ground is gone");
    assert_eq!(reason(&refused), "GROUND_WITHDRAWN");
    assert_eq!(
        mesh.entry(&entry_id).await.state(),
        pb::EntryState::Represented
    );
}

#[tokio::test]
async fn a_listing_does_not_mind_other_records_that_come_meanwhile() {
    let mesh = Arc::new(Mesh::start().await);
    let entry_id = mesh.represented(MOUTAI, TERM).await;
    let moving = mesh.clone();
    let listed = list_while(&mesh, &entry_id, move || {
        let moving = moving.clone();
        async move {
            moving.push(MOUTAI, "administrative-licence").await;
            moving.known(tally_lists::COLLECTION, MOUTAI).await;
        }
    });
    listed.await.expect("listed at the first attempt");
    let records = mesh.records(logs::LISTS, MOUTAI).await.into_iter();
    let listed = records.filter(|it| it.envelope.event_type == ENTRY_LISTED);
    assert_eq!(listed.count(), 1);
}
