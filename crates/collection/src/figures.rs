//! What is counted per department, month and catalogue item.

use tally_proto::tally::collection::v1 as pb;

/// The figures of one acceptance.
pub(crate) fn of_accepted(accepted: &pb::RecordAccepted) -> pb::TimelinessFigures {
    let mut figures = one(|it| &mut it.reported);
    if accepted.push_by.is_empty() {
        figures.backfilled = 1;
        return figures;
    }
    figures.provisional = u64::from(accepted.late_provisional);
    let late = accepted.late_working_days;
    let class = match late {
        0 => &mut figures.in_time,
        1..=3 => &mut figures.late_up_to_three,
        4..=7 => &mut figures.late_up_to_seven,
        8..=30 => &mut figures.late_up_to_thirty,
        _ => &mut figures.late_over_thirty,
    };
    *class = 1;
    figures.late_working_days = u64::from(late);
    figures.late_working_days_max = late;
    figures
}

/// One of what a figure counts.
pub(crate) fn one(of: fn(&mut pb::TimelinessFigures) -> &mut u64) -> pb::TimelinessFigures {
    let mut figures = pb::TimelinessFigures::default();
    *of(&mut figures) = 1;
    figures
}

/// The figures of refused rows of one catalogue item.
pub(crate) fn of_refused(refused: &pb::RefusedRows) -> pb::TimelinessFigures {
    pb::TimelinessFigures {
        refused: refused.rows,
        refused_for: refused.reasons.clone(),
        ..pb::TimelinessFigures::default()
    }
}

/// Adds figures to a sum.
pub fn add(sum: &mut pb::TimelinessFigures, more: &pb::TimelinessFigures) {
    // Written out, so that a figure that is added to the contract is not forgotten here.
    let pb::TimelinessFigures {
        reported,
        in_time,
        late_up_to_three,
        late_up_to_seven,
        late_up_to_thirty,
        late_over_thirty,
        late_working_days,
        late_working_days_max,
        backfilled,
        provisional,
        corrected,
        withdrawn,
        refused,
        refused_for,
        quarantined,
        resubmitted,
        discarded,
    } = more;
    sum.reported += reported;
    sum.in_time += in_time;
    sum.late_up_to_three += late_up_to_three;
    sum.late_up_to_seven += late_up_to_seven;
    sum.late_up_to_thirty += late_up_to_thirty;
    sum.late_over_thirty += late_over_thirty;
    sum.late_working_days += late_working_days;
    sum.late_working_days_max = sum.late_working_days_max.max(*late_working_days_max);
    sum.backfilled += backfilled;
    sum.provisional += provisional;
    sum.corrected += corrected;
    sum.withdrawn += withdrawn;
    sum.refused += refused;
    sum.quarantined += quarantined;
    sum.resubmitted += resubmitted;
    sum.discarded += discarded;
    for count in refused_for {
        add_reason(&mut sum.refused_for, &count.reason, count.rows);
    }
}

/// Adds rows to a reason's count. Counts are in the order of their reasons, so
/// that the same counts are the same bytes.
pub(crate) fn add_reason(counts: &mut Vec<pb::ReasonCount>, reason: &str, rows: u64) {
    match counts.binary_search_by(|count| count.reason.as_str().cmp(reason)) {
        Ok(at) => counts[at].rows += rows,
        Err(at) => counts.insert(
            at,
            pb::ReasonCount {
                reason: reason.to_owned(),
                rows,
            },
        ),
    }
}

/// True if nothing was reported, corrected or withdrawn.
pub(crate) fn is_silent(figures: &pb::TimelinessFigures) -> bool {
    figures.reported + figures.corrected + figures.withdrawn == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(late: u32) -> pb::RecordAccepted {
        pb::RecordAccepted {
            push_by: "2026-02-28".into(),
            late_working_days: late,
            ..Default::default()
        }
    }

    #[test]
    fn each_record_is_in_one_class() {
        let mut sum = pb::TimelinessFigures::default();
        for late in [0, 1, 3, 4, 7, 8, 30, 31, 250] {
            add(&mut sum, &of_accepted(&accepted(late)));
        }
        add(&mut sum, &of_accepted(&pb::RecordAccepted::default()));
        let provisional = pb::RecordAccepted {
            late_provisional: true,
            ..accepted(0)
        };
        add(&mut sum, &of_accepted(&provisional));
        let expected = pb::TimelinessFigures {
            reported: 11,
            in_time: 2,
            late_up_to_three: 2,
            late_up_to_seven: 2,
            late_up_to_thirty: 2,
            late_over_thirty: 2,
            late_working_days: 334,
            late_working_days_max: 250,
            backfilled: 1,
            provisional: 1,
            ..Default::default()
        };
        assert_eq!(sum, expected);
    }

    #[test]
    fn reasons_are_summed_in_their_order() {
        let count = |reason: &str, rows| pb::ReasonCount {
            reason: reason.into(),
            rows,
        };
        let mut sum = pb::TimelinessFigures::default();
        for refused_for in [
            vec![count("B", 1), count("D", 2)],
            vec![count("A", 1), count("B", 3), count("E", 1)],
        ] {
            let more = pb::TimelinessFigures {
                refused: 4,
                refused_for,
                ..Default::default()
            };
            add(&mut sum, &more);
        }
        assert_eq!(sum.refused, 8);
        let expected = [count("A", 1), count("B", 4), count("D", 2), count("E", 1)];
        assert_eq!(sum.refused_for, expected);
        assert!(is_silent(&sum), "who was only refused has reported nothing");
    }
}
