//! The yearly holiday notice, and the community's JSON form of it.

use serde::{Deserialize, Serialize};

use crate::FieldFault;
use crate::date::LegalDate;

/// The State Council's holiday notice for a year: what differs from the plain
/// rule that offices work from Monday to Friday.
///
/// A notice may name days of the neighbouring years: the one for 2023 begins
/// with 2022-12-31.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HolidayNotice {
    /// The year that the notice is for.
    pub year: i16,
    /// Days off, weekends within a holiday included.
    pub off: Vec<LegalDate>,
    /// Working days made up for, usually Saturdays or Sundays.
    #[serde(default)]
    pub makeup: Vec<LegalDate>,
}

/// Why a text is not a holiday notice.
#[derive(Debug, thiserror::Error)]
pub enum HolidayFault {
    /// Not the community's JSON format; the source says where.
    #[error("not a holiday notice in the holiday-cn format: {source}")]
    Form {
        /// What the JSON reader says, with line and column.
        #[from]
        source: serde_json::Error,
    },
    /// The form is right but the days contradict each other; correct the named ones.
    #[error("the holiday notice contradicts itself in {} places, first: {}", .0.len(), .0[0])]
    Inconsistent(Vec<FieldFault>),
}

#[derive(Deserialize)]
struct HolidayCn {
    year: i16,
    days: Vec<HolidayCnDay>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HolidayCnDay {
    date: LegalDate,
    is_off_day: bool,
}

impl HolidayNotice {
    /// Reads the community's JSON format, as the project holiday-cn publishes it
    /// (`year`, `papers`, `days` of `name`, `date`, `isOffDay`); other fields are ignored.
    ///
    /// # Errors
    ///
    /// [`HolidayFault`] names what is wrong; the caller corrects the file.
    pub fn from_holiday_cn_json(json: &str) -> Result<HolidayNotice, HolidayFault> {
        let file: HolidayCn = serde_json::from_str(json)?;
        let (off, makeup): (Vec<_>, Vec<_>) = file.days.iter().partition(|day| day.is_off_day);
        let dates = |days: Vec<&HolidayCnDay>| days.iter().map(|day| day.date).collect();
        let notice = HolidayNotice {
            year: file.year,
            off: dates(off),
            makeup: dates(makeup),
        };
        match notice.faults() {
            faults if faults.is_empty() => Ok(notice),
            faults => Err(HolidayFault::Inconsistent(faults)),
        }
    }

    /// Everything inconsistent in this notice: days named twice, and days that
    /// are neither in its year nor in the month before or after.
    pub fn faults(&self) -> Vec<FieldFault> {
        let mut faults = Vec::new();
        let days = numbered("off", &self.off).chain(numbered("makeup", &self.makeup));
        let mut seen = std::collections::BTreeMap::new();
        for (field, date) in days {
            if let Some(first) = seen.insert(date, field.clone()) {
                let message = format!("{date} is already named as {first}");
                faults.push(FieldFault::new(&field, "HOLIDAY_NAMED_TWICE", message));
            }
            if !self.may_name(date) {
                let message = format!("{date} is too far from {}", self.year);
                faults.push(FieldFault::new(&field, "HOLIDAY_OUTSIDE_YEAR", message));
            }
        }
        faults
    }

    fn may_name(&self, date: LegalDate) -> bool {
        match i32::from(date.year()) - i32::from(self.year) {
            -1 => date.month() == 12,
            0 => true,
            1 => date.month() == 1,
            _ => false,
        }
    }
}

fn numbered<'a>(
    list: &'static str,
    dates: &'a [LegalDate],
) -> impl Iterator<Item = (String, LegalDate)> + 'a {
    dates
        .iter()
        .enumerate()
        .map(move |(at, date)| (format!("{list}[{at}]"), *date))
}
