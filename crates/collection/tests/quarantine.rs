//! Refused rows that are kept, in process: handed in again, given up, seen by
//! their department alone, and erased once they have left.

mod support;

use futures::stream;
use jiff::SignedDuration;
use support::{BUREAU, COMPANY, COUNTY, Mesh, PENALTY, by, field, id, penalty, report, system};
use tally_auth::Caller;
use tally_collection::codec::{
    RECORD_ACCEPTED, ROW_CORRECTED, ROW_DISCARDED, ROW_QUARANTINED, ROW_RESUBMITTED, ROW_TAKEN,
    SEALED_OPENED,
};
use tally_collection::quarantine::{Command, Quarantine};
use tally_eventlog::event::{EventContext, Recorded};
use tally_eventlog::execute::Task;
use tally_eventlog::sealing::Opened;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tally_rpc::FaultReport;
use tally_service::{logs, process_key};
use tonic::Code;
use uuid::Uuid;

const NAME: &str = "王芳芳";
/// Synthetic: region 999999 is assigned to nobody.
const NUMBER: &str = "999999200002291230";

/// A penalty without what its type needs, which names a person.
fn bad(number: usize) -> pb::RecordContent {
    let mut record = penalty(number);
    record.fields.retain(|field| field.name != "party_name");
    record.fields.push(field("legal_representative", NAME));
    record.fields.push(field("penalty_content", NUMBER));
    record
}

fn request(record: pb::RecordContent, place: &str) -> pb::PushRecordsRequest {
    pb::PushRecordsRequest {
        command_id: id().to_string(),
        record: Some(record),
        quarantine: true,
        quarantine_id: place.to_owned(),
    }
}

/// What came of each: the record's id, or why not and where it waits.
type Settled = Vec<Result<String, (Vec<String>, String)>>;

async fn push(mesh: &Mesh, caller: Caller, requests: Vec<pb::PushRecordsRequest>) -> Settled {
    let (answers, end) = mesh.push_all(caller, stream::iter(requests)).await;
    end.expect("the stream ends well");
    answers
        .into_iter()
        .map(|answer| match answer.outcome.expect("an outcome") {
            Outcome::Accepted(accepted) => Ok(accepted.record_id),
            Outcome::Refused(refusal) => Err((
                refusal.faults.into_iter().map(|it| it.reason).collect(),
                refusal.quarantine_id,
            )),
        })
        .collect()
}

async fn keep(mesh: &Mesh, record: pb::RecordContent) -> String {
    let settled = push(mesh, system(BUREAU), vec![request(record, "")]).await;
    let (_, place) = settled[0].clone().expect_err("refused");
    assert!(!place.is_empty(), "it is kept");
    place
}

async fn list(mesh: &Mesh, caller: Caller, state: pb::QuarantineState) -> Vec<pb::QuarantinedRow> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListQuarantineRequest {
            state: state.into(),
            page_size: 1,
            page_token,
            ..Default::default()
        };
        let mut client = mesh.client();
        let page = client.list_quarantine(by(caller.clone(), request)).await;
        let page = page.expect("a page").into_inner();
        rows.extend(page.rows);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return rows;
        }
    }
}

async fn get(
    mesh: &Mesh,
    caller: Caller,
    place: &str,
    case: &str,
) -> Result<pb::GetQuarantinedResponse, FaultReport> {
    let request = pb::GetQuarantinedRequest {
        quarantine_id: place.into(),
        case_number: case.into(),
    };
    let answer = mesh.client().get_quarantined(by(caller, request)).await;
    answer.map(|it| it.into_inner()).map_err(report)
}

async fn discard(
    mesh: &Mesh,
    caller: Caller,
    command_id: Uuid,
    place: &str,
) -> Result<bool, FaultReport> {
    let request = pb::DiscardQuarantinedRequest {
        command_id: command_id.to_string(),
        quarantine_id: place.into(),
        reason: "entered twice".into(),
    };
    let answer = mesh.client().discard_quarantined(by(caller, request)).await;
    answer
        .map(|it| it.into_inner().receipt.expect("a receipt").repeated)
        .map_err(report)
}

