//! Tries parked events again.

use super::apply::load_rows;
use super::parked::{self, ParkedEvent};
use super::runner::{Halt, Runner};
use super::{Poison, ReactError, Replayed, ViewRows};
use crate::append::ViewWrite;
use crate::event::Recorded;

impl Runner {
    /// Tries the parked events of a subject again, in order.
    pub(super) async fn replay(&mut self, subject: &str) -> Replayed {
        let (name, shard) = (self.consumer.name, self.shard);
        let store = self.consumer.store.clone();
        let waiting = parked::of_subject(&*store, name, shard, subject, 0, parked::ALL).await;
        let mut replayed = Replayed::default();
        match waiting {
            Ok(waiting) => self.replay_all(&waiting, &mut replayed).await,
            Err(error) => replayed.stopped = Some((0, error.to_string())),
        }
        // What was replayed has changed rows behind those kept here.
        self.rows = ViewRows::default();
        let parked = self.parked.clone();
        replayed.left = parked.get(subject).copied().unwrap_or_default();
        self.progress
            .update(self.shard, |state| state.parked = parked);
        replayed
    }

    async fn replay_all(&mut self, waiting: &[ParkedEvent], replayed: &mut Replayed) {
        for event in waiting {
            let Err(error) = self.replay_one(event).await else {
                replayed.applied += 1;
                continue;
            };
            let reason = error.to_string();
            if matches!(error, ReactError::Poison(_)) && reason != event.reason {
                self.write_down(event, &reason).await;
            }
            replayed.stopped = Some((event.position, reason));
            return;
        }
    }

    async fn replay_one(&mut self, parked: &ParkedEvent) -> Result<(), ReactError> {
        let consumer = self.consumer.clone();
        if parked.position == parked::HELD {
            // Whoever asks for it says that it was decided.
            let views = vec![parked::unpark(consumer.name, self.shard, parked)];
            self.write_beside(views).await?;
            self.one_less(&parked.subject);
            return Ok(());
        }
        let stored = consumer
            .source
            .read(consumer.log, self.shard, parked.position, 1)
            .await?;
        let stored = stored
            .first()
            .ok_or_else(|| Poison::new("the log lacks the parked event"))?;
        let event = Recorded::decode(consumer.log, stored).map_err(Poison::from)?;
        let mut rows = ViewRows::default();
        load_rows(
            &*consumer.store,
            &*consumer.projection,
            std::slice::from_ref(&event),
            &mut rows,
        )
        .await?;
        self.try_event(&event, &mut rows).await?;
        let mut views = rows.take_writes();
        views.push(parked::unpark(consumer.name, self.shard, parked));
        self.write_beside(views).await?;
        self.one_less(&parked.subject);
        Ok(())
    }

    /// One that waited behind another may now be the one that cannot be applied.
    async fn write_down(&mut self, event: &ParkedEvent, reason: &str) {
        let event = ParkedEvent {
            reason: reason.to_owned(),
            ..event.clone()
        };
        let noted = parked::park(self.consumer.name, self.shard, &event);
        // Whoever asked is told the reason in any case.
        let _ = self.write_beside(vec![noted]).await;
    }

    /// Writes rows and leaves the checkpoint where it is. If that fails, what is
    /// parked has been loaded again.
    async fn write_beside(&mut self, mut views: Vec<ViewWrite>) -> Result<(), ReactError> {
        let (name, shard) = (self.consumer.name, self.shard);
        views.push(parked::changed(name, shard, self.epoch));
        let written = self.write(self.checkpoint.clone(), views).await;
        written.map_err(|halt| ReactError::Retry {
            reason: match halt {
                Halt::Retry(reason) => reason,
                Halt::Stop(stopped) => stopped.message,
            },
        })
    }

    fn one_less(&mut self, subject: &str) {
        if let Some(left) = self.parked.get_mut(subject) {
            *left -= 1;
            if *left == 0 {
                self.parked.remove(subject);
            }
        }
    }
}
