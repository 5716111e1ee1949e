//! Files as they should not be: whatever its bytes are, a file is a table or is
//! refused, and what reads it neither panics nor loses its place.
//!
//! `PROPTEST_CASES` says how many; `make fuzz` runs many more.

mod workbook;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};

use encoding_rs::GB18030;
use proptest::prelude::*;
use tally_catalog::pack::BuiltIn;
use tally_domain::policy::Pack;
use tally_exchange::columns::Columns;
use tally_exchange::table::{self, CELL_BYTES_MAX, CELLS_MAX, Row, TableError};
use tally_exchange::{record, template, value};

static PACK: LazyLock<Pack> = LazyLock::new(|| {
    let pack = BuiltIn::Province.load();
    pack.expect("the built-in pack is consistent")
});

fn config() -> ProptestConfig {
    ProptestConfig {
        // What is found becomes a test of its own.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Reads a file as an import does, to the records that it states.
fn import(bytes: &[u8]) -> Result<Vec<Row>, TableError> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("written");
    let mut rows: Vec<Row> = Vec::new();
    let read = read(file.path(), &mut rows);
    let mut last = 0;
    for row in &rows {
        assert!(row.number > last, "rows come in their order");
        assert!(row.cells.len() <= CELLS_MAX, "rows are bounded");
        assert!(row.cells.iter().all(|cell| cell.len() <= CELL_BYTES_MAX));
        last = row.number;
    }
    for form in PACK.forms.values() {
        let record_type = PACK.record_type(&form.record_type).expect("it has one");
        let Ok(columns) = Columns::find(&Arc::new(form.clone()), record_type, &rows) else {
            continue;
        };
        for row in &rows {
            let _ = record::read(&columns, record_type, row);
            let _ = (columns.is_titles(row), columns.quarantine(row));
        }
    }
    read.map(|()| rows)
}

fn read(path: &Path, rows: &mut Vec<Row>) -> Result<(), TableError> {
    table::read(path, &AtomicU64::new(0), &mut |row| {
        rows.push(row);
        ControlFlow::Continue(())
    })
}

/// The penalty template with two rows below it.
fn table() -> String {
    let form = PACK.forms.values().next().expect("it has forms");
    let record_type = PACK.record_type(&form.record_type).expect("it has one");
    let titles = template::csv(form, record_type).expect("text");
    let titles = String::from_utf8(titles).expect("UTF-8");
    let width = titles.trim_end().split(',').count();
    let row = [
        "甲公司",
        "9152000071430580XT",
        "罚〔2026〕1号",
        "2026年1月2日",
        "\"1,5\n\"\"元\"\"\"",
    ];
    let row: Vec<_> = row.into_iter().cycle().take(width).collect();
    let row = row.join(",");
    format!("行政处罚信息公示表\n{titles}{row}\n{row}\r\n")
}

static TEXTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let table = table();
    let utf16: Vec<u8> = [0xfe, 0xff]
        .into_iter()
        .chain(table.encode_utf16().flat_map(u16::to_be_bytes))
        .collect();
    let (gb18030, ..) = GB18030.encode(&table);
    vec![table.clone().into_bytes(), utf16, gb18030.into_owned()]
});

static WORKBOOKS: LazyLock<Vec<Vec<u8>>> =
    LazyLock::new(|| vec![workbook::written(true), workbook::written(false)]);

/// One change of some bytes: where, in ten-thousandths of their length; how many
/// are taken away; and what comes in their place.
type Change = (usize, usize, Vec<u8>);

fn change(with: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Change> {
    (0..10_000usize, 0..64usize, with)
}

fn changed(bytes: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, taken, with) in changes {
        let at = at * bytes.len() / 10_000;
        let end = (at + taken).min(bytes.len());
        bytes.splice(at..end, with.iter().copied());
    }
    bytes
}

fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..16)
}

/// What means something in a workbook.
fn any_markup() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "<c r=\"XFD1048576\"><v>1</v></c>",
        "<c t=\"s\"><v>99999999999</v></c>",
        "<c t=\"s\"><v>-1</v></c>",
        "<c t=\"d\" s=\"999999\"><v>x</v></c>",
        "<c s=\"1\"><v>1e308</v></c>",
        "<c s=\"1\"><v>-1</v></c>",
        "<c r=\"A0\"/>",
        "<c r=\"\"/>",
        "<row r=\"0\"/>",
        "<row r=\"18446744073709551615\"/>",
        "<row r=\"1\"/>",
        "<dimension ref=\"B2:A1\"/>",
        "<sst uniqueCount=\"99999999999999\">",
        "<si>",
        "</si>",
        "<rPh>",
        "<t>_xD800__x0000_</t>",
        "&#x0;",
        "&#1114112;",
        "&lol;",
        "<!DOCTYPE a [<!ENTITY lol \"lol\">]>",
        "<![CDATA[x",
        "<!--",
        "?>",
        "</worksheet>",
        "<sheetData>",
        "</sheetData>",
        "\" ",
        "=",
        "\u{0}",
    ];
    prop_oneof![
        prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        any_bytes(),
    ]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_bytes_are_a_table_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = import(&bytes);
    }

    #[test]
    fn any_text_is_a_table_or_refused(text in "([\\PC]{0,8}[,;\t\"\r\n'\u{0}]{0,3}){0,60}") {
        let _ = import(text.as_bytes());
    }

    #[test]
    fn a_changed_text_table_is_a_table_or_refused(
        which in 0..3usize, changes in prop::collection::vec(change(any_bytes()), 1..6),
    ) {
        let _ = import(&changed(&TEXTS[which], &changes));
    }

    #[test]
    fn a_changed_workbook_is_a_table_or_refused(
        which in 0..2usize, changes in prop::collection::vec(change(any_bytes()), 1..4),
    ) {
        let _ = import(&changed(&WORKBOOKS[which], &changes));
    }

    #[test]
    fn a_workbook_of_changed_parts_is_a_table_or_refused(
        which in 0..2usize, part in 0..100usize,
        changes in prop::collection::vec(change(any_markup()), 1..6),
    ) {
        let mut parts = workbook::parts(&WORKBOOKS[which]);
        let at = part % parts.len();
        parts[at].1 = changed(&parts[at].1, &changes);
        let _ = import(&workbook::packed(&parts));
    }

    #[test]
    fn values_are_read_or_left(text in "[0-9０-９年月日号.,/:TtX万元¥￥人民币CNYRMB长期永久 '`\u{0}-]{0,24}") {
        for read in [value::date(&text), value::last_day(&text), value::amount(&text)] {
            // What was read reads as itself.
            prop_assert_eq!(value::date(&value::date(&text)), value::date(&text));
            prop_assert!(read.len() <= 4 * text.len() + 16);
        }
        prop_assert_eq!(value::code(&value::code(&text)), value::code(&text));
    }
}

#[test]
fn what_is_changed_was_a_table() {
    for bytes in TEXTS.iter().chain(WORKBOOKS.iter()) {
        let rows = import(bytes).expect("a table");
        assert!(rows.len() >= 3, "{rows:?}");
    }
    let parts = workbook::parts(&WORKBOOKS[0]);
    assert_eq!(
        import(&workbook::packed(&parts)).ok(),
        import(&WORKBOOKS[0]).ok()
    );
}
