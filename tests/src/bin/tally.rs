//! The binary, for scenarios with a process for each role.

fn main() -> std::process::ExitCode {
    tally::cli::main()
}
