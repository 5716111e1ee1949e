//! The aggregate `link`: the statement that two identifiers are one organisation.
//!
//! It stands on a stream of each identifier, so that whoever reads one shard
//! finds it there. Officers decide on the stream whose subject comes first; the
//! other one mirrors it and is never decided on.

use jiff::Timestamp;
use tally_domain::department::DepartmentId;
use tally_domain::fault::FieldFault;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::BasisFault;
use tally_domain::subject::Subject;
use tally_eventlog::aggregate::Aggregate;
use tally_eventlog::ids::named_id;
use tally_eventlog::pb::DocumentRef;
use tally_rpc::Fault;
use uuid::Uuid;

use crate::entry::{Officer, basis_reason};

/// Right of the calls on links, as in the contract.
pub const RIGHT: &str = "lists.link";

/// Two identifiers in the order in which they are decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// On whose stream officers decide.
    pub first: String,
    /// On whose stream that is mirrored.
    pub second: String,
}

impl Pair {
    /// The pair of two subjects, whichever is named first; nothing if they are the same.
    pub fn of(one: &Subject, other: &Subject) -> Option<Self> {
        let (one, other) = (one.to_string(), other.to_string());
        match one.cmp(&other) {
            std::cmp::Ordering::Less => Some(Self {
                first: one,
                second: other,
            }),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Self {
                first: other,
                second: one,
            }),
        }
    }

    /// Id of the link, and of the stream on which it is decided.
    pub fn id(&self) -> Uuid {
        stream_id(&self.first, &self.second)
    }
}

/// Id of the stream of `subject` about its link with `linked_subject`.
pub fn stream_id(subject: &str, linked_subject: &str) -> Uuid {
    named_id("link", &[subject, linked_subject])
}

/// What happened to a link.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it holds in law.
    pub at: Timestamp,
    /// What the statement rests on; nothing where it is taken back, since that
    /// reaches nobody, and on statements of before a basis was asked for.
    pub basis: Option<LegalBasisRef>,
    /// What happened.
    pub fact: Fact,
}

/// What happened to a link.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The stream's subject and this one are one organisation.
    Linked {
        /// The other identifier.
        linked_subject: String,
        /// The evidence.
        evidence: DocumentRef,
        /// Whose officer decided; unknown on statements of before it was kept.
        department: Option<DepartmentId>,
    },
    /// They are not, or no longer.
    Unlinked {
        /// The other identifier.
        linked_subject: String,
        /// Why.
        reason: String,
    },
}

/// What is asked of a link.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// State it.
    Link {
        /// Who.
        by: Officer,
        /// Whether the department may state it: one that lists, or of province level.
        competent: bool,
        /// The other identifier.
        linked_subject: String,
        /// The evidence.
        evidence: DocumentRef,
        /// The legal basis given. A link makes listings of one identifier reach
        /// the other, and no extension is without one.
        basis: LegalBasisRef,
        /// Whether it is in force today for department and organisations.
        basis_verdict: Result<(), BasisFault>,
        /// Now.
        at: Timestamp,
    },
    /// Take it back.
    Unlink {
        /// Who.
        by: Officer,
        /// Whether the officer's department is of province level.
        province_level: bool,
        /// The other identifier.
        linked_subject: String,
        /// Why.
        reason: String,
        /// Now.
        at: Timestamp,
    },
    /// Process manager: what was decided on the other stream.
    Mirror(Event),
}

/// Why a command on a link is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The department takes no part.
    #[error(
        "a link is stated by an officer of a department that lists, or of one of province level"
    )]
    NotCompetent,
    /// Another department's statement.
    #[error(
        "a link is taken back by an officer of the department that stated it or of a department of \
         province level; hand it to one of them"
    )]
    OtherDepartment,
    /// The legal basis does not carry the link today.
    #[error("{0}; cite a basis that covers the link today")]
    Basis(BasisFault),
    /// It stands already.
    #[error("the two identifiers are linked already; there is nothing to do")]
    AlreadyLinked,
    /// There is nothing to take back.
    #[error("the two identifiers are not linked; there is nothing to take back")]
    NotLinked,
}

impl Rejection {
    /// Stable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Rejection::NotCompetent | Rejection::OtherDepartment => {
                tally_rpc::fault::reason::RIGHT_MISSING
            }
            Rejection::Basis(fault) => basis_reason(fault),
            Rejection::AlreadyLinked => "ALREADY_LINKED",
            Rejection::NotLinked => "NOT_LINKED",
        }
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Fault {
        let message = rejection.to_string();
        match rejection {
            Rejection::NotCompetent | Rejection::OtherDepartment => {
                Fault::permission(RIGHT, message)
            }
            Rejection::Basis(fault) => {
                let fault = FieldFault::new("legal_basis", basis_reason(&fault), message);
                Fault::invalid(vec![fault])
            }
            Rejection::AlreadyLinked | Rejection::NotLinked => {
                Fault::rejected(rejection.reason(), message)
            }
        }
    }
}

/// A link as one of its streams tells it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Link {
    /// Whether it stands.
    pub linked: bool,
    /// Whose officer stated it last.
    pub department: Option<DepartmentId>,
}

impl Aggregate for Link {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "link";

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Link {
                by,
                competent,
                linked_subject,
                evidence,
                basis,
                basis_verdict,
                at,
            } => {
                if !competent {
                    return Err(Rejection::NotCompetent);
                }
                basis_verdict.clone().map_err(Rejection::Basis)?;
                if self.linked {
                    return Err(Rejection::AlreadyLinked);
                }
                let fact = Fact::Linked {
                    linked_subject: linked_subject.clone(),
                    evidence: evidence.clone(),
                    department: Some(by.department.clone()),
                };
                Ok(vec![Event {
                    at: *at,
                    basis: Some(basis.clone()),
                    fact,
                }])
            }
            Command::Unlink {
                by,
                province_level,
                linked_subject,
                reason,
                at,
            } => {
                if !self.linked {
                    return Err(Rejection::NotLinked);
                }
                if self.department.as_ref() != Some(&by.department) && !province_level {
                    return Err(Rejection::OtherDepartment);
                }
                let fact = Fact::Unlinked {
                    linked_subject: linked_subject.clone(),
                    reason: reason.clone(),
                };
                Ok(vec![Event {
                    at: *at,
                    basis: None,
                    fact,
                }])
            }
            Command::Mirror(event) => {
                let wanted = matches!(event.fact, Fact::Linked { .. });
                Ok(if self.linked == wanted {
                    Vec::new()
                } else {
                    vec![event.clone()]
                })
            }
        }
    }

    fn evolve(&mut self, event: &Event) {
        match &event.fact {
            Fact::Linked { department, .. } => {
                self.linked = true;
                self.department.clone_from(department);
            }
            Fact::Unlinked { .. } => self.linked = false,
        }
    }
}

#[cfg(test)]
mod tests;
