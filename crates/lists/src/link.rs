//! The aggregate `link`: the statement that two identifiers are one organisation.
//!
//! It stands on a stream of each identifier, so that whoever reads one shard
//! finds it there. Officers decide on the stream whose subject comes first; the
//! other one mirrors it and is never decided on.

use jiff::Timestamp;
use tally_domain::department::DepartmentId;
use tally_domain::subject::Subject;
use tally_eventlog::aggregate::Aggregate;
use tally_eventlog::ids::named_id;
use tally_eventlog::pb::DocumentRef;
use tally_rpc::Fault;
use uuid::Uuid;

use crate::entry::Officer;

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
        /// Whose officer decided; nobody's on the mirror.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
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
    /// It stands already.
    #[error("the two identifiers are linked already; there is nothing to do")]
    AlreadyLinked,
    /// There is nothing to take back.
    #[error("the two identifiers are not linked; there is nothing to take back")]
    NotLinked,
}

impl Rejection {
    /// Stable reason.
    pub fn reason(self) -> &'static str {
        match self {
            Rejection::NotCompetent | Rejection::OtherDepartment => {
                tally_rpc::fault::reason::RIGHT_MISSING
            }
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
                at,
            } => {
                if !competent {
                    return Err(Rejection::NotCompetent);
                }
                if self.linked {
                    return Err(Rejection::AlreadyLinked);
                }
                let fact = Fact::Linked {
                    linked_subject: linked_subject.clone(),
                    evidence: evidence.clone(),
                    department: Some(by.department.clone()),
                };
                Ok(vec![Event { at: *at, fact }])
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
                Ok(vec![Event { at: *at, fact }])
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
mod tests {
    use tally_domain::department::OfficerId;
    use tally_eventlog::aggregate::given;

    use super::*;

    const CITY: &str = "11990100MB0000203C";
    const COUNTY: &str = "11990102MB000030XF";

    fn officer(department: &str) -> Officer {
        Officer {
            department: department.parse().expect("valid"),
            id: OfficerId(Uuid::from_u128(1)),
        }
    }

    fn evidence() -> DocumentRef {
        DocumentRef {
            number: "Evidence 1".into(),
            ..DocumentRef::default()
        }
    }

    fn link(competent: bool) -> Command {
        Command::Link {
            by: officer(CITY),
            competent,
            linked_subject: "b".into(),
            evidence: evidence(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn unlink(department: &str, province_level: bool) -> Command {
        Command::Unlink {
            by: officer(department),
            province_level,
            linked_subject: "b".into(),
            reason: "another company".into(),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn linked() -> Event {
        let department = Some(CITY.parse().expect("valid"));
        let fact = Fact::Linked {
            linked_subject: "b".into(),
            evidence: evidence(),
            department,
        };
        Event {
            at: Timestamp::UNIX_EPOCH,
            fact,
        }
    }

    fn unlinked() -> Event {
        let fact = Fact::Unlinked {
            linked_subject: "b".into(),
            reason: "another company".into(),
        };
        Event {
            at: Timestamp::UNIX_EPOCH,
            fact,
        }
    }

    #[test]
    fn a_pair_has_one_order_and_two_members() {
        let code: Subject = "cn-orgcode:71430580X".parse().expect("valid");
        let uscc: Subject = "cn-uscc:9152000071430580XT".parse().expect("valid");
        assert_eq!(Pair::of(&code, &uscc), Pair::of(&uscc, &code));
        assert_eq!(Pair::of(&code, &code), None);
    }

    #[test]
    fn linked_once_and_unlinked_once() {
        assert_eq!(given::<Link>([]).when(link(true)), Ok(vec![linked()]));
        assert_eq!(
            given::<Link>([linked()]).when(link(true)),
            Err(Rejection::AlreadyLinked)
        );
        assert_eq!(
            given::<Link>([linked()]).when(unlink(CITY, false)),
            Ok(vec![unlinked()])
        );
        assert_eq!(
            given::<Link>([]).when(unlink(CITY, false)),
            Err(Rejection::NotLinked)
        );
        assert_eq!(
            given::<Link>([linked(), unlinked()]).when(unlink(CITY, false)),
            Err(Rejection::NotLinked)
        );
        assert_eq!(
            given::<Link>([linked(), unlinked()]).when(link(true)),
            Ok(vec![linked()])
        );
    }

    #[test]
    fn who_may_not() {
        assert_eq!(
            given::<Link>([]).when(link(false)),
            Err(Rejection::NotCompetent)
        );
        assert_eq!(
            given::<Link>([linked()]).when(unlink(COUNTY, false)),
            Err(Rejection::OtherDepartment)
        );
        assert_eq!(
            given::<Link>([linked()]).when(unlink(COUNTY, true)),
            Ok(vec![unlinked()])
        );
        assert_eq!(
            Fault::from(Rejection::NotCompetent).reason(),
            "RIGHT_MISSING"
        );
    }

    #[test]
    fn a_mirror_follows_and_is_idempotent() {
        assert_eq!(
            given::<Link>([]).when(Command::Mirror(linked())),
            Ok(vec![linked()])
        );
        assert_eq!(
            given::<Link>([linked()]).when(Command::Mirror(linked())),
            Ok(Vec::new())
        );
        assert_eq!(
            given::<Link>([linked()]).when(Command::Mirror(unlinked())),
            Ok(vec![unlinked()])
        );
        assert_eq!(
            given::<Link>([]).when(Command::Mirror(unlinked())),
            Ok(Vec::new())
        );
    }
}
