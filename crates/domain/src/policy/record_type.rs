//! Record types: what may be collected, from whom, and on which legal basis.

use jiff::civil::Date;
use jiff::{Span, ToSpan as _};
use serde::{Deserialize, Serialize};

use super::{SharedWith, first_version};
use crate::calendar::{Deadline, WorkingDays};
use crate::department::DepartmentId;
use crate::legal::LegalBasisRef;
use crate::subject::SubjectType;

/// A kind of record that departments may report. Nothing outside these is collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordType {
    /// Identity of the record type.
    pub id: String,
    /// Version of this entry, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Name in English.
    pub name: String,
    /// Name in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// Departments that may report it.
    pub reporters: Vec<DepartmentId>,
    /// Departments besides the one that pushed it that may see such a record.
    #[serde(default, skip_serializing_if = "SharedWith::is_default")]
    pub shared_with: SharedWith,
    /// Basis for collecting it.
    pub legal_basis: LegalBasisRef,
    /// Kinds of subject it may be about.
    pub subject_types: Vec<SubjectType>,
    /// The separate basis that switches natural persons on for this type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub natural_person_basis: Option<LegalBasisRef>,
    /// Working days from the decision within which it must be published.
    pub report_within_working_days: u32,
    /// Working days after the last day of publication within which it must be pushed; none: on that day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_within_working_days: Option<u32>,
    /// Day of the month on which what was decided until then counts as decided, for types that are
    /// reported by the month; the month's last day where it is shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_day_of_month: Option<u8>,
    /// First day of decision from which it is reported as it happens; what was decided earlier is
    /// backfill, which has no term. None: from the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected_from: Option<Date>,
    /// Which backfill is taken; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
    /// Whether a new one opens a proposal to remove its subject from red lists.
    #[serde(default)]
    pub serious: bool,
    /// Whether the public may see such a record of an organisation: its fields in clear but the
    /// internal ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub published: bool,
    /// Whether such a record says that its subject was newly registered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub registers_subject: bool,
    /// Which records of the type say so; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registers_when: Option<FieldValue>,
    /// The fields such a record carries, in the order they are shown.
    pub fields: Vec<FieldRule>,
}

impl RecordType {
    /// The rule for a field, if the record type has that field.
    pub fn field(&self, name: &str) -> Option<&FieldRule> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// Whether a record says that its subject was newly registered; `value_of` gives its fields.
    pub fn registers<'a>(&self, value_of: impl FnOnce(&str) -> Option<&'a str>) -> bool {
        let met = |when: &FieldValue| value_of(&when.field) == Some(when.value.as_str());
        self.registers_subject && self.registers_when.as_ref().is_none_or(met)
    }

    /// The days by which a record of that decision is due; nothing for backfill, which has no term.
    pub fn terms(&self, decided_on: Date, working_days: &WorkingDays) -> Option<Terms> {
        if self.is_backfill(decided_on) {
            return None;
        }
        let counted_from = match self.due_day_of_month {
            None => decided_on,
            Some(day) => due_day(decided_on, day),
        };
        let publish_by = working_days.after(counted_from, self.report_within_working_days);
        let push_by = match self.push_within_working_days {
            None => publish_by,
            Some(more) => {
                let pushed = working_days.after(publish_by.date, more);
                Deadline {
                    provisional: publish_by.provisional || pushed.provisional,
                    ..pushed
                }
            }
        };
        Some(Terms {
            publish_by,
            push_by,
        })
    }

    /// Whether a decision of that day was taken before records are reported as they happen.
    pub fn is_backfill(&self, decided_on: Date) -> bool {
        self.collected_from.is_some_and(|from| decided_on < from)
    }

    /// Whether a record is taken: backfill only as far as the item's rule goes.
    ///
    /// # Errors
    ///
    /// [`BackfillFault`]: the record is not to be reported.
    pub fn check_backfill(
        &self,
        decided_on: Date,
        valid_until: Option<Date>,
        today: Date,
    ) -> Result<(), BackfillFault> {
        if !self.is_backfill(decided_on) {
            return Ok(());
        }
        match self.backfill {
            None => Ok(()),
            Some(Backfill::StillValid) => match valid_until {
                Some(until) if until < today => Err(BackfillFault::NoLongerValid { until }),
                _ => Ok(()),
            },
            Some(Backfill::Years(years)) => {
                let span = Span::new().try_years(years).unwrap_or_default();
                let earliest = today.checked_sub(span).unwrap_or(Date::MIN);
                if decided_on < earliest {
                    return Err(BackfillFault::TooOld { years, earliest });
                }
                Ok(())
            }
        }
    }

    /// The basis for collecting it about a subject of that type; `None` if such subjects are not covered.
    pub fn basis_for(&self, subject_type: SubjectType) -> Option<&LegalBasisRef> {
        basis_for(
            &self.subject_types,
            &self.legal_basis,
            self.natural_person_basis.as_ref(),
            subject_type,
        )
    }
}

