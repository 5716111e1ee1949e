//! The event log: everything that must hold whatever the store and the bus.
//!
//! Owns the shapes (stream, event, record, position, cursor), the rules of an
//! append ([`sequence`]), group commit ([`group`]), command execution
//! ([`execute`]), consumers with projections and process managers
//! ([`consumer`]), the relay of a log to others ([`relay`]), timers, sealing, archives
//! ([`archive`]), the memory store, and the conformance suite that every other store
//! must pass.

pub mod aggregate;
pub mod append;
pub mod archive;
pub mod clock;
pub mod conformance;
pub mod consumer;
pub mod cursor;
pub mod detached;
pub mod encoding;
pub mod event;
pub mod execute;
pub mod group;
pub mod ids;
pub mod lease;
pub mod memory;
pub mod merkle;
pub mod page;
pub mod relay;
pub mod sealing;
pub mod sequence;
pub mod shard;
pub mod store;
pub mod throttle;
pub mod timer;
pub mod verify;

/// Contracts of the log.
pub use tally_proto::tally::log::v1 as pb;

/// An error of any origin, kept as a source.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
