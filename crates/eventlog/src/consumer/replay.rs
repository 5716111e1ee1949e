//! Tries parked events again.

use super::apply::load_rows;
use super::parked::{self, ParkedEvent};
use super::runner::{Halt, Runner};
use super::{Poison, ViewRows};
use crate::event::Recorded;
use crate::store::StoreError;

impl Runner {
    /// Tries the parked events of a subject again, in order.
    pub(super) async fn replay(&mut self, subject: &str) -> Result<usize, Poison> {
        let waiting = parked::load(&*self.consumer.store, self.consumer.name, self.shard)
            .await
            .map_err(|error| Poison::new(error.to_string()))?;
        let waiting = waiting.into_iter().filter(|event| event.subject == subject);
        let waiting: Vec<ParkedEvent> = waiting.collect();
        let mut done = 0;
        let mut outcome = Ok(());
        for event in &waiting {
            outcome = self.replay_one(event).await;
            if outcome.is_err() {
                break;
            }
            done += 1;
        }
        match waiting.len() - done {
            0 => self.parked.remove(subject),
            left => self.parked.insert(subject.to_owned(), left),
        };
        // What was replayed has changed rows behind those kept here.
        self.rows = ViewRows::default();
        let parked = self.parked.clone();
        self.progress
            .update(self.shard, |state| state.parked = parked);
        outcome.map(|()| done)
    }

    async fn replay_one(&mut self, parked: &ParkedEvent) -> Result<(), Poison> {
        let consumer = self.consumer.clone();
        let unreadable = |error: StoreError| Poison::new(error.to_string());
        let source = &consumer.source;
        let stored = source
            .read(consumer.log, self.shard, parked.position, 1)
            .await
            .map_err(unreadable)?;
        let stored = stored
            .first()
            .ok_or_else(|| Poison::new("the log lacks the parked event"))?;
        let event = Recorded::decode(consumer.log, stored)?;
        let mut rows = ViewRows::default();
        load_rows(
            &*consumer.store,
            &*consumer.projection,
            std::slice::from_ref(&event),
            &mut rows,
        )
        .await
        .map_err(unreadable)?;
        self.try_event(&event, &mut rows)
            .await
            .map_err(|error| Poison::new(error.to_string()))?;
        let mut views = rows.take_writes();
        views.push(parked::unpark(consumer.name, self.shard, parked));
        match self.write(self.checkpoint.clone(), views).await {
            Ok(()) => Ok(()),
            Err(Halt::Retry(reason)) => Err(Poison::new(reason)),
            Err(Halt::Stop(stopped)) => Err(Poison::new(stopped.message)),
        }
    }
}
