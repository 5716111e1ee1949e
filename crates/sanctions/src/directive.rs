//! The aggregate of a directive: one listing, one measure, one department.

mod message;
mod rejection;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use tally_domain::date::parse_legal_date;
use tally_domain::document::DocumentNumber;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::aggregate::Aggregate;
use tally_eventlog::pb::DocumentRef;
use tally_proto::tally::sanctions::v1 as pb;

pub use message::{Command, Competence, Event, EventKind};
pub use pb::LiftReason;
pub use rejection::{RIGHT_EXECUTE, RIGHT_RESPOND, Rejection};

use crate::known::Standing;

/// How far the department is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nobody has acknowledged it.
    Triggered,
    /// The department has it.
    Received,
    /// The department has begun.
    Executing,
    /// The department has executed it.
    Executed,
    /// The department declined.
    Declined,
}

/// State of a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It may be applied.
    Live(Stage),
    /// The entry is suspended; this is where it goes on when it is upheld.
    Suspended(Stage),
    /// The entry is over; the department has to confirm.
    Lifted {
        /// Why.
        reason: LiftReason,
        /// True if there is something to undo.
        was_executed: bool,
    },
    /// The department no longer applies it.
    LiftConfirmed {
        /// Why it was lifted.
        reason: LiftReason,
    },
}

/// One listing, one measure, one department.
#[derive(Debug, Clone, Default)]
pub struct Directive {
    /// The directive as it was made, and its state; nothing before that.
    pub made: Option<(pb::Directive, State)>,
    /// Numbers of the decisions by which it was executed: one, or one per case
    /// where it stands.
    pub decisions: Vec<String>,
    /// True while it is suspended because the log of `lists` lost its listing.
    pub withheld: bool,
}

impl Aggregate for Directive {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "directive";

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Trigger { directive, at } => Ok(self.trigger(directive, *at)),
            Command::Suspend { at } => Ok(self.suspend(*at)),
            Command::Withhold { at } => Ok(self.withhold(*at)),
            Command::Resume { at } => Ok(self.resume(*at)),
            Command::Lift { reason, at } => Ok(self.lift(*reason, *at)),
            Command::Acknowledge { department, at } => self.acknowledge(department, *at),
            Command::Start { department, at } => self.start(department, *at),
            Command::Execute { .. } => self.execute(command),
            Command::Decline {
                department,
                grounds,
                legal_basis,
                at,
            } => self.decline(department, grounds, legal_basis.as_ref(), *at),
            Command::ConfirmLift {
                department,
                document,
                at,
            } => self.confirm_lift(department, document.as_ref(), *at),
        }
    }

    fn evolve(&mut self, event: &Event) {
        if let EventKind::Triggered(directive) = &event.kind {
            self.made = Some(((**directive).clone(), State::Live(Stage::Triggered)));
            return;
        }
        match &event.kind {
            EventKind::Withheld => self.withheld = true,
            EventKind::Resumed { .. } | EventKind::Lifted { .. } => self.withheld = false,
            _ => {}
        }
        if let EventKind::Executed { decision, .. } = &event.kind {
            self.decisions.push(number_key(&decision.number));
        }
        if let Some((_, state)) = &mut self.made {
            *state = state.after(&event.kind);
        }
    }
}

/// A decision's number as it is compared: brackets and blanks are written in
/// several ways.
fn number_key(number: &str) -> String {
    DocumentNumber::parse(number).map_or_else(|_| number.to_owned(), |it| it.key().to_owned())
}

impl State {
    fn after(self, event: &EventKind) -> State {
        let stage = match (self, event) {
            (
                _,
                EventKind::Lifted {
                    reason,
                    was_executed,
                },
            ) => {
                return State::Lifted {
                    reason: *reason,
                    was_executed: *was_executed,
                };
            }
            (State::Lifted { reason, .. }, EventKind::LiftConfirmed { .. }) => {
                return State::LiftConfirmed { reason };
            }
            (State::Live(stage), EventKind::Suspended | EventKind::Withheld) => {
                return State::Suspended(stage);
            }
            (_, EventKind::Resumed { stage }) => return State::Live(*stage),
            (_, EventKind::Received) => Stage::Received,
            (_, EventKind::Started) => Stage::Executing,
            (_, EventKind::Executed { .. }) => Stage::Executed,
            (_, EventKind::Declined { .. }) => Stage::Declined,
            _ => return self,
        };
        match self {
            // What is acknowledged while it is suspended stays suspended.
            State::Suspended(_) => State::Suspended(stage),
            _ => State::Live(stage),
        }
    }
}

