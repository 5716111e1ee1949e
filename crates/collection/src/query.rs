//! Questions: one record, and counts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tally_auth::{Caller, CallerKind};
use tally_domain::department::DepartmentId;
use tally_domain::fault::FieldFault;
use tally_eventlog::aggregate::Aggregate as _;
use tally_eventlog::consumer::Progress;
use tally_eventlog::event::{Recorded, StreamName, to_proto_time};
use tally_eventlog::execute::fold;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::prefix_end;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::stored_field::Value;
use tally_proto::tally::log::v1::Sealed;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::reply::store_fault;
use tally_service::{Deps, Policy, logs};
use uuid::Uuid;

use crate::amend::parse_record_id;
use crate::codec::clear_content;
use crate::opening::Opening;
use crate::projection::{SEPARATOR, TIMELINESS_VIEW};
use crate::record::{Record, Rejection};
use crate::{figures, timeliness};

/// Characters that a case number may have; as a document number.
pub(crate) const CASE_NUMBER_CHARS_MAX: usize = 128;

/// The right to see counts, as the contract names it.
const RIGHT_COUNTS: &str = "collection.counts";

/// What the figures are part of, where a caller is told that they are behind.
pub(crate) const COUNTS_ARE: &str = "the counts are";

/// Rows read at a time.
const PAGE: usize = 1_000;

/// When a caller is told to ask again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(500);

/// One record, as the caller may see it.
///
/// # Errors
///
/// It does not exist for the caller: also where it was withdrawn and another department pushed it.
pub(crate) async fn record(
    deps: &Deps,
    caller: &Caller,
    request: pb::GetRecordRequest,
) -> Result<pb::GetRecordResponse, Fault> {
    let mut faults = Faults::default();
    let record_id = faults.keep(parse_record_id(&request.record_id));
    let case_number = faults.text_or_empty(
        "case_number",
        request.case_number.trim(),
        CASE_NUMBER_CHARS_MAX,
    );
    let (Some(record_id), Some(case_number)) = (record_id, case_number) else {
        return Err(Fault::invalid(faults.into_vec()));
    };
    let (state, first) = load(deps, record_id).await?;
    if let Some(reader) = &caller.department {
        state.seen_by(&deps.catalogue.active()?.pack, reader)?;
    }
    let accepted = state.accepted().ok_or(Rejection::Unknown)?;
    let basis = state.legal_basis().ok_or(Rejection::Unknown)?;
    let content = state.content().ok_or(Rejection::Unknown)?;
    let is_owner = matches!(caller.kind, CallerKind::System | CallerKind::Officer)
        && caller
            .department
            .as_ref()
            .is_some_and(|department| department.as_str() == accepted.department);
    let sealed = sealed_fields(content);
    let mut shown = clear_content(&accepted.subject, content, basis);
    let mut withheld: Vec<String> = Vec::new();
    if is_owner && !case_number.is_empty() && !sealed.is_empty() {
        let subject = &accepted.subject;
        let opening = Opening {
            caller,
            category: Record::CATEGORY,
            id: record_id,
            subject,
            case_number,
            sealed,
        };
        for (name, text) in opening.open(deps).await? {
            match text {
                Some(value) => shown.fields.push(pb::Field { name, value }),
                None => withheld.push(name),
            }
        }
        let place = |field: &pb::Field| {
            content
                .fields
                .iter()
                .position(|stored| stored.name == field.name)
        };
        shown.fields.sort_by_key(place);
    } else {
        withheld.extend(sealed.into_iter().map(|(name, _)| name.to_owned()));
    }
    let in_use = if state.is_withdrawn() {
        pb::RecordState::Withdrawn
    } else {
        pb::RecordState::Accepted
    };
    Ok(pb::GetRecordResponse {
        record_id: record_id.to_string(),
        record: Some(shown),
        department: accepted.department.clone(),
        state: in_use.into(),
        corrections: state.corrections(),
        recorded_at: Some(to_proto_time(first.recorded_at)),
        withheld,
        terms: terms(&accepted.body),
    })
}

/// The terms of a record; backfill has none.
fn terms(accepted: &pb::RecordAccepted) -> Option<pb::RecordTerms> {
    (!accepted.push_by.is_empty()).then(|| pb::RecordTerms {
        publish_by: accepted.publish_by.clone(),
        publish_by_provisional: accepted.publish_by_provisional,
        push_by: accepted.push_by.clone(),
        push_by_provisional: accepted.push_by_provisional,
        accepted_on: accepted.accepted_on.clone(),
        late_working_days: accepted.late_working_days,
        late_provisional: accepted.late_provisional,
    })
}

async fn load(deps: &Deps, record_id: Uuid) -> Result<(Record, Recorded), Fault> {
    let stream = StreamName::new(Record::CATEGORY, record_id.to_string());
    let histories = deps
        .store
        .read_streams(logs::COLLECTION, &[stream])
        .await
        .map_err(store_fault)?;
    let history = histories.into_iter().next().unwrap_or_default();
    let first = history.first().ok_or(Rejection::Unknown)?;
    let first = Recorded::decode(logs::COLLECTION, first).map_err(Fault::internal)?;
    let loaded = fold::<Record>(logs::COLLECTION, &history).map_err(Fault::internal)?;
    Ok((loaded.state, first))
}

fn sealed_fields(content: &pb::StoredContent) -> Vec<(&str, &Sealed)> {
    let sealed = content
        .fields
        .iter()
        .filter_map(|field| match &field.value {
            Some(Value::Sealed(sealed)) => Some((field.name.as_str(), sealed)),
            _ => None,
        });
    sealed.collect()
}

