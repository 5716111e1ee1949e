//! What the logs knew at a time.

use std::sync::Arc;

use jiff::Timestamp;
use tally_eventlog::append::Append;
use tally_eventlog::event::Recorded;
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::{EventStore, LogSource};
use tally_rpc::Fault;
use tally_service::log_service::{Logs, find};
use tally_service::{Catalogue, Policy, logs, store_fault};

/// Records read at a time.
const BATCH: usize = 1_000;

/// Calls `each` for every record of a shard that was recorded by `known_at`,
/// in order. No record is older than the one before it, so that the first
/// younger one ends the reading.
///
/// # Errors
///
/// The log cannot be read: retry; or a record cannot be: verify the log; or
/// what `each` returns.
pub(crate) async fn each_known(
    source: &dyn LogSource,
    log: LogName,
    shard: Shard,
    known_at: Timestamp,
    mut each: impl FnMut(&Recorded) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut next = 0;
    loop {
        let records = source
            .read(log, shard, next, BATCH)
            .await
            .map_err(store_fault)?;
        for stored in &records {
            let event = Recorded::decode(log, stored).map_err(Fault::internal)?;
            if event.recorded_at > known_at {
                return Ok(());
            }
            each(&event)?;
            next = stored.position + 1;
        }
        if records.len() < BATCH {
            return Ok(());
        }
    }
}

/// The policy that was active at that time; nothing before the first.
///
/// # Errors
///
/// As [`each_known`].
pub(crate) async fn policy(
    sources: &Logs,
    known_at: Timestamp,
) -> Result<Option<Arc<Policy>>, Fault> {
    let (log, source) = find(sources, logs::CATALOG.0)?;
    let mut events = Vec::new();
    for shard in source.shards().all() {
        let keep = |event: &Recorded| {
            events.push(event.clone());
            Ok(())
        };
        each_known(&**source, *log, shard, known_at, keep).await?;
    }
    // Packs may be on several shards: the one that was activated last is active.
    events.sort_by_key(|event| (event.recorded_at, event.shard, event.position));
    let catalogue = Catalogue::default();
    for event in &events {
        // A pack that could not be applied then was not active then either.
        if let Err(reason) = catalogue.apply(event) {
            tracing::warn!(
                shard = event.shard.0,
                position = event.position,
                reason,
                "pack not applied"
            );
        }
    }
    Ok(catalogue.try_active())
}

/// True if no record can appear any more in the log of lists that was recorded
/// by `known_at`. Judge this first and read the log after it.
///
/// Either every shard has a younger record: recorded times never go back. Or
/// `known_at` has passed on the clock that gives out recorded times, and nothing
/// that got its time before is still on its way: an empty append goes through
/// the queue behind all of that, and whatever comes after it gets a time of now
/// or later. The second holds only where `writer` is the one store that writes
/// that log.
///
/// # Errors
///
/// The heads cannot be read: retry.
pub(crate) async fn is_closed(
    sources: &Logs,
    writer: Option<&dyn EventStore>,
    known_at: Timestamp,
    now: Timestamp,
) -> Result<bool, Fault> {
    let (log, source) = find(sources, logs::LISTS.0)?;
    let heads = source.heads(*log).await.map_err(store_fault)?;
    if heads.iter().all(|head| head.recorded_at > known_at) {
        return Ok(true);
    }
    let Some(writer) = writer.filter(|_| known_at < now) else {
        return Ok(false);
    };
    let behind_all = writer.append(vec![Append::to(*log, Shard(0))]).await;
    // A queue that does not answer leaves it open whether something is on its way.
    Ok(behind_all.iter().all(Result::is_ok))
}
