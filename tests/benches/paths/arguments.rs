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
    /// What the mesh holds before it is measured; nothing: it is fresh.
    pub fill: Option<Fill>,
}

/// What a province has after some time.
#[derive(Clone, Copy)]
pub struct Fill {
    /// Records.
    pub records: usize,
    /// Listings in force, each about a subject of its own.
    pub listings: usize,
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
            fill: None,
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
                "--fill-records" => parsed.fill_mut().records = number()?,
                "--fill-listings" => parsed.fill_mut().listings = number()?,
                "--filled" => {
                    parsed.fill_mut();
                }
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
        let too_few = |fill: &Fill| fill.records < 2 * fill.listings;
        if parsed.fill.as_ref().is_some_and(too_few) {
            return Err("every listing needs two records: one is its ground".to_owned());
        }
        Ok(parsed)
    }

    fn fill_mut(&mut self) -> &mut Fill {
        self.fill.get_or_insert(Fill {
            records: 1_000_000,
            listings: 100_000,
        })
    }
}
