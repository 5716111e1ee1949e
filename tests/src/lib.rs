//! Tests across services: scenarios over real gRPC, contracts, layout rules.

pub mod contracts;
pub mod harness;
pub mod records;
pub mod steps;
