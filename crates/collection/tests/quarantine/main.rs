//! Refused rows that are kept, in process: handed in again, given up, seen by
//! their department alone, and erased once they have left.

mod kept;
mod places;
mod seen;
#[path = "../support/mod.rs"]
mod support;

use futures::stream;
use tally_auth::Caller;
use tally_eventlog::event::Recorded;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tally_rpc::FaultReport;
use tally_service::logs;
use uuid::Uuid;

use support::{BUREAU, Mesh, by, field, id, penalty, report, system};

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

/// One reason of the refusal, and where the row waits.
fn refusal(settled: &Settled, at: usize, reason: &str) -> String {
    let (reasons, place) = settled[at].clone().expect_err("refused");
    assert!(reasons.contains(&reason.to_owned()), "{reasons:?}");
    place
}
