use tally_eventlog::event::Recorded;

use super::mesh::*;
use super::{ENTRY, listed};
use crate::codec::event_type::CORRECTION_OPENED;
use crate::consumer;
use crate::service::*;

async fn corrections(mesh: &Mesh) -> Vec<pb::CorrectionOpened> {
    let opened = |event: &Recorded| event.envelope.event_type == CORRECTION_OPENED;
    let events = mesh.events(logs::SANCTIONS).await;
    events
        .iter()
        .filter(|event| opened(event))
        .map(|event| event.payload().expect("decodes"))
        .collect()
}

#[tokio::test]
async fn a_check_that_had_not_seen_a_suspension_opens_one_correction() {
    let (mesh, _) = listed().await;
    let before = mesh.question(MOUTAI);
    mesh.check(before).await.expect("answered");
    mesh.clock.advance(std::time::Duration::from_millis(1));
    mesh.progress(consumer::LISTS).pause();
    mesh.suspend(ENTRY).await;
    let stale = mesh.question(MOUTAI);
    let answer = mesh.check(stale.clone()).await.expect("answered");
    assert_eq!(answer.outcome(), pb::CheckOutcome::InForce);
    mesh.progress(consumer::LISTS).unpause();
    mesh.settled().await;
    let opened = corrections(&mesh).await;
    assert_eq!(opened.len(), 1, "{opened:?}");
    assert_eq!(
        (opened[0].entry_id.as_str(), &opened[0].check_id),
        (ENTRY, &stale.check_id)
    );
    assert_eq!(opened[0].department, CITY);
    mesh.check(mesh.question(MOUTAI)).await.expect("answered");
    mesh.settled().await;
    assert_eq!(corrections(&mesh).await.len(), 1);
}

#[tokio::test]
async fn the_follower_of_the_checks_finds_it_too() {
    let (mesh, _) = listed().await;
    mesh.progress(consumer::LISTS).pause();
    mesh.suspend(ENTRY).await;
    let stale = mesh.question(MOUTAI);
    mesh.check(stale.clone()).await.expect("answered");
    // The reader of lists still stands, so only the other side can have looked.
    let shard = mesh.shard(MOUTAI);
    let size = *mesh.store.watch(logs::SANCTIONS_ACCESS, shard).borrow();
    let access = mesh.progress(consumer::ACCESS);
    assert!(
        access
            .wait_for(shard, size, std::time::Duration::from_secs(20))
            .await
    );
    assert_eq!(corrections(&mesh).await[0].check_id, stale.check_id);
}

#[tokio::test]
async fn the_reader_of_lists_finds_it_too() {
    let (mesh, _) = listed().await;
    mesh.progress(consumer::ACCESS).pause();
    mesh.progress(consumer::LISTS).pause();
    mesh.suspend(ENTRY).await;
    let stale = mesh.question(MOUTAI);
    mesh.check(stale.clone()).await.expect("answered");
    mesh.progress(consumer::LISTS).unpause();
    let shard = mesh.shard(MOUTAI);
    assert!(
        mesh.progress(consumer::LISTS)
            .wait_for(shard, 2, std::time::Duration::from_secs(20))
            .await
    );
    assert_eq!(corrections(&mesh).await[0].check_id, stale.check_id);
    mesh.progress(consumer::ACCESS).unpause();
    mesh.settled().await;
    assert_eq!(corrections(&mesh).await.len(), 1);
}
