//! Commands that are sent again: the first result, also when the call would be
//! refused by now; another command is refused.

use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::DepartmentScope;
use tally_domain::subject::SubjectType;
use tally_eventlog::pb::Receipt;
use tally_eventlog::sealing::PseudonymKind;
use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::lists::v1::lists_service_server::ListsService as _;
use tonic::{Response, Status};

use crate::mesh::*;

const TERM: (&str, &str) = ("2026-01-05", "2027-01-04");

/// Synthetic: region 999999 is assigned to nobody.
const PERSON: &str = "999999200002291230";

/// The same again gets the first result; under a new id it is refused by now,
/// and so is other content under the same id.
async fn holds<T: Clone, R>(
    request: &T,
    first: Response<R>,
    receipt: fn(R) -> Option<Receipt>,
    [new_id, other]: [fn(&mut T); 2],
    call: impl AsyncFn(T) -> Result<Response<R>, Status>,
) {
    let first = receipt(first.into_inner()).expect("present");
    let again = call(request.clone()).await.expect("the first result");
    let again = receipt(again.into_inner()).expect("present");
    assert!(again.repeated);
    assert_eq!(
        (again.shard, again.position, &again.leaf_hash),
        (first.shard, first.position, &first.leaf_hash)
    );
    for change in [new_id, other] {
        let mut changed = request.clone();
        change(&mut changed);
        assert!(call(changed).await.is_err());
    }
}

/// Loads a pack in which no basis and no list type is in force any more.
fn lapse_all(mesh: &Mesh) {
    let mut pack = tally_catalog::pack::embedded().expect("its own tests pass");
    pack.meta.version = "2026.2".into();
    let yesterday = Some(jiff::civil::date(2026, 3, 1));
    for basis in pack.legal_bases.values_mut() {
        basis.in_force.until = yesterday;
    }
    for list_type in pack.list_types.values_mut() {
        list_type.in_force.until = yesterday;
    }
    load(&mesh.deps.catalogue, &pack);
}

#[tokio::test]
async fn what_was_done_on_the_way_to_a_listing_is_answered_again() {
    let mesh = Mesh::start().await;
    let lists = &mesh.lists;
    let ground = mesh.push(MOUTAI, "administrative-penalty").await;
    let nominating = nominate(MOUTAI, &ground, TERM);
    let nominated = lists.nominate(by(CITY, 1, nominating.clone())).await;
    let nominated = nominated.expect("nominated");
    let entry_id = nominated.get_ref().entry_id.clone();
    let telling = notify(&entry_id);
    let told = lists.notify(by(CITY, 1, telling.clone())).await;
    let told = told.expect("notified");
    let waiving = pb::RepresentRequest {
        command_id: id(),
        entry_id: entry_id.clone(),
        document: None,
        waived: true,
    };
    let waived = lists.represent(by(CITY, 1, waiving.clone())).await;
    let waived = waived.expect("represented");
    let listing = list(&entry_id);
    let listed = lists.list(by(CITY, 2, listing.clone())).await;
    let listed = listed.expect("listed");
    let dropping = pb::DropRequest {
        command_id: id(),
        entry_id: mesh.represented(SINOPEC, TERM).await,
        reason: "the facts did not hold".into(),
    };
    let dropped = lists.drop(by(CITY, 1, dropping.clone())).await;
    let dropped = dropped.expect("dropped");
    lapse_all(&mesh);

    let until = told.get_ref().representation_until.clone();
    holds(
        &nominating,
        nominated,
        |reply| reply.receipt,
        [|it| it.command_id = id(), |it| it.criterion.push('!')],
        async |it| mesh.lists.nominate(by(CITY, 1, it)).await,
    )
    .await;
    holds(
        &telling,
        told,
        |reply| reply.receipt,
        [
            |it| it.command_id = id(),
            |it| it.served_on = "2026-02-13".into(),
        ],
        async |it| mesh.lists.notify(by(CITY, 1, it)).await,
    )
    .await;
    holds(
        &waiving,
        waived,
        |reply| reply.receipt,
        [|it| it.command_id = id(), |it| it.waived = false],
        async |it| mesh.lists.represent(by(CITY, 1, it)).await,
    )
    .await;
    holds(
        &listing,
        listed,
        |reply| reply.receipt,
        [
            |it| it.command_id = id(),
            |it| it.decision = document("Listing 9"),
        ],
        async |it| mesh.lists.list(by(CITY, 2, it)).await,
    )
    .await;
    holds(
        &dropping,
        dropped,
        |reply| reply.receipt,
        [|it| it.command_id = id(), |it| it.reason.push('!')],
        async |it| mesh.lists.drop(by(CITY, 1, it)).await,
    )
    .await;
    let again = lists.notify(by(CITY, 1, telling)).await.expect("repeated");
    assert_eq!(again.get_ref().representation_until, until);
    let again = lists.nominate(by(CITY, 1, nominating)).await;
    assert_eq!(again.expect("repeated").get_ref().entry_id, entry_id);
}

