//! Decisions that need a check first ("应查必查").

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::first_version;
use crate::department::DepartmentId;
use crate::legal::{InForce, LegalBasisRef};

/// A kind of decision before which a department must ask what is in force of the subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckedDecision {
    /// Identity of the kind of decision.
    pub id: String,
    /// Version of this entry, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Name in English.
    pub name: String,
    /// Name in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// Departments that take it.
    pub departments: Vec<DepartmentId>,
    /// The record type in which it is reported.
    pub record_type: String,
    /// Purposes of the check, any of which will do.
    pub purposes: Vec<String>,
    /// Longest time between the check and the decision, in days.
    pub valid_days: u32,
    /// Basis of the duty to check.
    pub legal_basis: LegalBasisRef,
    /// Days of decision on which the duty holds.
    pub in_force: InForce,
}

impl CheckedDecision {
    /// Whether a record of that type, decided by that department on that day, needs a check.
    pub fn concerns(&self, record_type: &str, department: &DepartmentId, decided_on: Date) -> bool {
        self.record_type == record_type
            && self.departments.contains(department)
            && self.in_force.contains(decided_on)
    }
}
