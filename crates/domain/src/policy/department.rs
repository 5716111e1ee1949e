//! Departments of the mesh and what each is empowered to do.

use serde::{Deserialize, Serialize};

use super::first_version;
use crate::department::DepartmentId;

/// A department that takes part in the mesh.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Department {
    /// The department's own unified social credit code.
    pub id: DepartmentId,
    /// Version of this entry, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Official name in English.
    pub name: String,
    /// Official name in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// Level of government.
    pub level: Level,
    /// GB/T 2260 code of the division it governs, six digits.
    pub division: String,
    /// Ids of the measures it has the power to carry out.
    #[serde(default)]
    pub powers: Vec<String>,
}

impl Department {
    /// Whether the department has the power to carry out the measure.
    pub fn has_power(&self, measure_id: &str) -> bool {
        self.powers.iter().any(|power| power == measure_id)
    }
}

/// Level of government.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Province, autonomous region or municipality: division `pp0000`.
    Province,
    /// Prefecture or city: division `ppcc00`.
    City,
    /// County or district: division `ppccdd`.
    County,
}

impl Level {
    /// The level that a GB/T 2260 division code stands for; `None` if it is not six digits or no province.
    pub fn of_division(division: &str) -> Option<Self> {
        if division.len() != 6 || !division.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        match (&division[..2], &division[2..4], &division[4..]) {
            ("00", _, _) => None,
            (_, "00", "00") => Some(Self::Province),
            (_, "00", _) => None,
            (_, _, "00") => Some(Self::City),
            _ => Some(Self::County),
        }
    }
}
