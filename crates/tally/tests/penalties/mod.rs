//! The penalty template filled in by a machine: as many rows as one likes, two
//! in a hundred of them wrong in one of many ways, and what is to become of each.
//!
//! The same size and day give the same bytes.

// Each test binary uses its own part of this.
#![allow(dead_code)]

mod row;

use std::collections::BTreeMap;
use std::io::{self, Write};

use jiff::civil::Date;
use tally_catalog::pack::BuiltIn;
use tally_domain::policy::{Pack, Target};

pub use row::{MARKET, Row};

/// The record type of the template.
pub const ITEM: &str = "administrative-penalty";

/// One row in so many is wrong.
pub const ROWS_PER_FAULT: u64 = 50;

/// A way in which a row is wrong: its name, what is done to the row, and the
/// faults that are to be reported.
pub struct Kind {
    /// Name, for people.
    pub name: &'static str,
    /// Spoils a row.
    pub spoil: fn(&mut Row),
    /// Field and reason of each fault; none: the row is known already.
    pub faults: &'static [(&'static str, &'static str)],
}

const fn kind(
    name: &'static str,
    spoil: fn(&mut Row),
    faults: &'static [(&'static str, &'static str)],
) -> Kind {
    Kind {
        name,
        spoil,
        faults,
    }
}

const NAME: &str = "record.fields.party_name";
const SUBJECT: &str = "record.subject";

/// The ways.
pub const KINDS: [Kind; 24] = [
    kind(
        "a required cell is empty",
        |row| row.name.clear(),
        &[(NAME, "FIELD_REQUIRED")],
    ),
    kind(
        "a code with a wrong check character",
        Row::wrong_check,
        &[(SUBJECT, "IDENTIFIER_CHECK_CHARACTER")],
    ),
    kind(
        "a code that is too short",
        |row| row.code.truncate(17),
        &[(SUBJECT, "IDENTIFIER_LENGTH")],
    ),
    kind(
        "the letter O for a zero",
        |row| row.code.replace_range(2..3, "O"),
        &[(SUBJECT, "IDENTIFIER_CHARACTER")],
    ),
    kind(
        "no code at all",
        |row| row.code.clear(),
        &[(SUBJECT, "IDENTIFIER_SCHEME_MISSING")],
    ),
    kind(
        "an organisation code alone, and that wrong",
        Row::wrong_organisation_code,
        &[(SUBJECT, "IDENTIFIER_CHECK_CHARACTER")],
    ),
    kind(
        "a day that does not exist",
        |row| row.decided_on = "2026-02-30".into(),
        &[("record.decided_on", "DATE_NO_SUCH_DAY")],
    ),
    kind(
        "a year of two digits",
        |row| row.decided_on = row.day.strftime("%y/%m/%d").to_string(),
        &[("record.decided_on", "DATE_FORM")],
    ),
    kind(
        "no day",
        |row| row.decided_on.clear(),
        &[("record.decided_on", "FIELD_REQUIRED")],
    ),
    kind(
        "a decision of tomorrow",
        Row::tomorrow,
        &[("record.decided_on", "DATE_IN_FUTURE")],
    ),
    kind(
        "a decision that is too old",
        |row| row.decided_on = "2016年5月4日".into(),
        &[("record.decided_on", "BACKFILL_TOO_OLD")],
    ),
    kind(
        "an end before the beginning",
        |row| row.valid_until = "2017-01-01".into(),
        &[("record.valid_until", "DATES_REVERSED")],
    ),
    kind(
        "an amount in words",
        |row| row.fine = "约三万元".into(),
        &[("record.fields.fine", "AMOUNT_NOT_A_DECIMAL")],
    ),
    kind(
        "an amount finer than a fen",
        |row| row.fine = "0.0000005".into(),
        &[("record.fields.fine", "AMOUNT_FINER_THAN_FEN")],
    ),
    kind(
        "a text that is too long",
        |row| row.name = "甲".repeat(201),
        &[(NAME, "TEXT_TOO_LONG")],
    ),
    kind(
        "a word that is no choice",
        |row| row.category = "罚站".into(),
        &[("record.fields.penalty_category", "VALUE_NOT_A_CHOICE")],
    ),
    kind(
        "another authority's code, mistyped",
        |row| row.authority_code = "11990000MB00010702".into(),
        &[("record.fields.authority_code", "IDENTIFIER_CHECK_CHARACTER")],
    ),
    kind(
        "a sign that cannot be seen",
        |row| row.violation = "无\u{7}证".into(),
        &[("record.fields.violation_type", "CONTROL_CHARACTERS")],
    ),
    kind(
        "a person's number in a text",
        |row| row.facts = "当事人 999999200002291230 经营".into(),
        &[("record.fields.violation_facts", "PERSON_NUMBER_IN_TEXT")],
    ),
    kind(
        "a person's number, mistyped",
        |row| row.person = "999999200002291231".into(),
        &[(
            "record.fields.legal_representative_id",
            "RESIDENT_ID_CHECK_CHARACTER",
        )],
    ),
    kind(
        "a number of no length",
        |row| row.number = "〔2026〕".repeat(60),
        &[("record.document_number", "DOCUMENT_NUMBER_LENGTH")],
    ),
    kind("a row that stands there already", Row::again, &[]),
    kind(
        "a number that stands there with another content",
        Row::again_differently,
        &[("record.fields.penalty_content", "RECORD_EXISTS_DIFFERENT")],
    ),
    kind(
        "two faults",
        |row| {
            row.category = "罚站".into();
            row.fine = "许多".into();
        },
        &[
            ("record.fields.fine", "AMOUNT_NOT_A_DECIMAL"),
            ("record.fields.penalty_category", "VALUE_NOT_A_CHOICE"),
        ],
    ),
];

