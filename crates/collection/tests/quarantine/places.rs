//! Rows that are handed in again: each place is left by one record, and once.

use jiff::SignedDuration;
use tally_collection::codec::{
    RECORD_ACCEPTED, ROW_CORRECTED, ROW_QUARANTINED, ROW_RESUBMITTED, ROW_TAKEN,
};
use tally_collection::quarantine::{Command, Quarantine};
use tally_eventlog::event::EventContext;
use tally_eventlog::execute::Task;
use tally_service::process_key;

use super::*;
use crate::support::PENALTY;

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
