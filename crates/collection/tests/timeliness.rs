//! What is counted of records in a month, and of refused rows.

mod support;

use futures::stream;
use support::{BUREAU, COUNTY, Mesh, PENALTY, id, penalty, system};
use tally_auth::Caller;
use tally_domain::policy::Pack;
use tally_proto::tally::collection::v1 as pb;
use tally_service::logs;
use tonic::Code;
use uuid::Uuid;

const LICENCE: &str = "administrative-licence";

/// A penalty of a day.
fn decided(number: usize, on: &str) -> pb::RecordContent {
    pb::RecordContent {
        decided_on: on.into(),
        ..penalty(number)
    }
}

/// One that is refused for two reasons, of which one is found in two fields.
fn bad(number: usize) -> pb::RecordContent {
    pb::RecordContent {
        valid_from: "yesterday".into(),
        valid_until: "tomorrow".into(),
        subject: "cn-uscc:9152000071430580X0".into(),
        ..penalty(number)
    }
}

fn request(command_id: Uuid, record: pb::RecordContent) -> pb::PushRecordsRequest {
    pb::PushRecordsRequest {
        command_id: command_id.to_string(),
        record: Some(record),
        ..Default::default()
    }
}

fn count(reason: &str, rows: u64) -> pb::ReasonCount {
    pb::ReasonCount {
        reason: reason.into(),
        rows,
    }
}

fn months(from: &str, to: &str) -> pb::GetTimelinessRequest {
    pb::GetTimelinessRequest {
        from_month: from.into(),
        to_month: to.into(),
        ..Default::default()
    }
}

async fn rows(mesh: &Mesh, request: pb::GetTimelinessRequest) -> Vec<pb::Timeliness> {
    let answer = mesh.timeliness(Caller::operator(), request).await;
    answer.expect("figures").rows
}

/// The only figures of this month.
async fn figures(mesh: &Mesh) -> pb::TimelinessFigures {
    let rows = rows(mesh, Default::default()).await;
    let [row] = rows.as_slice() else {
        panic!("one row, not {rows:?}")
    };
    row.figures.clone().expect("figures")
}

#[tokio::test]
async fn every_record_knows_its_term_and_how_late_it_came() {
    let mesh = Mesh::start().await;
    // Monday 2026-03-02. The term of 2026-02-12 ended on Saturday the 28th, a working day.
    let mut ids = Vec::new();
    for (number, on) in ["2026-02-24", "2026-02-12", "2026-02-09", "2025-12-24"]
        .into_iter()
        .enumerate()
    {
        let record = decided(number, on);
        let accepted = mesh.push(system(BUREAU), id(), record).await;
        ids.push(accepted.expect("accepted").record_id);
    }
    let mut terms = Vec::new();
    for id in &ids {
        let shown = mesh.get(system(BUREAU), id, "").await.expect("its own");
        let term = shown.terms.expect("a term");
        assert_eq!(term.accepted_on, "2026-03-02");
        assert_eq!(term.push_by, term.publish_by);
        assert!(!term.push_by_provisional && !term.late_provisional);
        terms.push((term.push_by, term.late_working_days));
    }
    let expected = [
        ("2026-03-04", 0),
        ("2026-02-28", 1),
        ("2026-02-25", 4),
        ("2026-01-05", 36),
    ];
    assert_eq!(terms, expected.map(|(day, late)| (day.to_owned(), late)));
    let expected = pb::TimelinessFigures {
        reported: 4,
        in_time: 1,
        late_up_to_three: 1,
        late_up_to_seven: 1,
        late_over_thirty: 1,
        late_working_days: 41,
        late_working_days_max: 36,
        ..Default::default()
    };
    assert_eq!(figures(&mesh).await, expected);
}