/// What was written.
pub struct Table {
    /// Rows of data.
    pub rows: u64,
    /// Rows that are to be taken.
    pub new: u64,
    /// Rows that are known already.
    pub known: u64,
    /// Rows that are to be refused, by their number in the file, with the kind.
    pub refused: BTreeMap<u64, &'static Kind>,
}

/// Writes a table of so many rows, as of a day.
pub fn write(out: &mut impl Write, rows: u64, today: Date) -> io::Result<Table> {
    let pack = pack();
    let form = pack.forms_for(ITEM).next().expect("the pack has its form");
    let targets: Vec<&Target> = form
        .columns
        .iter()
        .map(|column| &column.to)
        .filter(|target| **target != Target::Ignored)
        .collect();
    let record_type = pack.record_type(ITEM).expect("the pack has the type");
    let titles = tally_exchange::template::csv(form, record_type).map_err(io::Error::other)?;
    out.write_all(&titles)?;
    let mut writer = csv::Writer::from_writer(out);
    let mut table = Table {
        rows,
        new: 0,
        known: 0,
        refused: BTreeMap::new(),
    };
    for at in 0..rows {
        let mut row = Row::good(at, today);
        // The titles are the first row.
        let number = at + 2;
        match wrong(at) {
            None => table.new += 1,
            Some(kind) => {
                (kind.spoil)(&mut row);
                if kind.faults.is_empty() {
                    table.known += 1;
                } else {
                    table.refused.insert(number, kind);
                }
            }
        }
        writer.write_record(targets.iter().map(|target| row.cell(target)))?;
    }
    writer.flush()?;
    Ok(table)
}

/// In which way the row at this place is wrong.
fn wrong(at: u64) -> Option<&'static Kind> {
    let is_wrong = at % ROWS_PER_FAULT == ROWS_PER_FAULT - 1;
    is_wrong.then(|| &KINDS[(at / ROWS_PER_FAULT % KINDS.len() as u64) as usize])
}

/// The pack under which the table is right.
pub fn pack() -> Pack {
    let pack = BuiltIn::Province.load();
    pack.expect("the built-in pack is consistent")
}
