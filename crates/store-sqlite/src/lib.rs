//! SQLite adapters: the event store of all roles in one file, and the key ring
//! in a second one.
//!
//! The event store writes on one connection, one transaction per batch of group
//! commit, with `synchronous = FULL`; everything that reads does so on a small
//! pool, beside the writer. Heads, checkpoints and names of views are kept in
//! memory, because a locked file beside the database makes this process the
//! only writer.

pub mod archive;
mod backend;
mod chunk;
pub mod keyring;
mod known;
mod load;
mod lock;
pub mod options;
mod reads;
mod renewal;
mod schema;
pub mod store;
pub mod verify;
mod wal;
mod write;

pub use archive::{SqliteSnapshot, SqliteTarget};
pub use options::{CreateOptions, OpenError, SqliteOptions, StoreInfo};
pub use store::SqliteStore;
