//! The store of keys for tests and for what need not last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use uuid::Uuid;

use super::coalesce::lock;
use super::error::KeyStoreError;
use super::store::{KeyById, KeyStore, Lookup, PseudonymKind, PseudonymRow, StreamKeyRow};

/// Keeps wrapped keys in memory. Clones share their content.
#[derive(Debug, Clone, Default)]
pub struct MemoryKeyStore {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    check: Option<[u8; 32]>,
    keys: HashMap<Lookup, StreamKeyRow>,
    /// Where each key is; nothing once it has been erased.
    key_ids: HashMap<Uuid, Option<Lookup>>,
    pseudonyms: HashMap<(PseudonymKind, Lookup), PseudonymRow>,
    pseudonym_ids: HashMap<(PseudonymKind, Uuid), Lookup>,
}

impl MemoryKeyStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything it holds, as bytes: what a database file would contain.
    pub fn stored_bytes(&self) -> Vec<u8> {
        let content = lock(&self.content);
        let mut bytes = content.check.map(Vec::from).unwrap_or_default();
        for row in content.keys.values() {
            bytes.extend_from_slice(&row.lookup);
            bytes.extend_from_slice(&row.wrapped);
        }
        for row in content.pseudonyms.values() {
            bytes.extend_from_slice(&row.lookup);
            bytes.extend_from_slice(&row.wrapped);
        }
        for id in content.key_ids.keys() {
            bytes.extend_from_slice(id.as_bytes());
        }
        for (_, id) in content.pseudonym_ids.keys() {
            bytes.extend_from_slice(id.as_bytes());
        }
        bytes
    }
}

#[async_trait]
impl KeyStore for MemoryKeyStore {
    async fn master_check(&self, candidate: [u8; 32]) -> Result<[u8; 32], KeyStoreError> {
        Ok(*lock(&self.content).check.get_or_insert(candidate))
    }

    async fn stream_keys(&self, lookups: &[Lookup]) -> Result<Vec<StreamKeyRow>, KeyStoreError> {
        let content = lock(&self.content);
        let found = lookups.iter().filter_map(|lookup| content.keys.get(lookup));
        Ok(found.cloned().collect())
    }

    async fn insert_stream_keys(
        &self,
        rows: &[StreamKeyRow],
    ) -> Result<Vec<StreamKeyRow>, KeyStoreError> {
        let content = &mut *lock(&self.content);
        let keep_first = |row: &StreamKeyRow| {
            let winner = content
                .keys
                .entry(row.lookup)
                .or_insert_with(|| row.clone());
            content.key_ids.insert(winner.key_id, Some(row.lookup));
            winner.clone()
        };
        Ok(rows.iter().map(keep_first).collect())
    }

    async fn stream_keys_by_id(&self, key_ids: &[Uuid]) -> Result<Vec<KeyById>, KeyStoreError> {
        let content = lock(&self.content);
        let find = |id: &Uuid| match content.key_ids.get(id)? {
            Some(lookup) => content.keys.get(lookup).cloned().map(KeyById::Live),
            None => Some(KeyById::Erased(*id)),
        };
        Ok(key_ids.iter().filter_map(find).collect())
    }

    async fn erase_stream_key(&self, lookup: &Lookup) -> Result<bool, KeyStoreError> {
        let mut content = lock(&self.content);
        let Some(erased) = content.keys.remove(lookup) else {
            return Ok(false);
        };
        content.key_ids.insert(erased.key_id, None);
        Ok(true)
    }

    async fn pseudonyms(
        &self,
        wanted: &[(PseudonymKind, Lookup)],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError> {
        let content = lock(&self.content);
        let found = wanted.iter().filter_map(|at| content.pseudonyms.get(at));
        Ok(found.cloned().collect())
    }

    async fn insert_pseudonyms(
        &self,
        rows: &[PseudonymRow],
    ) -> Result<Vec<PseudonymRow>, KeyStoreError> {
        let content = &mut *lock(&self.content);
        let keep_first = |row: &PseudonymRow| {
            let place = content.pseudonyms.entry((row.kind, row.lookup));
            let winner = place.or_insert_with(|| row.clone());
            let id = (row.kind, winner.id);
            content.pseudonym_ids.insert(id, row.lookup);
            winner.clone()
        };
        Ok(rows.iter().map(keep_first).collect())
    }

    async fn pseudonym_by_id(
        &self,
        kind: PseudonymKind,
        id: Uuid,
    ) -> Result<Option<PseudonymRow>, KeyStoreError> {
        let content = lock(&self.content);
        let lookup = content.pseudonym_ids.get(&(kind, id));
        let row = lookup.and_then(|lookup| content.pseudonyms.get(&(kind, *lookup)));
        Ok(row.cloned())
    }

    async fn erase_pseudonym(&self, kind: PseudonymKind, id: Uuid) -> Result<bool, KeyStoreError> {
        let mut content = lock(&self.content);
        let Some(lookup) = content.pseudonym_ids.remove(&(kind, id)) else {
            return Ok(false);
        };
        content.pseudonyms.remove(&(kind, lookup));
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::super::conformance::Fixture;
    use super::*;

    #[async_trait]
    impl Fixture for MemoryKeyStore {
        async fn open(&self) -> Arc<dyn KeyStore> {
            Arc::new(self.clone())
        }

        async fn stored_bytes(&self) -> Vec<u8> {
            MemoryKeyStore::stored_bytes(self)
        }
    }

    crate::key_store_conformance!(MemoryKeyStore::new());
}
