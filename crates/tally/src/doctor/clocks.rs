//! Whether the clocks of the processes agree with the one of this machine.

use std::time::Duration;

use super::Finding;
use super::processes::{Answer, Process};

/// A clock that is further off is told of.
const NOTICED: Duration = Duration::from_secs(1);

/// One finding for each process that answered.
pub(super) fn judge(processes: &[Process], freshness: Duration) -> Vec<Finding> {
    let answered = processes
        .iter()
        .filter_map(|process| Some((process.name(), process.answer.as_ref().ok()?)));
    answered
        .map(|(name, answer)| of(name, answer, freshness))
        .collect()
}

fn of(name: &str, answer: &Answer, freshness: Duration) -> Finding {
    let what = format!("clock {name}");
    if answer.status.test_clock {
        return Finding::ok(what, "has a movable clock, which is for tests");
    }
    let Some(ahead) = answer.ahead else {
        return Finding::fault(
            what,
            "the process tells no time",
            format!("look at the log of {name}"),
        );
    };
    let off = ahead.unsigned_abs();
    let direction = if ahead.is_negative() {
        "behind"
    } else {
        "ahead of"
    };
    let either_way = answer.either_way;
    let detail = format!(
        "{:.3} s {direction} this machine, give or take {:.3} s of the way there",
        off.as_secs_f64(),
        either_way.as_secs_f64(),
    );
    let remedy = format!(
        "synchronise the clocks of both machines (NTP); from {} s on, checks rest on an age of what is known \
         of lists that is not true",
        freshness.as_secs()
    );
    // What a slow way may explain is no fault of the clock.
    let surely = off.saturating_sub(either_way);
    if surely > freshness {
        Finding::fault(what, detail, remedy)
    } else if surely > NOTICED {
        Finding::warning(what, detail, remedy)
    } else {
        Finding::ok(what, detail)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::super::Level;
    use super::super::processes::tests::healthy;
    use super::*;
    use crate::role::Role;

    fn judged(ahead_ms: i64, either_way_ms: u64, test_clock: bool) -> Finding {
        let mut process = healthy(Role::Lists);
        let answer = process.answer.as_mut().expect("it answers");
        answer.ahead = Some(SignedDuration::from_millis(ahead_ms));
        answer.either_way = Duration::from_millis(either_way_ms);
        answer.status.test_clock = test_clock;
        judge(&[process], Duration::from_secs(5)).remove(0)
    }

    #[test]
    fn a_clock_is_judged_by_what_the_way_there_cannot_explain() {
        assert_eq!(judged(1_000, 0, false).level, Level::Ok);
        assert_eq!(judged(-1_001, 0, false).level, Level::Warning);
        assert_eq!(judged(1_001, 2, false).level, Level::Ok);
        assert_eq!(judged(5_000, 0, false).level, Level::Warning);
        let fault = judged(-5_400, 300, false);
        assert_eq!(fault.level, Level::Fault);
        assert!(
            fault.detail.contains("5.400 s behind") && fault.detail.contains("0.300 s"),
            "{fault:?}"
        );
        assert_eq!(judged(5_400, 401, false).level, Level::Warning);
        assert_eq!(judged(90_000_000, 0, true).level, Level::Ok);
    }
}
