//! The aggregate of a correction: a check or an execution that rested on a
//! basis older than a suspension or an end. Somebody has to put it right.

use jiff::Timestamp;
use tally_eventlog::aggregate::Aggregate;
use tally_eventlog::ids::named_id;

/// A correction.
#[derive(Debug, Clone, Default)]
pub struct Correction {
    opened: bool,
}

/// What rested on the old basis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// A check that was told the entry is in force.
    Check {
        /// The check.
        check_id: String,
    },
    /// An execution.
    Execution {
        /// The directive.
        directive_id: String,
    },
}

/// What is asked of a correction, and what happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The department that has to put it right.
    pub department: String,
    /// The department that listed.
    pub initiator: String,
    /// The entry.
    pub entry_id: String,
    /// What rested on the old basis.
    pub stale: Stale,
    /// When it was found.
    pub at: Timestamp,
}

impl Opening {
    /// Id of the correction's stream: whoever finds it finds the same one.
    pub fn stream_id(&self) -> String {
        let (kind, id) = match &self.stale {
            Stale::Check { check_id } => ("check", check_id),
            Stale::Execution { directive_id } => ("execution", directive_id),
        };
        named_id("correction", &[&self.entry_id, kind, id, &self.department]).to_string()
    }
}

impl Aggregate for Correction {
    type Command = Opening;
    type Event = Opening;
    type Rejection = std::convert::Infallible;

    const CATEGORY: &'static str = "correction";

    fn decide(&self, command: &Opening) -> Result<Vec<Opening>, Self::Rejection> {
        Ok(if self.opened {
            Vec::new()
        } else {
            vec![command.clone()]
        })
    }

    fn evolve(&mut self, _: &Opening) {
        self.opened = true;
    }
}

#[cfg(test)]
mod tests {
    use tally_eventlog::aggregate::given;

    use super::*;

    fn opening() -> Opening {
        Opening {
            department: "d".to_owned(),
            initiator: "i".to_owned(),
            entry_id: "e".to_owned(),
            stale: Stale::Check {
                check_id: "c".to_owned(),
            },
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn it_is_opened_once() {
        assert_eq!(given::<Correction>([]).when(opening()), Ok(vec![opening()]));
        assert_eq!(given::<Correction>([opening()]).when(opening()), Ok(vec![]));
    }

    #[test]
    fn its_stream_is_named_by_what_is_wrong() {
        let execution = Stale::Execution {
            directive_id: "c".to_owned(),
        };
        let id = opening().stream_id();
        assert_eq!(
            id,
            Opening {
                at: Timestamp::MAX,
                ..opening()
            }
            .stream_id()
        );
        assert_ne!(
            id,
            Opening {
                entry_id: "f".to_owned(),
                ..opening()
            }
            .stream_id()
        );
        assert_ne!(
            id,
            Opening {
                department: "o".to_owned(),
                ..opening()
            }
            .stream_id()
        );
        assert_ne!(
            id,
            Opening {
                stale: execution,
                ..opening()
            }
            .stream_id()
        );
    }
}
