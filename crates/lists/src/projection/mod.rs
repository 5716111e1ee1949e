//! The views of lists. Pure: the same events make the same rows.

pub mod entries;
pub mod grounds;
#[cfg(test)]
mod tests;

pub use entries::{EntriesProjection, timer_key};
pub use grounds::GroundsProjection;

use tally_eventlog::append::RowKey;
use tally_eventlog::shard::Shard;

/// Entries, by id.
pub const ENTRY_VIEW: &str = "lists.entry";
/// Entries and linked identifiers of a subject.
pub const SUBJECT_VIEW: &str = "lists.subject";
/// Entries whose term ends, by due date.
pub const TIMER_VIEW: &str = "lists.timer";
/// Entries with a provisional last day for a representation, by that day.
pub const PROVISIONAL_VIEW: &str = "lists.provisional";
/// Records that may ground a listing, by id.
pub const GROUND_VIEW: &str = "lists.ground";

/// Address of a row whose key is a text.
pub fn row(view: &'static str, shard: Shard, key: &str) -> RowKey {
    RowKey {
        view,
        shard,
        key: key.as_bytes().to_vec().into(),
    }
}
