//! Signed statements that verify without the mesh: JWS in compact serialisation
//! (RFC 7515), signed with Ed25519 (`EdDSA`, RFC 8037), keys as a JWK set (RFC 7517)
//! whose ids are thumbprints (RFC 7638).

#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Label of a PKCS#8 key in PEM (RFC 7468).
const PEM_LABEL: &str = "PRIVATE KEY";

/// The only algorithm in use.
const ALGORITHM: &str = "EdDSA";

/// Bytes of an Ed25519 public key.
const PUBLIC_KEY_BYTES: usize = 32;

/// A private key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The system gave no randomness: try again.
    #[error("no key could be made, the system gave no randomness")]
    Randomness,
    /// Not a key of this kind: put the right file there.
    #[error("not an Ed25519 key as PKCS#8 in PEM: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

/// A statement does not hold, or cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not a JWS in compact form, or not one of these.
    #[error("not a receipt: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The key is not among those given: get the set anew from the mesh, and if it
    /// is not in that one, do not trust the statement.
    #[error("no key `{kid}` is in the set of keys")]
    KeyUnknown {
        /// The key that it names.
        kid: String,
    },
    /// It was altered, or signed under another key: do not trust it.
    #[error("the signature does not hold: it was altered, or signed under another key")]
    SignatureInvalid,
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The public key, base64url.
    pub x: String,
    /// Its thumbprint (RFC 7638, SHA-256).
    pub kid: String,
    /// `EdDSA`.
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
}

impl Jwk {
    fn of(public: &[u8]) -> Self {
        let x = BASE64URL.encode(public);
        // The members that RFC 7638 names, in its order and without blanks.
        let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        Self {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x,
            kid: BASE64URL.encode(Sha256::digest(canonical.as_bytes())),
            alg: ALGORITHM.to_owned(),
            usage: "sig".to_owned(),
        }
    }

    /// The key, if it is one of a mesh: Ed25519, under its thumbprint. Its other
    /// members say nothing that these do not.
    fn read(jwk: &serde_json::Value) -> Option<Self> {
        let member = |name: &str| jwk.get(name)?.as_str();
        let public = BASE64URL.decode(member("x")?).ok()?;
        let key = Self::of(&public);
        let same = [("kty", &key.kty), ("crv", &key.crv), ("kid", &key.kid)];
        let is_one = same.iter().all(|(name, value)| member(name) == Some(value));
        (is_one && public.len() == PUBLIC_KEY_BYTES).then_some(key)
    }

    fn public(&self) -> Option<Vec<u8>> {
        BASE64URL.decode(&self.x).ok()
    }
}

/// Public keys, the present one and those before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// The keys.
    pub keys: Vec<Jwk>,
}

impl JwkSet {
    /// Reads a set, which may be kept together with keys of others: those are
    /// ignored (RFC 7517, section 5). A key is known by its thumbprint, so that one
    /// which was altered is none of the mesh's either.
    ///
    /// # Errors
    ///
    /// [`JwsError::Malformed`]: it is no set of keys.
    pub fn parse(text: &str) -> Result<Self, JwsError> {
        let keys = keys(text)?;
        let keys = keys.iter().filter_map(Jwk::read).collect();
        Ok(Self { keys })
    }

    /// Reads the set that a mesh publishes. There is nothing else in it, so that
    /// what is ignored elsewhere is damage here.
    ///
    /// # Errors
    ///
    /// [`JwsError::Malformed`]: it is no set of Ed25519 keys with thumbprints as ids.
    pub fn parse_own(text: &str) -> Result<Self, JwsError> {
        let read = |(at, jwk): (usize, &serde_json::Value)| {
            Jwk::read(jwk).ok_or_else(|| {
                malformed(&format!(
                    "key {} of the set is no Ed25519 key under its thumbprint",
                    at + 1
                ))
            })
        };
        let keys = keys(text)?;
        let keys = keys
            .iter()
            .enumerate()
            .map(read)
            .collect::<Result<_, _>>()?;
        Ok(Self { keys })
    }

    /// The key of that id.
    pub fn key(&self, kid: &str) -> Option<&Jwk> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// Adds a key that is not there yet; true if it was not.
    pub fn add(&mut self, key: &Jwk) -> bool {
        let new = self.key(&key.kid).is_none();
        if new {
            self.keys.push(key.clone());
        }
        new
    }

