//! One process per store, enforced by a locked file beside it.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::options::OpenError;

/// Holds the lock until it is dropped. The operating system lets go of it when
/// the process dies, however it dies; the file itself stays.
#[derive(Debug)]
pub(crate) struct StoreLock {
    _file: File,
}

impl StoreLock {
    pub(crate) fn acquire(store: &Path) -> Result<Self, OpenError> {
        let path = beside(store, ".lock");
        let io = |source| OpenError::Io {
            path: path.clone(),
            source,
        };
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Whoever holds it may be writing its id just now; then it is not named.
                let pid = file
                    .read_to_string(&mut text)
                    .ok()
                    .and_then(|_| text.trim().parse().ok());
                return Err(OpenError::InUse {
                    path: store.to_owned(),
                    pid,
                });
            }
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        file.set_len(0).map_err(io)?;
        file.rewind().map_err(io)?;
        writeln!(file, "{}", std::process::id()).map_err(io)?;
        Ok(Self { _file: file })
    }
}

/// Makes an empty file that its owner alone reads and writes, if there is none:
/// SQLite would make it by the process's mask, and gives the files beside it the
/// same rights.
pub(crate) fn create_for_owner_only(path: &Path) -> std::io::Result<()> {
    let mut options = File::options();
    options.append(true).create(true).mode(0o600);
    options.open(path).map(drop)
}

fn beside(store: &Path, suffix: &str) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
