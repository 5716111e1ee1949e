//! What follows from an accepted record that was handed in again: its row leaves
//! the quarantine; and once a row has left, what it said is erased.

use async_trait::async_trait;
use tally_domain::date::parse_legal_date;
use tally_eventlog::consumer::{Lost, Poison, ProcessManager, ReactError, Settled, ViewRows};
use tally_eventlog::event::Recorded;
use tally_eventlog::execute::ExecuteError;
use tally_eventlog::ids::Cause;
use tally_service::{Deps, process_context, process_key};
use uuid::Uuid;

use crate::codec::{RECORD_ACCEPTED, ROW_DISCARDED, ROW_RESUBMITTED};
use crate::quarantine::codec::sealing_stream;
use crate::quarantine::keep::task;
use crate::quarantine::{Command, Rejection};

/// Closes quarantined rows, and erases those that are closed.
pub(crate) struct Leaving(pub Deps);

/// The fields of `RecordAccepted` that are looked for here: a reader passes
/// over the others without copying them, as it does for every accepted record.
#[derive(Clone, PartialEq, prost::Message)]
struct Origin {
    #[prost(string, tag = "6")]
    quarantine_id: String,
    #[prost(string, tag = "9")]
    accepted_on: String,
}

#[async_trait]
impl ProcessManager for Leaving {
    async fn react(
        &self,
        event: &Recorded,
        _rows: &ViewRows,
        cause: Cause,
    ) -> Result<(), ReactError> {
        match event.envelope.event_type.as_str() {
            RECORD_ACCEPTED => {
                let origin: Origin = event.payload().map_err(Poison::from)?;
                if origin.quarantine_id.is_empty() {
                    return Ok(());
                }
                self.close(event, cause, origin).await
            }
            ROW_RESUBMITTED | ROW_DISCARDED => self.erase(&event.envelope.stream_id).await,
            _ => Ok(()),
        }
    }

    async fn settle(&self, _: &Lost, _: bool) -> Result<Vec<Settled>, ReactError> {
        // It reads the role's own log, which is restored together with its views.
        Ok(Vec::new())
    }
}

impl Leaving {
    async fn close(
        &self,
        accepted: &Recorded,
        cause: Cause,
        origin: Origin,
    ) -> Result<(), ReactError> {
        let id = cause.derived_id(0);
        let command = Command::Resubmit {
            record_id: accepted.envelope.stream_id.clone(),
            at: accepted.recorded_at,
            // A record from before the day was noted has none.
            on: parse_legal_date(&origin.accepted_on).ok(),
        };
        let context = process_context(accepted, id);
        let task = task(origin.quarantine_id, command, process_key(id), context);
        match self.0.executor.execute(self.0.log, task).await {
            Ok(_) => Ok(()),
            Err(error) => Err(retry(error)),
        }
    }

    /// What a row said is of no more use. The log keeps that it was there, and
    /// still verifies: hashes are over what is sealed.
    async fn erase(&self, quarantine_id: &str) -> Result<(), ReactError> {
        let id = Uuid::try_parse(quarantine_id)
            .map_err(|_| Poison::new("the stream of a quarantined row is not named by its id"))?;
        let erased = self.0.keyring.erase_stream(&sealing_stream(id)).await;
        erased.map(|_| ()).map_err(|error| ReactError::Retry {
            reason: error.to_string(),
        })
    }
}

fn retry(error: ExecuteError<Rejection>) -> ReactError {
    match error {
        ExecuteError::Decode(error) => Poison::from(error).into(),
        error => ReactError::Retry {
            reason: error.to_string(),
        },
    }
}
