//! The two primitives everything here is made of: HMAC-SHA256 and
//! XChaCha20-Poly1305.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A secret of 32 bytes, wiped when dropped.
pub(super) type Secret = Zeroizing<[u8; 32]>;

/// Bytes of an XChaCha20 nonce.
pub(super) const NONCE_BYTES: usize = 24;

/// Format of wrapped bytes: this byte, the nonce, ciphertext and tag.
const WRAP_VERSION: u8 = 1;

/// HMAC-SHA256 of the parts one after another.
pub(super) fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac =
        <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// The subkey of `key` for one purpose.
pub(super) fn derive(key: &[u8; 32], label: &str) -> Secret {
    Zeroizing::new(mac(key, &[label.as_bytes()]))
}

/// Fresh random bytes from the system.
pub(super) fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// Encrypts and authenticates.
pub(super) fn encrypt(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    msg: &[u8],
) -> Vec<u8> {
    XChaCha20Poly1305::new(&Key::from(*key))
        .encrypt(&XNonce::from(*nonce), Payload { msg, aad })
        .expect("only a message of 256 GiB is too long")
}

/// Decrypts, or nothing if any byte, the nonce, the key or `aad` is another.
pub(super) fn decrypt(
    key: &[u8; 32],
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    msg: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    XChaCha20Poly1305::new(&Key::from(*key))
        .decrypt(&XNonce::from(*nonce), Payload { msg, aad })
        .ok()
        .map(Zeroizing::new)
}

/// Wraps `plain` under a random nonce for storage in the key ring.
pub(super) fn wrap(key: &[u8; 32], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, getrandom::Error> {
    let nonce = random::<NONCE_BYTES>()?;
    let mut wrapped = vec![WRAP_VERSION];
    wrapped.extend_from_slice(&nonce);
    wrapped.extend(encrypt(key, &nonce, aad, plain));
    Ok(wrapped)
}

/// The inverse of [`wrap`]; nothing if the bytes or `aad` have been altered.
pub(super) fn unwrap(key: &[u8; 32], aad: &[u8], wrapped: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (&version, rest) = wrapped.split_first()?;
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
    if version != WRAP_VERSION {
        return None;
    }
    decrypt(key, nonce, aad, ciphertext)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_is_hmac_sha256() {
        // RFC 4231, test case 2 (key "Jefe"), padded with zeros as HMAC does.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let found = mac(&key, &[b"what do ya want ", b"for nothing?"]);
        let hex: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn wrapped_bytes_open_only_unaltered() {
        let wrapped = wrap(&[7; 32], b"row", b"secret").expect("random bytes");
        assert_eq!(
            unwrap(&[7; 32], b"row", &wrapped).as_deref(),
            Some(&b"secret".to_vec())
        );
        assert!(unwrap(&[7; 32], b"other row", &wrapped).is_none());
        assert!(unwrap(&[8; 32], b"row", &wrapped).is_none());
        for at in 0..wrapped.len() {
            let mut altered = wrapped.clone();
            altered[at] ^= 1;
            assert!(unwrap(&[7; 32], b"row", &altered).is_none(), "byte {at}");
            assert!(unwrap(&[7; 32], b"row", &wrapped[..at]).is_none());
        }
    }
}
