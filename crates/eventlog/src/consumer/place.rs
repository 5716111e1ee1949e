//! Where a reader stands in its source, whether the source still is the log that
//! it has read, and how the place is written down.

use super::Stopped;
use super::reconcile::DIVERGED;
use super::runner::{Halt, Runner};
use crate::append::{Append, AppendError, Checkpoint, CheckpointMove, ViewWrite};
use crate::event::Recorded;
use crate::store::{Following, has_place};

impl Runner {
    /// Verifies the place of the checkpoint, and follows the source from there.
    pub(super) async fn take_place(&mut self) -> Result<(), Halt> {
        // Counted first: what is doubted meanwhile is verified again.
        let doubts = self.doubts();
        self.verify_place(&self.checkpoint).await?;
        self.doubts_settled = doubts;
        if self.following.is_none() {
            let consumer = &self.consumer;
            let at = &self.checkpoint;
            let (source, log) = (&consumer.source, consumer.log);
            self.following = Following::begin(source, log, self.shard, at.next, at.hint);
        }
        Ok(())
    }

    /// Verifies the place again where the source has seen what a growing log
    /// does not show.
    pub(super) async fn settle_doubts(&mut self) -> Result<(), Halt> {
        let doubts = self.doubts();
        if doubts != self.doubts_settled {
            self.verify_place(&self.checkpoint).await?;
            self.doubts_settled = doubts;
        }
        Ok(())
    }

    /// Verifies that `event` comes after what was read before it, where it is of
    /// a log of another id: a restored log has a new one from there on.
    pub(super) async fn verify_same_log(
        &self,
        before: Option<&Recorded>,
        event: &Recorded,
    ) -> Result<(), Halt> {
        let before = match before {
            Some(before) => Checkpoint {
                next: before.position + 1,
                log_id: before.log_id,
                leaf: before.leaf,
                ..self.checkpoint.clone()
            },
            None => self.checkpoint.clone(),
        };
        if before.next == 0 || before.log_id == event.log_id {
            return Ok(());
        }
        self.verify_place(&before).await
    }

    fn doubts(&self) -> u64 {
        let consumer = &self.consumer;
        let remote = consumer.source.remote();
        remote.map_or(0, |remote| remote.doubts(consumer.log, self.shard))
    }

    /// Verifies that the owner's log has, where the place is, the record that was
    /// applied there. The leaf covers the record's bytes, and with them the log's
    /// id then: a log that was restored further on has another id since.
    async fn verify_place(&self, at: &Checkpoint) -> Result<(), Halt> {
        let (consumer, shard) = (&self.consumer, self.shard);
        let (source, log) = (&consumer.source, consumer.log);
        if has_place(&**source, log, shard, at.next, &at.leaf).await? {
            return Ok(());
        }
        let last = at.next - 1;
        let heads = source.heads(log).await?;
        let head = &heads[usize::from(shard.0)];
        Err(Halt::Stop(Stopped {
            reason: DIVERGED,
            message: format!(
                "{} has applied log {} up to {log}/{shard}/{last}; the log there is {} with {} \
                 records and has another record at that place, or none: it was restored or \
                 replaced; reconcile with `tally reconcile`",
                consumer.name,
                at.log_id,
                head.log_id,
                head.size(),
            ),
        }))
    }

    /// Writes the place down under this epoch, before anything is read to go on from.
    /// A former holder that still runs could else change rows behind those kept here,
    /// without the place having moved.
    pub(super) async fn fence_off(&self) -> Result<(), Halt> {
        let here = self.checkpoint.clone();
        let outcome = self.append(here, Vec::new()).await;
        outcome.map_err(|error| Halt::Retry(error.to_string()))
    }

    async fn append(&self, to: Checkpoint, views: Vec<ViewWrite>) -> Result<(), AppendError> {
        // The log of an append without events matters to nobody; views and
        // checkpoints belong to the store.
        let append = Append {
            checkpoint: Some(CheckpointMove {
                consumer: self.consumer.name,
                shard: self.shard,
                from: self.checkpoint.next,
                to,
            }),
            views,
            ..Append::to(self.consumer.log, self.shard)
        };
        let outcome = self.consumer.store.append(vec![append]).await.pop();
        outcome.expect("one result per append").map(|_| ())
    }

    pub(super) async fn write(
        &mut self,
        to: Checkpoint,
        views: Vec<ViewWrite>,
    ) -> Result<(), Halt> {
        match self.append(to.clone(), views).await {
            Ok(()) => {
                self.checkpoint = to;
                Ok(())
            }
            Err(AppendError::CheckpointMoved { .. }) => {
                // Either another holder has the shard, or an unknown outcome had
                // been applied after all: the stored checkpoint says which.
                Box::pin(self.start()).await?;
                Err(Halt::Retry("the checkpoint had moved".to_owned()))
            }
            Err(error) => {
                // What was parked in memory only must be parked again.
                Box::pin(self.start()).await?;
                Err(Halt::Retry(error.to_string()))
            }
        }
    }
}

pub(crate) fn fenced(epoch: u64) -> Stopped {
    Stopped {
        reason: "FENCED",
        message: format!(
            "the shard is held under epoch {epoch} by another process; this one is out of date"
        ),
    }
}
