//! Excel workbooks: the first sheet that has anything.
//!
//! Read as a stream of its own: libraries for workbooks believe what a file says
//! of itself, and take the memory that it names.

mod cell;
mod package;
mod strings;
mod styles;

use std::path::Path;

use super::{CELLS_MAX, ROW_BYTES_MAX, Row, TableError, Visit, trimmed};
use cell::Cells;
use package::{Package, Part, Piece, SMALL_PART_BYTES_MAX, attribute, broken};
use strings::Strings;

/// Rows of a sheet, as the format has it.
const ROWS_MAX: u64 = 1_048_576;

pub(super) fn read(path: &Path, visit: Visit<'_>) -> Result<(), TableError> {
    let mut package = Package::open(path)?;
    let workbook = Workbook::read(&mut package)?;
    let beside = |name: &str| format!("{}{name}", workbook.directory);
    let formats = styles::read(&mut package, &beside("styles.xml"))?;
    let strings = Strings::read(&mut package, &beside("sharedStrings.xml"))?;
    let mut cells = Cells {
        formats,
        strings,
        from_1904: workbook.from_1904,
    };
    for sheet in &workbook.sheets {
        let Some(mut part) = package.part(sheet, u64::MAX)? else {
            return Err(broken("a sheet of it is missing"));
        };
        if read_sheet(&mut part, &mut cells, visit)? {
            return Ok(());
        }
    }
    Ok(())
}

/// What a workbook consists of.
struct Workbook {
    /// Where its parts are.
    directory: String,
    /// Its sheets of cells, in their order.
    sheets: Vec<String>,
    /// Whether days count from 1904, as Macintoshes had it.
    from_1904: bool,
}

impl Workbook {
    fn read(package: &mut Package) -> Result<Self, TableError> {
        let roots = relations(package, "_rels/.rels", "")?;
        let main = roots
            .iter()
            .find(|relation| relation.kind == "officeDocument");
        let main = main.ok_or_else(|| broken("it has no workbook in it"))?;
        let (directory, name) = main.target.rsplit_once('/').map_or_else(
            || (String::new(), main.target.as_str()),
            |(directory, name)| (format!("{directory}/"), name),
        );
        let of_main = format!("{directory}_rels/{name}.rels");
        let relations = relations(package, &of_main, &directory)?;
        let Some(mut part) = package.part(&main.target, SMALL_PART_BYTES_MAX)? else {
            return Err(broken("it has no workbook in it"));
        };
        let mut from_1904 = false;
        let mut sheets = Vec::new();
        while let Some(start) = part.next_start()? {
            match start.local_name().as_ref() {
                "workbookPr" => {
                    let date1904 = attribute(&start, "date1904")?;
                    from_1904 = matches!(date1904.as_deref(), Some("1" | "true"));
                }
                "sheet" => {
                    // The name without a prefix is the sheet's number in the other sense.
                    let id = attribute(&start, "id")?;
                    let sheet = relations
                        .iter()
                        .find(|relation| Some(&relation.id) == id.as_ref());
                    let sheet = sheet.filter(|sheet| sheet.kind == "worksheet");
                    sheets.extend(sheet.map(|sheet| sheet.target.clone()));
                }
                _ => {}
            }
        }
        Ok(Self {
            directory,
            sheets,
            from_1904,
        })
    }
}

/// A part that another one refers to.
struct Relation {
    id: String,
    /// The last word of its type.
    kind: String,
    /// Its name in the package.
    target: String,
}

fn relations(
    package: &mut Package,
    name: &str,
    directory: &str,
) -> Result<Vec<Relation>, TableError> {
    let Some(mut part) = package.part(name, SMALL_PART_BYTES_MAX)? else {
        return Err(broken(format!("`{name}` is missing")));
    };
    let mut relations = Vec::new();
    while let Some(start) = part.next_start()? {
        if start.local_name().as_ref() != "Relationship" {
            continue;
        }
        let kind = attribute(&start, "Type")?.unwrap_or_default();
        let kind = kind.rsplit('/').next().unwrap_or_default();
        if !matches!(kind, "officeDocument" | "worksheet") {
            continue;
        }
        let target = attribute(&start, "Target")?.unwrap_or_default();
        let target = match target.strip_prefix('/') {
            Some(whole) => whole.to_owned(),
            None => format!("{directory}{target}"),
        };
        relations.push(Relation {
            id: attribute(&start, "Id")?.unwrap_or_default(),
            kind: kind.to_owned(),
            target,
        });
        if relations.len() > SHEETS_MAX {
            return Err(broken(format!("it has more than {SHEETS_MAX} sheets")));
        }
    }
    Ok(relations)
}

/// Sheets of a workbook.
const SHEETS_MAX: usize = 500;

/// Visits the rows of a sheet; false if there are none.
fn read_sheet(
    part: &mut Part<'_>,
    cells: &mut Cells,
    visit: Visit<'_>,
) -> Result<bool, TableError> {
    let mut row = Row {
        number: 0,
        cells: Vec::new(),
    };
    let mut bytes = 0;
    let mut column = 0;
    let mut any = false;
    while let Some(piece) = part.next()? {
        match piece {
            Piece::Start(start) if start.local_name().as_ref() == "row" => {
                let number = match attribute(&start, "r")? {
                    Some(number) => number.parse().unwrap_or(u64::MAX),
                    None => row.number + 1,
                };
                if number <= row.number || number > ROWS_MAX {
                    return Err(broken(format!(
                        "after row {} comes one that cannot",
                        row.number
                    )));
                }
                row.number = number;
                row.cells.clear();
                (bytes, column) = (0, 0);
            }
            Piece::Start(start) if start.local_name().as_ref() == "c" => {
                if let Some(place) = attribute(&start, "r")? {
                    column = column_of(&place)
                        .ok_or_else(|| broken(format!("row {} has a cell nowhere", row.number)))?;
                }
                let text = trimmed(&cells.text(part, &start)?);
                let at = column;
                column += 1;
                if text.is_empty() {
                    continue;
                }
                if at >= CELLS_MAX {
                    return Err(TableError::TooWide { row: row.number });
                }
                bytes += text.len();
                if bytes > ROW_BYTES_MAX {
                    return Err(TableError::TooLong { row: row.number });
                }
                if row.cells.len() <= at {
                    row.cells.resize(at + 1, String::new());
                }
                row.cells[at] = text;
            }
            Piece::End(name) if name == "row" && !row.cells.is_empty() => {
                any = true;
                let done = Row {
                    number: row.number,
                    cells: std::mem::take(&mut row.cells),
                };
                if visit(done)?.is_break() {
                    return Ok(true);
                }
            }
            Piece::End(name) if name == "sheetData" => break,
            _ => {}
        }
    }
    Ok(any)
}

/// The place of a column, from 0, in a cell's name such as `AB12`.
fn column_of(name: &str) -> Option<usize> {
    let letters = name.bytes().take_while(u8::is_ascii_alphabetic);
    let number = letters.fold(0usize, |number, letter| {
        let digit = usize::from(letter.to_ascii_uppercase() - b'A') + 1;
        number.saturating_mul(26).saturating_add(digit)
    });
    number.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
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
