//! The catalogue: who may do what, on which legal basis. Owns the policy packs
//! and their log; every other service follows that log.

pub mod pack;

mod policy_pack;
mod service;

pub use service::server;
