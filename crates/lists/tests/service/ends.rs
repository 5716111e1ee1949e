//! What ends or proposes an end by itself: the timer, and serious records.

use tally_eventlog::clock::Clock as _;
use tally_eventlog::event::from_proto_time;
use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::lists::v1::lists_service_server::ListsService as _;

use crate::mesh::*;

const TERM: (&str, &str) = ("2026-01-05", "2027-01-04");

#[tokio::test]
async fn an_entry_expires_on_the_day_after_its_last_day() {
    let mesh = Mesh::start().await;
    let entry_id = mesh.listed(MOUTAI, ("2026-01-05", "2026-03-31")).await;
    mesh.known(tally_lists::SELF, MOUTAI).await;
    mesh.clock
        .advance_to(at("2026-03-31T15:59:00Z"))
        .expect("forward");
    assert_eq!(mesh.entry(&entry_id).await.state(), pb::EntryState::Listed);
    mesh.lists
        .accept_objection(by(CITY, 3, object(&entry_id)))
        .await
        .expect("suspended");
    mesh.clock
        .advance_to(at("2026-04-20T00:00:00Z"))
        .expect("forward");
    let expired = mesh.happens(MOUTAI, "tally.lists.v1.EntryExpired").await;
    assert_eq!(
        expired.effective_at,
        at("2026-03-31T16:00:00Z"),
        "however late it is recorded"
    );
    assert!(
        expired.recorded_at >= at("2026-04-20T00:00:00Z")
            && mesh.clock.now() >= expired.recorded_at
    );
    assert_eq!(mesh.entry(&entry_id).await.state(), pb::EntryState::Expired);
    assert_eq!(
        mesh.subject_entries(MOUTAI).await.entries,
        [mesh.entry(&entry_id).await]
    );
}

#[tokio::test]
async fn a_term_in_the_past_can_be_listed_and_expires() {
    let mesh = Mesh::start().await;
    let entry_id = mesh.listed(SINOPEC, ("2011-02-18", "2013-02-17")).await;
    let listed = mesh.happens(SINOPEC, "tally.lists.v1.EntryListed").await;
    assert_eq!(listed.effective_at, at("2011-02-17T16:00:00Z"));
    let expired = mesh.happens(SINOPEC, "tally.lists.v1.EntryExpired").await;
    assert_eq!(expired.effective_at, at("2013-02-17T16:00:00Z"));
    assert_eq!(mesh.entry(&entry_id).await.state(), pb::EntryState::Expired);
}

#[tokio::test]
async fn a_serious_record_proposes_to_remove_from_a_red_list_and_decides_nothing() {
    let mesh = Mesh::start().await;
    let red = mesh.listed_red(BYD).await;
    let nominated_at = mesh.entry(&red).await.nominated_at.expect("present");
    assert!(from_proto_time(&nominated_at).expect("in range") <= mesh.clock.now());
    let black = mesh.listed(MOUTAI, TERM).await;
    mesh.push(BYD, "administrative-licence").await;
    let record = mesh.push(BYD, "administrative-penalty").await;
    mesh.push(MOUTAI, "administrative-penalty").await;
    for subject in [BYD, MOUTAI] {
        mesh.known(tally_lists::COLLECTION, subject).await;
    }
    let entry = mesh.entry(&red).await;
    assert_eq!(
        (entry.state(), entry.removal_proposed_by),
        (pb::EntryState::Listed, vec![record])
    );
    assert!(mesh.entry(&black).await.removal_proposed_by.is_empty());
}

#[tokio::test]
async fn a_red_entry_is_found_also_while_the_views_are_behind() {
    let mesh = Mesh::start().await;
    mesh.readers.get(tally_lists::SELF).pause();
    let red = mesh.listed_red(BYD).await;
    let record = mesh.push(BYD, "administrative-penalty").await;
    mesh.known(tally_lists::COLLECTION, BYD).await;
    assert_eq!(mesh.entry(&red).await.removal_proposed_by, [record]);
}
