//! Resident identity numbers (GB 11643): validated, never shown.

use std::fmt;

use super::check;
use crate::date::parse_legal_date;
use crate::{FieldFault, text};

const CHARS: usize = 18;

/// A resident identity number whose date and check character are right.
///
/// It names a person: it has no serde form, and `Debug` and `Display` show nothing
/// of it. It is exchanged for a [`crate::PersonId`] at the key ring or sealed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResidentId(String);

/// Why a text is not a resident identity number. By design no fault holds any
/// character of the value, nor the check character it should have had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResidentIdFault {
    /// Not 18 characters (the 15-digit form ended with 2012).
    #[error("a resident identity number has 18 characters")]
    Length,
    /// Something else than 17 digits and a digit or X.
    #[error("a resident identity number is 17 digits and a digit or X")]
    Character,
    /// Digits 7 to 14 are no day of the calendar.
    #[error("the date in this resident identity number does not exist")]
    Date,
    /// The check character does not fit: at least one character is mistyped.
    #[error("the check character of this resident identity number is wrong")]
    CheckCharacter,
}

impl ResidentIdFault {
    /// Stable code in upper snake case.
    pub fn reason(&self) -> &'static str {
        match self {
            ResidentIdFault::Length => "RESIDENT_ID_LENGTH",
            ResidentIdFault::Character => "RESIDENT_ID_CHARACTER",
            ResidentIdFault::Date => "RESIDENT_ID_DATE",
            ResidentIdFault::CheckCharacter => "RESIDENT_ID_CHECK_CHARACTER",
        }
    }

    /// This fault as one of `field`.
    pub fn at(&self, field: impl Into<String>) -> FieldFault {
        FieldFault::new(field, self.reason(), self.to_string())
    }
}

impl ResidentId {
    /// Validates length, alphabet, date of birth and check character. The region
    /// is not validated: codes keep the division of their day.
    ///
    /// # Errors
    ///
    /// [`ResidentIdFault`], which never repeats the value. The caller corrects
    /// the number at its source.
    pub fn parse(value: &str) -> Result<ResidentId, ResidentIdFault> {
        let number = text::code(value);
        if number.chars().count() != CHARS {
            return Err(ResidentIdFault::Length);
        }
        let (body, last) = number
            .split_at_checked(CHARS - 1)
            .ok_or(ResidentIdFault::Character)?;
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(body) || !(digits(last) || last == "X") {
            return Err(ResidentIdFault::Character);
        }
        let birth = format!("{}-{}-{}", &body[6..10], &body[10..12], &body[12..14]);
        parse_legal_date(&birth).map_err(|_| ResidentIdFault::Date)?;
        let expected = check::resident_id_check(body).expect("17 digits were checked before");
        if !last.starts_with(expected) {
            return Err(ResidentIdFault::CheckCharacter);
        }
        Ok(ResidentId(number.into_owned()))
    }

    /// Whether this is a number as people in the country really have, not only one of
    /// the right form: a region of GB/T 2260 (which start with 1 to 8) and a birth in
    /// the 20th or 21st century.
    pub(super) fn is_plausible(&self) -> bool {
        self.0.starts_with(|c| ('1'..='8').contains(&c))
            && matches!(self.0.get(6..8), Some("19" | "20"))
    }

    /// The number in clear, for sealing and for the key ring's look-up only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ResidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResidentId(redacted)")
    }
}

impl fmt::Display for ResidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("resident identity number (redacted)")
    }
}
