//! What came of it: figures for this machine, ratios for the mesh.

use std::collections::BTreeMap;
use std::time::Duration;

/// A ratio below this fails a gated run.
const RATIO_MIN: f64 = 0.5;

/// One path in one round.
#[derive(Clone)]
pub struct Turn {
    /// Requests.
    pub count: usize,
    /// How long ours took, all views included.
    pub ours: Duration,
    /// How long bare took.
    pub bare: Duration,
    /// More to say of it.
    pub notes: Vec<(&'static str, Duration)>,
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
        eprintln!("  {path}: ratio {:.2}", ratio(&turn));
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
                per_second(turn.count, turn.ours),
                per_second(turn.count, turn.bare),
                ratio(&turn),
                rounds.join(" "),
            );
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
    turn.bare.as_secs_f64() / turn.ours.as_secs_f64()
}

fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
