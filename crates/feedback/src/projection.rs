//! Views of feedback: each one, the counts, and the days on which one becomes
//! overdue.
//!
//! What a row adds to the counts and to the timer is a function of its state
//! alone, so that an event changes them by the difference of before and after.

use bytes::Bytes;
use tally_domain::date::LegalDate;
use tally_eventlog::aggregate::Codec as _;
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, Projection, ViewRows};
use tally_eventlog::event::Recorded;
use tally_eventlog::shard::Shard;
use tally_proto::tally::feedback::v1 as pb;

use crate::codec::{EVENT_TYPES, known_from_row, known_to_row};
use crate::feedback::{About, Change, Event, Feedback, Known, Outcome, State};

/// View of each feedback.
pub const FEEDBACK_VIEW: &str = "feedback.feedback";
/// View of the counts.
pub const COUNT_VIEW: &str = "feedback.count";
/// View of the days on which one becomes overdue.
pub const TIMER_VIEW: &str = "feedback.timer";

/// Separates the parts of a key.
const SEPARATOR: u8 = 0;

/// The views of the own log.
#[derive(Debug)]
pub struct FeedbackProjection;

impl Projection for FeedbackProjection {
    fn views(&self) -> &'static [&'static str] {
        &[FEEDBACK_VIEW, COUNT_VIEW, TIMER_VIEW]
    }

    fn knows(&self, event_type: &str) -> bool {
        EVENT_TYPES.contains(&event_type)
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        let decoded = Feedback::decode(event)?;
        Ok(vec![
            feedback_row(event),
            count_row(event.shard, &decoded.about),
        ])
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        let decoded = Feedback::decode(event)?;
        let row = feedback_row(event);
        let before = rows
            .get::<pb::FeedbackRow>(&row)?
            .map(|row| {
                known_from_row(row).ok_or_else(|| Poison::new("the row of the feedback is damaged"))
            })
            .transpose()?;
        let after = after(before.as_ref(), &decoded)?;
        let directive_id = &event.envelope.stream_id;
        count(event.shard, before.as_ref(), &after, &decoded.change, rows)?;
        let (was_on, is_on) = (
            before.as_ref().and_then(Known::overdue_on),
            after.overdue_on(),
        );
        if was_on != is_on {
            if let Some(day) = was_on {
                rows.delete(timer_row(event.shard, day, directive_id));
            }
            if let Some(day) = is_on {
                let value = pb::TimerRow {
                    directive_id: directive_id.clone(),
                    subject: after.subject.clone(),
                    report_by: after.report_by.to_string(),
                };
                rows.put(timer_row(event.shard, day, directive_id), &value);
            }
        }
        rows.put(row, &known_to_row(directive_id, &after));
        Ok(())
    }
}

fn after(before: Option<&Known>, event: &Event) -> Result<Known, Poison> {
    match (before, &event.change) {
        (None, Change::Due(due)) => Ok(Known::due(event.about.clone(), due)),
        (Some(_), Change::Due(_)) => Err(Poison::new("a report is due twice on one directive")),
        (None, _) => Err(Poison::new("no report was due on this directive")),
        (Some(known), change) => {
            let mut known = known.clone();
            known.evolve(change);
            Ok(known)
        }
    }
}

fn count(
    shard: Shard,
    before: Option<&Known>,
    after: &Known,
    change: &Change,
    rows: &mut ViewRows,
) -> Result<(), Poison> {
    let key = count_row(shard, &after.about);
    let mut row = rows.get::<pb::CountRow>(&key)?.unwrap_or_default();
    let counts = row.count.get_or_insert_with(|| pb::FeedbackCount {
        department: after.about.department.clone(),
        month: after.about.month.clone(),
        measure: after.about.measure.clone(),
        ..Default::default()
    });
    row.initiator.clone_from(&after.about.initiator);
    let executed = |known: &Known| is_outcome(known, Outcome::Executed);
    let declined = |known: &Known| is_outcome(known, Outcome::Declined);
    let mut add = |field: fn(&mut pb::FeedbackCount) -> &mut u64,
                   holds: &dyn Fn(&Known) -> bool| {
        let field = field(counts);
        *field += u64::from(holds(after));
        *field -= u64::from(before.is_some_and(holds));
    };
    add(|counts| &mut counts.due, &|_| true);
    add(|counts| &mut counts.submitted, &|known| {
        known.reported.is_some()
    });
    add(|counts| &mut counts.executed, &executed);
    add(|counts| &mut counts.declined, &declined);
    add(|counts| &mut counts.accepted, &|known| {
        known.state == State::Accepted
    });
    add(|counts| &mut counts.escalated, &|known| known.overdue);
    add(|counts| &mut counts.closed, &|known| {
        known.state == State::Closed && known.reported.is_none()
    });
    // A report can be returned more than once; each return counts.
    counts.returned += u64::from(matches!(change, Change::Returned { .. }));
    rows.put(key, &row);
    Ok(())
}

fn is_outcome(known: &Known, outcome: Outcome) -> bool {
    known
        .reported
        .as_ref()
        .is_some_and(|reported| reported.outcome == outcome)
}

fn feedback_row(event: &Recorded) -> RowKey {
    let key = Bytes::copy_from_slice(event.envelope.stream_id.as_bytes());
    RowKey {
        view: FEEDBACK_VIEW,
        shard: event.shard,
        key,
    }
}

fn count_row(shard: Shard, about: &About) -> RowKey {
    let key = joined(&[
        &about.department,
        &about.month,
        &about.measure,
        &about.initiator,
    ]);
    RowKey {
        view: COUNT_VIEW,
        shard,
        key,
    }
}

fn timer_row(shard: Shard, day: LegalDate, directive_id: &str) -> RowKey {
    RowKey {
        view: TIMER_VIEW,
        shard,
        key: joined(&[&day.to_string(), directive_id]),
    }
}

/// Parts of a key, joined; no part contains the separator.
pub(crate) fn joined(parts: &[&str]) -> Bytes {
    let mut key = Vec::new();
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            key.push(SEPARATOR);
        }
        key.extend_from_slice(part.as_bytes());
    }
    key.into()
}

#[cfg(test)]
mod tests;
