//! Refused rows are counted, whether they are kept or not: who hands in what
//! cannot be taken is a matter of the month's statistics.
//!
//! One event per chunk that has refused rows. A row is told by its command's id
//! and content, and each is remembered as long as commands are, under an id of
//! its own: the row itself is not remembered as refused, because a repeat is
//! decided afresh. So a row counts once however often it is sent again within
//! that time. Two ways lead to counting it twice: both copies are judged at the
//! same moment, or the process dies between the count and the note of the row.
//! One leads to missing it: the store fails just then.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use prost::Message as _;
use tally_eventlog::append::{Append, CommandKey, ExpectedVersion, StreamAppend};
use tally_eventlog::event::{NewEvent, StreamName};
use tally_eventlog::ids::follow_up_id;
use tally_eventlog::merkle::Hash;
use tally_eventlog::throttle::Throttle;
use tally_proto::tally::collection::v1 as pb;
use tally_service::{Deps, logs};
use uuid::Uuid;

use crate::answer::Answer;
use crate::chunk::Common;
use crate::codec::REFUSALS_COUNTED;
use crate::figures::add_reason;
use crate::opening::new_id;

/// Stream category of the counts of refused rows: one stream per department.
pub const CATEGORY: &str = "refusals";

/// Identity of a pushed row: its command's id, and what stands for its content.
pub(crate) type RowIdentity = (Uuid, Hash);

/// A row that was refused.
pub(crate) struct RefusedRow {
    /// Nothing where the command's id is not in order: then a repeat is not known.
    pub identity: Option<RowIdentity>,
    /// Id of the catalogue item; empty if the catalogue has none of that name.
    pub record_type: String,
    /// Every reason, once.
    pub reasons: BTreeSet<&'static str>,
}

/// The rows whose answers are refusals.
pub(crate) fn of(answers: &[Answer], rows: Vec<(Option<RowIdentity>, String)>) -> Vec<RefusedRow> {
    let answered = answers.iter().zip(rows);
    let refused = answered.filter_map(|(answer, (identity, record_type))| {
        let reasons = answer.outcome.as_ref().err()?.refused_for()?;
        Some(RefusedRow {
            identity,
            record_type,
            reasons,
        })
    });
    refused.collect()
}

/// Counts refused rows. A failure is logged and does not change their answers.
pub(crate) async fn count(deps: &Deps, judged: &Common, rows: Vec<RefusedRow>) {
    static THROTTLE: Throttle = Throttle::minutely();
    if let Err(error) = try_count(deps, judged, rows).await
        && let Some(held_back) = THROTTLE.pass(&error)
    {
        tracing::error!(error, held_back, "refused rows are not counted");
    }
}

async fn try_count(deps: &Deps, judged: &Common, rows: Vec<RefusedRow>) -> Result<(), String> {
    let department = &judged.actor.department;
    let mut seen = HashSet::new();
    let mut known: Vec<(CommandKey, RefusedRow)> = Vec::new();
    let mut refused = BTreeMap::new();
    for row in rows {
        match row.identity {
            None => add(&mut refused, &row),
            Some((command, digest)) => {
                let id = follow_up_id(command, &digest);
                let department = department.clone();
                if seen.insert(id) {
                    known.push((
                        CommandKey {
                            department,
                            id,
                            digest,
                        },
                        row,
                    ));
                }
            }
        }
    }
    let keys: Vec<CommandKey> = known.iter().map(|(key, _)| key.clone()).collect();
    let counted = deps.store.remembered(logs::COLLECTION, &keys).await;
    let counted = counted.map_err(|error| error.to_string())?;
    let mut new = Vec::with_capacity(known.len());
    for ((key, row), counted) in known.into_iter().zip(counted) {
        if counted.is_none() {
            add(&mut refused, &row);
            new.push(key);
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    let outcomes = deps.store.append(appends(deps, judged, refused, new)).await;
    // A note that is there already is a repeat, which is no error.
    let failed = outcomes.into_iter().find_map(Result::err);
    failed.map_or(Ok(()), |error| Err(error.to_string()))
}

fn add(refused: &mut BTreeMap<String, pb::RefusedRows>, row: &RefusedRow) {
    let rows = refused
        .entry(row.record_type.clone())
        .or_insert_with(|| pb::RefusedRows {
            record_type: row.record_type.clone(),
            ..pb::RefusedRows::default()
        });
    rows.rows += 1;
    for reason in &row.reasons {
        add_reason(&mut rows.reasons, reason, 1);
    }
}

/// The event under the first row's note, and the notes of the other rows.
fn appends(
    deps: &Deps,
    judged: &Common,
    refused: BTreeMap<String, pb::RefusedRows>,
    notes: Vec<CommandKey>,
) -> Vec<Append> {
    let department = &judged.actor.department;
    let now = deps.clock.now();
    let event_id = new_id(now);
    let command_id = notes.first().map_or(event_id, |key| key.id);
    let payload = pb::RefusalsCounted {
        refused_on: judged.today.to_string(),
        refused: refused.into_values().collect(),
    };
    let event = NewEvent {
        event_id,
        event_type: REFUSALS_COUNTED,
        subject: String::new(),
        payload: payload.encode_to_vec().into(),
        effective_at: now,
        context: judged.context(command_id),
        legal_basis: None,
    };
    let shard = deps.store.shards().of(department);
    let mut notes = notes.into_iter();
    let counted = Append {
        command: notes.next(),
        streams: vec![StreamAppend {
            stream: StreamName::new(CATEGORY, department.clone()),
            expected: ExpectedVersion::Any,
            events: vec![event],
        }],
        ..Append::to(logs::COLLECTION, shard)
    };
    let notes = notes.map(|key| Append {
        command: Some(key),
        ..Append::to(logs::COLLECTION, shard)
    });
    std::iter::once(counted).chain(notes).collect()
}
