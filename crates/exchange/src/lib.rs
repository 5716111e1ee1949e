//! The tables in which departments exchange records: read row by row in
//! bounded memory, understood column by column through a form of the policy
//! pack or a mapping, and handed back with every fault.
//!
//! Here is what a table says; whether the mesh takes it is for collection.

pub mod columns;
pub mod record;
pub mod report;
pub mod table;
pub mod template;
pub mod value;
