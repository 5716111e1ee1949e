//! Where wrapped keys are kept. A store sees neither keys nor names.

use async_trait::async_trait;
use uuid::Uuid;

use super::error::KeyStoreError;

/// A keyed hash of a stream's name or of an identifier: what rows are found by.
pub type Lookup = [u8; 32];

/// Whom a pseudonym stands for. The same identifier has another one per kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PseudonymKind {
    /// An officer of a department.
    Officer,
    /// A natural person who is a subject.
    Person,
}

/// The data key of a stream, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamKeyRow {
    /// Keyed hash of the stream's name.
    pub lookup: Lookup,
    /// Random id, written into every field sealed with the key.
    pub key_id: Uuid,
    /// The key, wrapped.
    pub wrapped: Vec<u8>,
}

/// A pseudonym and the identifier behind it, as stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PseudonymRow {
    /// Whom it stands for.
    pub kind: PseudonymKind,
    /// Keyed hash of the identifier.
    pub lookup: Lookup,
    /// The pseudonym: a random id.
    pub id: Uuid,
    /// The identifier, wrapped.
    pub wrapped: Vec<u8>,
}

/// What a store knows of a key id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyById {
    /// The key is there.
    Live(StreamKeyRow),
    /// The key was there and has been erased. Only its id is remembered, so that
    /// an erased field can be told from one whose key was lost.
    Erased(Uuid),
}

/// Persistence of the key ring: wrapped bytes only.
///
/// Every change is one transaction and is durable (fsync) before the call
/// returns; every call may be repeated after a failure. `insert_*` keeps the row
/// that was first under a lookup and returns the winners in the order asked;
/// the others return what there is, in any order. Several processes may share a
/// store.
///
/// # Errors
///
/// [`KeyStoreError`] says whether the change may have been applied.
#[async_trait]
pub trait KeyStore: Send + Sync {
    /// Keeps `candidate` if the store has no check value yet; returns the one it has.
    async fn master_check(&self, candidate: [u8; 32]) -> Result<[u8; 32], KeyStoreError>;

    /// The keys of the streams that have one.
    async fn stream_keys(&self, lookups: &[Lookup]) -> Result<Vec<StreamKeyRow>, KeyStoreError>;

    /// Keeps each row whose stream has no key yet, all in one transaction.
    async fn insert_stream_keys(
        &self,
        rows: &[StreamKeyRow],
    ) -> Result<Vec<StreamKeyRow>, KeyStoreError>;

    /// The keys with these ids; an id that was never stored is left out.
    async fn stream_keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyById>, KeyStoreError>;

    /// Erases a stream's key for good; false if there was none. Once it has
    /// succeeded the wrapped bytes are nowhere in the store's files. What a database
    /// keeps besides, such as a write-ahead log or backups, its store says.
    async fn erase_stream_key(&self, lookup: &Lookup) -> Result<bool, KeyStoreError>;

    /// The pseudonyms of the identifiers that have one.
    async fn pseudonyms(
        &self,
        wanted: &[(PseudonymKind, Lookup)],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError>;

    /// Keeps each row whose identifier has no pseudonym yet, all in one transaction.
    async fn insert_pseudonyms(
        &self,
        rows: &[PseudonymRow],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError>;

    /// The row of a pseudonym, if there is one.
    async fn pseudonym_by_id(
        &self,
        kind: PseudonymKind,
        id: Uuid,
    ) -> Result<Option<PseudonymRow>, KeyStoreError>;

    /// Erases a pseudonym's row for good; false if there was none. Once it has
    /// succeeded neither the identifier, its hash nor the link between the two
    /// is anywhere in the store's files.
    async fn erase_pseudonym(&self, kind: PseudonymKind, id: Uuid) -> Result<bool, KeyStoreError>;
}