/// The first such day of a month that is not before `date`; a month that is
/// shorter has it on its last day.
fn due_day(date: Date, day_of_month: u8) -> Date {
    let in_month_of = |month: Date| {
        let day = i8::try_from(day_of_month).unwrap_or(i8::MAX);
        let day = day.clamp(1, month.days_in_month());
        month.with().day(day).build().unwrap_or(month)
    };
    let due = in_month_of(date);
    if due >= date {
        return due;
    }
    let next = date.first_of_month().checked_add(1.month());
    next.map_or(date, in_month_of)
}

/// The days by which a record is due, both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Last day on which it is published in time.
    pub publish_by: Deadline,
    /// Last day on which it is pushed in time.
    pub push_by: Deadline,
}

/// Which decisions from before the beginning are still reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backfill {
    /// Those that are still valid, as with licences.
    StillValid,
    /// Those of the last so many years.
    Years(u32),
}

/// Why a record from before the beginning is not taken. There is nothing to correct: leave it out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackfillFault {
    /// Its validity is over.
    #[error(
        "it is no longer valid since {until}; of old decisions only those still valid are reported"
    )]
    NoLongerValid {
        /// Last day on which it was valid.
        until: Date,
    },
    /// It is too old.
    #[error(
        "of old decisions only those of the last {years} years are reported, from {earliest} on"
    )]
    TooOld {
        /// Years that are reported.
        years: u32,
        /// First day of decision that is still reported.
        earliest: Date,
    },
}

/// The basis that applies to a subject type: natural persons never fall back on the ordinary one.
pub(super) fn basis_for<'a>(
    subject_types: &[SubjectType],
    ordinary: &'a LegalBasisRef,
    natural_person: Option<&'a LegalBasisRef>,
    subject_type: SubjectType,
) -> Option<&'a LegalBasisRef> {
    if !subject_types.contains(&subject_type) {
        return None;
    }
    match subject_type {
        SubjectType::Organisation => Some(ordinary),
        SubjectType::NaturalPerson => natural_person,
    }
}

/// One field of a record type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldRule {
    /// Name on the wire, lower snake case.
    pub name: String,
    /// The column's name in Chinese forms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// What the value is, and whether it is sealed.
    pub kind: FieldKind,
    /// Whether a record without it is refused.
    #[serde(default)]
    pub required: bool,
    /// Longest value accepted, in characters (not bytes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_chars: Option<u32>,
    /// The only values accepted, of a text; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// A choice that goes on as people write, for example `其他-`; needs `choices`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_choice: Option<String>,
    /// Whether it is for departments only and never published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internal: bool,
    /// Whether its day is the last on which the record is shown to the public.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_publication: bool,
}

/// A value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldValue {
    /// Name of the field.
    pub field: String,
    /// Its value, in its normal form.
    pub value: String,
}

impl FieldRule {
    /// Whether the public may see its values where it sees the record.
    pub fn is_public(&self) -> bool {
        !self.internal && !self.kind.is_personal()
    }

    /// Whether the value is one of the choices, where there are any.
    pub fn allows(&self, value: &str) -> bool {
        let open = self.open_choice.as_deref();
        self.choices.is_empty()
            || self.choices.iter().any(|choice| choice == value)
            || open.is_some_and(|open| value.len() > open.len() && value.starts_with(open))
    }
}

/// What a field's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    /// Free text.
    Text,
    /// A legal date, ISO 8601.
    Date,
    /// An amount in units of 10,000 yuan, as departments' forms give it.
    Money,
    /// A whole number.
    Integer,
    /// An organisation's identifier as `scheme:value`.
    Identifier,
    /// Text that names or describes a natural person: sealed.
    PersonalText,
    /// A natural person's identity number: sealed.
    PersonalId,
}

impl FieldKind {
    /// Whether the value names or identifies a natural person and must be sealed wherever it is stored.
    pub fn is_personal(self) -> bool {
        matches!(self, Self::PersonalText | Self::PersonalId)
    }

    /// Whether values of this kind are bounded by `max_chars`.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::PersonalText | Self::PersonalId)
    }
}
