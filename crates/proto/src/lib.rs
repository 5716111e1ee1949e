//! Generated code of the contracts in `proto/`, and nothing else.
#![allow(missing_docs, clippy::all)]

include!(concat!(env!("OUT_DIR"), "/contracts.rs"));

/// The encoded `FileDescriptorSet` of every contract, with custom options: for
/// reflection, the rights table and the tests that enumerate calls and fields.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