#[tokio::test]
async fn what_was_decided_about_a_listing_is_answered_again() {
    let mesh = Mesh::start().await;
    let lists = &mesh.lists;
    let entry_id = mesh.listed(MOUTAI, TERM).await;
    let objecting = object(&entry_id);
    let objected = lists.accept_objection(by(CITY, 3, objecting.clone())).await;
    let objected = objected.expect("suspended");
    let upholding = uphold(&entry_id);
    let upheld = lists.uphold(by(CITY, 4, upholding.clone())).await;
    let upheld = upheld.expect("upheld");
    let again = lists.accept_objection(by(CITY, 3, object(&entry_id))).await;
    again.expect("suspended again");
    let correcting = correct_out(&entry_id);
    let corrected = lists.correct_out(by(CITY, 4, correcting.clone())).await;
    let corrected = corrected.expect("corrected out");
    let red = mesh.listed_red(BYD).await;
    let asking = pb::RequestRemovalRequest {
        command_id: id(),
        entry_id: red.clone(),
        document: document("Request 1"),
        reason: "a serious record".into(),
    };
    let asked = lists.request_removal(by(CITY, 1, asking.clone())).await;
    let asked = asked.expect("asked");
    let removing = pb::RemoveRequest {
        command_id: id(),
        entry_id: red,
        decision: document("Decision 1"),
        reason: "a serious record".into(),
    };
    let removed = lists.remove(by(CITY, 2, removing.clone())).await;
    let removed = removed.expect("removed");
    lapse_all(&mesh);

    holds(
        &objecting,
        objected,
        |reply| reply.receipt,
        [
            |it| it.command_id = id(),
            |it| it.objection = document("Other"),
        ],
        async |it| mesh.lists.accept_objection(by(CITY, 3, it)).await,
    )
    .await;
    holds(
        &upholding,
        upheld,
        |reply| reply.receipt,
        [|it| it.command_id = id(), |it| it.reason.push('!')],
        async |it| mesh.lists.uphold(by(CITY, 4, it)).await,
    )
    .await;
    holds(
        &correcting,
        corrected,
        |reply| reply.receipt,
        [|it| it.command_id = id(), |it| it.reason.push('!')],
        async |it| mesh.lists.correct_out(by(CITY, 4, it)).await,
    )
    .await;
    holds(
        &asking,
        asked,
        |reply| reply.receipt,
        [|it| it.command_id = id(), |it| it.reason.push('!')],
        async |it| mesh.lists.request_removal(by(CITY, 1, it)).await,
    )
    .await;
    holds(
        &removing,
        removed,
        |reply| reply.receipt,
        [|it| it.command_id = id(), |it| it.reason.push('!')],
        async |it| mesh.lists.remove(by(CITY, 2, it)).await,
    )
    .await;
}

