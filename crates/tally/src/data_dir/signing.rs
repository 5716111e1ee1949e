//! The keys under which receipts are signed: the present one, and the public
//! halves of all that were ever in use.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use tally_service::jws::{JwkSet, Signer, SigningKey};

use super::{DataDir, DataDirError, io_error, replace_for_owner_only};

impl DataDir {
    /// The key under which receipts are signed, and those before it; made at the
    /// first start only.
    ///
    /// # Errors
    ///
    /// [`DataDirError`]; it says what to do.
    pub fn receipt_signer(&self) -> Result<Signer, DataDirError> {
        let dir = self.signing();
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir);
        made.map_err(|source| io_error(&dir, source))?;
        let mut published = self.published_keys()?;
        let path = self.signing_key_file();
        let key = match fs::read_to_string(&path) {
            Ok(text) => SigningKey::from_pem(&text).map_err(|source| DataDirError::SigningKey {
                path: path.clone(),
                source: source.into(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if !published.keys.is_empty() {
                    return Err(DataDirError::SigningKeyMissing { path });
                }
                self.new_signing_key()?
            }
            Err(source) => return Err(io_error(&path, source)),
        };
        if published.add(key.jwk()) {
            self.publish(&published)?;
        }
        Ok(Signer::new(key, published))
    }

    /// Replaces the key by a new one. What was signed under those before it stays
    /// verifiable: their public halves stay published.
    ///
    /// # Errors
    ///
    /// [`DataDirError`]; it says what to do.
    pub fn rotate_receipt_key(&self) -> Result<Signer, DataDirError> {
        let mut published = self.published_keys()?;
        // A key that is there has been in use, whether or not it is published yet.
        if let Ok(text) = fs::read_to_string(self.signing_key_file())
            && let Ok(key) = SigningKey::from_pem(&text)
            && published.add(key.jwk())
        {
            self.publish(&published)?;
        }
        self.new_signing_key()?;
        self.receipt_signer()
    }

    fn new_signing_key(&self) -> Result<SigningKey, DataDirError> {
        let path = self.signing_key_file();
        let made = SigningKey::generate().map_err(|source| DataDirError::SigningKey {
            path: path.clone(),
            source: source.into(),
        });
        let (key, text) = made?;
        replace_for_owner_only(&path, text.as_bytes()).map_err(|source| io_error(&path, source))?;
        Ok(key)
    }

    fn published_keys(&self) -> Result<JwkSet, DataDirError> {
        let path = self.published_keys_file();
        match fs::read_to_string(&path) {
            Ok(text) => JwkSet::parse_own(&text).map_err(|source| DataDirError::SigningKey {
                path,
                source: source.into(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(JwkSet::default()),
            Err(source) => Err(io_error(&path, source)),
        }
    }

    fn publish(&self, keys: &JwkSet) -> Result<(), DataDirError> {
        let path = self.published_keys_file();
        let written = replace_for_owner_only(&path, format!("{keys}\n").as_bytes());
        written.map_err(|source| io_error(&path, source))
    }

    pub(super) fn signing(&self) -> PathBuf {
        self.path().join("signing")
    }

    fn signing_key_file(&self) -> PathBuf {
        self.signing().join("key.pem")
    }

    fn published_keys_file(&self) -> PathBuf {
        self.signing().join("jwks.json")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use serde_json::json;

    use super::*;

    fn is_private(path: &Path) -> bool {
        let metadata = fs::metadata(path).expect("it is there");
        metadata.permissions().mode() & 0o077 == 0
    }

    fn dir() -> (tempfile::TempDir, DataDir) {
        let place = tempfile::TempDir::new().expect("a directory");
        let dir = DataDir::new(place.path());
        (place, dir)
    }

    #[test]
    fn the_key_is_made_once_and_for_its_owner_only() {
        let (_place, dir) = dir();
        let first = dir.receipt_signer().expect("made");
        let again = dir.receipt_signer().expect("read");
        assert_eq!(first.published(), again.published());
        assert_eq!(first.sign(&json!({})), again.sign(&json!({})));
        assert!(is_private(&dir.signing_key_file()));
        assert!(is_private(&dir.signing()));
    }

    #[test]
    fn a_new_key_leaves_the_old_ones_published() {
        let (_place, dir) = dir();
        let old = dir.receipt_signer().expect("made").sign(&json!({"n": 1}));
        let new = dir.rotate_receipt_key().expect("rotated");
        assert_eq!(new.published().keys.len(), 2);
        assert!(new.published().verify(&old).is_ok());
        let receipt = new.sign(&json!({"n": 1}));
        assert_ne!(receipt, old);
        let read = dir.receipt_signer().expect("read");
        assert_eq!(read.published(), new.published());
        assert!(read.published().verify(&receipt).is_ok());
    }

    #[test]
    fn a_lost_key_is_not_replaced_silently() {
        let (_place, dir) = dir();
        dir.receipt_signer().expect("made");
        fs::remove_file(dir.signing_key_file()).expect("removed");
        let lost = dir.receipt_signer();
        assert!(matches!(lost, Err(DataDirError::SigningKeyMissing { .. })));
        assert_eq!(
            dir.rotate_receipt_key()
                .expect("new")
                .published()
                .keys
                .len(),
            2
        );
    }

    #[test]
    fn what_is_no_key_is_named() {
        let (_place, dir) = dir();
        dir.receipt_signer().expect("made");
        fs::write(dir.signing_key_file(), "no key").expect("written");
        let error = dir.receipt_signer().expect_err("refused").to_string();
        assert!(error.contains("key.pem"), "{error}");
    }
}
