//! Tables as people fill them in: several ways to write a day, titles of an
//! older form, rows given twice, empty ones, and rows that are wrong.

use jiff::civil::Date;
use rust_xlsxwriter::{Format, Workbook, XlsxError};
use tally_domain::identifier::Scheme;
use tally_domain::policy::{FieldKind, Form, FormColumn, Level, RecordType, Target};
use tally_proto::tally::collection::v1::RecordContent;

use super::records::Maker;
use super::{Push, identifiers};
use crate::demo::world::{Dept, World};

/// Rows of a table, before repeated and empty ones.
const ROWS: usize = 60;

/// Every so many rows is wrong.
const WRONG_EVERY: usize = 6;

/// Every so many rows is followed by itself again and an empty row.
const AGAIN_EVERY: usize = 20;

/// Titles of the publicity forms that only their older generation has begin like this.
const OLD_KEYS: [&str; 2] = ["CF_", "XK_"];

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// Comma separated, in GB18030, with the titles of the older generation.
    OldCsv,
    /// A workbook with the name of the form above the titles.
    Xlsx,
    /// Comma separated, in UTF-8, with the catalogue's own names as titles.
    PlainCsv,
}

/// What was made of a row, and so what must come of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Made {
    /// Rows that are right, and given for the first time.
    pub right: u64,
    /// Rows given a second time.
    pub again: u64,
    /// Rows that are wrong.
    pub wrong: u64,
    /// Faults in them.
    pub faults: u64,
    /// Rows without a cell.
    pub blank: u64,
}

/// A table to be imported.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Name of the file.
    pub file_name: String,
    /// Whose it is.
    pub dept: Dept,
    /// Record type of its rows.
    pub record_type: String,
    /// How it is written.
    pub writing: Writing,
    /// Above the titles.
    heading: String,
    /// Titles and rows.
    rows: Vec<Vec<String>>,
    /// What was made.
    pub made: Made,
    /// The rows that are right, and given for the first time.
    pub right: Vec<Push>,
    /// The rows that are wrong, as they should be.
    pub spoilt: Vec<Push>,
}

/// The tables of a department: one of the province has penalties in an old file,
/// one of a county licences in a workbook, one of a city another item.
pub fn tables_of(world: &World, dept: Dept, maker: &mut Maker<'_>) -> Vec<Table> {
    let kinds = [
        ("administrative-penalty", Level::Province, Writing::OldCsv),
        ("administrative-licence", Level::County, Writing::Xlsx),
        ("inspection", Level::City, Writing::PlainCsv),
    ];
    let mut tables = Vec::new();
    for (record_type, level, writing) in kinds {
        let reports = |dept: &Dept| world.reported_by(*dept).any(|item| item.id == record_type);
        let of_level = |dept: &Dept| world.department(*dept).level == level;
        let mut reporters = world.depts().filter(reports).filter(of_level);
        if reporters.next_back() == Some(dept) {
            let item = maker.item(record_type);
            tables.push(table(world, dept, item, writing, maker));
        }
    }
    tables
}

fn table<'a>(
    world: &World,
    dept: Dept,
    item: &'a RecordType,
    writing: Writing,
    maker: &mut Maker<'a>,
) -> Table {
    let form = world.pack.forms_for(&item.id).next().cloned();
    let form = form.unwrap_or_else(|| Form::plain(item));
    let columns: Vec<&FormColumn> = form
        .columns
        .iter()
        .filter(|column| column.to != Target::Ignored)
        .collect();
    let mut made = Made::default();
    let (mut right, mut spoilt) = (Vec::new(), Vec::new());
    let mut rows = vec![columns.iter().map(|c| title(c, writing)).collect()];
    for number in 0..ROWS {
        let push = maker.for_table(item);
        let mut cells: Vec<String> = columns
            .iter()
            .map(|column| cell(column, item, &push.record, number))
            .collect();
        if number % WRONG_EVERY == WRONG_EVERY - 1 {
            made.wrong += 1;
            made.faults += spoil(&columns, item, &mut cells, number / WRONG_EVERY);
            rows.push(cells);
            spoilt.push(push);
            continue;
        }
        made.right += 1;
        right.push(push);
        if number.is_multiple_of(AGAIN_EVERY) {
            made.again += 1;
            rows.push(cells.clone());
            // A workbook has no rows without a cell.
            if writing != Writing::Xlsx {
                made.blank += 1;
                rows.push(vec![String::new(); columns.len()]);
            }
        }
        rows.push(cells);
    }
    let (name, extension) = match writing {
        Writing::OldCsv => ("gb18030", "csv"),
        Writing::Xlsx => ("2026", "xlsx"),
        Writing::PlainCsv => ("plain", "csv"),
    };
    Table {
        file_name: format!("{}-{name}.{extension}", item.id),
        dept,
        record_type: item.id.clone(),
        writing,
        heading: form.name_zh.unwrap_or(form.name),
        rows,
        made,
        right,
        spoilt,
    }
}

