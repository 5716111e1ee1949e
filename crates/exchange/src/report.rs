//! What is wrong with a file, row by row: as text, and as a workbook that can
//! be corrected and handed in again.

use std::fs::File;
use std::path::{Path, PathBuf};

use rust_xlsxwriter::{Format, Workbook, XlsxError};

use crate::columns::{Columns, FAULTS_TITLE, QUARANTINE_TITLE, ROW_TITLE};
use crate::table::Row;

/// Rows that a workbook can hold.
const WORKBOOK_ROWS_MAX: u32 = 1_048_576;

/// Characters that a cell can hold.
const CELL_CHARS_MAX: usize = 32_767;

/// What a report adds to the columns of the table: the first before them, the others after.
const OWN: [&str; 3] = [ROW_TITLE, FAULTS_TITLE, QUARANTINE_TITLE];

/// One fault of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFault {
    /// Path in the record, as collection says it.
    pub field: String,
    /// Stable reason.
    pub reason: String,
    /// What is wrong and what to do; repeats no value.
    pub message: String,
}

impl RowFault {
    /// The fault under the title of its column.
    pub fn explained(&self, columns: &Columns) -> String {
        match columns.title_of(&self.field) {
            Some(title) => format!("{title}: {} ({})", self.message, self.reason),
            None => format!("{}: {} ({})", self.field, self.message, self.reason),
        }
    }
}

/// Writes the bad rows of a file into a workbook: which they were, their cells as they were, what
/// is wrong with each, and where it waits in quarantine.
///
/// Rows go to the disk as they come, so that it takes no memory for them.
pub struct FaultBook {
    workbook: Workbook,
    path: PathBuf,
    next: u32,
    /// The column after those of the table.
    end: u16,
    /// Rows that were left out, beyond what a workbook can hold.
    pub left_out: u64,
}

impl FaultBook {
    /// A workbook that will be saved at `path`, with the titles of the table.
    ///
    /// # Errors
    ///
    /// A title that no cell can hold.
    pub fn new(path: &Path, columns: &Columns) -> Result<Self, XlsxError> {
        let mut workbook = Workbook::new();
        let bold = Format::new().set_bold();
        let sheet = workbook.add_worksheet_with_constant_memory()?;
        let titles = columns.titles.iter().map(String::as_str);
        let known = titles.filter(|title| !OWN.contains(title));
        let mut end = 0;
        for title in std::iter::once(ROW_TITLE).chain(known) {
            sheet.write_string_with_format(0, end, title, &bold)?;
            end = end.saturating_add(1);
        }
        sheet.write_string_with_format(0, end, FAULTS_TITLE, &bold)?;
        sheet.write_string_with_format(0, end + 1, QUARANTINE_TITLE, &bold)?;
        Ok(Self {
            workbook,
            path: path.to_owned(),
            next: 1,
            end,
            left_out: 0,
        })
    }

    /// Adds a row.
    ///
    /// # Errors
    ///
    /// The row cannot be written.
    pub fn add(
        &mut self,
        columns: &Columns,
        row: &Row,
        faults: &[RowFault],
        quarantine: &str,
    ) -> Result<(), XlsxError> {
        if self.next >= WORKBOOK_ROWS_MAX {
            self.left_out += 1;
            return Ok(());
        }
        let at = self.next;
        self.next += 1;
        let sheet = self.workbook.worksheet_from_index(0)?;
        sheet.write_string(at, 0, columns.number_of(row))?;
        let mut column = 1;
        for (place, cell) in row.cells.iter().enumerate() {
            let title = columns.titles.get(place).map(String::as_str);
            if title.is_some_and(|title| OWN.contains(&title)) {
                continue;
            }
            if !cell.is_empty() && column < self.end {
                sheet.write_string(at, column, bounded(cell))?;
            }
            column += 1;
        }
        let lines: Vec<String> = faults
            .iter()
            .map(|fault| fault.explained(columns))
            .collect();
        sheet.write_string(at, self.end, bounded(&lines.join("\n")))?;
        if !quarantine.is_empty() {
            sheet.write_string(at, self.end + 1, quarantine)?;
        }
        Ok(())
    }

    /// Saves the workbook; whole or not at all.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn save(mut self) -> Result<(), XlsxError> {
        let unfinished = self.path.with_extension("unfinished");
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        // The rows may name persons: they are the owner's to read.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        self.workbook.save_to_writer(options.open(&unfinished)?)?;
        std::fs::rename(&unfinished, &self.path)?;
        Ok(())
    }
}

/// What of a text a cell can hold.
fn bounded(text: &str) -> &str {
    match text.char_indices().nth(CELL_CHARS_MAX) {
        None => text,
        Some((at, _)) => &text[..at],
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use tally_catalog::pack::BuiltIn;
    use tally_domain::policy::Form;

    use super::*;
    use crate::table;

    #[test]
    fn a_fault_book_is_a_table_that_can_be_handed_in_again() {
        let pack = BuiltIn::Province
            .load()
            .expect("the built-in pack is consistent");
        let record_type = pack.record_type("tax-credit").expect("in the pack");
        let form = Arc::new(Form::plain(record_type));
        let row = |number, cells: &[&str]| Row {
            number,
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
        };
        let titles = [
            "subject_uscc",
            "document_number",
            "decided_on",
            "主体名称",
            "year",
            "level",
        ];
        let columns =
            Columns::find(&form, record_type, &[row(3, &titles)]).expect("the titles are there");
        let bad = row(7, &["X", "", "2026-01-02", "甲公司", "2025", "Z"]);
        let fault = |field: &str, reason: &str| RowFault {
            field: field.to_owned(),
            reason: reason.to_owned(),
            message: "look".to_owned(),
        };
        let faults = [
            fault("record.fields.level", "VALUE_NOT_A_CHOICE"),
            fault("record", "OTHER"),
        ];
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("faults.xlsx");
        let again = |columns: &Columns, bad: &Row, quarantine: &str| {
            let mut book = FaultBook::new(&path, columns).expect("a workbook");
            book.add(columns, bad, &faults, quarantine).expect("a row");
            book.save().expect("saved");
            let mut rows = Vec::new();
            table::read(&path, &AtomicU64::new(0), &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            })
            .expect("a table");
            rows
        };
        let rows = again(&columns, &bad, "the-id");
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[1].cells[0], "7");
        assert_eq!(rows[1].cells[1..7], bad.cells[..]);
        assert_eq!(
            rows[1].cells[7],
            "level: look (VALUE_NOT_A_CHOICE)\nrecord: look (OTHER)"
        );
        let second = Columns::find(&form, record_type, &rows).expect("its own titles");
        assert_eq!(second.unknown, Vec::<String>::new());
        assert_eq!(second.quarantine(&rows[1]), Some("the-id"));
        // Handed in and still wrong: the columns of the report do not pile up.
        let rows = again(&second, &rows[1].clone(), "the-id");
        assert_eq!(rows[0].cells.len(), 9);
        // It is still the seventh row of the file that the department has.
        assert_eq!(rows[1].cells[0], "7");
        assert_eq!(rows[1].cells[1..7], bad.cells[..]);
    }

    #[test]
    fn a_cell_holds_so_much() {
        let long = "字".repeat(CELL_CHARS_MAX + 1);
        assert_eq!(bounded(&long).chars().count(), CELL_CHARS_MAX);
        assert_eq!(bounded("字"), "字");
    }
}
