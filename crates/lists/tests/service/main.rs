//! The service of lists in one process: memory store, real readers and timers.

mod ends;
mod entries;
mod links;
mod mesh;
