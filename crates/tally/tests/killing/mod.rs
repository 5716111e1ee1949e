//! Killing a mesh under load, and accounting for every command afterwards.

pub mod accounts;
pub mod cases;
pub mod desk;
pub mod ledger;
pub mod load;
pub mod request;
pub mod round;