impl Directive {
    fn trigger(&self, directive: &pb::Directive, at: Timestamp) -> Vec<Event> {
        if self.made.is_some() {
            // The listing that had been lost was decided again: it goes on.
            return match self.withheld {
                true => self.resume(at),
                false => Vec::new(),
            };
        }
        let legal_basis = directive.legal_basis.as_ref().map(|basis| LegalBasisRef {
            id: basis.id.clone(),
            version: basis.version,
        });
        let kind = EventKind::Triggered(Box::new(directive.clone()));
        vec![Event {
            department: directive.department.clone(),
            at,
            legal_basis,
            kind,
        }]
    }

    fn suspend(&self, at: Timestamp) -> Vec<Event> {
        match &self.made {
            // What was declined is not applied, so there is nothing to stop.
            Some((_, State::Live(Stage::Declined))) => Vec::new(),
            Some((made, State::Live(_))) => vec![event(made, at, EventKind::Suspended)],
            _ => Vec::new(),
        }
    }

    /// Suspends it until its listing is decided again. What was suspended stays so until
    /// the listing is upheld: that of the objection nothing is left is no reason to apply it.
    fn withhold(&self, at: Timestamp) -> Vec<Event> {
        match &self.made {
            Some((_, State::Live(Stage::Declined))) => Vec::new(),
            Some((made, State::Live(_))) => vec![event(made, at, EventKind::Withheld)],
            _ => Vec::new(),
        }
    }

    fn resume(&self, at: Timestamp) -> Vec<Event> {
        match &self.made {
            Some((made, State::Suspended(stage))) => {
                vec![event(made, at, EventKind::Resumed { stage: *stage })]
            }
            _ => Vec::new(),
        }
    }

    /// Lifts it from every state, also one that nobody acknowledged: the log
    /// must be able to prove that every department that got it has let go.
    fn lift(&self, reason: LiftReason, at: Timestamp) -> Vec<Event> {
        match &self.made {
            Some((made, State::Live(stage) | State::Suspended(stage))) => {
                let was_executed = *stage == Stage::Executed;
                vec![event(
                    made,
                    at,
                    EventKind::Lifted {
                        reason,
                        was_executed,
                    },
                )]
            }
            _ => Vec::new(),
        }
    }

    fn acknowledge(&self, department: &str, at: Timestamp) -> Result<Vec<Event>, Rejection> {
        let (made, state) = self.of(department, RIGHT_RESPOND)?;
        match state {
            State::Live(Stage::Triggered) | State::Suspended(Stage::Triggered) => {
                Ok(vec![event(made, at, EventKind::Received)])
            }
            other => Err(Rejection::of_state(other)),
        }
    }

    fn start(&self, department: &str, at: Timestamp) -> Result<Vec<Event>, Rejection> {
        match self.of(department, RIGHT_RESPOND)? {
            (made, State::Live(Stage::Received)) => Ok(vec![event(made, at, EventKind::Started)]),
            (_, state) => Err(Rejection::of_state(state)),
        }
    }

