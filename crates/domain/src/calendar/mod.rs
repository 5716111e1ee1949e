//! Working days: which days a deadline counts, by the State Council's yearly
//! holiday notices.

mod notice;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Excluded, Included};

use jiff::civil::Weekday;
use serde::{Deserialize, Serialize};

pub use notice::{HolidayFault, HolidayNotice};

use crate::date::LegalDate;

/// From this day of December on, the following year's notice may still decide: the
/// notice for 2019 made Monday 2018-12-31 a day off and Saturday 2018-12-29 a working day.
const NEW_YEAR_REACH_FROM_DAY: i8 = 25;

/// Working days as far as notices are published, and by weekday beyond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkingDays {
    /// Days that a notice names, and whether it makes them working days.
    named: BTreeMap<LegalDate, bool>,
    years: BTreeSet<i16>,
}

/// What a day is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Day {
    /// Whether offices work.
    pub working: bool,
    /// Whether a notice still to come may change that.
    pub provisional: bool,
}

/// The last day of a term counted in working days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// The last day on which it is kept.
    pub date: LegalDate,
    /// Whether a notice still to come may move it; it is then fixed again.
    pub provisional: bool,
}

/// Working days counted between two dates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// How many.
    pub working_days: u32,
    /// Whether a notice still to come may change that.
    pub provisional: bool,
}

impl WorkingDays {
    /// The calendar of these notices.
    ///
    /// Where two of them name the same day, the later year's holds, and within a
    /// year the one given later, as an amendment; where one names a day twice, it
    /// is a working day ([`HolidayNotice::faults`] reports that).
    pub fn new(notices: impl IntoIterator<Item = HolidayNotice>) -> WorkingDays {
        let mut notices: Vec<HolidayNotice> = notices.into_iter().collect();
        notices.sort_by_key(|notice| notice.year);
        let mut days = WorkingDays::default();
        for notice in notices {
            days.years.insert(notice.year);
            let off = notice.off.into_iter().map(|date| (date, false));
            let makeup = notice.makeup.into_iter().map(|date| (date, true));
            days.named.extend(off.chain(makeup));
        }
        days
    }

    /// Whether `date` is a working day, and whether that is final.
    pub fn is_working_day(&self, date: LegalDate) -> Day {
        match self.named.get(&date) {
            Some(working) => Day {
                working: *working,
                provisional: false,
            },
            None => Day {
                working: is_weekday(date),
                provisional: !self.covers(date),
            },
        }
    }

    /// The `working_days`-th working day after `date`; the day of the decision,
    /// `date`, is not counted. Zero working days are `date` itself.
    ///
    /// Provisional when any day counted or passed over is. Past the calendar's end
    /// (9999-12-31) the answer is the calendar's last day, provisional.
    pub fn after(&self, date: LegalDate, working_days: u32) -> Deadline {
        let mut deadline = Deadline {
            date,
            provisional: false,
        };
        let mut left = working_days;
        while left > 0 {
            let Ok(next) = deadline.date.tomorrow() else {
                deadline.provisional = true;
                return deadline;
            };
            let day = self.is_working_day(next);
            deadline.date = next;
            deadline.provisional |= day.provisional;
            left -= u32::from(day.working);
        }
        deadline
    }

    /// The working days after `date` up to `until`, which is counted: as many as
    /// [`WorkingDays::after`] takes to come there. None where `until` is not later.
    ///
    /// Costs by the days that notices name in between, not by the days: records
    /// can be years late.
    pub fn between(&self, date: LegalDate, until: LegalDate) -> Count {
        if until <= date {
            return Count::default();
        }
        let mut working_days = weekdays_until(until) - weekdays_until(date);
        for (day, working) in self.named.range((Excluded(date), Included(until))) {
            working_days += i64::from(*working) - i64::from(is_weekday(*day));
        }
        Count {
            working_days: u32::try_from(working_days).unwrap_or(0),
            provisional: (date.year()..=until.year())
                .any(|year| self.is_provisional_within(year, date, until)),
        }
    }

    /// How much later than its last day something was done. A day off counts as
    /// the working day that follows it, so that one day later is never none.
    ///
    /// Provisional where the last day is, or a day counted.
    pub fn late(&self, by: Deadline, done_on: LegalDate) -> Count {
        let mut late = self.between(by.date, done_on);
        if done_on > by.date && !self.is_working_day(done_on).working {
            late.working_days += 1;
        }
        late.provisional |= by.provisional;
        late
    }

    /// Whether a day of `year` after `date` and up to `until` is neither covered
    /// nor named by a notice.
    fn is_provisional_within(&self, year: i16, date: LegalDate, until: LegalDate) -> bool {
        let day = |month, day| LegalDate::constant(year, month, day);
        let new_year = day(12, NEW_YEAR_REACH_FROM_DAY);
        // The part of the year that its own notice settles, and its end.
        let parts = [
            (day(1, 1), day(12, NEW_YEAR_REACH_FROM_DAY - 1)),
            (new_year, day(12, 31)),
        ];
        parts.into_iter().any(|(first, last)| {
            if self.covers(first) {
                return false;
            }
            let last = last.min(until);
            let (days, named) = if date < first {
                let named = self
                    .named
                    .range((Included(first), Included(last.max(first))));
                (days_until(last) - days_until(first) + 1, named.count())
            } else {
                let named = self.named.range((Excluded(date), Included(last.max(date))));
                (days_until(last) - days_until(date), named.count())
            };
            days > 0 && i64::try_from(named).is_ok_and(|named| days > named)
        })
    }

    /// The last day that no notice to come can change, counting on from the first
    /// notice without a gap between years; `None` without any notice.
    pub fn settled_until(&self) -> Option<LegalDate> {
        let first = *self.years.first()?;
        let last = (first..)
            .take_while(|year| self.years.contains(year))
            .last()?;
        LegalDate::new(last, 12, NEW_YEAR_REACH_FROM_DAY - 1).ok()
    }

    /// Whether every notice that could name `date` is published.
    fn covers(&self, date: LegalDate) -> bool {
        let year_end = date.month() == 12 && date.day() >= NEW_YEAR_REACH_FROM_DAY;
        let next_is_published = || {
            let next = date.year().checked_add(1);
            next.is_some_and(|next| self.years.contains(&next))
        };
        self.years.contains(&date.year()) && (!year_end || next_is_published())
    }
}

/// Whether offices work on a day of that name.
fn is_weekday(date: LegalDate) -> bool {
    !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// Days from Monday 0001-01-01 to `date`; negative before it.
fn days_until(date: LegalDate) -> i64 {
    let span = date - LegalDate::constant(1, 1, 1);
    i64::from(span.get_days())
}

/// Mondays to Fridays from Monday 0001-01-01 up to `date`, which is counted.
fn weekdays_until(date: LegalDate) -> i64 {
    let days = days_until(date) + 1;
    days.div_euclid(7) * 5 + days.rem_euclid(7).min(5)
}
