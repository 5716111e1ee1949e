//! What was in force on a day, as known at a time.

use tally_eventlog::event::StreamName;
use tally_eventlog::store::LogSource as _;
use tally_proto::tally::audit::v1::audit_service_client::AuditServiceClient;
use tally_proto::tally::lists::v1 as lists;

use crate::mesh::*;
use crate::{client, question};

#[tokio::test]
async fn as_of_answers_in_both_times() {
    let mesh = Mesh::start().await;
    let entry = mesh.listed(MOUTAI).await;
    mesh.listed(SINOPEC).await;
    mesh.advance_to("2012-03-01T01:00:00Z");
    let corrected = lists::EntryCorrectedOut::default();
    let listing_time = "2011-02-17T16:00:00Z";
    mesh.lists(
        MOUTAI,
        entry.clone(),
        "tally.lists.v1.EntryCorrectedOut",
        listing_time,
        &corrected,
    )
    .await;
    mesh.advance_to("2012-06-01T01:00:00Z");

    let mut client = client!(mesh);
    let mut ask = async |on, known_at, subject| {
        let answer = client
            .as_of(by_operator(question(on, known_at, subject)))
            .await
            .expect("answers")
            .into_inner();
        (
            answer
                .entries
                .iter()
                .map(|it| it.subject.clone())
                .collect::<Vec<_>>(),
            answer.closed,
        )
    };
    let both = vec![SINOPEC.to_owned(), MOUTAI.to_owned()];
    // Before the correction was recorded the listing still shows, also on days before it.
    let (mut found, closed) = ask("2012-02-01", "2012-02-15T00:00:00Z", "").await;
    found.sort_by_key(|subject| subject == MOUTAI);
    assert_eq!((found, closed), (both, true));
    assert_eq!(
        ask("2012-02-01", "2012-04-01T00:00:00Z", "").await,
        (vec![SINOPEC.to_owned()], true)
    );
    assert_eq!(
        ask("2012-02-01", "2012-02-15T00:00:00Z", MOUTAI).await.0,
        [MOUTAI]
    );
    assert!(
        ask("2012-02-01", "2012-04-01T00:00:00Z", MOUTAI)
            .await
            .0
            .is_empty()
    );
    // Before it was recorded nothing was known, and before the pack nothing could be.
    assert!(
        ask("2012-02-01", "2012-01-09T00:00:00Z", "")
            .await
            .0
            .is_empty()
    );
    // Now and later may still change.
    assert!(!ask("2012-02-01", "", "").await.1);
    assert!(!ask("2012-02-01", "2030-01-01T00:00:00Z", "").await.1);
    assert_eq!(ask("2013-02-17", "", "").await.0, [SINOPEC]);
    assert!(ask("2013-02-18", "", "").await.0.is_empty());
    mesh.stop().await;
}

#[tokio::test]
async fn without_the_writer_a_time_closes_when_every_shard_is_past_it() {
    let mut mesh = Mesh::start().await;
    mesh.audit.lists_writer = None;
    let shards: Vec<_> = mesh.store.shards().all().collect();
    let mut numbers = 0..;
    for shard in shards {
        let ask = question("2012-01-10", "2012-01-10T00:00:00Z", "");
        let answer = client!(mesh)
            .as_of(by_operator(ask))
            .await
            .expect("answers")
            .into_inner();
        assert!(!answer.closed, "shard {shard} has no record yet");
        let on_shard = |n: &u32| {
            mesh.store
                .shards()
                .of(&format!("name-region:COMPANY {n}|X"))
                == shard
        };
        let number = numbers.find(on_shard).expect("some number falls on it");
        mesh.listed(&format!("name-region:COMPANY {number}|X"))
            .await;
    }
    let ask = question("2012-01-10", "2012-01-10T00:00:00Z", "");
    assert!(
        client!(mesh)
            .as_of(by_operator(ask))
            .await
            .expect("answers")
            .into_inner()
            .closed
    );
    mesh.stop().await;
}

#[tokio::test]
async fn as_of_follows_links_and_says_so() {
    let mesh = Mesh::start().await;
    mesh.listed(MOUTAI_BY_CODE).await;
    let link = async |event_type, effective_at, linked: bool| {
        for (subject, other) in [(MOUTAI, MOUTAI_BY_CODE), (MOUTAI_BY_CODE, MOUTAI)] {
            let stream = StreamName::new("link", format!("{subject}-{other}"));
            if linked {
                let event = lists::IdentifierLinked {
                    linked_subject: other.to_owned(),
                    evidence: None,
                    // It may list by the small pack, on the basis that this mesh cites.
                    department: PROVINCE.to_owned(),
                };
                mesh.lists(subject, stream, event_type, effective_at, &event)
                    .await;
            } else {
                let event = lists::IdentifierUnlinked {
                    linked_subject: other.to_owned(),
                    ..Default::default()
                };
                mesh.lists(subject, stream, event_type, effective_at, &event)
                    .await;
            }
        }
    };
    mesh.advance_to("2012-03-01T01:00:00Z");
    link(
        "tally.lists.v1.IdentifierLinked",
        "2012-03-01T01:00:00Z",
        true,
    )
    .await;
    mesh.advance_to("2012-05-01T01:00:00Z");
    link(
        "tally.lists.v1.IdentifierUnlinked",
        "2012-05-01T01:00:00Z",
        false,
    )
    .await;
    mesh.advance_to("2012-06-01T01:00:00Z");
    let mut client = client!(mesh);
    let mut ask = async |on, known_at| {
        let answer = client
            .as_of(by_operator(question(on, known_at, MOUTAI)))
            .await
            .expect("answers")
            .into_inner();
        answer
            .entries
            .into_iter()
            .map(|it| (it.subject, it.by_link))
            .collect::<Vec<_>>()
    };
    let by_link = [(MOUTAI_BY_CODE.to_owned(), true)];
    assert_eq!(ask("2012-04-01", "").await, by_link, "linked on that day");
    assert!(
        ask("2012-02-01", "").await.is_empty(),
        "not linked yet on that day"
    );
    assert!(
        ask("2012-05-01", "").await.is_empty(),
        "unlinked on that day"
    );
    assert_eq!(
        ask("2012-05-01", "2012-04-15T00:00:00Z").await,
        by_link,
        "the unlinking was not known"
    );
    mesh.stop().await;
}
