//! Values as people write them. What can be read is brought into the form that
//! collection takes; what cannot is left as it is, for collection to name the
//! fault.

use jiff::civil::Date;
use tally_domain::text::half_width;

/// Day 0 of Excel's calendar, which counts 1900 as a leap year.
const EXCEL_DAY_0: Date = jiff::civil::date(1899, 12, 30);

/// Serial numbers of days from 1954 to 2100: a number of five digits in a
/// column of days is one that a spreadsheet lost the format of.
const EXCEL_DAYS: std::ops::RangeInclusive<i32> = 20_000..=73_415;

/// Words for a validity without an end.
const NO_END: [&str; 6] = [
    "长期",
    "长期有效",
    "永久",
    "永久有效",
    "无固定期限",
    "无期限",
];

/// A day: `2026-01-02`, `2026/1/2`, `2026.1.2`, `2026年1月2日`, `20260102`, each with or without
/// a time of day in China, or a spreadsheet's number of the day.
pub fn date(text: &str) -> String {
    read_date(text).map_or_else(|| text.to_owned(), |date| date.to_string())
}

/// The last day of a validity: a day, or nothing for words such as `长期`.
pub fn last_day(text: &str) -> String {
    if NO_END.contains(&plain(text).as_str()) {
        return String::new();
    }
    date(text)
}

fn read_date(text: &str) -> Option<Date> {
    let text = plain(text);
    let (day, time) = text.split_once([' ', 'T', 't']).unwrap_or((&text, ""));
    if elsewhere(time) {
        return None;
    }
    if day.bytes().all(|byte| byte.is_ascii_digit()) {
        return match day.len() {
            8 => day_of(&day[..4], &day[4..6], &day[6..]),
            5 => {
                let number = day.parse().ok().filter(|day| EXCEL_DAYS.contains(day))?;
                EXCEL_DAY_0.checked_add(jiff::Span::new().days(number)).ok()
            }
            _ => None,
        };
    }
    // People also write 2026年1月2号, and leave the sign of the day out.
    let day = day.strip_suffix(['日', '号']).unwrap_or(day);
    let mut parts = day.split(['-', '/', '.', '年', '月']);
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    day_of(year, month, day)
}

/// True if a time of day is said in another zone than China's, where it may be another day:
/// 16:00 UTC is midnight.
fn elsewhere(time: &str) -> bool {
    let zone = time.find(['Z', 'z', 'U', 'u', 'G', 'g', '+', '-', '−']);
    zone.is_some_and(|at| !matches!(&time[at..], "+08:00" | "+0800" | "+08"))
}

fn day_of(year: &str, month: &str, day: &str) -> Option<Date> {
    let part = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse::<i16>().ok())?
    };
    let small = |text: &str| part(text).and_then(|number| i8::try_from(number).ok());
    Date::new(part(year)?, small(month)?, small(day)?).ok()
}

/// An amount in ten thousand yuan: `1,234.5`, `１.５万元`, `¥ 2`, or in yuan where it says so:
/// `5000元` is `0.5`.
pub fn amount(text: &str) -> String {
    read_amount(text).unwrap_or_else(|| text.to_owned())
}

fn read_amount(text: &str) -> Option<String> {
    let plain = plain(text);
    let bare = ["人民币", "¥", "￥", "CNY", "RMB"]
        .iter()
        .find_map(|sign| plain.strip_prefix(sign))
        .unwrap_or(&plain)
        .trim();
    let (number, in_yuan) = match bare.strip_suffix('元') {
        None => (bare.strip_suffix('万').unwrap_or(bare), false),
        Some(rest) => match rest.strip_suffix('万') {
            Some(wan) => (wan, false),
            None => (rest, true),
        },
    };
    let number = grouped(number.trim())?;
    Some(if in_yuan { shifted(&number) } else { number })
}

