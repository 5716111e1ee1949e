//! The last day on which a subject can answer.

use tally_domain::calendar::Deadline;
use tally_domain::date::LegalDate;
use tally_service::Policy;

use crate::entry::Entry;

/// That day for a notice served on `served_on`, counted by the policy's calendar.
///
/// It counts from the nomination at the earliest: a notice dated before it must
/// not shorten the time to answer.
pub fn representation_until(
    policy: &Policy,
    entry: &Entry,
    served_on: LegalDate,
    working_days: u32,
) -> Deadline {
    let nominated_on = entry.nominated_at.map(|at| policy.today(at));
    let from = nominated_on.map_or(served_on, |nominated| nominated.max(served_on));
    policy.deadline(from, working_days)
}