async fn counts(mesh: &Mesh, caller: Caller) -> Vec<(String, u64, u64, u64, bool)> {
    let request = pb::GetQuarantineCountsRequest::default();
    let answer = mesh
        .client()
        .get_quarantine_counts(by(caller, request))
        .await;
    let counts = answer.expect("counts").into_inner().counts;
    counts
        .into_iter()
        .map(|count| {
            let waits = count.oldest_open_since.is_some();
            (
                count.department,
                count.open,
                count.resubmitted,
                count.discarded,
                waits,
            )
        })
        .collect()
}

/// The log without the counts of refused rows.
async fn of_rows_and_records(mesh: &Mesh) -> Vec<Recorded> {
    let mut log = mesh.log(logs::COLLECTION).await;
    log.retain(|event| event.envelope.category != "refusals");
    log
}

async fn types(mesh: &Mesh) -> Vec<String> {
    let log = of_rows_and_records(mesh).await;
    let mut types: Vec<_> = log.into_iter().map(|it| it.envelope.event_type).collect();
    types.sort_unstable();
    types
}

#[tokio::test]
async fn a_row_waits_is_corrected_handed_in_again_and_leaves() {
    let mesh = Mesh::start().await;
    let place = keep(&mesh, bad(1)).await;
    let waiting = list(&mesh, system(BUREAU), pb::QuarantineState::Unspecified).await;
    let [row] = waiting.as_slice() else {
        panic!("one row, not {waiting:?}")
    };
    assert_eq!(
        (row.quarantine_id.as_str(), row.record_type.as_str()),
        (place.as_str(), PENALTY)
    );
    let fault = |field: &str, reason: &str| pb::RowFault {
        field: field.into(),
        reason: reason.into(),
    };
    assert!(
        row.faults
            .contains(&fault("record.fields.party_name", "FIELD_REQUIRED")),
        "{:?}",
        row.faults
    );

    // Refused again: it waits as it is now.
    let mut better = bad(1);
    better.fields.push(field("party_name", "甲公司"));
    let settled = push(&mesh, system(BUREAU), vec![request(better, &place)]).await;
    let (reasons, again) = settled[0].clone().expect_err("refused again");
    assert_eq!(
        (reasons, again.as_str()),
        (vec!["PERSON_NUMBER_IN_TEXT".to_owned()], place.as_str())
    );
    let shown = get(&mesh, system(BUREAU), &place, "case-1").await;
    let shown = shown.expect("it is shown");
    assert_eq!(shown.row.expect("a row").corrections, 1);
    assert_eq!(shown.faults.len(), 1);

    let record = push(&mesh, system(BUREAU), vec![request(penalty(1), &place)]).await;
    let record = record[0].clone().expect("accepted");
    assert!(
        list(&mesh, system(BUREAU), pb::QuarantineState::Open)
            .await
            .is_empty()
    );
    let left = list(&mesh, system(BUREAU), pb::QuarantineState::Resubmitted).await;
    assert_eq!(left.len(), 1);
    assert_eq!(
        (left[0].quarantine_id.as_str(), &left[0].record_id),
        (place.as_str(), &record)
    );
    assert_eq!(
        counts(&mesh, Caller::operator()).await,
        [(BUREAU.to_owned(), 0, 1, 0, false)]
    );
    assert_eq!(
        types(&mesh).await,
        [
            RECORD_ACCEPTED,
            ROW_CORRECTED,
            ROW_QUARANTINED,
            ROW_RESUBMITTED,
            ROW_TAKEN
        ]
    );

    // All of it is in the month's figures.
    let given_up = keep(&mesh, bad(2)).await;
    discard(&mesh, system(BUREAU), id(), &given_up)
        .await
        .expect("given up");
    let figures = mesh.timeliness(system(BUREAU), Default::default()).await;
    let figures = figures.expect("figures").totals.expect("totals");
    assert_eq!((figures.reported, figures.refused), (1, 3));
    assert_eq!(
        (figures.quarantined, figures.resubmitted, figures.discarded),
        (2, 1, 1)
    );
}

