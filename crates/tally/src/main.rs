//! The `tally` binary.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    tally::cli::run(tally::cli::Cli::parse())
}
