//! What a department asks of its quarantine, and giving a row up.

use std::collections::BTreeMap;

use prost::Message as _;
use tally_auth::Caller;
use tally_domain::department::DepartmentId;
use tally_domain::fault::FieldFault;
use tally_eventlog::consumer::Progress;
use tally_eventlog::pb::Receipt;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::prefix_end;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::{Deps, store_fault};
use uuid::Uuid;

use super::codec::{CONTENT, unseal};
use super::keep::task;
use super::places::{Found, Places};
use super::view::{COUNT_VIEW, ROW_VIEW, rows_of_type};
use super::{Command, Quarantine, Rejection};
use crate::amend::REASON_CHARS_MAX;
use crate::content::{Named, execute, once};
use crate::opening::Opening;
use crate::query::{CASE_NUMBER_CHARS_MAX, Sight, caught_up, each_row, parts};

/// The right to see counts, as the contract names it.
const RIGHT_COUNTS: &str = "collection.quarantine.counts";

/// What the rows are part of, where a caller is told that they are behind.
pub(super) const ROWS_ARE: &str = "what is known of the quarantine is";

/// One row, opened for a case number.
///
/// # Errors
///
/// The department has no such row.
pub(crate) async fn get(
    deps: &Deps,
    caller: &Caller,
    request: pb::GetQuarantinedRequest,
) -> Result<pb::GetQuarantinedResponse, Fault> {
    let department = caller.department()?;
    let mut faults = Faults::default();
    let case_number = faults.text_or_empty(
        "case_number",
        request.case_number.trim(),
        CASE_NUMBER_CHARS_MAX,
    );
    let Some(case_number) = case_number else {
        return Err(Fault::invalid(faults.into_vec()));
    };
    let (id, found) = load(deps, department, &request.quarantine_id).await?;
    let state = found.state;
    let row = state.of(department.as_str())?;
    let mut answer = pb::GetQuarantinedResponse {
        row: state.shown(&id.to_string()),
        ..pb::GetQuarantinedResponse::default()
    };
    if case_number.is_empty() || state.end().is_some() {
        return Ok(answer);
    }
    let opening = Opening {
        caller,
        category: <Quarantine as tally_eventlog::aggregate::Aggregate>::CATEGORY,
        id,
        subject: "",
        case_number,
        sealed: vec![(CONTENT, &row.content)],
    };
    for (_, text) in opening.open(deps).await? {
        let Some(text) = text else {
            continue;
        };
        let content = unseal(&text)
            .ok_or_else(|| Fault::internal("a quarantined row is sealed in another form"))?;
        answer.record = content.record;
        answer.faults = content.faults;
    }
    Ok(answer)
}

/// Gives a row up. A repeat is answered with the first receipt.
///
/// # Errors
///
/// Every fault of the message, or the rejection.
pub(crate) async fn discard(
    deps: &Deps,
    caller: &Caller,
    mut request: pb::DiscardQuarantinedRequest,
) -> Result<pb::DiscardQuarantinedResponse, Fault> {
    let id = std::mem::take(&mut request.command_id);
    let receipt = once(
        deps,
        caller,
        "collection.discard",
        &id,
        request,
        |command, request| discard_now(deps, caller, command, request),
    );
    Ok(pb::DiscardQuarantinedResponse {
        receipt: Some(receipt.await?),
    })
}

async fn discard_now(
    deps: &Deps,
    caller: &Caller,
    command: Result<Named, FieldFault>,
    request: pb::DiscardQuarantinedRequest,
) -> Result<Receipt, Fault> {
    let mut faults = Faults::default();
    let reason = faults.text("reason", &request.reason, REASON_CHARS_MAX);
    let named = faults.keep(command);
    let (Some(named), Some(reason)) = (named, reason) else {
        return Err(Fault::invalid(faults.into_vec()));
    };
    let department = caller.department()?;
    let policy = deps.catalogue.active()?;
    let (id, found) = load(deps, department, &request.quarantine_id).await?;
    let at = deps.clock.now();
    let command = Command::Discard {
        department: department.to_string(),
        reason,
        released: found.released,
        at,
        on: policy.today(at),
    };
    let context = named.scope.context(policy.version());
    execute(deps, task(id.to_string(), command, named.key, context)).await
}

/// A row of the department.
async fn load(
    deps: &Deps,
    department: &DepartmentId,
    quarantine_id: &str,
) -> Result<(Uuid, Found), Fault> {
    let id = Uuid::try_parse(quarantine_id).map_err(|_| Rejection::Unknown)?;
    let found = Places::load(deps, vec![id]).await?.take(id);
    found.state.of(department.as_str())?;
    Ok((id, found))
}

/// Counts by department and record type, as far as the caller sees them.
///
/// # Errors
///
/// The department is not for the caller to see; or the views are behind the log: ask again.
pub(crate) async fn counts(
    deps: &Deps,
    caller: &Caller,
    reader: &Progress,
    request: pb::GetQuarantineCountsRequest,
) -> Result<pb::GetQuarantineCountsResponse, Fault> {
    let (sight, prefix) = Sight::of(deps, caller, &request.department, RIGHT_COUNTS)?;
    caught_up(deps, reader, ROWS_ARE).await?;
    let mut sums = BTreeMap::new();
    for shard in deps.store.shards().all() {
        let mut waiting = Vec::new();
        each_row(deps, COUNT_VIEW, shard, &prefix, |key, value| {
            let row = pb::QuarantineCountRow::decode(value).map_err(Fault::internal)?;
            let (department, record_type) = parts(key);
            let sum = sums
                .entry(key.to_vec())
                .or_insert_with(|| pb::QuarantineCount {
                    department: department.clone(),
                    record_type: record_type.clone(),
                    ..pb::QuarantineCount::default()
                });
            sum.open += row.open;
            sum.resubmitted += row.resubmitted;
            sum.discarded += row.discarded;
            if row.open > 0 {
                waiting.push((key.to_vec(), department, record_type));
            }
            Ok(())
        })
        .await?;
        for (key, department, record_type) in waiting {
            let oldest = oldest(deps, shard, &department, &record_type).await?;
            if let (Some(sum), Some(oldest)) = (sums.get_mut(&key), oldest) {
                keep_older(&mut sum.oldest_open_since, oldest);
            }
        }
    }
    Ok(pb::GetQuarantineCountsResponse {
        counts: sums
            .into_values()
            .filter(|count: &pb::QuarantineCount| sight.reaches(&count.department))
            .collect(),
    })
}

/// Rows are in the order in which they came: the first is the oldest.
async fn oldest(
    deps: &Deps,
    shard: Shard,
    department: &str,
    record_type: &str,
) -> Result<Option<prost_types::Timestamp>, Fault> {
    let range = rows_of_type(department, pb::QuarantineState::Open, record_type);
    let end = prefix_end(&range);
    let rows = deps
        .store
        .scan(ROW_VIEW, shard, &range, end.as_deref(), 1)
        .await
        .map_err(store_fault)?;
    let Some((_, value)) = rows.into_iter().next() else {
        return Ok(None);
    };
    let row = pb::QuarantineRow::decode(value).map_err(Fault::internal)?;
    Ok(row.row.and_then(|row| row.quarantined_at))
}

fn keep_older(held: &mut Option<prost_types::Timestamp>, other: prost_types::Timestamp) {
    let is_older = held
        .as_ref()
        .is_none_or(|held| (other.seconds, other.nanos) < (held.seconds, held.nanos));
    if is_older {
        *held = Some(other);
    }
}