#[tokio::test]
async fn a_row_handed_in_again_once_more_is_known() {
    let mesh = Mesh::start().await;
    let place = keep(&mesh, bad(1)).await;
    let first = push(&mesh, system(BUREAU), vec![request(penalty(1), &place)]).await;
    let again = push(&mesh, system(BUREAU), vec![request(penalty(1), &place)]).await;
    assert_eq!(first, again);
    assert_eq!(
        list(&mesh, system(BUREAU), pb::QuarantineState::Resubmitted)
            .await
            .len(),
        1
    );
    // The place has become that record and takes no other.
    for record in [penalty(2), bad(1)] {
        let settled = push(&mesh, system(BUREAU), vec![request(record, &place)]).await;
        let (reasons, place) = settled[0].clone().expect_err("refused");
        assert!(
            reasons.contains(&"QUARANTINE_CLOSED".to_owned()),
            "{reasons:?}"
        );
        assert_eq!(place, "");
    }
}

#[tokio::test]
async fn a_row_that_turns_out_to_be_there_already_leaves_too() {
    let mesh = Mesh::start().await;
    let known = push(&mesh, system(BUREAU), vec![request(penalty(1), "")]).await;
    let place = keep(&mesh, bad(1)).await;
    let mut other = penalty(1);
    other.decided_on = "2026-02-11".into();
    let settled = push(&mesh, system(BUREAU), vec![request(other, &place)]).await;
    let (reasons, waits) = settled[0].clone().expect_err("another record");
    assert_eq!(
        (reasons[0].as_str(), &waits),
        ("RECORD_EXISTS_DIFFERENT", &place)
    );
    let settled = push(&mesh, system(BUREAU), vec![request(penalty(1), &place)]).await;
    assert_eq!(settled, known);
    let left = list(&mesh, system(BUREAU), pb::QuarantineState::Resubmitted).await;
    assert_eq!(Ok(left[0].record_id.clone()), known[0]);
}

#[tokio::test]
async fn a_refusal_sent_again_is_the_same_row() {
    let mesh = Mesh::start().await;
    let one = request(bad(1), "");
    let twice = vec![one.clone(), one.clone(), request(bad(2), "")];
    let settled = push(&mesh, system(BUREAU), twice).await;
    assert_eq!(settled[0], settled[1]);
    assert_ne!(settled[0], settled[2]);
    let again = push(&mesh, system(BUREAU), vec![one.clone()]).await;
    assert_eq!(again[0], settled[0]);
    assert_eq!(types(&mesh).await, [ROW_QUARANTINED; 2]);
    // The same file under new ids.
    let later = vec![request(bad(2), ""), request(bad(1), "")];
    let later = push(&mesh, system(BUREAU), later).await;
    assert_eq!(later, [settled[2].clone(), settled[0].clone()]);
    assert_eq!(types(&mesh).await, [ROW_QUARANTINED; 2]);
    let figures = mesh.timeliness(system(BUREAU), Default::default()).await;
    let figures = figures.expect("figures").totals.expect("totals");
    assert_eq!(figures.quarantined, 2);
    // Another row is another place, also under the same id.
    let changed = pb::PushRecordsRequest {
        record: Some(bad(3)),
        ..one
    };
    let changed = push(&mesh, system(BUREAU), vec![changed]).await;
    assert_ne!(changed[0], settled[0]);
    assert_eq!(types(&mesh).await, [ROW_QUARANTINED; 3]);

    // Once its place was left, the row waits in a new one, and there once.
    let (_, place) = settled[0].clone().expect_err("refused");
    discard(&mesh, system(BUREAU), id(), &place)
        .await
        .expect("given up");
    list(&mesh, system(BUREAU), pb::QuarantineState::Open).await;
    let anew = request(bad(1), "");
    let first = push(&mesh, system(BUREAU), vec![anew.clone()]).await;
    let again = push(&mesh, system(BUREAU), vec![anew]).await;
    assert_eq!(first, again);
    let (_, elsewhere) = first[0].clone().expect_err("refused");
    assert!(!elsewhere.is_empty() && elsewhere != place);
    let shown = get(&mesh, system(BUREAU), &elsewhere, "case-1").await;
    assert_eq!(shown.expect("shown").record, Some(bad(1)));
}

