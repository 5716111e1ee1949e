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
    let encoding = encoding_of(&sample, read == SAMPLE_BYTES);
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
        if row
            .cells
            .iter()
            .any(|cell| cell.contains(char::REPLACEMENT_CHARACTER))
        {
            return Err(TableError::Text {
                line,
                reason:
                    "there are bytes that are not of the file's encoding; save it anew as UTF-8"
                        .to_owned(),
            });
        }
        if let ControlFlow::Break(()) = visit(row)? {
            return Ok(());
        }
    }
}

/// UTF-8 where the sample is, GB18030 where it is not. A byte order mark is
/// obeyed by the decoder.
fn encoding_of(sample: &[u8], cut: bool) -> &'static Encoding {
    match std::str::from_utf8(sample) {
        Ok(_) => UTF_8,
        // Only the last character is cut off by the sample's end.
        Err(error) if cut && error.error_len().is_none() => UTF_8,
        Err(_) => GB18030,
    }
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
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(bytes).expect("writable");
        file.rewind().expect("seekable");
        let mut rows = Vec::new();
        read(file, &AtomicU64::new(0), &mut |row| {
            rows.push(row);
            Ok(ControlFlow::Continue(()))
        })
        .expect("a table");
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
        assert_eq!(
            encoding_of(&long.as_bytes()[..SAMPLE_BYTES / 3 * 3 + 1], false),
            GB18030
        );
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

    #[test]
    fn bytes_of_another_encoding_are_said_and_not_replaced() {
        let mut file = tempfile::tempfile().expect("a temporary file");
        let (mixed, ..) = GB18030.encode("乙公司,2\n");
        let table = "名称,金额\n".repeat(SAMPLE_BYTES / 8);
        file.write_all(table.as_bytes()).expect("writable");
        file.write_all(&mixed).expect("writable");
        file.rewind().expect("seekable");
        let result = read(file, &AtomicU64::new(0), &mut |_| {
            Ok(ControlFlow::Continue(()))
        });
        assert!(matches!(result, Err(TableError::Text { .. })), "{result:?}");
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
