//! List types: red and black lists, who may put a subject on them, and for how long.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::record_type::basis_for;
use super::{SharedWith, first_version};
use crate::date::months_after;
use crate::department::DepartmentId;
use crate::legal::{InForce, LegalBasisRef};
use crate::subject::SubjectType;

/// A kind of list on which competent departments may put subjects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListType {
    /// Identity of the list type.
    pub id: String,
    /// Version of this entry, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Name in English.
    pub name: String,
    /// Name in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// Red rewards, black restrains.
    pub polarity: ListPolarity,
    /// Departments that may list.
    pub initiators: Vec<DepartmentId>,
    /// Departments besides the initiating one that may see who is listed.
    #[serde(default, skip_serializing_if = "SharedWith::is_default")]
    pub shared_with: SharedWith,
    /// Ids of the record types that can ground a listing.
    pub grounds: Vec<String>,
    /// Basis for listing.
    pub legal_basis: LegalBasisRef,
    /// Kinds of subject that may be listed.
    pub subject_types: Vec<SubjectType>,
    /// The separate basis that switches natural persons on for this list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub natural_person_basis: Option<LegalBasisRef>,
    /// How long a listing may last; a red list may have none and then lasts until removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<TermRule>,
    /// Working days the subject has for its representation after notice.
    pub representation_working_days: u32,
    /// Whether the public may see who of the organisations is on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub published: bool,
    /// Days on which this list type may be used for new listings.
    pub in_force: InForce,
}

impl ListType {
    /// The basis for listing a subject of that type; `None` if such subjects may not be listed.
    pub fn basis_for(&self, subject_type: SubjectType) -> Option<&LegalBasisRef> {
        basis_for(
            &self.subject_types,
            &self.legal_basis,
            self.natural_person_basis.as_ref(),
            subject_type,
        )
    }
}

/// Whether a list rewards or restrains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListPolarity {
    /// Joint incentives.
    Red,
    /// Joint discipline.
    Black,
}

/// How long a listing may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TermForm", into = "TermForm")]
pub enum TermRule {
    /// Between so many calendar months, counted from the first day.
    Months {
        /// Shortest term.
        months_min: u32,
        /// Longest term.
        months_max: u32,
    },
    /// The deciding document names the last day itself.
    Explicit {
        /// Longest term, if the law sets one.
        months_max: Option<u32>,
    },
}

/// Why a listing's term does not fit the list type. The remedy is another last day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TermFault {
    /// A term without an end is not a term.
    #[error("this list needs the last day of the term")]
    NoLastDay,
    /// The last day lies before the first.
    #[error("the term ends on {until}, before it begins on {from}")]
    Reversed {
        /// First day.
        from: Date,
        /// Last day.
        until: Date,
    },
    /// Shorter than the law allows.
    #[error("the term must last {months_min} months, until {earliest} or later")]
    TooShort {
        /// Shortest term in months.
        months_min: u32,
        /// Earliest permissible last day.
        earliest: Date,
    },
    /// Longer than the law allows.
    #[error("the term may last {months_max} months, until {latest} at the latest")]
    TooLong {
        /// Longest term in months.
        months_max: u32,
        /// Latest permissible last day.
        latest: Date,
    },
}

impl TermRule {
    /// Checks a term from its first to its last day in force, both inclusive.
    ///
    /// Decisions in the field count "two years" both to the day before the anniversary and to
    /// the anniversary itself, so either last day is accepted for either bound.
    ///
    /// # Errors
    ///
    /// [`TermFault`]: says the nearest permissible last day; decide the listing with that.
    pub fn check(&self, from: Date, until: Option<Date>) -> Result<(), TermFault> {
        let Some(until) = until else {
            return Err(TermFault::NoLastDay);
        };
        if until < from {
            return Err(TermFault::Reversed { from, until });
        }
        let (months_min, months_max) = match *self {
            Self::Months {
                months_min,
                months_max,
            } => (months_min, Some(months_max)),
            Self::Explicit { months_max } => (0, months_max),
        };
        if months_min > 0 {
            let anniversary = months_after(from, months_min);
            let earliest = anniversary.yesterday().unwrap_or(anniversary);
            if until < earliest {
                return Err(TermFault::TooShort {
                    months_min,
                    earliest,
                });
            }
        }
        if let Some(months_max) = months_max {
            let latest = months_after(from, months_max);
            if until > latest {
                return Err(TermFault::TooLong { months_max, latest });
            }
        }
        Ok(())
    }
}

/// The flat form in files and events: `{ months_min, months_max }` or `{ explicit = true, months_max? }`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TermForm {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    explicit: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    months_min: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    months_max: Option<u32>,
}

impl TryFrom<TermForm> for TermRule {
    type Error = &'static str;

    fn try_from(form: TermForm) -> Result<Self, Self::Error> {
        match (form.explicit, form.months_min, form.months_max) {
            (true, None, months_max) => Ok(Self::Explicit { months_max }),
            (false, Some(months_min), Some(months_max)) => Ok(Self::Months {
                months_min,
                months_max,
            }),
            (true, Some(_), _) => Err("an explicit term has no `months_min`"),
            (false, _, _) => Err("a term is `months_min` with `months_max`, or `explicit = true`"),
        }
    }
}

impl From<TermRule> for TermForm {
    fn from(rule: TermRule) -> Self {
        match rule {
            TermRule::Months {
                months_min,
                months_max,
            } => Self {
                explicit: false,
                months_min: Some(months_min),
                months_max: Some(months_max),
            },
            TermRule::Explicit { months_max } => Self {
                explicit: true,
                months_min: None,
                months_max,
            },
        }
    }
}
