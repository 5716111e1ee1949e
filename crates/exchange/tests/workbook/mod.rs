//! Workbooks to be spoilt.

// Each test binary uses its own part of this.
#![allow(dead_code)]

use std::io::{Cursor, Read as _, Write as _};

use rust_xlsxwriter::{ExcelDateTime, Format, Workbook};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// A workbook as a program writes it, its texts shared or in their cells.
pub fn written(shared: bool) -> Vec<u8> {
    let mut workbook = Workbook::new();
    let sheet = match shared {
        true => workbook.add_worksheet(),
        false => workbook
            .add_worksheet_with_constant_memory()
            .expect("a sheet"),
    };
    let format = Format::new().set_num_format("yyyy/m/d");
    let day = ExcelDateTime::from_ymd(2026, 1, 2).expect("a day");
    let titles = [
        "行政相对人名称",
        "行政处罚决定书文号",
        "处罚决定日期",
        "罚款金额(万元)",
    ];
    for (column, title) in (0u16..).zip(titles) {
        sheet.write_string(0, column, title).expect("written");
    }
    for row in 1..=3 {
        sheet
            .write_string(row, 0, "甲_x000D_公司")
            .expect("written");
        sheet
            .write_string(row, 1, format!("罚{row}号"))
            .expect("written");
        sheet
            .write_datetime_with_format(row, 2, &day, &format)
            .expect("written");
        sheet.write_number(row, 3, 1.5).expect("written");
        sheet.write_formula(row, 4, "=A1&\"x\"").expect("written");
    }
    workbook.save_to_buffer().expect("saved")
}

/// The parts of a workbook by their names.
pub fn parts(workbook: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ZipArchive::new(Cursor::new(workbook)).expect("a package");
    (0..archive.len())
        .map(|at| {
            let mut file = archive.by_index(at).expect("a part");
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).expect("inflated");
            (file.name().expect("a name").into_owned(), bytes)
        })
        .collect()
}

/// A package of these parts.
pub fn packed(parts: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(1));
    for (name, bytes) in parts {
        writer.start_file(name.as_str(), options).expect("a part");
        writer.write_all(bytes).expect("written");
    }
    writer.finish().expect("written").into_inner()
}

/// A workbook with one of its parts replaced.
pub fn with_part(name: &str, bytes: Vec<u8>) -> Vec<u8> {
    let mut parts = parts(&written(true));
    let part = parts.iter_mut().find(|(known, _)| known == name);
    part.expect("a part of this name").1 = bytes;
    packed(&parts)
}
