//! What lies where in a data directory.

mod signing;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tally_auth::identity::Identity;
use tally_auth::pki::{self, Authority, PkiError, Term};
use tally_eventlog::BoxError;
use tally_eventlog::sealing::{MasterKey, MasterKeyError};
use tally_rpc::{ClientTls, ServerTls};

/// Name of the operator's certificate that a first start makes.
pub const OPERATOR: &str = "operator";

const SERVER: &str = "server";

/// A data directory.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// A file cannot be read or written: check the directory and its rights.
    #[error("cannot use {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is a store, but its key is gone.
    #[error(
        "{path} is missing, though there is a key ring; put the master key back, \
         without it the sealed fields cannot be read and nothing new can be sealed",
        path = path.display()
    )]
    MasterKeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// There are records, but the key ring that leads from them to persons is gone.
    #[error(
        "{path} is missing, though the log has records: without it sealed fields cannot be read, and an \
         officer would count as another than before; put the key ring back from its backup",
        path = path.display()
    )]
    KeyRingMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is a key ring, but the log that it belongs to is gone.
    #[error(
        "{path} is missing or empty, though there is a key ring; put the store back from its backup, \
         or start in a new directory",
        path = path.display()
    )]
    StoreMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The master key is malformed, or none could be made.
    #[error("master key {path}: {source}", path = path.display())]
    MasterKey {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: MasterKeyError,
    },
    /// Receipts were signed here, but the key is gone.
    #[error(
        "{path} is missing, though receipts were signed here: put the key back, or run \
         `tally receipt rotate` for a new one; receipts under the old key stay verifiable",
        path = path.display()
    )]
    SigningKeyMissing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The key of receipts or the set of public keys is malformed, or none could be made.
    #[error("key of receipts {path}: {source}", path = path.display())]
    SigningKey {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: BoxError,
    },
    /// Certificates cannot be made or read.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// The server's certificate, its key or the authority's certificate cannot be used.
    #[error(
        "the server's certificate cannot be used: {reason}; in {dir}, put ca.pem back if it was altered, and \
         remove {SERVER}.pem and {SERVER}.key to have them issued anew at the next start",
        dir = dir.display()
    )]
    ServerCertificate {
        /// Where they are.
        dir: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Nothing runs here.
    #[error("no mesh has been started in {dir}; start one with `tally up --dir {dir}`", dir = dir.display())]
    NoEndpoint {
        /// The directory.
        dir: PathBuf,
    },
}

impl DataDir {
    /// The data directory at a path; it need not exist yet.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// The event store of all roles.
    pub fn store(&self) -> PathBuf {
        self.root.join("tally.db")
    }

    /// The key ring.
    pub fn keyring(&self) -> PathBuf {
        self.root.join("keyring.db")
    }

    /// Certificates of clients.
    pub fn certificates(&self) -> PathBuf {
        self.root.join("certs")
    }

    fn authority(&self) -> PathBuf {
        self.root.join("pki")
    }

    fn master_key_file(&self) -> PathBuf {
        self.root.join("master.key")
    }

    fn endpoint_file(&self) -> PathBuf {
        self.root.join("endpoint")
    }

    /// Makes the directory, for its owner only.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Io`].
    pub fn create(&self) -> Result<(), DataDirError> {
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root);
        made.map_err(|source| io_error(&self.root, source))
    }

    /// The master key; made at the first start only.
    ///
    /// # Errors
    ///
    /// [`DataDirError`]; it says what to do.
    pub fn master_key(&self) -> Result<MasterKey, DataDirError> {
        let path = self.master_key_file();
        let key_error = |source| DataDirError::MasterKey {
            path: path.clone(),
            source,
        };
        match fs::read_to_string(&path) {
            Ok(text) => MasterKey::from_hex_file_contents(&text).map_err(key_error),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.keyring().exists() {
                    return Err(DataDirError::MasterKeyMissing { path });
                }
                let key = MasterKey::generate().map_err(key_error)?;
                // Half a key would keep every later start from working.
                replace_for_owner_only(&path, key.to_hex_file_contents().as_bytes())
                    .map_err(|source| io_error(&path, source))?;
                Ok(key)
            }
            Err(source) => Err(io_error(&path, source)),
        }
    }

    /// The development authority, the server's certificate and the operator's;
    /// made at the first start.
    ///
    /// # Errors
    ///
    /// [`DataDirError`]; it says what to do.
    pub fn server_tls(&self) -> Result<ServerTls, DataDirError> {
        let dir = self.authority();
        if !Authority::exists(&dir) {
            Authority::create(&dir, SystemTime::now())?;
        }
        let server = dir.join(format!("{SERVER}.pem"));
        if !server.exists() {
            let authority = Authority::load(&dir)?;
            authority.issue_server(&[], &dir, SERVER, Term::year_from(SystemTime::now()))?;
        }
        if !self.certificates().join(format!("{OPERATOR}.pem")).exists() {
            let identity = Identity::parse(&format!("urn:tally:operator:{OPERATOR}"))
                .expect("the operator's name is a constant");
            self.issue(&identity, OPERATOR)?;
        }
        let tls = pki::server_tls(&dir, SERVER)?;
        match tls.verify() {
            Ok(()) => Ok(tls),
            Err(error) => Err(DataDirError::ServerCertificate {
                dir,
                reason: causes(&error),
            }),
        }
    }

    /// Issues a client's certificate into the directory of certificates.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Pki`].
    pub fn issue(
        &self,
        identity: &Identity,
        name: &str,
    ) -> Result<pki::CertificateFiles, DataDirError> {
        let authority = Authority::load(&self.authority())?;
        let term = Term::year_from(SystemTime::now());
        Ok(authority.issue(identity, &self.certificates(), name, term)?)
    }

    /// What a client needs to connect under a certificate of this directory.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Pki`]: there is no such certificate; issue it first.
    pub fn client_tls(&self, name: &str) -> Result<ClientTls, DataDirError> {
        Ok(pki::client_tls(&self.certificates(), name)?)
    }

    /// Writes down where the mesh listens.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Io`].
    pub fn write_endpoint(&self, endpoint: &str) -> Result<(), DataDirError> {
        let path = self.endpoint_file();
        // Renamed into place, so that nobody reads half an address.
        let draft = self.root.join("endpoint.new");
        write_for_owner_only(&draft, endpoint.as_bytes())
            .and_then(|_| fs::rename(&draft, &path))
            .map_err(|source| io_error(&path, source))
    }

    /// Where the mesh of this directory listens, or listened last.
    ///
    /// # Errors
    ///
    /// [`DataDirError::NoEndpoint`]: start a mesh first.
    pub fn endpoint(&self) -> Result<String, DataDirError> {
        let text = fs::read_to_string(self.endpoint_file());
        text.map(|text| text.trim().to_owned())
            .map_err(|_| DataDirError::NoEndpoint {
                dir: self.root.clone(),
            })
    }
}

/// An error with everything that caused it, on one line.
fn causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Writes a file anew. What an interrupted start left could have other rights.
fn write_for_owner_only(path: &Path, content: &[u8]) -> io::Result<fs::File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    Ok(file)
}

/// Writes a file anew, whole or not at all, and durably: its name must be as
/// durable as what will be done under the key in it.
fn replace_for_owner_only(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = path.with_added_extension("new");
    write_for_owner_only(&draft, content)?.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn io_error(path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Io {
        path: path.to_owned(),
        source,
    }
}
