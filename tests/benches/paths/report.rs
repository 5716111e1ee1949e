//! What came of it: figures for this machine, ratios for the mesh.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::meter::{Cost, Spent};

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
    /// Whether a gated run needs its ratio.
    pub gated: bool,
}

/// The turns of every path.
#[derive(Default)]
pub struct Report {
    turns: BTreeMap<&'static str, Vec<Turn>>,
    starts: Vec<Duration>,
    latencies: BTreeMap<&'static str, Vec<Duration>>,
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
        if let Some((ours, bare)) = turn.ours.processors.zip(turn.bare.processors) {
            eprintln!("    ours {}, bare {}", spent(ours), spent(bare));
        }
        self.turns.entry(path).or_default().push(turn);
    }

    /// Adds a start of a filled directory.
    pub fn add_start(&mut self, took: Duration) {
        self.starts.push(took);
    }

    /// Adds how long single calls or steps took.
    pub fn add_latencies(&mut self, what: &'static str, more: Vec<Duration>) {
        self.latencies.entry(what).or_default().extend(more);
    }

    /// Whether every path has at least the ratio it must have.
    pub fn holds(&self) -> bool {
        self.turns
            .values()
            .filter_map(|turns| median_turn(turns))
            .all(|turn| !turn.gated || ratio(&turn) >= RATIO_MIN)
    }

    /// Prints everything.
    pub fn print(&self) {
        if self.turns.is_empty() && self.latencies.is_empty() {
            return;
        }
        println!(
            "{:<44}{:>10}{:>10}{:>8}   rounds",
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
                "{path:<44}{:>10.0}{:>10.0}{:>8.2}   {}{}",
                per_second(turn.count, turn.ours.elapsed),
                per_second(turn.count, turn.bare.elapsed),
                ratio(&turn),
                rounds.join(" "),
                if turn.gated { "" } else { "   (not gated)" },
            );
            println!("    ratio of processor time: {:.2}", processor_ratio(&turn));
            for (note, took) in &turn.notes {
                println!("    {note}: {:.1} ms", millis(*took));
            }
        }
        let mut starts = self.starts.clone();
        starts.sort_unstable();
        if let Some(start) = starts.get(starts.len() / 2) {
            println!(
                "start to serving of what ingest left: {:.0} ms",
                millis(*start)
            );
        }
        for (what, latencies) in &self.latencies {
            let mut sorted = latencies.clone();
            sorted.sort_unstable();
            println!(
                "{what:<44} p50 {:>8.2} ms  p99 {:>8.2} ms  of {}",
                millis(percentile(&sorted, 50)),
                millis(percentile(&sorted, 99)),
                sorted.len()
            );
        }
        println!("a gated run needs a median ratio of {RATIO_MIN} on every path");
    }
}

/// The turn whose ratio is the median; of two in the middle the lower one.
fn median_turn(turns: &[Turn]) -> Option<Turn> {
    let mut turns = turns.to_vec();
    turns.sort_unstable_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    turns.get(turns.len().saturating_sub(1) / 2).cloned()
}

fn ratio(turn: &Turn) -> f64 {
    turn.bare.elapsed.as_secs_f64() / turn.ours.elapsed.as_secs_f64()
}

/// Says what is left to gain where the disk is slow, and misleads less than the
/// time passed where the machine is shared. Not a number where the system does not tell.
fn processor_ratio(turn: &Turn) -> f64 {
    let both = turn.bare.processors.zip(turn.ours.processors);
    both.map_or(f64::NAN, |(bare, ours)| {
        bare.all().as_secs_f64() / ours.all().as_secs_f64()
    })
}

/// Who had how much.
fn spent(spent: Spent) -> String {
    format!(
        "{:.2} s here, {:.2} s the role, {:.2} s Postgres",
        spent.here.as_secs_f64(),
        spent.mesh.as_secs_f64(),
        spent.database.as_secs_f64()
    )
}

fn millis(took: Duration) -> f64 {
    took.as_secs_f64() * 1_000.0
}

/// A percentile of what is sorted.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get(sorted.len() * percent / 100)
        .or(sorted.last())
        .copied()
        .unwrap_or_default()
}

fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}
