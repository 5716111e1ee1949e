//! Text tables: encoding and separator are found out, then rows stream.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufReader, Read, Seek as _};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::{Encoding, GB18030, UTF_8};
use encoding_rs_io::DecodeReaderBytesBuilder;

use super::{ROW_BYTES_MAX, Row, TableError, Visit, read_up_to, trimmed};

/// Bytes looked at before reading.
const SAMPLE_BYTES: usize = 256 * 1024;

/// Rows over which it is judged whether a file is of another encoding.
const WINDOW_ROWS: u64 = 1_000;

/// Broken rows that are never called another encoding, however short the file is.
const BROKEN_ROWS_MIN: u64 = 3;

/// Passes on so many bytes for one row, and then no more.
struct Bounded<R> {
    inner: R,
    /// Bytes since the last row ended, read ahead included.
    since: Rc<Cell<usize>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.since.get() > ROW_BYTES_MAX {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        let read = self.inner.read(buffer)?;
        self.since.set(self.since.get() + read);
        Ok(read)
    }
}

/// Counts what is read of the file.
struct Counted<'a> {
    file: File,
    bytes: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

pub(super) fn read(mut file: File, bytes: &AtomicU64, visit: Visit<'_>) -> Result<(), TableError> {
    let mut sample = vec![0; SAMPLE_BYTES];
    let read = read_up_to(&mut file, &mut sample)?;
    sample.truncate(read);
    file.rewind()?;
    let cut = read == SAMPLE_BYTES;
    let encoding = encoding_of(&sample, cut);
    look_over(&sample, cut, encoding)?;
    let since = Rc::new(Cell::new(0));
    let decoded = DecodeReaderBytesBuilder::new()
        .encoding(Some(encoding))
        .bom_override(true)
        .build(BufReader::new(Counted { file, bytes }));
    let mut rows = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator(&sample, encoding))
        .from_reader(Bounded {
            inner: decoded,
            since: since.clone(),
        });
    let mut record = csv::ByteRecord::new();
    let mut last = 0;
    let mut window = Window::default();
    loop {
        let from = rows.position().clone();
        since.set(0);
        let more = match rows.read_byte_record(&mut record) {
            Err(_) if since.get() > ROW_BYTES_MAX => {
                return Err(TableError::TooLong { row: from.line() });
            }
            read => read.map_err(|error| fault(&error, from.line()))?,
        };
        if !more {
            return Ok(());
        }
        // Lines may end in a way that the reader does not count; numbers rise all the same.
        let line = record.position().map_or(from.line(), csv::Position::line);
        let line = line.max(last + 1);
        last = line;
        let cells = record
            .iter()
            .map(|cell| trimmed(&String::from_utf8_lossy(cell)));
        let row = Row {
            number: line,
            cells: cells.collect(),
        };
        window.add(line, row.cells.iter().any(|cell| is_broken(cell)))?;
        if let ControlFlow::Break(()) = visit(row)? {
            return Ok(());
        }
    }
}

/// The rows of late, and how many of them are broken.
#[derive(Default)]
struct Window {
    first: u64,
    rows: u64,
    broken: u64,
}

impl Window {
    /// Counts a row. A file put together from several may change its encoding in
    /// the middle: that must not become a bad row for each that follows.
    fn add(&mut self, line: u64, broken: bool) -> Result<(), TableError> {
        if self.rows == WINDOW_ROWS {
            *self = Self::default();
        }
        if self.rows == 0 {
            self.first = line;
        }
        self.rows += 1;
        self.broken += u64::from(broken);
        match self.broken > WINDOW_ROWS / 2 {
            true => Err(TableError::Encoding { line: self.first }),
            false => Ok(()),
        }
    }
}

/// Refuses a file whose beginning is mostly broken before any row is visited.
fn look_over(sample: &[u8], cut: bool, encoding: &'static Encoding) -> Result<(), TableError> {
    let (text, ..) = encoding.decode(sample);
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    if cut {
        lines.pop();
    }
    lines.truncate(WINDOW_ROWS as usize);
    let broken = lines.iter().filter(|line| is_broken(line)).count();
    if broken as u64 >= BROKEN_ROWS_MIN && broken > lines.len() / 2 {
        return Err(TableError::Encoding { line: 1 });
    }
    Ok(())
}

