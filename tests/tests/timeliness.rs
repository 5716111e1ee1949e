//! When records are due, how late they came, and what is told of it by month.

use std::collections::BTreeMap;

use jiff::civil::date;
use tally::client::{Client, command_id};
use tally_proto::tally::collection::v1 as collection;
use tally_rpc::FaultReport;
use tally_tests::harness::*;
use tally_tests::patience::answered;
use tally_tests::records::minimal;

const PENALTY: &str = "administrative-penalty";
const LICENCE: &str = "administrative-licence";

/// The small pack; penalties are collected from 2026 on, licences are reported by the month.
async fn load_calendar_of_duties(mesh: &Harness) {
    let mut pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
    pack.meta.version = "2026.9".to_owned();
    for item in pack.record_types.values_mut() {
        match item.id.as_str() {
            PENALTY => item.collected_from = Some(date(2026, 1, 1)),
            _ => {
                item.due_day_of_month = Some(25);
                item.push_within_working_days = Some(2);
            }
        }
    }
    mesh.load(&pack).await;
}

async fn terms(client: &Client, number: &str, decided_on: &str) -> Option<collection::RecordTerms> {
    terms_of(client, penalty(COMPANY, number, decided_on)).await
}

async fn terms_of(
    client: &Client,
    record: collection::RecordContent,
) -> Option<collection::RecordTerms> {
    let (record_id, _) = push(client, record).await;
    let request = collection::GetRecordRequest {
        record_id,
        case_number: String::new(),
    };
    let shown = client.collection().get_record(request).await;
    shown.expect("shown").into_inner().terms
}

/// The last days for a licence: on the department's own site, and here.
async fn terms_of_licence(client: &Client, decided_on: &str) -> (String, String) {
    let pack = tally_catalog::pack::embedded().expect("the embedded pack is consistent");
    let licence = pack.record_type(LICENCE).expect("an item");
    let record = minimal(licence, COMPANY, decided_on, decided_on);
    let terms = terms_of(client, record).await.expect("a term");
    (terms.publish_by, terms.push_by)
}

/// Pushes a penalty and gives the last day for it and how late it was.
async fn late(client: &Client, number: &str, decided_on: &str) -> (String, u32) {
    let terms = terms(client, number, decided_on).await.expect("a term");
    assert!(!terms.late_provisional);
    (terms.push_by, terms.late_working_days)
}

fn due(day: &str, late: u32) -> (String, u32) {
    (day.to_owned(), late)
}

