//! Certificates and keys as files.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use tally_rpc::{ClientTls, ServerTls};

use super::PkiError;

/// The authority's certificate in a directory.
pub(super) const CA_CERTIFICATE: &str = "ca.pem";
/// The authority's key in its own directory.
pub(super) const CA_KEY: &str = "ca.key";

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, PEM.
    pub certificate: PathBuf,
    /// The private key, PEM, readable by its owner only.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// `<name>.pem` and `<name>.key` in `dir`.
    ///
    /// # Errors
    ///
    /// [`PkiError::Name`]: choose a plain name.
    pub fn of(dir: &Path, name: &str) -> Result<CertificateFiles, PkiError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let starts_plain = name.starts_with(|first: char| first.is_ascii_alphanumeric());
        if !starts_plain || !name.bytes().all(plain) {
            return Err(PkiError::Name {
                name: name.to_owned(),
            });
        }
        Ok(CertificateFiles {
            certificate: dir.join(format!("{name}.pem")),
            key: dir.join(format!("{name}.key")),
        })
    }
}

/// Reads what the client `name` needs from `dir`: `<name>.pem`, `<name>.key` and `ca.pem`.
///
/// # Errors
///
/// [`PkiError::File`] names the file that is missing: issue the certificate first.
pub fn client_tls(dir: &Path, name: &str) -> Result<ClientTls, PkiError> {
    let files = CertificateFiles::of(dir, name)?;
    Ok(ClientTls {
        ca_pem: read(&dir.join(CA_CERTIFICATE))?,
        certificate_pem: read(&files.certificate)?,
        key_pem: read(&files.key)?,
        server_name: None,
    })
}

/// Reads what the server `name` needs from `dir`: `<name>.pem`, `<name>.key` and `ca.pem`.
///
/// # Errors
///
/// [`PkiError::File`] names the file that is missing: issue the certificate first.
pub fn server_tls(dir: &Path, name: &str) -> Result<ServerTls, PkiError> {
    let files = CertificateFiles::of(dir, name)?;
    Ok(ServerTls {
        certificate_pem: read(&files.certificate)?,
        key_pem: read(&files.key)?,
        client_ca_pem: read(&dir.join(CA_CERTIFICATE))?,
    })
}

pub(super) fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| at(path, source))
}

pub(super) fn create_dir(dir: &Path) -> Result<(), PkiError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| at(dir, source))
}

/// Writes a key: never readable by others, not even for a moment, and whole or not at all.
pub(super) fn write_key(path: &Path, pem: &str) -> Result<(), PkiError> {
    write(path, pem, 0o600)
}

/// Writes a certificate, whole or not at all.
pub(super) fn write_certificate(path: &Path, pem: &str) -> Result<(), PkiError> {
    write(path, pem, 0o644)
}

fn write(path: &Path, pem: &str, mode: u32) -> Result<(), PkiError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    write_new(&part, pem, mode).map_err(|source| at(&part, source))?;
    fs::rename(&part, path).map_err(|source| at(path, source))
}

fn write_new(part: &Path, pem: &str, mode: u32) -> io::Result<()> {
    // A leftover of an interrupted run could have another mode.
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(part)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()
}

fn at(path: &Path, source: io::Error) -> PkiError {
    PkiError::File {
        path: path.to_owned(),
        source,
    }
}
