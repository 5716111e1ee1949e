//! The shared texts of a workbook. A large one has millions of them: they lie in
//! a file without a name, of which some blocks are in memory.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::FileExt as _;

use super::super::{CELL_BYTES_MAX, TableError};
use super::package::{Package, Part, Piece, broken};

/// Bytes of all shared texts; what is beyond is refused before it fills the disk.
const TEXT_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Bytes after which a new block begins.
const BLOCK_BYTES: u64 = 4 * 1024;

/// Blocks in memory.
const BLOCKS_KEPT: usize = 64;

/// The texts, by their number.
pub(super) struct Strings {
    file: File,
    blocks: Vec<Block>,
    bytes: u64,
    count: u64,
    /// Each block in the place that its number gives it.
    kept: Vec<Option<(usize, Vec<u8>)>>,
}

/// Where some texts are, each after its length as 4 bytes.
struct Block {
    /// Number of the first.
    first: u64,
    /// Its place in the file.
    at: u64,
}

impl Strings {
    /// Reads them all; none if the workbook has no such part.
    pub fn read(package: &mut Package, name: &str) -> Result<Self, TableError> {
        let mut strings = Self {
            file: tempfile::tempfile()?,
            blocks: Vec::new(),
            bytes: 0,
            count: 0,
            kept: (0..BLOCKS_KEPT).map(|_| None).collect(),
        };
        let Some(mut part) = package.part(name, u64::MAX)? else {
            return Ok(strings);
        };
        let mut writer = BufWriter::new(strings.file.try_clone()?);
        while let Some(start) = part.next_start()? {
            if start.local_name().as_ref() == "si" {
                let text = read_text(&mut part, "si")?;
                strings.add(&mut writer, &text)?;
            }
        }
        writer.flush()?;
        Ok(strings)
    }

    fn add(&mut self, writer: &mut BufWriter<File>, text: &str) -> Result<(), TableError> {
        let begins = match self.blocks.last() {
            None => true,
            Some(block) => self.bytes - block.at >= BLOCK_BYTES,
        };
        if begins {
            self.blocks.push(Block {
                first: self.count,
                at: self.bytes,
            });
        }
        let length = u32::try_from(text.len()).expect("a text is bounded");
        writer.write_all(&length.to_be_bytes())?;
        writer.write_all(text.as_bytes())?;
        self.bytes += 4 + u64::from(length);
        self.count += 1;
        if self.bytes > TEXT_BYTES_MAX {
            return Err(broken("its shared texts are more than 4 GiB"));
        }
        Ok(())
    }

    /// The text of a number; nothing if there is none.
    pub fn get(&mut self, number: u64) -> Result<Option<String>, TableError> {
        if number >= self.count {
            return Ok(None);
        }
        let block = self.blocks.partition_point(|block| block.first <= number) - 1;
        let texts = self.block(block)?;
        let mut rest = texts.1.as_slice();
        for _ in texts.0..number {
            rest = split(rest).1;
        }
        let text = String::from_utf8(split(rest).0.to_vec());
        Ok(Some(text.map_err(broken)?))
    }

    /// Number of a block's first text, and the block.
    fn block(&mut self, number: usize) -> Result<(u64, &Vec<u8>), TableError> {
        let block = &self.blocks[number];
        let place = number % BLOCKS_KEPT;
        if self.kept[place]
            .as_ref()
            .is_none_or(|(kept, _)| *kept != number)
        {
            let end = self
                .blocks
                .get(number + 1)
                .map_or(self.bytes, |next| next.at);
            let length = usize::try_from(end - block.at).expect("a block is bounded");
            let mut bytes = vec![0; length];
            self.file.read_exact_at(&mut bytes, block.at)?;
            self.kept[place] = Some((number, bytes));
        }
        let kept = self.kept[place].as_ref().expect("it was just read");
        Ok((block.first, &kept.1))
    }
}

/// The first text of a block and what follows it.
fn split(block: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = block.split_at(4);
    let length: [u8; 4] = length.try_into().expect("4 bytes");
    rest.split_at(u32::from_be_bytes(length) as usize)
}

/// The text up to the end of the element `closing`, of all its runs and without
/// how it is pronounced.
pub(super) fn read_text(part: &mut Part<'_>, closing: &str) -> Result<String, TableError> {
    let mut text = String::new();
    let mut run: Option<String> = None;
    let mut keeps_blanks = false;
    let mut phonetic = 0u32;
    loop {
        match part.next()? {
            None => return Err(broken("a text of it is cut off")),
            Some(Piece::Start(start)) => match start.local_name().as_ref() {
                "rPh" => phonetic += 1,
                "t" if phonetic == 0 => {
                    let space = super::package::attribute(&start, "space")?;
                    keeps_blanks = space.as_deref() == Some("preserve");
                    run = Some(String::new());
                }
                _ => {}
            },
            Some(Piece::Text(more)) => {
                if let Some(run) = &mut run {
                    run.push_str(&more);
                }
                if text.len() + run.as_ref().map_or(0, String::len) > CELL_BYTES_MAX {
                    return Err(broken(format!(
                        "a text of it has more than {CELL_BYTES_MAX} bytes"
                    )));
                }
            }
            Some(Piece::End(name)) if name == closing => return Ok(unescaped(&text)),
            Some(Piece::End(name)) => match name.as_str() {
                "rPh" => phonetic = phonetic.saturating_sub(1),
                "t" => {
                    let run = run.take().unwrap_or_default();
                    text.push_str(match keeps_blanks {
                        true => &run,
                        false => run.trim_matches([' ', '\t', '\r', '\n']),
                    });
                }
                _ => {}
            },
        }
    }
}

/// Replaces `_x000D_` and its like, by which the format writes what XML cannot.
pub(super) fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("_x") {
        let escape = rest.get(at + 2..at + 7).filter(|code| code.ends_with('_'));
        let unit = escape
            .filter(|code| code.bytes().take(4).all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|code| u32::from_str_radix(&code[..4], 16).ok());
        let (kept, after) = match unit {
            Some(_) => (at, at + 7),
            None => (at + 2, at + 2),
        };
        plain.push_str(&rest[..kept]);
        if let Some(unit) = unit {
            plain.push(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        rest = &rest[after..];
    }
    plain.push_str(rest);
    plain
}
