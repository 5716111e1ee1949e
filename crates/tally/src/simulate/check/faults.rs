//! What does not add up: the first of them in words, and how many there are.

use std::collections::BTreeMap;

/// Faults that are kept in words; all are counted.
pub const NAMED_MAX: usize = 100;

/// What kind of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Acknowledged, and not there as it was acknowledged.
    Lost,
    /// There more often than once.
    Twice,
    /// Refused, and there all the same.
    Refused,
    /// Drawn in another order than what it was drawn from.
    Order,
    /// A number or position is missing, or there again.
    Gap,
    /// A directive that follows from no memorandum or no listing.
    TooMany,
    /// A directive or a report that should follow, and does not.
    Missing,
    /// Bytes, hashes or heads that do not fit each other.
    Log,
}

impl FaultKind {
    /// Its name in summaries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Twice => "applied_twice",
            Self::Refused => "refused_but_there",
            Self::Order => "out_of_order",
            Self::Gap => "gap",
            Self::TooMany => "too_many",
            Self::Missing => "missing",
            Self::Log => "log",
        }
    }
}

/// Faults, bounded in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults {
    named: Vec<String>,
    counts: BTreeMap<FaultKind, u64>,
}

impl Faults {
    /// One more.
    pub fn add(&mut self, kind: FaultKind, what: impl FnOnce() -> String) {
        *self.counts.entry(kind).or_default() += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(format!("{}: {}", kind.name(), what()));
        }
    }

    /// The first of them, in words.
    pub fn named(&self) -> &[String] {
        &self.named
    }

    /// How many of a kind.
    pub fn of(&self, kind: FaultKind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// By kind, those at 0 too.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        use FaultKind::{Gap, Log, Lost, Missing, Order, Refused, TooMany, Twice};
        let all = [Lost, Twice, Refused, Order, Gap, TooMany, Missing, Log];
        all.into_iter()
            .map(|kind| (kind.name(), self.of(kind)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_hundred_are_named_and_the_count_goes_on() {
        let mut faults = Faults::default();
        for number in 0..250 {
            faults.add(FaultKind::Lost, || format!("command {number}"));
        }
        assert_eq!(faults.named().len(), NAMED_MAX);
        assert_eq!(faults.named()[99], "lost: command 99");
        assert_eq!(faults.total(), 250);
        assert_eq!(faults.counts()["lost"], 250);
        assert_eq!(faults.counts()["gap"], 0);
    }
}
