//! The binary: roles, configuration, wiring, command line. The only place that
//! names concrete adapters and reads the system clock.

pub mod archives;
pub mod cli;
pub mod client;
pub mod config;
pub mod data_dir;
pub mod demo;
pub mod doctor;
pub mod mesh;
pub mod node;
pub mod pack_client;
pub mod reasons;
pub mod role;
pub mod simulate;
