//! Decisions that needed a check first, by department and verdict.

use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, ViewRows};
use tally_eventlog::event::Recorded;
use tally_eventlog::shard::Shard;
use tally_proto::tally::sanctions::v1 as pb;

use super::{prefix, row};
use crate::decision::Verdict;
use crate::view;

/// The counts that an assessment changes.
///
/// # Errors
///
/// [`Poison`]: the event cannot be decoded.
pub fn reads(event: &Recorded) -> Result<Vec<RowKey>, Poison> {
    let assessed: pb::DecisionAssessed = event.payload()?;
    let sides = [assessed.decision, assessed.previous];
    let shown = sides.iter().flatten().filter(|decision| is_shown(decision));
    Ok(shown
        .map(|decision| count_row(event.shard, &count_of(decision)))
        .collect())
}

/// Takes an assessment into the decisions of its department and their counts.
///
/// # Errors
///
/// [`Poison`]: the event cannot be decoded, or takes back what was never counted.
pub fn assessed(event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
    let assessed: pb::DecisionAssessed = event.payload()?;
    if let Some(previous) = assessed.previous.filter(is_shown) {
        rows.delete(decision_row(event.shard, &previous));
        let mut count = count_of(&previous);
        let key = count_row(event.shard, &count);
        let held: Option<pb::DecisionCountRow> = rows.get(&key)?;
        let held = held
            .and_then(|row| row.count)
            .map_or(0, |count| count.count);
        count.count = held
            .checked_sub(1)
            .ok_or_else(|| Poison::new("a decision is taken back that was never counted"))?;
        if count.count == 0 {
            rows.delete(key);
        } else {
            rows.put(key, &pb::DecisionCountRow { count: Some(count) });
        }
    }
    let Some(decision) = assessed.decision.filter(is_shown) else {
        return Ok(());
    };
    let mut count = count_of(&decision);
    let key = count_row(event.shard, &count);
    let held: Option<pb::DecisionCountRow> = rows.get(&key)?;
    let held = held
        .and_then(|row| row.count)
        .map_or(0, |count| count.count);
    count.count = held + 1;
    rows.put(key, &pb::DecisionCountRow { count: Some(count) });
    let key = decision_row(event.shard, &decision);
    let decision = Some(decision);
    rows.put(key, &pb::DecisionRow { decision });
    Ok(())
}

/// First bytes of the keys of a department's decisions with a verdict, in a month
/// (`yyyy-mm`) or all.
pub fn decisions_of(department: &str, verdict: Verdict, month: &str) -> Vec<u8> {
    let mut key = prefix(department);
    key.push(number(verdict));
    key.extend_from_slice(month.as_bytes());
    key
}

/// Key of a decision: a department's with one verdict are one range, by day.
pub fn decision_key(
    department: &str,
    verdict: Verdict,
    decided_on: &str,
    record_id: &str,
) -> Vec<u8> {
    let mut key = decisions_of(department, verdict, decided_on);
    key.push(0);
    key.extend_from_slice(record_id.as_bytes());
    key
}

/// First bytes of the keys of a department's counts, in a month or all; of all
/// departments, if none is named.
pub fn counts_of(department: &str, month: &str) -> Vec<u8> {
    if department.is_empty() {
        return Vec::new();
    }
    let mut key = prefix(department);
    key.extend_from_slice(month.as_bytes());
    key
}

/// What needs no check any longer is in no view.
fn is_shown(decision: &pb::Decision) -> bool {
    decision.verdict() != Verdict::NotNeeded
}

fn count_of(decision: &pb::Decision) -> pb::DecisionCount {
    // A day is yyyy-mm-dd, as collection accepted it.
    let month = decision.decided_on.get(..7).unwrap_or_default();
    pb::DecisionCount {
        department: decision.department.clone(),
        month: month.to_owned(),
        kind: decision.kind.clone(),
        verdict: decision.verdict,
        count: 0,
    }
}

fn decision_row(shard: Shard, decision: &pb::Decision) -> RowKey {
    let key = decision_key(
        &decision.department,
        decision.verdict(),
        &decision.decided_on,
        &decision.record_id,
    );
    row(view::DECISION, shard, &key)
}

fn count_row(shard: Shard, count: &pb::DecisionCount) -> RowKey {
    let mut key = counts_of(&count.department, &count.month);
    key.push(0);
    key.extend(prefix(&count.kind));
    key.push(number(count.verdict()));
    row(view::DECISION_COUNT, shard, &key)
}

fn number(verdict: Verdict) -> u8 {
    u8::try_from(i32::from(verdict)).expect("there are fewer than 256 verdicts")
}
