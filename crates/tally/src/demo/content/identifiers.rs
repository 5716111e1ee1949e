//! Synthetic identifiers with right check characters, in divisions and regions
//! that nobody has.

use std::collections::HashSet;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt as _};
use tally_domain::identifier::{Identifier, IdentifierFault, ResidentId, Scheme};

/// Characters of a unified social credit code (GB 32100-2015).
const ALPHABET: &[u8; 31] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";

/// Division 99 is not assigned by GB/T 2260.
const UNASSIGNED_DIVISION: &str = "99";

/// First two characters of the code of an enterprise.
pub const ENTERPRISE: &str = "91";

/// First two characters of the code of a government body.
pub const GOVERNMENT_BODY: &str = "11";

/// A unified social credit code of that kind that is not in `taken` yet.
pub fn uscc(kind: &str, rng: &mut Xoshiro256PlusPlus, taken: &mut HashSet<String>) -> String {
    loop {
        let division: u32 = rng.random_range(0..10_000);
        let serial: String = (0..6).map(|_| letter(rng)).collect();
        let organisation = completed(Scheme::CnOrgCode, &format!("MA{serial}"));
        let body = format!("{kind}{UNASSIGNED_DIVISION}{division:04}{organisation}");
        let code = completed(Scheme::CnUscc, &body);
        if taken.insert(code.clone()) {
            return code;
        }
    }
}

/// The same code with a check character that does not fit.
pub fn broken(uscc: &str) -> String {
    let (body, check) = uscc.split_at(uscc.len() - 1);
    let wrong = if check == "1" { '2' } else { '1' };
    format!("{body}{wrong}")
}

/// A resident identity number of a region that does not exist.
pub fn resident_id(rng: &mut Xoshiro256PlusPlus) -> String {
    let (year, month, day) = (
        rng.random_range(1960..2000),
        rng.random_range(1..13),
        rng.random_range(1..29),
    );
    let serial: u32 = rng.random_range(0..1_000);
    let body = format!("999999{year:04}{month:02}{day:02}{serial:03}");
    "0123456789X"
        .chars()
        .map(|check| format!("{body}{check}"))
        .find(|number| ResidentId::parse(number).is_ok())
        .expect("one of the eleven check characters fits")
}

fn letter(rng: &mut impl Rng) -> char {
    char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])
}

/// `body` with its check character. The rule is asked of the domain, which
/// names the expected character in its fault, so that it stands in one place.
fn completed(scheme: Scheme, body: &str) -> String {
    let guess = format!("{body}0");
    match Identifier::parse(scheme, &guess) {
        Ok(_) => guess,
        Err(IdentifierFault::CheckCharacter { expected, .. }) => format!("{body}{expected}"),
        Err(other) => unreachable!("only the check character was guessed: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng as _;

    use super::*;

    #[test]
    fn codes_are_valid_and_broken_ones_are_not() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        let mut taken = HashSet::new();
        for _ in 0..500 {
            let code = uscc(ENTERPRISE, &mut rng, &mut taken);
            let identifier = Identifier::parse(Scheme::CnUscc, &code).expect("a valid code");
            assert!(identifier.warnings().is_empty());
            let fault = Identifier::parse(Scheme::CnUscc, &broken(&code));
            assert!(matches!(fault, Err(IdentifierFault::CheckCharacter { .. })));
        }
        assert_eq!(taken.len(), 500);
    }

    #[test]
    fn resident_ids_are_valid() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
        for _ in 0..200 {
            assert!(ResidentId::parse(&resident_id(&mut rng)).is_ok());
        }
    }
}
