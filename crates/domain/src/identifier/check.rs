//! Check characters of the national standards. Sources and worked examples:
//! GB 32100-2015 (unified social credit code), GB 11714 (organisation code),
//! GB 11643 (resident identity number).

/// The 31 characters of a unified social credit code, in order of value.
/// I, O, S, V and Z are left out because they resemble digits or each other.
pub(super) const USCC_ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// Powers of 3 modulo 31 (GB 32100-2015).
const USCC_WEIGHTS: [u32; 17] = [
    1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28,
];

const ORGANISATION_CODE_WEIGHTS: [u32; 8] = [3, 7, 9, 10, 5, 8, 4, 2];

const RESIDENT_ID_WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];

const RESIDENT_ID_CHECKS: &[u8; 11] = b"10X98765432";

/// Value of a character in a unified social credit code.
pub(super) fn uscc_value(c: char) -> Option<u32> {
    let at = USCC_ALPHABET
        .iter()
        .position(|byte| char::from(*byte) == c)?;
    u32::try_from(at).ok()
}

/// Check character of the first 17 characters of a unified social credit code,
/// or `None` when they are not 17 characters of its alphabet.
pub(super) fn uscc_check(body: &str) -> Option<char> {
    let sum = weighted_sum(body, &USCC_WEIGHTS, uscc_value)?;
    let value = (31 - sum % 31) % 31;
    USCC_ALPHABET
        .get(value as usize)
        .map(|byte| char::from(*byte))
}

/// Value of a character in the body of an organisation code: A is 10, Z is 35.
pub(super) fn organisation_code_value(c: char) -> Option<u32> {
    match c {
        '0'..='9' | 'A'..='Z' => c.to_digit(36),
        _ => None,
    }
}

/// Check character of the 8 characters of an organisation code's body, or `None`
/// when they are not 8 digits or upper-case letters.
pub(super) fn organisation_code_check(body: &str) -> Option<char> {
    let sum = weighted_sum(body, &ORGANISATION_CODE_WEIGHTS, organisation_code_value)?;
    match 11 - sum % 11 {
        10 => Some('X'),
        11 => Some('0'),
        digit => char::from_digit(digit, 10),
    }
}

/// Check character of the first 17 digits of a resident identity number, or
/// `None` when they are not 17 digits.
pub(super) fn resident_id_check(body: &str) -> Option<char> {
    let sum = weighted_sum(body, &RESIDENT_ID_WEIGHTS, |c| c.to_digit(10))?;
    RESIDENT_ID_CHECKS
        .get((sum % 11) as usize)
        .map(|byte| char::from(*byte))
}

fn weighted_sum(body: &str, weights: &[u32], value: fn(char) -> Option<u32>) -> Option<u32> {
    if body.chars().count() != weights.len() {
        return None;
    }
    body.chars()
        .zip(weights)
        .map(|(c, weight)| value(c).map(|value| value * weight))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worked_examples_of_gb_32100() {
        for (body, sum, check) in [
            ("9152000071430580X", 1431, 'T'),
            ("91110000710926094", 876, 'P'),
            ("91440300192317458", 1194, 'F'),
        ] {
            assert_eq!(weighted_sum(body, &USCC_WEIGHTS, uscc_value), Some(sum));
            assert_eq!(uscc_check(body), Some(check));
        }
    }

    #[test]
    fn uscc_weights_are_powers_of_three_modulo_31() {
        let mut power = 1;
        for weight in USCC_WEIGHTS {
            assert_eq!(weight, power);
            power = power * 3 % 31;
        }
    }

    #[test]
    fn the_worked_example_of_gb_11714() {
        let sum = weighted_sum(
            "71430580",
            &ORGANISATION_CODE_WEIGHTS,
            organisation_code_value,
        );
        assert_eq!(sum, Some(166));
        assert_eq!(organisation_code_check("71430580"), Some('X'));
        assert_eq!(organisation_code_check("00000000"), Some('0'));
    }

    #[test]
    fn the_synthetic_examples_of_gb_11643() {
        assert_eq!(resident_id_check("99999920000229123"), Some('0'));
        assert_eq!(resident_id_check("00000019000101001"), Some('7'));
    }

    #[test]
    fn a_body_of_other_length_or_alphabet_has_no_check_character() {
        assert_eq!(uscc_check("9152000071430580"), None);
        assert_eq!(uscc_check("I152000071430580X"), None);
        assert_eq!(organisation_code_check("7143058x"), None);
        assert_eq!(resident_id_check("9999992000022912X"), None);
    }
}
