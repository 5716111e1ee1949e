//! Deadlines in working days that were provisional when they were set, because
//! the holiday notice of a year was still to come.
//!
//! A service keeps them as a view whose keys start with the day, and runs a
//! [timer](tally_eventlog::timer) over it: when a pack with the notice becomes
//! active, the rows up to the day that is settled by then are due, and the
//! timer's command fixes each again, by an event that takes the row out or
//! moves it on. The timer starts over after a crash, a batch at a time; its
//! command must decide nothing where nothing changes.

use bytes::Bytes;
use jiff::Timestamp;
use tally_domain::date::{LegalDate, parse_legal_date};
use tally_eventlog::ids::timer_id;
use uuid::Uuid;

use crate::Policy;

/// Key of a provisional deadline: its day, then what it is of.
pub fn key(day: LegalDate, id: &str) -> Bytes {
    let mut key = day.to_string().into_bytes();
    key.push(0);
    key.extend_from_slice(id.as_bytes());
    key.into()
}

/// Keys below this are of deadlines that the policy's calendar settles; none
/// without a policy.
pub fn due_before(policy: Option<&Policy>) -> Vec<u8> {
    let settled = policy.and_then(|policy| policy.working_days.settled_until());
    // On the calendar's last day nothing comes after it.
    let after = settled.map(|settled| settled.tomorrow().unwrap_or(settled));
    after.map_or_else(Vec::new, |day| day.to_string().into_bytes())
}

/// Id of the command that fixes the deadline of a row again by this policy. By
/// the pack too: the next one may move the same row once more.
pub fn command_id(policy: &Policy, view: &str, key: &[u8]) -> Uuid {
    // The day, so that ids of deadlines that fall together lie together.
    let day = key.split(|byte| *byte == 0).next();
    let day = day.and_then(|day| std::str::from_utf8(day).ok());
    let day = day.and_then(|day| parse_legal_date(day).ok());
    let at = day.map_or(Timestamp::UNIX_EPOCH, |day| policy.start_of(day));
    let mut name = key.to_vec();
    name.push(0);
    name.extend_from_slice(policy.version().as_bytes());
    timer_id(at, view, &name)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::civil::date;
    use tally_domain::calendar::HolidayNotice;
    use tally_domain::policy::{Pack, PackMeta};

    use super::*;

    fn policy(version: &str, years: &[i16]) -> Policy {
        let meta = PackMeta {
            id: "test".into(),
            version: version.into(),
            time_zone: "Asia/Shanghai".into(),
            title: "Test".into(),
            name_zh: None,
        };
        let mut pack = Pack::empty(meta);
        for year in years {
            let notice = HolidayNotice {
                year: *year,
                off: Vec::new(),
                makeup: Vec::new(),
            };
            pack.holidays.insert(*year, notice);
        }
        Policy::new(Arc::new(pack)).expect("a time zone")
    }

    #[test]
    fn a_deadline_is_due_once_the_notice_of_its_year_is_there() {
        let late = key(date(2026, 12, 30), "a");
        assert!(due_before(None).as_slice() <= &late[..]);
        assert!(due_before(Some(&policy("1", &[]))).as_slice() <= &late[..]);
        assert!(due_before(Some(&policy("1", &[2026]))).as_slice() <= &late[..]);
        assert!(due_before(Some(&policy("2", &[2026, 2027]))).as_slice() > &late[..]);
        let last = key(date(2027, 12, 24), "a");
        assert!(due_before(Some(&policy("2", &[2026, 2027]))).as_slice() > &last[..]);
        let next = key(date(2027, 12, 25), "a");
        assert!(due_before(Some(&policy("2", &[2026, 2027]))).as_slice() <= &next[..]);
    }

    #[test]
    fn a_row_is_fixed_once_by_each_pack() {
        let (one, other) = (policy("1", &[2026]), policy("2", &[2026]));
        let key = key(date(2026, 12, 30), "a");
        assert_eq!(command_id(&one, "v", &key), command_id(&one, "v", &key));
        assert_ne!(command_id(&one, "v", &key), command_id(&other, "v", &key));
    }
}
