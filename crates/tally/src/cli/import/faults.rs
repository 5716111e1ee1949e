//! The bad rows of an import under way, kept beside its file: a workbook cannot
//! be written piece by piece over an interruption.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, ErrorKind, Seek as _, Write as _};
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

/// The bad rows so far: there is no file until there is one of them.
#[derive(Debug)]
pub(super) struct FaultFile {
    path: PathBuf,
    lines: Option<BufWriter<File>>,
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
        if rows == 0 {
            match std::fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(failure(&path, error));
                }
                _ => return Ok(Self { path, lines: None }),
            }
        }
        let opened = || -> std::io::Result<File> {
            let mut file = opened(&path)?;
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
            lines: Some(BufWriter::new(file)),
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
        if self.lines.is_none() {
            let file = opened(&self.path).map_err(|error| failure(&self.path, error))?;
            self.lines = Some(BufWriter::new(file));
        }
        let lines = self.lines.as_mut().expect("made above");
        writeln!(lines, "{line}").map_err(|error| failure(&self.path, error))
    }

    /// Makes what was added durable.
    ///
    /// # Errors
    ///
    /// The disk is full.
    pub fn keep(&mut self) -> Result<(), Failure> {
        let Some(lines) = &mut self.lines else {
            return Ok(());
        };
        let kept = lines.flush().and_then(|()| lines.get_ref().sync_data());
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
        match self.lines {
            Some(_) => std::fs::remove_file(&self.path).map_err(|error| failure(&self.path, error)),
            None => Ok(()),
        }
    }
}

/// The file, made where it is not there. Its rows may name persons: they are the owner's to read.
fn opened(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.mode(0o600).open(path)
}

fn failure(path: &Path, error: std::io::Error) -> Failure {
    Failure::environment(format!("{}: {error}", path.display()))
}
