//! Public identifiers of organisations, and the check rule of resident identity
//! numbers (which are never an [`Identifier`]: see [`ResidentId`]).

mod check;
mod fault;
mod resident;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use fault::{IdentifierFault, IdentifierWarning};
pub use resident::{ResidentId, ResidentIdFault};

use crate::text;

/// Longest name or region of a `name-region`, in characters.
pub const PART_CHARS_MAX: usize = 200;

const USCC_CHARS: usize = 18;
const ORGANISATION_CODE_CHARS: usize = 9;
const PART_SEPARATOR: char = '|';

/// The public identifier of an organisation, in its one normal form.
///
/// Two texts that mean the same identifier are equal once parsed. Written
/// `scheme:value`, also in JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Identifier {
    scheme: Scheme,
    value: String,
}

/// Which register or rule an identifier comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Unified social credit code, GB 32100-2015.
    CnUscc,
    /// Organisation code, GB 11714; what preceded the former and is part of it.
    CnOrgCode,
    /// Name and region, the last resort for foreign or historic data without a code.
    NameRegion,
}

impl Scheme {
    /// The scheme as it is written in front of a value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::CnUscc => "cn-uscc",
            Scheme::CnOrgCode => "cn-orgcode",
            Scheme::NameRegion => "name-region",
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scheme {
    type Err = IdentifierFault;

    fn from_str(text: &str) -> Result<Scheme, IdentifierFault> {
        [Scheme::CnUscc, Scheme::CnOrgCode, Scheme::NameRegion]
            .into_iter()
            .find(|scheme| scheme.as_str() == text)
            .ok_or(IdentifierFault::SchemeUnknown)
    }
}

impl Identifier {
    /// Validates `value` under `scheme` and brings it to its normal form.
    ///
    /// Codes are trimmed, put into half-width and upper case; the hyphen that
    /// GB 11714 prints before an organisation code's check character is dropped.
    /// A `name-region` is `NAME|REGION`: besides, white space is collapsed,
    /// invisible characters vanish and curly quotes become straight.
    ///
    /// A unified social credit code that could as well be a person's number is refused.
    ///
    /// # Errors
    ///
    /// [`IdentifierFault`] says what is wrong, and which check character was
    /// expected. The caller corrects the value at its source.
    pub fn parse(scheme: Scheme, value: &str) -> Result<Identifier, IdentifierFault> {
        let value = match scheme {
            Scheme::CnUscc => public_uscc(value)?,
            Scheme::CnOrgCode => organisation_code(value)?,
            Scheme::NameRegion => name_region(value)?,
        };
        Ok(Identifier { scheme, value })
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The value in its normal form, without the scheme.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The organisation code inside a unified social credit code.
    ///
    /// `None` for other schemes, and where its check character is broken. It only
    /// proposes that both mean one organisation; an officer decides that.
    pub fn organisation_code(&self) -> Option<Identifier> {
        let (body, found) = self.embedded_organisation_code()?;
        let value = format!("{body}{found}");
        Identifier::parse(Scheme::CnOrgCode, &value).ok()
    }

    /// The division (GB/T 2260) of the registering authority inside a unified
    /// social credit code, as it was called when the code was given.
    pub fn division(&self) -> Option<&str> {
        match self.scheme {
            Scheme::CnUscc => self.value.get(2..8),
            Scheme::CnOrgCode | Scheme::NameRegion => None,
        }
    }

    /// Name and region of a `name-region`, normalised.
    pub fn name_and_region(&self) -> Option<(&str, &str)> {
        match self.scheme {
            Scheme::NameRegion => self.value.split_once(PART_SEPARATOR),
            Scheme::CnUscc | Scheme::CnOrgCode => None,
        }
    }

    /// What is doubtful about this identifier by itself.
    pub fn warnings(&self) -> Vec<IdentifierWarning> {
        let Some((body, found)) = self.embedded_organisation_code() else {
            return Vec::new();
        };
        let mut warnings = Vec::new();
        if let Some(expected) = check::organisation_code_check(body).filter(|c| *c != found) {
            warnings.push(IdentifierWarning::OrganisationCodeCheck { expected, found });
        }
        if ResidentId::parse(&self.value).is_ok() {
            warnings.push(IdentifierWarning::ResidentIdForm);
        }
        warnings
    }

    /// [`Identifier::warnings`], and one more for a division that `known_divisions`
    /// (every edition of GB/T 2260 the caller has) does not know.
    pub fn warnings_with_divisions(
        &self,
        known_divisions: &dyn Fn(&str) -> bool,
    ) -> Vec<IdentifierWarning> {
        let mut warnings = self.warnings();
        if let Some(division) = self
            .division()
            .filter(|division| !known_divisions(division))
        {
            warnings.push(IdentifierWarning::DivisionUnknown {
                division: division.to_owned(),
            });
        }
        warnings
    }

    fn embedded_organisation_code(&self) -> Option<(&str, char)> {
        match self.scheme {
            Scheme::CnUscc => Some((self.value.get(8..16)?, self.value.chars().nth(16)?)),
            Scheme::CnOrgCode | Scheme::NameRegion => None,
        }
    }
}

fn public_uscc(value: &str) -> Result<String, IdentifierFault> {
    let code = uscc(value)?;
    if ResidentId::parse(&code).is_ok_and(|number| number.is_plausible()) {
        let scheme = Scheme::CnUscc;
        return Err(IdentifierFault::ResidentId { scheme });
    }
    Ok(code)
}

/// A unified social credit code in its normal form, by the standard alone.
pub(crate) fn uscc(value: &str) -> Result<String, IdentifierFault> {
    let scheme = Scheme::CnUscc;
    let code = text::code(value);
    require_length(scheme, &code, USCC_CHARS)?;
    require_alphabet(scheme, &code, |c| check::uscc_value(c).is_some())?;
    let (body, check) = code.split_at(USCC_CHARS - 1);
    require_check(scheme, check::uscc_check(body), check)?;
    Ok(code.into_owned())
}

fn organisation_code(value: &str) -> Result<String, IdentifierFault> {
    let scheme = Scheme::CnOrgCode;
    let mut code = text::code(value).into_owned();
    if code.chars().count() == ORGANISATION_CODE_CHARS + 1 && code.chars().nth(8) == Some('-') {
        code.retain(|c| c != '-');
    }
    require_length(scheme, &code, ORGANISATION_CODE_CHARS)?;
    require_alphabet(scheme, &code, |c| {
        check::organisation_code_value(c).is_some()
    })?;
    let (body, check) = code.split_at(ORGANISATION_CODE_CHARS - 1);
    require_check(scheme, check::organisation_code_check(body), check)?;
    Ok(code)
}

fn name_region(value: &str) -> Result<String, IdentifierFault> {
    let key = text::name_key(value);
    let (name, region) = key
        .split_once(PART_SEPARATOR)
        .ok_or(IdentifierFault::Parts)?;
    if region.contains(PART_SEPARATOR) {
        return Err(IdentifierFault::Parts);
    }
    let name = name_region_part("name", name)?;
    let region = name_region_part("region", region)?;
    Ok(format!("{name}{PART_SEPARATOR}{region}"))
}

fn name_region_part<'a>(part: &'static str, value: &'a str) -> Result<&'a str, IdentifierFault> {
    let value = value.trim();
    let found = value.chars().count();
    if found == 0 {
        return Err(IdentifierFault::PartEmpty { part });
    }
    if found > PART_CHARS_MAX {
        return Err(IdentifierFault::PartLength { part, found });
    }
    if value.chars().any(char::is_control) {
        return Err(IdentifierFault::ControlCharacter { part });
    }
    Ok(value)
}

fn require_length(scheme: Scheme, code: &str, expected: usize) -> Result<(), IdentifierFault> {
    match code.chars().count() {
        found if found == expected => Ok(()),
        found => Err(IdentifierFault::Length {
            scheme,
            expected,
            found,
        }),
    }
}

fn require_alphabet(
    scheme: Scheme,
    code: &str,
    allowed: impl Fn(char) -> bool,
) -> Result<(), IdentifierFault> {
    match code.chars().zip(1..).find(|(c, _)| !allowed(*c)) {
        None => Ok(()),
        Some((found, position)) => Err(IdentifierFault::Character {
            scheme,
            position,
            found,
        }),
    }
}

fn require_check(
    scheme: Scheme,
    expected: Option<char>,
    found: &str,
) -> Result<(), IdentifierFault> {
    let expected = expected.expect("length and alphabet were checked before");
    let found = found.chars().next().expect("the length was checked before");
    if expected == found {
        return Ok(());
    }
    Err(IdentifierFault::CheckCharacter {
        scheme,
        expected,
        found,
    })
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.scheme, self.value)
    }
}

impl FromStr for Identifier {
    type Err = IdentifierFault;

    fn from_str(text: &str) -> Result<Identifier, IdentifierFault> {
        let (scheme, value) = text.split_once(':').ok_or(IdentifierFault::SchemeMissing)?;
        Identifier::parse(scheme.parse()?, value)
    }
}

impl TryFrom<String> for Identifier {
    type Error = IdentifierFault;

    fn try_from(text: String) -> Result<Identifier, IdentifierFault> {
        text.parse()
    }
}

impl From<Identifier> for String {
    fn from(identifier: Identifier) -> String {
        identifier.to_string()
    }
}
