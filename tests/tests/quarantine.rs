//! A refused row over gRPC: kept sealed, seen by its department alone, handed in
//! again or given up, and gone once it has left.

use std::path::Path;

use tally::client::{Client, command_id};
use tally_proto::tally::audit::v1 as audit;
use tally_proto::tally::collection::v1 as collection;
use tally_rpc::FaultReport;
use tally_tests::harness::*;
use tally_tests::patience::answered;

const START: &str = "2026-03-02T01:00:00Z";
/// A made-up name, and a number of an unassigned region (DOMAIN.md, GB 11643).
const NAME: &str = "Zhuge Testperson";
const NUMBER: &str = "999999200002291230";

/// A penalty with a name where it belongs, a number where it does not, and
/// without what the catalogue needs.
fn bad(number: &str) -> collection::RecordContent {
    let mut record = penalty(COMPANY, number, "2026-03-01");
    record.fields.retain(|field| field.name != "party_name");
    for (name, value) in [("legal_representative", NAME), ("penalty_content", NUMBER)] {
        record.fields.push(collection::Field {
            name: name.to_owned(),
            value: value.to_owned(),
        });
    }
    record
}

/// What becomes of a record: its id, or its place in quarantine.
async fn hand_in(
    client: &Client,
    record: collection::RecordContent,
    quarantine_id: &str,
) -> Result<String, String> {
    let request = collection::PushRecordRequest {
        command_id: command_id(),
        record: Some(record),
        quarantine: true,
        quarantine_id: quarantine_id.to_owned(),
    };
    match client.collection().push_record(request).await {
        Ok(answer) => Ok(answer.into_inner().accepted.expect("accepted").record_id),
        Err(status) => {
            let fault = FaultReport::from(&status);
            let place = fault.metadata.get("quarantine_id").cloned();
            Err(place.unwrap_or_default())
        }
    }
}

/// Gives a row up; the reason, if that is refused.
async fn discard(client: &Client, place: &str, reason: &str) -> Result<(), String> {
    let request = collection::DiscardQuarantinedRequest {
        command_id: command_id(),
        quarantine_id: place.to_owned(),
        reason: reason.to_owned(),
    };
    let answer = client.collection().discard_quarantined(request).await;
    answer
        .map(|_| ())
        .map_err(|status| FaultReport::from(&status).reason)
}

async fn list(client: &Client) -> Vec<collection::QuarantinedRow> {
    let request = collection::ListQuarantineRequest::default();
    let page = || async { client.collection().list_quarantine(request.clone()).await };
    answered(page).await.expect("a page").rows
}

async fn show(client: &Client, place: &str) -> Result<collection::GetQuarantinedResponse, String> {
    let request = collection::GetQuarantinedRequest {
        quarantine_id: place.to_owned(),
        case_number: "case 7".to_owned(),
    };
    let answer = client.collection().get_quarantined(request).await;
    answer
        .map(tonic::Response::into_inner)
        .map_err(|status| FaultReport::from(&status).reason)
}

