//! The package of a workbook: its parts as streams of XML that take bounded
//! memory, whatever the file says of itself.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::rc::Rc;

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use zip::ZipArchive;
use zip::read::ZipFile;

use super::super::{CELL_BYTES_MAX, TableError};

/// Parts of a workbook; one that people fill in has some dozen.
const PARTS_MAX: u64 = 1_000;

/// Bytes of a part that is held in memory, such as the list of sheets.
pub(super) const SMALL_PART_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Bytes of one piece of XML: a tag, or a text between two.
const PIECE_BYTES_MAX: usize = 2 * CELL_BYTES_MAX;

/// Elements within elements; the format itself has some ten.
const DEPTH_MAX: usize = 64;

/// Bytes at the end of a package in which its directory is described.
const TAIL_BYTES: u64 = 66 * 1024;

/// A fault of the workbook itself.
pub(super) fn broken(reason: impl std::fmt::Display) -> TableError {
    TableError::Workbook(reason.to_string())
}

/// An open workbook.
pub(super) struct Package {
    archive: ZipArchive<BufReader<File>>,
}

impl Package {
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let mut file = File::open(path)?;
        check_directory(&mut file)?;
        let archive = ZipArchive::new(BufReader::new(file)).map_err(broken)?;
        Ok(Self { archive })
    }

    /// The part of this name, of which at most `bytes_max` are read; nothing if there is none.
    pub fn part(&mut self, name: &str, bytes_max: u64) -> Result<Option<Part<'_>>, TableError> {
        let wanted = name.trim_start_matches('/');
        // Some programs write other letters' cases, or the separators of their system.
        let same = |known: &str| known.replace('\\', "/").eq_ignore_ascii_case(wanted);
        let mut names = self.archive.file_names();
        let Some(number) = names.position(|known| known.is_ok_and(|known| same(&known))) else {
            return Ok(None);
        };
        drop(names);
        let file = self.archive.by_index(number).map_err(broken)?;
        let since = Rc::new(Cell::new(0));
        let bounded = Bounded {
            inner: BufReader::with_capacity(64 * 1024, file),
            since: since.clone(),
            left: bytes_max,
        };
        let mut xml = Reader::from_reader(bounded);
        xml.config_mut().expand_empty_elements = true;
        Ok(Some(Part {
            xml,
            since,
            buffer: Vec::new(),
            depth: 0,
        }))
    }
}

/// The reader of packages takes memory for as many parts as a file says that it
/// has: so many must be what a workbook can have.
fn check_directory(file: &mut File) -> Result<(), TableError> {
    let bytes = file.seek(SeekFrom::End(0))?;
    let from = bytes.saturating_sub(TAIL_BYTES);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    file.rewind()?;
    let number = |at: usize, bytes: usize| {
        let digits = tail.get(at..at + bytes).unwrap_or_default();
        let digits = digits.iter().rev();
        digits.fold(0, |number, digit| number << 8 | u64::from(*digit))
    };
    let too_many = || broken(format!("it has more than {PARTS_MAX} parts"));
    for at in 0..tail.len() {
        match tail[at..] {
            // End of the directory; 65,535 parts mean that the longer form of it says how many.
            [b'P', b'K', 5, 6, ..] if (PARTS_MAX + 1..0xffff).contains(&number(at + 10, 2)) => {
                return Err(too_many());
            }
            // The longer form.
            [b'P', b'K', 6, 6, ..] if number(at + 32, 8) > PARTS_MAX => return Err(too_many()),
            // Where the longer form is: just before.
            [b'P', b'K', 6, 7, ..] => {
                let place = number(at + 8, 8);
                if place < from || place > bytes {
                    return Err(broken("its directory is not at its end"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Passes on so many bytes for one piece of XML, and so many in all.
struct Bounded<R> {
    inner: R,
    /// Bytes since the last piece.
    since: Rc<Cell<usize>>,
    left: u64,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let available = self.fill_buf()?;
        let read = available.len().min(buffer.len());
        buffer[..read].copy_from_slice(&available[..read]);
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.since.get() > PIECE_BYTES_MAX {
            return Err(std::io::Error::other("a text or a tag of it is too long"));
        }
        let available = self.inner.fill_buf()?;
        if self.left == 0 && !available.is_empty() {
            return Err(std::io::Error::other("a part of it is too large"));
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX);
        Ok(&available[..available.len().min(most)])
    }

    fn consume(&mut self, bytes: usize) {
        self.since.set(self.since.get() + bytes);
        self.left -= bytes as u64;
        self.inner.consume(bytes);
    }
}

/// A part that is being read.
pub(super) struct Part<'a> {
    xml: Reader<Bounded<BufReader<ZipFile<'a, BufReader<File>>>>>,
    since: Rc<Cell<usize>>,
    buffer: Vec<u8>,
    depth: usize,
}

/// A piece of a part that says something.
pub(super) enum Piece {
    /// An element begins.
    Start(BytesStart<'static>),
    /// An element of this name, without its prefix, ends.
    End(String),
    /// Text within an element.
    Text(String),
}

impl Part<'_> {
    /// The next piece; nothing at the end of the part.
    pub fn next(&mut self) -> Result<Option<Piece>, TableError> {
        loop {
            self.buffer.clear();
            self.since.set(0);
            let event = self.xml.read_event_into(&mut self.buffer).map_err(broken)?;
            match event {
                Event::Start(_) => {
                    self.depth += 1;
                    if self.depth > DEPTH_MAX {
                        return Err(broken("its elements are nested too deeply"));
                    }
                }
                Event::End(_) => self.depth = self.depth.saturating_sub(1),
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => {}
                Event::Eof if self.depth > 0 => return Err(broken("a part of it is cut off")),
                Event::Eof => return Ok(None),
                _ => continue,
            }
            return Ok(Some(match event {
                Event::Start(start) => Piece::Start(start.into_owned()),
                Event::End(end) => Piece::End(end.local_name().as_ref().to_owned()),
                Event::Text(text) => Piece::Text(text.xml10_content().into_owned()),
                Event::CData(text) => Piece::Text(text.xml10_content().into_owned()),
                Event::GeneralRef(reference) => Piece::Text(resolved(&reference)?),
                _ => continue,
            }));
        }
    }

    /// The next element that begins; nothing at the end of the part.
    pub fn next_start(&mut self) -> Result<Option<BytesStart<'static>>, TableError> {
        while let Some(piece) = self.next()? {
            if let Piece::Start(start) = piece {
                return Ok(Some(start));
            }
        }
        Ok(None)
    }
}

/// A character that is written by its number or name. Entities of the part's own
/// are not followed: no workbook has any, and a few lines of them can mean gigabytes.
fn resolved(reference: &BytesRef<'_>) -> Result<String, TableError> {
    if let Some(c) = reference.resolve_char_ref().map_err(broken)? {
        return Ok(c.to_string());
    }
    let known = quick_xml::escape::resolve_predefined_entity(reference);
    let known = known.ok_or_else(|| broken("it refers to an entity"))?;
    Ok(known.to_owned())
}

/// The value of an element's attribute, by its name without a prefix.
pub(super) fn attribute(
    element: &BytesStart<'_>,
    name: &str,
) -> Result<Option<String>, TableError> {
    // Without the check for doubles, which takes time by the square of their number.
    for attribute in element.attributes().with_checks(false) {
        let attribute = attribute.map_err(broken)?;
        if attribute.key.local_name().as_ref() == name {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            return Ok(Some(value.map_err(broken)?.into_owned()));
        }
    }
    Ok(None)
}
