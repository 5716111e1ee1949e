//! Links between identifiers, through the service.

use bytes::Bytes;
use tally_auth::Caller;
use tally_domain::department::OfficerId;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::clock::Clock as _;
use tally_eventlog::execute::Task;
use tally_lists::entry::Officer;
use tally_lists::link::{Command, Link, Pair};
use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::lists::v1::lists_service_server::ListsService as _;
use tally_service::{CommandScope, logs};
use tonic::Code;
use uuid::Uuid;

use crate::mesh::*;

const TERM: (&str, &str) = ("2026-01-05", "2027-01-04");

fn unlink(subject: &str, linked_subject: &str) -> pb::UnlinkIdentifiersRequest {
    pb::UnlinkIdentifiersRequest {
        command_id: id(),
        subject: subject.into(),
        linked_subject: linked_subject.into(),
        reason: "two companies after all".into(),
    }
}

#[tokio::test]
async fn listed_under_one_identifier_found_by_the_other_until_unlinked() {
    let mesh = Mesh::start().await;
    let entry_id = mesh.listed(MOUTAI_CODE, TERM).await;
    assert!(mesh.subject_entries(MOUTAI).await.entries.is_empty());

    let request = link(MOUTAI, MOUTAI_CODE);
    let linked = mesh
        .lists
        .link_identifiers(by(CITY, 1, request.clone()))
        .await
        .expect("linked")
        .into_inner();
    let found = mesh.subject_entries(MOUTAI).await;
    assert_eq!(found.linked_subjects, [MOUTAI_CODE]);
    assert_eq!(found.entries, [mesh.entry(&entry_id).await]);
    assert_eq!(
        mesh.subject_entries(MOUTAI_CODE).await.linked_subjects,
        [MOUTAI]
    );

    let again = mesh
        .lists
        .link_identifiers(by(CITY, 1, request))
        .await
        .expect("repeated")
        .into_inner();
    assert_eq!(again.link_id, linked.link_id);
    assert!(again.receipt.expect("present").repeated);
    let swapped = mesh
        .lists
        .link_identifiers(by(CITY, 1, link(MOUTAI_CODE, MOUTAI)))
        .await;
    assert_eq!(
        reason(&swapped.expect_err("the same pair")),
        "ALREADY_LINKED"
    );

    mesh.lists
        .unlink_identifiers(by(CITY, 2, unlink(MOUTAI, MOUTAI_CODE)))
        .await
        .expect("unlinked");
    assert!(mesh.subject_entries(MOUTAI).await.entries.is_empty());
    assert!(
        mesh.subject_entries(MOUTAI_CODE)
            .await
            .linked_subjects
            .is_empty()
    );
}

#[tokio::test]
async fn links_are_followed_through_others_and_say_so() {
    let mesh = Mesh::start().await;
    let entry_id = mesh.listed(BYD, TERM).await;
    mesh.lists
        .link_identifiers(by(CITY, 1, link(MOUTAI, MOUTAI_CODE)))
        .await
        .expect("linked");
    mesh.lists
        .link_identifiers(by(CITY, 1, link(MOUTAI_CODE, BYD)))
        .await
        .expect("linked");
    let found = mesh.subject_entries(MOUTAI).await;
    assert_eq!(found.linked_subjects, [MOUTAI_CODE, BYD]);
    assert_eq!(found.entries[0].entry_id, entry_id);
}

#[tokio::test]
async fn no_more_than_sixteen_linked_identifiers_are_followed() {
    let mesh = Mesh::start().await;
    for n in 0..20 {
        let other = format!("name-region:COMPANY {n}|HERMITAGE, TN");
        mesh.lists
            .link_identifiers(by(CITY, 1, link(MOUTAI, &other)))
            .await
            .expect("linked");
    }
    assert_eq!(mesh.subject_entries(MOUTAI).await.linked_subjects.len(), 16);
}

