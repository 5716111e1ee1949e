//! Dates as the law counts them: days of a calendar, never instants.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, civil};
use serde::{Deserialize, Serialize};

use crate::FieldFault;

/// A day in the policy pack's time zone.
pub type LegalDate = civil::Date;

/// Why a text is not a date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DateFault {
    /// Not in the one accepted form; write it as `2024-02-29`.
    #[error("a date is written yyyy-mm-dd")]
    Form,
    /// The form is right, but no calendar has such a day.
    #[error("there is no such day in the calendar")]
    NoSuchDay,
    /// The last day lies before the first; exchange or correct them.
    #[error("the last day {until} is before the first day {from}")]
    Reversed {
        /// First day as given.
        from: LegalDate,
        /// Last day as given.
        until: LegalDate,
    },
}

impl DateFault {
    /// Stable code in upper snake case.
    pub fn reason(&self) -> &'static str {
        match self {
            DateFault::Form => "DATE_FORM",
            DateFault::NoSuchDay => "DATE_NO_SUCH_DAY",
            DateFault::Reversed { .. } => "DATES_REVERSED",
        }
    }

    /// This fault as one of `field`.
    pub fn at(&self, field: impl Into<String>) -> FieldFault {
        FieldFault::new(field, self.reason(), self.to_string())
    }
}

/// Parses `yyyy-mm-dd`, the only form accepted in messages and packs.
///
/// # Errors
///
/// [`DateFault::Form`] for any other form (also times, slashes, two-digit
/// years); [`DateFault::NoSuchDay`] for a day such as 2023-02-29. The caller
/// corrects the text.
pub fn parse_legal_date(text: &str) -> Result<LegalDate, DateFault> {
    // The library's own parser also takes times, offsets and basic forms.
    let bytes = text.as_bytes();
    let formed = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !formed {
        return Err(DateFault::Form);
    }
    text.parse().map_err(|_| DateFault::NoSuchDay)
}

/// The day it is at `now` in `tz`.
pub fn today(now: Timestamp, tz: &TimeZone) -> LegalDate {
    tz.to_datetime(now).date()
}

/// The day of the same number `n` months later, or that month's last day where
/// it has no such day (Civil Code of the PRC, art. 202: that day ends the term).
///
/// Past the calendar's end (9999-12-31) the answer is the calendar's last day.
pub fn months_after(date: LegalDate, n: u32) -> LegalDate {
    Span::new()
        .try_months(n)
        .and_then(|span| date.checked_add(span))
        .unwrap_or(LegalDate::MAX)
}

/// The days from `from` to `until`, both included; without `until`, without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// First day.
    pub from: LegalDate,
    /// Last day, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<LegalDate>,
}

impl Term {
    /// A term whose days are in order.
    ///
    /// # Errors
    ///
    /// [`DateFault::Reversed`] when `until` is before `from`; the caller corrects either.
    pub fn new(from: LegalDate, until: Option<LegalDate>) -> Result<Term, DateFault> {
        let term = Term { from, until };
        term.check()?;
        Ok(term)
    }

    /// Checks a term that was read rather than built by [`Term::new`].
    ///
    /// # Errors
    ///
    /// [`DateFault::Reversed`] when `until` is before `from`.
    pub fn check(&self) -> Result<(), DateFault> {
        match self.until {
            Some(until) if until < self.from => Err(DateFault::Reversed {
                from: self.from,
                until,
            }),
            _ => Ok(()),
        }
    }

    /// Whether `date` is one of the days; a reversed term contains none.
    pub fn contains(&self, date: LegalDate) -> bool {
        self.from <= date && !self.ended(date)
    }

    /// Whether the last day is before `date`.
    pub fn ended(&self, date: LegalDate) -> bool {
        self.until.is_some_and(|until| until < date)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn only_the_iso_form_is_a_date() {
        assert_eq!(parse_legal_date("2024-02-29"), Ok(date(2024, 2, 29)));
        assert_eq!(parse_legal_date("2023-02-29"), Err(DateFault::NoSuchDay));
        for text in [
            "",
            "20240229",
            "2024/02/29",
            "2024-2-29",
            "2024-02-29 ",
            "2024-02-29T00:00:00",
            "24-02-2024",
            "+002024-02-29",
            "２０２４-02",
        ] {
            assert_eq!(parse_legal_date(text), Err(DateFault::Form), "{text}");
        }
    }

    #[test]
    fn months_end_on_the_same_day_or_the_months_last() {
        assert_eq!(months_after(date(2024, 1, 31), 1), date(2024, 2, 29));
        assert_eq!(months_after(date(2023, 1, 31), 1), date(2023, 2, 28));
        assert_eq!(months_after(date(2024, 2, 29), 12), date(2025, 2, 28));
        assert_eq!(months_after(date(2024, 11, 15), 3), date(2025, 2, 15));
        assert_eq!(months_after(date(2024, 1, 31), 0), date(2024, 1, 31));
        assert_eq!(months_after(date(2024, 1, 31), u32::MAX), LegalDate::MAX);
        assert_eq!(months_after(date(9999, 12, 1), 1), LegalDate::MAX);
    }

    #[test]
    fn the_day_changes_at_local_midnight() {
        let tz = TimeZone::get("Asia/Shanghai").expect("bundled");
        let before: Timestamp = "2024-02-28T15:59:59Z".parse().expect("valid");
        let after: Timestamp = "2024-02-28T16:00:00Z".parse().expect("valid");
        assert_eq!(today(before, &tz), date(2024, 2, 28));
        assert_eq!(today(after, &tz), date(2024, 2, 29));
    }

    #[test]
    fn a_term_includes_its_last_day() {
        let term = Term::new(date(2011, 2, 18), Some(date(2013, 2, 17))).expect("in order");
        assert!(!term.contains(date(2011, 2, 17)));
        assert!(term.contains(date(2011, 2, 18)));
        assert!(term.contains(date(2013, 2, 17)));
        assert!(!term.contains(date(2013, 2, 18)));
        assert!(term.ended(date(2013, 2, 18)) && !term.ended(date(2013, 2, 17)));
        let open = Term::new(date(2011, 2, 18), None).expect("open");
        assert!(open.contains(LegalDate::MAX));
    }

    #[test]
    fn a_reversed_term_is_refused_and_contains_nothing() {
        let (from, until) = (date(2024, 2, 2), date(2024, 2, 1));
        assert_eq!(
            Term::new(from, Some(until)),
            Err(DateFault::Reversed { from, until })
        );
        let read = Term {
            from,
            until: Some(until),
        };
        assert!(!read.contains(from) && !read.contains(until));
        assert!(Term::new(from, Some(from)).is_ok());
    }
}
