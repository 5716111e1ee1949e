//! A row as the record that it states.

use tally_domain::identifier::Scheme;
use tally_domain::policy::{FieldKind, RecordType, Target};

use crate::columns::Columns;
use crate::table::Row;
use crate::value;

/// Name under which a row states what it says past the last title. No record type has such a field,
/// so that collection refuses the row, with its other faults, rather than that the text is lost.
pub const UNTITLED: &str = "tally:untitled";

/// Path by which collection names that text: it knows no field of the name, and the text is first.
pub(crate) const UNTITLED_PATH: &str = "record.fields[0]";

/// What a row states. Without `Debug`: it may name persons.
#[derive(Default, PartialEq, Eq)]
pub struct Stated {
    /// Whom it is about, `scheme:value`; empty if no code is given.
    pub subject: String,
    /// Number of the decision document.
    pub document_number: String,
    /// Day of the decision.
    pub decided_on: String,
    /// First day it holds.
    pub valid_from: String,
    /// Last day it holds.
    pub valid_until: String,
    /// Id of the check that was made before the decision.
    pub check_id: String,
    /// Fields by name, in the order of the table.
    pub fields: Vec<(String, String)>,
}

/// Reads a row. What cannot be read stays as it is written: collection judges
/// it, and names every fault of the row at once.
pub fn read(columns: &Columns, record_type: &RecordType, row: &Row) -> Stated {
    let mut stated = Stated::default();
    let untitled = columns.untitled(row);
    let untitled = untitled.map(|text| (UNTITLED.to_owned(), text));
    stated.fields.extend(untitled);
    let mut subject = None;
    let cells = columns.cells(row).filter(|(_, cell)| !cell.is_empty());
    let cells = cells.map(|(column, cell)| {
        let translated = column.values.iter().find(|[from, _]| from == cell);
        (&column.to, translated.map_or(cell, |[_, to]| to.as_str()))
    });
    for (target, cell) in cells.chain(columns.constants()) {
        match target {
            // The best code wins, in whatever order the columns stand.
            Target::Subject(scheme) => {
                let value = match scheme {
                    Scheme::NameRegion => cell.to_owned(),
                    Scheme::CnUscc | Scheme::CnOrgCode => value::code(cell),
                };
                if subject.as_ref().is_none_or(|(known, _)| scheme < known) {
                    subject = Some((*scheme, value));
                }
            }
            Target::Ignored => {}
            Target::DocumentNumber => stated.document_number = cell.to_owned(),
            Target::DecidedOn => stated.decided_on = value::date(cell),
            Target::ValidFrom => stated.valid_from = value::date(cell),
            Target::ValidUntil => stated.valid_until = value::last_day(cell),
            Target::CheckId => stated.check_id = value::code(cell),
            Target::Field(name) => {
                let kind = record_type.field(name).map(|rule| rule.kind);
                stated.fields.push((name.clone(), field(kind, cell)));
            }
        }
    }
    stated.subject =
        subject.map_or_else(String::new, |(scheme, value)| format!("{scheme}:{value}"));
    stated
}

fn field(kind: Option<FieldKind>, cell: &str) -> String {
    match kind {
        Some(FieldKind::Date) => value::date(cell),
        Some(FieldKind::Money) => value::amount(cell),
        Some(FieldKind::Integer | FieldKind::PersonalId) => value::code(cell),
        Some(FieldKind::Identifier) => {
            let code = value::code(cell);
            if code.contains(':') {
                code
            } else {
                format!("{}:{code}", Scheme::CnUscc)
            }
        }
        Some(FieldKind::Text | FieldKind::PersonalText) | None => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests;