#[tokio::test]
async fn a_row_is_counted_as_refused_once_and_under_each_of_its_reasons() {
    let mesh = Mesh::start().await;
    let ids: Vec<Uuid> = (0..4).map(|_| id()).collect();
    let different = pb::RecordContent {
        valid_until: "2027-01-01".into(),
        ..penalty(0)
    };
    let all = [
        request(ids[0], penalty(0)),
        request(ids[1], bad(1)),
        request(ids[2], bad(2)),
        request(ids[3], different.clone()),
    ];
    let first = stream::iter(all.clone());
    let (answers, _) = mesh.push_all(system(BUREAU), first).await;
    assert_eq!(answers.len(), 4);
    let expected = pb::TimelinessFigures {
        reported: 1,
        late_up_to_three: 1,
        late_working_days: 1,
        late_working_days_max: 1,
        refused: 3,
        refused_for: vec![
            count("DATE_FORM", 2),
            count("IDENTIFIER_CHECK_CHARACTER", 2),
            count("RECORD_EXISTS_DIFFERENT", 1),
        ],
        ..Default::default()
    };
    assert_eq!(figures(&mesh).await, expected);
    let log = mesh.log(logs::COLLECTION).await;
    let counts = log
        .iter()
        .filter(|event| event.envelope.category == "refusals");
    assert_eq!(counts.count(), 1, "one event for the whole chunk");

    // Sent again in other company, alone, and as a single call: the same rows.
    let [_, one, other, another] = all;
    let again = [request(id(), penalty(7)), other, one, another];
    let (answers, _) = mesh.push_all(system(BUREAU), stream::iter(again)).await;
    assert_eq!(answers.len(), 4);
    for (id, record) in [(ids[1], bad(1)), (ids[3], different)] {
        let refused = mesh.push(system(BUREAU), id, record).await;
        refused.expect_err("still wrong");
    }
    let now = figures(&mesh).await;
    assert_eq!((now.reported, now.refused), (2, 3));
    assert_eq!(now.refused_for, expected.refused_for);

    // The same id with another content is another row, and so is a new id.
    mesh.push(system(BUREAU), ids[1], bad(9))
        .await
        .expect_err("wrong");
    mesh.push(system(BUREAU), id(), bad(1))
        .await
        .expect_err("wrong");
    assert_eq!(figures(&mesh).await.refused, 5);
}

#[tokio::test]
async fn rows_of_no_catalogue_item_are_counted_apart() {
    let mesh = Mesh::start().await;
    let unknown = pb::RecordContent {
        record_type: "x".repeat(5_000),
        ..penalty(1)
    };
    mesh.push(system(BUREAU), id(), unknown)
        .await
        .expect_err("unknown");
    let rows = rows(&mesh, Default::default()).await;
    let [row] = rows.as_slice() else {
        panic!("one row, not {rows:?}")
    };
    assert_eq!((row.record_type.as_str(), row.silent), ("", false));
    let figures = row.figures.as_ref().expect("figures");
    assert_eq!(figures.refused_for, [count("RECORD_TYPE_UNKNOWN", 1)]);
    assert_eq!(mesh.counts("").await, [], "nothing of it was taken");
}

#[tokio::test]
async fn what_is_denied_leaves_no_trace() {
    let mesh = Mesh::start().await;
    let licence = pb::RecordContent {
        record_type: LICENCE.into(),
        ..penalty(1)
    };
    let fault = mesh
        .push(system(COUNTY), id(), licence.clone())
        .await
        .expect_err("not its item");
    assert_eq!(fault.code, Code::PermissionDenied);
    let all = stream::iter([request(id(), licence)]);
    let (answers, _) = mesh.push_all(system(COUNTY), all).await;
    assert_eq!(answers.len(), 1);
    assert!(mesh.log(logs::COLLECTION).await.is_empty());
}

#[tokio::test]
async fn each_event_counts_in_the_month_of_its_own_day() {
    let mesh = Mesh::start().await;
    let accepted = mesh
        .push(system(BUREAU), id(), decided(1, "2026-02-27"))
        .await
        .expect("accepted");
    // Still March in UTC, but April where the pack is at home.
    mesh.advance("2026-03-31T16:30:00Z");
    let mut record = decided(1, "2026-02-27");
    record.fields[2].value = "2".into();
    let correction = pb::CorrectRecordRequest {
        command_id: id().to_string(),
        record_id: accepted.record_id.clone(),
        record: Some(record),
        reason: "a typing error".into(),
    };
    mesh.correct(system(BUREAU), correction)
        .await
        .expect("corrected");
    mesh.push(system(BUREAU), id(), bad(2))
        .await
        .expect_err("wrong");
    let rows = rows(&mesh, months("2026-02", "2026-04")).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            let figures = row.figures.clone().expect("figures");
            let counts = (figures.in_time, figures.corrected, figures.refused);
            (row.month.as_str(), counts)
        })
        .collect();
    assert_eq!(told, [("2026-03", (1, 0, 0)), ("2026-04", (0, 1, 1))]);
    assert_eq!(mesh.counts("").await, [(PENALTY.to_owned(), 1, 1, 0)]);
}

