//! Files that would take all memory, read in a process of their own whose peak
//! is measured.

mod workbook;

use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicU64;

use tally_exchange::table;

/// Tells the test binary that it is the process which reads this file.
const FILE: &str = "TALLY_TEST_READ";

/// What a reader may take at its peak, the test binary included.
const PEAK_KIB_MAX: u64 = 64 * 1024;

/// Bytes of what is far too large.
const HUGE: usize = 192 * 1024 * 1024;

/// The process that reads: nothing unless it is asked to.
#[test]
fn reader() {
    let Ok(path) = std::env::var(FILE) else {
        return;
    };
    let mut rows = 0u64;
    let read = table::read(Path::new(&path), &AtomicU64::new(0), &mut |_| {
        rows += 1;
        ControlFlow::Continue(())
    });
    let end = read.map_or_else(|error| error.to_string(), |()| "read".to_owned());
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux says it");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    println!("@{rows}@{end}@{}@", peak.expect("it has a peak").trim());
}

/// Reads a file elsewhere, within bounds; gives the rows and how it ended.
#[track_caller]
fn read(bytes: &[u8]) -> (u64, String) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("written");
    let this = std::env::current_exe().expect("it has a path");
    let done = Command::new(this)
        .args(["--exact", "reader", "--nocapture"])
        .env(FILE, file.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let parts: Vec<&str> = said.split('@').collect();
    let [_, rows, end, peak, _] = parts[..] else {
        panic!(
            "the reader died: {said}\n{}",
            String::from_utf8_lossy(&done.stderr)
        );
    };
    let peak = peak.trim_end_matches(" kB").parse::<u64>();
    let peak = peak.expect("kibibytes");
    assert!(peak < PEAK_KIB_MAX, "{peak} KiB for: {end}");
    (rows.parse().expect("a number"), end.to_owned())
}

#[track_caller]
fn refused(bytes: &[u8], reason: &str) {
    let (_, end) = read(bytes);
    assert!(end.contains(reason), "{end}");
}

const SHEET: &str = "xl/worksheets/sheet1.xml";
const STRINGS: &str = "xl/sharedStrings.xml";

fn sheet(rows: impl Into<Vec<u8>>) -> Vec<u8> {
    let start = b"<worksheet><sheetData>".to_vec();
    let end = b"</sheetData></worksheet>".to_vec();
    workbook::with_part(SHEET, [start, rows.into(), end].concat())
}

fn around(start: &str, filling: &str, bytes: usize, end: &str) -> Vec<u8> {
    let filling = filling.repeat(bytes / filling.len());
    [start.as_bytes(), filling.as_bytes(), end.as_bytes()].concat()
}

#[test]
fn a_number_of_texts_that_a_workbook_names_is_not_believed() {
    let texts = "<sst uniqueCount=\"999999999999999\"><si><t>a</t></si></sst>";
    // Its sheet refers to texts that are not there.
    refused(
        &workbook::with_part(STRINGS, texts.into()),
        "a shared text of it is missing",
    );
}

#[test]
fn many_shared_texts_are_not_held_in_memory() {
    let text = format!("<si><t>{}</t></si>", "x".repeat(4_000));
    let texts = around("<sst>", &text, HUGE, "</sst>");
    let (rows, end) = read(&workbook::with_part(STRINGS, texts));
    assert_eq!((rows, end.as_str()), (4, "read"));
}

#[test]
fn a_text_without_an_end_is_refused() {
    let texts = around("<sst><si><t>", "x", HUGE, "</t></si></sst>");
    refused(&workbook::with_part(STRINGS, texts), "too long");
    let pieces = around(
        "<sst><si>",
        "<r><t>xxxxxxxxxxxxxxxx</t></r>",
        HUGE / 8,
        "</si></sst>",
    );
    refused(&workbook::with_part(STRINGS, pieces), "has more than");
    let entities = around("<sst><si><t>", "&amp;", HUGE / 32, "</t></si></sst>");
    refused(&workbook::with_part(STRINGS, entities), "has more than");
}

#[test]
fn a_tag_without_an_end_is_refused() {
    refused(&sheet(around("<row r=\"", "1", HUGE, "\"/>")), "too long");
    refused(&sheet(around("<row r=\"1\"/>", " ", HUGE, "")), "too long");
    refused(&sheet(around("<!--", "x", HUGE, "-->")), "too long");
}

#[test]
fn elements_within_elements_are_bounded() {
    refused(&sheet(around("", "<a>", HUGE / 8, "")), "nested too deeply");
}

