//! Parked subjects: events that could not be applied, and those behind them.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::progress::PAUSED_VIEW;
use crate::append::{RowKey, ViewWrite};
use crate::shard::Shard;
use crate::store::{EventStore, StoreError, prefix_end};

/// The view in which every consumer keeps its parked events.
pub const PARKED_VIEW: &str = "parked";

/// The view in which it is kept that a consumer's parked events have changed, for
/// other processes: a row per consumer and shard, which is another one each time.
pub const PARKED_CHANGES_VIEW: &str = "parked.changes";

/// Bytes of a position in a key.
const POSITION: usize = size_of::<u64>();

/// The place of what holds a subject without an event, after all of its events.
pub(super) const HELD: u64 = u64::MAX;

/// A limit that is none.
pub(super) const ALL: usize = usize::MAX >> 1;

/// The consumer that a row belongs to, where its view is one that all consumers of a
/// store share; nothing where the view has an owner.
pub fn consumer_of_row<'a>(view: &str, key: &'a [u8]) -> Option<&'a str> {
    let name = match view {
        PARKED_VIEW => key.split(|byte| *byte == 0).next()?,
        PARKED_CHANGES_VIEW | PAUSED_VIEW => key,
        _ => return None,
    };
    std::str::from_utf8(name).ok()
}

/// An event that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Its subject.
    pub subject: String,
    /// Its position in the source; the greatest number where no event of it waits, but
    /// somebody has to decide before others are applied.
    pub position: u64,
    /// Why, or that it waits behind another.
    pub reason: String,
}

/// Key: consumer, subject, position; so that one subject's events are in order.
fn key(consumer: &str, subject: &str, position: u64) -> Bytes {
    let mut key = prefix(consumer);
    key.extend_from_slice(subject.as_bytes());
    key.push(0);
    key.extend_from_slice(&position.to_be_bytes());
    key.into()
}

fn prefix(consumer: &str) -> Vec<u8> {
    let mut prefix = consumer.as_bytes().to_vec();
    prefix.push(0);
    prefix
}

/// Parks an event.
pub(super) fn park(consumer: &str, shard: Shard, event: &ParkedEvent) -> ViewWrite {
    let row = RowKey {
        view: PARKED_VIEW,
        shard,
        key: key(consumer, &event.subject, event.position),
    };
    ViewWrite {
        row,
        value: Some(Bytes::copy_from_slice(event.reason.as_bytes())),
    }
}

/// Takes a parked event out.
pub(super) fn unpark(consumer: &str, shard: Shard, event: &ParkedEvent) -> ViewWrite {
    ViewWrite {
        value: None,
        ..park(consumer, shard, event)
    }
}

/// Where it is kept that parked events have changed.
pub(super) fn changes_row(consumer: &str, shard: Shard) -> RowKey {
    RowKey {
        view: PARKED_CHANGES_VIEW,
        shard,
        key: Bytes::copy_from_slice(consumer.as_bytes()),
    }
}

/// Says that parked events have changed.
pub(super) fn changed(consumer: &str, shard: Shard, epoch: u64) -> ViewWrite {
    // One process at a time has an epoch, and counts on while it lives.
    static CHANGES: AtomicU64 = AtomicU64::new(0);
    let change = CHANGES.fetch_add(1, Ordering::Relaxed);
    let mut value = epoch.to_be_bytes().to_vec();
    value.extend_from_slice(&change.to_be_bytes());
    ViewWrite {
        row: changes_row(consumer, shard),
        value: Some(value.into()),
    }
}

/// All parked events of a consumer on a shard, by subject and position.
///
/// # Errors
///
/// [`StoreError`]: retry.
pub(super) async fn load(
    store: &dyn EventStore,
    consumer: &str,
    shard: Shard,
) -> Result<Vec<ParkedEvent>, StoreError> {
    let prefix = prefix(consumer);
    let end = prefix_end(&prefix);
    scan(store, consumer, shard, &prefix, end, ALL).await
}

/// Parked events of a subject from a position on, in order.
///
/// # Errors
///
/// [`StoreError`]: retry.
pub(super) async fn of_subject(
    store: &dyn EventStore,
    consumer: &str,
    shard: Shard,
    subject: &str,
    from: u64,
    limit: usize,
) -> Result<Vec<ParkedEvent>, StoreError> {
    let from = key(consumer, subject, from);
    // Up to the position: no other subject has these bytes before it.
    let end = prefix_end(&from[..from.len() - POSITION]);
    scan(store, consumer, shard, &from, end, limit).await
}

async fn scan(
    store: &dyn EventStore,
    consumer: &str,
    shard: Shard,
    from: &[u8],
    end: Option<Vec<u8>>,
    limit: usize,
) -> Result<Vec<ParkedEvent>, StoreError> {
    let rows = store
        .scan(PARKED_VIEW, shard, from, end.as_deref(), limit)
        .await?;
    Ok(rows
        .iter()
        .filter_map(|(key, reason)| parse(consumer, key, reason))
        .collect())
}

/// Reads a row of the view back, if it is this consumer's.
pub(super) fn parse(consumer: &str, key: &[u8], reason: &[u8]) -> Option<ParkedEvent> {
    let rest = key.strip_prefix(prefix(consumer).as_slice())?;
    let (subject, position) = rest.split_at_checked(rest.len().checked_sub(9)?)?;
    Some(ParkedEvent {
        subject: String::from_utf8(subject.to_vec()).ok()?,
        position: u64::from_be_bytes(position[1..].try_into().ok()?),
        reason: String::from_utf8_lossy(reason).into_owned(),
    })
}
