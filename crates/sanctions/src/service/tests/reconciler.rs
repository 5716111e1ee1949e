use std::time::Duration;

use bytes::Bytes;
use tally_eventlog::append::{Append, RowKey, ViewWrite};
use tally_eventlog::clock::Clock as _;
use tally_eventlog::event::Recorded;

use super::mesh::*;
use super::{ENTRY, listed, reason};
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

/// A stop looks at what was recorded since, so that it costs the same however
/// long an entry has been checked: an older row is not even read.
#[tokio::test]
async fn a_stop_reads_no_checks_from_before_it() {
    let (mesh, _) = listed().await;
    let old = mesh.clock.now();
    mesh.clock.advance(Duration::from_secs(1));
    let shard = mesh.shard(MOUTAI);
    let mut key = crate::projection::checks_since(ENTRY, old);
    key.push(0);
    let unreadable = ViewWrite {
        row: RowKey {
            view: crate::view::CHECK,
            shard,
            key: key.into(),
        },
        value: Some(Bytes::from_static(&[0xff])),
    };
    let append = Append {
        views: vec![unreadable],
        ..Append::to(logs::SANCTIONS_ACCESS, shard)
    };
    for written in mesh.store.append(vec![append]).await {
        written.expect("written");
    }
    mesh.suspend(ENTRY).await;
    mesh.settled().await;
    let parked = mesh.progress(consumer::LISTS).shard(shard).parked;
    assert!(parked.is_empty(), "{parked:?}");
}

async fn list(
    mesh: &Mesh,
    caller: Caller,
    request: pb::ListCorrectionsRequest,
) -> Result<pb::ListCorrectionsResponse, Status> {
    let answer = mesh.service.list_corrections(by(caller, request)).await?;
    Ok(answer.into_inner())
}

#[tokio::test]
async fn corrections_are_shown_to_who_was_told_and_to_who_listed() {
    let (mesh, _) = listed().await;
    mesh.progress(consumer::LISTS).pause();
    mesh.suspend(ENTRY).await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        let stale = mesh.question(MOUTAI);
        mesh.check(stale.clone()).await.expect("answered");
        mesh.clock.advance(Duration::from_millis(1));
        asked.push(stale.check_id);
    }
    mesh.progress(consumer::LISTS).unpause();
    mesh.settled().await;
    mesh.settled().await;
    asked.sort();

    let told = pb::ListCorrectionsRequest::default();
    let all = list(&mesh, system(CITY), told.clone()).await.expect("seen");
    let correction = &all.corrections[0];
    assert_eq!(
        (
            correction.department.as_str(),
            correction.initiator.as_str()
        ),
        (CITY, PROVINCE)
    );
    assert_eq!(
        (correction.subject.as_str(), correction.entry_id.as_str()),
        (MOUTAI, ENTRY)
    );
    assert!(correction.opened_at.is_some() && all.next_page_token.is_empty());
    let checks = |corrections: &[pb::Correction]| {
        let checks = corrections.iter().map(|it| it.check_id.clone());
        let mut checks: Vec<String> = checks.collect();
        checks.sort();
        checks
    };
    assert_eq!(checks(&all.corrections), asked);

    // In pages, each once.
    let mut paged = Vec::new();
    let mut request = pb::ListCorrectionsRequest {
        page_size: 2,
        ..told.clone()
    };
    let mut sizes = Vec::new();
    loop {
        let page = list(&mesh, officer(CITY), request.clone()).await;
        let page = page.expect("seen");
        sizes.push(page.corrections.len());
        paged.extend(page.corrections);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!((checks(&paged), sizes), (asked, vec![2, 1]));
    // Another department's token leads to its own corrections, which are none.
    let foreign = list(&mesh, system(COUNTY), request).await.expect("empty");
    assert!(foreign.corrections.is_empty());

    let listed = pb::ListCorrectionsRequest {
        side: pb::CorrectionSide::Listed.into(),
        ..told.clone()
    };
    let seen = async |caller, request: &pb::ListCorrectionsRequest| {
        let page = list(&mesh, caller, request.clone()).await.expect("seen");
        page.corrections.len()
    };
    assert_eq!(seen(system(PROVINCE), &listed).await, 3);
    assert_eq!(seen(system(PROVINCE), &told).await, 0);
    assert_eq!(seen(system(CITY), &listed).await, 0);
    let of_city = pb::ListCorrectionsRequest {
        department: CITY.to_owned(),
        ..told.clone()
    };
    assert_eq!(seen(Caller::operator(), &of_city).await, 3);
    let denied = list(&mesh, system(COUNTY), of_city).await;
    assert_eq!(
        denied.expect_err("another's").code(),
        tonic::Code::PermissionDenied
    );
    let faulty = pb::ListCorrectionsRequest {
        page_size: 501,
        page_token: "x".to_owned(),
        ..told
    };
    let refused = list(&mesh, Caller::operator(), faulty).await;
    let refused = refused.expect_err("faulty");
    for field in ["department", "page_size", "page_token"] {
        assert!(reason(&refused, field), "{field}");
    }
}
