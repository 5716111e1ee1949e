//! Which feedback a caller may see.

use tally_auth::{Caller, CallerKind};
use tally_domain::policy::Level;
use tally_rpc::Fault;
use tally_service::Policy;

use crate::feedback::{Known, Rejection};

/// What a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Everything: the operator, and departments of the province.
    All,
    /// What this department answers or has initiated.
    Department(String),
}

impl Sight {
    /// What this caller may see under this policy.
    ///
    /// # Errors
    ///
    /// `PERMISSION_DENIED`: a caller without a department that is not the
    /// operator uses a certificate of a department.
    pub(crate) fn of(caller: &Caller, policy: &Policy) -> Result<Self, Fault> {
        if caller.kind == CallerKind::Operator {
            return Ok(Self::All);
        }
        let id = caller.department()?;
        let level = policy
            .pack
            .department(id)
            .map(|department| department.level);
        Ok(match level {
            Some(Level::Province) => Self::All,
            _ => Self::Department(id.to_string()),
        })
    }

    /// Refuses a feedback that may not be seen.
    ///
    /// # Errors
    ///
    /// [`Rejection::Unknown`], as if there were none: whether others have a
    /// directive is not for this caller to know.
    pub(crate) fn admits(&self, known: &Known) -> Result<(), Rejection> {
        if self.covers(&known.about.department, &known.about.initiator) {
            return Ok(());
        }
        Err(Rejection::Unknown)
    }

    /// True if what these departments have with each other may be seen.
    pub(crate) fn covers(&self, department: &str, initiator: &str) -> bool {
        match self {
            Self::All => true,
            Self::Department(own) => own == department || own == initiator,
        }
    }
}