    /// What a statement says, if it was signed under one of these keys.
    ///
    /// # Errors
    ///
    /// [`JwsError`]: it says why it is not to be trusted.
    pub fn verify(&self, jws: &str) -> Result<Verified, JwsError> {
        let parts: Vec<&str> = jws.trim().split('.').collect();
        let [header, payload, signature] = parts[..] else {
            return Err(malformed("it has not the three parts of a JWS"));
        };
        let parsed: Header = serde_json::from_slice(&decoded(header)?)
            .map_err(|error| malformed(&format!("its header cannot be read: {error}")))?;
        if parsed.alg != ALGORITHM {
            return Err(malformed("it is not signed with EdDSA"));
        }
        let key = self.key(&parsed.kid);
        let public = key.and_then(Jwk::public).ok_or(JwsError::KeyUnknown {
            kid: parsed.kid.clone(),
        })?;
        let signed = format!("{header}.{payload}");
        UnparsedPublicKey::new(&ED25519, public)
            .verify(signed.as_bytes(), &decoded(signature)?)
            .map_err(|_| JwsError::SignatureInvalid)?;
        let payload = serde_json::from_slice(&decoded(payload)?)
            .map_err(|error| malformed(&format!("its payload is not JSON: {error}")))?;
        Ok(Verified {
            kid: parsed.kid,
            payload,
        })
    }
}

/// The keys of a set, whatever they are.
fn keys(text: &str) -> Result<Vec<serde_json::Value>, JwsError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<serde_json::Value>,
    }
    let set: Set = serde_json::from_str(text)
        .map_err(|error| malformed(&format!("the set of keys cannot be read: {error}")))?;
    Ok(set.keys)
}

impl fmt::Display for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).expect("a set of texts has a JSON form");
        f.write_str(&text)
    }
}

/// A statement that holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// The key under which it was signed.
    pub kid: String,
    /// What it says.
    pub payload: serde_json::Value,
}

/// Unknown members are refused, so that no `crit` passes that is not understood.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// A private key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    jwk: Jwk,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.jwk.kid)
    }
}

impl SigningKey {
    /// A new key, and the PEM in which it is kept.
    ///
    /// # Errors
    ///
    /// [`KeyError::Randomness`].
    pub fn generate() -> Result<(Self, String), KeyError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| KeyError::Randomness)?;
        let text = pem::encode(&pem::Pem::new(PEM_LABEL, document.as_ref()));
        Ok((Self::from_pem(&text)?, text))
    }

    /// Reads a key: PKCS#8 in PEM, also as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    ///
    /// [`KeyError::Malformed`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let malformed = |reason: String| KeyError::Malformed { reason };
        let parsed = pem::parse(text).map_err(|error| malformed(error.to_string()))?;
        if parsed.tag() != PEM_LABEL {
            return Err(malformed(format!("it is a `{}`", parsed.tag())));
        }
        // A key without its public half is one too: the half is computed.
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(parsed.contents())
            .map_err(|error| malformed(error.to_string()))?;
        let jwk = Jwk::of(pair.public_key().as_ref());
        Ok(Self { pair, jwk })
    }

    /// Its public half.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }
}

/// Signs under one key, and publishes it with those before it.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
    published: JwkSet,
}

impl Signer {
    /// Signs under `key`; `published` are the keys that were ever in use.
    pub fn new(key: SigningKey, mut published: JwkSet) -> Self {
        published.add(key.jwk());
        Self { key, published }
    }

    /// All keys under which a statement may be signed.
    pub fn published(&self) -> &JwkSet {
        &self.published
    }

    /// A statement. The same payload gives the same text while the key is the
    /// same, as Ed25519 draws nothing at random.
    pub fn sign(&self, payload: &impl Serialize) -> String {
        let header = Header {
            alg: ALGORITHM.to_owned(),
            kid: self.key.jwk.kid.clone(),
            typ: "JWT".to_owned(),
        };
        let signed = format!("{}.{}", encoded(&header), encoded(payload));
        let signature = self.key.pair.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64URL.encode(signature.as_ref()))
    }
}

fn encoded(part: &impl Serialize) -> String {
    let json = serde_json::to_vec(part).expect("texts and numbers have a JSON form");
    BASE64URL.encode(json)
}

fn decoded(part: &str) -> Result<Vec<u8>, JwsError> {
    let decoded = BASE64URL.decode(part);
    decoded.map_err(|_| malformed("a part of it is not base64url"))
}

fn malformed(reason: &str) -> JwsError {
    JwsError::Malformed {
        reason: reason.to_owned(),
    }
}