/// A decimal number without the commas that group its thousands.
fn grouped(number: &str) -> Option<String> {
    let (whole, fraction) = match number.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (number, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let groups: Vec<&str> = whole.split(',').collect();
    let sizes = groups.len() == 1
        || (groups[0].len() <= 3 && groups[1..].iter().all(|group| group.len() == 3));
    if !sizes || !groups.iter().all(|group| digits(group)) {
        return None;
    }
    let whole = groups.concat();
    match fraction {
        None => Some(whole),
        Some(fraction) => digits(fraction).then(|| format!("{whole}.{fraction}")),
    }
}

/// The number divided by ten thousand, exactly.
fn shifted(number: &str) -> String {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let padded = format!("{whole:0>5}");
    let (wan, rest) = padded.split_at(padded.len() - 4);
    let text = format!("{wan}.{rest}{fraction}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text.trim_start_matches('0') {
        "" => "0".to_owned(),
        text if text.starts_with('.') => format!("0{text}"),
        text => text.to_owned(),
    }
}

/// A code: without the mark by which spreadsheets are told that a number is a text, and without
/// blanks within.
pub fn code(text: &str) -> String {
    let text = half_width(text);
    // A blank between two such marks is no end of them.
    text.chars()
        .filter(|c| !c.is_whitespace())
        .skip_while(|c| matches!(c, '\'' | '`'))
        .collect()
}

/// A text whose full-width signs are half-width, without blanks around it.
fn plain(text: &str) -> String {
    half_width(text).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn days_are_read_as_people_write_them() {
        for text in [
            "2026-01-02",
            "2026-1-2",
            "2026/1/2",
            "2026/01/02 00:00:00",
            "2026.1.2",
            "2026年1月2日",
            "2026年01月02号",
            "２０２６－０１－０２",
            " 20260102 ",
            "2026-01-02T08:30:00",
            "2026-01-02T08:30:00+08:00",
            "2026-01-02 08:30:00.000 +0800",
            "20260102T083000+08",
            "46024",
        ] {
            assert_eq!(date(text), "2026-01-02", "{text}");
        }
    }

    #[test]
    fn what_is_no_day_stays_as_it_is() {
        for text in [
            "",
            "2026-02-30",
            "26-1-2",
            "2026-1",
            "1/2/2026",
            "12345678901",
            "19999",
            "明天",
            "2026-1-2-3",
            "2026-+1-2",
        ] {
            assert_eq!(date(text), text);
        }
    }

    #[test]
    fn a_time_elsewhere_is_no_day_here() {
        for text in [
            "2026-01-01T16:00:00Z",
            "2026-01-01t16:00:00z",
            "2026-01-01T16:00:00+00:00",
            "2026-01-01T16:00:00-05:00",
            "2026-01-01T16:00:00−05:00",
            "2026-01-01 16:00:00 +0000",
            "2026/1/1 16:00 UTC",
            "2026/1/1 16:00 GMT",
            "20260101T160000Z",
            "２０２６－０１－０１Ｔ１６：００：００Ｚ",
        ] {
            assert_eq!(date(text), text);
        }
    }

    #[test]
    fn a_validity_may_have_no_end() {
        for text in ["长期", " 长期有效 ", "永久"] {
            assert_eq!(last_day(text), "");
        }
        assert_eq!(last_day("2099/12/31"), "2099-12-31");
        assert_eq!(last_day("很久"), "很久");
    }

    #[test]
    fn amounts_are_in_ten_thousand_yuan() {
        for (text, amount_is) in [
            ("1.5", "1.5"),
            ("1,234.5", "1234.5"),
            ("１，２３４．５", "1234.5"),
            ("12,345,678", "12345678"),
            ("1.5万元", "1.5"),
            ("1.5 万", "1.5"),
            ("5000元", "0.5"),
            ("1元", "0.0001"),
            ("12,345.67元", "1.234567"),
            ("0元", "0"),
            ("100000元", "10"),
            ("¥ 2", "2"),
            ("人民币3万元", "3"),
        ] {
            assert_eq!(amount(text), amount_is, "{text}");
        }
        for text in ["", "-1", "1,23", "1,2345", "约3万元", "1.2.3", "1e3", "1."] {
            assert_eq!(amount(text), text);
        }
    }

    #[test]
    fn codes_lose_what_spreadsheets_add() {
        assert_eq!(code("'9152000071430580XT"), "9152000071430580XT");
        assert_eq!(code(" ' '9152000071430580XT"), "9152000071430580XT");
        assert_eq!(code(" ９１５２ 0000 71430580XT"), "9152000071430580XT");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "\\PC*") {
            let _ = (date(&text), last_day(&text), amount(&text), code(&text));
        }

        #[test]
        fn a_written_day_is_read_back(days in 0i32..60_000) {
            let day = EXCEL_DAY_0.checked_add(jiff::Span::new().days(days)).expect("in range");
            let (year, month, number) = (day.year(), day.month(), day.day());
            for text in [
                format!("{year}年{month}月{number}日"),
                format!("{year}/{month}/{number} 00:00"),
                format!("{year:04}{month:02}{number:02}"),
            ] {
                prop_assert_eq!(date(&text), day.to_string());
            }
        }

        #[test]
        fn yuan_are_ten_thousandths(fen in 0u64..1_000_000_000_000) {
            let text = format!("{}.{:02}元", fen / 100, fen % 100);
            let read = tally_domain::money::Money::from_wan_yuan(&amount(&text)).expect("an amount");
            prop_assert_eq!(read.fen(), i64::try_from(fen).expect("in range"));
        }
    }
}
