//! The service of lists in one process: memory store, real readers and timers.

mod deadlines;
mod ends;
mod entries;
mod links;
mod mesh;
mod repeats;
mod sight;
mod withdrawals;
