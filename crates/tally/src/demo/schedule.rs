//! The days of the demo. The clock is the mesh's movable one.

use jiff::Timestamp;
use jiff::civil::{Date, date};
use jiff::tz::TimeZone;

use super::world::World;

/// The days on which something happens, each at nine in the morning.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Records are pushed, everyone is nominated, whoever can be is listed.
    pub first: Date,
    /// The days for a representation are over: the others are listed.
    pub second: Date,
    /// Objections are accepted.
    pub objection: Date,
    /// They are decided.
    pub decision: Date,
    /// Reports on the first listings are overdue.
    pub first_overdue: Date,
    /// Last day of the short term.
    pub short_until: Date,
    /// The day after.
    pub expiry: Date,
    /// Reports on the second listings are overdue.
    pub second_overdue: Date,
    time_zone: TimeZone,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            first: date(2026, 3, 2),
            second: date(2026, 3, 10),
            objection: date(2026, 3, 11),
            decision: date(2026, 3, 12),
            first_overdue: date(2026, 3, 17),
            short_until: date(2026, 3, 20),
            expiry: date(2026, 3, 21),
            second_overdue: date(2026, 3, 25),
            time_zone: TimeZone::get("Asia/Shanghai").expect("the time zone database is built in"),
        }
    }
}

impl Schedule {
    /// When the clock starts.
    pub fn start(&self) -> Timestamp {
        self.at(self.first)
    }

    /// Whether the days for a representation, counted from the first day, are
    /// over on the second.
    pub fn has_passed_by_second(&self, world: &World, list_type: &str) -> bool {
        let list = world.pack.list_type(list_type);
        list.is_some_and(|list| {
            let days = list.representation_working_days;
            world.working_days.after(self.first, days).date < self.second
        })
    }

    /// Nine in the morning of a day.
    pub fn at(&self, day: Date) -> Timestamp {
        let morning = day.at(9, 0, 0, 0).to_zoned(self.time_zone.clone());
        morning
            .expect("the days are constants of this century")
            .timestamp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::world::province;

    #[test]
    fn the_days_fit_the_deadlines_of_the_pack() {
        let world = province();
        let days = Schedule::default();
        let lists = world.pack.list_types.keys();
        let passed = lists.filter(|list| days.has_passed_by_second(&world, list));
        assert!(passed.count() >= 4);
        for memorandum in world.pack.memoranda.values() {
            let within = memorandum.report_within_working_days;
            let report = |from| world.working_days.after(from, within).date;
            assert!(report(days.first) > days.decision);
            assert!(report(days.first) < days.first_overdue);
            assert!(report(days.second) > days.expiry);
            assert!(report(days.second) < days.second_overdue);
        }
        assert_eq!(days.short_until.tomorrow().ok(), Some(days.expiry));
        assert_eq!(days.start().to_string(), "2026-03-02T01:00:00Z");
        let zone = world.pack.meta.tz().expect("a known time zone");
        assert_eq!(zone, days.time_zone);
    }
}
