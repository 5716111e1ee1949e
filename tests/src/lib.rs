//! Tests across services: scenarios over real gRPC, contracts, layout rules.

pub mod accounts;
pub mod contracts;
pub mod harness;
mod history;
pub mod load;
pub mod memory;
pub mod organisations;
pub mod outage;
pub mod patience;
pub mod processes;
pub mod records;
pub mod redelivery;
mod scene;
pub mod steps;
