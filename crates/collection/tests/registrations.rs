//! New registrations, as departments follow them.

mod support;

use support::*;
use tally_auth::Caller;
use tally_domain::policy::SharedWith;
use tally_proto::tally::collection::v1 as pb;

/// What a department is told, from the beginning to the end.
async fn told(mesh: &Mesh, reader: Caller) -> Vec<(String, pb::PublicationKind)> {
    let request = pb::FollowRegistrationsRequest {
        until_head: true,
        ..Default::default()
    };
    let items = mesh
        .client()
        .follow_registrations(by(reader, request))
        .await;
    let mut items = items.expect("followed").into_inner();
    let mut told = Vec::new();
    while let Some(item) = items.message().await.expect("an item") {
        if item.kind() != pb::PublicationKind::Checkpoint {
            let kind = item.kind();
            told.push((item.record_id, kind));
        }
    }
    told.sort();
    told
}

#[tokio::test]
async fn each_department_is_told_of_what_is_shared_with_it() {
    let mesh = Mesh::start().await;
    let mut pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
    pack.meta.version = "2026.9".into();
    let item = pack.record_types.get_mut(PENALTY).expect("an item");
    item.registers_subject = true;
    item.shared_with = SharedWith::Division;
    mesh.activate(&pack);
    let push = async |who, number| {
        let accepted = mesh.push(system(who), id(), penalty(number)).await;
        accepted.expect("accepted").record_id
    };
    let above = push(BUREAU, 1).await;
    let below = push(COUNTY, 2).await;

    let published = |id: &String| (id.clone(), pb::PublicationKind::Published);
    let mut both = vec![published(&above), published(&below)];
    both.sort();
    assert_eq!(told(&mesh, system(BUREAU)).await, both);
    assert_eq!(told(&mesh, system(COUNTY)).await, [published(&below)]);

    let withdrawal = pb::WithdrawRecordRequest {
        command_id: id().to_string(),
        record_id: above.clone(),
        reason: "revoked".into(),
        document: Some(tally_proto::tally::log::v1::DocumentRef {
            number: "revocation 1".into(),
            ..Default::default()
        }),
    };
    mesh.withdraw(system(BUREAU), withdrawal)
        .await
        .expect("withdrawn");
    let withdrawn = (above, pb::PublicationKind::Withdrawn);
    assert!(told(&mesh, system(BUREAU)).await.contains(&withdrawn));
    assert_eq!(told(&mesh, system(COUNTY)).await, [published(&below)]);
}
