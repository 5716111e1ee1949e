//! The main job, end to end over real gRPC with separate certificates.

use tally::client::command_id;
use tally_proto::tally::audit::v1 as audit;
use tally_proto::tally::feedback::v1 as feedback;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_rpc::FaultReport;
use tally_tests::harness::*;

const START: &str = "2026-03-02T01:00:00Z";

fn listing(subject: &str, ground: &str) -> BlackListing {
    BlackListing {
        subject: subject.to_owned(),
        ground: ground.to_owned(),
        from: "2026-03-02".to_owned(),
        until: "2027-03-01".to_owned(),
        served_on: "2026-03-02".to_owned(),
    }
}

async fn as_of(
    mesh: &Harness,
    on: &str,
    known_at: Option<prost_types::Timestamp>,
    subject: &str,
) -> audit::AsOfResponse {
    let request = audit::AsOfRequest {
        on: on.to_owned(),
        known_at,
        subject: subject.to_owned(),
        list_type: String::new(),
    };
    mesh.operator()
        .await
        .audit()
        .as_of(request)
        .await
        .expect("answered")
        .into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_record_becomes_one_report_and_the_history_verifies() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let (first, second) = (
        mesh.officer(MARKET, "1").await,
        mesh.officer(MARKET, "2").await,
    );
    let responder = mesh.system(TAX).await;
    let executing = mesh.officer(TAX, "7").await;

    let (record, receipt) = push(&system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    assert!(!receipt.repeated);
    let (entry, listed) = list_black(&first, &second, &listing(COMPANY, &record)).await;

    // The listing becomes directives, one per measure and department.
    mesh.settle().await;
    let items = mailbox(&responder).await;
    assert_eq!(items.len(), 2, "tax has both sanctions: {items:#?}");
    let numbers: Vec<u64> = items
        .iter()
        .filter_map(|item| item.cursor.map_ref(|cursor| cursor.number))
        .collect();
    assert_eq!(numbers, [1, 2], "numbered without a gap");
    let directive = items[0].directive.clone().expect("a directive");
    assert_eq!(
        (directive.entry_id.as_str(), directive.department.as_str()),
        (entry.as_str(), TAX)
    );

    // Before its decision the department checks, then executes and reports.
    let answer = check_after(&responder, COMPANY, &listed).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);
    assert_eq!(answer.entries[0].entry_id, entry);
    let request = sanctions::AcknowledgeRequest {
        command_id: command_id(),
        directive_id: directive.directive_id.clone(),
    };
    responder
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
    report(&responder, &directive.directive_id, "2026-03-02").await;

    // The province's stream shows it.
    mesh.settle().await;
    let province = mesh.operator().await;
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

    // The history verifies, and every view is what the logs make it.
    assert_history_holds(&mesh).await;
    mesh.stop().await;
}

trait MapRef<T> {
    fn map_ref<U>(&self, read: impl FnOnce(&T) -> U) -> Option<U>;
}

impl<T> MapRef<T> for Option<T> {
    fn map_ref<U>(&self, read: impl FnOnce(&T) -> U) -> Option<U> {
        self.as_ref().map(read)
    }
}

