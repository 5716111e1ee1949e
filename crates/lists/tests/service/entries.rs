//! Entries through the service, with real readers and timers.

use tally_auth::Caller;
use tally_proto::tally::lists::v1 as pb;
use tally_proto::tally::lists::v1::lists_service_server::ListsService as _;
use tally_service::logs;
use tonic::Code;

use crate::mesh::*;

const TERM: (&str, &str) = ("2026-01-05", "2027-01-04");

#[tokio::test]
async fn two_officers_list_and_a_third_corrects_out() {
    let mesh = Mesh::start().await;
    let entry_id = mesh.represented(MOUTAI, TERM).await;

    let same = mesh
        .lists
        .list(by(CITY, 1, list(&entry_id)))
        .await
        .expect_err("the same officer");
    assert_eq!(
        (same.code(), reason(&same).as_str()),
        (Code::FailedPrecondition, "SECOND_OFFICER_REQUIRED")
    );
    mesh.lists
        .list(by(CITY, 2, list(&entry_id)))
        .await
        .expect("listed");
    assert_eq!(mesh.entry(&entry_id).await.state(), pb::EntryState::Listed);

    let objection = mesh
        .lists
        .accept_objection(by(PROVINCE, 1, object(&entry_id)))
        .await
        .expect("suspended");
    let receipt = objection.into_inner().receipt.expect("present");
    assert_eq!(receipt.log, "lists");
    assert_eq!(
        receipt.position,
        mesh.records(logs::LISTS, MOUTAI)
            .await
            .last()
            .expect("some")
            .position
    );
    assert_eq!(
        mesh.entry(&entry_id).await.state(),
        pb::EntryState::Suspended
    );

    let lister = mesh
        .lists
        .correct_out(by(CITY, 2, correct_out(&entry_id)))
        .await
        .expect_err("listed it");
    assert_eq!(reason(&lister), "OTHER_OFFICER_REQUIRED");
    mesh.lists
        .correct_out(by(CITY, 3, correct_out(&entry_id)))
        .await
        .expect("corrected out");
    let entry = mesh.entry(&entry_id).await;
    assert_eq!(entry.state(), pb::EntryState::CorrectedOut);
    assert_eq!(
        mesh.subject_entries(MOUTAI).await.entries,
        [entry],
        "the view agrees with the stream"
    );
    let corrected = mesh
        .happens(MOUTAI, "tally.lists.v1.EntryCorrectedOut")
        .await;
    assert_eq!(
        corrected.effective_at,
        at("2026-01-04T16:00:00Z"),
        "it never rightfully held"
    );
    let basis = corrected.envelope.legal_basis.expect("present");
    assert_eq!(
        (basis.id.as_str(), basis.version),
        ("tally-credit-regulations/20", 1)
    );
}

#[tokio::test]
async fn the_subject_has_five_working_days_to_answer() {
    let mesh = Mesh::start().await;
    let ground = mesh.push(MOUTAI, "administrative-penalty").await;
    let nominated = mesh
        .lists
        .nominate(by(CITY, 1, nominate(MOUTAI, &ground, TERM)))
        .await
        .expect("nominated");
    let entry_id = nominated.into_inner().entry_id;
    let unheard = mesh
        .lists
        .list(by(CITY, 2, list(&entry_id)))
        .await
        .expect_err("not told");
    assert_eq!(reason(&unheard), "ENTRY_STATE");
    let today = pb::NotifyRequest {
        served_on: "2026-03-02".into(),
        ..notify(&entry_id)
    };
    let told = mesh
        .lists
        .notify(by(CITY, 1, today.clone()))
        .await
        .expect("notified")
        .into_inner();
    assert_eq!(
        (told.representation_until.as_str(), told.provisional),
        ("2026-03-09", false)
    );
    let again = mesh
        .lists
        .notify(by(CITY, 1, today))
        .await
        .expect("repeated")
        .into_inner();
    assert_eq!(again.representation_until, told.representation_until);
    assert!(again.receipt.expect("present").repeated);
    let open = mesh
        .lists
        .list(by(CITY, 2, list(&entry_id)))
        .await
        .expect_err("it can still answer");
    assert_eq!(reason(&open), "REPRESENTATION_OPEN");
    mesh.clock
        .advance_to(at("2026-03-10T01:00:00Z"))
        .expect("forward");
    mesh.lists
        .list(by(CITY, 2, list(&entry_id)))
        .await
        .expect("the day has passed");
}

