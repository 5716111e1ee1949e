//! Random ids that stand for officers and natural persons.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{KeyRing, new_id, without};
use crate::sealing::coalesce::lock;
use crate::sealing::crypto;
use crate::sealing::error::KeyRingError;
use crate::sealing::store::{Lookup, PseudonymKind, PseudonymRow};

impl KeyRing {
    /// The pseudonym of `identifier`: a random UUIDv4, made durable at first use
    /// and the same ever after until it is erased.
    ///
    /// Normalise the identifier first (case, width, spaces): it is taken as it is.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::Unavailable`]: repeat the call.
    /// [`KeyRingError::WrongMasterKey`]: for the operator.
    pub async fn pseudonym(
        &self,
        kind: PseudonymKind,
        identifier: &str,
    ) -> Result<Uuid, KeyRingError> {
        let lookup = self.subkeys.identifier(kind, identifier);
        if let Some(id) = lock(&self.ids).get(&(kind, lookup)) {
            return Ok(*id);
        }
        self.verify_master_key().await?;
        let id = new_id()?;
        let aad = pseudonym_aad(kind, &lookup, id);
        let wrapped = crypto::wrap(&self.subkeys.wrapping, &aad, identifier.as_bytes())?;
        let candidate = PseudonymRow {
            kind,
            lookup,
            id,
            wrapped,
        };
        let ids = self
            .missing_ids
            .resolve(vec![candidate], |rows| self.find_or_insert(rows))
            .await?;
        Ok(*ids.first().expect("one value for the one item"))
    }

    /// The identifier behind a pseudonym; nothing if there is no such pseudonym or
    /// it was erased. **The caller must record it in the log**, as for
    /// [`KeyRing::open`].
    ///
    /// # Errors
    ///
    /// [`KeyRingError::Unavailable`]: repeat the call.
    /// [`KeyRingError::WrongMasterKey`], [`KeyRingError::Altered`]: for the operator.
    pub async fn reveal(
        &self,
        kind: PseudonymKind,
        id: Uuid,
    ) -> Result<Option<String>, KeyRingError> {
        self.verify_master_key().await?;
        let Some(row) = self.store.pseudonym_by_id(kind, id).await? else {
            return Ok(None);
        };
        let aad = pseudonym_aad(kind, &row.lookup, id);
        let plain = crypto::unwrap(&self.subkeys.wrapping, &aad, &row.wrapped)
            .ok_or(KeyRingError::Altered { id })?;
        let identifier = std::str::from_utf8(&plain).map_err(|_| KeyRingError::Altered { id })?;
        Ok(Some(identifier.to_owned()))
    }

    /// Erases a pseudonym: nothing leads from it to the identifier or back any
    /// more, and the same identifier gets another one at next use. False if
    /// there was none. Other processes may have it in memory, as for
    /// [`KeyRing::erase_stream`].
    ///
    /// # Errors
    ///
    /// As for [`KeyRing::erase_stream`].
    pub async fn erase_pseudonym(
        &self,
        kind: PseudonymKind,
        id: Uuid,
    ) -> Result<bool, KeyRingError> {
        self.verify_master_key().await?;
        let _alone = self.missing_ids.exclusive().await;
        if let Some(row) = self.store.pseudonym_by_id(kind, id).await? {
            lock(&self.ids).pop(&(kind, row.lookup));
        }
        Ok(self.store.erase_pseudonym(kind, id).await?)
    }

    /// The pseudonyms of a batch, in order. Only called while it has the turn.
    async fn find_or_insert(
        &self,
        candidates: Vec<PseudonymRow>,
    ) -> Result<Vec<Uuid>, KeyRingError> {
        let places: Vec<_> = candidates
            .iter()
            .map(|row| (row.kind, row.lookup))
            .collect();
        let mut rows = self.store.pseudonyms(&without(&places, |_| false)).await?;
        let stored: HashSet<_> = rows.iter().map(|row| (row.kind, row.lookup)).collect();
        let mut first = stored;
        let created: Vec<PseudonymRow> = candidates
            .into_iter()
            .filter(|row| first.insert((row.kind, row.lookup)))
            .collect();
        if !created.is_empty() {
            rows.extend(self.store.insert_pseudonyms(&created).await?);
        }
        let found: HashMap<_, _> = rows
            .into_iter()
            .map(|row| ((row.kind, row.lookup), row.id))
            .collect();
        let mut cache = lock(&self.ids);
        let in_order = places.into_iter().map(|place| {
            let id = found.get(&place);
            let id = *id.expect("the store returns a winner for every row");
            cache.put(place, id);
            id
        });
        Ok(in_order.collect())
    }
}

/// What is authenticated with a wrapped identifier: its row.
fn pseudonym_aad(kind: PseudonymKind, lookup: &Lookup, id: Uuid) -> Vec<u8> {
    let label: &[u8] = match kind {
        PseudonymKind::Officer => b"officer\0",
        PseudonymKind::Person => b"person\0",
    };
    [label, lookup, id.as_bytes()].concat()
}
