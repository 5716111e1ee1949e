//! The key ring: data keys per stream and their erasure.

mod pseudonyms;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use lru::LruCache;
use tally_proto::tally::log::v1::Sealed;
use tokio::sync::OnceCell;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::merkle::Hash;

use super::coalesce::{Coalescer, lock};
use super::crypto;
use super::error::KeyRingError;
use super::master::{MasterKey, Subkeys};
use super::sealer::{DataKey, Opened, Sealer};
use super::store::{KeyById, KeyStore, Lookup, PseudonymKind, PseudonymRow, StreamKeyRow};

/// Seals, opens and forgets. One per process and store; share it in an `Arc`.
///
/// Its operations may all be repeated after an error that
/// [is retryable](KeyRingError::is_retryable).
pub struct KeyRing {
    store: Arc<dyn KeyStore>,
    subkeys: Subkeys,
    checked: OnceCell<()>,
    keys: Mutex<LruCache<Lookup, Arc<DataKey>>>,
    ids: Mutex<LruCache<(PseudonymKind, Lookup), Uuid>>,
    missing_keys: Coalescer<Lookup, Result<Arc<DataKey>, KeyRingError>>,
    missing_ids: Coalescer<PseudonymRow, Uuid>,
}

/// How much a ring keeps in memory.
#[derive(Debug, Clone, Copy)]
pub struct KeyRingOptions {
    /// Unwrapped data keys kept, about 250 bytes each. A stream that is not among
    /// them costs a read of the store.
    pub keys_cached_max: NonZeroUsize,
    /// Pseudonyms kept, about 150 bytes each.
    pub pseudonyms_cached_max: NonZeroUsize,
}

impl Default for KeyRingOptions {
    fn default() -> Self {
        const CACHED_MAX: NonZeroUsize = NonZeroUsize::new(32_768).expect("not zero");
        Self {
            keys_cached_max: CACHED_MAX,
            pseudonyms_cached_max: CACHED_MAX,
        }
    }
}

impl KeyRing {
    /// A ring over `store` with the usual options. Touches the store only at
    /// first use, or by [`KeyRing::verify_master_key`].
    pub fn new(store: Arc<dyn KeyStore>, master: MasterKey) -> Self {
        Self::with_options(store, master, KeyRingOptions::default())
    }

    /// A ring over `store`.
    pub fn with_options(
        store: Arc<dyn KeyStore>,
        master: MasterKey,
        options: KeyRingOptions,
    ) -> Self {
        Self {
            store,
            subkeys: master.subkeys(),
            checked: OnceCell::new(),
            keys: Mutex::new(LruCache::new(options.keys_cached_max)),
            ids: Mutex::new(LruCache::new(options.pseudonyms_cached_max)),
            missing_keys: Coalescer::new(),
            missing_ids: Coalescer::new(),
        }
    }

    /// Makes sure that the store was created with this master key; every other
    /// operation does so too, once. Call it at start, to fail there.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::WrongMasterKey`]: start with the key the ring was created
    /// with. [`KeyRingError::Unavailable`]: try again.
    pub async fn verify_master_key(&self) -> Result<(), KeyRingError> {
        let check = async || {
            let ours = self.subkeys.check_value();
            if self.store.master_check(ours).await? == ours {
                Ok(())
            } else {
                Err(KeyRingError::WrongMasterKey)
            }
        };
        self.checked.get_or_try_init(check).await.copied()
    }

