//! What became of each kind of operation, and how long it took from the moment at
//! which it was to begin: waiting for a free place counts, so that a mesh that
//! stands still cannot hide it by what is not sent meanwhile.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::ledger::Kind;

/// Longest latency that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How late a start is before it is called so; less is the grain of timers.
pub const LATE: Duration = Duration::from_millis(20);

/// What became of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Measured {
    /// Commands acknowledged.
    pub acknowledged: u64,
    /// Refused for good, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Given up, by what the last attempt met.
    pub unknown: BTreeMap<String, u64>,
    /// Begun more than 20 ms after their time.
    pub late_starts: u64,
    /// From the intended start to the acknowledgement.
    pub latency_ms: Latency,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of all took at most this.
    pub p50: f64,
    /// Of ten, nine.
    pub p90: f64,
    /// Of a hundred, 99.
    pub p99: f64,
    /// Of a thousand, 999.
    #[serde(rename = "p99.9")]
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

#[derive(Debug)]
struct Row {
    microseconds: Histogram<u64>,
    measured: Measured,
}

impl Default for Row {
    fn default() -> Self {
        let longest = u64::try_from(LONGEST.as_micros()).expect("an hour fits");
        let histogram = Histogram::new_with_max(longest, 3);
        Self {
            microseconds: histogram.expect("three digits up to an hour"),
            measured: Measured::default(),
        }
    }
}

/// Counts and latencies by kind.
#[derive(Debug, Default)]
pub struct Meter {
    rows: Mutex<BTreeMap<Kind, Row>>,
}

impl Meter {
    fn row(&self, kind: Kind, change: impl FnOnce(&mut Row)) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        change(rows.entry(kind).or_default());
    }

    /// One was acknowledged, so long after its intended start.
    pub fn acknowledged(&self, kind: Kind, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.row(kind, |row| {
            row.microseconds.saturating_record(took);
            row.measured.acknowledged += 1;
        });
    }

    /// One was refused.
    pub fn refused(&self, kind: Kind, reason: &str) {
        self.row(kind, |row| {
            *row.measured.refused.entry(reason.to_owned()).or_default() += 1;
        });
    }

    /// One was given up.
    pub fn unknown(&self, kind: Kind, reason: &str) {
        self.row(kind, |row| {
            *row.measured.unknown.entry(reason.to_owned()).or_default() += 1;
        });
    }

    /// One begins so long after its time.
    pub fn begins(&self, kind: Kind, behind: Duration) {
        if behind > LATE {
            self.row(kind, |row| row.measured.late_starts += 1);
        }
    }

    /// What came of all.
    pub fn read(&self) -> BTreeMap<Kind, Measured> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let read = rows.iter().map(|(kind, row)| {
            let at = |quantile| row.microseconds.value_at_quantile(quantile) as f64 / 1_000.0;
            let latency_ms = Latency {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: row.microseconds.max() as f64 / 1_000.0,
            };
            let measured = Measured {
                latency_ms,
                ..row.measured.clone()
            };
            (*kind, measured)
        });
        read.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let meter = Meter::default();
        for millisecond in 1..=1_000 {
            meter.acknowledged(Kind::Push, Duration::from_millis(millisecond));
        }
        meter.refused(Kind::Push, "FIELD_REQUIRED");
        meter.begins(Kind::Push, LATE);
        meter.begins(Kind::Push, LATE * 2);
        let measured = meter.read()[&Kind::Push].clone();
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.002;
        let latency = measured.latency_ms;
        assert!(
            near(latency.p50, 500.0) && near(latency.p99, 990.0),
            "{latency:?}"
        );
        assert!(
            near(latency.p999, 999.0) && near(latency.max, 1_000.0),
            "{latency:?}"
        );
        assert_eq!((measured.acknowledged, measured.late_starts), (1_000, 1));
        assert_eq!(measured.refused["FIELD_REQUIRED"], 1);
    }

    #[test]
    fn whatever_takes_longer_than_an_hour_takes_an_hour() {
        let meter = Meter::default();
        meter.acknowledged(Kind::Check, Duration::from_secs(100_000));
        let hour = LONGEST.as_secs_f64() * 1_000.0;
        assert!(meter.read()[&Kind::Check].latency_ms.max <= hour * 1.002);
    }
}
