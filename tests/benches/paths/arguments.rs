//! What is measured, and how much of it.

use crate::distributed::growth::Growth;

/// The arguments of a run.
pub struct Arguments {
    /// Fail if a ratio is too low.
    pub gate: bool,
    /// Records per round of ingest.
    pub records: usize,
    /// Unary checks per round, and twice as many on streams.
    pub checks: usize,
    /// Listings whose directives are waited for.
    pub listings: usize,
    /// Records that Kafka's own producer test sends.
    pub produced: usize,
    /// Turns of ours and bare; the median counts.
    pub rounds: usize,
    /// Where paths are measured.
    pub on: On,
    /// What is measured.
    pub only: Only,
    /// What the mesh holds before it is measured; nothing: it is fresh.
    pub fill: Option<Fill>,
    /// How far a log grows; then nothing else is measured.
    pub growth: Option<Growth>,
}

/// What a province has after some time.
#[derive(Clone, Copy)]
pub struct Fill {
    /// Records.
    pub records: usize,
    /// Listings in force, each about a subject of its own.
    pub listings: usize,
}

/// Where paths are measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// One process on SQLite, then processes on Postgres and Kafka.
    Both,
    /// One process on SQLite.
    Sqlite,
    /// Processes on Postgres and Kafka.
    Postgres,
}

/// Which paths are measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// All of them.
    Everything,
    /// Ingest and start.
    Ingest,
    /// Relay and replay, on Postgres.
    Relay,
    /// Checks; on Postgres also directives.
    Checks,
}

impl Only {
    /// Whether that path is measured.
    pub fn includes(self, path: Self) -> bool {
        self == Self::Everything || self == path
    }
}

/// Too little to judge by: shows that it runs.
const TINY: Arguments = Arguments {
    gate: false,
    records: 400,
    checks: 200,
    listings: 3,
    produced: 2_000,
    rounds: 1,
    on: On::Both,
    only: Only::Everything,
    fill: None,
    growth: None,
};

impl Arguments {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// Which argument cannot be read.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut parsed = TINY;
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
                listings: 300,
                produced: 200_000,
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
                "--listings" => parsed.listings = number()?,
                "--produced" => parsed.produced = number()?,
                "--rounds" => parsed.rounds = number()?,
                "--fill-records" => parsed.fill_mut().records = number()?,
                "--fill-listings" => parsed.fill_mut().listings = number()?,
                "--filled" => {
                    parsed.fill_mut();
                }
                "--growth-from" => parsed.growth_mut().from = number()? as u64,
                "--growth-to" => parsed.growth_mut().to = number()? as u64,
                "--growth-bytes" => parsed.growth_mut().bytes = number()?,
                "--on" => {
                    parsed.on = match arguments.next().as_deref() {
                        Some("sqlite") => On::Sqlite,
                        Some("postgres") => On::Postgres,
                        _ => return Err("--on needs `sqlite` or `postgres`".to_owned()),
                    }
                }
                "--only" => {
                    parsed.only = match arguments.next().as_deref() {
                        Some("ingest") => Only::Ingest,
                        Some("relay") => Only::Relay,
                        Some("checks") => Only::Checks,
                        _ => return Err("--only needs `ingest`, `relay` or `checks`".to_owned()),
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
        let shrinks = |growth: &Growth| growth.to < growth.from;
        if parsed.growth.as_ref().is_some_and(shrinks) {
            return Err("--growth-to needs at least what --growth-from has".to_owned());
        }
        Ok(parsed)
    }

    fn fill_mut(&mut self) -> &mut Fill {
        self.fill.get_or_insert(Fill {
            records: 1_000_000,
            listings: 100_000,
        })
    }

    fn growth_mut(&mut self) -> &mut Growth {
        self.growth.get_or_insert(Growth {
            from: 100_000,
            to: 10_000_000,
            bytes: 250,
        })
    }
}
