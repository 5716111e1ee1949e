//! An accepted objection suspends first; what ends, ends everywhere.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tally::client::command_id;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_rpc::FaultReport;
use tally_sanctions::CheckOptions;
use tally_tests::harness::*;

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_objection_is_never_in_force_even_if_its_reader_stands_still() {
    let scene = Scene::start().await;
    let (entry, listed) = scene.listed(COMPANY).await;
    let answer = scene.check_after(COMPANY, &listed).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);

    let held = Instant::now();
    scene.mesh.hold("sanctions.lists", true).await;
    let suspended = accept_objection(&scene.third, &entry).await;
    // Who has not its receipt may be told for a while what was: on a basis that the
    // reconciler finds.
    let struck = Instant::now();
    let mut late = BTreeSet::new();
    let first = scene.check_once(COMPANY).await;
    let told_within = held.elapsed();
    if first.outcome() == sanctions::CheckOutcome::InForce {
        late.insert(first.check_id);
    }
    // Who has it sees at once that the answer cannot be given.
    let answer = check_once_after(&scene.responder, COMPANY, &suspended).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::Undetermined);
    assert!(
        !answer.when_undetermined.is_empty(),
        "the pack says what may be done"
    );
    // The others see it at the latest when the bound is over.
    let bound = CheckOptions::default().freshness + Duration::from_secs(2);
    late.extend(scene.stale_checks(COMPANY, struck, bound).await);
    for _ in 0..20 {
        let outcome = scene.check_once(COMPANY).await.outcome();
        assert_eq!(
            outcome,
            sanctions::CheckOutcome::Undetermined,
            "never in force again"
        );
    }
    scene.mesh.hold("sanctions.lists", false).await;
    let answer = scene.check_after(COMPANY, &suspended).await;
    assert_eq!(
        answer.outcome(),
        sanctions::CheckOutcome::Clear,
        "suspended is not in force"
    );
    scene.mesh.settle().await;
    assert!(
        !late.is_empty() || told_within > CheckOptions::default().freshness / 2,
        "a moment ago it was in force"
    );
    let opened = scene.mesh.corrected_checks().await;
    assert!(
        late.is_subset(&opened),
        "late, and not corrected: {late:?}, {opened:?}"
    );
    scene.mesh.assert_history_holds().await;
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_wrong_ends_everywhere_and_as_of_knows_both_times() {
    let scene = Scene::start().await;
    let (entry, listed) = scene.listed(COMPANY).await;
    let known_then = listed.recorded_at;
    accept_objection(&scene.third, &entry).await;
    scene.mesh.settle().await;

    // While it is suspended nothing may be applied.
    let directive = mailbox(&scene.responder).await[0]
        .directive
        .clone()
        .expect("a directive");
    let executing = scene.mesh.officer(TAX, "7").await;
    let request = sanctions::ExecuteRequest {
        command_id: command_id(),
        directive_id: directive.directive_id.clone(),
        decision: document("decision 1"),
        executed_on: "2026-03-02".to_owned(),
        check_id: String::new(),
    };
    let refused = executing
        .sanctions()
        .execute(request)
        .await
        .expect_err("suspended");
    assert_eq!(
        FaultReport::from(&refused).reason,
        "ENTRY_SUSPENDED",
        "{refused:?}"
    );

    // Who listed cannot decide the objection; another officer corrects it out.
    let correct = || lists::CorrectOutRequest {
        command_id: command_id(),
        entry_id: entry.clone(),
        decision: document("correction 1"),
        reason: "the penalty was of another organisation".to_owned(),
    };
    scene
        .second
        .lists()
        .correct_out(correct())
        .await
        .expect_err("the listing officer");
    scene
        .third
        .lists()
        .correct_out(correct())
        .await
        .expect("corrected out");
    scene.mesh.settle().await;
    let items = mailbox(&scene.responder).await;
    let lifted = items
        .iter()
        .filter(|item| item.kind() == sanctions::MailboxItemKind::Lifted)
        .count();
    assert_eq!(lifted, 2, "both directives of the department are lifted");
    assert_eq!(
        scene.check(COMPANY).await.outcome(),
        sanctions::CheckOutcome::Clear
    );

    // It never rightfully held; but that is known only since the correction.
    assert!(
        scene
            .mesh
            .as_of("2026-03-02", None, COMPANY)
            .await
            .entries
            .is_empty()
    );
    assert_eq!(
        scene
            .mesh
            .as_of("2026-03-02", known_then, COMPANY)
            .await
            .entries
            .len(),
        1
    );
    scene.mesh.assert_history_holds().await;
    scene.mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_ends_by_the_clock_and_at_the_question() {
    let scene = Scene::start().await;
    let (entry, listed) = scene.listed_until(COMPANY, "2026-03-31").await;
    let answer = scene.check_after(COMPANY, &listed).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);

    // The last day is in force; the day after is not, whether a timer has run or not.
    scene.mesh.advance("2026-03-31T15:00:00Z").await;
    let answer = scene.check(COMPANY).await;
    assert_eq!(
        (answer.outcome(), answer.on.as_str()),
        (sanctions::CheckOutcome::InForce, "2026-03-31")
    );
    scene.mesh.advance("2026-03-31T16:00:00Z").await;
    let answer = scene.check(COMPANY).await;
    assert_eq!(
        (answer.outcome(), answer.on.as_str()),
        (sanctions::CheckOutcome::Clear, "2026-04-01")
    );
    let expired = async {
        loop {
            let request = lists::GetEntryRequest {
                entry_id: entry.clone(),
            };
            let shown = scene
                .first
                .lists()
                .get_entry(request)
                .await
                .expect("shown")
                .into_inner();
            if shown.entry.map(|entry| entry.state()) == Some(lists::EntryState::Expired) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), expired)
        .await
        .expect("the timer expires it");
    scene.mesh.settle().await;
    let lifted = mailbox(&scene.responder)
        .await
        .into_iter()
        .filter(|item| item.kind() == sanctions::MailboxItemKind::Lifted)
        .filter_map(|item| item.directive)
        .filter(|directive| directive.lift_reason() == sanctions::LiftReason::Expired)
        .count();
    assert_eq!(lifted, 2, "what expires is lifted everywhere");
    assert_eq!(
        scene
            .mesh
            .as_of("2026-03-31", None, COMPANY)
            .await
            .entries
            .len(),
        1
    );
    assert!(
        scene
            .mesh
            .as_of("2026-04-01", None, COMPANY)
            .await
            .entries
            .is_empty()
    );
    scene.mesh.assert_history_holds().await;
    scene.mesh.stop().await;
}
