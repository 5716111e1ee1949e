//! The rows of a file on their way to the mesh.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tally_domain::date::parse_legal_date;
use tally_domain::policy::{Form, Pack, RecordType};
use tally_exchange::columns::{Columns, ROWS_ABOVE_MAX};
use tally_exchange::record;
use tally_exchange::table::{self, Row};
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::collection::v1::push_records_response::Outcome;
use tally_proto::tally::log::v1::LegalBasisRef;
use tally_rpc::fault::reason::RIGHT_MISSING;
use tokio::sync::{mpsc, oneshot};

use super::super::output::Failure;
use super::state::Ids;

/// Rows that are sent and not answered yet. The mesh answers in chunks of some
/// hundred, several of them under way.
const UNANSWERED_MAX: usize = 8_192;

/// Requests that wait for the stream.
const REQUESTS_MAX: usize = 256;

/// What is read, and how.
pub(super) struct Start {
    pub file: PathBuf,
    pub form: Arc<Form>,
    pub record_type: RecordType,
    /// Has the versions of its legal basis.
    pub pack: Arc<Pack>,
    /// Rows up to this one are answered.
    pub after: u64,
    pub ids: Ids,
    /// Whether refused rows are kept in quarantine.
    pub quarantine: bool,
    pub read_bytes: Arc<AtomicU64>,
}

/// A row that was sent.
pub(super) struct SentRow {
    /// The row.
    pub row: Row,
    /// The command under which it was sent, which its answer repeats.
    pub command_id: String,
}

/// The rows that were sent, in their order.
pub(super) struct Rows {
    columns: Option<oneshot::Receiver<Columns>>,
    sent: mpsc::Receiver<SentRow>,
    ended: oneshot::Receiver<Result<u64, Failure>>,
}

impl Rows {
    /// Begins to read. The requests are to be sent as they come.
    pub fn start(start: Start) -> (mpsc::Receiver<pb::PushRecordsRequest>, Self) {
        let (requests, to_send) = mpsc::channel(REQUESTS_MAX);
        let (sent, unanswered) = mpsc::channel(UNANSWERED_MAX);
        let (found, columns) = oneshot::channel();
        let (done, ended) = oneshot::channel();
        // Not a task of the runtime: that would wait for the end of the file, though the mesh has
        // already refused.
        std::thread::spawn(move || {
            let mut reading = Reading {
                start,
                requests,
                sent,
                found: Some(found),
                above: Vec::new(),
                columns: None,
                blank: 0,
            };
            // Whoever asked may have gone away.
            let _ = done.send(reading.run());
        });
        let rows = Self {
            columns: Some(columns),
            sent: unanswered,
            ended,
        };
        (to_send, rows)
    }

    /// The columns, once they are found; nothing if they are not, which
    /// [`ended`](Self::ended) explains.
    pub async fn columns(&mut self) -> Option<Columns> {
        self.columns.take()?.await.ok()
    }

    /// The next row that was sent.
    pub async fn next(&mut self) -> Option<SentRow> {
        self.sent.recv().await
    }

    /// How the reading ended: rows without a cell.
    ///
    /// # Errors
    ///
    /// What is wrong with the file; rows before it were sent.
    pub async fn ended(self) -> Result<u64, Failure> {
        drop(self.sent);
        self.ended.await.map_err(Failure::environment)?
    }
}

struct Reading {
    start: Start,
    requests: mpsc::Sender<pb::PushRecordsRequest>,
    sent: mpsc::Sender<SentRow>,
    found: Option<oneshot::Sender<Columns>>,
    /// Rows among which the titles are looked for.
    above: Vec<Row>,
    columns: Option<Columns>,
    blank: u64,
}

impl Reading {
    fn run(&mut self) -> Result<u64, Failure> {
        let (file, read_bytes) = (self.start.file.clone(), self.start.read_bytes.clone());
        let mut failed = None;
        let read = table::read(&file, &read_bytes, &mut |row| match self.take(row) {
            Ok(flow) => flow,
            Err(failure) => {
                failed = Some(failure);
                ControlFlow::Break(())
            }
        });
        if let Some(failure) = failed {
            return Err(failure);
        }
        let place =
            |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
        // A short file may end before so many rows as titles are looked for in.
        if self.columns.is_none() && !self.above.is_empty() {
            let _ = self.find()?;
        }
        read.map_err(|error| place(&error))?;
        Ok(self.blank)
    }

    fn take(&mut self, row: Row) -> Result<ControlFlow<()>, Failure> {
        if self.columns.is_some() {
            return Ok(self.send(row));
        }
        self.above.push(row);
        if self.above.len() <= ROWS_ABOVE_MAX {
            return Ok(ControlFlow::Continue(()));
        }
        self.find()
    }

    /// Finds the titles, and sends the rows below them.
    fn find(&mut self) -> Result<ControlFlow<()>, Failure> {
        let columns = Columns::find(&self.start.form, &self.start.record_type, &self.above);
        let columns = columns
            .map_err(|fault| Failure::usage(format!("{}: {fault}", self.start.file.display())))?;
        if let Some(found) = self.found.take() {
            let _ = found.send(columns.clone());
        }
        let titles = columns.row;
        self.columns = Some(columns);
        for row in std::mem::take(&mut self.above) {
            if row.number > titles && self.send(row).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Sends a row; ends where nobody takes it any more.
    fn send(&mut self, row: Row) -> ControlFlow<()> {
        let Some(columns) = &self.columns else {
            return ControlFlow::Continue(());
        };
        // Files put together from several repeat the titles.
        if row.is_blank() || columns.is_titles(&row) {
            self.blank += 1;
            return ControlFlow::Continue(());
        }
        if row.number <= self.start.after {
            return ControlFlow::Continue(());
        }
        let stated = record::read(columns, &self.start.record_type, &row);
        // A decision was taken under the law of its day, which may have changed since.
        let mut basis = &self.start.record_type.legal_basis;
        if let Ok(decided_on) = parse_legal_date(&stated.decided_on) {
            basis = self.start.pack.basis_on(basis, decided_on);
        }
        let command_id = self.start.ids.of(row.number).to_string();
        let request = pb::PushRecordsRequest {
            command_id: command_id.clone(),
            record: Some(pb::RecordContent {
                subject: stated.subject,
                record_type: self.start.record_type.id.clone(),
                document_number: stated.document_number,
                decided_on: stated.decided_on,
                valid_from: stated.valid_from,
                valid_until: stated.valid_until,
                legal_basis: Some(LegalBasisRef {
                    id: basis.id.clone(),
                    version: basis.version,
                }),
                fields: stated
                    .fields
                    .into_iter()
                    .map(|(name, value)| pb::Field { name, value })
                    .collect(),
                check_id: stated.check_id,
            }),
            quarantine: self.start.quarantine,
            quarantine_id: columns.quarantine(&row).unwrap_or_default().to_owned(),
        };
        // First among the unanswered: the answer must find it there.
        let sent = SentRow { row, command_id };
        if self.sent.blocking_send(sent).is_err() || self.requests.blocking_send(request).is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// Why a row's department may not push such records, if that is so: every row of a file states the
/// same record type, and then none may be pushed.
pub(super) fn denial(answer: &pb::PushRecordsResponse) -> Option<String> {
    let Some(Outcome::Refused(refusal)) = &answer.outcome else {
        return None;
    };
    let mut faults = refusal.faults.iter();
    let denied = faults.find(|fault| fault.reason == RIGHT_MISSING)?;
    Some(denied.message.clone())
}
