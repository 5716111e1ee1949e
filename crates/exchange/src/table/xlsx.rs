//! Excel workbooks: the first sheet that has anything.

use std::fs::File;
use std::io::BufReader;
use std::ops::ControlFlow;
use std::path::Path;

use calamine::{DataRef, Reader as _, Xlsx, XlsxError};

use super::{CELLS_MAX, Row, TableError, Visit, trimmed};

pub(super) fn read(path: &Path, visit: Visit<'_>) -> Result<(), TableError> {
    let file = BufReader::new(File::open(path)?);
    let mut workbook = Xlsx::new(file).map_err(|error| fault(&error))?;
    for sheet in workbook.sheet_names() {
        if read_sheet(&mut workbook, &sheet, visit)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Visits the rows of a sheet; false if there are none.
fn read_sheet(
    workbook: &mut Xlsx<BufReader<File>>,
    sheet: &str,
    visit: Visit<'_>,
) -> Result<bool, TableError> {
    let mut cells = workbook
        .worksheet_cells_reader(sheet)
        .map_err(|error| fault(&error))?;
    let mut current: Option<Row> = None;
    let mut any = false;
    while let Some(cell) = cells.next_cell().map_err(|error| fault(&error))? {
        let (row, column) = cell.get_position();
        let number = u64::from(row) + 1;
        let column = column as usize;
        let text = trimmed(&text(cell.get_value()));
        if text.is_empty() {
            continue;
        }
        if column >= CELLS_MAX {
            return Err(TableError::TooWide { row: number });
        }
        if current.as_ref().is_some_and(|row| row.number != number)
            && let Some(done) = current.take()
            && let ControlFlow::Break(()) = visit(done)?
        {
            return Ok(true);
        }
        any = true;
        let row = current.get_or_insert_with(|| Row {
            number,
            cells: Vec::new(),
        });
        if row.cells.len() <= column {
            row.cells.resize(column + 1, String::new());
        }
        row.cells[column] = text;
    }
    if let Some(last) = current {
        let _ = visit(last)?;
    }
    Ok(any)
}

/// A cell as people read it: whole numbers without a point, days as ISO 8601.
fn text(value: &DataRef<'_>) -> String {
    match value {
        DataRef::String(text) => text.clone(),
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) => shown(*number),
        DataRef::Bool(value) => value.to_string(),
        DataRef::DateTime(at) if at.is_datetime() => {
            let (year, month, day, ..) = at.to_ymd_hms_milli();
            format!("{year:04}-{month:02}-{day:02}")
        }
        DataRef::DateTime(length) => length.as_f64().to_string(),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
        // What a formula could not compute is no value.
        DataRef::Error(_) | DataRef::Empty => String::new(),
    }
}

/// A number as Excel shows it, with 15 digits: what a sum adds beyond them was
/// never meant.
fn shown(number: f64) -> String {
    // Beyond them digits were lost when the number was typed: shown as Excel does, so that
    // nobody takes it for the code that it was.
    if number.abs() >= 1e15 {
        return format!("{number:.5E}");
    }
    let rounded = format!("{number:.14e}").parse::<f64>();
    rounded.unwrap_or(number).to_string()
}

fn fault(error: &XlsxError) -> TableError {
    TableError::Workbook(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};

    use super::*;

    #[test]
    fn cells_are_what_people_read() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("table.xlsx");
        let mut workbook = Workbook::new();
        workbook.add_worksheet().set_name("empty").expect("a name");
        let sheet = workbook.add_worksheet();
        sheet
            .merge_range(0, 0, 0, 3, "行政处罚信息公示表", &Format::new())
            .expect("merged");
        sheet.write_string(2, 0, " 甲公司 ").expect("written");
        sheet.write_number(2, 1, 1.5).expect("written");
        sheet.write_number(2, 2, 20_260_102).expect("written");
        let day = ExcelDateTime::from_ymd(2026, 1, 2).expect("a day");
        let format = Format::new().set_num_format("yyyy/m/d");
        sheet
            .write_datetime_with_format(2, 3, &day, &format)
            .expect("written");
        sheet.write_boolean(4, 1, true).expect("written");
        workbook.save(&path).expect("saved");
        let mut rows = Vec::new();
        read(&path, &mut |row| {
            rows.push(row);
            Ok(ControlFlow::Continue(()))
        })
        .expect("a table");
        let row = |number, cells: &[&str]| Row {
            number,
            cells: cells.iter().map(|cell| (*cell).to_owned()).collect(),
        };
        assert_eq!(
            rows,
            [
                row(1, &["行政处罚信息公示表"]),
                row(3, &["甲公司", "1.5", "20260102", "2026-01-02"]),
                row(5, &["", "true"]),
            ]
        );
    }

    #[test]
    fn numbers_have_the_digits_that_excel_shows() {
        for (number, text) in [
            (0.1 + 0.2, "0.3"),
            (1.5, "1.5"),
            (20_260_102.0, "20260102"),
            (123_456_789_012_345.0, "123456789012345"),
            (0.000_001, "0.000001"),
            (110_101_199_003_078_515.0, "1.10101E17"),
        ] {
            assert_eq!(shown(number), text);
        }
    }

    #[test]
    fn what_is_no_workbook_is_said_so() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("table.xlsx");
        std::fs::write(&path, b"PK\x03\x04 and no more").expect("written");
        let result =
            super::super::read(
                &path,
                &AtomicU64::new(0),
                &mut |_| ControlFlow::Continue(()),
            );
        assert!(matches!(result, Err(TableError::Workbook(_))), "{result:?}");
        std::fs::write(&path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1").expect("written");
        let result =
            super::super::read(
                &path,
                &AtomicU64::new(0),
                &mut |_| ControlFlow::Continue(()),
            );
        assert!(matches!(result, Err(TableError::OldWorkbook)), "{result:?}");
    }
}
