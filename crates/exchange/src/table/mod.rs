//! Rows of a file, whatever its format.

mod text;
mod xlsx;

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicU64;

/// Cells of a row beyond this are an error in the file, not a table.
pub const CELLS_MAX: usize = 512;

/// Bytes of a cell beyond this are an error in the file.
pub const CELL_BYTES_MAX: usize = 256 * 1024;

/// Bytes of a row beyond this are an error in the file: a quotation mark left open must not
/// swallow it.
pub const ROW_BYTES_MAX: usize = 4 * CELL_BYTES_MAX;

/// A row as it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number as people count: of the line in a text file (its first, where
    /// a cell goes over several), of the row in a workbook. From 1.
    pub number: u64,
    /// Its cells, without blanks around them. U+FFFD stands where bytes of a text
    /// file are not of its encoding, and behind a number that a workbook shows as another:
    /// collection refuses the row, and names the cell.
    pub cells: Vec<String>,
}

impl Row {
    /// True if no cell says anything.
    pub fn is_blank(&self) -> bool {
        self.cells.iter().all(String::is_empty)
    }
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma, semicolon or tab separated text, UTF-8, UTF-16 with a mark, or GB18030.
    Text,
    /// An Excel workbook.
    Xlsx,
}

/// A table cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The file cannot be opened or read.
    #[error("the file cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// The text is not a table; correct the line.
    #[error("line {line}: {reason}")]
    Text {
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// Most rows hold characters that no table has: it is read in another encoding
    /// than it was written in. Rows before them may have been visited.
    #[error(
        "from line {line} on most rows hold bytes that are not of the file's encoding, or NUL characters; it looks like another one: save it anew as UTF-8"
    )]
    Encoding {
        /// The line, from 1.
        line: u64,
    },
    /// The workbook cannot be understood; save it anew as .xlsx, or as CSV.
    #[error("the workbook cannot be read: {0}; save it anew as .xlsx, or as CSV")]
    Workbook(String),
    /// An old or protected workbook; save it as .xlsx without a password, or as CSV.
    #[error("this is an old or protected workbook; save it as .xlsx without a password, or as CSV")]
    OldWorkbook,
    /// A row is wider than any table.
    #[error("row {row} has more than {CELLS_MAX} cells")]
    TooWide {
        /// The row, from 1.
        row: u64,
    },
    /// A cell is longer than any value.
    #[error(
        "row {row} has a cell of more than {CELL_BYTES_MAX} bytes, or cells of more than {ROW_BYTES_MAX} together; is a quotation mark left open?"
    )]
    TooLong {
        /// The row, from 1.
        row: u64,
    },
}

/// Tells the format by what the file begins with, not by its name.
///
/// # Errors
///
/// The file cannot be read, or is a workbook of a kind that is not.
pub fn format_of(path: &Path) -> Result<Format, TableError> {
    let mut start = [0; 8];
    let mut file = File::open(path)?;
    let read = read_up_to(&mut file, &mut start)?;
    match &start[..read] {
        [b'P', b'K', 3, 4, ..] => Ok(Format::Xlsx),
        [0xd0, 0xcf, 0x11, 0xe0, ..] => Err(TableError::OldWorkbook),
        _ => Ok(Format::Text),
    }
}

/// Reads the rows of a file in their order, one at a time; `visit` ends it early.
///
/// Takes memory for a row; the shared texts of a workbook go to a temporary file.
/// Bytes of a text file are counted in `read_bytes` as they are read.
///
/// # Errors
///
/// [`TableError`]: rows before it have been visited.
pub fn read(
    path: &Path,
    read_bytes: &AtomicU64,
    visit: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<(), TableError> {
    let mut visit = |row: Row| {
        if row.cells.len() > CELLS_MAX {
            return Err(TableError::TooWide { row: row.number });
        }
        if row.cells.iter().any(|cell| cell.len() > CELL_BYTES_MAX) {
            return Err(TableError::TooLong { row: row.number });
        }
        Ok(visit(row))
    };
    match format_of(path)? {
        Format::Text => {
            let mut file = File::open(path)?;
            file.rewind()?;
            text::read(file, read_bytes, &mut visit)
        }
        Format::Xlsx => xlsx::read(path, &mut visit),
    }
}

/// What takes rows from a reader; an error of its own ends the reading.
type Visit<'a> = &'a mut dyn FnMut(Row) -> Result<ControlFlow<()>, TableError>;

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> Result<usize, std::io::Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            more => filled += more,
        }
    }
    Ok(filled)
}

/// A cell as it is compared and shown: without blanks and what cannot be seen
/// around it.
fn trimmed(cell: &str) -> String {
    let unseen = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}' | '\u{a0}');
    cell.trim_matches(unseen).to_owned()
}
