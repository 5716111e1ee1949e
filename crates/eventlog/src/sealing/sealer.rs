//! Sealing and opening single fields under a stream's data key.

use std::fmt;
use std::sync::Arc;

use tally_proto::tally::log::v1::Sealed;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::crypto::{self, NONCE_BYTES, Secret};
use super::error::KeyRingError;

/// Seals fields of one stream. Cheap to clone; wipes its key with the last clone.
///
/// Use it for the append at hand and drop it: a field sealed after the stream's
/// key was erased is born erased.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<DataKey>,
}

impl Sealer {
    pub(super) fn new(key: Arc<DataKey>) -> Self {
        Self { key }
    }

    /// Seals `plaintext` as the field `field`: XChaCha20-Poly1305, with field and
    /// key id authenticated.
    ///
    /// Equal text of the same field and stream seals to equal bytes, so that
    /// decisions compare sealed values without opening them; the nonce is derived
    /// from key, field and text, which makes that safe. The length of the text
    /// shows. `field` is the name in the contract, such as `legal_representative`,
    /// and holds no NUL; opening takes the same name.
    pub fn seal(&self, field: &str, plaintext: &str) -> Sealed {
        debug_assert!(!field.contains('\0'), "a field name holds no NUL");
        let nonce = self.key.nonce(field, plaintext);
        let ciphertext = crypto::encrypt(
            &self.key.cipher,
            &nonce,
            &aad(self.key.id, field),
            plaintext.as_bytes(),
        );
        Sealed {
            key_id: self.key.id.as_bytes().to_vec().into(),
            nonce: nonce.to_vec().into(),
            ciphertext: ciphertext.into(),
        }
    }

    /// Id of the data key, as written into what it seals.
    pub fn key_id(&self) -> Uuid {
        self.key.id
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealer({})", self.key.id)
    }
}

/// What a sealed field holds.
#[derive(Clone, PartialEq, Eq)]
pub enum Opened {
    /// Its text.
    Text(String),
    /// Nothing any more: its key was erased.
    Erased,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Opened text must not reach a log by way of a derived Debug.
        f.write_str(match self {
            Self::Text(_) => "Text(redacted)",
            Self::Erased => "Erased",
        })
    }
}

/// A stream's data key, ready for use.
pub(super) struct DataKey {
    id: Uuid,
    cipher: Secret,
    nonce: Secret,
}

impl DataKey {
    pub fn new(id: Uuid, secret: &[u8; 32]) -> Self {
        Self {
            id,
            cipher: crypto::derive(secret, "tally data key v1 cipher"),
            nonce: crypto::derive(secret, "tally data key v1 nonce"),
        }
    }

    /// Opens one field that names this key.
    pub fn open(&self, field: &str, sealed: &Sealed) -> Result<Opened, KeyRingError> {
        let nonce: &[u8; NONCE_BYTES] =
            sealed
                .nonce
                .as_ref()
                .try_into()
                .map_err(|_| KeyRingError::Malformed {
                    field: field.to_owned(),
                    problem: "its nonce is not 24 bytes long",
                })?;
        let failed = KeyRingError::Authentication { key_id: self.id };
        let aad = aad(self.id, field);
        let plain = crypto::decrypt(&self.cipher, nonce, &aad, &sealed.ciphertext);
        let Some(plain) = plain else {
            return Err(failed);
        };
        let text = std::str::from_utf8(&plain).map_err(|_| failed)?;
        Ok(Opened::Text(text.to_owned()))
    }

    fn nonce(&self, field: &str, plaintext: &str) -> [u8; NONCE_BYTES] {
        let parts = [field.as_bytes(), b"\0", plaintext.as_bytes()];
        let mac = Zeroizing::new(crypto::mac(&self.nonce, &parts));
        *mac.first_chunk().expect("32 bytes hold 24")
    }
}

/// What is authenticated with a field: its key's id and its name.
fn aad(key_id: Uuid, field: &str) -> Vec<u8> {
    [key_id.as_bytes(), field.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(id: u128, secret: u8) -> Sealer {
        Sealer::new(Arc::new(DataKey::new(Uuid::from_u128(id), &[secret; 32])))
    }

    #[test]
    fn equal_text_seals_equal_and_anything_else_does_not() {
        let sealer = sealer(1, 1);
        let sealed = sealer.seal("name", "王芳");
        assert_eq!(sealer.seal("name", "王芳"), sealed);
        assert_ne!(sealer.seal("name", "王方").nonce, sealed.nonce);
        assert_ne!(sealer.seal("alias", "王芳").nonce, sealed.nonce);
        assert_ne!(self::sealer(1, 2).seal("name", "王芳").nonce, sealed.nonce);
    }

    #[test]
    fn no_altered_byte_opens() {
        let sealer = sealer(1, 1);
        let sealed = sealer.seal("name", "王芳");
        let opened = sealer.key.open("name", &sealed).expect("authentic");
        assert!(opened == Opened::Text("王芳".to_owned()));
        for at in 0..sealed.ciphertext.len() {
            let mut altered = sealed.clone();
            let mut bytes = altered.ciphertext.to_vec();
            bytes[at] ^= 1;
            altered.ciphertext = bytes.into();
            let error = sealer.key.open("name", &altered).expect_err("altered");
            assert!(matches!(error, KeyRingError::Authentication { .. }));
        }
    }

    #[test]
    fn the_stored_form_never_changes() {
        // Computed by an independent implementation. Records are for good: whoever changes the derivation makes every
        // sealed field unreadable, and this test is there to say so first.
        let sealed = sealer(7, 9).seal("name", "Ada");
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        assert_eq!(
            hex(&sealed.nonce),
            "959969130dcb32fce69bcf90f11a1c29695d4302f828fd06"
        );
        assert_eq!(
            hex(&sealed.ciphertext),
            "e8ddcc419480eccd9c7eab0148404356bce170"
        );
    }

    #[test]
    fn debug_shows_no_text_and_no_key() {
        assert_eq!(
            format!("{:?}", Opened::Text("王芳".to_owned())),
            "Text(redacted)"
        );
        let id = Uuid::from_u128(1);
        assert_eq!(format!("{:?}", sealer(1, 1)), format!("Sealer({id})"));
    }
}
