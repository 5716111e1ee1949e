//! What a department asks of its quarantine, and giving a row up.

use std::collections::BTreeMap;

use bytes::Bytes;
use prost::Message as _;
use tally_auth::Caller;
use tally_domain::department::DepartmentId;
use tally_eventlog::consumer::Progress;
use tally_eventlog::execute::Task;
use tally_eventlog::pb::Receipt;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::prefix_end;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::repeat::or_first;
use tally_service::reply::store_fault;
use tally_service::wiring::caught_up_everywhere;
use tally_service::{Deps, execute_fault, logs, receipt};
use uuid::Uuid;

use super::codec::{CONTENT, unseal};
use super::places::{Found, Places};
use super::view::{COUNT_VIEW, ROW_VIEW, rows_of_type};
use super::{Command, Quarantine, Rejection};
use crate::amend::REASON_CHARS_MAX;
use crate::content::{self, Hasher, Named};
use crate::opening::Opening;
use crate::query::{CASE_NUMBER_CHARS_MAX, RETRY_AFTER, Sight, each_row, parts, prefix};

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
    let content = Hasher::new(deps, "collection.discard").hash(&request);
    let command = content::named(deps, caller, &id, content);
    let key = command.as_ref().ok().map(|command| command.key.clone());
    let mut faults = Faults::default();
    let reason = faults.text("reason", &request.reason, REASON_CHARS_MAX);
    let named = faults.keep(command);
    let discarded = match (named, reason) {
        (Some(named), Some(reason)) => {
            discard_now(deps, caller, named, &request.quarantine_id, reason).await
        }
        _ => Err(Fault::invalid(faults.into_vec())),
    };
    or_first(deps, logs::COLLECTION, key, discarded, |first| {
        Ok(receipt(first))
    })
    .await
    .map(|receipt| pb::DiscardQuarantinedResponse {
        receipt: Some(receipt),
    })
}

async fn discard_now(
    deps: &Deps,
    caller: &Caller,
    named: Named,
    quarantine_id: &str,
    reason: String,
) -> Result<Receipt, Fault> {
    let department = caller.department()?;
    let policy = deps.catalogue.active()?;
    let (id, found) = load(deps, department, quarantine_id).await?;
    let task = Task::<Quarantine> {
        stream_id: id.to_string(),
        subject: String::new(),
        command: Command::Discard {
            department: department.to_string(),
            reason,
            released: found.released,
            at: deps.clock.now(),
        },
        key: named.key,
        context: named.scope.context(policy.version()),
        note: Bytes::new(),
        fresh: false,
        guards: Vec::new(),
    };
    let executed = deps.executor.execute(logs::COLLECTION, task).await;
    let appended = executed.map_err(|error| execute_fault(error, Fault::from))?;
    Ok(receipt(&appended))
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

/// Waits until the views hold what the log holds.
///
/// # Errors
///
/// They are behind: ask again.
pub(super) async fn caught_up(deps: &Deps, reader: &Progress) -> Result<(), Fault> {
    if caught_up_everywhere(&*deps.store, reader).await {
        return Ok(());
    }
    Err(Fault::unavailable(
        "VIEW_BEHIND",
        "what is known of the quarantine is behind the log; ask again",
        RETRY_AFTER,
    ))
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
    let prefix = prefix(&request.department).map_err(|fault| Fault::invalid(vec![fault]))?;
    let sight = Sight::of(deps, caller)?;
    if !request.department.is_empty() && !sight.reaches(request.department.trim()) {
        return Err(sight.denied("collection.quarantine.counts"));
    }
    caught_up(deps, reader).await?;
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