#[tokio::test]
async fn a_repeated_command_gets_the_first_answer_also_when_it_would_be_refused_by_now() {
    let mesh = Mesh::start().await;
    let ground = mesh.push(MOUTAI, "administrative-penalty").await;
    let request = nominate(MOUTAI, &ground, TERM);
    let first = mesh
        .lists
        .nominate(by(CITY, 1, request.clone()))
        .await
        .expect("nominated")
        .into_inner();
    mesh.withdraw(MOUTAI, &ground).await;
    let again = mesh
        .lists
        .nominate(by(CITY, 1, request.clone()))
        .await
        .expect("repeated")
        .into_inner();
    assert_eq!(again.entry_id, first.entry_id);
    let (first, again) = (
        first.receipt.expect("present"),
        again.receipt.expect("present"),
    );
    assert_eq!((again.position, again.repeated), (first.position, true));
    let other = pb::NominateRequest {
        criterion: "something else".into(),
        ..request.clone()
    };
    let refused = mesh
        .lists
        .nominate(by(CITY, 1, other))
        .await
        .expect_err("other content");
    assert_eq!(reason(&refused), "COMMAND_ID_REUSED");
    let new = mesh
        .lists
        .nominate(by(
            CITY,
            1,
            pb::NominateRequest {
                command_id: id(),
                ..request
            },
        ))
        .await;
    assert_eq!(reasons(&new.expect_err("withdrawn")), ["GROUND_WITHDRAWN"]);
}

#[tokio::test]
async fn nothing_is_listed_on_a_record_that_was_withdrawn_meanwhile() {
    let mesh = Mesh::start().await;
    let entry_id = mesh.represented(MOUTAI, TERM).await;
    let ground = mesh.entry(&entry_id).await.ground_record_id;
    mesh.withdraw(MOUTAI, &ground).await;
    let refused = mesh
        .lists
        .list(by(CITY, 2, list(&entry_id)))
        .await
        .expect_err("withdrawn");
    assert_eq!(reason(&refused), "GROUND_WITHDRAWN");
    let drop = pb::DropRequest {
        command_id: id(),
        entry_id: entry_id.clone(),
        reason: "withdrawn".into(),
    };
    mesh.lists.drop(by(CITY, 2, drop)).await.expect("dropped");
    assert_eq!(mesh.entry(&entry_id).await.state(), pb::EntryState::Dropped);
}

#[tokio::test]
async fn nothing_is_listed_once_the_basis_of_the_nomination_has_lapsed() {
    let mesh = Mesh::start().await;
    let entry_id = mesh.represented(MOUTAI, TERM).await;
    mesh.lapse("tally-credit-regulations/20");
    let refused = mesh
        .lists
        .list(by(CITY, 2, list(&entry_id)))
        .await
        .expect_err("lapsed yesterday");
    assert_eq!(reason(&refused), "LEGAL_BASIS_NOT_IN_FORCE");
}

