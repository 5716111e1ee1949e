//! Whom a record, a listing or a check is about.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::FieldFault;
use crate::identifier::{Identifier, IdentifierFault};

const PERSON_PREFIX: &str = "person:";

/// A subject, in the form that may stand in keys, topics and logs: an
/// organisation's public identifier, or a person's random id.
///
/// Written `cn-uscc:…`, `cn-orgcode:…`, `name-region:…` or `person:<uuid>`, also in JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// An organisation, by its public identifier.
    Organisation(Identifier),
    /// A natural person, by an id that means nothing outside the key ring.
    Person(PersonId),
}

impl Subject {
    /// What kind of subject this is.
    pub fn subject_type(&self) -> SubjectType {
        match self {
            Subject::Organisation(_) => SubjectType::Organisation,
            Subject::Person(_) => SubjectType::NaturalPerson,
        }
    }

    /// The public identifier, if the subject is an organisation.
    pub fn identifier(&self) -> Option<&Identifier> {
        match self {
            Subject::Organisation(identifier) => Some(identifier),
            Subject::Person(_) => None,
        }
    }
}

/// A random id from the key ring, which alone leads from a person's identifier
/// to it; once that row is deleted, the id names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonId(pub Uuid);

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// The kinds of subject that a legal basis may cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectType {
    /// Companies, institutions, associations, government bodies.
    Organisation,
    /// A human being; off until a catalogue item with its own legal basis allows it.
    NaturalPerson,
}

impl SubjectType {
    /// The type as it is written in packs and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            SubjectType::Organisation => "organisation",
            SubjectType::NaturalPerson => "natural_person",
        }
    }
}

impl fmt::Display for SubjectType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not a subject. Never repeats the value: it may name a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectFault {
    /// The identifier is wrong; its fault says how.
    #[error(transparent)]
    Identifier(#[from] IdentifierFault),
    /// What follows `person:` is not an id from the key ring, perhaps a number of the person.
    #[error("a person is written person: and the id that the key ring gave")]
    PersonId,
}

impl SubjectFault {
    /// Stable code in upper snake case.
    pub fn reason(&self) -> &'static str {
        match self {
            SubjectFault::Identifier(fault) => fault.reason(),
            SubjectFault::PersonId => "PERSON_ID",
        }
    }

    /// This fault as one of `field`.
    pub fn at(&self, field: impl Into<String>) -> FieldFault {
        FieldFault::new(field, self.reason(), self.to_string())
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Organisation(identifier) => identifier.fmt(f),
            Subject::Person(id) => write!(f, "{PERSON_PREFIX}{id}"),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectFault;

    fn from_str(text: &str) -> Result<Subject, SubjectFault> {
        match text.strip_prefix(PERSON_PREFIX) {
            Some(id) => Uuid::try_parse(id)
                .map(|id| Subject::Person(PersonId(id)))
                .map_err(|_| SubjectFault::PersonId),
            None => Ok(Subject::Organisation(text.parse()?)),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = SubjectFault;

    fn try_from(text: String) -> Result<Subject, SubjectFault> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        subject.to_string()
    }
}

impl From<Identifier> for Subject {
    fn from(identifier: Identifier) -> Subject {
        Subject::Organisation(identifier)
    }
}

impl From<PersonId> for Subject {
    fn from(id: PersonId) -> Subject {
        Subject::Person(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_subject_survives_its_text() {
        for (text, kind) in [
            ("cn-uscc:9152000071430580XT", SubjectType::Organisation),
            ("cn-orgcode:71430580X", SubjectType::Organisation),
            (
                "name-region:EAGLE CREEK FARMS, INC.|HERMITAGE, TN",
                SubjectType::Organisation,
            ),
            (
                "person:5f0c954e-0f2c-4b8e-9d59-6a1f4f0f7c11",
                SubjectType::NaturalPerson,
            ),
        ] {
            let subject: Subject = text.parse().expect("valid");
            assert_eq!(subject.to_string(), text);
            assert_eq!(subject.subject_type(), kind);
            assert_eq!(
                subject.identifier().is_some(),
                kind == SubjectType::Organisation
            );
            let json = serde_json::to_string(&subject).expect("a string");
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Subject>(&json).ok(), Some(subject));
        }
    }

    #[test]
    fn a_persons_number_is_no_subject_and_is_not_repeated() {
        let number = "100000200002290268";
        let fault = format!("person:{number}").parse::<Subject>();
        assert_eq!(fault, Err(SubjectFault::PersonId));
        for text in [
            format!("person:{number}"),
            format!("cn-uscc:{number}"),
            format!("cn-orgcode:{number}"),
            format!("name-region:{number}"),
            number.to_owned(),
        ] {
            let fault = text.parse::<Subject>().expect_err("not a subject");
            assert!(!fault.at("subject").to_string().contains(number));
        }
    }

    #[test]
    fn subject_types_are_written_one_way() {
        for kind in [SubjectType::Organisation, SubjectType::NaturalPerson] {
            let json = serde_json::to_string(&kind).expect("a string");
            assert_eq!(json, format!("\"{kind}\""));
        }
    }
}
