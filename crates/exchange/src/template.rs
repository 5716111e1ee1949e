//! Templates, made from the catalogue so that they cannot drift from it.

use rust_xlsxwriter::{DataValidation, Format, FormatAlign, FormatBorder, Workbook, XlsxError};
use tally_domain::policy::{FieldKind, FieldRule, Form, FormColumn, RecordType, Target};

/// Rows of a template for which choices are offered.
const OFFERED_ROWS: u32 = 10_000;

/// Choices that Excel takes in one list, in characters.
const CHOICES_CHARS_MAX: usize = 255;

/// Name of the sheet that explains the columns.
const NOTES_SHEET: &str = "columns";

/// The columns of a template: what is ignored has no place in a new table.
fn columns(form: &Form) -> impl Iterator<Item = &FormColumn> {
    form.columns
        .iter()
        .filter(|column| column.to != Target::Ignored)
}

fn rule<'a>(record_type: &'a RecordType, column: &FormColumn) -> Option<&'a FieldRule> {
    match &column.to {
        Target::Field(name) => record_type.field(name),
        _ => None,
    }
}

fn is_required(record_type: &RecordType, column: &FormColumn) -> bool {
    match &column.to {
        Target::DocumentNumber | Target::DecidedOn => true,
        _ => rule(record_type, column).is_some_and(|rule| rule.required),
    }
}

fn title(record_type: &RecordType, column: &FormColumn) -> String {
    let star = if is_required(record_type, column) {
        "*"
    } else {
        ""
    };
    format!("{}{star}", column.title)
}

/// What may stand in a column, for people.
fn explained(record_type: &RecordType, column: &FormColumn) -> String {
    let Some(rule) = rule(record_type, column) else {
        return match &column.to {
            Target::Subject(scheme) => {
                format!("whom the record is about, by {scheme}; one such column is needed")
            }
            Target::DecidedOn | Target::ValidFrom => "a day such as 2026-01-31".to_owned(),
            Target::ValidUntil => "a day such as 2026-01-31; empty or 长期: no end".to_owned(),
            Target::CheckId => "the check made before the decision: its id, a UUID".to_owned(),
            _ => "text".to_owned(),
        };
    };
    let kind = match rule.kind {
        FieldKind::Text => "text".to_owned(),
        FieldKind::PersonalText => "text that is sealed".to_owned(),
        FieldKind::PersonalId => "a person's identity number, sealed".to_owned(),
        FieldKind::Date => "a day such as 2026-01-31".to_owned(),
        FieldKind::Money => "an amount in ten thousand yuan (万元), such as 1.5".to_owned(),
        FieldKind::Integer => "a whole number".to_owned(),
        FieldKind::Identifier => "a unified social credit code".to_owned(),
    };
    let chars = rule
        .max_chars
        .map(|chars| format!(", at most {chars} characters"));
    let choices =
        (!rule.choices.is_empty()).then(|| format!("; one of {}", rule.choices.join(", ")));
    let open = rule
        .open_choice
        .as_ref()
        .map(|open| format!(", or {open}…"));
    [Some(kind), chars, choices, open]
        .into_iter()
        .flatten()
        .collect()
}

/// A template as text: the titles, comma separated, with a mark that lets
/// spreadsheets know it as UTF-8.
///
/// # Errors
///
/// None: the titles are in memory; the type is that of the writer.
pub fn csv(form: &Form, record_type: &RecordType) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(b"\xef\xbb\xbf".to_vec());
    writer.write_record(columns(form).map(|column| title(record_type, column)))?;
    writer
        .into_inner()
        .map_err(|error| error.into_error().into())
}

