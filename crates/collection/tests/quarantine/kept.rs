//! Which refusals are kept, and that one row is kept once.

use tally_collection::codec::{RECORD_ACCEPTED, ROW_QUARANTINED};
use tonic::Code;

use super::*;
use crate::support::COUNTY;

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

#[tokio::test]
async fn a_row_counts_in_the_month_of_its_legal_day() {
    let mesh = Mesh::start().await;
    push(&mesh, system(BUREAU), vec![request(penalty(1), "")]).await;
    // In Beijing it is the first of April.
    mesh.advance("2026-03-31T16:30:00Z");
    let mut places = Vec::new();
    for number in 1..=3 {
        places.push(keep(&mesh, bad(number)).await);
    }
    // One turns out to be known, one becomes a record, and one is given up.
    for number in 1..=2 {
        let again = request(penalty(number), &places[number - 1]);
        let settled = push(&mesh, system(BUREAU), vec![again]).await;
        settled[0].clone().expect("accepted");
    }
    discard(&mesh, system(BUREAU), id(), &places[2])
        .await
        .expect("given up");
    let left = list(&mesh, system(BUREAU), pb::QuarantineState::Resubmitted).await;
    assert_eq!(left.len(), 2);
    for (month, expected) in [("2026-03", (0, 0, 0)), ("2026-04", (3, 2, 1))] {
        let request = pb::GetTimelinessRequest {
            from_month: month.to_owned(),
            to_month: month.to_owned(),
            ..pb::GetTimelinessRequest::default()
        };
        let figures = mesh.timeliness(system(BUREAU), request).await;
        let figures = figures.expect("figures").totals.expect("totals");
        let counted = (figures.quarantined, figures.resubmitted, figures.discarded);
        assert_eq!(counted, expected, "{month}");
    }
}