    fn execute(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        let Command::Execute {
            department,
            decision,
            executed_on,
            check_id,
            lists_basis,
            entry,
            competence,
            at,
        } = command
        else {
            return Ok(Vec::new());
        };
        let (made, state) = self.of(department, RIGHT_EXECUTE)?;
        match state {
            State::Live(Stage::Received | Stage::Executing) => {}
            // A standing measure is applied each time the subject turns up, each
            // time by another decision.
            State::Live(Stage::Executed) if made.standing => {
                if self.decisions.contains(&number_key(&decision.number)) {
                    return Err(Rejection::DecisionRecorded);
                }
            }
            state => return Err(Rejection::of_state(state)),
        }
        if *entry != Standing::InForce {
            return Err(Rejection::NotInForce(*entry));
        }
        if parse_legal_date(&made.term_from).is_ok_and(|from| *executed_on < from) {
            return Err(Rejection::BeforeTerm {
                term_from: made.term_from.clone(),
            });
        }
        match competence {
            Competence::Held => {}
            Competence::PowerMissing => return Err(Rejection::PowerMissing),
            Competence::BasisMissing(why) => return Err(Rejection::BasisMissing(why.clone())),
        }
        let kind = EventKind::Executed {
            decision: decision.clone(),
            executed_on: *executed_on,
            check_id: check_id.clone(),
            lists_basis: *lists_basis,
        };
        let legal_basis = made.legal_basis.as_ref().map(|basis| LegalBasisRef {
            id: basis.id.clone(),
            version: basis.version,
        });
        Ok(vec![Event {
            legal_basis,
            ..event(made, *at, kind)
        }])
    }

    fn decline(
        &self,
        department: &str,
        grounds: &str,
        legal_basis: Option<&LegalBasisRef>,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        let (made, state) = self.of(department, RIGHT_EXECUTE)?;
        if !matches!(state, State::Live(Stage::Received | Stage::Executing)) {
            return Err(Rejection::of_state(state));
        }
        if made.mandatory && legal_basis.is_none() {
            return Err(Rejection::DeclineNeedsBasis);
        }
        let kind = EventKind::Declined {
            grounds: grounds.to_owned(),
        };
        Ok(vec![Event {
            legal_basis: legal_basis.cloned(),
            ..event(made, at, kind)
        }])
    }

    fn confirm_lift(
        &self,
        department: &str,
        document: Option<&DocumentRef>,
        at: Timestamp,
    ) -> Result<Vec<Event>, Rejection> {
        match self.of(department, RIGHT_RESPOND)? {
            (
                _,
                State::Lifted {
                    was_executed: true, ..
                },
            ) if document.is_none() => Err(Rejection::UndoNeedsDocument),
            (made, State::Lifted { .. }) => Ok(vec![event(
                made,
                at,
                EventKind::LiftConfirmed {
                    document: document.cloned(),
                },
            )]),
            (_, State::LiftConfirmed { .. }) => Err(Rejection::LiftConfirmed),
            _ => Err(Rejection::NotLifted),
        }
    }

    fn of(
        &self,
        department: &str,
        right: &'static str,
    ) -> Result<(&pb::Directive, State), Rejection> {
        let (made, state) = self.made.as_ref().ok_or(Rejection::Unknown)?;
        if made.department != department {
            return Err(Rejection::OtherDepartment { right });
        }
        Ok((made, *state))
    }

    /// The directive in its present state, for the contract.
    pub fn present(&self) -> Option<pb::Directive> {
        self.made.as_ref().map(|(made, state)| {
            let mut present = made.clone();
            present.set_state(state.to_proto());
            if let State::Lifted { reason, .. } | State::LiftConfirmed { reason } = state {
                present.set_lift_reason(*reason);
            }
            present
        })
    }
}

fn event(made: &pb::Directive, at: Timestamp, kind: EventKind) -> Event {
    Event {
        department: made.department.clone(),
        at,
        legal_basis: None,
        kind,
    }
}

impl Stage {
    /// The stage for the contract.
    pub fn to_proto(self) -> pb::DirectiveState {
        match self {
            Stage::Triggered => pb::DirectiveState::Triggered,
            Stage::Received => pb::DirectiveState::Received,
            Stage::Executing => pb::DirectiveState::Executing,
            Stage::Executed => pb::DirectiveState::Executed,
            Stage::Declined => pb::DirectiveState::Declined,
        }
    }
}

impl State {
    /// The state for the contract.
    pub fn to_proto(self) -> pb::DirectiveState {
        match self {
            State::Live(stage) => stage.to_proto(),
            State::Suspended(_) => pb::DirectiveState::Suspended,
            State::Lifted { .. } => pb::DirectiveState::Lifted,
            State::LiftConfirmed { .. } => pb::DirectiveState::LiftConfirmed,
        }
    }
}
