//! Subjects as callers write them.

use tally_domain::fault::FieldFault;
use tally_domain::identifier::{Identifier, ResidentId, Scheme};
use tally_domain::subject::{PersonId, Subject};
use tally_eventlog::sealing::{KeyRing, KeyRingError, PseudonymKind};

use crate::field::holds_person_number;

/// Scheme under which callers name a natural person.
const RESIDENT_ID: &str = "cn-resident-id";

/// A subject as a caller writes it. A natural person's number is not a subject
/// yet: the key ring gives the random id that stands for it.
#[derive(Debug)]
pub enum SubjectInput {
    /// An organisation.
    Organisation(Identifier),
    /// A natural person, by the number in clear.
    Person(ResidentId),
    /// A natural person, by the random id.
    PersonId(PersonId),
}

/// Reads a subject: `scheme:value`.
///
/// # Errors
///
/// The fault of `field`; it never repeats a person's number.
pub fn parse(field: &str, text: &str) -> Result<SubjectInput, FieldFault> {
    if let Some(number) = text
        .trim()
        .strip_prefix(RESIDENT_ID)
        .and_then(|rest| rest.strip_prefix(':'))
    {
        return ResidentId::parse(number)
            .map(SubjectInput::Person)
            .map_err(|fault| fault.at(field));
    }
    match text.parse::<Subject>().map_err(|fault| fault.at(field))? {
        Subject::Organisation(identifier) => {
            impersonal(field, &identifier)?;
            Ok(SubjectInput::Organisation(identifier))
        }
        Subject::Person(id) => Ok(SubjectInput::PersonId(id)),
    }
}

/// Refuses a name with a person's number in it: identifiers stand in keys, in clear.
///
/// # Errors
///
/// The fault of `field`; it does not repeat the number.
pub fn impersonal(field: &str, identifier: &Identifier) -> Result<(), FieldFault> {
    // Codes are told from persons' numbers by their own check characters.
    if identifier.scheme() == Scheme::NameRegion && holds_person_number(identifier.value()) {
        return Err(FieldFault::new(
            field,
            "PERSON_NUMBER_IN_TEXT",
            "the name holds a person's number; leave persons out",
        ));
    }
    Ok(())
}

/// True if a text that should be a subject names a natural person, also where
/// it is no subject: by a scheme of persons, or by a person's number.
pub fn names_a_person(text: &str) -> bool {
    let scheme = text.split_once(':').map(|(scheme, _)| scheme.trim());
    matches!(scheme, Some(RESIDENT_ID | "person")) || holds_person_number(text)
}

/// Reads a subject that must be an organisation.
///
/// # Errors
///
/// The fault of `field`: natural persons are off until a catalogue item with
/// its own legal basis switches them on.
pub fn organisation(field: &str, text: &str) -> Result<Subject, FieldFault> {
    match parse(field, text)? {
        SubjectInput::Organisation(identifier) => Ok(Subject::Organisation(identifier)),
        SubjectInput::Person(_) | SubjectInput::PersonId(_) => Err(natural_persons_off(field)),
    }
}

/// The fault where natural persons are off.
pub fn natural_persons_off(field: &str) -> FieldFault {
    FieldFault::new(
        field,
        "NATURAL_PERSON_OFF",
        "natural persons are off here; the policy pack must switch them on for this item with a legal basis of its own",
    )
}

/// The subject that stands for the input; a person's random id is made at
/// first use.
///
/// # Errors
///
/// [`KeyRingError`]: says whether to retry.
pub async fn resolve(input: SubjectInput, keyring: &KeyRing) -> Result<Subject, KeyRingError> {
    Ok(match input {
        SubjectInput::Organisation(identifier) => Subject::Organisation(identifier),
        SubjectInput::PersonId(id) => Subject::Person(id),
        SubjectInput::Person(number) => {
            let id = keyring
                .pseudonym(PseudonymKind::Person, number.expose())
                .await?;
            Subject::Person(PersonId(id))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_persons_number_is_no_part_of_a_name() {
        for text in [
            "name-region:WANG FANG 999999200002291230|X",
            "name-region:X|９９９９９９２００００２２９１２３０",
        ] {
            let fault = parse("subject", text).expect_err("it would stand in keys");
            assert_eq!(fault.reason, "PERSON_NUMBER_IN_TEXT");
            assert!(!fault.message.contains("9999"), "{}", fault.message);
        }
        assert!(parse("subject", "name-region:WANG FANG'S SHOP|X").is_ok());
    }

    #[test]
    fn what_names_a_person_is_seen_also_where_it_is_no_subject() {
        // Synthetic: region 999999 is assigned to nobody.
        for text in [
            "cn-resident-id:999999200002291230",
            " cn-resident-id:99999920000229123",
            "person:x",
            "cn-uscc:999999200002291230",
            "999999200002291230",
        ] {
            assert!(names_a_person(text), "{text}");
        }
        for text in ["", "cn-uscc:9152000071430580XT", "9152000071430580XT"] {
            assert!(!names_a_person(text), "{text}");
        }
    }
}
