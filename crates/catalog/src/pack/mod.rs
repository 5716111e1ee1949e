//! Reading a policy pack from a directory of TOML files.
//!
//! A pack is refused with every fault, each with its file and line, so that whoever maintains it
//! corrects one list instead of running the loader once per mistake. Every item stands in its own
//! table with lists one entry a line, so that a changed rule is a changed line.

mod fields;
mod items;
mod loader;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use tally_domain::policy::{Form, ItemKind, Pack};

/// The file of a pack's own data.
const META_FILE: &str = "pack.toml";

/// The other files of a pack: name, name of the tables in it, what they are.
const FILES: [(&str, &str, ItemKind); 9] = [
    ("departments.toml", "department", ItemKind::Department),
    ("legal_bases.toml", "legal_basis", ItemKind::LegalBasis),
    ("record_types.toml", "record_type", ItemKind::RecordType),
    ("list_types.toml", "list_type", ItemKind::ListType),
    ("measures.toml", "measure", ItemKind::Measure),
    ("memoranda.toml", "memorandum", ItemKind::Memorandum),
    ("decisions.toml", "decision", ItemKind::Decision),
    ("forms.toml", "form", ItemKind::Form),
    ("calendar.toml", "notice", ItemKind::HolidayNotice),
];

/// Files that a pack may do without.
const OPTIONAL_FILES: [&str; 2] = ["decisions.toml", "forms.toml"];

/// Bytes of one of its files; a whole province takes a hundredth.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One fault of a pack and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LocatedFault {
    /// Name of the file inside the pack's directory; the directory itself if that cannot be read.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

impl LocatedFault {
    fn whole_file(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 1,
            column: 1,
            message: message.into(),
        }
    }
}

impl fmt::Display for LocatedFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, line, column) = (&self.file, self.line, self.column);
        write!(formatter, "{file}:{line}:{column}: {}", self.message)
    }
}

impl std::error::Error for LocatedFault {}

/// Loads the pack in the directory `path`.
///
/// # Errors
///
/// Every fault, by file and line: correct them all and load again. See [`from_files`].
pub fn load_dir(path: &Path) -> Result<Pack, Vec<LocatedFault>> {
    let unreadable = |name: &str, error: &std::io::Error| {
        LocatedFault::whole_file(name, format!("cannot be read: {error}"))
    };
    let directory = path.display().to_string();
    let entries = std::fs::read_dir(path).map_err(|error| vec![unreadable(&directory, &error)])?;
    let mut files = BTreeMap::new();
    let mut faults = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| vec![unreadable(&directory, &error)])?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".toml") && !name.ends_with(".json") {
            continue;
        }
        match read_text(&entry.path()) {
            Ok(text) => {
                files.insert(name, text);
            }
            Err(error) => faults.push(unreadable(&name, &error)),
        }
    }
    if faults.is_empty() {
        return from_files(&files);
    }
    // The unreadable files would be reported as missing a second time.
    let readable = |fault: &LocatedFault| faults.iter().all(|known| known.file != fault.file);
    let more: Vec<_> = from_files(&files).err().unwrap_or_default();
    let mut all: Vec<_> = more.into_iter().filter(readable).collect();
    all.append(&mut faults);
    all.sort();
    Err(all)
}

/// Reads a file of a pack, or a mapping.
///
/// # Errors
///
/// It cannot be read, is not UTF-8, is no file but a device or a directory, or is far larger
/// than what people write.
pub fn read_text(path: &Path) -> std::io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("not a file"));
    }
    if metadata.len() > FILE_BYTES_MAX {
        let message = format!("more than {FILE_BYTES_MAX} bytes");
        return Err(std::io::Error::other(message));
    }
    std::fs::read_to_string(path)
}

/// Loads a pack from its files by name.
///
/// A name ending in `.json` is one year's holiday notice in the community's `holiday-cn` format,
/// beside those in `calendar.toml`.
///
/// # Errors
///
/// Every fault, by file and line. A file that is not TOML is reported with its syntax errors
/// alone; the other files are checked in full, except for references into it.
pub fn from_files(files: &BTreeMap<String, String>) -> Result<Pack, Vec<LocatedFault>> {
    loader::load(files)
}

/// Reads a mapping: one form in a file of its own, for a table that the pack
/// has no form for.
///
/// # Errors
///
/// Every fault, by line; `name` is the file's. Whether it suits its record type
/// is for [`Form::faults`].
pub fn form_from_text(name: &str, text: &str) -> Result<Form, Vec<LocatedFault>> {
    let source = tree::Source::new(name, text);
    let root = tree::parse(text).map_err(|faults| {
        let located = faults.into_iter().map(|(at, text)| source.fault(at, text));
        located.collect::<Vec<_>>()
    })?;
    let mut faults = Vec::new();
    let read = fields::Fields::read(&source, &root, &mut faults, items::form);
    match read.value {
        Some(form) if faults.is_empty() => Ok(form),
        _ => Err(faults),
    }
}

/// A pack that is built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuiltIn {
    /// Three departments and two lists: for trying the mesh, and for tests.
    Small,
    /// A whole fictional province.
    Province,
}

impl BuiltIn {
    /// Its files by name, for writing out as a starting point.
    pub fn files(self) -> BTreeMap<String, String> {
        macro_rules! files {
            ($dir:literal: $($name:literal),* $(,)?) => {
                vec![$(($name, include_str!(concat!("../../../../policy/", $dir, "/", $name)))),*]
            };
        }
        let files = match self {
            Self::Small => files![
                "small":
                "pack.toml",
                "departments.toml",
                "legal_bases.toml",
                "record_types.toml",
                "list_types.toml",
                "measures.toml",
                "memoranda.toml",
                "calendar.toml",
            ],
            Self::Province => files![
                "province":
                "pack.toml",
                "departments.toml",
                "legal_bases.toml",
                "record_types.toml",
                "list_types.toml",
                "measures.toml",
                "memoranda.toml",
                "decisions.toml",
                "forms.toml",
                "calendar.toml",
            ],
        };
        let own = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
        files.into_iter().map(own).collect()
    }

    /// Loads it.
    ///
    /// # Errors
    ///
    /// None as long as this crate's tests pass; the type is that of the other loaders so that callers treat all packs alike.
    pub fn load(self) -> Result<Pack, Vec<LocatedFault>> {
        from_files(&self.files())
    }
}

/// The small pack that is built in.
///
/// # Errors
///
/// As [`BuiltIn::load`].
pub fn embedded() -> Result<Pack, Vec<LocatedFault>> {
    BuiltIn::Small.load()
}

/// The files of the small pack by name.
pub fn embedded_files() -> BTreeMap<String, String> {
    BuiltIn::Small.files()
}
