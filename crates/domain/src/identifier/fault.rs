//! What is wrong with an identifier (refusals) or doubtful about it (warnings).

use super::{PART_CHARS_MAX, Scheme};
use crate::FieldFault;

/// Why a text is not an identifier of its scheme. Messages never repeat the
/// whole value: someone may have typed a person's number into the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierFault {
    /// No `scheme:` in front; write one.
    #[error("an identifier is written scheme:value")]
    SchemeMissing,
    /// A scheme that is not known; use one of those named.
    #[error("unknown scheme; known are cn-uscc, cn-orgcode and name-region")]
    SchemeUnknown,
    /// Characters are missing or too many.
    #[error("a {scheme} has {expected} characters, not {found}")]
    Length {
        /// Scheme that was claimed.
        scheme: Scheme,
        /// Characters it has by its standard.
        expected: usize,
        /// Characters found.
        found: usize,
    },
    /// A character outside the scheme's alphabet, often O for 0 or I for 1.
    #[error("character {position} of this {scheme} is {found:?}, which its alphabet does not have")]
    Character {
        /// Scheme that was claimed.
        scheme: Scheme,
        /// Place of the character, counted from 1.
        position: usize,
        /// The character.
        found: char,
    },
    /// The check character does not fit the others: at least one is mistyped.
    #[error("the check character of this {scheme} is {found:?} and should be {expected:?}")]
    CheckCharacter {
        /// Scheme that was claimed.
        scheme: Scheme,
        /// What the other characters call for.
        expected: char,
        /// What was found.
        found: char,
    },
    /// A valid code, but also a valid resident identity number, as one in 31 of these
    /// is by chance. Codes stand in clear in the log for good, so it is refused: a
    /// person is referred to by the key ring's id, and the rare organisation with
    /// such a code by its organisation code.
    #[error(
        "this {scheme} is also a valid resident identity number; \
         use the cn-orgcode of an organisation, the key ring's id of a person"
    )]
    ResidentId {
        /// Scheme that was claimed.
        scheme: Scheme,
    },
    /// Not exactly one separator between name and region.
    #[error("a name-region is written NAME|REGION, with exactly one |")]
    Parts,
    /// Nothing left of a part once white space is gone.
    #[error("the {part} of this name-region is empty")]
    PartEmpty {
        /// `name` or `region`.
        part: &'static str,
    },
    /// A part is longer than any name should be.
    #[error("the {part} of this name-region has {found} characters, more than {PART_CHARS_MAX}")]
    PartLength {
        /// `name` or `region`.
        part: &'static str,
        /// Characters found, after normalisation.
        found: usize,
    },
    /// A control character; remove it.
    #[error("the {part} of this name-region contains a control character")]
    ControlCharacter {
        /// `name` or `region`.
        part: &'static str,
    },
}

impl IdentifierFault {
    /// Stable code in upper snake case.
    pub fn reason(&self) -> &'static str {
        match self {
            IdentifierFault::SchemeMissing => "IDENTIFIER_SCHEME_MISSING",
            IdentifierFault::SchemeUnknown => "IDENTIFIER_SCHEME_UNKNOWN",
            IdentifierFault::Length { .. } => "IDENTIFIER_LENGTH",
            IdentifierFault::Character { .. } => "IDENTIFIER_CHARACTER",
            IdentifierFault::CheckCharacter { .. } => "IDENTIFIER_CHECK_CHARACTER",
            IdentifierFault::ResidentId { .. } => "IDENTIFIER_RESIDENT_ID",
            IdentifierFault::Parts => "IDENTIFIER_PARTS",
            IdentifierFault::PartEmpty { .. } => "IDENTIFIER_PART_EMPTY",
            IdentifierFault::PartLength { .. } => "IDENTIFIER_PART_LENGTH",
            IdentifierFault::ControlCharacter { .. } => "IDENTIFIER_CONTROL_CHARACTER",
        }
    }

    /// This fault as one of `field`.
    pub fn at(&self, field: impl Into<String>) -> FieldFault {
        FieldFault::new(field, self.reason(), self.to_string())
    }
}

/// What is doubtful about a valid identifier; the record is accepted and says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierWarning {
    /// The organisation code inside a unified social credit code breaks its own
    /// check character, as 189 of 3 million registered codes do.
    #[error(
        "the check character of the organisation code inside is {found:?} and should be {expected:?}"
    )]
    OrganisationCodeCheck {
        /// What the code's body calls for.
        expected: char,
        /// What was found.
        found: char,
    },
    /// The code has the form of a resident identity number, though not of one that
    /// is given out within the country; look at the source before relying on it.
    #[error("the code has the form of a resident identity number")]
    ResidentIdForm,
    /// The division is in no known edition of GB/T 2260; codes keep the division of their day.
    #[error("division {division} is not a known one")]
    DivisionUnknown {
        /// The six characters found.
        division: String,
    },
}

impl IdentifierWarning {
    /// Stable code in upper snake case.
    pub fn reason(&self) -> &'static str {
        match self {
            IdentifierWarning::OrganisationCodeCheck { .. } => "ORGANISATION_CODE_CHECK",
            IdentifierWarning::ResidentIdForm => "RESIDENT_ID_FORM",
            IdentifierWarning::DivisionUnknown { .. } => "DIVISION_UNKNOWN",
        }
    }
}
