//! Whatever is written where a value belongs: it is that value or a fault, and a
//! value's own text is the value again.
//!
//! `PROPTEST_CASES` says how many; `make fuzz` runs many more. Identifiers have
//! theirs beside them.

use std::str::FromStr;

use proptest::prelude::*;
use tally_domain::calendar::{HolidayNotice, WorkingDays};
use tally_domain::date::{months_after, parse_legal_date};
use tally_domain::department::{DepartmentId, Role};
use tally_domain::document::DocumentNumber;
use tally_domain::identifier::{Identifier, Scheme};
use tally_domain::legal::LegalBasisRef;
use tally_domain::money::Money;
use tally_domain::subject::Subject;

fn config() -> ProptestConfig {
    ProptestConfig {
        // What is found becomes a test of its own.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Texts that are almost values of some kind.
fn almost() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "(person:|cn-uscc:|cn-orgcode:|name-region:)?[0-9A-Zａ-ｚ０-９|\u{200b}\u{feff} -]{0,40}",
        "[0-9０-９]{0,5}-?[0-9]{0,3}-?[0-9]{0,3}",
        "-?[0-9,.０-９]{0,30}",
        "\\PC{0,4}[（(〔\\[【]?[0-9]{4}[)）〕\\]】]?[0-9]{1,4}号?\\PC{0,6}",
        "[a-z/@-]{0,10}@[0-9]{0,12}",
        "11[0-9A-Z]{16}",
    ]
}

/// What reads a text reads what it wrote.
fn survives<T: FromStr + ToString + PartialEq + std::fmt::Debug>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let again = value.to_string().parse::<T>().ok();
        assert_eq!(again.as_ref(), Some(&value), "{text:?}");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_text_is_a_value_or_a_fault(text in almost()) {
        survives::<Identifier>(&text);
        survives::<Scheme>(&text);
        survives::<Subject>(&text);
        survives::<DepartmentId>(&text);
        survives::<Role>(&text);
        survives::<LegalBasisRef>(&text);
        if let Ok(day) = parse_legal_date(&text) {
            prop_assert_eq!(day.to_string(), text.clone());
        }
        if let Ok(money) = Money::from_wan_yuan(&text) {
            prop_assert_eq!(Money::from_wan_yuan(&money.to_wan_yuan()), Ok(money));
        }
        if let Ok(number) = DocumentNumber::parse(&text) {
            let key = DocumentNumber::parse(number.key());
            prop_assert!(key.is_ok_and(|again| again.key() == number.key()), "{:?}", text);
        }
        let _ = HolidayNotice::from_holiday_cn_json(&text);
    }

    #[test]
    fn terms_end_by_the_end_of_the_calendar(
        year in 1i16..=9999, month in 1i8..=12, day in 1i8..=28, months: u32, days in 0u32..2_000,
    ) {
        let from = jiff::civil::date(year, month, day);
        prop_assert!(months_after(from, months) >= from);
        let deadline = WorkingDays::new([]).after(from, days);
        prop_assert!(deadline.date >= from && deadline.provisional == (days > 0));
    }
}