/// One reason of the refusal, and where the row waits.
fn refusal(settled: &Settled, at: usize, reason: &str) -> String {
    let (reasons, place) = settled[at].clone().expect_err("refused");
    assert!(reasons.contains(&reason.to_owned()), "{reasons:?}");
    place
}

#[tokio::test]
async fn one_record_comes_out_of_a_place() {
    let mesh = Mesh::start().await;
    let place = keep(&mesh, bad(1)).await;
    // Of one chunk, and of chunks that overtake the process manager.
    let requests = vec![request(penalty(1), &place), request(penalty(2), &place)];
    let settled = push(&mesh, system(BUREAU), requests).await;
    let record = settled[0].clone().expect("accepted");
    assert_eq!(refusal(&settled, 1, "QUARANTINE_CLOSED"), "");
    for record in [penalty(3), bad(4)] {
        let settled = push(&mesh, system(BUREAU), vec![request(record, &place)]).await;
        assert_eq!(refusal(&settled, 0, "QUARANTINE_CLOSED"), "");
    }
    let fault = discard(&mesh, system(BUREAU), id(), &place).await;
    assert_eq!(fault.expect_err("it has left").reason, "QUARANTINE_CLOSED");
    let left = list(&mesh, system(BUREAU), pb::QuarantineState::Resubmitted).await;
    assert_eq!(left[0].record_id, record);
    assert_eq!(
        types(&mesh).await,
        [RECORD_ACCEPTED, ROW_QUARANTINED, ROW_RESUBMITTED, ROW_TAKEN]
    );
}

#[tokio::test]
async fn a_bad_row_for_a_place_that_was_just_left_is_told_so() {
    let mesh = Mesh::start().await;
    for n in 0..20 {
        let place = keep(&mesh, bad(n)).await;
        // As chunks follow each other on a stream, faster than a row is closed.
        let one = push(&mesh, system(BUREAU), vec![request(penalty(n), &place)]).await;
        let other = push(&mesh, system(BUREAU), vec![request(bad(n + 100), &place)]).await;
        assert!(one[0].is_ok());
        assert_eq!(refusal(&other, 0, "QUARANTINE_CLOSED"), "");
    }
}

#[tokio::test]
async fn a_place_that_a_refused_record_took_is_free_again() {
    let mesh = Mesh::start().await;
    push(&mesh, system(BUREAU), vec![request(penalty(1), "")]).await;
    let place = keep(&mesh, bad(1)).await;
    let mut other = penalty(1);
    other.decided_on = "2026-02-11".into();
    let settled = push(&mesh, system(BUREAU), vec![request(other, &place)]).await;
    assert_eq!(refusal(&settled, 0, "RECORD_EXISTS_DIFFERENT"), place);
    let settled = push(&mesh, system(BUREAU), vec![request(penalty(2), &place)]).await;
    let record = settled[0].clone().expect("another record comes out of it");
    let left = list(&mesh, system(BUREAU), pb::QuarantineState::Resubmitted).await;
    assert_eq!(left[0].record_id, record);
}

