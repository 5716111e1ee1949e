use proptest::prelude::*;

use super::*;

const MOUTAI: &str = "9152000071430580XT";

fn parse(scheme: Scheme, value: &str) -> Result<Identifier, IdentifierFault> {
    Identifier::parse(scheme, value)
}

#[test]
fn registered_companies_have_valid_codes() {
    for value in [MOUTAI, "91110000710926094P", "91440300192317458F"] {
        let identifier = parse(Scheme::CnUscc, value).expect("registered");
        assert_eq!(identifier.value(), value);
        assert_eq!(identifier.warnings(), []);
        assert_eq!(identifier.to_string(), format!("cn-uscc:{value}"));
    }
}

#[test]
fn codes_are_normalised_before_they_are_judged() {
    let expected = parse(Scheme::CnUscc, MOUTAI);
    for value in [
        " 9152000071430580xt ",
        "９１５２００００７１４３０５８０ＸＴ",
        "\u{FEFF}9152000071430580XT\u{200B}",
    ] {
        assert_eq!(parse(Scheme::CnUscc, value), expected);
    }
    let code = parse(Scheme::CnOrgCode, "71430580X");
    assert_eq!(parse(Scheme::CnOrgCode, "71430580-x"), code);
}

#[test]
fn a_fault_names_the_expected_check_character() {
    assert_eq!(
        parse(Scheme::CnUscc, "9152000071430580XU"),
        Err(IdentifierFault::CheckCharacter {
            scheme: Scheme::CnUscc,
            expected: 'T',
            found: 'U'
        })
    );
    let fault = parse(Scheme::CnOrgCode, "714305801").expect_err("check is X");
    assert_eq!(
        fault.to_string(),
        "the check character of this cn-orgcode is '1' and should be 'X'"
    );
    assert_eq!(fault.at("subject").reason, "IDENTIFIER_CHECK_CHARACTER");
}

#[test]
fn length_and_alphabet_are_judged_before_the_check_character() {
    assert_eq!(
        parse(Scheme::CnUscc, "9152"),
        Err(IdentifierFault::Length {
            scheme: Scheme::CnUscc,
            expected: 18,
            found: 4
        })
    );
    // O for 0, the commonest slip.
    assert_eq!(
        parse(Scheme::CnUscc, "9152O00071430580XT"),
        Err(IdentifierFault::Character {
            scheme: Scheme::CnUscc,
            position: 5,
            found: 'O'
        })
    );
    assert!(matches!(
        parse(Scheme::CnUscc, "9152000071430580茅T"),
        Err(IdentifierFault::Character { position: 17, .. })
    ));
    assert!(matches!(
        parse(Scheme::CnOrgCode, "7143-0580X"),
        Err(IdentifierFault::Length { found: 10, .. })
    ));
}

#[test]
fn the_organisation_code_inside_proposes_a_link() {
    let moutai = parse(Scheme::CnUscc, MOUTAI).expect("registered");
    let code = moutai.organisation_code().expect("its check holds");
    assert_eq!(code.to_string(), "cn-orgcode:71430580X");
    assert_eq!(code.organisation_code(), None);
    assert_eq!(moutai.division(), Some("520000"));
    assert_eq!(code.division(), None);
}

#[test]
fn a_broken_organisation_code_inside_is_a_warning() {
    let body = "91520000714305801";
    let check = check::uscc_check(body).expect("17 characters");
    let identifier = parse(Scheme::CnUscc, &format!("{body}{check}")).expect("accepted");
    assert_eq!(
        identifier.warnings(),
        [IdentifierWarning::OrganisationCodeCheck {
            expected: 'X',
            found: '1'
        }]
    );
    assert_eq!(identifier.organisation_code(), None);
}

#[test]
fn an_unknown_division_is_a_warning() {
    let moutai = parse(Scheme::CnUscc, MOUTAI).expect("registered");
    assert_eq!(moutai.warnings_with_divisions(&|code| code == "520000"), []);
    assert_eq!(
        moutai.warnings_with_divisions(&|_| false),
        [IdentifierWarning::DivisionUnknown {
            division: "520000".to_owned()
        }]
    );
    let code = parse(Scheme::CnOrgCode, "71430580X").expect("valid");
    assert_eq!(code.warnings_with_divisions(&|_| false), []);
}

