//! Faults of the holiday notices.

use jiff::civil::Weekday;

use super::Check;
use crate::policy::ItemKind;

impl Check<'_> {
    pub(super) fn holidays(&mut self) {
        let mut previous: Option<i16> = None;
        for (year, it) in &self.pack.holidays {
            self.begin(ItemKind::HolidayNotice, year.to_string(), 1);
            // Days of a year without a notice would pass for plain weekdays and weekends.
            if let Some(before) = previous.filter(|before| before + 1 != *year) {
                let missing = (before + 1).to_string();
                self.dangling("year", ItemKind::HolidayNotice, missing);
            }
            previous = Some(*year);
            if it.off.is_empty() {
                self.fault("off", "must name at least one day");
            }
            for fault in it.faults() {
                self.fault(fault.field, fault.message);
            }
            for (index, day) in it.makeup.iter().enumerate() {
                if !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
                    let message = format!("{day} is a working day anyway");
                    self.fault(format!("makeup[{index}]"), message);
                }
            }
        }
    }
}