#[tokio::test]
async fn a_place_is_free_again_if_the_record_that_took_it_never_came() {
    let mesh = Mesh::start().await;
    let place = keep(&mesh, bad(1)).await;
    let take = Task::<Quarantine> {
        stream_id: place.clone(),
        subject: String::new(),
        command: Command::Take {
            department: BUREAU.into(),
            record_id: id().to_string(),
            released: None,
            at: mesh.deps.clock.now(),
        },
        key: process_key(id()),
        context: EventContext {
            actor: Default::default(),
            pack_version: String::new(),
            command_id: id(),
            causation_id: id(),
            correlation_id: id(),
            traceparent: String::new(),
        }
        .into(),
        note: Default::default(),
        fresh: false,
        guards: Vec::new(),
    };
    let executor = &mesh.deps.executor;
    executor
        .execute(logs::COLLECTION, take)
        .await
        .expect("taken");
    let settled = push(&mesh, system(BUREAU), vec![request(penalty(1), &place)]).await;
    assert_eq!(refusal(&settled, 0, "QUARANTINE_CLOSED"), "", "on its way");
    let later = mesh.deps.clock.now() + SignedDuration::from_secs(61);
    mesh.clock.advance_to(later).expect("forward");
    let settled = push(&mesh, system(BUREAU), vec![request(penalty(1), &place)]).await;
    assert!(settled[0].is_ok(), "{settled:?}");
}

#[tokio::test]
async fn a_refusal_that_is_not_kept_names_no_place() {
    let mesh = Mesh::start().await;
    let place = keep(&mesh, bad(1)).await;
    let unknown = pb::RecordContent {
        record_type: "of-no-pack".into(),
        ..bad(1)
    };
    let person = pb::RecordContent {
        subject: format!("cn-resident-id:{NUMBER}"),
        ..bad(1)
    };
    let requests = vec![request(unknown, &place), request(person, &place)];
    for outcome in push(&mesh, system(BUREAU), requests).await {
        assert_eq!(outcome.expect_err("refused").1, "");
    }
    let shown = get(&mesh, system(BUREAU), &place, "case-1").await;
    let shown = shown.expect("it waits as it was");
    assert_eq!(shown.record, Some(bad(1)));
    assert_eq!(shown.row.expect("a row").corrections, 0);
}

#[tokio::test]
async fn a_row_that_is_corrected_too_often_waits_as_it_was() {
    let mesh = Mesh::start().await;
    let place = keep(&mesh, bad(0)).await;
    for n in 1..=50 {
        let settled = push(&mesh, system(BUREAU), vec![request(bad(n), &place)]).await;
        let (reasons, waits) = settled[0].clone().expect_err("refused");
        assert_eq!(waits, place, "{n}: {reasons:?}");
    }
    let settled = push(&mesh, system(BUREAU), vec![request(bad(51), &place)]).await;
    let reason = "QUARANTINE_CORRECTED_TOO_OFTEN";
    assert_eq!(refusal(&settled, 0, reason), "");
    let shown = get(&mesh, system(BUREAU), &place, "case-1").await;
    assert_eq!(shown.expect("shown").record, Some(bad(50)));
}

#[tokio::test]
async fn good_rows_do_not_care_for_bad_ones() {
    let mesh = Mesh::start().await;
    let requests = (0..40).map(|n| match n % 4 {
        0 => request(bad(n), ""),
        _ => request(penalty(n), ""),
    });
    let settled = push(&mesh, system(BUREAU), requests.collect()).await;
    for (n, outcome) in settled.iter().enumerate() {
        assert_eq!(outcome.is_err(), n % 4 == 0, "{n}");
    }
    let places = settled.iter().filter_map(|outcome| outcome.as_ref().err());
    let places: std::collections::BTreeSet<_> = places.map(|(_, place)| place).collect();
    assert_eq!(places.len(), 10);
    let rows = list(&mesh, system(BUREAU), pb::QuarantineState::Open).await;
    let listed: std::collections::BTreeSet<_> = rows.iter().map(|row| &row.quarantine_id).collect();
    assert_eq!(listed, places, "every row once, whatever the pages");
}

