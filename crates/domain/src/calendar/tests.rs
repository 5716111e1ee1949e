use jiff::civil::date;

use super::*;

/// Days off and make-up working days of the notices for 2023 to 2026, as
/// (month, first day, last day).
type Days = &'static [(i8, i8, i8)];

const OFF_2024: Days = &[
    (1, 1, 1),
    (2, 10, 17),
    (4, 4, 6),
    (5, 1, 5),
    (6, 10, 10),
    (9, 15, 17),
    (10, 1, 7),
];
const MAKEUP_2024: Days = &[
    (2, 4, 4),
    (2, 18, 18),
    (4, 7, 7),
    (4, 28, 28),
    (5, 11, 11),
    (9, 14, 14),
    (9, 29, 29),
    (10, 12, 12),
];
const OFF_2025: Days = &[
    (1, 1, 1),
    (1, 28, 31),
    (2, 1, 4),
    (4, 4, 6),
    (5, 1, 5),
    (5, 31, 31),
    (6, 1, 2),
    (10, 1, 8),
];
const MAKEUP_2025: Days = &[
    (1, 26, 26),
    (2, 8, 8),
    (4, 27, 27),
    (9, 28, 28),
    (10, 11, 11),
];
const OFF_2026: Days = &[
    (1, 1, 3),
    (2, 15, 23),
    (4, 4, 6),
    (5, 1, 5),
    (6, 19, 21),
    (9, 25, 27),
    (10, 1, 7),
];
const MAKEUP_2026: Days = &[
    (1, 4, 4),
    (2, 14, 14),
    (2, 28, 28),
    (5, 9, 9),
    (9, 20, 20),
    (10, 10, 10),
];

fn spread(year: i16, days: Days) -> Vec<LegalDate> {
    days.iter()
        .flat_map(|(month, first, last)| (*first..=*last).map(move |day| date(year, *month, day)))
        .collect()
}

fn notice(year: i16, off: Days, makeup: Days) -> HolidayNotice {
    HolidayNotice {
        year,
        off: spread(year, off),
        makeup: spread(year, makeup),
    }
}

fn notices() -> Vec<HolidayNotice> {
    vec![
        notice(2024, OFF_2024, MAKEUP_2024),
        notice(2025, OFF_2025, MAKEUP_2025),
        notice(2026, OFF_2026, MAKEUP_2026),
    ]
}

fn published() -> WorkingDays {
    WorkingDays::new(notices())
}

fn settled(date: LegalDate) -> Deadline {
    Deadline {
        date,
        provisional: false,
    }
}

#[test]
fn the_worked_deadlines() {
    let days = published();
    for (from, n, until) in [
        (date(2024, 9, 27), 7, date(2024, 10, 12)),
        (date(2024, 2, 6), 7, date(2024, 2, 21)),
        (date(2026, 2, 12), 7, date(2026, 2, 28)),
        (date(2025, 9, 26), 2, date(2025, 9, 29)),
    ] {
        assert_eq!(days.after(from, n), settled(until), "{from} + {n}");
    }
}

#[test]
fn between_counts_what_after_adds() {
    let days = published();
    for (from, n, until) in [
        (date(2024, 9, 27), 7, date(2024, 10, 12)),
        (date(2024, 2, 6), 7, date(2024, 2, 21)),
        (date(2026, 2, 12), 7, date(2026, 2, 28)),
        (date(2025, 9, 26), 2, date(2025, 9, 29)),
    ] {
        let counted = Count {
            working_days: n,
            provisional: false,
        };
        assert_eq!(days.between(from, until), counted, "{from} to {until}");
    }
    let year = days.between(date(2023, 12, 31), date(2024, 12, 31));
    assert_eq!((year.working_days, year.provisional), (251, false));
    assert_eq!(
        days.between(date(2024, 3, 15), date(2024, 3, 15)),
        Count::default()
    );
    assert_eq!(
        days.between(date(2024, 3, 18), date(2024, 3, 15)),
        Count::default()
    );
}

/// Day by day, as one would count with a finger.
fn counted_by_hand(days: &WorkingDays, from: LegalDate, until: LegalDate) -> Count {
    let mut count = Count::default();
    let mut day = from;
    while day < until {
        day = day.tomorrow().expect("within the calendar");
        let is = days.is_working_day(day);
        count.working_days += u32::from(is.working);
        count.provisional |= is.provisional;
    }
    count
}

