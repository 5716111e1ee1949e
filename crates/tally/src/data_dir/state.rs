//! What is in a data directory, for whoever looks after it. Changes nothing.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tally_eventlog::sealing::MasterKey;

use super::{DataDir, DataDirError, SERVER, io_error, mesh_name};
use crate::role::Role;

/// The authority's own certificate, beside those that it issued.
const AUTHORITY: &str = "ca";

/// Something that only its owner may read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Private {
    /// Where it is.
    pub path: PathBuf,
    /// Its rights, as `chmod` takes them.
    pub mode: u32,
    /// Whether it is a directory.
    pub directory: bool,
}

/// A certificate of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Whose.
    pub of: Holder,
    /// Where it is.
    pub path: PathBuf,
}

/// Whose a certificate is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// The authority's own.
    Authority,
    /// The server's, of every process.
    Server,
    /// What a role shows to the others.
    Role(Role),
    /// A client's, by its name.
    Client(String),
}

impl DataDir {
    /// The master key that is there; none is made.
    ///
    /// # Errors
    ///
    /// [`DataDirError`]; it says what to do.
    pub fn kept_master_key(&self) -> Result<Option<MasterKey>, DataDirError> {
        let path = self.master_key_file();
        match fs::read_to_string(&path) {
            Ok(text) => match MasterKey::from_hex_file_contents(&text) {
                Ok(key) => Ok(Some(key)),
                Err(source) => Err(DataDirError::MasterKey { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io_error(&path, source)),
        }
    }

    /// Whether all roles have one store here.
    pub fn is_embedded(&self) -> bool {
        self.store(None).exists()
    }

    /// The certificates that should be here, with that of a client.
    pub fn kept_certificates(&self, client: &str) -> Vec<Kept> {
        let kept = |of, dir: PathBuf, name: &str| Kept {
            of,
            path: dir.join(format!("{name}.pem")),
        };
        let mut all = vec![
            kept(Holder::Authority, self.authority(), AUTHORITY),
            kept(Holder::Server, self.authority(), SERVER),
        ];
        if !self.is_embedded() {
            let role = |role| kept(Holder::Role(role), self.authority(), &mesh_name(role));
            all.extend(Role::ALL.map(role));
        }
        all.push(kept(
            Holder::Client(client.to_owned()),
            self.certificates(),
            client,
        ));
        all
    }

    /// What is here that only its owner may read: keys, stores, and the
    /// directories that they are in.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Io`].
    pub fn private(&self) -> Result<Vec<Private>, DataDirError> {
        let mut found = Vec::new();
        let dirs = [
            self.path().to_owned(),
            self.authority(),
            self.certificates(),
            self.signing(),
        ];
        for dir in dirs {
            look_into(&dir, &mut found).map_err(|source| io_error(&dir, source))?;
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

fn look_into(dir: &Path, found: &mut Vec<Private>) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        // What is missing is told of elsewhere.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    found.push(private(dir.to_owned(), &fs::metadata(dir)?));
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // SQLite keeps what is being written in files beside the database.
        let stored = name.ends_with(".db") || name.contains(".db-");
        if stored || name.ends_with(".key") || name == "key.pem" {
            match fs::metadata(&path) {
                Ok(metadata) => found.push(private(path, &metadata)),
                // Those come and go.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

fn private(path: PathBuf, metadata: &fs::Metadata) -> Private {
    Private {
        path,
        mode: metadata.permissions().mode() & 0o777,
        directory: metadata.is_dir(),
    }
}
