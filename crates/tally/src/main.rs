//! The `tally` binary.

use std::process::ExitCode;

// Records are decoded on one thread, written on another and dropped on a third;
// the system's allocator spends a third of the processor time on that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tally::cli::main()
}
