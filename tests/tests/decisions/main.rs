//! Decisions that need a check first: what their records' citations are worth,
//! and the receipt that a department keeps of its check.

mod receipts;
mod window;

use tally::client::{Client, command_id};
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::sanctions::v1 as sanctions;
use tally_proto::tally::sanctions::v1::DecisionVerdict as Verdict;
use tally_rpc::FaultReport;
use tally_tests::harness::*;
use tonic::Code;

use window::{CITY, PROVINCE, TODAY, Window, checked, decisions};

async fn counts(client: &Client, department: &str) -> Vec<(String, String, Verdict, u64)> {
    let request = sanctions::GetDecisionCountsRequest {
        department: department.to_owned(),
        month: String::new(),
    };
    let counts = client.sanctions().get_decision_counts(request).await;
    let counts = counts.expect("counted").into_inner().counts;
    counts
        .into_iter()
        .map(|count| {
            let verdict = count.verdict();
            (count.department, count.month, verdict, count.count)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_is_held_against_the_check_that_its_record_cites() {
    let window = Window::open().await;
    let entry = window.list().await;
    let (province, city) = (&window.province, &window.city);
    let clear = checked(province, OTHER_COMPANY, "food-licence").await;
    assert_eq!(clear.outcome(), sanctions::CheckOutcome::Clear);
    let told = checked(province, COMPANY, "food-licence").await;
    assert_eq!(told.outcome(), sanctions::CheckOutcome::InForce);
    let tender = checked(province, OTHER_COMPANY, "procurement").await;
    let others = checked(city, OTHER_COMPANY, "licence").await;
    // No sanction of this department applies to a licence without food.
    let beside = checked(province, COMPANY, "honour").await;

    let cases = [
        (OTHER_COMPANY, clear.check_id.clone(), Verdict::CheckedClear),
        (OTHER_COMPANY, String::new(), Verdict::NotChecked),
        (OTHER_COMPANY, command_id(), Verdict::CheckUnknown),
        (OTHER_COMPANY, others.check_id, Verdict::CheckUnknown),
        (
            OTHER_COMPANY,
            told.check_id.clone(),
            Verdict::CheckOtherSubject,
        ),
        (OTHER_COMPANY, tender.check_id, Verdict::CheckWrongPurpose),
        (COMPANY, told.check_id.clone(), Verdict::MeasureInForce),
        (COMPANY, beside.check_id, Verdict::CheckWrongPurpose),
    ];
    let mut records = Vec::new();
    for (n, (subject, check_id, _)) in cases.iter().enumerate() {
        let number = format!("licence {n}");
        records.push(window.licensed(subject, &number, check_id).await);
    }
    let early = window.licence(
        OTHER_COMPANY,
        "licence early",
        "2026-03-01",
        &clear.check_id,
    );
    let (early, _) = push(province, early).await;

    let reported = window.reported().await;
    for (record, (_, check_id, verdict)) in records.iter().zip(&cases) {
        let decision = &reported[record];
        assert_eq!(decision.verdict(), *verdict, "{decision:?}");
        assert_eq!(decision.check_id, *check_id);
        assert_eq!(
            (decision.department.as_str(), decision.kind.as_str()),
            (PROVINCE, "licence-decision")
        );
    }
    assert_eq!(reported[&early].verdict(), Verdict::CheckAfterDecision);
    let refused = &reported[&records[6]];
    assert_eq!(refused.entry_ids, [entry]);
    assert_eq!(refused.measures, ["refuse-food-licence"]);
    // Penalties need no check.
    assert_eq!(reported.len(), records.len() + 1);

    window.mesh.advance("2026-04-02T01:00:00Z").await;
    let late = window.licence(OTHER_COMPANY, "licence late", "2026-04-02", &clear.check_id);
    let (late, _) = push(province, late).await;
    assert_eq!(window.verdict(&late).await, Verdict::CheckTooOld);
    window.mesh.assert_history_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn corrections_and_withdrawals_are_assessed_anew_and_counted() {
    let window = Window::open().await;
    let (province, city) = (&window.province, &window.city);
    let check = checked(province, OTHER_COMPANY, "licence").await.check_id;
    let one = window.licensed(OTHER_COMPANY, "licence 1", "").await;
    let two = window.licensed(OTHER_COMPANY, "licence 2", &check).await;
    let citys = window.licence(OTHER_COMPANY, "licence of the city", TODAY, "");
    push(city, citys).await;
    assert_eq!(window.verdict(&one).await, Verdict::NotChecked);
    let count = |department: &str, verdict, count| {
        (department.to_owned(), "2026-03".to_owned(), verdict, count)
    };
    assert_eq!(
        counts(province, "").await,
        [
            count(PROVINCE, Verdict::CheckedClear, 1),
            count(PROVINCE, Verdict::NotChecked, 1)
        ]
    );

    // A check that is made after the report was not made before the decision.
    let after = checked(province, OTHER_COMPANY, "licence").await.check_id;
    for (check_id, verdict) in [
        (after, Verdict::CheckAfterDecision),
        (check.clone(), Verdict::CheckedClear),
    ] {
        let request = collection::CorrectRecordRequest {
            command_id: command_id(),
            record_id: one.clone(),
            record: Some(window.licence(OTHER_COMPANY, "licence 1", TODAY, &check_id)),
            reason: "the check was not cited".to_owned(),
        };
        let corrected = province.collection().correct_record(request).await;
        corrected.expect("corrected");
        assert_eq!(window.verdict(&one).await, verdict);
    }
    let request = collection::WithdrawRecordRequest {
        command_id: command_id(),
        record_id: two.clone(),
        reason: "revoked".to_owned(),
        document: document("revocation 1"),
    };
    let withdrawn = province.collection().withdraw_record(request).await;
    withdrawn.expect("withdrawn");
    assert_eq!(window.verdict(&two).await, Verdict::Withdrawn);
    let provinces = [
        count(PROVINCE, Verdict::CheckedClear, 1),
        count(PROVINCE, Verdict::Withdrawn, 1),
    ];
    assert_eq!(counts(province, "").await, provinces);
    let citys = [count(CITY, Verdict::NotChecked, 1)];
    assert_eq!(counts(city, "").await, citys);
    let operator = window.mesh.operator().await;
    let all = [provinces.as_slice(), &citys].concat();
    assert_eq!(counts(&operator, "").await, all);
    assert_eq!(counts(&operator, CITY).await, citys);
    window.mesh.assert_history_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_department_reads_its_own_decisions_page_by_page() {
    let window = Window::open().await;
    let (province, city) = (&window.province, &window.city);
    let check = checked(province, OTHER_COMPANY, "licence").await.check_id;
    let mut records = Vec::new();
    for n in 0..7 {
        let subject = [COMPANY, OTHER_COMPANY][n % 2];
        let cited = if n < 3 { check.as_str() } else { "" };
        records.push(
            window
                .licensed(subject, &format!("licence {n}"), cited)
                .await,
        );
    }
    records.sort();
    window.mesh.settle().await;
    for page_size in [1, 2, 3, 500] {
        let request = sanctions::ListDecisionsRequest {
            page_size,
            ..Default::default()
        };
        let listed = decisions(province, request).await.into_iter();
        let mut listed: Vec<String> = listed.map(|decision| decision.record_id).collect();
        listed.sort();
        assert_eq!(listed, records, "in pages of {page_size}");
    }
    let request = |verdict: Verdict, month: &str| sanctions::ListDecisionsRequest {
        verdict: verdict.into(),
        month: month.to_owned(),
        page_size: 1,
        ..Default::default()
    };
    let unchecked = decisions(province, request(Verdict::NotChecked, "2026-03")).await;
    assert_eq!(unchecked.len(), 4);
    let before = decisions(province, request(Verdict::Unspecified, "2026-02")).await;
    assert_eq!(before, []);

    let of_province = sanctions::ListDecisionsRequest {
        department: PROVINCE.to_owned(),
        ..Default::default()
    };
    let refused = city.sanctions().list_decisions(of_province.clone()).await;
    let refused = refused.expect_err("it is another department's");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let request = sanctions::GetDecisionCountsRequest {
        department: PROVINCE.to_owned(),
        month: String::new(),
    };
    let refused = city.sanctions().get_decision_counts(request).await;
    let refused = refused.expect_err("it is another department's");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let operator = window.mesh.operator().await;
    assert_eq!(decisions(&operator, of_province).await.len(), 7);
    assert_eq!(
        faults(
            operator
                .sanctions()
                .list_decisions(sanctions::ListDecisionsRequest {
                    month: "March".to_owned(),
                    page_token: "first".to_owned(),
                    verdict: 77,
                    page_size: 501,
                    ..Default::default()
                })
                .await
                .expect_err("all of it is wrong")
        ),
        ["department", "month", "page_size", "page_token", "verdict"]
    );
}

/// The fields at fault, in order.
fn faults(status: tonic::Status) -> Vec<String> {
    let report = FaultReport::from(&status);
    let violations = report.violations.into_iter();
    let mut fields: Vec<String> = violations.map(|violation| violation.field).collect();
    fields.sort();
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_decisions_of_the_catalogue_need_a_check() {
    let window = Window::open().await;
    // It reports licences, and the catalogue names no decision of its own.
    let other = "11990100MB0002145F";
    let duties = window.pack.decisions.values();
    let licensing = duties.filter(|duty| duty.record_type == "administrative-licence");
    assert!(
        licensing
            .flat_map(|duty| &duty.departments)
            .all(|id| id.as_str() != other)
    );
    let licence = window.licence(COMPANY, "licence of another", TODAY, "");
    push(&window.mesh.system(other).await, licence).await;
    // The duty is in force since the next day.
    let before = window.licence(COMPANY, "licence before", "2017-12-31", "");
    push(&window.province, before).await;
    let since = window.licence(COMPANY, "licence since", "2018-01-01", "");
    let (since, _) = push(&window.province, since).await;
    window.mesh.settle().await;
    let operator = window.mesh.operator().await;
    let reported = counts(&operator, "").await;
    let january = "2018-01".to_owned();
    assert_eq!(
        reported,
        [(PROVINCE.to_owned(), january, Verdict::NotChecked, 1)]
    );
    assert_eq!(window.verdict(&since).await, Verdict::NotChecked);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_citation_that_is_no_id_is_refused() {
    let window = Window::open().await;
    let request = collection::PushRecordRequest {
        command_id: command_id(),
        record: Some(window.licence(COMPANY, "licence 1", TODAY, "yesterday's")),
        ..Default::default()
    };
    let refused = window.province.collection().push_record(request).await;
    assert_eq!(
        faults(refused.expect_err("it is no id")),
        ["record.check_id"]
    );
}
