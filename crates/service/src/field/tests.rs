//! What becomes a fault, and what is kept as it is.

use super::*;

fn reasons(faults: Faults) -> Vec<(String, &'static str)> {
    let faults = faults.into_vec().into_iter();
    faults.map(|fault| (fault.field, fault.reason)).collect()
}

#[test]
fn control_characters_are_refused_but_lines_in_long_texts() {
    for text in ["a\0b", "a\u{1b}[31mb", "a\u{7f}b", "a\u{202e}b"] {
        let mut faults = Faults::default();
        assert_eq!(faults.text("reason", text, 2_000), None, "{text:?}");
        let expected = [("reason".to_owned(), "CONTROL_CHARACTERS")];
        assert_eq!(reasons(faults), expected, "{text:?}");
    }
    let lines = "first\r\n\tsecond";
    let mut faults = Faults::default();
    assert_eq!(
        faults.text("reason", lines, 2_000).as_deref(),
        Some(lines),
        "a long text has lines"
    );
    assert_eq!(faults.text("case_number", lines, 128), None);
    let both = "a\0 999999200002291230";
    assert_eq!(faults.text_or_empty("remarks", both, 2_000), None);
    let expected = [
        ("case_number", "CONTROL_CHARACTERS"),
        ("remarks", "CONTROL_CHARACTERS"),
        ("remarks", "PERSON_NUMBER_IN_TEXT"),
    ];
    assert_eq!(
        reasons(faults),
        expected.map(|(field, reason)| (field.to_owned(), reason))
    );
}

#[test]
fn a_document_names_every_fault_and_no_person() {
    let mut faults = Faults::default();
    let document = pb::DocumentRef {
        number: "罚999999200002291230号".to_owned(),
        address: "https://a.example/\n999999200002291230".to_owned(),
        sha256: vec![1].into(),
        ..Default::default()
    };
    assert_eq!(faults.document("document", Some(&document)), None);
    let expected = [
        ("document.number", "PERSON_NUMBER_IN_TEXT"),
        ("document.address", "CONTROL_CHARACTERS"),
        ("document.address", "PERSON_NUMBER_IN_TEXT"),
        ("document.sha256", "HASH_INVALID"),
    ];
    assert_eq!(
        reasons(faults),
        expected.map(|(field, reason)| (field.to_owned(), reason))
    );
    let mut faults = Faults::default();
    let number = faults.document_number("number", " 罚〔2026〕1号 ");
    assert_eq!(
        number.as_ref().map(DocumentNumber::as_written),
        Some("罚〔2026〕1号")
    );
}

#[test]
fn a_persons_number_is_refused_in_every_text() {
    // Synthetic: region 999999 is assigned to nobody.
    for text in [
        "999999200002291230",
        "按身份证999999200002291230号",
        "number ９９９９９９２００００２２９１２３０, verified",
    ] {
        let mut faults = Faults::default();
        assert_eq!(faults.text("case_number", text, 200), None, "{text}");
        assert_eq!(faults.text_or_empty("remarks", text, 200), None, "{text}");
        let reasons: Vec<_> = faults.into_vec().iter().map(|fault| fault.reason).collect();
        assert_eq!(reasons, ["PERSON_NUMBER_IN_TEXT"; 2], "{text}");
    }
    let mut faults = Faults::default();
    let kept = faults.text("case_number", "case 999999200002291231", 200);
    assert_eq!(kept.as_deref(), Some("case 999999200002291231"));
}

#[test]
fn an_unknown_number_of_a_choice_is_refused_and_names_the_choices() {
    use tally_eventlog::pb::ActorRole;
    let read = |faults: &mut Faults, number| {
        faults.choice("role", number, |role: &ActorRole| role.as_str_name())
    };
    let mut faults = Faults::default();
    assert_eq!(read(&mut faults, 0), Some(ActorRole::Unspecified));
    assert_eq!(read(&mut faults, 1), ActorRole::try_from(1).ok());
    assert!(faults.is_empty());
    for number in [9, -1, i32::MAX] {
        let mut faults = Faults::default();
        assert_eq!(read(&mut faults, number), None);
        let fault = faults.into_vec().remove(0);
        assert_eq!(
            (&*fault.field, fault.reason),
            ("role", "VALUE_NOT_A_CHOICE")
        );
        assert!(fault.message.contains(&number.to_string()), "{fault:?}");
        let names = (1..=4).filter_map(|number| ActorRole::try_from(number).ok());
        for name in names {
            assert!(fault.message.contains(name.as_str_name()), "{fault:?}");
        }
        assert!(!fault.message.contains("UNSPECIFIED"), "{fault:?}");
    }
}

#[test]
fn a_month_is_written_one_way() {
    let mut faults = Faults::default();
    let first = parse_legal_date("2026-03-01").ok();
    assert_eq!(faults.month("month", "2026-03"), first);
    assert_eq!(faults.month_or_none("month", "2026-03"), first);
    assert_eq!(faults.month_or_none("month", ""), None);
    assert!(faults.is_empty());
    for text in ["", "2026-3", "2026-13", "2026", "2026-03-02", "March"] {
        let mut faults = Faults::default();
        assert_eq!(faults.month("to_month", text), None, "{text}");
        let expected = [("to_month".to_owned(), "MONTH_INVALID")];
        assert_eq!(reasons(faults), expected, "{text}");
    }
}
