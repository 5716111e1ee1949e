//! Legal bases: which law lets which department do what, to whom, and from when to when.

use std::fmt;

use jiff::civil::Date;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Pack;
use crate::department::DepartmentId;
use crate::legal::{InForce, LegalBasisRef};
use crate::subject::SubjectType;

/// One version of one article that lets departments act.
///
/// A changed article is a new version with its own days in force, so that an old decision can
/// still be judged by the text it was taken under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalBasis {
    /// Identity of the basis, shared by its versions.
    pub id: String,
    /// Version of the text, from 1.
    pub version: u32,
    /// Title of the law, regulation or order.
    pub title: String,
    /// The title as published in Chinese.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_zh: Option<String>,
    /// Article, paragraph and item relied on.
    pub article: String,
    /// First and last day on which the text is law.
    pub in_force: InForce,
    /// Departments that may rely on it.
    pub departments: DepartmentScope,
    /// Kinds of subject it may be used against or for.
    pub subject_types: Vec<SubjectType>,
}

impl LegalBasis {
    /// The reference by which events and other items cite this basis.
    pub fn reference(&self) -> LegalBasisRef {
        LegalBasisRef::new(self.id.clone(), self.version)
    }
}

/// The departments that a legal basis empowers: `"all"` or a list of ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DepartmentScope {
    /// Every department of the pack.
    All,
    /// Only these.
    Listed(Vec<DepartmentId>),
}

impl DepartmentScope {
    /// Whether `department` may rely on the basis.
    pub fn covers(&self, department: &DepartmentId) -> bool {
        match self {
            Self::All => true,
            Self::Listed(ids) => ids.contains(department),
        }
    }
}

impl Serialize for DepartmentScope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Listed(ids) => ids.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for DepartmentScope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScopeVisitor)
    }
}

/// Written by hand because serde's untagged enums hide which department id is wrong.
struct ScopeVisitor;

impl<'de> Visitor<'de> for ScopeVisitor {
    type Value = DepartmentScope;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"all\" or a list of department ids")
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Self::Value, E> {
        match word {
            "all" => Ok(DepartmentScope::All),
            other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut ids = Vec::new();
        while let Some(id) = seq.next_element()? {
            ids.push(id);
        }
        Ok(DepartmentScope::Listed(ids))
    }
}

/// Why a legal basis does not carry an act. The remedy is to cite a basis that does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BasisFault {
    /// The pack does not hold that id and version.
    #[error("legal basis `{id}` version {version} is not in the policy pack")]
    Unknown {
        /// Cited id.
        id: String,
        /// Cited version.
        version: u32,
    },
    /// The day lies before the first day in force.
    #[error("legal basis `{id}` version {version} is in force only from {from}")]
    NotYetInForce {
        /// Cited id.
        id: String,
        /// Cited version.
        version: u32,
        /// First day in force.
        from: Date,
    },
    /// The day lies after the last day in force.
    #[error("legal basis `{id}` version {version} was in force only until {until}")]
    Expired {
        /// Cited id.
        id: String,
        /// Cited version.
        version: u32,
        /// Last day in force.
        until: Date,
    },
    /// The basis does not empower the department.
    #[error("legal basis `{id}` version {version} does not cover department {department}")]
    Department {
        /// Cited id.
        id: String,
        /// Cited version.
        version: u32,
        /// The acting department.
        department: DepartmentId,
    },
    /// The basis does not reach that kind of subject.
    #[error("legal basis `{id}` version {version} does not cover subjects of type {subject_type}")]
    SubjectType {
        /// Cited id.
        id: String,
        /// Cited version.
        version: u32,
        /// Kind of the subject.
        subject_type: SubjectType,
    },
}

impl Pack {
    /// The version of a basis that was law on `date`: the one named if it was, else the newest
    /// that was. Where none was, the one named, so that its refusal says when it holds.
    pub fn basis_on<'a>(&'a self, named: &'a LegalBasisRef, date: Date) -> &'a LegalBasisRef {
        let held = |reference: &LegalBasisRef| {
            let found = self.legal_basis(reference);
            found.is_some_and(|basis| basis.in_force.contains(date))
        };
        if held(named) {
            return named;
        }
        let versions = self.legal_bases.keys().rev();
        let mut versions = versions.filter(|reference| reference.id == named.id);
        versions.find(|reference| held(reference)).unwrap_or(named)
    }

    /// Answers whether `basis` is in force on `date` for `department` and `subject_type`.
    ///
    /// This is the one place that decides the invariant "no record, listing or measure without a
    /// legal basis in force on that day for that department and subject type". `date` is a legal
    /// date in the pack's time zone.
    ///
    /// # Errors
    ///
    /// [`BasisFault`]: the act has no ground; refuse it, or cite a basis that covers it.
    pub fn in_force(
        &self,
        basis: &LegalBasisRef,
        date: Date,
        department: &DepartmentId,
        subject_type: SubjectType,
    ) -> Result<(), BasisFault> {
        let (id, version) = (basis.id.clone(), basis.version);
        let Some(found) = self.legal_basis(basis) else {
            return Err(BasisFault::Unknown { id, version });
        };
        if date < found.in_force.from {
            let from = found.in_force.from;
            return Err(BasisFault::NotYetInForce { id, version, from });
        }
        if let Some(until) = found.in_force.until.filter(|until| date > *until) {
            return Err(BasisFault::Expired { id, version, until });
        }
        if !found.departments.covers(department) {
            let department = department.clone();
            return Err(BasisFault::Department {
                id,
                version,
                department,
            });
        }
        if !found.subject_types.contains(&subject_type) {
            return Err(BasisFault::SubjectType {
                id,
                version,
                subject_type,
            });
        }
        Ok(())
    }
}