#[tokio::test]
async fn links_are_answered_again() {
    let mesh = Mesh::start().await;
    let linking = link(MOUTAI, MOUTAI_CODE);
    let linked = mesh.lists.link_identifiers(by(CITY, 1, linking.clone()));
    let linked = linked.await.expect("linked");
    let unlinking = pb::UnlinkIdentifiersRequest {
        command_id: id(),
        subject: MOUTAI.into(),
        linked_subject: MOUTAI_CODE.into(),
        reason: "two companies after all".into(),
    };
    let unlinked = mesh
        .lists
        .unlink_identifiers(by(CITY, 1, unlinking.clone()));
    let unlinked = unlinked.await.expect("unlinked");
    lapse_all(&mesh);

    let link_id = linked.get_ref().link_id.clone();
    holds(
        &linking,
        linked,
        |reply| reply.receipt,
        [
            |it| it.command_id = id(),
            |it| it.evidence = document("Other"),
        ],
        async |it| mesh.lists.link_identifiers(by(CITY, 1, it)).await,
    )
    .await;
    holds(
        &unlinking,
        unlinked,
        |reply| reply.receipt,
        [|it| it.command_id = id(), |it| it.reason.push('!')],
        async |it| mesh.lists.unlink_identifiers(by(CITY, 1, it)).await,
    )
    .await;
    let again = mesh.lists.link_identifiers(by(CITY, 1, linking)).await;
    assert_eq!(again.expect("repeated").get_ref().link_id, link_id);
}

#[tokio::test]
async fn the_nomination_of_a_person_is_answered_again_once_persons_are_off() {
    let mesh = Mesh::start().await;
    let mut pack = tally_catalog::pack::embedded().expect("its own tests pass");
    pack.meta.version = "2026.2".into();
    let person = SubjectType::NaturalPerson;
    for basis in pack.legal_bases.values_mut() {
        basis.subject_types.push(person);
    }
    // A basis of its own switches persons on.
    let own = LegalBasisRef::new("tally-credit-regulations/21", 1);
    let like = LegalBasisRef::new("tally-credit-regulations/20", 1);
    let mut personal = pack.legal_bases[&like].clone();
    personal.id.clone_from(&own.id);
    personal.departments = DepartmentScope::All;
    pack.legal_bases.insert(own.clone(), personal);
    let list_type = pack.list_types.get_mut("serious-violation");
    let list_type = list_type.expect("in the pack");
    list_type.subject_types.push(person);
    list_type.natural_person_basis = Some(own.clone());
    let record_type = pack.record_types.get_mut("administrative-penalty");
    let record_type = record_type.expect("in the pack");
    record_type.subject_types.push(person);
    record_type.natural_person_basis = Some(own);
    load(&mesh.deps.catalogue, &pack);

    let keyring = &mesh.deps.keyring;
    let id_of = keyring.pseudonym(PseudonymKind::Person, PERSON).await;
    let subject = format!("person:{}", id_of.expect("made"));
    let ground = mesh.push(&subject, "administrative-penalty").await;
    let nominating = pb::NominateRequest {
        legal_basis: basis("tally-credit-regulations/21"),
        ..nominate(&format!("cn-resident-id:{PERSON}"), &ground, TERM)
    };
    let nominated = mesh.lists.nominate(by(CITY, 1, nominating.clone())).await;
    let nominated = nominated.expect("nominated");
    pack = tally_catalog::pack::embedded().expect("its own tests pass");
    pack.meta.version = "2026.3".into();
    load(&mesh.deps.catalogue, &pack);

    holds(
        &nominating,
        nominated,
        |reply| reply.receipt,
        [|it| it.command_id = id(), |it| it.criterion.push('!')],
        async |it| mesh.lists.nominate(by(CITY, 1, it)).await,
    )
    .await;
    let off = pb::NominateRequest {
        command_id: id(),
        ..nominating
    };
    let off = mesh.lists.nominate(by(CITY, 1, off)).await;
    assert_eq!(reasons(&off.expect_err("off")), ["NATURAL_PERSON_OFF"]);
}
