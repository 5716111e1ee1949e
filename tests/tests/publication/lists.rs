//! Lists, and what the active pack publishes.

use std::time::Duration;

use jiff::civil::date;
use tally::client::command_id;
use tally_domain::department::DepartmentId;
use tally_domain::policy::DepartmentScope;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::sanctions::v1::CheckOutcome;
use tally_rpc::FaultReport;

use crate::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_hides_what_is_suspended_and_deletes_what_ends() {
    let scene = Scene::start().await;
    let mirror = scene.mesh.system(RESOURCES).await;
    let other = scene.mesh.officer(MARKET, "4").await;
    let mut follower = Follower::default();
    let (entry, _) = scene.listed_until(COMPANY, "2027-03-01").await;
    let told = follower.lists(&mirror).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].kind(), &told[0].entry_id),
        (ListKind::Listed, &entry)
    );
    let shown = told[0].entry.clone().expect("a content");
    let expected = lists::PublishedEntry {
        subject: COMPANY.to_owned(),
        list_type: "serious-violation".to_owned(),
        red: false,
        department: MARKET.to_owned(),
        term_from: "2026-03-02".to_owned(),
        term_until: "2027-03-01".to_owned(),
        decision_number: "listing 1".to_owned(),
        ground_document_number: format!("penalty of {COMPANY}"),
        legal_basis: basis(BLACK_LISTING),
        display_until: "2027-03-01".to_owned(),
    };
    assert_eq!(shown, expected);

    accept_objection(&scene.third, &entry).await;
    let told = follower.lists(&mirror).await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].kind(), &told[0].entry),
        (ListKind::Suspended, &None)
    );
    // Who begins now has nothing to hide, and is not shown it either.
    let mut late = Follower::default();
    late.lists(&mirror).await;
    late.assert_was_never_sent(&[COMPANY]);

    let request = lists::UpholdRequest {
        command_id: command_id(),
        entry_id: entry.clone(),
        decision: document("decision on objection 1"),
        reason: "the facts stand".to_owned(),
    };
    other.lists().uphold(request).await.expect("upheld");
    for follower in [&mut follower, &mut late] {
        let told = follower.lists(&mirror).await;
        assert_eq!(told.len(), 1);
        assert_eq!(
            (told[0].kind(), told[0].entry.as_ref()),
            (ListKind::Resumed, Some(&expected))
        );
    }

    let (wrong, _) = scene.listed_until(OTHER_COMPANY, "2026-09-01").await;
    assert_eq!(follower.lists(&mirror).await.len(), 1);
    accept_objection(&scene.third, &wrong).await;
    let request = lists::CorrectOutRequest {
        command_id: command_id(),
        entry_id: wrong.clone(),
        decision: document("decision on objection 2"),
        reason: "another company".to_owned(),
    };
    scene
        .third
        .lists()
        .correct_out(request)
        .await
        .expect("corrected out");
    let told = follower.lists(&mirror).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (
            told[0].kind(),
            told[0].end(),
            &told[0].entry_id,
            &told[0].entry
        ),
        (
            ListKind::Ended,
            lists::PublicationEnd::CorrectedOut,
            &wrong,
            &None
        )
    );

    scene.mesh.advance("2027-03-02T01:00:00Z").await;
    scene.mesh.settle().await;
    let told = follower.lists(&mirror).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].kind(), told[0].end(), &told[0].entry_id),
        (ListKind::Ended, lists::PublicationEnd::Expired, &entry)
    );
    let internals = [
        "objection 1",
        "objection 2",
        "service 1",
        "the facts stand",
        "another company",
    ];
    follower.assert_was_never_sent(&internals);
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_the_active_pack_publishes_is_shown() {
    let scene = scene().await;
    let mirror = scene.mesh.system(RESOURCES).await;
    push(&scene.system, full_penalty(COMPANY, "penalty 1")).await;
    let (entry, _) = scene.listed(OTHER_COMPANY).await;
    let mut known_records = Follower::default();
    assert_eq!(known_records.records(&mirror).await.len(), 2);
    let mut known = Follower::default();
    assert_eq!(known.lists(&mirror).await.len(), 1);
    let request = lists::FollowPublicationsRequest {
        cursor: Some(known.cursor.clone()),
        ..Default::default()
    };
    let staying = mirror.lists().follow_publications(request).await;
    let mut staying = staying.expect("followed").into_inner();
    let first = at_once(&mut staying).await;
    assert_eq!(first.kind(), ListKind::Checkpoint, "which pack it is");

    let mut pack = pack();
    pack.meta.version += ".2";
    let penalty = pack
        .record_types
        .get_mut("administrative-penalty")
        .expect("there");
    penalty.published = false;
    let list = pack.list_types.get_mut("serious-violation").expect("there");
    list.published = false;
    scene.mesh.load(&pack).await;
    let mut follower = Follower::default();
    assert_eq!(follower.records(&mirror).await, BTreeMap::new());
    let mut late = Follower::default();
    assert_eq!(late.lists(&mirror).await, []);
    late.assert_was_never_sent(&[OTHER_COMPANY, &entry]);
    // Who holds it hears at once of the pack by which it is not public any more: nothing else comes.
    let told = at_once(&mut staying).await;
    assert_ne!(told.pack_version, first.pack_version);
    let version = told.pack_version.clone();
    assert_eq!(told.kind(), ListKind::Checkpoint);
    for request in [Some(known.cursor.clone()), told_cursor(told)] {
        let request = lists::FollowPublicationsRequest {
            cursor: request,
            until_head: true,
        };
        let answer = mirror.lists().follow_publications(request).await;
        let mut items = answer.expect("followed").into_inner();
        let told = items.message().await.expect("open").expect("an item");
        assert_eq!(
            (told.kind(), &told.pack_version),
            (ListKind::Checkpoint, &version)
        );
        assert_eq!(items.message().await.expect("the end"), None);
    }
    let request = collection::FollowPublicationsRequest {
        cursor: Some(known_records.cursor),
        until_head: true,
        ..Default::default()
    };
    let answer = mirror.collection().follow_publications(request).await;
    let mut items = answer.expect("followed").into_inner();
    let told = items.message().await.expect("open").expect("an item");
    assert_eq!(
        (told.kind(), &told.pack_version),
        (Kind::Checkpoint, &version)
    );
    let request = collection::FollowPublicationsRequest {
        record_types: vec!["administrative-penalty".to_owned(), "unheard-of".to_owned()],
        ..Default::default()
    };
    let refused = mirror.collection().follow_publications(request).await;
    let report = FaultReport::from(&refused.expect_err("neither is public"));
    let reasons: Vec<&str> = report
        .violations
        .iter()
        .map(|it| it.reason.as_str())
        .collect();
    assert_eq!(reasons, ["NOT_PUBLISHED", "RECORD_TYPE_UNKNOWN"]);
    let stranger = scene.mesh.system("11990000MB00010701").await;
    let request = lists::FollowPublicationsRequest::default();
    let denied = stranger.lists().follow_publications(request).await;
    let report = FaultReport::from(&denied.expect_err("no department of the pack"));
    assert_eq!(report.reason, "RIGHT_MISSING");
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_shown_no_longer_than_its_law_is_in_force() {
    let scene = scene().await;
    let mirror = scene.mesh.system(RESOURCES).await;
    let (entry, _) = scene.listed(COMPANY).await;
    let mut pack = pack();
    pack.meta.version += ".2";
    let law = LegalBasisRef::new(BLACK_LISTING, 1);
    let law = pack.legal_bases.get_mut(&law).expect("there");
    law.in_force.until = Some(date(2026, 4, 30));
    scene.mesh.load(&pack).await;
    let told = Follower::default().lists(&mirror).await;
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].kind(), &told[0].entry_id),
        (ListKind::Listed, &entry)
    );
    let shown = told[0].entry.as_ref().expect("a content");
    assert_eq!(
        (shown.display_until.as_str(), shown.term_until.as_str()),
        ("2026-04-30", "2027-03-01")
    );
    scene.mesh.advance("2026-05-01T01:00:00Z").await;
    let mut late = Follower::default();
    assert!(
        late.lists(&mirror)
            .await
            .iter()
            .all(|it| it.entry.is_none())
    );
    late.assert_was_never_sent(&[COMPANY]);
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_shown_only_where_its_law_is_still_that_of_its_department() {
    let scene = scene().await;
    let mirror = scene.mesh.system(RESOURCES).await;
    scene.listed(COMPANY).await;
    // The competence goes to another department; what was listed is in force no more.
    let mut pack = pack();
    pack.meta.version += ".2";
    let successor: DepartmentId = TAX.parse().expect("a department");
    let law = LegalBasisRef::new(BLACK_LISTING, 1);
    let lists = pack.list_types.values_mut();
    for list in lists.filter(|list| list.legal_basis == law) {
        list.initiators = vec![successor.clone()];
    }
    let law = pack.legal_bases.get_mut(&law).expect("there");
    law.departments = DepartmentScope::Listed(vec![successor]);
    scene.mesh.load(&pack).await;
    let outcome = scene.check(COMPANY).await.outcome();
    assert_eq!(outcome, CheckOutcome::Clear);
    let mut follower = Follower::default();
    assert_eq!(follower.lists(&mirror).await, []);
    follower.assert_was_never_sent(&[COMPANY]);
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_person_never_appears() {
    let scene = scene().await;
    let mirror = scene.mesh.system(RESOURCES).await;
    let person = format!("cn-resident-id:{NUMBER}");
    let mut ground = full_penalty(&person, "penalty 1");
    ground.legal_basis = basis(PERSONS);
    let (ground, _) = push(&scene.system, ground).await;
    let listing = BlackListing {
        list_type: LIST_OF_PERSONS.to_owned(),
        basis: PERSONS.to_owned(),
        ..BlackListing::today(&person, &ground, "2027-03-01")
    };
    let (persons, _) = list_black(&scene.first, &scene.second, &listing).await;
    let (entry, _) = scene.listed(COMPANY).await;
    let mut follower = Follower::default();
    let told = follower.lists(&mirror).await;
    let entries: Vec<_> = told.iter().map(|it| it.entry_id.as_str()).collect();
    assert_eq!(entries, [entry]);
    follower.assert_was_never_sent(&[&persons, "person:", NUMBER]);
    scene.mesh.stop().await;
}

/// The next item of a stream that stays open.
async fn at_once(
    items: &mut tonic::Streaming<lists::FollowPublicationsResponse>,
) -> lists::FollowPublicationsResponse {
    let next = tokio::time::timeout(Duration::from_secs(30), items.message()).await;
    next.expect("at once").expect("open").expect("an item")
}

/// The cursor that a checkpoint is for: its shard alone.
fn told_cursor(item: lists::FollowPublicationsResponse) -> Option<Cursor> {
    Some(Cursor {
        log_id: item.log_id,
        shards: item.cursor.into_iter().collect(),
    })
}