#[tokio::test]
async fn every_fault_of_a_message_is_named() {
    let mesh = Mesh::start().await;
    let broken = pb::NominateRequest {
        command_id: "x".into(),
        subject: "cn-uscc:9152000071430580XA".into(),
        ground_record_id: "x".into(),
        criterion: "see 999999200002291230".into(),
        legal_basis: None,
        term_from: "yesterday".into(),
        term_until: "2026-02-30".into(),
        ..nominate(MOUTAI, "x", TERM)
    };
    let refused = mesh
        .lists
        .nominate(by(CITY, 1, broken))
        .await
        .expect_err("broken");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(reasons(&refused).len(), 7, "{refused:?}");
    assert!(!format!("{refused:?}").contains("999999200002291230"));

    let unfit = pb::NominateRequest {
        legal_basis: basis("tally-interim-measures/3"),
        ..nominate(MOUTAI, &id(), ("2026-01-05", "2036-01-04"))
    };
    let refused = mesh
        .lists
        .nominate(by(CITY, 1, unfit))
        .await
        .expect_err("unfit");
    let expected = [
        "LEGAL_BASIS_OTHER",
        "LEGAL_BASIS_NOT_IN_FORCE",
        "GROUND_UNKNOWN",
        "TERM_TOO_LONG",
    ];
    assert_eq!(reasons(&refused), expected);

    let unclear = pb::RepresentRequest {
        command_id: id(),
        entry_id: "x".into(),
        document: None,
        waived: false,
    };
    let refused = mesh
        .lists
        .represent(by(CITY, 1, unclear))
        .await
        .expect_err("unclear");
    assert_eq!(reasons(&refused), ["ID_INVALID", "REPRESENTATION_UNCLEAR"]);
}

#[tokio::test]
async fn who_may_not() {
    let mesh = Mesh::start().await;
    let ground = mesh.push(MOUTAI, "administrative-penalty").await;
    let county = mesh
        .lists
        .nominate(by(COUNTY, 1, nominate(MOUTAI, &ground, TERM)))
        .await;
    assert_eq!(
        county.expect_err("no initiator").code(),
        Code::PermissionDenied
    );
    let system = Caller::system(CITY.parse().expect("valid"));
    let system = mesh
        .lists
        .nominate(from(system, nominate(MOUTAI, &ground, TERM)))
        .await;
    assert_eq!(
        system.expect_err("no officer").code(),
        Code::PermissionDenied
    );

    let entry_id = mesh.listed(MOUTAI, TERM).await;
    let county = mesh
        .lists
        .accept_objection(by(COUNTY, 1, object(&entry_id)))
        .await;
    assert_eq!(
        county.expect_err("not competent").code(),
        Code::PermissionDenied
    );
    let remove = pb::RemoveRequest {
        command_id: id(),
        entry_id: entry_id.clone(),
        decision: document("Decision 1"),
        reason: "repaired".into(),
    };
    let province = mesh.lists.remove(by(PROVINCE, 1, remove.clone())).await;
    assert_eq!(
        province.expect_err("another department's").code(),
        Code::PermissionDenied
    );
    mesh.lists
        .remove(by(CITY, 1, remove))
        .await
        .expect("removed");
    let unknown = mesh
        .lists
        .list(by(CITY, 2, list(&id())))
        .await
        .expect_err("unknown");
    assert_eq!(
        (unknown.code(), reason(&unknown).as_str()),
        (Code::NotFound, "ENTRY_UNKNOWN")
    );
}

#[tokio::test]
async fn natural_persons_are_off_and_their_numbers_are_not_repeated() {
    let mesh = Mesh::start().await;
    let number = "999999200002291230";
    let person = format!("cn-resident-id:{number}");
    let refused = mesh
        .lists
        .nominate(by(CITY, 1, nominate(&person, &id(), TERM)))
        .await
        .expect_err("off");
    assert_eq!(reasons(&refused), ["NATURAL_PERSON_OFF"]);
    assert!(!format!("{refused:?}").contains(number));
    let request = pb::GetSubjectEntriesRequest { subject: person };
    let refused = mesh
        .lists
        .get_subject_entries(by(CITY, 1, request))
        .await
        .expect_err("off");
    assert_eq!(reasons(&refused), ["NATURAL_PERSON_OFF"]);
}