/// The small pack, in which penalties are reported by the month.
fn monthly() -> Pack {
    let mut pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
    pack.meta.version = "2026.9".into();
    let items = pack.record_types.values_mut();
    for item in items.filter(|item| item.id == PENALTY) {
        item.due_day_of_month = Some(25);
        item.collected_from = Some(jiff::civil::date(2026, 3, 2));
    }
    pack
}

#[tokio::test]
async fn who_reported_nothing_of_what_is_due_every_month_is_silent() {
    let mesh = Mesh::start().await;
    mesh.activate(&monthly());
    mesh.advance("2026-05-04T02:00:00Z");
    let mut backfill = decided(1, "2026-02-27");
    backfill.legal_basis.as_mut().expect("a basis").version = 1;
    mesh.push(system(BUREAU), id(), backfill)
        .await
        .expect("backfill");
    mesh.push(system(COUNTY), id(), bad(1))
        .await
        .expect_err("wrong");
    mesh.advance("2026-06-01T02:00:00Z");
    let all = rows(&mesh, months("2026-01", "2026-06")).await;
    let told: Vec<_> = all
        .iter()
        .map(|row| (row.department.as_str(), row.month.as_str(), row.silent))
        .collect();
    // March had begun before the item was due; June is not over.
    let city = "11990100MB0000203C";
    let expected = [
        (BUREAU, "2026-04", true),
        (BUREAU, "2026-05", false),
        (city, "2026-04", true),
        (city, "2026-05", true),
        (COUNTY, "2026-04", true),
        (COUNTY, "2026-05", true),
    ];
    assert_eq!(told, expected);
    let may = all[1].figures.as_ref().expect("figures");
    assert_eq!((may.reported, may.backfilled), (1, 1));
    let refused = all[5].figures.as_ref().expect("figures");
    assert_eq!(refused.refused, 1, "who was refused has reported nothing");

    // In pages of one row: the same rows, and totals that add up.
    let mut paged = Vec::new();
    let mut refused = 0;
    let mut request = pb::GetTimelinessRequest {
        page_size: 1,
        ..months("2026-01", "2026-06")
    };
    loop {
        let page = mesh.timeliness(Caller::operator(), request.clone()).await;
        let page = page.expect("a page");
        refused += page.totals.expect("totals").refused;
        paged.extend(page.rows);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!((paged, refused), (all.clone(), 1));

    // A department sees its own.
    let own = mesh
        .timeliness(system(COUNTY), months("2026-01", "2026-06"))
        .await;
    assert_eq!(own.expect("its own").rows, all[4..]);
    let only = pb::GetTimelinessRequest {
        department: BUREAU.into(),
        record_type: LICENCE.into(),
        ..months("2026-01", "2026-06")
    };
    let fault = mesh.timeliness(system(COUNTY), only.clone()).await;
    assert_eq!(
        fault.expect_err("another's").metadata["right"],
        "collection.timeliness"
    );
    assert_eq!(rows(&mesh, only).await, []);
}

#[tokio::test]
async fn nobody_is_silent_before_it_is_asked_and_after_the_law_has_ended() {
    let mesh = Mesh::start().await;
    mesh.advance("2026-05-04T02:00:00Z");
    let mut pack = monthly();
    let item = pack.record_types.get_mut(PENALTY).expect("an item");
    item.collected_from = None;
    let law = pack.legal_bases.get_mut(&item.legal_basis).expect("a law");
    law.in_force.until = Some(jiff::civil::date(2026, 7, 15));
    mesh.activate(&pack);
    mesh.advance("2026-09-01T02:00:00Z");
    let rows = rows(&mesh, months("2026-03", "2026-08")).await;
    let told: Vec<_> = rows
        .iter()
        .map(|row| (row.month.as_str(), row.silent))
        .collect();
    // For each of the three: May had begun before it was asked, July was not over.
    assert_eq!(told, [("2026-06", true); 3]);
}
