//! What lies where in a data directory.

mod signing;
pub(crate) mod state;

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

use crate::role::Role;

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
    /// What the processes of a mesh share is not here.
    #[error(
        "{dir} has no keys and certificates for the roles of a mesh; make them once with `tally init --dir {dir}`, \
         before the first role starts, and give every machine the same",
        dir = dir.display()
    )]
    NotInitialised {
        /// The directory.
        dir: PathBuf,
    },
    /// All roles have one store here.
    #[error(
        "{dir} holds a mesh with all its roles in one store; start it with `tally up --dir {dir}`, \
         or name another directory for a mesh of several processes",
        dir = dir.display()
    )]
    Embedded {
        /// The directory.
        dir: PathBuf,
    },
    /// Some roles were never started here.
    #[error(
        "in {dir} these roles have not been started: {roles}; start each with `tally serve --role ROLE --dir {dir}`",
        dir = dir.display()
    )]
    NoEndpointOf {
        /// The directory.
        dir: PathBuf,
        /// Their names.
        roles: String,
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

    /// The event store of all roles, or of one.
    pub fn store(&self, role: Option<Role>) -> PathBuf {
        let name = role.map_or("tally", Role::name);
        self.root.join(format!("{name}.db"))
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

    fn endpoint_file(&self, role: Option<Role>) -> PathBuf {
        let whole = self.root.join("endpoint");
        role.map_or_else(
            || whole.clone(),
            |role| whole.with_added_extension(role.name()),
        )
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
        if let Some(kept) = self.kept_master_key()? {
            return Ok(kept);
        }
        if self.keyring().exists() {
            return Err(DataDirError::MasterKeyMissing { path });
        }
        let key = MasterKey::generate().map_err(key_error)?;
        // Half a key would keep every later start from working.
        replace_for_owner_only(&path, key.to_hex_file_contents().as_bytes())
            .map_err(|source| io_error(&path, source))?;
        Ok(key)
    }

    /// The development authority, the server's certificate and the operator's;
    /// made at the first start.
    ///
    /// # Errors
    ///
    /// [`DataDirError`]; it says what to do.
    pub fn server_tls(&self) -> Result<ServerTls, DataDirError> {
        self.server_tls_for(&[])
    }

    /// The same; a certificate that is made names these hosts too.
    fn server_tls_for(&self, hosts: &[String]) -> Result<ServerTls, DataDirError> {
        let dir = self.authority();
        if !Authority::exists(&dir) {
            Authority::create(&dir, SystemTime::now())?;
        }
        let server = dir.join(format!("{SERVER}.pem"));
        if !server.exists() {
            let authority = Authority::load(&dir)?;
            authority.issue_server(hosts, &dir, SERVER, Term::year_from(SystemTime::now()))?;
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

    /// Makes what several processes share before the first of them starts:
    /// authority, certificates of the server, the operator and every role, the
    /// master key, the key of receipts. What is there stays as it is.
    ///
    /// # Errors
    ///
    /// [`DataDirError`]; it says what to do.
    pub(crate) fn init(&self, hosts: &[String]) -> Result<(), DataDirError> {
        self.create()?;
        self.server_tls_for(hosts)?;
        self.master_key()?;
        self.receipt_signer()?;
        let dir = self.authority();
        for role in Role::ALL {
            let name = mesh_name(role);
            if !dir.join(format!("{name}.pem")).exists() {
                let identity = Identity::Mesh(role.name().to_owned());
                let term = Term::year_from(SystemTime::now());
                Authority::load(&dir)?.issue(&identity, &dir, &name, term)?;
            }
        }
        Ok(())
    }

    /// Whether [`init`](crate::mesh::init) has been done here, which a process of one
    /// role does not do itself: several would do it at once.
    ///
    /// # Errors
    ///
    /// [`DataDirError::NotInitialised`]; [`DataDirError::Embedded`] where all
    /// roles have one store here.
    pub fn verify_shared(&self) -> Result<(), DataDirError> {
        if self.store(None).exists() {
            return Err(DataDirError::Embedded {
                dir: self.root.clone(),
            });
        }
        let certificates = Role::ALL.map(|role| format!("{}.pem", mesh_name(role)));
        let certificates = certificates.iter().map(|name| self.authority().join(name));
        let mut files = certificates.chain([self.master_key_file(), self.keyring()]);
        if files.all(|file| file.exists()) {
            return Ok(());
        }
        Err(DataDirError::NotInitialised {
            dir: self.root.clone(),
        })
    }

    /// What a role of the mesh shows to the others.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Pki`]: there is no such certificate; have it issued.
    pub fn mesh_tls(&self, role: Role) -> Result<ClientTls, DataDirError> {
        Ok(pki::client_tls(&self.authority(), &mesh_name(role))?)
    }

    /// Writes down where the mesh listens, or one role of it.
    ///
    /// # Errors
    ///
    /// [`DataDirError::Io`].
    pub fn write_endpoint(&self, role: Option<Role>, endpoint: &str) -> Result<(), DataDirError> {
        let path = self.endpoint_file(role);
        // Renamed into place, so that nobody reads half an address.
        let draft = path.with_added_extension("new");
        write_for_owner_only(&draft, endpoint.as_bytes())
            .and_then(|_| fs::rename(&draft, &path))
            .map_err(|source| io_error(&path, source))
    }

    /// Where the mesh of this directory listens, or listened last.
    ///
    /// # Errors
    ///
    /// [`DataDirError::NoEndpoint`]: start a mesh first.
    /// [`DataDirError::NoEndpointOf`]: start that role first.
    pub fn endpoints(&self) -> Result<Endpoints, DataDirError> {
        let read = |role| {
            let text = fs::read_to_string(self.endpoint_file(role)).ok()?;
            Some(text.trim().to_owned())
        };
        if let Some(endpoint) = read(None) {
            return Ok(Endpoints::One(endpoint));
        }
        let found = Role::ALL.map(|role| read(Some(role)));
        if found.iter().all(Option::is_none) {
            return Err(DataDirError::NoEndpoint {
                dir: self.root.clone(),
            });
        }
        let missing = Role::ALL.into_iter().zip(&found);
        let missing: Vec<&str> = missing
            .filter(|(_, endpoint)| endpoint.is_none())
            .map(|(role, _)| role.name())
            .collect();
        if !missing.is_empty() {
            return Err(DataDirError::NoEndpointOf {
                dir: self.root.clone(),
                roles: missing.join(", "),
            });
        }
        Ok(Endpoints::PerRole(found.map(Option::unwrap_or_default)))
    }
}

/// Where a mesh listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoints {
    /// One process has all roles.
    One(String),
    /// Each role has its own address; in the order of [`Role::ALL`].
    PerRole([String; Role::ALL.len()]),
}

/// Name of the certificate of a role.
fn mesh_name(role: Role) -> String {
    format!("mesh-{role}")
}

/// An error with everything that caused it, on one line.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
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
