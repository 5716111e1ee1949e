//! The views of this role.

mod access;
mod corrections;
mod decisions;
mod lists;
mod own;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use jiff::Timestamp;
use tally_eventlog::append::RowKey;
use tally_eventlog::shard::Shard;

pub use access::{AccessProjection, Told, checks_since, seen_in_force};
pub use corrections::{Side, correction_row, corrections_of};
pub use decisions::{counts_of, decision_key, decisions_of};
pub use lists::ListsProjection;
pub use own::{SelfProjection, entry_row};

use crate::view;

/// Row of a subject.
pub fn subject_row(shard: Shard, subject: &str) -> RowKey {
    row(view::SUBJECT, shard, subject.as_bytes())
}

/// Row of a mailbox item.
pub fn mailbox_row(shard: Shard, department: &str, number: u64) -> RowKey {
    row(view::MAILBOX, shard, &mailbox_key(department, number))
}

/// Key of a mailbox item; a department's items are one range, in order.
pub fn mailbox_key(department: &str, number: u64) -> Vec<u8> {
    let mut key = prefix(department);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// First bytes of the keys that begin with `part`.
pub fn prefix(part: &str) -> Vec<u8> {
    let mut key = part.as_bytes().to_vec();
    key.push(0);
    key
}

/// A time as part of a key: in order, in 16 bytes.
pub fn time_key(at: Timestamp) -> [u8; 16] {
    // Turned, so that times before 1970 come first.
    (at.as_nanosecond().cast_unsigned() ^ (1 << 127)).to_be_bytes()
}

fn row(view: &'static str, shard: Shard, key: &[u8]) -> RowKey {
    RowKey {
        view,
        shard,
        key: Bytes::copy_from_slice(key),
    }
}
