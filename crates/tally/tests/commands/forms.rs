//! Tables that were filled in before the pack had a form for them, and tables of others.

use super::tables::{read, write};
use super::{COMPANY, another_version, day, mesh, refused, tally};
use crate::process::Place;

const HEADINGS: &str = "统一社会信用代码,文书号,决定日期,party_name,penalty_category";

/// A form that the small pack does not have.
const FORM: &str = r#"
[[form]]
id = "sheet"
name = "Penalty sheet"
record_type = "administrative-penalty"
columns = [
    { title = "Code", to = "subject.cn-uscc" },
    { title = "Company", to = "fields.party_name" },
    { title = "Kind", to = "fields.penalty_category" },
    { title = "Number", to = "document_number" },
    { title = "Day", to = "decided_on" },
]
"#;

/// A table of three penalties under the catalogue's own names.
fn table(place: &Place, second: &str) -> String {
    let code = COMPANY.trim_start_matches("cn-uscc:");
    let day = day(-3);
    let row =
        |number: u32, kind: &str| format!("{code},penalty {number},{day},Example Ltd,{kind}\n");
    let rows = [row(1, "fine"), row(2, second), row(3, "fine")].concat();
    let file = place.file("penalties.csv");
    std::fs::write(&file, format!("{HEADINGS}\n{rows}")).expect("written");
    file.display().to_string()
}

#[test]
fn what_a_row_says_past_the_titles_is_a_fault_of_the_row() {
    let (place, _server) = mesh();
    // A comma that is not quoted moves what follows it.
    let file = table(&place, "fine,by instalments");
    let import = |file: &str| format!("--as market import {file} --item administrative-penalty");
    let of_text = [
        "row 3: in quarantine as",
        "past the last title",
        "(FIELD_UNKNOWN)",
        "3 rows: accepted 2, known before 0, quarantined 1, refused 0",
    ];
    tally(&place, &import(&file)).exits(2).says(&of_text);
    let report = place.file("penalties.csv.faults.xlsx");
    let mut rows = read(&report);
    let last = rows[1].cells.pop();
    assert_eq!(last.as_deref(), Some("by instalments"), "{:?}", rows[1]);
    // A workbook loses it no more than a text file, and keeps the place in quarantine.
    let as_it_was = place.file("again.xlsx");
    std::fs::copy(&report, &as_it_was).expect("copied");
    let of_workbook = [
        "row 2: in quarantine as",
        of_text[1],
        "accepted 0",
        "quarantined 1",
    ];
    tally(&place, &import(&as_it_was.display().to_string()))
        .exits(2)
        .says(&of_workbook);
    let corrected = place.file("corrected.xlsx");
    write(&corrected, &rows);
    tally(&place, &import(&corrected.display().to_string()))
        .exits(0)
        .says(&["1 rows: accepted 1"]);
}

#[test]
fn a_form_that_comes_later_leaves_no_table_behind() {
    let (place, _server) = mesh();
    let file = table(&place, "");
    let import = |file: &str| format!("--as market import {file} --item administrative-penalty");
    let first = tally(&place, &import(&file)).exits(2);
    first.says(&["accepted 2", "quarantined 1"]);

    let pack = place.file("pack");
    tally(&place, &format!("policy new {}", pack.display())).exits(0);
    another_version(&pack);
    std::fs::write(pack.join("forms.toml"), FORM).expect("written");
    tally(&place, &format!("policy diff {}", pack.display()))
        .exits(0)
        .says(&["records of `administrative-penalty` have the form `Penalty sheet`"]);
    tally(&place, &format!("policy load {}", pack.display())).exits(0);

    // The table, and the report on it, both older than the form.
    let again = tally(&place, &import(&file)).exits(2);
    again.says(&["known before 2", "quarantined 1"]);
    let report = format!("{file}.faults.xlsx");
    let still = tally(&place, &import(&report)).exits(2);
    still.says(&["1 rows", "FIELD_REQUIRED"]);
    let csv = place.file("template.csv");
    let template = format!("template administrative-penalty --out {}", csv.display());
    tally(&place, &template).exits(0);
    let titles = std::fs::read_to_string(&csv).expect("a template");
    assert!(titles.contains("Code,Company*,Kind*"), "{titles}");
}

#[test]
fn who_may_not_push_such_records_is_told_once() {
    let (place, _server) = mesh();
    let file = place.file("licences.csv");
    let code = COMPANY.trim_start_matches("cn-uscc:");
    // The template's own titles: a field has the name of a column that every record has.
    let titles = "统一社会信用代码,文书号,决定日期,行政相对人名称,许可类别,许可内容,有效期自";
    let day = day(-3);
    let row =
        |number: u32| format!("{code},licence {number},{day},Example Ltd,general,All,{day}\n");
    let rows = [row(1), row(2), row(3)].concat();
    std::fs::write(&file, format!("{titles}\n{rows}")).expect("written");
    let import = format!("import {} --item administrative-licence", file.display());
    let (reason, people) = refused(&place, "resources", &import, 3);
    assert_eq!(reason, "RIGHT_MISSING");
    assert_eq!(people.err.matches("RIGHT_MISSING").count(), 1, "{people:?}");
    people.says(&[
        "administrative-licence",
        "nothing was imported",
        "tally rights",
    ]);
    // The same where the certificate opens no stream at all, and where the table has other titles.
    refused(&place, "operator", &import, 3);
    let other = format!("import {} --item administrative-penalty", file.display());
    refused(&place, "market", &other, 2);
    // Nothing is beside the table, and whoever may goes through with it.
    let beside = place.file("").read_dir().expect("a directory").flatten();
    let names = beside.map(|it| it.file_name().to_string_lossy().into_owned());
    let left: Vec<_> = names
        .filter(|name| name.starts_with("licences.csv."))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    let done = tally(&place, &format!("--as market {import}")).exits(0);
    done.says(&["accepted 3"]);
}
