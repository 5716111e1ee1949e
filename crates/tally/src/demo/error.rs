//! Why a demo ends before its end.

use std::path::PathBuf;
use std::time::Duration;

use tally_catalog::pack::LocatedFault;
use tally_eventlog::store::StoreError;
use tally_exchange::table::TableError;
use tally_rpc::FaultReport;
use tonic::{Response, Status};

use crate::cli::output::Failure;
use crate::client::ClientError;
use crate::data_dir::DataDirError;
use crate::mesh::StartError;

use super::content::{ORGANISATIONS_MIN, RECORDS_MIN};

/// Why a demo ends before its end.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// Ask for more.
    #[error("the demo needs at least {RECORDS_MIN} records on {ORGANISATIONS_MIN} organisations")]
    TooSmall,
    /// Name another directory, or none.
    #[error("{} holds a mesh already; name a new directory for the demo", dir.display())]
    DirInUse {
        /// The directory.
        dir: PathBuf,
    },
    /// Check the place for temporary files and its rights.
    #[error("the demo's directory cannot be used")]
    Directory(#[source] std::io::Error),
    /// A workbook cannot be put together: a defect of the demo.
    #[error("a workbook cannot be written")]
    Workbook(#[source] rust_xlsxwriter::XlsxError),
    /// The import of a table did not get to its end.
    #[error("cannot import a table: {0}")]
    Import(Failure),
    /// The report of an import cannot be read.
    #[error("the report of an import cannot be read")]
    Table(#[source] TableError),
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The mesh did not start.
    #[error(transparent)]
    Start(#[from] Box<StartError>),
    /// No connection.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The built-in policy pack is inconsistent: a defect of this binary.
    #[error("the built-in policy pack: {0}")]
    Pack(String),
    /// A call failed that had to succeed.
    #[error("cannot {step}: {message} ({code:?}, {reason})")]
    Call {
        /// What was being done.
        step: &'static str,
        /// Status code.
        code: tonic::Code,
        /// Stable reason.
        reason: String,
        /// What the service says.
        message: String,
    },
    /// An answer lacks what the contract promises.
    #[error("the answer to `{step}` lacks {what}")]
    Incomplete {
        /// What was being done.
        step: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// What was waited for never came.
    #[error("waited {} s for this, and it did not come: {what}", after.as_secs())]
    NeverCame {
        /// What.
        what: String,
        /// How long.
        after: Duration,
    },
    /// A reader of the mesh has stopped.
    #[error("reader `{consumer}` stopped: {reason}")]
    ReaderStopped {
        /// The reader.
        consumer: String,
        /// Why.
        reason: String,
    },
    /// The whole run hangs.
    #[error("the demo did not end within {} minutes", after.as_secs() / 60)]
    TimedOut {
        /// The limit.
        after: Duration,
    },
    /// The store did not close cleanly.
    #[error(transparent)]
    Stop(#[from] StoreError),
}

impl DemoError {
    /// The built-in pack's faults.
    pub(super) fn pack(faults: Vec<LocatedFault>) -> Self {
        let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
        Self::Pack(lines.join("; "))
    }
}

/// What a call answered, or the step at which it failed.
pub(super) trait Answered<T> {
    /// Names the step.
    fn during(self, step: &'static str) -> Result<T, DemoError>;
}

impl<T> Answered<T> for Result<T, Status> {
    fn during(self, step: &'static str) -> Result<T, DemoError> {
        self.map_err(|status| {
            let FaultReport {
                code,
                reason,
                message,
                ..
            } = FaultReport::from(&status);
            DemoError::Call {
                step,
                code,
                reason,
                message,
            }
        })
    }
}

impl<T> Answered<T> for Option<T> {
    fn during(self, step: &'static str) -> Result<T, DemoError> {
        self.ok_or(DemoError::Incomplete {
            step,
            what: "a part that is always there",
        })
    }
}

/// The reason of a refusal by the rules; nothing if it was done, or failed otherwise.
pub(super) fn refusal<T>(answer: Result<Response<T>, Status>) -> Option<String> {
    use tonic::Code::{AlreadyExists, FailedPrecondition, InvalidArgument, PermissionDenied};
    let report = FaultReport::from(&answer.err()?);
    let by_rule = matches!(
        report.code,
        AlreadyExists | FailedPrecondition | InvalidArgument | PermissionDenied
    );
    by_rule.then_some(report.reason)
}
