//! What is wrong with a file, row by row: as text, and as a workbook that can
//! be corrected and handed in again.

use std::fs::File;
use std::path::{Path, PathBuf};

use rust_xlsxwriter::{Format, Workbook, XlsxError};

use tally_domain::text::printable;

use crate::columns::{Columns, FAULTS_TITLE, QUARANTINE_TITLE, ROW_TITLE};
use crate::record::{UNTITLED, UNTITLED_PATH};
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
    /// Path in the record, as collection says it; [`UNTITLED`] of what is past the last title.
    pub field: String,
    /// Stable reason.
    pub reason: String,
    /// What is wrong and what to do; repeats no value.
    pub message: String,
}

impl RowFault {
    /// A fault that collection found in `row`.
    pub fn of(
        columns: &Columns,
        row: &Row,
        field: String,
        reason: String,
        message: String,
    ) -> Self {
        if field == UNTITLED_PATH && columns.untitled(row).is_some() {
            return Self {
                field: UNTITLED.to_owned(),
                reason,
                message: "the row goes on past the last title, as where a comma within a cell is \
                          not quoted; put that text into its column, and empty the cells past the \
                          titles"
                    .to_owned(),
            };
        }
        Self {
            field,
            reason,
            message,
        }
    }

    /// The fault under the title of its column.
    pub fn explained(&self, columns: &Columns) -> String {
        match columns.title_of(&self.field) {
            Some(title) => {
                let title = printable(title);
                format!("{title}: {} ({})", self.message, self.reason)
            }
            None => format!("{}: {} ({})", self.field, self.message, self.reason),
        }
    }
}

/// Writes the bad rows of a file into a workbook: which they were, their cells as they were, what
/// is wrong with each, where it waits in quarantine, and behind that what it said past the last
/// title.
///
/// Rows go to the disk as they come, so that it takes no memory for them.
pub struct FaultBook {
    workbook: Workbook,
    path: PathBuf,
    next: u32,
    /// The column after those of the table that have titles.
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
        let titles = columns.titles[..columns.width()].iter();
        let titles = titles.map(String::as_str);
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
        let (mut column, width) = (1, columns.width());
        for (place, cell) in row.cells.iter().enumerate() {
            let title = columns.titles.get(place).map(String::as_str);
            if title.is_some_and(|title| OWN.contains(&title)) {
                continue;
            }
            if place == width {
                column = self.end + 2;
            }
            if !cell.is_empty() {
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
    use tally_domain::policy::{Form, RecordType};

    use super::*;
    use crate::table;

    fn tax_credit() -> RecordType {
        let pack = BuiltIn::Province
            .load()
            .expect("the built-in pack is consistent");
        pack.record_type("tax-credit").expect("in the pack").clone()
    }

    fn row(number: u64, cells: &[&str]) -> Row {
        Row {
            number,
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
        }
    }

    #[test]
    fn a_fault_book_is_a_table_that_can_be_handed_in_again() {
        let record_type = &tax_credit();
        let form = Arc::new(Form::plain(record_type));
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
    fn what_a_row_says_past_the_titles_is_not_lost() {
        let record_type = &tax_credit();
        let form = Arc::new(Form::plain(record_type));
        let names = record_type.fields.iter().filter(|rule| rule.required);
        let mut titles = vec!["subject_uscc", "document_number", "decided_on"];
        titles.extend(names.map(|rule| rule.name.as_str()));
        let width = titles.len();
        // Exports end lines with empty cells, also those of the titles.
        titles.push("");
        let columns =
            Columns::find(&form, record_type, &[row(1, &titles)]).expect("the titles are there");
        let mut cells = vec!["X"; width];
        assert_eq!(columns.untitled(&row(2, &cells)), None);
        cells.extend(["", ""]);
        assert_eq!(columns.untitled(&row(2, &cells)), None);
        cells.extend(["lost", "too"]);
        let bad = row(2, &cells);
        let stated = crate::record::read(&columns, record_type, &bad);
        assert_eq!(stated.fields[0], (UNTITLED.into(), "lost, too".into()));
        let of = |row: &Row| {
            let (reason, message) = ("FIELD_UNKNOWN".to_owned(), "no such".to_owned());
            RowFault::of(&columns, row, UNTITLED_PATH.to_owned(), reason, message)
        };
        assert!(of(&bad).explained(&columns).contains("past the last title"));
        assert_eq!(of(&row(2, &cells[..width])).message, "no such");

        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("faults.xlsx");
        let book = |columns: &Columns, bad: &Row| {
            let mut book = FaultBook::new(&path, columns).expect("a workbook");
            let faults = [of(bad)];
            book.add(columns, bad, &faults, "the-id").expect("a row");
            book.save().expect("saved");
            let mut rows = Vec::new();
            table::read(&path, &AtomicU64::new(0), &mut |row| {
                rows.push(row);
                ControlFlow::Continue(())
            })
            .expect("a table");
            rows
        };
        let rows = book(&columns, &bad);
        assert_eq!(rows[1].cells[1..=width], bad.cells[..width]);
        assert_eq!(
            rows[1].cells[width + 2..],
            ["the-id", "", "", "lost", "too"]
        );
        // Handed in as it is, it is as wrong as before, and nothing moves.
        let second = Columns::find(&form, record_type, &rows).expect("its own titles");
        assert_eq!(second.untitled(&rows[1]).as_deref(), Some("lost, too"));
        assert_eq!(second.quarantine(&rows[1]), Some("the-id"));
        let again = book(&second, &rows[1].clone());
        assert_eq!(again[1].cells, rows[1].cells);
        let corrected = row(2, &["X"; 3]);
        assert_eq!(second.untitled(&corrected), None);
    }

    #[test]
    fn a_cell_holds_so_much() {
        let long = "字".repeat(CELL_CHARS_MAX + 1);
        assert_eq!(bounded(&long).chars().count(), CELL_CHARS_MAX);
        assert_eq!(bounded("字"), "字");
    }
}
