//! Applies a batch of records: projection, effects, parking.

use super::parked::ParkedEvent;
use super::runner::{Applied, Halt, Runner};
use super::{Projection, ReactError, Stopped, ViewRows};
use crate::event::{Recorded, StoredRecord};
use crate::ids::Cause;
use crate::store::{EventStore, StoreError};

impl Runner {
    pub(super) async fn apply(&mut self, records: &[StoredRecord]) -> Result<Applied, Halt> {
        let consumer = self.consumer.clone();
        let mut applied = Applied {
            next: self.checkpoint.next,
            last: None,
            writes: Vec::new(),
            parked: Vec::new(),
            halt: None,
        };
        let mut events: Vec<Recorded> = Vec::with_capacity(records.len());
        for record in records {
            let expected = self.checkpoint.next + events.len() as u64;
            if record.position != expected {
                applied.halt = Some(Halt::Stop(Stopped {
                    reason: "GAP",
                    message: format!(
                        "{}/{} gives position {} where {expected} should be, and the log lacks it; \
                         run `tally verify`",
                        consumer.log, self.shard, record.position
                    ),
                }));
                break;
            }
            match Recorded::decode(consumer.log, record) {
                Ok(event) => {
                    self.verify_same_log(events.last(), &event).await?;
                    events.push(event);
                }
                Err(error) => {
                    applied.halt = Some(Halt::Stop(Stopped {
                        reason: "DECODE",
                        message: error.to_string(),
                    }));
                    break;
                }
            }
        }
        // Left empty where the batch fails: what it read is then read again.
        let mut rows = std::mem::take(&mut self.rows);
        load_rows(&*consumer.store, &*consumer.projection, &events, &mut rows).await?;
        for event in &events {
            if !consumer.projection.knows(&event.envelope.event_type) {
                applied.halt = Some(Halt::Stop(Stopped {
                    reason: "UNKNOWN_EVENT_TYPE",
                    message: format!(
                        "{}/{}/{} is a {}, which this version does not know; upgrade this role",
                        consumer.log, self.shard, event.position, event.envelope.event_type
                    ),
                }));
                break;
            }
            if let Err(halt) = self.handle(event, &mut rows, &mut applied).await {
                applied.halt = Some(halt);
                break;
            }
            applied.next = event.position + 1;
            applied.last = Some((event.log_id, event.leaf));
        }
        applied.writes = rows.take_writes();
        self.rows = rows;
        Ok(applied)
    }

    /// Applies one event, or parks it.
    async fn handle(
        &mut self,
        event: &Recorded,
        rows: &mut ViewRows,
        applied: &mut Applied,
    ) -> Result<(), Halt> {
        let subject = &event.envelope.subject;
        if self.parked.contains_key(subject) {
            self.park(
                event,
                "waits behind an earlier event of its subject".to_owned(),
                applied,
            );
            return Ok(());
        }
        let poison = match self.try_event(event, rows).await {
            Ok(()) => return Ok(()),
            Err(ReactError::Retry { reason }) => return Err(Halt::Retry(reason)),
            Err(ReactError::Poison(poison)) => poison,
        };
        if subject.is_empty() {
            return Err(Halt::Stop(Stopped {
                reason: "POISON_WITHOUT_SUBJECT",
                message: format!(
                    "{}/{}/{} ({}) is about no subject and cannot be applied: {poison}",
                    self.consumer.log, self.shard, event.position, event.envelope.event_type
                ),
            }));
        }
        self.newly_parked.push_back(event.position);
        // The window ends with this record.
        let window = self.consumer.options.parked_window;
        self.newly_parked
            .retain(|position| event.position - *position < window);
        if self.newly_parked.len() > self.consumer.options.parked_max {
            return Err(Halt::Stop(Stopped {
                reason: "TOO_MANY_PARKED",
                message: format!(
                    "more than {} subjects were newly parked within {} records, the last at {}/{}/{}: {poison}",
                    self.consumer.options.parked_max,
                    self.consumer.options.parked_window,
                    self.consumer.log,
                    self.shard,
                    event.position
                ),
            }));
        }
        self.park(event, poison.reason, applied);
        Ok(())
    }

    fn park(&mut self, event: &Recorded, reason: String, applied: &mut Applied) {
        tracing::warn!(
            consumer = self.consumer.name,
            shard = self.shard.0,
            position = event.position,
            reason,
            "event parked"
        );
        *self
            .parked
            .entry(event.envelope.subject.clone())
            .or_default() += 1;
        applied.parked.push(ParkedEvent {
            subject: event.envelope.subject.clone(),
            position: event.position,
            reason,
        });
    }

    pub(super) async fn try_event(
        &self,
        event: &Recorded,
        rows: &mut ViewRows,
    ) -> Result<(), ReactError> {
        if let Err(poison) = self.consumer.projection.apply(event, rows) {
            rows.undo();
            return Err(poison.into());
        }
        if let Some(process) = &self.consumer.process {
            let cause = Cause {
                at: event.recorded_at,
                log: event.log,
                shard: event.shard,
                position: event.position,
                handler: self.consumer.name,
            };
            if let Err(error) = process.react(event, rows, cause).await {
                rows.undo();
                return Err(error);
            }
        }
        rows.keep();
        Ok(())
    }
}

pub(super) async fn load_rows(
    store: &dyn EventStore,
    projection: &dyn Projection,
    events: &[Recorded],
    rows: &mut ViewRows,
) -> Result<(), StoreError> {
    // An event whose reads cannot be told is poison; `apply` will say so.
    let wanted = events
        .iter()
        .flat_map(|event| projection.reads(event).unwrap_or_default());
    let unknown = rows.unknown(wanted);
    if unknown.is_empty() {
        return Ok(());
    }
    let values = store.rows(&unknown).await?;
    rows.insert_stored(unknown.into_iter().zip(values));
    Ok(())
}