#[test]
fn a_code_that_may_be_a_persons_number_is_refused() {
    // Both check rules hold; the region is not assigned, so it is nobody's.
    let number = "100000200002290268";
    assert!(ResidentId::parse(number).is_ok());
    assert_eq!(check::uscc_check(&number[..17]), number.chars().last());
    let fault = parse(Scheme::CnUscc, number).expect_err("may name a person");
    assert_eq!(fault.reason(), "IDENTIFIER_RESIDENT_ID");
    assert!(!fault.to_string().contains(number));

    let unassigned = parse(Scheme::CnUscc, "999999200002291230").expect("no such region");
    let warnings = unassigned.warnings();
    assert!(warnings.contains(&IdentifierWarning::ResidentIdForm));
}

#[test]
fn names_that_read_the_same_are_one_identifier() {
    let plain = parse(Scheme::NameRegion, "Reimer's Inc.|Lakin, KS").expect("valid");
    assert_eq!(plain.value(), "REIMER'S INC.|LAKIN, KS");
    assert_eq!(
        plain.name_and_region(),
        Some(("REIMER'S INC.", "LAKIN, KS"))
    );
    for value in [
        " reimer\u{2019}s  Inc. | LAKIN,\tKS ",
        "Ｒｅｉｍｅｒ＇ｓ　Inc.｜Lakin, KS",
        "Reimer's\u{200B} Inc.|Lakin, KS",
    ] {
        assert_eq!(parse(Scheme::NameRegion, value).as_ref(), Ok(&plain));
    }
}

#[test]
fn a_name_region_needs_exactly_two_parts() {
    for value in ["", "NAME", "A|B|C", "A||B"] {
        assert_eq!(
            parse(Scheme::NameRegion, value),
            Err(IdentifierFault::Parts)
        );
    }
    for (value, part) in [("|KS", "name"), ("NAME|\u{3000}", "region")] {
        let fault = Err(IdentifierFault::PartEmpty { part });
        assert_eq!(parse(Scheme::NameRegion, value), fault);
    }
    let longest = format!("{}|KS", "茅".repeat(200));
    assert!(parse(Scheme::NameRegion, &longest).is_ok());
    // An upper-cased sharp s takes two characters; what is kept is what is measured.
    let longer = format!("{}|KS", "ß".repeat(101));
    assert_eq!(
        parse(Scheme::NameRegion, &longer),
        Err(IdentifierFault::PartLength {
            part: "name",
            found: 202
        })
    );
    assert_eq!(
        parse(Scheme::NameRegion, "A\u{7}|KS"),
        Err(IdentifierFault::ControlCharacter { part: "name" })
    );
}

