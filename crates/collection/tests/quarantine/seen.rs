//! Who sees what a kept row says, and for how long.

use tally_collection::codec::{ROW_DISCARDED, ROW_QUARANTINED, SEALED_OPENED};
use tally_eventlog::sealing::Opened;
use tonic::Code;

use super::*;
use crate::support::{COMPANY, COUNTY};

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
    let again = stream::iter([request(penalty(1), &place)]);
    let (answers, _) = mesh.push_all(system(COUNTY), again).await;
    let Some(Outcome::Refused(refusal)) = &answers[0].outcome else {
        panic!("not theirs: {answers:?}");
    };
    let message = &refusal.faults[0].message;
    assert!(message.contains("leave it out to push"), "{message}");
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