#[test]
fn between_is_what_counting_days_gives() {
    let of_2023 = HolidayNotice {
        year: 2023,
        off: vec![date(2022, 12, 31), date(2023, 1, 1)],
        makeup: vec![date(2023, 1, 28)],
    };
    let calendars = [
        published(),
        WorkingDays::default(),
        WorkingDays::new([of_2023]),
        WorkingDays::new([
            notice(2024, OFF_2024, MAKEUP_2024),
            notice(2026, OFF_2026, MAKEUP_2026),
        ]),
    ];
    let firsts = [
        date(2022, 12, 24),
        date(2022, 12, 30),
        date(2023, 12, 22),
        date(2024, 2, 3),
        date(2025, 12, 24),
        date(2026, 12, 20),
    ];
    for days in &calendars {
        for from in firsts {
            for length in 0..=420 {
                let until = from.saturating_add(jiff::Span::new().days(length));
                assert_eq!(
                    days.between(from, until),
                    counted_by_hand(days, from, until),
                    "{from} to {until}"
                );
            }
        }
    }
}

#[test]
fn who_is_late_is_late_by_a_day_at_least() {
    let days = published();
    // Friday before the holiday of October 2024; Saturday the 12th is made up for.
    let by = settled(date(2024, 9, 30));
    let late = |on| days.late(by, on).working_days;
    assert_eq!(late(date(2024, 9, 20)), 0);
    assert_eq!(late(date(2024, 9, 30)), 0);
    assert_eq!(
        late(date(2024, 10, 1)),
        1,
        "a day off counts as the next working day"
    );
    assert_eq!(late(date(2024, 10, 7)), 1);
    assert_eq!(late(date(2024, 10, 8)), 1);
    assert_eq!(late(date(2024, 10, 9)), 2);
    assert_eq!(late(date(2024, 10, 12)), 5);
    assert_eq!(late(date(2024, 10, 13)), 6);
    assert!(!days.late(by, date(2024, 10, 8)).provisional);
    let provisional = Deadline {
        provisional: true,
        ..by
    };
    assert!(days.late(provisional, date(2024, 9, 20)).provisional);
    assert!(days.late(by, date(2027, 1, 4)).provisional);
}

#[test]
fn working_days_in_a_year() {
    let days = published();
    for (year, count) in [(2024, 251), (2025, 248), (2026, 248)] {
        let working = date(year, 1, 1)
            .series(jiff::Span::new().days(1))
            .take_while(|day| day.year() == year)
            .filter(|day| days.is_working_day(*day).working)
            .count();
        assert_eq!(working, count, "{year}");
    }
}

#[test]
fn notices_are_consistent_and_their_order_does_not_matter() {
    for notice in notices() {
        assert_eq!(notice.faults(), []);
    }
    assert_eq!(WorkingDays::new(notices().into_iter().rev()), published());
}

#[test]
fn the_day_of_decision_is_not_counted() {
    let days = published();
    let friday = date(2024, 3, 15);
    assert_eq!(days.after(friday, 0), settled(friday));
    assert_eq!(days.after(friday, 1), settled(date(2024, 3, 18)));
    assert_eq!(days.after(date(2024, 3, 16), 1), settled(date(2024, 3, 18)));
}

#[test]
fn past_the_last_notice_a_deadline_is_provisional() {
    let days = published();
    assert_eq!(
        days.is_working_day(date(2027, 1, 4)),
        Day {
            working: true,
            provisional: true
        }
    );
    assert!(days.after(date(2026, 12, 30), 3).provisional);
    // A term that starts long past is provisional, one that ended before is not.
    assert!(days.after(date(2030, 6, 3), 1).provisional);
    assert_eq!(
        days.after(date(2026, 12, 17), 5),
        settled(date(2026, 12, 24))
    );
    // A published notice named this day, though the notice for its own year is not known.
    let of_2023 = WorkingDays::new([HolidayNotice {
        year: 2023,
        off: vec![date(2022, 12, 31)],
        makeup: vec![],
    }]);
    assert!(!of_2023.is_working_day(date(2022, 12, 31)).provisional);
    assert!(of_2023.is_working_day(date(2022, 12, 30)).provisional);
    // Before the first notice, only weekdays are known.
    assert!(days.is_working_day(date(2023, 10, 2)).provisional);
    assert!(
        WorkingDays::default()
            .after(date(2024, 3, 15), 1)
            .provisional
    );
}