async fn assert_history_holds(mesh: &Harness) {
    let operator = mesh.operator().await;
    let mut verified = operator
        .audit()
        .verify(audit::VerifyRequest {})
        .await
        .expect("verifies")
        .into_inner();
    let mut records = 0;
    while let Some(shard) = verified.message().await.expect("the stream goes on") {
        assert!(shard.faults.is_empty(), "{}: {:?}", shard.log, shard.faults);
        records += shard.head.map_or(0, |head| head.size);
    }
    assert!(records > 0);
    let mut rebuilt = operator
        .audit()
        .rebuild(audit::RebuildRequest {})
        .await
        .expect("rebuilds")
        .into_inner();
    let mut rows = 0;
    while let Some(view) = rebuilt.message().await.expect("the stream goes on") {
        assert_eq!(
            view.differences_total, 0,
            "{}: {:?}",
            view.consumer, view.differences
        );
        rows += view.rows;
    }
    assert!(rows > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_officer_cannot_be_both_officers() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let first = mesh.officer(MARKET, "1").await;
    let (record, _) = push(&system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    let entry = nominate(&first, &listing(COMPANY, &record)).await;
    let request = lists::NotifyRequest {
        command_id: command_id(),
        entry_id: entry.clone(),
        served_on: "2026-03-02".to_owned(),
        proof_of_service: document("service 1"),
    };
    first.lists().notify(request).await.expect("notified");
    let request = lists::RepresentRequest {
        command_id: command_id(),
        entry_id: entry.clone(),
        document: None,
        waived: true,
    };
    first.lists().represent(request).await.expect("waived");
    let confirm = |entry: &str| lists::ListRequest {
        command_id: command_id(),
        entry_id: entry.to_owned(),
        decision: document("listing 1"),
    };
    let refused = first
        .lists()
        .list(confirm(&entry))
        .await
        .expect_err("the same officer");
    assert!(
        FaultReport::from(&refused).reason.contains("OFFICER"),
        "{refused:?}"
    );
    // A second certificate of the same officer is the same officer.
    let again = mesh.officer(MARKET, "1").await;
    again
        .lists()
        .list(confirm(&entry))
        .await
        .expect_err("the same officer under another certificate");
    // A department's system decides nothing, another department's officer not here.
    system
        .lists()
        .list(confirm(&entry))
        .await
        .expect_err("a system");
    mesh.officer(TAX, "2")
        .await
        .lists()
        .list(confirm(&entry))
        .await
        .expect_err("another department");
    mesh.officer(MARKET, "2")
        .await
        .lists()
        .list(confirm(&entry))
        .await
        .expect("a second officer");
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_found_by_a_linked_identifier_and_says_by_which() {
    // The organisation code inside the company's USCC only proposes the link.
    const CODE: &str = "cn-orgcode:71430580X";
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let (first, second) = (
        mesh.officer(MARKET, "1").await,
        mesh.officer(MARKET, "2").await,
    );
    let responder = mesh.system(TAX).await;
    let (record, _) = push(&system, penalty(CODE, "penalty 1", "2026-03-01")).await;
    let (entry, _) = list_black(&first, &second, &listing(CODE, &record)).await;
    mesh.settle().await;
    let clear = responder
        .sanctions()
        .check(question(COMPANY))
        .await
        .expect("answered")
        .into_inner();
    assert_eq!(
        clear.outcome(),
        sanctions::CheckOutcome::Clear,
        "nobody has linked them"
    );

    let request = lists::LinkIdentifiersRequest {
        command_id: command_id(),
        subject: CODE.to_owned(),
        linked_subject: COMPANY.to_owned(),
        evidence: document("registration change 1"),
    };
    first
        .lists()
        .link_identifiers(request)
        .await
        .expect("linked");
    mesh.settle().await;
    let found = responder
        .sanctions()
        .check(question(COMPANY))
        .await
        .expect("answered")
        .into_inner();
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
        as_of(&mesh, "2026-03-02", None, COMPANY)
            .await
            .entries
            .len(),
        1
    );

    let linked_until = tally_eventlog::event::to_proto_time(mesh.mesh.clock.now());
    mesh.advance("2026-03-03T01:00:00Z").await;
    let request = lists::UnlinkIdentifiersRequest {
        command_id: command_id(),
        subject: CODE.to_owned(),
        linked_subject: COMPANY.to_owned(),
        reason: "another organisation".to_owned(),
    };
    first
        .lists()
        .unlink_identifiers(request)
        .await
        .expect("unlinked");
    mesh.settle().await;
    let gone = responder
        .sanctions()
        .check(question(COMPANY))
        .await
        .expect("answered")
        .into_inner();
    assert_eq!(gone.outcome(), sanctions::CheckOutcome::Clear);
    assert!(
        as_of(&mesh, "2026-03-03", None, COMPANY)
            .await
            .entries
            .is_empty()
    );
    let before = as_of(&mesh, "2026-03-02", Some(linked_until), COMPANY).await;
    assert_eq!(before.entries.len(), 1, "as-of before still shows it");
    assert!(before.entries[0].by_link);
    assert_history_holds(&mesh).await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_objection_is_never_in_force_even_if_its_reader_stands_still() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let (first, second) = (
        mesh.officer(MARKET, "1").await,
        mesh.officer(MARKET, "2").await,
    );
    let third = mesh.officer(MARKET, "3").await;
    let responder = mesh.system(TAX).await;
    let (record, _) = push(&system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    let (entry, listed) = list_black(&first, &second, &listing(COMPANY, &record)).await;
    let answer = check_after(&responder, COMPANY, &listed).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);

    let reader = mesh.mesh.readers.get("sanctions.lists");
    reader.pause();
    let suspended = accept_objection(&third, &entry).await;
    // Who has the receipt sees at once that the answer cannot be given.
    let answer = check_after(&responder, COMPANY, &suspended).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::Undetermined);
    assert!(
        !answer.when_undetermined.is_empty(),
        "the pack says what may be done"
    );
    // Who has not, sees it at the latest when the bound is over; what was
    // answered before that is on a basis that the reconciler finds.
    let stale = async {
        loop {
            let answer = responder
                .sanctions()
                .check(question(COMPANY))
                .await
                .expect("answered")
                .into_inner();
            if answer.outcome() == sanctions::CheckOutcome::Undetermined {
                return;
            }
        }
    };
    let bound = tally_sanctions_freshness() + std::time::Duration::from_secs(5);
    tokio::time::timeout(bound, stale)
        .await
        .expect("UNDETERMINED within the bound");
    for _ in 0..20 {
        let answer = responder
            .sanctions()
            .check(question(COMPANY))
            .await
            .expect("answered")
            .into_inner();
        assert_eq!(
            answer.outcome(),
            sanctions::CheckOutcome::Undetermined,
            "never in force again"
        );
    }
    reader.unpause();
    let answer = check_after(&responder, COMPANY, &suspended).await;
    assert_eq!(
        answer.outcome(),
        sanctions::CheckOutcome::Clear,
        "suspended is not in force"
    );
    mesh.settle().await;
    assert!(
        corrections(&mesh).await > 0,
        "checks on an outdated basis are found"
    );
    assert_history_holds(&mesh).await;
    mesh.stop().await;
}

fn tally_sanctions_freshness() -> std::time::Duration {
    tally::mesh::MeshOptions::in_dir(tally::data_dir::DataDir::new(".")).check_freshness
}

async fn corrections(mesh: &Harness) -> usize {
    let request = audit::ReplayRequest {
        log: "sanctions".to_owned(),
        ..Default::default()
    };
    let operator = mesh.operator().await;
    let mut records = operator
        .audit()
        .replay(request)
        .await
        .expect("replays")
        .into_inner();
    let mut found = 0;
    while let Some(record) = records.message().await.expect("the stream goes on") {
        found += usize::from(record.json.contains("CorrectionOpened"));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_ends_everywhere_and_as_of_knows_both_times() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let (first, second) = (
        mesh.officer(MARKET, "1").await,
        mesh.officer(MARKET, "2").await,
    );
    let third = mesh.officer(MARKET, "3").await;
    let responder = mesh.system(TAX).await;
    let (record, _) = push(&system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    let (entry, listed) = list_black(&first, &second, &listing(COMPANY, &record)).await;
    let known_then = listed.recorded_at;
    accept_objection(&third, &entry).await;
    mesh.settle().await;

    // While it is suspended nothing may be applied.
    let directive = mailbox(&responder).await[0]
        .directive
        .clone()
        .expect("a directive");
    let executing = mesh.officer(TAX, "7").await;
    let execute = |id: &str| sanctions::ExecuteRequest {
        command_id: command_id(),
        directive_id: id.to_owned(),
        decision: document("decision 1"),
        executed_on: "2026-03-02".to_owned(),
        check_id: String::new(),
    };
    let refused = executing
        .sanctions()
        .execute(execute(&directive.directive_id))
        .await
        .expect_err("suspended");
    assert!(
        FaultReport::from(&refused).reason.contains("SUSPENDED"),
        "{refused:?}"
    );

    // Who listed cannot decide the objection; another officer corrects it out.
    let correct = || lists::CorrectOutRequest {
        command_id: command_id(),
        entry_id: entry.clone(),
        decision: document("correction 1"),
        reason: "the penalty was of another organisation".to_owned(),
    };
    second
        .lists()
        .correct_out(correct())
        .await
        .expect_err("the listing officer");
    let decider = mesh.officer(MARKET, "4").await;
    decider
        .lists()
        .correct_out(correct())
        .await
        .expect("corrected out");
    mesh.settle().await;
    let lifted = mailbox(&responder)
        .await
        .iter()
        .filter(|item| item.kind() == sanctions::MailboxItemKind::Lifted)
        .count();
    assert_eq!(lifted, 2, "both directives of the department are lifted");
    let answer = responder
        .sanctions()
        .check(question(COMPANY))
        .await
        .expect("answered")
        .into_inner();
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::Clear);

    // It never rightfully held; but that is known only since the correction.
    assert!(
        as_of(&mesh, "2026-03-02", None, COMPANY)
            .await
            .entries
            .is_empty()
    );
    assert_eq!(
        as_of(&mesh, "2026-03-02", known_then, COMPANY)
            .await
            .entries
            .len(),
        1
    );
    assert_history_holds(&mesh).await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_ends_by_the_clock_and_at_the_question() {
    let mesh = Harness::start(START).await;
    let system = mesh.system(MARKET).await;
    let (first, second) = (
        mesh.officer(MARKET, "1").await,
        mesh.officer(MARKET, "2").await,
    );
    let responder = mesh.system(TAX).await;
    let (record, _) = push(&system, penalty(COMPANY, "penalty 1", "2026-03-01")).await;
    let short = BlackListing {
        until: "2026-03-31".to_owned(),
        ..listing(COMPANY, &record)
    };
    let (entry, listed) = list_black(&first, &second, &short).await;
    let answer = check_after(&responder, COMPANY, &listed).await;
    assert_eq!(answer.outcome(), sanctions::CheckOutcome::InForce);

    // The last day is in force; the day after is not, whether a timer has run or not.
    mesh.advance("2026-03-31T15:00:00Z").await;
    let answer = responder
        .sanctions()
        .check(question(COMPANY))
        .await
        .expect("answered")
        .into_inner();
    assert_eq!(
        (answer.outcome(), answer.on.as_str()),
        (sanctions::CheckOutcome::InForce, "2026-03-31")
    );
    mesh.advance("2026-03-31T16:00:00Z").await;
    let answer = responder
        .sanctions()
        .check(question(COMPANY))
        .await
        .expect("answered")
        .into_inner();
    assert_eq!(
        (answer.outcome(), answer.on.as_str()),
        (sanctions::CheckOutcome::Clear, "2026-04-01")
    );
    let expired = async {
        loop {
            let request = lists::GetEntryRequest {
                entry_id: entry.clone(),
            };
            let shown = first
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
    tokio::time::timeout(std::time::Duration::from_secs(30), expired)
        .await
        .expect("the timer expires it");
    mesh.settle().await;
    assert_eq!(
        as_of(&mesh, "2026-03-31", None, COMPANY)
            .await
            .entries
            .len(),
        1
    );
    assert!(
        as_of(&mesh, "2026-04-01", None, COMPANY)
            .await
            .entries
            .is_empty()
    );
    assert_history_holds(&mesh).await;
    mesh.stop().await;
}
