//! Tests across services: scenarios over real gRPC, contracts, layout rules.

pub mod contracts;
pub mod harness;
mod history;
pub mod organisations;
pub mod processes;
pub mod records;
mod scene;
pub mod steps;
