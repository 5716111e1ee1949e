//! What can go wrong with keys, and what to do then.

use std::error::Error;
use std::sync::Arc;

use uuid::Uuid;

use crate::append::Outcome;

/// Why the key ring refused or failed. No variant carries a sealed value.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyRingError {
    /// The store failed. Every operation of the ring may be repeated as it is,
    /// whatever the outcome: it then finds what the first try left. An erasure
    /// with [`Outcome::Unknown`] counts as done only when a repeated call succeeds.
    #[error("key ring unavailable: {}", advice(*.outcome))]
    Unavailable {
        /// Whether the store may have been changed.
        outcome: Outcome,
        /// What the store, or the system's source of randomness, said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The ring was created with another master key. Start with that one; a
    /// retry cannot help.
    #[error("the master key is not the one this key ring was created with; start with that one")]
    WrongMasterKey,
    /// The ring knows no such key and did not erase it: it is older than the
    /// log. Restore a newer backup of the key ring.
    #[error("data key {key_id} is missing and was not erased; restore a newer key ring")]
    KeyMissing {
        /// Id in the sealed field.
        key_id: Uuid,
    },
    /// The sealed bytes, their field name or their key id are not those that
    /// were sealed. Verify the log; do not retry.
    #[error("a field sealed with data key {key_id} fails authentication; verify the log")]
    Authentication {
        /// Id in the sealed field.
        key_id: Uuid,
    },
    /// A row of the key ring is not what was written. Restore its backup.
    #[error("entry {id} of the key ring has been altered; restore the key ring from its backup")]
    Altered {
        /// Id of the data key or pseudonym.
        id: Uuid,
    },
    /// A sealed field is not in the stored form at all. Verify the log.
    #[error("sealed field `{field}` is malformed: {problem}")]
    Malformed {
        /// Name of the field.
        field: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

impl KeyRingError {
    /// True if the same call, repeated later, may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<KeyStoreError> for KeyRingError {
    fn from(error: KeyStoreError) -> Self {
        Self::Unavailable {
            outcome: error.outcome,
            source: error.source,
        }
    }
}

impl From<getrandom::Error> for KeyRingError {
    fn from(error: getrandom::Error) -> Self {
        Self::Unavailable {
            outcome: Outcome::NotApplied,
            source: Arc::new(error),
        }
    }
}

fn advice(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::NotApplied => "nothing was changed, try again",
        Outcome::Unknown => "it may have been applied, repeat the call to be sure",
    }
}

/// A store of wrapped keys could not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[error("key store failed: {}", advice(self.outcome))]
pub struct KeyStoreError {
    /// Whether the store may have been changed.
    pub outcome: Outcome,
    /// What the store said.
    pub source: Arc<dyn Error + Send + Sync>,
}

impl KeyStoreError {
    /// An error after which nothing was changed.
    pub fn not_applied(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            outcome: Outcome::NotApplied,
            source: Arc::from(source.into()),
        }
    }

    /// An error after which the change may have been applied.
    pub fn unknown(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            outcome: Outcome::Unknown,
            source: Arc::from(source.into()),
        }
    }
}

/// Why a master key cannot be had. Never says what was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    /// Replace the file's content with the key as it was generated.
    #[error("a master key is 64 hexadecimal digits on one line, found {found} characters")]
    Length {
        /// Number of characters found, without the space around them.
        found: usize,
    },
    /// Replace the file's content with the key as it was generated.
    #[error("a master key is 64 hexadecimal digits, character {at} is none")]
    NotHex {
        /// Place of the first other character, from 1.
        at: usize,
    },
    /// The system gives no random bytes. Do not go on without.
    #[error("the system gives no random bytes: {0}")]
    Randomness(String),
}
