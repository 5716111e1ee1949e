//! Cases on consumers: effects that fail, and a log that is no longer what was read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use tokio::sync::watch;

use super::bench::{Bench, LOG, OTHER};
use super::reader::{Effects, FAN_OUT, SHARD, Start, about, notes, put};
use crate::consumer::{Lost, ProcessManager, ReactError, Settled, ViewRows};
use crate::event::{Recorded, StoredRecord};
use crate::ids::Cause;
use crate::sequence::Head;
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::{EventStore, FormerId, LogSource, StoreError};

/// Effects that cannot be applied a few times.
struct Failing {
    effects: Arc<Effects>,
    left: AtomicU32,
}

#[async_trait]
impl ProcessManager for Failing {
    async fn react(
        &self,
        event: &Recorded,
        rows: &ViewRows,
        cause: Cause,
    ) -> Result<(), ReactError> {
        let fails = |left: u32| left.checked_sub(1);
        let failed = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails);
        if failed.is_ok() {
            return Err(ReactError::Retry {
                reason: "injected".to_owned(),
            });
        }
        self.effects.react(event, rows, cause).await
    }

    async fn settle(&self, _: &Lost, _: bool) -> Result<Vec<Settled>, ReactError> {
        Ok(Vec::new())
    }
}

pub(super) async fn a_failed_effect_holds_the_checkpoint(bench: Bench) {
    put(&bench, [about("a", "1"), about("a", "2")]).await;
    let effects = Effects::all(bench.store());
    let process = Arc::new(Failing {
        effects: effects.clone(),
        left: AtomicU32::new(3),
    });
    let reader = Start {
        process: Some(process),
        ..Start::on(&bench)
    }
    .reader(&bench);
    reader.reaches(2).await;
    assert_eq!(
        effects.calls.load(Ordering::SeqCst),
        2,
        "each cause had its effects before the checkpoint passed it"
    );
    assert_eq!(bench.total(OTHER).await, u64::from(2 * FAN_OUT));
    assert_eq!(notes(&bench, "a").await, "1;2;", "and is applied once");
    reader.end().await;
}

/// A log of the same id, with another last record in the same place.
struct Rewritten(Arc<dyn EventStore>);

#[async_trait]
impl LogSource for Rewritten {
    fn shards(&self) -> ShardCount {
        self.0.shards()
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let mut records = self.0.read(log, shard, from, limit).await?;
        for record in &mut records {
            record.leaf[0] ^= 1;
        }
        Ok(records)
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        self.0.heads(log).await
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        self.0.former_ids(log).await
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.0.watch(log, shard)
    }
}

pub(super) async fn a_log_that_was_rewritten_stops_the_reader(bench: Bench) {
    put(&bench, [about("a", "1"), about("a", "2")]).await;
    let reader = Start::on(&bench).reader(&bench);
    reader.reaches(2).await;
    reader.end().await;
    let before = bench.checkpoint(SHARD).await;
    let source = Arc::new(Rewritten(bench.store().clone()));
    let reader = Start {
        source,
        ..Start::on(&bench)
    }
    .reader(&bench);
    assert_eq!(reader.stops().await, "LOG_DIVERGED");
    reader.end().await;
    assert_eq!(bench.checkpoint(SHARD).await, before);
    assert_eq!(bench.total(LOG).await, 2);
}
