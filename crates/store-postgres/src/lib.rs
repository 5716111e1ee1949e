//! Postgres adapters: the event store of a role in a schema of its own, the
//! leases beside it, and the key ring in another schema.
//!
//! Any number of processes append to one store. Whatever a transaction decides
//! on is read under the lock of its shards' heads; in memory is kept only what
//! cannot change any more (names of views, months of shards) and the newest
//! records, which a [`follow`](self) task keeps in step with the others.

// What the tests of both kinds share names the crate as those outside do.
#[cfg(test)]
extern crate self as tally_store_postgres;

pub mod archive;
mod backend;
mod connect;
mod follow;
mod heads;
pub mod keyring;
mod leases;
mod load;
mod logs;
mod months;
pub mod options;
mod partitions;
mod reads;
mod renewal;
mod schema;
mod shelf;
pub mod store;
mod streams;
mod views;
mod write;

pub use archive::{PostgresSnapshot, PostgresTarget};
pub use keyring::PostgresKeyStore;
pub use options::{Database, Limits, MigrateOptions, OpenError, PostgresOptions, StoreInfo};
pub use store::PostgresStore;
