//! Rebuilds the views of a consumer from its log and compares them with those
//! that are stored.
//!
//! The stored rows and the checkpoints are one moment of the store; the log is
//! folded up to exactly those checkpoints, one shard at a time, without the
//! events that are parked: those have not reached the views either.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use bytes::Bytes;
use futures::{Stream, stream};
use tally_eventlog::append::{Checkpoint, RowKey};
use tally_eventlog::consumer::{Fold, PARKED_VIEW};
use tally_eventlog::event::Recorded;
use tally_eventlog::shard::Shard;
use tally_proto::tally::audit::v1 as pb;
use tally_rpc::Fault;
use tally_service::store_fault;
use tonic::Status;

use crate::RebuildTarget;
use tally_service::reply::hex;

/// Records read at a time.
const BATCH: u64 = 1_000;

/// Differences that are named per consumer; all are counted.
const DIFFERENCES_MAX: usize = 100;

/// Rebuilds target after target.
pub(crate) struct Rebuild {
    targets: VecDeque<RebuildTarget>,
}

impl Rebuild {
    /// A rebuild of these targets.
    pub(crate) fn new(targets: &[RebuildTarget]) -> Self {
        Self {
            targets: targets.iter().cloned().collect(),
        }
    }

    /// The results, each when it is done.
    pub(crate) fn into_stream(
        self,
    ) -> impl Stream<Item = Result<pb::RebuildResponse, Status>> + Send {
        stream::try_unfold(self, |mut rebuild| async move {
            let Some(target) = rebuild.targets.pop_front() else {
                return Ok(None);
            };
            let result = target.rebuild().await?;
            Ok(Some((result, rebuild)))
        })
    }
}

/// The stored rows of one shard, in order.
type Rows = Vec<(RowKey, Bytes)>;

/// What a target's store holds at one moment, by shard.
#[derive(Default)]
struct Stored {
    checkpoints: HashMap<Shard, Checkpoint>,
    rows: HashMap<Shard, Rows>,
    parked: HashMap<Shard, HashSet<u64>>,
}

impl RebuildTarget {
    async fn rebuild(&self) -> Result<pb::RebuildResponse, Fault> {
        let mut stored = self.stored().await?;
        let mut result = pb::RebuildResponse {
            consumer: self.consumer.to_owned(),
            source: self.log.0.to_owned(),
            ..Default::default()
        };
        for shard in self.store.shards().all() {
            let parked = stored.parked.remove(&shard).unwrap_or_default();
            let rebuilt = match stored.checkpoints.get(&shard) {
                Some(checkpoint) => {
                    self.fold(shard, checkpoint, &parked, &mut result.records)
                        .await?
                }
                None => BTreeMap::new(),
            };
            compare(
                stored.rows.remove(&shard).unwrap_or_default(),
                rebuilt,
                &mut result,
            );
        }
        Ok(result)
    }

    async fn stored(&self) -> Result<Stored, Fault> {
        let mut views = self.projection.views().to_vec();
        views.push(PARKED_VIEW);
        let snapshot = self
            .store
            .snapshot(self.consumer, &views)
            .await
            .map_err(store_fault)?;
        let mut stored = Stored {
            checkpoints: snapshot.checkpoints.into_iter().collect(),
            ..Default::default()
        };
        for (row, value) in snapshot.rows {
            if row.view != PARKED_VIEW {
                stored.rows.entry(row.shard).or_default().push((row, value));
            } else if let Some(position) = parked_position(self.consumer, &row.key) {
                stored.parked.entry(row.shard).or_default().insert(position);
            }
        }
        Ok(stored)
    }

    /// Folds a shard of the source up to a checkpoint.
    async fn fold(
        &self,
        shard: Shard,
        checkpoint: &Checkpoint,
        parked: &HashSet<u64>,
        applied: &mut u64,
    ) -> Result<BTreeMap<RowKey, Bytes>, Fault> {
        let mut fold = Fold::new(&*self.projection);
        let mut next = 0;
        while next < checkpoint.next {
            let limit = usize::try_from((checkpoint.next - next).min(BATCH))
                .expect("a batch fits in memory");
            let records = self
                .source
                .read(self.log, shard, next, limit)
                .await
                .map_err(store_fault)?;
            let Some(last) = records.last() else {
                return Err(self.diverged(shard, checkpoint));
            };
            if last.position + 1 == checkpoint.next && last.leaf != checkpoint.leaf {
                return Err(self.diverged(shard, checkpoint));
            }
            next = last.position + 1;
            for stored in records
                .iter()
                .filter(|stored| !parked.contains(&stored.position))
            {
                let event = Recorded::decode(self.log, stored).map_err(Fault::internal)?;
                match fold.apply(&event) {
                    Ok(()) => *applied += 1,
                    // The views will show what is missing because of it.
                    Err(poison) => tracing::warn!(
                        consumer = self.consumer,
                        shard = shard.0,
                        position = stored.position,
                        reason = %poison,
                        "event cannot be applied in a rebuild and is not parked"
                    ),
                }
            }
        }
        Ok(fold.into_rows())
    }

    fn diverged(&self, shard: Shard, checkpoint: &Checkpoint) -> Fault {
        Fault::diverged(
            format!(
                "{} at {}/{shard}/{}",
                checkpoint.log_id, self.log, checkpoint.next
            ),
            format!("without that record, as `{}` knows it", self.consumer),
            "tally verify",
        )
    }
}

/// The position in a key of the view of parked events, if it is this
/// consumer's: name, 0, subject, 0, position as 8 bytes.
fn parked_position(consumer: &str, key: &[u8]) -> Option<u64> {
    let rest = key.strip_prefix(consumer.as_bytes())?.strip_prefix(&[0])?;
    Some(u64::from_be_bytes(*rest.last_chunk()?))
}

/// Compares ordered rows, as two sorted lists are merged.
fn compare(stored: Rows, rebuilt: BTreeMap<RowKey, Bytes>, result: &mut pb::RebuildResponse) {
    let mut stored = stored.into_iter().peekable();
    let mut rebuilt = rebuilt.into_iter().peekable();
    loop {
        let order = match (stored.peek(), rebuilt.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((stored, _)), Some((rebuilt, _))) => stored.cmp(rebuilt),
        };
        result.rows += 1;
        let left = if order.is_le() { stored.next() } else { None };
        let right = if order.is_ge() { rebuilt.next() } else { None };
        let (row, kind) = match (left, right) {
            (Some((_, left)), Some((_, right))) if left == right => continue,
            (Some((row, _)), Some(_)) => (row, "different"),
            (Some((row, _)), None) => (row, "surplus"),
            (None, Some((row, _))) => (row, "missing"),
            (None, None) => continue,
        };
        result.differences_total += 1;
        if result.differences.len() < DIFFERENCES_MAX {
            result.differences.push(pb::ViewDifference {
                view: row.view.to_owned(),
                shard: u32::from(row.shard.0),
                key: hex(&row.key),
                kind: kind.to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests;
