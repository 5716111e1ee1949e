//! Measures, and the memoranda by which departments agree to carry them out.

use serde::{Deserialize, Serialize};

use super::first_version;
use super::list_type::ListPolarity;
use crate::department::DepartmentId;
use crate::legal::{InForce, LegalBasisRef};

/// Something a department may do to or for a listed subject. Nothing outside these is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Identity of the measure.
    pub id: String,
    /// Version of this entry, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Name in English.
    pub name: String,
    /// Name in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// Executed once, or at every window the subject comes to.
    pub kind: MeasureKind,
    /// Gives or takes.
    pub polarity: MeasurePolarity,
    /// Basis of the measure itself.
    pub legal_basis: LegalBasisRef,
    /// The most that a memorandum may ask for.
    pub strength: Strength,
    /// What a department may do when a check cannot be answered.
    pub when_undetermined: WhenUndetermined,
    /// Purposes of a check at which a standing measure applies.
    #[serde(default)]
    pub purposes: Vec<String>,
}

/// Whether a measure is executed once or kept up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasureKind {
    /// Executed once, for example revoking an honour.
    OneOff,
    /// Applied each time the subject turns up while the listing is in force.
    Standing,
}

/// Whether a measure gives or takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MeasurePolarity {
    /// For subjects on a red list.
    Incentive,
    /// For subjects on a black list.
    Sanction,
}

impl MeasurePolarity {
    /// Whether the measure may follow from a list of that polarity.
    pub fn suits(self, list: ListPolarity) -> bool {
        matches!(
            (self, list),
            (Self::Incentive, ListPolarity::Red) | (Self::Sanction, ListPolarity::Black)
        )
    }
}

/// Whether a department must act or may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strength {
    /// May be declined freely.
    Recommended,
    /// May be declined only with a legal reason.
    Mandatory,
}

/// What a department may do with its own decision when the mesh answers `UNDETERMINED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenUndetermined {
    /// Decide without the measure.
    Proceed,
    /// Wait and ask again.
    Hold,
    /// Ask the initiating department.
    Refer,
}

/// An agreement: which departments carry out which measures when a subject enters a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memorandum {
    /// Identity of the memorandum.
    pub id: String,
    /// Version of this entry, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Title in English.
    pub name: String,
    /// Title in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// Id of the list type whose listings it answers.
    pub list_type: String,
    /// Working days within which a department acknowledges a directive.
    pub acknowledge_within_working_days: u32,
    /// Working days within which a department reports what it did.
    pub report_within_working_days: u32,
    /// Days on which listings give rise to directives under it.
    pub in_force: InForce,
    /// The measures agreed.
    pub measures: Vec<MemorandumMeasure>,
}

/// One measure of a memorandum and the departments that carry it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemorandumMeasure {
    /// Id of the measure.
    pub measure: String,
    /// Departments that receive a directive, one each.
    pub departments: Vec<DepartmentId>,
    /// Whether they must or may.
    pub strength: Strength,
    /// Basis on which these departments carry it out.
    pub legal_basis: LegalBasisRef,
}