#[test]
fn the_written_form_carries_the_scheme() {
    let text = "name-region:A: B|C";
    let identifier: Identifier = text.parse().expect("only the first colon separates");
    assert_eq!(identifier.to_string(), text);
    let json = serde_json::to_string(&identifier).expect("a string");
    assert_eq!(json, format!("{text:?}"));
    assert_eq!(
        serde_json::from_str::<Identifier>(&json).ok(),
        Some(identifier)
    );
    assert_eq!(
        MOUTAI.parse::<Identifier>(),
        Err(IdentifierFault::SchemeMissing)
    );
    assert_eq!(
        "cn-tax:1".parse::<Identifier>(),
        Err(IdentifierFault::SchemeUnknown)
    );
    assert!(serde_json::from_str::<Identifier>(r#""cn-uscc:1""#).is_err());
}

#[test]
fn synthetic_resident_numbers_are_valid_and_stay_hidden() {
    for value in ["999999200002291230", "000000190001010017"] {
        let number = ResidentId::parse(&format!(" {value} ")).expect("synthetic");
        assert_eq!(number.expose(), value);
        for shown in [
            format!("{number:?}"),
            format!("{number:#?}"),
            number.to_string(),
        ] {
            assert!(shown.contains("redacted"));
            assert!(!shown.contains(|c: char| c.is_ascii_digit()), "{shown}");
        }
    }
}

#[test]
fn resident_number_faults_repeat_nothing_of_the_value() {
    for (value, fault) in [
        ("99999920000229123", ResidentIdFault::Length),
        ("99999920000229123A", ResidentIdFault::Character),
        ("9999992000022912é0", ResidentIdFault::Character),
        ("99999920000229123é", ResidentIdFault::Character),
        ("999999200102291230", ResidentIdFault::Date),
        ("999999200002291231", ResidentIdFault::CheckCharacter),
    ] {
        assert_eq!(ResidentId::parse(value), Err(fault), "{value}");
        let message = fault.at("id").to_string();
        assert!(!message.contains(value));
    }
    // The message must not give away the right check character either.
    assert!(!ResidentIdFault::CheckCharacter.to_string().contains('0'));
}

fn any_uscc() -> impl Strategy<Value = String> {
    let characters = prop::collection::vec(0..check::USCC_ALPHABET.len(), 17);
    characters.prop_map(|places| {
        let body: String = places
            .iter()
            .map(|place| char::from(check::USCC_ALPHABET[*place]))
            .collect();
        let check = check::uscc_check(&body).expect("17 characters of the alphabet");
        format!("{body}{check}")
    })
}

fn any_organisation_code() -> impl Strategy<Value = String> {
    "[0-9A-Z]{8}".prop_map(|body| {
        let check = check::organisation_code_check(&body).expect("8 characters");
        format!("{body}{check}")
    })
}

fn any_resident_id() -> impl Strategy<Value = String> {
    (
        0..1_000_000u32,
        1900..2100i16,
        1..=12i8,
        1..=28i8,
        0..1000u32,
    )
        .prop_map(|(region, year, month, day, serial)| {
            let body = format!("{region:06}{year:04}{month:02}{day:02}{serial:03}");
            let check = check::resident_id_check(&body).expect("17 digits");
            format!("{body}{check}")
        })
}

/// `value` with the character at `place` replaced; `None` when it is the same.
fn replaced(value: &str, place: usize, with: char) -> Option<String> {
    let place = place % value.len();
    let other: String = value
        .chars()
        .enumerate()
        .map(|(at, c)| if at == place { with } else { c })
        .collect();
    (other != value).then_some(other)
}

fn alphanumeric() -> impl Strategy<Value = char> {
    prop::sample::select(('0'..='9').chain('A'..='Z').collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn a_uscc_survives_its_text(value in any_uscc()) {
        let identifier = parse(Scheme::CnUscc, &value).expect("generated valid");
        prop_assert_eq!(identifier.to_string().parse(), Ok(identifier));
    }

    #[test]
    fn one_wrong_character_breaks_a_uscc(
        value in any_uscc(), place in 0..18usize, with in alphanumeric(),
    ) {
        if let Some(other) = replaced(&value, place, with) {
            prop_assert!(parse(Scheme::CnUscc, &other).is_err(), "{} accepted", other);
        }
    }

    #[test]
    fn one_wrong_character_breaks_an_organisation_code_or_makes_another(
        value in any_organisation_code(), place in 0..9usize, with in alphanumeric(),
    ) {
        let identifier = parse(Scheme::CnOrgCode, &value).expect("generated valid");
        if let Some(other) = replaced(&value, place, with) {
            prop_assert_ne!(parse(Scheme::CnOrgCode, &other), Ok(identifier));
        }
    }

    // Modulo 11 tells two digits apart, so purely numeric slips are always found.
    #[test]
    fn one_wrong_digit_breaks_a_numeric_organisation_code(
        body in "[0-9]{8}", place in 0..8usize, with in prop::char::range('0', '9'),
    ) {
        let check = check::organisation_code_check(&body).expect("8 digits");
        if let Some(other) = replaced(&body, place, with) {
            let other = format!("{other}{check}");
            prop_assert!(parse(Scheme::CnOrgCode, &other).is_err());
        }
    }

    #[test]
    fn one_wrong_character_breaks_a_resident_number(
        value in any_resident_id(), place in 0..18usize, with in alphanumeric(),
    ) {
        prop_assert!(ResidentId::parse(&value).is_ok());
        if let Some(other) = replaced(&value, place, with) {
            prop_assert!(ResidentId::parse(&other).is_err());
        }
    }

    #[test]
    fn a_normalised_name_stays_as_it_is(name in "\\PC{1,60}", region in "\\PC{1,60}") {
        if let Ok(identifier) = parse(Scheme::NameRegion, &format!("{name}|{region}")) {
            prop_assert_eq!(identifier.to_string().parse(), Ok(identifier));
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = ResidentId::parse(&text);
        let _ = text.parse::<Identifier>();
        for scheme in [Scheme::CnUscc, Scheme::CnOrgCode, Scheme::NameRegion] {
            let _ = parse(scheme, &text);
        }
    }
}
