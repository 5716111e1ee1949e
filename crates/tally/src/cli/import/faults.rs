//! The bad rows of an import under way, kept beside its file: a workbook cannot
//! be written piece by piece over an interruption.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tally_exchange::columns::Columns;
use tally_exchange::report::{FaultBook, RowFault};
use tally_exchange::table::Row;

use super::super::output::Failure;
use super::files::beside;

/// A bad row as a line of JSON.
#[derive(Debug, Serialize, Deserialize)]
struct BadRow {
    row: u64,
    cells: Vec<String>,
    /// Field, reason, message.
    faults: Vec<(String, String, String)>,
    /// Its place in quarantine.
    #[serde(default)]
    quarantine: String,
}

/// The bad rows so far.
#[derive(Debug)]
pub(super) struct FaultFile {
    path: PathBuf,
    lines: BufWriter<File>,
}

impl FaultFile {
    /// The file beside the table, with as many rows as the position counts: what
    /// came after is answered again.
    ///
    /// # Errors
    ///
    /// The directory of the file cannot be written.
    pub fn open(table: &Path, rows: u64) -> Result<Self, Failure> {
        let path = beside(table, "tally-faults");
        let opened = || -> std::io::Result<File> {
            // The rows may name persons: they are the owner's to read.
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)?;
            let mut end = 0;
            let mut lines = BufReader::new(&file);
            let mut line = Vec::new();
            for _ in 0..rows {
                line.clear();
                end += lines.read_until(b'\n', &mut line)? as u64;
            }
            file.set_len(end)?;
            file.seek(std::io::SeekFrom::End(0))?;
            Ok(file)
        };
        let file = opened().map_err(|error| failure(&path, error))?;
        Ok(Self {
            path,
            lines: BufWriter::new(file),
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// The disk is full.
    pub fn add(&mut self, row: &Row, faults: &[RowFault], quarantine: &str) -> Result<(), Failure> {
        let fault = |fault: &RowFault| {
            let RowFault {
                field,
                reason,
                message,
            } = fault.clone();
            (field, reason, message)
        };
        let bad = BadRow {
            row: row.number,
            cells: row.cells.clone(),
            faults: faults.iter().map(fault).collect(),
            quarantine: quarantine.to_owned(),
        };
        let line = serde_json::to_string(&bad).map_err(Failure::environment)?;
        writeln!(self.lines, "{line}").map_err(|error| failure(&self.path, error))
    }

    /// Makes what was added durable.
    ///
    /// # Errors
    ///
    /// The disk is full.
    pub fn keep(&mut self) -> Result<(), Failure> {
        let kept = self
            .lines
            .flush()
            .and_then(|()| self.lines.get_ref().sync_data());
        kept.map_err(|error| failure(&self.path, error))
    }

    /// Writes the bad rows into a workbook. Returns how many were more than it can hold.
    ///
    /// # Errors
    ///
    /// The workbook cannot be written.
    pub fn write_book(&mut self, path: &Path, columns: &Columns) -> Result<u64, Failure> {
        self.keep()?;
        let file = File::open(&self.path).map_err(|error| failure(&self.path, error))?;
        let written = |error: rust_xlsxwriter::XlsxError| {
            Failure::environment(format!("{}: {error}", path.display()))
        };
        let mut book = FaultBook::new(path, columns).map_err(written)?;
        for line in BufReader::new(file).lines() {
            let line = line.map_err(|error| failure(&self.path, error))?;
            let bad: BadRow = serde_json::from_str(&line).map_err(Failure::environment)?;
            let row = Row {
                number: bad.row,
                cells: bad.cells,
            };
            let faults: Vec<RowFault> = bad
                .faults
                .into_iter()
                .map(|(field, reason, message)| RowFault {
                    field,
                    reason,
                    message,
                })
                .collect();
            book.add(columns, &row, &faults, &bad.quarantine)
                .map_err(written)?;
        }
        let left_out = book.left_out;
        book.save().map_err(written)?;
        Ok(left_out)
    }

    /// Removes it: the workbook has all of it.
    ///
    /// # Errors
    ///
    /// It cannot be removed.
    pub fn remove(self) -> Result<(), Failure> {
        std::fs::remove_file(&self.path).map_err(|error| failure(&self.path, error))
    }
}

fn failure(path: &Path, error: std::io::Error) -> Failure {
    Failure::environment(format!("{}: {error}", path.display()))
}