    /// A sealer for each of `streams`, in order. Missing keys are created, those
    /// of concurrent callers in one transaction, and are durable before this
    /// returns: append the records that use them afterwards.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::Unavailable`]: repeat the call.
    /// [`KeyRingError::WrongMasterKey`], [`KeyRingError::Altered`]: for the operator.
    pub async fn sealers(&self, streams: &[&str]) -> Result<Vec<Sealer>, KeyRingError> {
        let lookups: Vec<Lookup> = streams
            .iter()
            .map(|stream| self.subkeys.stream(stream))
            .collect();
        let mut found = self.cached_keys(&lookups);
        let missing: Vec<Lookup> = lookups
            .iter()
            .filter(|lookup| !found.contains_key(*lookup))
            .copied()
            .collect();
        if !missing.is_empty() {
            self.verify_master_key().await?;
            let keys = self
                .missing_keys
                .resolve(missing.clone(), |wanted| self.load_or_create(wanted))
                .await?;
            for (lookup, key) in missing.into_iter().zip(keys) {
                found.insert(lookup, key?);
            }
        }
        let sealers = lookups.iter().map(|lookup| {
            let key = found.get(lookup).expect("every stream was just resolved");
            Sealer::new(key.clone())
        });
        Ok(sealers.collect())
    }

    /// Opens sealed fields, each with the name it was sealed as, in order.
    ///
    /// **The caller must record every opening in the log**: who, what and why;
    /// the ring cannot know. The store is asked every time, so that an erasure
    /// by another process counts at once.
    ///
    /// # Errors
    ///
    /// Nothing is returned if one field fails. [`KeyRingError::Authentication`],
    /// [`KeyRingError::Malformed`]: the record is not what was written; verify
    /// the log. [`KeyRingError::KeyMissing`], [`KeyRingError::Altered`]: restore
    /// the key ring. [`KeyRingError::Unavailable`]: repeat the call.
    pub async fn open(&self, fields: &[(&str, &Sealed)]) -> Result<Vec<Opened>, KeyRingError> {
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        self.verify_master_key().await?;
        let ids = fields
            .iter()
            .map(|(field, sealed)| key_id(field, sealed))
            .collect::<Result<Vec<Uuid>, _>>()?;
        let distinct: HashSet<Uuid> = ids.iter().copied().collect();
        let wanted: Vec<Uuid> = distinct.into_iter().collect();
        let mut keys = HashMap::with_capacity(wanted.len());
        for found in self.store.stream_keys_by_id(&wanted).await? {
            match found {
                KeyById::Live(row) => keys.insert(row.key_id, Some(self.unwrap_key(&row)?)),
                KeyById::Erased(id) => keys.insert(id, None),
            };
        }
        fields
            .iter()
            .zip(ids)
            .map(|((field, sealed), key_id)| match keys.get(&key_id) {
                Some(Some(key)) => key.open(field, sealed),
                Some(None) => Ok(Opened::Erased),
                None => Err(KeyRingError::KeyMissing { key_id }),
            })
            .collect()
    }

    /// Erases a stream's key: whatever was sealed for the stream opens as
    /// [`Opened::Erased`] from now on, in every copy of the log. Backups of the
    /// key ring still hold the key until they are replaced. False if there was
    /// no key. What is sealed for the stream later gets a new key.
    ///
    /// A [`Sealer`] handed out before seals on with the erased key, and other
    /// processes may have the key in memory: stop writing to the stream first.
    ///
    /// # Errors
    ///
    /// [`KeyRingError::Unavailable`]: it counts as erased only when a repeated
    /// call succeeds. [`KeyRingError::WrongMasterKey`]: for the operator.
    pub async fn erase_stream(&self, stream: &str) -> Result<bool, KeyRingError> {
        self.verify_master_key().await?;
        let lookup = self.subkeys.stream(stream);
        // No batch may run meanwhile: it could have read the key just before and
        // would put it back into the cache.
        let _alone = self.missing_keys.exclusive().await;
        lock(&self.keys).pop(&lookup);
        Ok(self.store.erase_stream_key(&lookup).await?)
    }