#[tokio::test]
async fn nothing_is_kept_that_might_not_be_collected() {
    let mesh = Mesh::start().await;
    let person = |subject: &str| pb::RecordContent {
        subject: subject.into(),
        ..bad(1)
    };
    let unknown = pb::RecordContent {
        record_type: "of-no-pack".into(),
        ..bad(1)
    };
    let licence = pb::RecordContent {
        record_type: "administrative-licence".into(),
        ..bad(1)
    };
    let mut large = bad(1);
    large.fields.push(field("note", &"字".repeat(100_000)));
    let mut requests = vec![
        request(person(&format!("cn-resident-id:{NUMBER}")), ""),
        request(person("cn-resident-id:99999920000229123"), ""),
        request(person(&format!("cn-uscc:{NUMBER}")), ""),
        request(unknown, ""),
        request(licence, ""),
        request(large, ""),
        pb::PushRecordsRequest {
            command_id: "x".into(),
            ..request(bad(1), "")
        },
        pb::PushRecordsRequest {
            record: None,
            ..request(bad(1), "")
        },
        pb::PushRecordsRequest {
            quarantine: false,
            ..request(bad(1), "")
        },
    ];
    requests.push(request(penalty(1), ""));
    let mut other = penalty(1);
    other.decided_on = "2026-02-11".into();
    requests.push(request(other, ""));
    let settled = push(&mesh, system(COUNTY), requests).await;
    let places = settled.iter().map(|outcome| match outcome {
        Ok(_) => "accepted",
        Err((_, place)) => place,
    });
    let places: Vec<_> = places.collect();
    assert_eq!(places[9], "accepted");
    assert!(
        places
            .iter()
            .enumerate()
            .all(|(n, it)| n == 9 || it.is_empty()),
        "{settled:?}"
    );
    let (reasons, _) = settled[5].clone().expect_err("refused");
    assert!(reasons.contains(&"ROW_TOO_LARGE".to_owned()), "{reasons:?}");
    assert_eq!(types(&mesh).await, [RECORD_ACCEPTED]);

    // Nothing either once the basis of the type has ended.
    mesh.end_basis();
    let settled = push(&mesh, system(COUNTY), vec![request(bad(7), "")]).await;
    assert_eq!(settled[0].clone().expect_err("refused").1, "");
}

#[tokio::test]
async fn another_department_sees_and_does_nothing() {
    let mesh = Mesh::start().await;
    let place = keep(&mesh, bad(1)).await;
    assert!(
        list(&mesh, system(COUNTY), pb::QuarantineState::Open)
            .await
            .is_empty()
    );
    assert!(counts(&mesh, system(COUNTY)).await.is_empty());
    let fault = get(&mesh, system(COUNTY), &place, "case-1").await;
    assert_eq!(fault.expect_err("not theirs").reason, "QUARANTINE_UNKNOWN");
    let fault = discard(&mesh, system(COUNTY), id(), &place).await;
    assert_eq!(fault.expect_err("not theirs").reason, "QUARANTINE_UNKNOWN");
    let settled = push(&mesh, system(COUNTY), vec![request(penalty(1), &place)]).await;
    let unknown = (vec!["QUARANTINE_UNKNOWN".to_owned()], String::new());
    assert_eq!(settled, [Err(unknown)]);
    assert!(mesh.log(logs::COLLECTION_ACCESS).await.is_empty());
    let request = pb::GetQuarantineCountsRequest {
        department: BUREAU.into(),
    };
    let mut client = mesh.client();
    let fault = client.get_quarantine_counts(by(system(COUNTY), request));
    assert_eq!(
        fault.await.expect_err("not theirs").code(),
        Code::PermissionDenied
    );
    assert_eq!(
        counts(&mesh, system(BUREAU)).await,
        [(BUREAU.to_owned(), 1, 0, 0, true)]
    );
}

