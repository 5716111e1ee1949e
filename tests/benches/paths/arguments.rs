//! What is measured, and how much of it.

/// The arguments of a run.
pub struct Arguments {
    /// Fail if a ratio is too low.
    pub gate: bool,
    /// Records per round of ingest.
    pub records: usize,
    /// Unary checks per round, and twice as many on streams.
    pub checks: usize,
    /// Turns of ours and bare; the median counts.
    pub rounds: usize,
    /// What is measured.
    pub only: Only,
}

/// Which paths are measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    Everything,
    /// Ingest and start.
    Ingest,
    /// Checks.
    Checks,
}

impl Arguments {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// Which argument cannot be read.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        // Too little to judge by: shows that it runs.
        let mut parsed = Self {
            gate: false,
            records: 400,
            checks: 200,
            rounds: 1,
            only: Only::Everything,
        };
        let mut arguments = arguments.collect::<Vec<_>>().into_iter();
        // Cargo passes this to a benchmark, and not where benchmarks are only tested.
        if arguments
            .as_slice()
            .iter()
            .any(|argument| argument == "--bench")
        {
            parsed = Self {
                records: 40_000,
                checks: 20_000,
                rounds: 5,
                ..parsed
            };
        }
        while let Some(argument) = arguments.next() {
            let mut number = || {
                let value = arguments.next().and_then(|value| value.parse().ok());
                value
                    .filter(|value| *value > 0)
                    .ok_or_else(|| format!("{argument} needs a number above 0"))
            };
            match argument.as_str() {
                "--gate" => parsed.gate = true,
                "--records" => parsed.records = number()?,
                "--checks" => parsed.checks = number()?,
                "--rounds" => parsed.rounds = number()?,
                "--only" => {
                    parsed.only = match arguments.next().as_deref() {
                        Some("ingest") => Only::Ingest,
                        Some("checks") => Only::Checks,
                        _ => return Err("--only needs `ingest` or `checks`".to_owned()),
                    }
                }
                // Cargo's own, and filters meant for other targets.
                _ => {}
            }
        }
        Ok(parsed)
    }
}