async fn figures(
    client: &Client,
    request: collection::GetTimelinessRequest,
) -> Vec<collection::Timeliness> {
    let figures = || async { client.collection().get_timeliness(request.clone()).await };
    answered(figures).await.expect("answered").rows
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_when_is_told_by_department_month_and_item() {
    let mesh = Harness::start("2026-02-12T01:00:00Z").await;
    load_calendar_of_duties(&mesh).await;
    let market = mesh.system(MARKET).await;
    let tax = mesh.system(TAX).await;
    let in_time = late(&market, "1", "2026-02-12").await;
    assert_eq!(in_time, due("2026-02-28", 0));
    let backfilled = terms(&market, "backfill", "2025-12-30").await;
    assert_eq!(backfilled, None, "backfill has no term");

    // Over the holiday from the 15th to the 23rd; Saturday the 14th and the 28th are worked.
    mesh.advance("2026-02-26T01:00:00Z").await;
    assert_eq!(late(&market, "2", "2026-02-03").await, due("2026-02-12", 5));
    mesh.advance("2026-02-28T01:00:00Z").await;
    assert_eq!(late(&market, "3", "2026-02-12").await, due("2026-02-28", 0));
    // Sunday: not in time any more, and counted as the Monday.
    mesh.advance("2026-03-01T01:00:00Z").await;
    assert_eq!(late(&tax, "4", "2026-02-12").await, due("2026-02-28", 1));
    mesh.advance("2026-03-02T01:00:00Z").await;
    assert_eq!(late(&market, "5", "2026-02-12").await, due("2026-02-28", 1));

    let wrong = collection::PushRecordRequest {
        command_id: command_id(),
        record: Some(penalty(COMPANY, "6", "2026-03-03")),
        ..Default::default()
    };
    for _ in 0..3 {
        let refused = market.collection().push_record(wrong.clone()).await;
        let report = FaultReport::from(&refused.expect_err("a decision of tomorrow"));
        assert_eq!(report.reason, "DATE_IN_FUTURE");
    }
    mesh.advance("2026-04-16T01:00:00Z").await;
    assert_eq!(
        late(&market, "7", "2026-02-03").await,
        due("2026-02-12", 40)
    );

    mesh.advance("2026-05-06T01:00:00Z").await;
    let request = collection::GetTimelinessRequest {
        from_month: "2026-01".to_owned(),
        to_month: "2026-05".to_owned(),
        ..Default::default()
    };
    let operator = mesh.operator().await;
    let rows = figures(&operator, request.clone()).await;
    let silent: Vec<_> = rows
        .iter()
        .filter(|row| row.silent)
        .map(|row| {
            (
                row.department.as_str(),
                row.month.as_str(),
                row.record_type.as_str(),
            )
        })
        .collect();
    let expected = [
        (MARKET, "2026-03", LICENCE),
        (MARKET, "2026-04", LICENCE),
        (TAX, "2026-03", LICENCE),
        (TAX, "2026-04", LICENCE),
    ];
    assert_eq!(
        silent, expected,
        "since the first whole month, until the last"
    );
    let told: BTreeMap<_, _> = rows
        .iter()
        .filter(|row| !row.silent)
        .map(|row| {
            assert_eq!(row.record_type, PENALTY);
            let figures = row.figures.clone().expect("figures");
            ((row.department.as_str(), row.month.as_str()), figures)
        })
        .collect();
    let late_by = |days| collection::TimelinessFigures {
        reported: 1,
        late_working_days: u64::from(days),
        late_working_days_max: days,
        ..Default::default()
    };
    let february = collection::TimelinessFigures {
        reported: 4,
        in_time: 2,
        late_up_to_seven: 1,
        backfilled: 1,
        ..late_by(5)
    };
    let march = collection::TimelinessFigures {
        late_up_to_three: 1,
        ..late_by(1)
    };
    let march_of_market = collection::TimelinessFigures {
        refused: 1,
        refused_for: vec![collection::ReasonCount {
            reason: "DATE_IN_FUTURE".to_owned(),
            rows: 1,
        }],
        ..march.clone()
    };
    let april = collection::TimelinessFigures {
        late_over_thirty: 1,
        ..late_by(40)
    };
    let expected = BTreeMap::from([
        ((MARKET, "2026-02"), february),
        ((MARKET, "2026-03"), march_of_market),
        ((MARKET, "2026-04"), april),
        ((TAX, "2026-03"), march),
    ]);
    assert_eq!(told, expected);

    // A department is told its own, and not another's.
    let own = figures(&tax, request.clone()).await;
    assert!(own.iter().all(|row| row.department == TAX));
    assert_eq!(own.len(), 3);
    let others = collection::GetTimelinessRequest {
        department: MARKET.to_owned(),
        ..request
    };
    let denied = tax.collection().get_timeliness(others).await;
    let report = FaultReport::from(&denied.expect_err("another's"));
    assert_eq!(report.metadata["right"], "collection.timeliness");
    mesh.assert_history_holds().await;
    mesh.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_of_the_month_is_due_from_its_day_and_pushed_after_it_was_published() {
    let mesh = Harness::start("2026-02-12T01:00:00Z").await;
    load_calendar_of_duties(&mesh).await;
    let market = mesh.system(MARKET).await;
    // Seven working days from the 25th, of which Saturday the 28th is one, and two more.
    let due = ("2026-03-05".to_owned(), "2026-03-09".to_owned());
    for decided_on in ["2026-01-26", "2026-02-12"] {
        assert_eq!(terms_of_licence(&market, decided_on).await, due);
    }
    let january = terms_of_licence(&market, "2026-01-25").await;
    assert_eq!(january, ("2026-02-03".to_owned(), "2026-02-05".to_owned()));
    mesh.stop().await;
}
