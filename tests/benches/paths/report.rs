//! What came of it: figures for this machine, ratios for the mesh.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A ratio below this fails a gated run.
const RATIO_MIN: f64 = 0.5;

/// One path in one round.
#[derive(Clone)]
pub struct Turn {
    /// Requests.
    pub count: usize,
    /// What ours took, all views included.
    pub ours: Cost,
    /// What bare took.
    pub bare: Cost,
    /// More to say of it.
    pub notes: Vec<(&'static str, Duration)>,
}

/// What a load took of the machine, clients included.
#[derive(Clone, Copy)]
pub struct Cost {
    /// From the first request on.
    pub elapsed: Duration,
    /// Time of all processors; nothing where the system does not tell.
    pub processors: Option<Duration>,
}

/// Measures a load.
pub struct Meter {
    begun: Instant,
    processors: Option<Duration>,
}

impl Meter {
    /// Begins.
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
            processors: processors(),
        }
    }

    /// What it took so far.
    pub fn read(&self) -> Cost {
        let processors = processors()
            .zip(self.processors)
            .map(|(now, then)| now.saturating_sub(then));
        Cost {
            elapsed: self.begun.elapsed(),
            processors,
        }
    }
}

/// Time that this process has had of all processors, from Linux' `/proc`.
fn processors() -> Option<Duration> {
    /// Clock ticks a second, as the kernel counts them for user space (`man 5 proc`).
    const TICKS: u64 = 100;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, which may hold anything.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS))
}

/// The turns of every path.
#[derive(Default)]
pub struct Report {
    turns: BTreeMap<&'static str, Vec<Turn>>,
    starts: Vec<Duration>,
}

impl Report {
    /// Adds a turn of a path.
    pub fn add(&mut self, path: &'static str, turn: Turn) {
        eprintln!(
            "  {path}: {:.0}/s to {:.0}/s, ratio {:.2}, of processor time {:.2}",
            per_second(turn.count, turn.ours.elapsed),
            per_second(turn.count, turn.bare.elapsed),
            ratio(&turn),
            processor_ratio(&turn)
        );
        self.turns.entry(path).or_default().push(turn);
    }

    /// Adds a start of a filled directory.
    pub fn add_start(&mut self, took: Duration) {
        self.starts.push(took);
    }

    /// Whether every path has at least the ratio it must have.
    pub fn holds(&self) -> bool {
        self.turns
            .values()
            .all(|turns| median_turn(turns).is_none_or(|turn| ratio(&turn) >= RATIO_MIN))
    }

    /// Prints everything.
    pub fn print(&self) {
        println!(
            "{:<34}{:>10}{:>10}{:>8}   rounds",
            "path", "ours/s", "bare/s", "ratio"
        );
        for (path, turns) in &self.turns {
            let Some(turn) = median_turn(turns) else {
                continue;
            };
            let rounds: Vec<String> = turns
                .iter()
                .map(|turn| format!("{:.2}", ratio(turn)))
                .collect();
            println!(
                "{path:<34}{:>10.0}{:>10.0}{:>8.2}   {}",
                per_second(turn.count, turn.ours.elapsed),
                per_second(turn.count, turn.bare.elapsed),
                ratio(&turn),
                rounds.join(" "),
            );
            println!("    ratio of processor time: {:.2}", processor_ratio(&turn));
            for (note, took) in &turn.notes {
                println!("    {note}: {:.1} ms", took.as_secs_f64() * 1_000.0);
            }
        }
        let mut starts = self.starts.clone();
        starts.sort_unstable();
        if let Some(start) = starts.get(starts.len() / 2) {
            println!(
                "start to serving of what ingest left: {:.0} ms",
                start.as_secs_f64() * 1_000.0
            );
        }
        println!("a gated run needs a median ratio of {RATIO_MIN} on every path");
    }
}

/// The turn whose ratio is the median.
fn median_turn(turns: &[Turn]) -> Option<Turn> {
    let mut turns = turns.to_vec();
    turns.sort_unstable_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    turns.get(turns.len() / 2).cloned()
}

fn ratio(turn: &Turn) -> f64 {
    turn.bare.elapsed.as_secs_f64() / turn.ours.elapsed.as_secs_f64()
}

/// Says what is left to gain where the disk is slow, and misleads less than the
/// time passed where the machine is shared. Not a number where the system does not tell.
fn processor_ratio(turn: &Turn) -> f64 {
    let both = turn.bare.processors.zip(turn.ours.processors);
    both.map_or(f64::NAN, |(bare, ours)| {
        bare.as_secs_f64() / ours.as_secs_f64()
    })
}

fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