#[tokio::test]
async fn a_crash_between_the_two_sides_is_healed() {
    let mesh = Mesh::start().await;
    let pair = Pair::of(
        &MOUTAI.parse().expect("valid"),
        &MOUTAI_CODE.parse().expect("valid"),
    )
    .expect("two");
    let officer = Officer {
        department: CITY.parse().expect("valid"),
        id: OfficerId(Uuid::from_u128(1)),
    };
    let caller = Caller::of_officer(officer.department.clone(), officer.id);
    let scope = CommandScope::new(&caller, &id(), &*mesh.clock).expect("an id");
    let first = Task::<Link> {
        stream_id: pair.id().to_string(),
        subject: pair.first.clone(),
        command: Command::Link {
            by: officer,
            competent: true,
            linked_subject: pair.second.clone(),
            evidence: document("Register extract 1").expect("present"),
            basis: LegalBasisRef::new("tally-credit-regulations/20", 1),
            basis_verdict: Ok(()),
            at: mesh.clock.now(),
        },
        key: scope.key([7; 32]),
        context: scope.context("2026.1"),
        note: Bytes::new(),
        fresh: true,
        guards: Vec::new(),
    };
    mesh.deps
        .executor
        .execute(logs::LISTS, first)
        .await
        .expect("the first side only");
    let mirror = mesh
        .happens(&pair.second, "tally.lists.v1.IdentifierLinked")
        .await;
    assert_eq!(mirror.envelope.subject, pair.second);
    let basis = mirror.envelope.legal_basis.expect("on both sides");
    assert_eq!(basis.id, "tally-credit-regulations/20");
    assert_eq!(
        mesh.subject_entries(&pair.second).await.linked_subjects,
        [pair.first]
    );
}

#[tokio::test]
async fn a_mirror_is_written_once_and_not_answered() {
    let mesh = Mesh::start().await;
    mesh.lists
        .link_identifiers(by(CITY, 1, link(MOUTAI, MOUTAI_CODE)))
        .await
        .expect("linked");
    for subject in [MOUTAI, MOUTAI_CODE] {
        mesh.known(tally_lists::SELF, subject).await;
        let records = mesh.records(logs::LISTS, subject).await;
        let about = records
            .iter()
            .filter(|record| record.envelope.subject == subject);
        assert_eq!(about.count(), 1);
    }
}

#[tokio::test]
async fn no_listing_reaches_another_identifier_without_a_basis_in_force() {
    let mesh = Mesh::start().await;
    let with = async |department, legal_basis| {
        let request = pb::LinkIdentifiersRequest {
            legal_basis,
            ..link(MOUTAI, MOUTAI_CODE)
        };
        let refused = mesh
            .lists
            .link_identifiers(by(department, 1, request))
            .await;
        reasons(&refused.expect_err("no basis"))
    };
    assert_eq!(with(CITY, None).await, ["LEGAL_BASIS_REQUIRED"]);
    assert_eq!(
        with(CITY, basis("no-such-law/1")).await,
        ["LEGAL_BASIS_UNKNOWN"]
    );
    assert_eq!(
        with(PROVINCE, basis("tally-tax-honour-rules/4")).await,
        ["LEGAL_BASIS_DEPARTMENT"]
    );
    assert!(
        mesh.subject_entries(MOUTAI)
            .await
            .linked_subjects
            .is_empty()
    );
    mesh.lapse("tally-credit-regulations/20");
    assert_eq!(
        with(CITY, basis("tally-credit-regulations/20")).await,
        ["LEGAL_BASIS_NOT_IN_FORCE"]
    );
}

#[tokio::test]
async fn what_cannot_be_linked() {
    let mesh = Mesh::start().await;
    let same = mesh
        .lists
        .link_identifiers(by(CITY, 1, link(MOUTAI, MOUTAI)))
        .await;
    assert_eq!(
        reasons(&same.expect_err("one identifier")),
        ["SAME_SUBJECT"]
    );
    let person = format!("person:{}", Uuid::from_u128(1));
    let person = mesh
        .lists
        .link_identifiers(by(CITY, 1, link(MOUTAI, &person)))
        .await;
    assert_eq!(
        reasons(&person.expect_err("a person")),
        ["NATURAL_PERSON_OFF"]
    );
    let outsider = mesh
        .lists
        .link_identifiers(by("11990103MB0000406C", 1, link(MOUTAI, MOUTAI_CODE)))
        .await;
    assert_eq!(
        outsider.expect_err("not in the pack").code(),
        Code::PermissionDenied
    );
    mesh.lists
        .link_identifiers(by(CITY, 1, link(MOUTAI, MOUTAI_CODE)))
        .await
        .expect("linked");
    let county = mesh
        .lists
        .unlink_identifiers(by(COUNTY, 1, unlink(MOUTAI, MOUTAI_CODE)))
        .await;
    assert_eq!(
        county.expect_err("another department's").code(),
        Code::PermissionDenied
    );
    mesh.lists
        .unlink_identifiers(by(PROVINCE, 1, unlink(MOUTAI, MOUTAI_CODE)))
        .await
        .expect("province level");
}
