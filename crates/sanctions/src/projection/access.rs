//! Checks that said an entry is in force.

use jiff::Timestamp;
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, Projection, ViewRows};
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_eventlog::shard::{Shard, ShardCount};
use tally_proto::tally::sanctions::v1 as pb;

use super::{prefix, row, time_key};
use crate::codec::event_type;
use crate::view;

/// View `sanctions.check`, from the log of checks.
pub struct AccessProjection {
    /// Number of shards: an entry's is that of the identifier it is listed under.
    pub shards: ShardCount,
}

impl Projection for AccessProjection {
    fn views(&self) -> &'static [&'static str] {
        &[view::CHECK]
    }

    fn knows(&self, event_type: &str) -> bool {
        event_type == event_type::CHECK_ANSWERED
    }

    fn reads(&self, _: &Recorded) -> Result<Vec<RowKey>, Poison> {
        Ok(Vec::new())
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        for told in seen_in_force(event, self.shards)? {
            let key = check_row(event.shard, &told.entry_id, &told.check, event.recorded_at);
            rows.put(key, &told.check);
        }
        Ok(())
    }
}

/// An entry that a check was told is in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// The entry.
    pub entry_id: String,
    /// The identifier under which it is listed.
    pub subject: String,
    /// The check, with what it had seen of that identifier's shard.
    pub check: pb::CheckRow,
}

/// As much of a `CheckAnswered` as says whether there is more to read.
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, repeated, tag = "5")]
    entry_ids: Vec<String>,
    #[prost(string, repeated, tag = "8")]
    entry_subjects: Vec<String>,
}

/// The entries that a check was told are in force.
///
/// # Errors
///
/// [`Poison`]: the event contradicts itself.
pub fn seen_in_force(event: &Recorded, shards: ShardCount) -> Result<Vec<Told>, Poison> {
    // Most checks find nothing, and every one of them passes by here twice.
    let named: Named = event.payload()?;
    if named == Named::default() {
        return Ok(Vec::new());
    }
    let answered: pb::CheckAnswered = event.payload()?;
    if answered.entry_ids.len() != answered.entry_subjects.len() {
        return Err(Poison::new(
            "a check names entries without their identifiers",
        ));
    }
    let department = event
        .envelope
        .actor
        .as_ref()
        .map(|actor| actor.department.clone())
        .unwrap_or_default();
    let basis = answered.basis.unwrap_or_default();
    let seen = |shard: Shard| {
        let of_shard = basis
            .shards
            .iter()
            .find(|seen| seen.shard == u32::from(shard.0));
        of_shard
            .map(|seen| (seen.lists, seen.lists_log_id.clone()))
            .ok_or_else(|| Poison::new("a check lacks the basis of an entry's shard"))
    };
    let entries = answered.entry_ids.into_iter().zip(answered.entry_subjects);
    entries
        .enumerate()
        .map(|(index, (entry_id, subject))| {
            let (lists_basis, lists_log_id) = seen(shards.of(&subject))?;
            let check = pb::CheckRow {
                check_id: answered.check_id.clone(),
                department: department.clone(),
                lists_basis,
                lists_log_id,
                position: event.position,
                recorded_at: Some(to_proto_time(event.recorded_at)),
                entry_index: index as u32,
            };
            Ok(Told {
                entry_id,
                subject,
                check,
            })
        })
        .collect()
}

/// First key of the checks that were told an entry is in force since `at`.
pub fn checks_since(entry_id: &str, at: Timestamp) -> Vec<u8> {
    let mut key = prefix(entry_id);
    key.extend_from_slice(&time_key(at));
    key
}

fn check_row(shard: Shard, entry_id: &str, check: &pb::CheckRow, at: Timestamp) -> RowKey {
    let mut key = checks_since(entry_id, at);
    key.extend(prefix(&check.check_id));
    key.extend_from_slice(check.department.as_bytes());
    row(view::CHECK, shard, &key)
}
