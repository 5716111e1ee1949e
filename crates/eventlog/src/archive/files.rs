//! The files of an archive: frames one after the other, in files of a bounded size.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use bytes::{BufMut as _, Bytes, BytesMut};
use prost::Message;
use sha2::{Digest as _, Sha256};

use super::ArchiveError;
use super::manifest::FileEntry;

/// Bytes after which a file is followed by the next, so that damage is named closely
/// and a file can be copied by itself.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// A frame that is longer is none.
const FRAME_BYTES_MAX: usize = 256 << 20;

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the files of one kind.
pub(super) struct FileWriter {
    dir: PathBuf,
    kind: String,
    bytes_max: u64,
    open: Option<Open>,
    buffer: BytesMut,
    entries: Vec<FileEntry>,
}

struct Open {
    path: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
    items: u64,
}

impl FileWriter {
    pub(super) fn new(dir: &Path, kind: impl Into<String>, bytes_max: u64) -> Self {
        Self {
            dir: dir.to_owned(),
            kind: kind.into(),
            bytes_max,
            open: None,
            buffer: BytesMut::new(),
            entries: Vec::new(),
        }
    }

    /// Writes an item after its length.
    pub(super) fn put(&mut self, item: &impl Message) -> Result<(), ArchiveError> {
        if self
            .open
            .as_ref()
            .is_some_and(|open| open.bytes >= self.bytes_max)
        {
            self.close()?;
        }
        self.buffer.clear();
        let length = u32::try_from(item.encoded_len()).map_err(|_| {
            ArchiveError::store(format!("an item of {} is too long to archive", self.kind))
        })?;
        self.buffer.put_u32(length);
        item.encode(&mut self.buffer).expect("the buffer grows");
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(open(&self.dir, &self.kind, self.entries.len())?),
        };
        let written = open.file.write_all(&self.buffer);
        written.map_err(|source| ArchiveError::io(&open.path, source))?;
        open.hash.update(&self.buffer);
        open.bytes += self.buffer.len() as u64;
        open.items += 1;
        Ok(())
    }

    fn close(&mut self) -> Result<(), ArchiveError> {
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        let Open {
            path,
            file,
            hash,
            bytes,
            items,
        } = open;
        let synced = file.into_inner().map_err(io::IntoInnerError::into_error);
        let synced = synced.and_then(|file| file.sync_all());
        synced.map_err(|source| ArchiveError::io(&path, source))?;
        self.entries.push(FileEntry {
            name: name(&self.kind, self.entries.len()),
            kind: self.kind.clone(),
            bytes,
            items,
            sha256: hex(&hash.finalize()),
        });
        Ok(())
    }

    /// Ends, durably; what was written, file by file.
    pub(super) fn finish(mut self) -> Result<Vec<FileEntry>, ArchiveError> {
        self.close()?;
        Ok(self.entries)
    }
}

fn name(kind: &str, number: usize) -> String {
    format!("{kind}.{number:04}")
}

fn open(dir: &Path, kind: &str, number: usize) -> Result<Open, ArchiveError> {
    let path = dir.join(name(kind, number));
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    let file = options
        .open(&path)
        .map_err(|source| ArchiveError::io(&path, source))?;
    Ok(Open {
        path,
        file: BufWriter::with_capacity(1 << 20, file),
        hash: Sha256::new(),
        bytes: 0,
        items: 0,
    })
}

/// Reads the items of files, one after the other.
pub(super) struct FileReader {
    paths: std::vec::IntoIter<PathBuf>,
    open: Option<(PathBuf, BufReader<File>)>,
}

impl FileReader {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths: paths.into_iter(),
            open: None,
        }
    }

    /// The next frame; nothing at the end of the last file.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, ArchiveError> {
        loop {
            let Some((path, file)) = &mut self.open else {
                let Some(path) = self.paths.next() else {
                    return Ok(None);
                };
                let file = File::open(&path).map_err(|source| ArchiveError::io(&path, source))?;
                self.open = Some((path, BufReader::with_capacity(1 << 20, file)));
                continue;
            };
            let frame = read_frame(file).map_err(|source| ArchiveError::io(&*path, source))?;
            if frame.is_some() {
                return Ok(frame);
            }
            self.open = None;
        }
    }
}

fn read_frame(file: &mut BufReader<File>) -> io::Result<Option<Bytes>> {
    let mut length = [0; 4];
    let first = file.read(&mut length)?;
    if first == 0 {
        return Ok(None);
    }
    file.read_exact(&mut length[first..])?;
    let length = u32::from_be_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it holds no items",
        ));
    }
    let mut frame = vec![0; length];
    file.read_exact(&mut frame)?;
    Ok(Some(frame.into()))
}

/// What is wrong with a file that was written as this entry says; nothing if it is
/// the same.
pub(super) fn fault_in(dir: &Path, entry: &FileEntry) -> Option<String> {
    let path = dir.join(&entry.name);
    let said = |what: String| Some(format!("{}: {what}", path.display()));
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return said("it is missing".to_owned());
        }
        Err(error) => return said(error.to_string()),
    };
    match file.metadata() {
        Ok(found) if found.len() != entry.bytes => {
            let found = found.len();
            return said(format!(
                "it has {found} bytes, {} were written",
                entry.bytes
            ));
        }
        Ok(_) => {}
        Err(error) => return said(error.to_string()),
    }
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hash.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return said(error.to_string()),
        }
    }
    if hex(&hash.finalize()) != entry.sha256 {
        return said("its bytes are not those that were written".to_owned());
    }
    None
}

/// Makes a directory that must not be there, for its owner only.
///
/// # Errors
///
/// [`ArchiveError::Io`]: it is there, or cannot be made.
pub fn make_dir(dir: &Path) -> Result<(), ArchiveError> {
    let made = fs::DirBuilder::new().mode(0o700).create(dir);
    made.map_err(|source| ArchiveError::io(dir, source))
}

/// Writes a file that must not be there, durably: whole or not at all.
///
/// # Errors
///
/// [`ArchiveError::Io`].
pub fn write_whole(dir: &Path, name: &str, content: &[u8]) -> Result<(), ArchiveError> {
    let path = dir.join(name);
    let draft = path.with_added_extension("new");
    let written = || {
        if path.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut options = File::options();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, &path)
    };
    written().map_err(|source| ArchiveError::io(&path, source))?;
    sync_dir(dir)
}

/// Makes the names in a directory durable.
///
/// # Errors
///
/// [`ArchiveError::Io`].
pub fn sync_dir(dir: &Path) -> Result<(), ArchiveError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|source| ArchiveError::io(dir, source))
}