#[test]
fn a_row_is_bounded() {
    let columns = around("<row r=\"1\">", "<c><v>1</v></c>", HUGE / 8, "</row>");
    refused(&sheet(columns), "row 1 has more than 512 cells");
    let cell = format!("<c r=\"A1\"><v>{}</v></c>", "1".repeat(200_000));
    let long = around("<row r=\"1\">", &cell, HUGE / 16, "</row>");
    refused(&sheet(long), "row 1 has a cell of more than");
    let far = "<row r=\"1048576\"><c r=\"XFD1048576\"><v>1</v></c></row>";
    refused(&sheet(far), "row 1048576 has more than 512 cells");
    let nowhere = "<row r=\"1\"><c r=\"ZZZZZZZZZZZZZZZZZZZZ1\"><v>1</v></c></row>";
    refused(&sheet(nowhere), "more than 512 cells");
    let beyond = "<row r=\"4294967296\"><c><v>1</v></c></row>";
    refused(&sheet(beyond), "after row 0 comes one that cannot");
    let back = "<row r=\"2\"><c><v>1</v></c></row><row r=\"1\"><c><v>1</v></c></row>";
    refused(&sheet(back), "after row 2 comes one that cannot");
}

#[test]
fn entities_do_not_multiply() {
    let texts = "<!DOCTYPE sst [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>\
                 <sst><si><t>&b;</t></si></sst>";
    refused(
        &workbook::with_part(STRINGS, texts.into()),
        "it refers to an entity",
    );
}

#[test]
fn small_parts_are_small() {
    for (name, start, filling, end) in [
        (
            "xl/styles.xml",
            "<s><cellXfs>",
            "<xf numFmtId=\"1\"/>",
            "</cellXfs></s>",
        ),
        (
            "xl/workbook.xml",
            "<w><sheets>",
            "<sheet id=\"a\"/>",
            "</sheets></w>",
        ),
    ] {
        let part = around(start, filling, HUGE / 8, end);
        refused(&workbook::with_part(name, part), "too large");
    }
    let relation = "<Relationship Id=\"a\" Type=\"x/worksheet\" Target=\"b\"/>";
    let part = around("<r>", relation, HUGE / 32, "</r>");
    refused(
        &workbook::with_part("xl/_rels/workbook.xml.rels", part),
        "more than 500 sheets",
    );
}

#[test]
fn a_directory_that_names_more_parts_than_there_are_is_refused() {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.resize(HUGE / 2, 0);
    // 60,000 parts, by the short form of the directory's end.
    let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
    end.extend([0x60, 0xea, 0x60, 0xea, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0]);
    refused(&[bytes.clone(), end].concat(), "more than 1000 parts");
    // A hundred million, by the long form.
    let mut long = b"PK\x06\x06".to_vec();
    long.extend(44u64.to_le_bytes());
    long.extend([0; 12]);
    for number in [100_000_000, 100_000_000, 1 << 33, 100_000_000u64] {
        long.extend(number.to_le_bytes());
    }
    long.extend(b"PK\x06\x07\0\0\0\0");
    long.extend((bytes.len() as u64).to_le_bytes());
    long.extend(1u32.to_le_bytes());
    long.extend(b"PK\x05\x06\0\0\0\0");
    long.extend([0xff; 12]);
    long.extend([0; 2]);
    refused(&[bytes, long].concat(), "more than 1000 parts");
}

#[test]
fn a_part_larger_than_it_says_takes_no_memory() {
    let bytes = around("<row r=\"1\"><c><v>1</v></c></row><!--", "x", HUGE, "-->");
    let mut workbook = sheet(bytes);
    // Every size in the directory says ten bytes.
    let mut at = 0;
    while let Some(found) = workbook[at..]
        .windows(4)
        .position(|four| four == b"PK\x01\x02")
    {
        at += found + 4;
        workbook[at + 20..at + 24].copy_from_slice(&10u32.to_le_bytes());
    }
    let (rows, end) = read(&workbook);
    assert!(rows <= 1 && end != "read", "{rows} {end}");
}

#[test]
fn a_text_file_without_lines_is_refused() {
    refused(&around("a,b\n", "x", HUGE, ""), "has a cell of more than");
    refused(&around("a,b\n", ",", HUGE, ""), "has a cell of more than");
    refused(
        &around("a,b\n1,\"", "x\n", HUGE, ""),
        "row 2 has a cell of more",
    );
    let utf16 = [vec![0xff, 0xfe], vec![0x41; HUGE]].concat();
    refused(&utf16, "row 1 has a cell of more than");
}