/// NUL characters are half of a text in UTF-16 that does not say so.
fn is_broken(text: &str) -> bool {
    text.contains([char::REPLACEMENT_CHARACTER, '\0'])
}

/// UTF-8 where the sample is, but for some broken bytes; GB18030 where it is not.
/// A byte order mark is obeyed by the decoder.
fn encoding_of(sample: &[u8], cut: bool) -> &'static Encoding {
    // Text in another encoding hardly ever has the form of characters in UTF-8.
    let (mut characters, mut broken) = (0, 0);
    let mut chunks = sample.utf8_chunks().peekable();
    while let Some(chunk) = chunks.next() {
        characters += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        // Of the last character the sample's end may have cut a part off.
        let is_part = cut && chunks.peek().is_none() && may_go_on(chunk.invalid());
        broken += usize::from(!chunk.invalid().is_empty() && !is_part);
    }
    match broken == 0 || characters > broken {
        true => UTF_8,
        false => GB18030,
    }
}

/// True if these bytes are the beginning of a character.
fn may_go_on(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// The separator of which most lines at the beginning have most.
fn separator(sample: &[u8], encoding: &'static Encoding) -> u8 {
    let (text, ..) = encoding.decode(sample);
    let lines: Vec<&str> = text.lines().take(20).collect();
    let score = |separator: char| {
        let mut counts: Vec<usize> = lines
            .iter()
            .map(|line| line.matches(separator).count())
            .collect();
        counts.sort_unstable();
        counts
            .get(counts.len().saturating_sub(1) / 2)
            .copied()
            .unwrap_or_default()
    };
    // Ties go to the first: a comma is the usual one.
    let mut best = (b',', score(','));
    for (byte, separator) in [(b'\t', '\t'), (b';', ';')] {
        let count = score(separator);
        if count > best.1 {
            best = (byte, count);
        }
    }
    best.0
}

fn fault(error: &csv::Error, line: u64) -> TableError {
    match error.kind() {
        csv::ErrorKind::Io(error) => {
            TableError::Io(std::io::Error::new(error.kind(), error.to_string()))
        }
        _ => TableError::Text {
            line: error.position().map_or(line, csv::Position::line),
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn rows(bytes: &[u8]) -> Vec<Row> {
        let (rows, result) = outcome(bytes);
        result.expect("a table");
        rows
    }

    fn cells(bytes: &[u8]) -> Vec<Vec<String>> {
        rows(bytes).into_iter().map(|row| row.cells).collect()
    }

    #[test]
    fn encodings_are_found_out() {
        let table = "名称,金额\n甲公司，有限,1.5\n";
        let (gb18030, ..) = GB18030.encode(table);
        let utf16: Vec<u8> = [0xff, 0xfe]
            .into_iter()
            .chain(table.encode_utf16().flat_map(u16::to_le_bytes))
            .collect();
        let marked = [b"\xef\xbb\xbf".as_slice(), table.as_bytes()].concat();
        let expected = [["名称", "金额"], ["甲公司，有限", "1.5"]];
        for bytes in [table.as_bytes(), &gb18030, &utf16, &marked] {
            assert_eq!(cells(bytes), expected);
        }
    }

    #[test]
    fn a_character_cut_by_the_samples_end_is_no_other_encoding() {
        let long = "中".repeat(SAMPLE_BYTES);
        let sample = &long.as_bytes()[..SAMPLE_BYTES];
        assert_eq!(encoding_of(sample, true), UTF_8);
        let part = &"中".as_bytes()[..2];
        assert_eq!(encoding_of(part, true), UTF_8);
        assert_eq!(encoding_of(part, false), GB18030);
    }

    #[test]
    fn separators_are_found_out() {
        assert_eq!(cells(b"a\tb,c\n1\t2\n"), [["a", "b,c"], ["1", "2"]]);
        assert_eq!(cells(b"a;b\n\"1;2\";3\n"), [["a", "b"], ["1;2", "3"]]);
        assert_eq!(cells(b"only\n"), [["only"]]);
        assert!(rows(b"").is_empty());
    }

    #[test]
    fn a_row_is_numbered_by_its_first_line() {
        let rows = rows(b"a,b\n\"1\n2\",3\n4,5\n");
        let numbers: Vec<_> = rows.iter().map(|row| row.number).collect();
        assert_eq!(numbers, [1, 2, 4]);
        assert_eq!(rows[1].cells, ["1\n2", "3"]);
    }

    #[test]
    fn rows_have_numbers_of_their_own_however_lines_end() {
        let numbers = |bytes| rows(bytes).iter().map(|row| row.number).collect::<Vec<_>>();
        assert_eq!(numbers(b"a,b\r1,2\r3,4\r"), [1, 2, 3]);
        assert_eq!(numbers(b"a,b\r\n1,2\r\n"), [1, 2]);
    }

    fn outcome(bytes: &[u8]) -> (Vec<Row>, Result<(), TableError>) {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("writable");
        file.rewind().expect("seekable");
        let mut rows = Vec::new();
        let result = read(file, &AtomicU64::new(0), &mut |row| {
            rows.push(row);
            Ok(ControlFlow::Continue(()))
        });
        (rows, result)
    }

    #[test]
    fn a_broken_byte_is_in_one_cell_and_reading_goes_on() {
        // In the sample and behind it, in either encoding; 名称 is cut in the middle.
        let utf_8 = "甲公司有限,1\n".as_bytes();
        let gb18030 = GB18030.encode("甲公司有限,1\n").0.into_owned();
        for good in [utf_8, &gb18030] {
            let broken = [&good[..good.len() - 4], b",\"2\"\n"].concat();
            let many = good.repeat(SAMPLE_BYTES / good.len() + 1);
            for before in [good.to_vec(), many] {
                let bytes = [&before, &broken, good].concat();
                let rows = rows(&bytes);
                let count = before.len() / good.len();
                assert_eq!(rows.len(), count + 2);
                let [.., bad, last] = &rows[..] else {
                    unreachable!("there are more")
                };
                assert_eq!(bad.cells, ["甲公司有\u{fffd}", "2"]);
                assert_eq!(last.cells, ["甲公司有限", "1"]);
                assert!(rows[..count].iter().all(|row| row.cells == last.cells));
            }
        }
    }

    #[test]
    fn a_file_in_another_encoding_is_refused_before_a_row_of_it_is_taken() {
        let table = "名称,金额\n甲公司,1\n乙公司,2\n丙公司,3\n";
        // UTF-16 without a mark, and a text that is half the one and half the other.
        let utf_16: Vec<u8> = table.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let ascii: Vec<u8> = "a,b\n1,2\n3,4\n"
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect();
        for bytes in [utf_16, ascii, b"\xff\xff,1\n".repeat(5)] {
            let (rows, result) = outcome(&bytes);
            assert!(
                matches!(result, Err(TableError::Encoding { line: 1 })),
                "{result:?}"
            );
            assert!(rows.is_empty());
        }
    }

    #[test]
    fn a_file_that_changes_its_encoding_is_refused_where_it_does() {
        let utf_8 = "甲公司有限,1\n".repeat(30_000);
        let (gb18030, ..) = GB18030.encode(&utf_8);
        let bytes = [utf_8.as_bytes(), &gb18030].concat();
        let (rows, result) = outcome(&bytes);
        assert!(
            matches!(result, Err(TableError::Encoding { line: 30_001 })),
            "{result:?}"
        );
        assert_eq!(rows.len() as u64, 30_000 + WINDOW_ROWS / 2);
        // Every second row of any thousand is bad, and not the file.
        let half = [utf_8.as_bytes()[..18].to_vec(), b"\xff,1\n".to_vec()].concat();
        let good = "甲公司有限,1\n".repeat(WINDOW_ROWS as usize);
        let bytes = [good.as_bytes(), &half.repeat(30_000)].concat();
        assert!(outcome(&bytes).1.is_ok());
    }

    #[test]
    fn an_open_quotation_mark_does_not_swallow_the_file() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(b"a,b\n1,\"2\n").expect("writable");
        file.write_all("x,y\n".repeat(3_000_000).as_bytes())
            .expect("writable");
        file.rewind().expect("seekable");
        let result = read(file, &AtomicU64::new(0), &mut |_| {
            Ok(ControlFlow::Continue(()))
        });
        assert!(
            matches!(result, Err(TableError::TooLong { row: 2 })),
            "{result:?}"
        );
    }
}
