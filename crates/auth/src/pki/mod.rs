//! A development authority: the certificates of one mesh, made on first start.
//!
//! A province uses its own authority; the forms of names are the same
//! ([`crate::Identity`]). Keys are files that only their owner reads.

mod authority;
mod files;
mod until;

pub use authority::{Authority, LEAF_LIFETIME, Term};
pub use files::{CertificateFiles, client_tls, server_tls};
pub use until::holds_until;

use std::path::PathBuf;

/// Why certificates could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// There is an authority already; load it, or remove it by hand if every
    /// certificate of it may become void.
    #[error("there is an authority in {}", dir.display())]
    Exists {
        /// Its directory.
        dir: PathBuf,
    },
    /// The directory has another authority's `ca.pem`; choose another directory.
    #[error("{} is another authority's", path.display())]
    OtherAuthority {
        /// The file.
        path: PathBuf,
    },
    /// A name of files is made of letters, digits, `.`, `_` and `-`, and starts with neither of the last three.
    #[error("`{name}` is not a name for certificate files")]
    Name {
        /// The name given.
        name: String,
    },
    /// The file cannot be read or written; its path and the system's reason say why.
    #[error("{}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A certificate or key cannot be made or does not parse.
    #[error("certificate or key is not usable")]
    Certificate(#[from] rcgen::Error),
}
