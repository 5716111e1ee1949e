//! Records, and new registrations.

use tally_rpc::FaultReport;

use crate::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_gets_public_fields_of_organisations_and_what_ends_ends_there() {
    let scene = scene().await;
    let mirror = scene.mesh.system(RESOURCES).await;
    let (shown, _) = push(&scene.system, full_penalty(COMPANY, "penalty 1")).await;
    let (gone, _) = push(&scene.system, full_penalty(OTHER_COMPANY, "penalty 2")).await;
    let mut note = full_penalty(COMPANY, "note 1");
    note.fields.retain(|field| field.name != "penalty_content");
    let note = with(
        of_type("inner-note", note),
        &[("penalty_content", UNPUBLISHED)],
    );
    let (note_id, _) = push(&scene.system, note).await;
    let mut person = full_penalty(&format!("cn-resident-id:{NUMBER}"), "penalty 3");
    person.legal_basis = basis(PERSONS);
    let (person_id, _) = push(&scene.system, person).await;

    let mut early = Follower::default();
    let told = early.records(&mirror).await;
    let expected = [
        (shown.as_str(), Kind::Published),
        (gone.as_str(), Kind::Published),
    ];
    assert_eq!(kinds(&told), expected.into());
    let record = told[&shown].1.clone().expect("a content");
    let names: Vec<&str> = record
        .fields
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    assert_eq!(names, ["party_name", "penalty_category", "penalty_content"]);
    assert_eq!(
        (
            record.subject.as_str(),
            record.department.as_str(),
            record.document_number.as_str()
        ),
        (COMPANY, MARKET, "penalty 1")
    );
    assert_eq!(
        early.records(&mirror).await,
        BTreeMap::new(),
        "nothing twice"
    );

    // A correction that changes nothing that is public is not told.
    let remarked = with(
        penalty(COMPANY, "penalty 1", "2026-03-01"),
        &[
            ("legal_representative", "Another Testperson"),
            ("penalty_content", "a fine"),
            ("remarks", "another internal remark"),
        ],
    );
    correct(&scene.system, &shown, remarked).await;
    assert_eq!(early.records(&mirror).await, BTreeMap::new());
    let corrected = with(
        full_penalty(COMPANY, "penalty 1"),
        &[("published_until", "2026-04-01")],
    );
    correct(&scene.system, &shown, corrected).await;
    withdraw(&scene.system, &gone).await;
    withdraw(&scene.system, &note_id).await;
    let told = early.records(&mirror).await;
    let expected = [
        (shown.as_str(), Kind::Changed),
        (gone.as_str(), Kind::Withdrawn),
    ];
    assert_eq!(kinds(&told), expected.into());
    assert_eq!(told[&gone].1, None, "only the id");
    let record = told[&shown].1.as_ref().expect("a content");
    assert_eq!(record.display_until, "2026-04-01");

    // Who begins now is never shown what was withdrawn, and not twice what was corrected.
    let mut late = Follower::default();
    assert_eq!(late.records(&mirror).await, told);
    late.assert_was_never_sent(&[OTHER_COMPANY]);

    // Past its last day nothing of it is sent; who has it knows the day.
    scene.mesh.advance("2026-04-02T01:00:00Z").await;
    let mut later = Follower::default();
    let told = later.records(&mirror).await;
    assert!(
        told.values().all(|(_, record)| record.is_none()),
        "{told:?}"
    );

    let never = [
        NAME,
        NUMBER,
        REMARK,
        UNPUBLISHED,
        "Another Testperson",
        "internal remark",
    ];
    for follower in [&early, &late, &later] {
        follower.assert_was_never_sent(&never);
        follower.assert_was_never_sent(&["inner-note", &note_id, &person_id, "person:"]);
    }
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_goes_on_after_a_restart_with_nothing_twice_or_missed() {
    let scene = scene().await;
    let mirror = scene.mesh.system(RESOURCES).await;
    let mut pushed = Vec::new();
    for n in 0..40 {
        let subject = [COMPANY, OTHER_COMPANY][n % 2];
        let record = penalty(subject, &format!("penalty {n}"), "2026-03-01");
        pushed.push(push(&scene.system, record).await.0);
    }
    let request = collection::FollowPublicationsRequest::default();
    let answer = mirror.collection().follow_publications(request).await;
    let mut items = answer.expect("followed").into_inner();
    let mut follower = Follower::default();
    let mut seen = Vec::new();
    // It breaks off in the middle.
    while seen.len() < 13 {
        let item = items.message().await.expect("open").expect("an item");
        follower.keep(&item.log_id, item.cursor.clone(), Vec::new());
        seen.push(item.record_id);
    }
    drop(items);
    let dir = scene.mesh.stop().await;
    let mesh = Harness::again(dir).await;
    let (mirror, system) = (mesh.system(RESOURCES).await, mesh.system(MARKET).await);
    let late = penalty(COMPANY, "penalty after", "2026-03-01");
    pushed.push(push(&system, late).await.0);
    seen.extend(follower.records(&mirror).await.into_keys());
    seen.sort();
    pushed.sort();
    assert_eq!(seen, pushed);

    let mut forged = follower.cursor.clone();
    forged.shards[0].leaf_hash = vec![7; 32].into();
    let request = collection::FollowPublicationsRequest {
        cursor: Some(forged),
        until_head: true,
        ..Default::default()
    };
    let refused = mirror.collection().follow_publications(request).await;
    let report = FaultReport::from(&refused.expect_err("another log"));
    assert_eq!(report.reason, "LOG_DIVERGED");
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn departments_hear_of_new_registrations_with_public_fields() {
    let scene = scene().await;
    let reader = scene.mesh.officer(RESOURCES, "7").await;
    let registered = |kind: &str, subject: &str, number: &str| {
        with(
            of_type("registration", full_penalty(subject, number)),
            &[("kind", kind)],
        )
    };
    let (new, _) = push(&scene.system, registered("new", COMPANY, "registration 1")).await;
    push(
        &scene.system,
        registered("changed", OTHER_COMPANY, "change 1"),
    )
    .await;
    let (by_city, _) = push(
        &scene.responder,
        registered("new", OTHER_COMPANY, "registration 2"),
    )
    .await;
    push(&scene.system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    let follow = async |client: &Client, division: &str| {
        let request = collection::FollowRegistrationsRequest {
            until_head: true,
            division: division.to_owned(),
            ..Default::default()
        };
        let mut items = client
            .collection()
            .follow_registrations(request)
            .await?
            .into_inner();
        let (mut told, mut follower) = (Vec::new(), Follower::default());
        while let Some(item) = items.message().await? {
            follower.bytes.extend(item.encode_to_vec());
            if item.kind() != Kind::Checkpoint {
                let kind = item.kind();
                told.push((item.record_id, kind, item.record.is_some()));
            }
        }
        follower.assert_was_never_sent(&[NAME, NUMBER, REMARK]);
        told.sort();
        Ok::<_, tonic::Status>(told)
    };
    let one = |id: &String| (id.clone(), Kind::Published, true);
    let mut both = vec![one(&new), one(&by_city)];
    both.sort();
    assert_eq!(follow(&reader, "").await.expect("followed"), both);
    assert_eq!(follow(&reader, "990000").await.expect("followed"), both);
    assert_eq!(
        follow(&reader, "990100").await.expect("followed"),
        [one(&by_city)]
    );
    assert_eq!(follow(&reader, "990102").await.expect("followed"), []);
    let bad = follow(&reader, "9901").await.expect_err("no division");
    assert_eq!(FaultReport::from(&bad).violations[0].field, "division");
    let operator = scene.mesh.operator().await;
    let denied = follow(&operator, "").await.expect_err("for departments");
    let report = FaultReport::from(&denied);
    assert_eq!(report.reason, "RIGHT_MISSING");

    withdraw(&scene.system, &new).await;
    let told = follow(&reader, "").await.expect("followed");
    let mut expected = vec![(new, Kind::Withdrawn, false), one(&by_city)];
    expected.sort();
    assert_eq!(told, expected);
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_the_active_pack_keeps_inside_is_not_shown_any_more() {
    let scene = scene().await;
    let mirror = scene.mesh.system(RESOURCES).await;
    let record = with(
        penalty(COMPANY, "penalty 1", "2026-03-01"),
        &[("penalty_content", UNPUBLISHED)],
    );
    let (shown, _) = push(&scene.system, record).await;
    let mut pack = pack();
    pack.meta.version += ".2";
    let penalty = pack.record_types.get_mut("administrative-penalty");
    let fields = penalty.expect("there").fields.iter_mut();
    for field in fields.filter(|field| field.name == "penalty_content") {
        field.internal = true;
    }
    scene.mesh.load(&pack).await;
    let mut follower = Follower::default();
    let told = follower.records(&mirror).await;
    let record = told[&shown].1.as_ref().expect("a content");
    assert_eq!(record.fields.len(), 2, "{record:?}");
    follower.assert_was_never_sent(&[UNPUBLISHED]);
    scene.mesh.stop().await;
}