#[tokio::test]
async fn a_row_is_opened_for_a_case_and_that_is_logged() {
    let mesh = Mesh::start().await;
    let place = keep(&mesh, bad(1)).await;
    let shown = get(&mesh, system(BUREAU), &place, " ")
        .await
        .expect("shown");
    assert_eq!((shown.record, shown.faults.len()), (None, 0));
    assert!(mesh.log(logs::COLLECTION_ACCESS).await.is_empty());
    let shown = get(&mesh, system(BUREAU), &place, "case-1")
        .await
        .expect("shown");
    assert_eq!(shown.record, Some(bad(1)));
    assert!(shown.faults.iter().all(|fault| !fault.message.is_empty()));
    let access = mesh.log(logs::COLLECTION_ACCESS).await;
    let [opening] = access.as_slice() else {
        panic!("one opening")
    };
    let opened: pb::SealedOpened = opening.payload().expect("its payload");
    assert_eq!(opening.envelope.event_type, SEALED_OPENED);
    assert_eq!(
        (opened.stream, opened.case_number),
        (format!("quarantine/{place}"), "case-1".to_owned())
    );
}

#[tokio::test]
async fn nothing_of_a_row_is_stored_in_clear_and_it_is_erased_when_it_leaves() {
    let mesh = Mesh::start().await;
    let place = keep(&mesh, bad(1)).await;
    let kept = of_rows_and_records(&mesh).await;
    let bytes = kept[0].envelope.payload.clone();
    let number = penalty(1).document_number;
    for text in [NAME, NUMBER, COMPANY, number.as_str(), "罚款"] {
        let found = bytes.windows(text.len()).any(|it| it == text.as_bytes());
        assert!(!found, "{text} is in clear");
    }
    assert_eq!(kept[0].envelope.subject, "");
    let body: pb::RowQuarantined = kept[0].payload().expect("its payload");
    let content = body.content.expect("sealed");
    let open = async || {
        let opened = mesh.deps.keyring.open(&[("content", &content)]).await;
        opened.expect("authentic").remove(0)
    };
    assert!(matches!(open().await, Opened::Text(_)));
    let command = id();
    assert_eq!(
        discard(&mesh, system(BUREAU), command, &place).await,
        Ok(false)
    );
    assert_eq!(
        discard(&mesh, system(BUREAU), command, &place).await,
        Ok(true)
    );
    let fault = discard(&mesh, system(BUREAU), id(), &place).await;
    assert_eq!(fault.expect_err("it is gone").reason, "QUARANTINE_CLOSED");
    // The view has the end once its effects are applied.
    let rows = list(&mesh, system(BUREAU), pb::QuarantineState::Discarded).await;
    assert_eq!(rows[0].discard_reason, "entered twice");
    assert!(matches!(open().await, Opened::Erased));
    let shown = get(&mesh, system(BUREAU), &place, "case-1")
        .await
        .expect("shown");
    assert_eq!(shown.record, None);
    let settled = push(&mesh, system(BUREAU), vec![request(penalty(1), &place)]).await;
    let closed = (vec!["QUARANTINE_CLOSED".to_owned()], String::new());
    assert_eq!(settled, [Err(closed)]);
    assert_eq!(types(&mesh).await, [ROW_DISCARDED, ROW_QUARANTINED]);
}

#[tokio::test]
async fn a_single_refusal_names_its_place() {
    let mesh = Mesh::start().await;
    let request = pb::PushRecordRequest {
        command_id: id().to_string(),
        record: Some(bad(1)),
        quarantine: true,
        ..Default::default()
    };
    let mut client = mesh.client();
    let refused = client.push_record(by(system(BUREAU), request));
    let fault = report(refused.await.expect_err("refused"));
    let rows = list(&mesh, system(BUREAU), pb::QuarantineState::Open).await;
    assert_eq!(fault.metadata["quarantine_id"], rows[0].quarantine_id);
    assert_eq!(fault.code, Code::InvalidArgument);
}
