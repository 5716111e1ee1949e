//! What province is simulated, how busily, and for how long.

use std::time::Duration;

use super::plan::Spacing;
use crate::demo::content::ORGANISATIONS_MIN;

/// Longest run: the mesh forgets the ids of commands after 30 days, and a run that
/// nobody remembers is found by nobody.
pub const LASTS_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Most of what may be asked for a second, of any kind.
const RATE_MAX: f64 = 100_000.0;

/// A province, and how busy it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// The same seed gives the same content and the same intended order.
    pub seed: u64,
    /// How long operations begin.
    pub lasts: Duration,
    /// Departments that push and check; none: all of the pack.
    pub departments: Option<usize>,
    /// Departments that answer their directives; none: all that get some.
    pub responders: Option<usize>,
    /// Organisations.
    pub subjects: u32,
    /// Records pushed a second.
    pub records: f64,
    /// Listings begun a second.
    pub listings: f64,
    /// Checks a second.
    pub checks: f64,
    /// How arrivals are spaced.
    pub spacing: Spacing,
    /// Connections of each department's system.
    pub connections: usize,
    /// Scheduled operations under way at a time, at most.
    pub in_flight: usize,
    /// How long a command is repeated before its outcome is called unknown.
    pub patience: Duration,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            seed: 1,
            lasts: Duration::from_secs(60),
            departments: None,
            responders: None,
            subjects: 2_000,
            records: 20.0,
            listings: 0.2,
            checks: 20.0,
            spacing: Spacing::default(),
            connections: 1,
            in_flight: 256,
            patience: Duration::from_secs(120),
        }
    }
}

impl Parameters {
    /// Every fault of them, with the remedy; nothing where all is well.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut hold = |holds: bool, fault: String| {
            if !holds {
                faults.push(fault);
            }
        };
        let within = self.lasts > Duration::ZERO && self.lasts <= LASTS_MAX;
        let hours = LASTS_MAX.as_secs() / 3_600;
        hold(within, format!("--for: say how long, up to {hours}h"));
        let fewest = ORGANISATIONS_MIN;
        hold(
            self.subjects >= fewest,
            format!("--subjects: a province has {fewest} organisations or more"),
        );
        for (option, rate) in [
            ("--rate", self.records),
            ("--listings", self.listings),
            ("--checks", self.checks),
        ] {
            hold(
                (0.0..=RATE_MAX).contains(&rate),
                format!("{option}: from 0 to {RATE_MAX} a second"),
            );
        }
        for (option, count) in [
            ("--connections", Some(self.connections)),
            ("--in-flight", Some(self.in_flight)),
            ("--departments", self.departments),
        ] {
            hold(count != Some(0), format!("{option}: at least 1"));
        }
        let patience = self.patience >= Duration::from_secs(1);
        hold(patience, "--patience: at least 1s".to_owned());
        faults
    }
}

/// A duration as one types it: `90s`, `30m`, `2h`.
///
/// # Errors
///
/// What is expected instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let fault =
        || format!("{text:?} is no duration: write seconds, minutes or hours as 90s, 30m, 2h");
    let (number, seconds) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        _ => return Err(fault()),
    };
    let number: u64 = number.parse().map_err(|_| fault())?;
    let seconds = number.checked_mul(seconds).ok_or_else(fault)?;
    Ok(Duration::from_secs(seconds))
}

/// Listings: so many a day, or a share of the records.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Listings {
    /// So many a day.
    ADay(f64),
    /// Of a hundred records so many.
    Percent(f64),
}

impl Listings {
    /// How many that is a second, at so many records a second.
    pub fn a_second(self, records: f64) -> f64 {
        match self {
            Self::ADay(count) => a_second(count),
            Self::Percent(share) => records * share / 100.0,
        }
    }
}

impl std::str::FromStr for Listings {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (number, of): (&str, fn(f64) -> Self) = match text.strip_suffix('%') {
            Some(share) => (share, Self::Percent),
            None => (text, Self::ADay),
        };
        let number: Result<f64, _> = number.parse();
        let number = number
            .ok()
            .filter(|number| number.is_finite() && *number >= 0.0);
        number.map(of).ok_or_else(|| {
            format!("{text:?}: write listings a day as 500, or a share of the records as 1%")
        })
    }
}

/// What a number a day is a second.
pub fn a_second(a_day: f64) -> f64 {
    a_day / 86_400.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(parse_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("30m"), Ok(Duration::from_secs(1_800)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7_200)));
        for text in [
            "",
            "90",
            "m",
            "1.5h",
            "forever",
            "-1s",
            "一",
            "99999999999999999999h",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn listings_are_a_number_a_day_or_a_share() {
        assert_eq!(
            "86400".parse::<Listings>().map(|l| l.a_second(7.0)),
            Ok(1.0)
        );
        assert_eq!("5%".parse::<Listings>().map(|l| l.a_second(20.0)), Ok(1.0));
        for text in ["", "%", "-1", "NaN", "inf", "some"] {
            assert!(text.parse::<Listings>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_fault_is_named_at_once() {
        assert_eq!(Parameters::default().faults(), Vec::<String>::new());
        let faulty = Parameters {
            lasts: Duration::from_secs(25 * 60 * 60),
            subjects: 3,
            records: f64::NAN,
            connections: 0,
            ..Parameters::default()
        };
        let faults = faulty.faults();
        let names = ["--for", "--subjects", "--rate", "--connections"];
        assert_eq!(faults.len(), names.len(), "{faults:?}");
        for (fault, name) in faults.iter().zip(names) {
            assert!(fault.starts_with(name), "{fault}");
        }
    }
}