/// Whose counts a caller sees.
pub(crate) struct Sight<'a>(Option<(&'a DepartmentId, Arc<Policy>)>);

impl<'a> Sight<'a> {
    /// A department sees its own division and those below, the operator all.
    /// Also the start of the keys of what is asked for; `department` is empty
    /// for all that the caller sees.
    ///
    /// # Errors
    ///
    /// No policy pack is loaded, or the department is not for the caller to see.
    pub fn of(
        deps: &Deps,
        caller: &'a Caller,
        department: &str,
        right: &str,
    ) -> Result<(Self, Vec<u8>), Fault> {
        let prefix = prefix(department).map_err(|fault| Fault::invalid(vec![fault]))?;
        let sight = Self(match &caller.department {
            None => None,
            Some(own) => Some((own, deps.catalogue.active()?)),
        });
        if department.is_empty() || sight.reaches(department.trim()) {
            return Ok((sight, prefix));
        }
        Err(out_of_sight(right, "counts"))
    }

    /// True if the department is among them.
    pub fn reaches(&self, department: &str) -> bool {
        let sight = self.0.as_ref();
        sight.is_none_or(|(own, policy)| policy.pack.oversees(own, department))
    }
}

/// The refusal of a question about a department that the caller does not see.
pub(crate) fn out_of_sight(right: &str, what: &str) -> Fault {
    let message = format!(
        "a department sees the {what} of its own division and of those below; leave the \
         department out, or name one of them"
    );
    Fault::permission(right, message)
}

/// Waits until the views hold all that the log holds now. `are` says what is
/// not known before that.
///
/// # Errors
///
/// The views are behind the log: ask again.
pub(crate) async fn caught_up(deps: &Deps, reader: &Progress, are: &str) -> Result<(), Fault> {
    if deps.sources.caught_up_everywhere(reader).await {
        return Ok(());
    }
    let message = format!("{are} behind the log; ask again");
    Err(Fault::unavailable("VIEW_BEHIND", message, RETRY_AFTER))
}

/// Counts by department and record type, over all shards and months.
///
/// # Errors
///
/// The department is not for the caller to see; or the views are behind the log: ask again.
pub(crate) async fn counts(
    deps: &Deps,
    reader: &Progress,
    caller: &Caller,
    request: pb::GetCountsRequest,
) -> Result<pb::GetCountsResponse, Fault> {
    let (sight, prefix) = Sight::of(deps, caller, &request.department, RIGHT_COUNTS)?;
    caught_up(deps, reader, COUNTS_ARE).await?;
    let mut sums = BTreeMap::new();
    for shard in deps.store.shards().all() {
        each_row(deps, TIMELINESS_VIEW, shard, &prefix, |key, value| {
            add_row(key, value, &mut sums)
        })
        .await?;
    }
    Ok(pb::GetCountsResponse {
        counts: sums
            .into_values()
            .filter(|count: &pb::RecordCount| sight.reaches(&count.department))
            .collect(),
    })
}

fn prefix(department: &str) -> Result<Vec<u8>, FieldFault> {
    if department.is_empty() {
        return Ok(Vec::new());
    }
    let department = DepartmentId::parse(department).map_err(|fault| fault.at("department"))?;
    Ok([department.as_str().as_bytes(), &[SEPARATOR]].concat())
}

/// Calls `take` with every row of a view on a shard whose key starts with `prefix`.
///
/// # Errors
///
/// The store cannot be read, or what `take` says.
pub(crate) async fn each_row(
    deps: &Deps,
    view: &'static str,
    shard: Shard,
    prefix: &[u8],
    take: impl FnMut(&[u8], bytes::Bytes) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let end = prefix_end(prefix);
    each_row_between(deps, view, shard, (prefix, end.as_deref()), take).await
}

/// The same with every row from a key on, up to but without another.
///
/// # Errors
///
/// The store cannot be read, or what `take` says.
pub(crate) async fn each_row_between(
    deps: &Deps,
    view: &'static str,
    shard: Shard,
    (from, end): (&[u8], Option<&[u8]>),
    mut take: impl FnMut(&[u8], bytes::Bytes) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut from = from.to_vec();
    loop {
        let page = deps.store.scan(view, shard, &from, end, PAGE);
        let rows = page.await.map_err(store_fault)?;
        let full = rows.len() == PAGE;
        for (key, value) in rows {
            take(&key, value)?;
            // The next key after this one.
            from = [&key[..], &[0]].concat();
        }
        if !full {
            return Ok(());
        }
    }
}

/// The department and the record type of a count's key.
pub(crate) fn parts(key: &[u8]) -> (String, String) {
    let mut parts = key.splitn(2, |byte| *byte == SEPARATOR);
    let mut part = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    (part(), part())
}

fn add_row(
    key: &[u8],
    value: bytes::Bytes,
    sums: &mut BTreeMap<(String, String), pb::RecordCount>,
) -> Result<(), Fault> {
    let row = pb::TimelinessRow::decode(value).map_err(Fault::internal)?;
    let figures = row.figures.unwrap_or_default();
    // Where rows were refused only, there is nothing of these to count.
    if figures::is_silent(&figures) {
        return Ok(());
    }
    let [department, _, record_type] = timeliness::parts(key);
    let of = (department.clone(), record_type.clone());
    let sum = sums.entry(of).or_insert_with(|| pb::RecordCount {
        department,
        record_type,
        ..pb::RecordCount::default()
    });
    sum.accepted += figures.reported;
    sum.corrected += figures.corrected;
    sum.withdrawn += figures.withdrawn;
    Ok(())
}