fn holds(path: &Path, needles: &[&str]) -> bool {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).expect("a directory");
        let mut paths = entries.map(|entry| entry.expect("an entry").path());
        return paths.any(|path| holds(&path, needles));
    }
    let bytes = std::fs::read(path).expect("a file");
    needles.iter().any(|needle| {
        let needle = needle.as_bytes();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_kept_corrected_and_leaves_and_nothing_of_it_stays() {
    let mesh = Harness::start(START).await;
    let market = mesh.system(MARKET).await;
    let tax = mesh.system(TAX).await;
    let first = hand_in(&market, bad("rejected-48151623"), "").await;
    let first = first.expect_err("refused");
    let second = hand_in(&market, bad("rejected-48151624"), "").await;
    let second = second.expect_err("refused");
    mesh.settle().await;
    let secrets = [NAME, NUMBER, "rejected-48151623"];
    assert!(!holds(mesh.dir.path(), &secrets), "a row is in clear");

    // Its department sees it, and is seen to; another is not told that it is there.
    assert_eq!(list(&market).await.len(), 2);
    assert!(list(&tax).await.is_empty());
    assert_eq!(
        show(&tax, &first).await.expect_err("not theirs"),
        "QUARANTINE_UNKNOWN"
    );
    assert_eq!(hand_in(&tax, bad("x"), &first).await, Err(String::new()));
    let replay = || audit::ReplayRequest {
        log: "collection-access".to_owned(),
        ..Default::default()
    };
    assert!(mesh.replay(replay()).await.is_empty());
    let shown = show(&market, &first).await.expect("shown");
    assert_eq!(shown.record, Some(bad("rejected-48151623")));
    let openings = mesh.replay(replay()).await;
    assert_eq!(openings.len(), 1);
    assert!(
        openings[0].contains(&format!("quarantine/{first}")),
        "{openings:?}"
    );

    // One is handed in again, first as wrong as it was; the other given up.
    let again = hand_in(&market, bad("rejected-48151625"), &first).await;
    assert_eq!(again, Err(first.clone()));
    let right = penalty(COMPANY, "penalty 1", "2026-03-01");
    let record = hand_in(&market, right.clone(), &first)
        .await
        .expect("accepted");
    let unreasoned = discard(&market, &second, " ").await;
    assert_eq!(unreasoned.expect_err("no reason"), "FIELD_REQUIRED");
    let foreign = discard(&tax, &second, "entered twice").await;
    assert_eq!(foreign.expect_err("not theirs"), "QUARANTINE_UNKNOWN");
    discard(&market, &second, "entered twice")
        .await
        .expect("discarded");
    mesh.settle().await;
    // What is over stays so.
    for place in [&first, &second] {
        let closed = discard(&market, place, "again").await;
        assert_eq!(closed.expect_err("it is over"), "QUARANTINE_CLOSED");
    }
    let other = penalty(COMPANY, "penalty 2", "2026-03-01");
    for place in [&first, &second] {
        let taken = hand_in(&market, other.clone(), place).await;
        assert_eq!(taken, Err(String::new()), "no other record comes out of it");
    }
    assert!(list(&market).await.is_empty());
    for (place, state) in [
        (&first, collection::QuarantineState::Resubmitted),
        (&second, collection::QuarantineState::Discarded),
    ] {
        let shown = show(&market, place).await.expect("shown");
        assert_eq!(shown.record, None, "it is erased");
        assert_eq!(shown.row.expect("a row").state(), state);
    }
    assert_eq!(
        hand_in(&market, right, &first).await,
        Ok(record),
        "known before"
    );
    let counts = collection::GetQuarantineCountsRequest::default();
    let counts = mesh
        .operator()
        .await
        .collection()
        .get_quarantine_counts(counts)
        .await;
    let counts = counts.expect("counts").into_inner().counts;
    let of = |count: &collection::QuarantineCount| (count.open, count.resubmitted, count.discarded);
    assert_eq!(counts.iter().map(of).collect::<Vec<_>>(), [(0, 1, 1)]);
    let of_others = collection::GetQuarantineCountsRequest::default();
    let of_others = tax.collection().get_quarantine_counts(of_others).await;
    assert_eq!(of_others.expect("its own").into_inner().counts, []);

    // What was never a ground for anything stops no reader, and the log verifies.
    mesh.assert_history_holds().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_about_a_person_is_not_kept() {
    let mesh = Harness::start(START).await;
    let market = mesh.system(MARKET).await;
    let mut person = bad("penalty 1");
    person.subject = format!("cn-resident-id:{NUMBER}");
    assert_eq!(hand_in(&market, person, "").await, Err(String::new()));
    assert!(list(&market).await.is_empty());
    let request = audit::ReplayRequest {
        log: "collection".to_owned(),
        ..Default::default()
    };
    // That a row was refused is counted; nothing of it is there.
    let history = mesh.replay(request).await;
    let [count] = history.as_slice() else {
        panic!("one count, not {history:?}")
    };
    assert!(count.contains("RefusalsCounted"), "{count}");
    assert!(
        !count.contains(NUMBER) && !count.contains("penalty 1"),
        "{count}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_kept_only_of_who_may_report_it() {
    let mesh = Harness::start(START).await;
    // It reports penalties, and no licences.
    let resources = mesh.system(RESOURCES).await;
    let mut licence = bad("licence 1");
    licence.record_type = "administrative-licence".to_owned();
    assert_eq!(hand_in(&resources, licence, "").await, Err(String::new()));
    assert!(list(&resources).await.is_empty());
    let kept = hand_in(&resources, bad("penalty 1"), "").await;
    assert_ne!(kept, Err(String::new()));
    mesh.settle().await;
    assert_eq!(list(&resources).await.len(), 1);
    mesh.stop().await;
}
