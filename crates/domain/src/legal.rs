//! Legal bases: which rule an act rests on, and on which days it holds.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::date::{DateFault, LegalDate, Term};

/// One version of one legal basis in the policy pack, written `id@version`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalBasisRef {
    /// Id of the basis in the pack.
    pub id: String,
    /// Its version, counted from 1.
    pub version: u32,
}

impl LegalBasisRef {
    /// A reference; whether such a basis exists is for the pack to say.
    pub fn new(id: impl Into<String>, version: u32) -> LegalBasisRef {
        LegalBasisRef {
            id: id.into(),
            version,
        }
    }
}

impl fmt::Display for LegalBasisRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.version)
    }
}

/// A text is not of the form `id@version`; write it so, with a version of 1 or more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a legal basis is written id@version, with a version of 1 or more")]
pub struct LegalBasisRefFault;

impl FromStr for LegalBasisRef {
    type Err = LegalBasisRefFault;

    fn from_str(text: &str) -> Result<LegalBasisRef, LegalBasisRefFault> {
        let (id, version) = text.rsplit_once('@').ok_or(LegalBasisRefFault)?;
        let version = version.parse().map_err(|_| LegalBasisRefFault)?;
        if id.is_empty() || version == 0 {
            return Err(LegalBasisRefFault);
        }
        Ok(LegalBasisRef::new(id, version))
    }
}

/// The days on which a rule holds: from its effective date to its last day,
/// both included; without `until` it has no known end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InForce {
    /// First day in force.
    pub from: LegalDate,
    /// Last day in force, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<LegalDate>,
}

impl InForce {
    /// Days in force, in order.
    ///
    /// # Errors
    ///
    /// [`DateFault::Reversed`] when `until` is before `from`; the caller corrects either.
    pub fn new(from: LegalDate, until: Option<LegalDate>) -> Result<InForce, DateFault> {
        let days = InForce { from, until };
        days.check()?;
        Ok(days)
    }

    /// Checks days that were read rather than built by [`InForce::new`].
    ///
    /// # Errors
    ///
    /// [`DateFault::Reversed`] when `until` is before `from`.
    pub fn check(&self) -> Result<(), DateFault> {
        self.as_term().check()
    }

    /// Whether the rule holds on `date`; never, when the days are reversed.
    pub fn contains(&self, date: LegalDate) -> bool {
        self.as_term().contains(date)
    }

    fn as_term(&self) -> Term {
        Term {
            from: self.from,
            until: self.until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_basis_holds_on_its_last_day_and_not_after() {
        let days = InForce::new(date(2016, 11, 1), Some(date(2021, 12, 31))).expect("in order");
        assert!(!days.contains(date(2016, 10, 31)));
        assert!(days.contains(date(2016, 11, 1)));
        assert!(days.contains(date(2021, 12, 31)));
        assert!(!days.contains(date(2022, 1, 1)));
        assert!(InForce::new(date(2022, 1, 1), Some(date(2021, 12, 31))).is_err());
    }

    #[test]
    fn days_in_force_read_as_iso_dates() {
        let days: InForce = serde_json::from_str(r#"{"from":"2016-11-01"}"#).expect("valid");
        assert_eq!(
            days,
            InForce {
                from: date(2016, 11, 1),
                until: None
            }
        );
        assert_eq!(
            serde_json::to_string(&days).expect("plain"),
            r#"{"from":"2016-11-01"}"#
        );
        assert!(serde_json::from_str::<InForce>(r#"{"from":"2016-11-01","to":"x"}"#).is_err());
    }

    #[test]
    fn a_reference_is_written_with_its_version() {
        let basis = LegalBasisRef::new("tally-credit-regulations/31", 2);
        assert_eq!(basis.to_string(), "tally-credit-regulations/31@2");
        assert_eq!(basis.to_string().parse(), Ok(basis));
        for text in ["", "x", "@1", "x@0", "x@-1", "x@1.0"] {
            assert_eq!(
                text.parse::<LegalBasisRef>(),
                Err(LegalBasisRefFault),
                "{text}"
            );
        }
    }
}
