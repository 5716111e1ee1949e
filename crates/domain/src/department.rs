//! Who acts: a department, and inside it an officer, an operator or a system.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::FieldFault;
use crate::identifier::{self, IdentifierFault};

/// First character of codes given by the offices of institutional staffing
/// (GB 32100-2015, table of registering authorities): state organs and the
/// public institutions that the law may authorise.
const STAFFING_AUTHORITY: char = '1';

/// A department, by the unified social credit code of the government body.
///
/// Written as its 18 characters, also in JSON.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DepartmentId(String);

/// Why a text is not a department.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DepartmentIdFault {
    /// Not a valid unified social credit code; its fault says how.
    #[error(transparent)]
    Identifier(#[from] IdentifierFault),
    /// A company's or an association's code; use the government body's own.
    #[error("a government body's code starts with '1', this one with {found:?}")]
    NotGovernment {
        /// The first character found.
        found: char,
    },
}

impl DepartmentIdFault {
    /// Stable code in upper snake case.
    pub fn reason(&self) -> &'static str {
        match self {
            DepartmentIdFault::Identifier(fault) => fault.reason(),
            DepartmentIdFault::NotGovernment { .. } => "DEPARTMENT_NOT_GOVERNMENT",
        }
    }

    /// This fault as one of `field`.
    pub fn at(&self, field: impl Into<String>) -> FieldFault {
        FieldFault::new(field, self.reason(), self.to_string())
    }
}

impl DepartmentId {
    /// Validates the code of a government body, normalising it as
    /// [`crate::Identifier::parse`] does. Departments are named by the policy pack, so
    /// a code that could be a person's number is taken for what it says it is.
    ///
    /// # Errors
    ///
    /// [`DepartmentIdFault`] says what is wrong; the caller corrects the code.
    pub fn parse(text: &str) -> Result<DepartmentId, DepartmentIdFault> {
        let code = identifier::uscc(text)?;
        match code.chars().next() {
            Some(STAFFING_AUTHORITY) => Ok(DepartmentId(code)),
            first => Err(DepartmentIdFault::NotGovernment {
                found: first.expect("a valid code is not empty"),
            }),
        }
    }

    /// The 18 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DepartmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for DepartmentId {
    type Err = DepartmentIdFault;

    fn from_str(text: &str) -> Result<DepartmentId, DepartmentIdFault> {
        DepartmentId::parse(text)
    }
}

impl TryFrom<String> for DepartmentId {
    type Error = DepartmentIdFault;

    fn try_from(text: String) -> Result<DepartmentId, DepartmentIdFault> {
        DepartmentId::parse(&text)
    }
}

impl From<DepartmentId> for String {
    fn from(id: DepartmentId) -> String {
        id.0
    }
}

// Hash, order and equality are the text's, so that maps are searched by it.
impl std::borrow::Borrow<str> for DepartmentId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for DepartmentId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// A random id from the key ring, which alone leads to the officer's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OfficerId(pub Uuid);

impl fmt::Display for OfficerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// In what capacity someone acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A department's own system, for example one that pushes records.
    System,
    /// A person who decides for the department; the only role that may.
    Officer,
    /// A person who runs or audits the mesh.
    Operator,
    /// The mesh itself, reacting to an event or a due date.
    Process,
}

impl Role {
    /// The role as it is written in certificates and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::System => "system",
            Role::Officer => "officer",
            Role::Operator => "operator",
            Role::Process => "process",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is none of the roles; use `system`, `officer`, `operator` or `process`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is system, officer, operator or process")]
pub struct RoleFault;

impl FromStr for Role {
    type Err = RoleFault;

    fn from_str(text: &str) -> Result<Role, RoleFault> {
        [Role::System, Role::Officer, Role::Operator, Role::Process]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or(RoleFault)
    }
}

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// The department in whose name it was done; nobody's for an operator and
    /// for the mesh itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<DepartmentId>,
    /// The officer, where a person acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub officer: Option<OfficerId>,
    /// In what capacity.
    pub role: Role,
}

impl Actor {
    /// A department's own system.
    pub fn system(department: DepartmentId) -> Actor {
        Actor {
            department: Some(department),
            officer: None,
            role: Role::System,
        }
    }

    /// An officer of a department.
    pub fn officer(department: DepartmentId, officer: OfficerId) -> Actor {
        Actor {
            department: Some(department),
            officer: Some(officer),
            role: Role::Officer,
        }
    }

    /// The mesh itself, carrying out what was decided.
    pub fn process() -> Actor {
        Actor {
            department: None,
            officer: None,
            role: Role::Process,
        }
    }

    /// A person who runs or audits the mesh, and decides nothing.
    pub fn operator() -> Actor {
        Actor {
            department: None,
            officer: None,
            role: Role::Operator,
        }
    }

    /// The officer who may decide: present only when the role is [`Role::Officer`].
    pub fn deciding_officer(&self) -> Option<OfficerId> {
        match self.role {
            Role::Officer => self.officer,
            Role::System | Role::Operator | Role::Process => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identifier::IdentifierFault;

    // Made up: no such bureau; the check characters are right.
    const BUREAU: &str = "11990000MB0000000J";

    fn bureau() -> DepartmentId {
        BUREAU.parse().expect("valid")
    }

    #[test]
    fn a_department_is_a_government_bodys_code() {
        assert_eq!(bureau().as_str(), BUREAU);
        assert_eq!(DepartmentId::parse(&BUREAU.to_lowercase()), Ok(bureau()));
        assert_eq!(
            DepartmentId::parse("9152000071430580XT"),
            Err(DepartmentIdFault::NotGovernment { found: '9' })
        );
        assert!(DepartmentId::parse("100000200002290268").is_ok());
        assert!(matches!(
            DepartmentId::parse("11990000MB00000001"),
            Err(DepartmentIdFault::Identifier(
                IdentifierFault::CheckCharacter { .. }
            ))
        ));
    }

    #[test]
    fn only_an_officer_decides() {
        let officer = OfficerId(Uuid::from_u128(7));
        assert_eq!(
            Actor::officer(bureau(), officer).deciding_officer(),
            Some(officer)
        );
        assert_eq!(Actor::system(bureau()).deciding_officer(), None);
        assert_eq!(Actor::process().deciding_officer(), None);
        let operator = Actor {
            department: Some(bureau()),
            officer: Some(officer),
            role: Role::Operator,
        };
        assert_eq!(operator.deciding_officer(), None);
    }

    #[test]
    fn an_actor_survives_json() {
        let actor = Actor::officer(bureau(), OfficerId(Uuid::from_u128(7)));
        let json = serde_json::to_string(&actor).expect("plain");
        assert_eq!(
            json,
            format!(
                r#"{{"department":"{BUREAU}","officer":"00000000-0000-0000-0000-000000000007","role":"officer"}}"#
            )
        );
        assert_eq!(serde_json::from_str::<Actor>(&json).ok(), Some(actor));
        assert!(serde_json::from_str::<DepartmentId>(r#""9152000071430580XT""#).is_err());
    }

    #[test]
    fn roles_survive_their_text() {
        for role in [Role::System, Role::Officer, Role::Operator, Role::Process] {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        assert_eq!("judge".parse::<Role>(), Err(RoleFault));
    }
}
