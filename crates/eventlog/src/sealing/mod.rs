//! Sealing: fields that name or identify a natural person are ciphertext from
//! the first event on, under a data key per stream that only the key ring holds.
//!
//! The key ring lies outside the log and has its own backup. It holds data keys
//! and the identifiers behind pseudonyms, each wrapped by the deployment's
//! [`MasterKey`], and finds them by a keyed hash, so that it lists neither
//! streams nor people. Hashes of the log are over ciphertext: erasing a key
//! makes its fields unreadable and every proof still holds.
//!
//! * To write: [`KeyRing::sealers`], then [`Sealer::seal`], then append. The
//!   keys are durable before `sealers` returns, so no record can use a key that
//!   a crash takes away.
//! * To read: [`KeyRing::open`]. **Whoever opens must log it**: who, which
//!   fields, for what. The ring does not know the caller and cannot do it.
//! * To forget: [`KeyRing::erase_stream`], [`KeyRing::erase_pseudonym`].

mod coalesce;
pub mod conformance;
mod crypto;
mod error;
mod master;
mod memory;
mod ring;
mod sealer;
mod store;

pub use error::{KeyRingError, KeyStoreError, MasterKeyError};
pub use master::MasterKey;
pub use memory::MemoryKeyStore;
pub use ring::{KeyRing, KeyRingOptions};
pub use sealer::{Opened, Sealer};
pub use store::{KeyById, KeyStore, Lookup, PseudonymKind, PseudonymRow, StreamKeyRow};
