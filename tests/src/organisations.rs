//! Made-up organisations, of a division that nobody has.

use tally_domain::identifier::{Identifier, IdentifierFault, Scheme};

/// Organisations with a right check character.
pub fn subjects(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| {
            let organisation = completed(Scheme::CnOrgCode, &format!("MA{n:06}"));
            let code = completed(Scheme::CnUscc, &format!("91990100{organisation}"));
            format!("cn-uscc:{code}")
        })
        .collect()
}

/// `body` with its check character, which the domain names in its fault.
fn completed(scheme: Scheme, body: &str) -> String {
    let guess = format!("{body}0");
    match Identifier::parse(scheme, &guess) {
        Err(IdentifierFault::CheckCharacter { expected, .. }) => format!("{body}{expected}"),
        parsed => parsed
            .map(|_| guess)
            .expect("only the check character was guessed"),
    }
}