#[test]
fn the_last_days_of_a_year_wait_for_the_next_notice() {
    let eve = date(2018, 12, 31);
    let of_2018 = HolidayNotice {
        year: 2018,
        off: vec![date(2018, 1, 1)],
        makeup: vec![],
    };
    let before = WorkingDays::new([of_2018.clone()]);
    assert_eq!(before.settled_until(), Some(date(2018, 12, 24)));
    let unsettled = before.after(date(2018, 12, 28), 1);
    assert_eq!(
        unsettled,
        Deadline {
            date: eve,
            provisional: true
        }
    );

    let of_2019 = HolidayNotice {
        year: 2019,
        off: vec![date(2018, 12, 30), eve, date(2019, 1, 1)],
        makeup: vec![date(2018, 12, 29)],
    };
    let after = WorkingDays::new([of_2018, of_2019]);
    assert_eq!(
        after.after(date(2018, 12, 28), 2),
        settled(date(2019, 1, 2))
    );
    assert_eq!(after.settled_until(), Some(date(2019, 12, 24)));
}

#[test]
fn a_missing_year_between_notices_is_provisional() {
    let days = WorkingDays::new([
        notice(2024, OFF_2024, MAKEUP_2024),
        notice(2026, OFF_2026, MAKEUP_2026),
    ]);
    assert!(days.is_working_day(date(2025, 6, 3)).provisional);
    assert_eq!(days.settled_until(), Some(date(2024, 12, 24)));
    assert!(!days.is_working_day(date(2026, 6, 3)).provisional);
    assert_eq!(WorkingDays::default().settled_until(), None);
}

#[test]
fn an_amended_notice_replaces_the_days_it_names() {
    let mut all = notices();
    all.push(HolidayNotice {
        year: 2024,
        off: vec![date(2024, 3, 15)],
        makeup: vec![date(2024, 4, 4)],
    });
    let days = WorkingDays::new(all);
    assert!(!days.is_working_day(date(2024, 3, 15)).working);
    assert!(days.is_working_day(date(2024, 4, 4)).working);
    assert!(!days.is_working_day(date(2024, 4, 5)).working);
}

#[test]
fn the_calendars_end_is_an_answer_too() {
    let end = Deadline {
        date: LegalDate::MAX,
        provisional: true,
    };
    assert_eq!(published().after(date(9999, 12, 30), 5), end);
}

#[test]
fn the_communitys_json_is_read() {
    let json = r#"{
        "$schema": "https://example.org/schema.json",
        "year": 2023,
        "papers": ["https://example.org/notice"],
        "days": [
            {"name": "元旦", "date": "2022-12-31", "isOffDay": true},
            {"name": "元旦", "date": "2023-01-02", "isOffDay": true},
            {"name": "春节", "date": "2023-01-28", "isOffDay": false}
        ]
    }"#;
    let notice = HolidayNotice::from_holiday_cn_json(json).expect("valid");
    assert_eq!(
        notice,
        HolidayNotice {
            year: 2023,
            off: vec![date(2022, 12, 31), date(2023, 1, 2)],
            makeup: vec![date(2023, 1, 28)],
        }
    );
    let text = serde_json::to_string(&notice).expect("plain");
    assert_eq!(
        serde_json::from_str::<HolidayNotice>(&text).ok(),
        Some(notice)
    );
}

#[test]
fn a_faulty_notice_is_refused_with_every_fault() {
    let json = r#"{"year": 2023, "papers": [], "days": [
        {"name": "x", "date": "2022-11-30", "isOffDay": true},
        {"name": "x", "date": "2023-01-28", "isOffDay": true},
        {"name": "x", "date": "2023-01-28", "isOffDay": false}
    ]}"#;
    match HolidayNotice::from_holiday_cn_json(json) {
        Err(HolidayFault::Inconsistent(faults)) => {
            let reasons: Vec<_> = faults
                .iter()
                .map(|fault| (fault.field.as_str(), fault.reason))
                .collect();
            assert_eq!(
                reasons,
                [
                    ("off[0]", "HOLIDAY_OUTSIDE_YEAR"),
                    ("makeup[0]", "HOLIDAY_NAMED_TWICE")
                ]
            );
        }
        other => panic!("expected faults, got {other:?}"),
    }
    let fault = HolidayNotice::from_holiday_cn_json(r#"{"year": 2023}"#).expect_err("no days");
    assert!(fault.to_string().contains("missing field `days`"));
    let wrong = r#"{"year": 2023, "days": [{"date": "2023-02-30", "isOffDay": true}]}"#;
    assert!(HolidayNotice::from_holiday_cn_json(wrong).is_err());
}
