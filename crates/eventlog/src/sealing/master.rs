//! The deployment's master key and the subkeys the ring works with.

use std::fmt;

use zeroize::Zeroizing;

use super::crypto::{self, Secret};
use super::error::MasterKeyError;
use super::store::{Lookup, PseudonymKind};

/// The operator's key, 32 bytes: wraps everything in the key ring. It is given by
/// file or environment and is never in a store. Wiped when dropped.
///
/// Losing it loses the sealed fields and nothing else.
pub struct MasterKey(Secret);

impl MasterKey {
    /// Reads what [`MasterKey::to_hex_file_contents`] wrote: 64 hexadecimal
    /// digits; white space around them is ignored.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError::Length`], [`MasterKeyError::NotHex`]: the file is not a
    /// master key; put the right one in its place.
    pub fn from_hex_file_contents(contents: &str) -> Result<Self, MasterKeyError> {
        let digits = contents.trim();
        let found = digits.chars().count();
        if let Some(at) = digits.chars().position(|digit| !digit.is_ascii_hexdigit()) {
            return Err(MasterKeyError::NotHex { at: at + 1 });
        }
        if found != 64 {
            return Err(MasterKeyError::Length { found });
        }
        let mut key = Zeroizing::new([0; 32]);
        for (byte, pair) in key.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
        }
        Ok(Self(key))
    }

    /// Makes a new one from the system's randomness.
    ///
    /// # Errors
    ///
    /// [`MasterKeyError::Randomness`]: the system gives none; repair it first.
    pub fn generate() -> Result<Self, MasterKeyError> {
        crypto::random()
            .map(|key| Self(Zeroizing::new(key)))
            .map_err(|error| MasterKeyError::Randomness(error.to_string()))
    }

    /// The content of a master key file. Write it where only the operator and
    /// the service can read, and back it up apart from the key ring.
    pub fn to_hex_file_contents(&self) -> Zeroizing<String> {
        let mut contents = Zeroizing::new(String::with_capacity(65));
        for byte in self.0.iter() {
            contents.push(char::from(DIGITS[usize::from(byte >> 4)]));
            contents.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        contents.push('\n');
        contents
    }

    /// Whether a key ring that keeps this check value was created with this key.
    pub fn created(&self, check: &[u8; 32]) -> bool {
        self.subkeys().check_value() == *check
    }

    pub(super) fn subkeys(&self) -> Subkeys {
        Subkeys {
            wrapping: crypto::derive(&self.0, "tally key ring v1 wrapping"),
            lookup: crypto::derive(&self.0, "tally key ring v1 lookup"),
            check: crypto::derive(&self.0, "tally key ring v1 check"),
            content: crypto::derive(&self.0, "tally key ring v1 content"),
        }
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(redacted)")
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Value of a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// What is derived from the master key, one key per purpose.
pub(super) struct Subkeys {
    /// Wraps data keys and identifiers.
    pub wrapping: Secret,
    lookup: Secret,
    check: Secret,
    content: Secret,
}

impl Subkeys {
    /// Under what a stream's key is found.
    pub fn stream(&self, stream: &str) -> Lookup {
        crypto::mac(&self.lookup, &[b"stream\0", stream.as_bytes()])
    }

    /// Under what an identifier's pseudonym is found.
    pub fn identifier(&self, kind: PseudonymKind, identifier: &str) -> Lookup {
        let label: &[u8] = match kind {
            PseudonymKind::Officer => b"officer\0",
            PseudonymKind::Person => b"person\0",
        };
        crypto::mac(&self.lookup, &[label, identifier.as_bytes()])
    }

    /// What stands for a command's content where it may name persons.
    pub fn content(&self, parts: &[&[u8]]) -> [u8; 32] {
        crypto::mac(&self.content, parts)
    }

    /// What the store keeps so that another master key is noticed.
    pub fn check_value(&self) -> [u8; 32] {
        *self.check
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_contents_round_trip() {
        let key = MasterKey::generate().expect("random bytes");
        let contents = key.to_hex_file_contents();
        assert_eq!(contents.len(), 65);
        let read = MasterKey::from_hex_file_contents(&contents.to_uppercase()).expect("a key");
        assert_eq!(*read.0, *key.0);
    }

    #[test]
    fn anything_else_is_refused_without_being_shown() {
        let short = MasterKey::from_hex_file_contents("00ff\n").expect_err("too short");
        assert_eq!(short, MasterKeyError::Length { found: 4 });
        let other = MasterKey::from_hex_file_contents("00fx").expect_err("not hexadecimal");
        assert_eq!(other, MasterKeyError::NotHex { at: 4 });
        let empty = MasterKey::from_hex_file_contents("").expect_err("empty");
        assert_eq!(empty, MasterKeyError::Length { found: 0 });
    }

    #[test]
    fn debug_shows_nothing() {
        let key = MasterKey::from_hex_file_contents(&"5a".repeat(32)).expect("a key");
        assert_eq!(format!("{key:?}"), "MasterKey(redacted)");
    }

    #[test]
    fn purposes_have_different_keys() {
        let subkeys = MasterKey::generate().expect("random bytes").subkeys();
        assert_ne!(*subkeys.wrapping, *subkeys.lookup);
        assert_ne!(*subkeys.wrapping, subkeys.check_value());
        let officer = subkeys.identifier(PseudonymKind::Officer, "1");
        let person = subkeys.identifier(PseudonymKind::Person, "1");
        assert_ne!(officer, person);
        assert_ne!(officer, subkeys.stream("1"));
        assert_ne!(subkeys.stream("1"), subkeys.content(&[b"stream\0", b"1"]));
    }
}
