//! Through which every command goes: into the ledger, to the mesh until it is
//! answered, into the ledger again, into the measurements.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tally_proto::tally::log::v1::Receipt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use uuid::Uuid;

use super::SimulateError;
use super::insist::{Answer, insist};
use super::ledger::{Acknowledged, Kind, Ledger, LedgerError, Line, ListedEntry, Refused, Sent};
use super::live::Live;
use super::meter::Meter;

/// A command, before it is sent.
#[derive(Debug, Clone)]
pub struct Command<'a> {
    /// What it does.
    pub kind: Kind,
    /// By which department.
    pub department: &'a str,
    /// Whom it is about.
    pub subject: &'a str,
    /// When it was to be sent: by schedule, or when the answer came that it follows from.
    pub intended: Instant,
}

/// What an acknowledged command made.
#[derive(Debug, Clone, PartialEq)]
pub struct Done {
    /// Where it is.
    pub receipt: Receipt,
    /// Id of what was made by it; empty if nothing.
    pub made: String,
}

/// Ledger, measurements, patience.
pub struct Office {
    ledger: Ledger,
    /// What was measured.
    pub meter: Meter,
    /// What it came to so far.
    pub live: Arc<Live>,
    patience: Duration,
    /// Ends the run.
    pub stop: CancellationToken,
    broken: Mutex<Option<SimulateError>>,
}

impl Office {
    /// Writes into that ledger.
    pub fn new(
        ledger: Ledger,
        live: Arc<Live>,
        patience: Duration,
        stop: CancellationToken,
    ) -> Self {
        Self {
            ledger,
            meter: Meter::default(),
            live,
            patience,
            stop,
            broken: Mutex::new(None),
        }
    }

    /// Sends a command under a new id until it is answered; nothing if it was not acknowledged.
    pub async fn send<T, Attempt>(
        &self,
        command: Command<'_>,
        attempt: impl Fn(String) -> Attempt,
        done: impl Fn(T) -> (Option<Receipt>, String),
    ) -> Option<Done>
    where
        Attempt: Future<Output = Result<Response<T>, Status>>,
    {
        self.send_about(command, None, attempt, done).await
    }

    /// The same of a command by which an entry is listed.
    pub async fn send_about<T, Attempt>(
        &self,
        command: Command<'_>,
        entry: Option<ListedEntry>,
        attempt: impl Fn(String) -> Attempt,
        done: impl Fn(T) -> (Option<Receipt>, String),
    ) -> Option<Done>
    where
        Attempt: Future<Output = Result<Response<T>, Status>>,
    {
        let (kind, id) = (command.kind, Uuid::now_v7());
        let sent = Sent {
            id,
            kind,
            department: command.department.to_owned(),
            subject: command.subject.to_owned(),
            entry,
        };
        self.note(Line::Sent(sent))?;
        self.meter.begins(kind, command.intended.elapsed());
        let attempt = || async {
            let answer = attempt(id.to_string()).await?;
            let (receipt, made) = done(answer.into_inner());
            let receipt = receipt.ok_or_else(|| Status::data_loss("the answer has no receipt"))?;
            Ok(Done { receipt, made })
        };
        match insist(self.patience, &self.live, attempt).await {
            Answer::Acknowledged { answer, first } => {
                self.note(Line::Acknowledged(Acknowledged::by(id, &answer.receipt)))?;
                self.meter.acknowledged(kind, command.intended.elapsed());
                self.live.acknowledge(kind);
                if answer.receipt.repeated && first {
                    self.break_off(SimulateError::SeenBefore);
                    return None;
                }
                Some(answer)
            }
            Answer::Refused(reason) => {
                self.meter.refused(kind, &reason);
                self.note(Line::Refused(Refused { id, reason }))?;
                None
            }
            Answer::Unknown(reason) => {
                self.meter.unknown(kind, &reason);
                self.note(Line::Unknown(Refused { id, reason }))?;
                None
            }
        }
    }

    /// Notes that the run came to its end.
    ///
    /// # Errors
    ///
    /// What broke it off, if something did.
    pub fn end(&self) -> Result<(), SimulateError> {
        self.note(Line::Ended {});
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.take().map_or(Ok(()), Err)
    }

    /// A ledger that cannot be written ends the run: what is not in it cannot be checked.
    fn note(&self, line: Line) -> Option<()> {
        let written: Result<(), LedgerError> = self.ledger.write(&line);
        written.map_err(|error| self.break_off(error.into())).ok()
    }

    fn break_off(&self, error: SimulateError) {
        let mut broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.get_or_insert(error);
        self.stop.cancel();
    }
}
