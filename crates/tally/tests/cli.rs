//! The command line, as people and scripts use it: a mesh in one process, each
//! command in another.

mod commands;
mod process;