fn title(column: &FormColumn, writing: Writing) -> String {
    let old = |title: &&str| OLD_KEYS.iter().any(|key| title.starts_with(key));
    let old = column.titles().find(old);
    match writing {
        Writing::OldCsv => old.unwrap_or(&column.title).to_owned(),
        Writing::Xlsx | Writing::PlainCsv => column.title.clone(),
    }
}

fn cell(column: &FormColumn, item: &RecordType, record: &RecordContent, row: usize) -> String {
    match &column.to {
        Target::Subject(Scheme::CnUscc) => code(&record.subject),
        Target::CheckId => record.check_id.clone(),
        Target::Subject(_) | Target::Ignored => String::new(),
        Target::DocumentNumber => record.document_number.clone(),
        Target::DecidedOn => day(&record.decided_on, row),
        Target::ValidFrom => day(&record.valid_from, row),
        Target::ValidUntil => day(&record.valid_until, row),
        Target::Field(name) => {
            let field = record.fields.iter().find(|field| field.name == *name);
            let value = field.map_or("", |field| &field.value);
            match item.field(name).map(|rule| rule.kind) {
                Some(FieldKind::Date) => day(value, row),
                Some(FieldKind::Identifier) => code(value),
                _ => value.to_owned(),
            }
        }
    }
}

/// A code as people write it: without its scheme.
fn code(identifier: &str) -> String {
    let code = identifier.strip_prefix("cn-uscc:");
    code.unwrap_or(identifier).to_owned()
}

/// A day as people write it.
fn day(iso: &str, row: usize) -> String {
    let Ok(date) = iso.parse::<Date>() else {
        return String::new();
    };
    let (year, month, day) = (date.year(), date.month(), date.day());
    match row % 3 {
        0 => iso.to_owned(),
        1 => format!("{year}/{month}/{day}"),
        _ => format!("{year}年{month}月{day}日"),
    }
}

/// Makes a row wrong in one of several ways; returns how many faults it has then.
fn spoil(columns: &[&FormColumn], item: &RecordType, cells: &mut [String], way: usize) -> u64 {
    let at = |wanted: &dyn Fn(&Target) -> bool| columns.iter().position(|c| wanted(&c.to));
    let field = |wanted: &dyn Fn(&tally_domain::policy::FieldRule) -> bool| {
        at(&|to| match to {
            Target::Field(name) => item.field(name).is_some_and(wanted),
            _ => false,
        })
    };
    let subject = at(&|to| *to == Target::Subject(Scheme::CnUscc));
    let decided_on = at(&|to| *to == Target::DecidedOn);
    let ways: [(Option<usize>, &str); 7] = [
        (subject, "a code with a slip"),
        (field(&|rule| !rule.choices.is_empty()), "whatever"),
        (decided_on, "the day after tomorrow"),
        (at(&|to| *to == Target::DocumentNumber), ""),
        (field(&|rule| rule.required && rule.choices.is_empty()), ""),
        (field(&|rule| rule.kind == FieldKind::Money), "a lot"),
        (decided_on, "2030-01-01"),
    ];
    let mut faults = 0;
    let mut spoil = |place: Option<usize>, text: &str| {
        let Some(cell) = place.and_then(|place| cells.get_mut(place)) else {
            return;
        };
        *cell = match place == subject {
            true => identifiers::broken(cell),
            false => text.to_owned(),
        };
        faults += 1;
    };
    match ways[way % ways.len()] {
        // Nothing of the kind in this table: a slip in the code instead.
        (None, _) => spoil(subject, ""),
        (place, text) => spoil(place, text),
    }
    if way >= ways.len() && ways[way % ways.len()].0 != subject {
        spoil(subject, "");
    }
    faults
}

impl Table {
    /// The file.
    ///
    /// # Errors
    ///
    /// The workbook cannot be put together: a defect of the demo.
    pub fn bytes(&self) -> Result<Vec<u8>, XlsxError> {
        match self.writing {
            Writing::Xlsx => self.workbook(),
            Writing::PlainCsv => Ok(self.text().into_bytes()),
            Writing::OldCsv => {
                let text = format!("{}\n{}", self.heading, self.text());
                Ok(encoding_rs::GB18030.encode(&text).0.into_owned())
            }
        }
    }

    fn text(&self) -> String {
        let quoted = |cell: &String| format!("\"{}\"", cell.replace('"', "\"\""));
        let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\n";
        self.rows.iter().map(line).collect()
    }

    fn workbook(&self) -> Result<Vec<u8>, XlsxError> {
        let mut workbook = Workbook::new();
        let sheet = workbook.add_worksheet();
        let last = self.rows[0].len() - 1;
        let last = u16::try_from(last).expect("a form has some dozen columns");
        sheet.merge_range(0, 0, 0, last, &self.heading, &Format::new())?;
        for (row, cells) in (1..).zip(&self.rows) {
            for (column, cell) in (0..).zip(cells) {
                sheet.write_string(row, column, cell)?;
            }
        }
        workbook.save_to_buffer()
    }
}
