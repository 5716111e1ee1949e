//! One organisation under two identifiers.

use tally::client::command_id;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_tests::harness::*;

/// The organisation code inside the company's USCC; it only proposes the link.
const CODE: &str = "cn-orgcode:71430580X";

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_found_by_a_linked_identifier_and_says_by_which() {
    let scene = Scene::start().await;
    let (entry, listed) = scene.listed(CODE).await;
    assert_eq!(
        scene.check_after(CODE, &listed).await.outcome(),
        sanctions::CheckOutcome::InForce
    );
    assert_eq!(
        scene.check(COMPANY).await.outcome(),
        sanctions::CheckOutcome::Clear,
        "nobody has linked them"
    );

    let request = lists::LinkIdentifiersRequest {
        command_id: command_id(),
        subject: CODE.to_owned(),
        linked_subject: COMPANY.to_owned(),
        evidence: document("registration change 1"),
        legal_basis: basis("tally-credit-regulations/20"),
    };
    scene
        .first
        .lists()
        .link_identifiers(request)
        .await
        .expect("linked");
    scene.mesh.settle().await;
    let found = scene.check(COMPANY).await;
    assert_eq!(found.outcome(), sanctions::CheckOutcome::InForce);
    let listed = &found.entries[0];
    assert_eq!(
        (
            listed.entry_id.as_str(),
            listed.subject.as_str(),
            listed.by_link
        ),
        (entry.as_str(), CODE, true)
    );
    assert_eq!(
        scene
            .mesh
            .as_of("2026-03-02", None, COMPANY)
            .await
            .entries
            .len(),
        1
    );

    let linked_until = scene.mesh.now().await;
    scene.mesh.advance("2026-03-03T01:00:00Z").await;
    let request = lists::UnlinkIdentifiersRequest {
        command_id: command_id(),
        subject: CODE.to_owned(),
        linked_subject: COMPANY.to_owned(),
        reason: "another organisation".to_owned(),
    };
    scene
        .first
        .lists()
        .unlink_identifiers(request)
        .await
        .expect("unlinked");
    scene.mesh.settle().await;
    assert_eq!(
        scene.check(COMPANY).await.outcome(),
        sanctions::CheckOutcome::Clear
    );
    assert!(
        scene
            .mesh
            .as_of("2026-03-03", None, COMPANY)
            .await
            .entries
            .is_empty()
    );
    let before = scene
        .mesh
        .as_of("2026-03-02", Some(linked_until), COMPANY)
        .await;
    assert_eq!(before.entries.len(), 1, "as-of before still shows it");
    assert!(before.entries[0].by_link);
    scene.mesh.assert_history_holds().await;
    scene.mesh.stop().await;
}
