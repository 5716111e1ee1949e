//! When what is to begin: arrivals by a schedule that waits for nobody. Pure.

use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};

/// How the time between two arrivals is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Spacing {
    /// Exponential, as of many who know nothing of each other: a Poisson process.
    #[default]
    Poisson,
    /// Always the same.
    Constant,
}

/// What begins by schedule; all else follows from answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arriving {
    /// A record is pushed.
    Record,
    /// A subject is about to be listed, beginning with the record that grounds it.
    Listing,
    /// A department checks.
    Check,
}

/// Arrivals of one kind, from the start to the end of the run.
#[derive(Debug, Clone)]
pub struct Arrivals {
    rng: Xoshiro256PlusPlus,
    spacing: Spacing,
    per_second: f64,
    at: f64,
    lasts: f64,
}

impl Arrivals {
    /// So many a second on average, as long as the run lasts; none at a rate of 0.
    pub fn new(seed: u64, spacing: Spacing, per_second: f64, lasts: Duration) -> Self {
        Self {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            spacing,
            per_second,
            at: 0.0,
            lasts: lasts.as_secs_f64(),
        }
    }
}

impl Iterator for Arrivals {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.per_second <= 0.0 {
            return None;
        }
        let drawn = match self.spacing {
            // `1 - x` is never 0, whose logarithm would be no time.
            Spacing::Poisson => -(1.0 - self.rng.random::<f64>()).ln(),
            Spacing::Constant => 1.0,
        };
        self.at += drawn / self.per_second;
        (self.at < self.lasts).then(|| Duration::from_secs_f64(self.at))
    }
}

/// The arrivals of all kinds in the order of their times. Each kind has a sequence
/// of its own, so that one's rate says nothing of when the others come.
#[derive(Debug, Clone)]
pub struct Plan {
    sources: Vec<(Arriving, std::iter::Peekable<Arrivals>)>,
}

impl Plan {
    /// Merges them.
    pub fn new(sources: impl IntoIterator<Item = (Arriving, Arrivals)>) -> Self {
        let sources = sources.into_iter();
        Self {
            sources: sources
                .map(|(kind, times)| (kind, times.peekable()))
                .collect(),
        }
    }
}

impl Iterator for Plan {
    type Item = (Duration, Arriving);

    fn next(&mut self) -> Option<Self::Item> {
        let waiting = self.sources.iter_mut().enumerate();
        let heads = waiting.filter_map(|(at, (_, times))| times.peek().map(|time| (*time, at)));
        let (_, first) = heads.min()?;
        let (kind, times) = &mut self.sources[first];
        times.next().map(|time| (time, *kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn arrivals(seed: u64, spacing: Spacing, per_second: f64) -> Arrivals {
        Arrivals::new(seed, spacing, per_second, MINUTE)
    }

    fn plan(checks: f64) -> Vec<(Duration, Arriving)> {
        let times = |seed, rate| arrivals(seed, Spacing::Poisson, rate);
        Plan::new([
            (Arriving::Record, times(1, 50.0)),
            (Arriving::Listing, times(2, 1.0)),
            (Arriving::Check, times(3, checks)),
        ])
        .collect()
    }

    #[test]
    fn constant_arrivals_are_evenly_apart_and_end_with_the_run() {
        let times: Vec<Duration> = arrivals(1, Spacing::Constant, 2.0).collect();
        assert_eq!(times.len(), 119, "the first comes after the first gap");
        assert!(times.windows(2).all(|pair| {
            let gap = pair[1] - pair[0];
            gap.abs_diff(Duration::from_millis(500)) < Duration::from_micros(1)
        }));
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_their_process() {
        let times: Vec<Duration> = arrivals(7, Spacing::Poisson, 100.0).collect();
        assert!((5_600..6_400).contains(&times.len()), "{}", times.len());
        let gaps = times
            .windows(2)
            .map(|pair| (pair[1] - pair[0]).as_secs_f64());
        // e^-1 of all gaps are longer than the mean one.
        let longer = gaps.filter(|gap| *gap > 0.01).count();
        let share = longer as f64 / times.len() as f64;
        assert!((0.33..0.41).contains(&share), "{share}");
    }

    #[test]
    fn the_same_seed_gives_the_same_times_and_another_seed_others() {
        let first = |seed| {
            arrivals(seed, Spacing::Poisson, 10.0)
                .take(100)
                .collect::<Vec<_>>()
        };
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn a_plan_is_in_order_and_one_kind_does_not_move_another() {
        let busy = plan(20.0);
        assert!(busy.is_sorted());
        let without_checks = |plan: Vec<(Duration, Arriving)>| -> Vec<_> {
            let others = plan.into_iter();
            others
                .filter(|(_, kind)| *kind != Arriving::Check)
                .collect()
        };
        assert_eq!(without_checks(busy), plan(0.0));
    }
}
