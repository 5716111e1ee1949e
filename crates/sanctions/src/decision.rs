//! The aggregate of a decision that needs a check first: what the check is worth
//! that its record cites. It says something of departments; nobody is judged by it.

use std::convert::Infallible;

use jiff::Timestamp;
use tally_eventlog::aggregate::Aggregate;
use tally_proto::tally::sanctions::v1 as pb;

/// What was found of a decision.
#[derive(Debug, Clone, Default)]
pub struct Decision {
    found: Option<pb::Decision>,
    reported_at: Option<Timestamp>,
}

/// What is asked of a decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Its record was accepted or corrected.
    Assess {
        /// The decision, with what its citation is worth.
        decision: Box<pb::Decision>,
        /// When that was recorded.
        at: Timestamp,
    },
    /// Its record was withdrawn.
    Withdraw {
        /// When that was recorded.
        at: Timestamp,
    },
}

/// A decision was held against the check that it cites.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When its record was recorded as it is now.
    pub at: Timestamp,
    /// What was found, and what before.
    pub body: pb::DecisionAssessed,
}

impl Decision {
    /// True if it was ever found to need a check.
    pub fn exists(&self) -> bool {
        self.found.is_some()
    }

    /// The decision as it was found last.
    pub fn found(&self) -> Option<&pb::Decision> {
        self.found.as_ref()
    }

    /// When it was reported first: no check after that was made before it.
    pub fn reported_at(&self) -> Option<Timestamp> {
        self.reported_at
    }

    fn assessed(&self, decision: pb::Decision, at: Timestamp) -> Event {
        Event {
            at,
            body: pb::DecisionAssessed {
                decision: Some(decision),
                previous: self.found.clone(),
            },
        }
    }
}

impl Aggregate for Decision {
    type Command = Command;
    type Event = Event;
    type Rejection = Infallible;

    const CATEGORY: &'static str = "decision";

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Infallible> {
        let found = self.found.as_ref();
        let withdrawn = found.is_some_and(|found| found.verdict() == Verdict::Withdrawn);
        Ok(match (command, found) {
            // What was withdrawn is not corrected, and what never needed a check is not reported.
            _ if withdrawn => Vec::new(),
            (Command::Assess { decision, .. }, None)
                if decision.verdict() == Verdict::NotNeeded =>
            {
                Vec::new()
            }
            (Command::Assess { decision, .. }, Some(found)) if **decision == *found => Vec::new(),
            (Command::Assess { decision, at }, _) => vec![self.assessed((**decision).clone(), *at)],
            (Command::Withdraw { at }, Some(found)) => {
                let decision = pb::Decision {
                    verdict: Verdict::Withdrawn.into(),
                    entry_ids: Vec::new(),
                    measures: Vec::new(),
                    ..found.clone()
                };
                vec![self.assessed(decision, *at)]
            }
            (Command::Withdraw { .. }, None) => Vec::new(),
        })
    }

    fn evolve(&mut self, event: &Event) {
        self.reported_at.get_or_insert(event.at);
        self.found.clone_from(&event.body.decision);
    }
}

/// What a citation is worth.
pub type Verdict = pb::DecisionVerdict;

#[cfg(test)]
mod tests {
    use tally_eventlog::aggregate::given;

    use super::*;

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    fn decision(verdict: Verdict) -> pb::Decision {
        pb::Decision {
            record_id: "r".to_owned(),
            decided_on: "2026-03-02".to_owned(),
            verdict: verdict.into(),
            entry_ids: vec!["e".to_owned()],
            ..Default::default()
        }
    }

    fn assess(verdict: Verdict) -> Command {
        Command::Assess {
            decision: Box::new(decision(verdict)),
            at: AT,
        }
    }

    fn assessed(now: pb::Decision, previous: Option<pb::Decision>) -> Event {
        Event {
            at: AT,
            body: pb::DecisionAssessed {
                decision: Some(now),
                previous,
            },
        }
    }

    fn first(verdict: Verdict) -> Event {
        assessed(decision(verdict), None)
    }

    #[test]
    fn what_was_found_is_said_once() {
        let clear = Verdict::CheckedClear;
        assert_eq!(
            given::<Decision>([]).when(assess(clear)),
            Ok(vec![first(clear)])
        );
        assert_eq!(
            given::<Decision>([first(clear)]).when(assess(clear)),
            Ok(vec![])
        );
    }

    #[test]
    fn a_correction_says_what_was_found_before() {
        let (none, clear) = (Verdict::NotChecked, Verdict::CheckedClear);
        let now = assessed(decision(clear), Some(decision(none)));
        assert_eq!(
            given::<Decision>([first(none)]).when(assess(clear)),
            Ok(vec![now])
        );
    }

    #[test]
    fn what_needs_no_check_is_reported_only_if_it_did() {
        let (none, free) = (Verdict::NotChecked, Verdict::NotNeeded);
        assert_eq!(given::<Decision>([]).when(assess(free)), Ok(vec![]));
        let now = assessed(decision(free), Some(decision(none)));
        assert_eq!(
            given::<Decision>([first(none)]).when(assess(free)),
            Ok(vec![now])
        );
    }

    #[test]
    fn a_withdrawal_ends_it() {
        let withdraw = Command::Withdraw { at: AT };
        let force = Verdict::MeasureInForce;
        let over = pb::Decision {
            entry_ids: Vec::new(),
            ..decision(Verdict::Withdrawn)
        };
        let ended = assessed(over, Some(decision(force)));
        assert_eq!(given::<Decision>([]).when(withdraw.clone()), Ok(vec![]));
        assert_eq!(
            given::<Decision>([first(force)]).when(withdraw.clone()),
            Ok(vec![ended.clone()])
        );
        let history = [first(force), ended];
        assert_eq!(
            given::<Decision>(history.clone()).when(withdraw),
            Ok(vec![])
        );
        assert_eq!(
            given::<Decision>(history).when(assess(Verdict::CheckedClear)),
            Ok(vec![])
        );
    }

    #[test]
    fn it_was_reported_when_it_was_first_found() {
        let later = AT + std::time::Duration::from_secs(1);
        let mut state = Decision::default();
        for at in [AT, later] {
            state.evolve(&Event {
                at,
                ..first(Verdict::NotChecked)
            });
        }
        assert_eq!(state.reported_at(), Some(AT));
    }
}