    /// A keyed hash of `parts`, one after another: for content that may name
    /// persons, where a plain hash could be found by trying names. Equal under
    /// one master key, also after a restart.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> Hash {
        self.subkeys.content(parts)
    }

    fn cached_keys(&self, lookups: &[Lookup]) -> HashMap<Lookup, Arc<DataKey>> {
        let mut cache = lock(&self.keys);
        lookups
            .iter()
            .filter_map(|lookup| Some((*lookup, cache.get(lookup)?.clone())))
            .collect()
    }

    /// The keys of a batch, in order; those that are nowhere are created. Only
    /// called while the batch has the turn.
    async fn load_or_create(
        &self,
        wanted: Vec<Lookup>,
    ) -> Result<Vec<Result<Arc<DataKey>, KeyRingError>>, KeyRingError> {
        // An earlier batch may have had the same streams.
        let cached = self.cached_keys(&wanted);
        let mut keys: HashMap<Lookup, Result<Arc<DataKey>, KeyRingError>> =
            cached.into_iter().map(|(at, key)| (at, Ok(key))).collect();
        let unknown = without(&wanted, |lookup| keys.contains_key(lookup));
        let mut rows = self.store.stream_keys(&unknown).await?;
        let stored: HashSet<Lookup> = rows.iter().map(|row| row.lookup).collect();
        let created = without(&unknown, |lookup| stored.contains(lookup))
            .into_iter()
            .map(|lookup| self.new_key(lookup))
            .collect::<Result<Vec<StreamKeyRow>, _>>()?;
        if !created.is_empty() {
            rows.extend(self.store.insert_stream_keys(&created).await?);
        }
        for row in rows {
            let key = self.unwrap_key(&row).map(Arc::new);
            if let Ok(key) = &key {
                lock(&self.keys).put(row.lookup, key.clone());
            }
            keys.insert(row.lookup, key);
        }
        let in_order = wanted.iter().map(|lookup| {
            let key = keys.get(lookup);
            key.expect("the store returns a winner for every row")
                .clone()
        });
        Ok(in_order.collect())
    }

    fn new_key(&self, lookup: Lookup) -> Result<StreamKeyRow, KeyRingError> {
        let key_id = new_id()?;
        let secret = Zeroizing::new(crypto::random::<32>()?);
        let aad = key_aad(&lookup, key_id);
        Ok(StreamKeyRow {
            lookup,
            key_id,
            wrapped: crypto::wrap(&self.subkeys.wrapping, &aad, &*secret)?,
        })
    }

    fn unwrap_key(&self, row: &StreamKeyRow) -> Result<DataKey, KeyRingError> {
        let aad = key_aad(&row.lookup, row.key_id);
        let secret = crypto::unwrap(&self.subkeys.wrapping, &aad, &row.wrapped);
        let secret: Option<&[u8; 32]> =
            secret.as_ref().and_then(|it| it.as_slice().try_into().ok());
        match secret {
            Some(secret) => Ok(DataKey::new(row.key_id, secret)),
            None => Err(KeyRingError::Altered { id: row.key_id }),
        }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRing(redacted)")
    }
}

/// What is authenticated with a wrapped data key: its row.
fn key_aad(lookup: &Lookup, key_id: Uuid) -> Vec<u8> {
    [b"data key\0".as_slice(), lookup, key_id.as_bytes()].concat()
}

/// The key a sealed field names.
fn key_id(field: &str, sealed: &Sealed) -> Result<Uuid, KeyRingError> {
    Uuid::from_slice(&sealed.key_id).map_err(|_| KeyRingError::Malformed {
        field: field.to_owned(),
        problem: "its key id is not 16 bytes long",
    })
}

/// A random UUIDv4.
fn new_id() -> Result<Uuid, KeyRingError> {
    Ok(uuid::Builder::from_random_bytes(crypto::random()?).into_uuid())
}

/// `items` once each, in order, without those that `known` holds for.
fn without<T: Copy + Eq + std::hash::Hash>(items: &[T], known: impl Fn(&T) -> bool) -> Vec<T> {
    let mut seen = HashSet::with_capacity(items.len());
    let new = |item: &&T| !known(item) && seen.insert(**item);
    items.iter().filter(new).copied().collect()
}
