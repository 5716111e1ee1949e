//! Which form a table has.

use std::path::Path;

use tally_catalog::pack::{form_from_text, read_text};
use tally_domain::policy::{Form, Pack};

use super::super::output::Failure;

/// The form for a record type: the one that is named, the only one that the
/// pack has, or the catalogue's own names.
///
/// # Errors
///
/// The pack has no such type or form, or several forms: says which there are.
pub(in crate::cli) fn pick_form(
    pack: &Pack,
    item: &str,
    form: Option<&str>,
) -> Result<Form, Failure> {
    let Some(record_type) = pack.record_type(item) else {
        let known: Vec<_> = pack.record_types.keys().map(String::as_str).collect();
        return Err(
            Failure::usage(format!("the policy pack has no record type `{item}`"))
                .or_try(format!("there are: {}", known.join(", "))),
        );
    };
    let known: Vec<&Form> = pack.forms_for(item).collect();
    let names = || {
        let names: Vec<_> = known.iter().map(|form| form.id.as_str()).collect();
        format!("there are: {}", names.join(", "))
    };
    match (form, known.as_slice()) {
        (Some(id), known) => match known.iter().find(|form| form.id == id) {
            Some(form) => Ok((*form).clone()),
            None => Err(Failure::usage(format!(
                "record type `{item}` has no form `{id}` in the policy pack"
            ))
            .or_try(names())),
        },
        (None, [only]) => Ok((*only).clone()),
        (None, []) => Ok(Form::plain(record_type)),
        (None, _) => Err(Failure::usage(format!(
            "record type `{item}` has several forms; name one by --form"
        ))
        .or_try(names())),
    }
}

/// The form that a mapping file describes.
///
/// # Errors
///
/// What is wrong with the file, or with what it says of the record type.
pub(super) fn mapping(path: &Path, pack: &Pack) -> Result<Form, Failure> {
    let name = path.display().to_string();
    let text = read_text(path).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let form = form_from_text(&name, &text).map_err(|faults| {
        let faults = faults.into_iter().map(|fault| {
            let place = format!("{}:{}:{}", fault.file, fault.line, fault.column);
            (place, fault.message)
        });
        Failure::faults("the mapping cannot be read".to_owned(), faults)
    })?;
    let Some(record_type) = pack.record_type(&form.record_type) else {
        return Err(Failure::usage(format!(
            "{name}: the policy pack has no record type `{}`",
            form.record_type
        )));
    };
    let faults = form.faults(record_type);
    if faults.is_empty() {
        return Ok(form);
    }
    let faults = faults
        .into_iter()
        .map(|(field, message)| (format!("{name}: {field}"), message));
    Err(Failure::faults(
        "the mapping does not suit its record type".to_owned(),
        faults,
    ))
}
