use futures::StreamExt as _;
use tally_eventlog::pb::Cursor;
use tally_service::open_streams::PER_HOLDER_MAX;
use tonic::Code;

use super::mesh::*;
use super::{ENTRY, cursor_of, listed, reason};
use crate::service::*;

#[tokio::test]
async fn an_open_subscription_gets_what_comes_later() {
    let (mesh, _) = listed().await;
    let request = by(system(CITY), pb::SubscribeRequest::default());
    let mut items = mesh
        .service
        .subscribe(request)
        .await
        .expect("open")
        .into_inner();
    for _ in 0..2 {
        assert!(items.next().await.expect("an item").is_ok());
    }
    mesh.suspend(ENTRY).await;
    let item = items.next().await.expect("an item").expect("readable");
    assert_eq!(item.kind(), pb::MailboxItemKind::Suspended);
}

#[tokio::test]
async fn open_subscriptions_are_bounded_and_end_when_the_process_stops() {
    let (mesh, _) = listed().await;
    let open = async |department| {
        let request = by(system(department), pb::SubscribeRequest::default());
        mesh.service.subscribe(request).await
    };
    let mut held = Vec::new();
    for _ in 0..PER_HOLDER_MAX {
        held.push(open(CITY).await.expect("open").into_inner());
    }
    let refused = open(CITY).await.err().expect("one too many");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(reason(&refused, "STREAMS_OPEN"), "{refused:?}");
    open(COUNTY)
        .await
        .expect("another department's are its own");
    let mut last = held.pop().expect("open");
    drop(held);
    open(CITY).await.expect("those that ended are free");
    for _ in 0..2 {
        assert!(last.next().await.expect("an item").is_ok());
    }
    mesh.stop.cancel();
    let end = last.next().await.expect("why").expect_err("no item");
    assert_eq!(end.code(), Code::Unavailable);
    assert!(reason(&end, "STOPPING") && reason(&end, "RetryInfo"));
}

#[tokio::test]
async fn a_foreign_cursor_is_refused() {
    let (mesh, _) = listed().await;
    let items = mesh.mailbox(CITY, None).await.expect("readable");
    let refused = mesh
        .mailbox(COUNTY, cursor_of(&items[0]))
        .await
        .expect_err("another's cursor");
    assert!(reason(&refused, "CURSOR_MALFORMED"), "{refused:?}");
    let restored = cursor_of(&items[0]).map(|cursor| Cursor {
        log_id: vec![7; 16].into(),
        ..cursor
    });
    let refused = mesh.mailbox(CITY, restored).await.expect_err("another log");
    assert!(reason(&refused, "LOG_DIVERGED"), "{refused:?}");
}
