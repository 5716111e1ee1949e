//! Working days: which days a deadline counts, by the State Council's yearly
//! holiday notices.

mod notice;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

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
                working: !matches!(date.weekday(), Weekday::Saturday | Weekday::Sunday),
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
