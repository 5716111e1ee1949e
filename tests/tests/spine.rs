//! The main job, end to end over real gRPC with separate certificates.

use tally::client::command_id;
use tally_proto::tally::feedback::v1 as feedback;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_rpc::FaultReport;
use tally_tests::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn one_record_becomes_one_report_and_the_history_verifies() {
    let scene = Scene::start().await;
    let executing = scene.mesh.officer(TAX, "7").await;
    let (entry, listed) = scene.listed(COMPANY).await;

    // The listing becomes directives, one per measure and department.
    scene.mesh.settle().await;
    let items = mailbox(&scene.responder).await;
    assert_eq!(items.len(), 2, "tax has both sanctions: {items:#?}");
    let numbers: Vec<u64> = items
        .iter()
        .filter_map(|item| item.cursor.as_ref())
        .map(|cursor| cursor.number)
        .collect();
    assert_eq!(numbers, [1, 2], "numbered without a gap");
    let directive = items[0].directive.clone().expect("a directive");
    assert_eq!(
        (directive.entry_id.as_str(), directive.department.as_str()),
        (entry.as_str(), TAX)
    );

    // Before its decision the department checks, then executes and reports.
    let answer = scene.check_after(COMPANY, &listed).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);
    assert_eq!(answer.entries[0].entry_id, entry);
    let request = sanctions::AcknowledgeRequest {
        command_id: command_id(),
        directive_id: directive.directive_id.clone(),
    };
    scene
        .responder
        .sanctions()
        .acknowledge(request)
        .await
        .expect("acknowledged");
    let request = sanctions::ExecuteRequest {
        command_id: command_id(),
        directive_id: directive.directive_id.clone(),
        decision: document("decision 1"),
        executed_on: "2026-03-02".to_owned(),
        check_id: answer.check_id.clone(),
    };
    executing
        .sanctions()
        .execute(request)
        .await
        .expect("executed");
    report(&scene.responder, &directive.directive_id, "2026-03-02").await;

    // The province's stream shows it.
    scene.mesh.settle().await;
    let province = scene.mesh.operator().await;
    let request = feedback::StreamFeedbackRequest {
        cursor: None,
        until_head: true,
    };
    let mut stream = province
        .feedback()
        .stream_feedback(request)
        .await
        .expect("streamed")
        .into_inner();
    let mut submitted = 0;
    while let Some(item) = stream.message().await.expect("the stream goes on") {
        submitted += u32::from(item.state() == feedback::FeedbackState::Submitted);
    }
    assert_eq!(submitted, 1);
    scene.mesh.assert_history_holds().await;
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_officer_cannot_be_both_officers() {
    let scene = Scene::start().await;
    let (record, _) = push(&scene.system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    let listing = BlackListing::today(COMPANY, &record, "2027-03-01");
    let entry = nominate_and_hear(&scene.first, &listing).await;
    let refused = scene
        .first
        .lists()
        .list(confirmation(&entry))
        .await
        .expect_err("the same officer");
    assert_eq!(
        FaultReport::from(&refused).reason,
        "SECOND_OFFICER_REQUIRED",
        "{refused:?}"
    );
    // A second certificate of the same officer is the same officer.
    let again = scene.mesh.officer(MARKET, "1").await;
    again
        .lists()
        .list(confirmation(&entry))
        .await
        .expect_err("the same officer under another certificate");
    // A department's system decides nothing, another department's officer not here.
    scene
        .system
        .lists()
        .list(confirmation(&entry))
        .await
        .expect_err("a system");
    let stranger = scene.mesh.officer(TAX, "2").await;
    stranger
        .lists()
        .list(confirmation(&entry))
        .await
        .expect_err("another department");
    scene
        .second
        .lists()
        .list(confirmation(&entry))
        .await
        .expect("a second officer");
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_listed_or_asked_without_a_legal_basis_in_force() {
    let scene = Scene::start().await;
    let (record, _) = push(&scene.system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    let listing = BlackListing::today(COMPANY, &record, "2027-03-01");
    for wrong in [
        None,
        basis(LAPSED),
        basis(RED_LISTING),
        basis("no-such-basis/1"),
    ] {
        let request = tally_proto::tally::lists::v1::NominateRequest {
            legal_basis: wrong.clone(),
            ..nomination(&listing)
        };
        let refused = scene
            .first
            .lists()
            .nominate(request)
            .await
            .expect_err("no basis of this list");
        let report = FaultReport::from(&refused);
        assert!(
            report.to_string().contains("legal_basis"),
            "{wrong:?}: {report}"
        );
        let request = sanctions::CheckRequest {
            legal_basis: wrong.clone(),
            ..question(COMPANY)
        };
        // A basis that is in force may be asked under, whatever it is for.
        if wrong != basis(RED_LISTING) {
            let refused = scene
                .responder
                .sanctions()
                .check(request)
                .await
                .expect_err("no basis of asking");
            assert!(
                FaultReport::from(&refused)
                    .to_string()
                    .contains("legal_basis"),
                "{wrong:?}"
            );
        }
    }
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_number_in_clear_text_is_refused_and_not_repeated() {
    const NUMBER: &str = "999999200002291230";
    let scene = Scene::start().await;
    let mut record = penalty(COMPANY, "penalty 1", "2026-03-01");
    let name = record
        .fields
        .iter_mut()
        .find(|field| field.name == "party_name");
    name.expect("a field").value = format!("Example Ltd ({NUMBER})");
    let request = tally_proto::tally::collection::v1::PushRecordRequest {
        command_id: command_id(),
        record: Some(record),
        ..Default::default()
    };
    let refused = scene
        .system
        .collection()
        .push_record(request)
        .await
        .expect_err("a number in clear");
    let report = FaultReport::from(&refused);
    assert_eq!(report.reason, "PERSON_NUMBER_IN_TEXT", "{report}");
    assert!(!format!("{refused:?}").contains(NUMBER));
    scene.mesh.stop().await;
}