/// A template as a workbook: title, columns with their choices, and a sheet
/// that explains them.
///
/// # Errors
///
/// A title that no cell can hold: shorten it in the pack.
pub fn xlsx(form: &Form, record_type: &RecordType) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    let bold = Format::new()
        .set_bold()
        .set_text_wrap()
        .set_align(FormatAlign::Center)
        .set_align(FormatAlign::VerticalCenter)
        .set_border(FormatBorder::Thin);
    // Codes and numbers of documents are texts: a spreadsheet must not round them.
    let text = Format::new().set_num_format("@");
    let sheet = workbook.add_worksheet();
    let count = u16::try_from(columns(form).count()).unwrap_or(u16::MAX);
    let name = form.name_zh.as_deref().unwrap_or(&form.name);
    match count {
        0 | 1 => {
            sheet.write_string_with_format(0, 0, name, &bold)?;
        }
        count => {
            sheet.merge_range(0, 0, 0, count - 1, name, &bold)?;
        }
    }
    for (at, column) in (0u16..).zip(columns(form)) {
        sheet.set_column_format(at, &text)?;
        sheet.set_column_width(at, 18)?;
        sheet.write_string_with_format(1, at, title(record_type, column), &bold)?;
        let rule = rule(record_type, column).filter(|rule| rule.open_choice.is_none());
        let choices = rule
            .map(|rule| &rule.choices)
            .filter(|choices| !choices.is_empty());
        let fits = |choices: &&Vec<String>| choices.join(",").chars().count() <= CHOICES_CHARS_MAX;
        if let Some(choices) = choices.filter(fits) {
            let offered = DataValidation::new().allow_list_strings(choices)?;
            sheet.add_data_validation(2, at, 1 + OFFERED_ROWS, at, &offered)?;
        }
    }
    sheet.set_freeze_panes(2, 0)?;
    let notes = workbook.add_worksheet().set_name(NOTES_SHEET)?;
    for (row, column) in (0u32..).zip(columns(form)) {
        notes.write_string(row, 0, title(record_type, column))?;
        notes.write_string(row, 1, explained(record_type, column))?;
    }
    notes.set_column_width(0, 40)?;
    notes.set_column_width(1, 80)?;
    workbook.save_to_buffer()
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use tally_catalog::pack::BuiltIn;

    use super::*;
    use crate::columns::{Columns, with_own_names};
    use crate::table;

    fn read(path: &std::path::Path) -> Vec<table::Row> {
        let mut rows = Vec::new();
        table::read(path, &AtomicU64::new(0), &mut |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })
        .expect("a table");
        rows
    }

    #[test]
    fn a_template_without_a_form_has_the_titles_that_people_read() {
        let pack = BuiltIn::Province
            .load()
            .expect("the built-in pack is consistent");
        let record_type = pack.record_type("tax-credit").expect("in the pack");
        assert_eq!(pack.forms_for("tax-credit").count(), 0, "it has no form");
        let form = Form::plain(record_type);
        let titles: Vec<&str> = form.columns.iter().map(|it| it.title.as_str()).collect();
        assert_eq!(titles[0], "统一社会信用代码");
        for rule in &record_type.fields {
            let name = rule.name_zh.as_deref().expect("the pack names it");
            assert!(titles.contains(&name), "{titles:?} lack {name}");
        }
        // Who knows the catalogue's names may use them.
        let names: Vec<String> = form.columns.iter().map(|it| it.also[0].clone()).collect();
        let row = table::Row {
            number: 1,
            cells: names,
        };
        let columns = Columns::find(&Arc::new(form), record_type, &[row]).expect("its names");
        assert_eq!(columns.unknown, Vec::<String>::new());

        let mut english = record_type.clone();
        english.name_zh = None;
        english
            .fields
            .iter_mut()
            .for_each(|rule| rule.name_zh = None);
        let form = Form::plain(&english);
        assert!(
            form.columns.iter().all(|it| it.title.is_ascii()),
            "{form:?}"
        );
        // A title that two fields would have is the title of neither.
        let mut same = record_type.clone();
        for rule in &mut same.fields {
            rule.name_zh = Some("备注".to_owned());
        }
        assert_eq!(Form::plain(&same).faults(&same), []);
    }

    #[test]
    fn a_table_made_before_its_type_had_a_form_is_read_as_before() {
        let pack = BuiltIn::Province
            .load()
            .expect("the built-in pack is consistent");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("template");
        for form in pack.forms.values() {
            let record_type = pack.record_type(&form.record_type).expect("in the pack");
            let before = Form::plain(record_type);
            assert_ne!(before.columns[0].title, form.columns[0].title);
            std::fs::write(&path, csv(&before, record_type).expect("text")).expect("written");
            let both = Arc::new(with_own_names(form, record_type));
            assert_eq!(both.faults(record_type), [], "{}", form.id);
            let columns = Columns::find(&both, record_type, &read(&path)).expect("its old titles");
            assert_eq!(columns.unknown, Vec::<String>::new(), "{}", form.id);
            // Nothing of the form itself is another.
            for (own, both) in form.columns.iter().zip(&both.columns) {
                assert_eq!((&own.title, &own.to), (&both.title, &both.to));
                assert!(both.also.starts_with(&own.also));
            }
        }
    }

    #[test]
    fn a_title_of_the_form_keeps_its_meaning() {
        let pack = BuiltIn::Province
            .load()
            .expect("the built-in pack is consistent");
        let record_type = pack.record_type("tax-credit").expect("in the pack");
        let mut form = Form::plain(record_type);
        // Here `decided_on` is no column of the record, and the day is the same in every row.
        form.columns.retain(|column| column.to != Target::DecidedOn);
        form.columns.push(FormColumn {
            title: "Decided_On".to_owned(),
            also: vec!["决定日期".to_owned()],
            to: Target::Ignored,
            values: Vec::new(),
        });
        let both = with_own_names(&form, record_type);
        assert!(both.columns.iter().all(|it| it.to != Target::DecidedOn));
        form.columns.pop();
        assert!(with_own_names(&form, record_type).columns.len() > form.columns.len());
        form.constants
            .insert(Target::DecidedOn, "2026-01-02".to_owned());
        assert_eq!(with_own_names(&form, record_type), form);
    }

    #[test]
    fn a_template_is_a_table_of_its_form() {
        let packs = [BuiltIn::Small, BuiltIn::Province].map(|built_in| {
            let loaded = built_in.load();
            loaded.expect("the built-in pack is consistent")
        });
        let directory = tempfile::tempdir().expect("a temporary directory");
        let types = packs
            .iter()
            .flat_map(|pack| pack.record_types.values().map(move |it| (pack, it)));
        for (pack, record_type) in types {
            let plain = Form::plain(record_type);
            let form = pack.forms_for(&record_type.id).next().unwrap_or(&plain);
            assert_eq!(form.faults(record_type), []);
            let made = [
                csv(form, record_type).expect("text"),
                xlsx(form, record_type).expect("a workbook"),
            ];
            for bytes in made {
                let path = directory.path().join("template");
                std::fs::write(&path, bytes).expect("written");
                let columns = Columns::find(&Arc::new(form.clone()), record_type, &read(&path))
                    .expect("its own titles");
                assert_eq!(columns.unknown, Vec::<String>::new());
                let used = form
                    .columns
                    .iter()
                    .filter(|column| column.to != Target::Ignored);
                assert_eq!(columns.titles.len(), used.count(), "{}", record_type.id);
            }
        }
    }
}
