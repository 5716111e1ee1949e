//! Events as they are stored.

use bytes::Bytes;
use prost::Message;
use tally_domain::date::parse_legal_date;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::aggregate::{Codec, Encoded};
use tally_eventlog::event::{DecodeError, Recorded};
use tally_proto::tally::sanctions::v1 as pb;

use crate::basis::ListsBasis;
use crate::correction::{Correction, Opening, Stale};
use crate::decision::{self, Decision};
use crate::directive::{Directive, Event, EventKind, Stage};

/// Event types of the logs `sanctions` and `sanctions-access`.
pub mod event_type {
    /// A directive was made.
    pub const TRIGGERED: &str = "tally.sanctions.v1.DirectiveTriggered";
    /// The department has it.
    pub const RECEIVED: &str = "tally.sanctions.v1.DirectiveReceived";
    /// The department has begun.
    pub const STARTED: &str = "tally.sanctions.v1.DirectiveStarted";
    /// The department has executed it.
    pub const EXECUTED: &str = "tally.sanctions.v1.DirectiveExecuted";
    /// The department declined.
    pub const DECLINED: &str = "tally.sanctions.v1.DirectiveDeclined";
    /// The entry is suspended.
    pub const SUSPENDED: &str = "tally.sanctions.v1.DirectiveSuspended";
    /// The entry was upheld.
    pub const RESUMED: &str = "tally.sanctions.v1.DirectiveResumed";
    /// The entry is over.
    pub const LIFTED: &str = "tally.sanctions.v1.DirectiveLifted";
    /// The department no longer applies it.
    pub const LIFT_CONFIRMED: &str = "tally.sanctions.v1.DirectiveLiftConfirmed";
    /// A check or an execution rested on an old basis.
    pub const CORRECTION_OPENED: &str = "tally.sanctions.v1.CorrectionOpened";
    /// A decision was held against the check that it cites.
    pub const DECISION_ASSESSED: &str = "tally.sanctions.v1.DecisionAssessed";
    /// A check was answered.
    pub const CHECK_ANSWERED: &str = "tally.sanctions.v1.CheckAnswered";
}

impl Codec for Directive {
    fn encode(event: &Event) -> Encoded {
        let department = event.department.clone();
        let (event_type, payload) = match &event.kind {
            EventKind::Triggered(directive) => (
                event_type::TRIGGERED,
                bytes(&pb::DirectiveTriggered {
                    directive: Some((**directive).clone()),
                }),
            ),
            EventKind::Received => (
                event_type::RECEIVED,
                bytes(&pb::DirectiveReceived { department }),
            ),
            EventKind::Started => (
                event_type::STARTED,
                bytes(&pb::DirectiveStarted { department }),
            ),
            EventKind::Executed {
                decision,
                executed_on,
                check_id,
                lists_basis,
            } => {
                let message = pb::DirectiveExecuted {
                    department,
                    decision: Some(decision.clone()),
                    executed_on: executed_on.to_string(),
                    check_id: check_id.clone(),
                    lists_basis: lists_basis.records,
                    lists_log_id: lists_basis.log_id(),
                };
                (event_type::EXECUTED, bytes(&message))
            }
            EventKind::Declined { grounds } => (
                event_type::DECLINED,
                bytes(&pb::DirectiveDeclined {
                    department,
                    grounds: grounds.clone(),
                }),
            ),
            EventKind::Suspended | EventKind::Withheld => {
                let message = pb::DirectiveSuspended {
                    department,
                    listing_lost: event.kind == EventKind::Withheld,
                };
                (event_type::SUSPENDED, bytes(&message))
            }
            EventKind::Resumed { stage } => {
                let message = pb::DirectiveResumed {
                    department,
                    state: stage.to_proto().into(),
                };
                (event_type::RESUMED, bytes(&message))
            }
            EventKind::Lifted {
                reason,
                was_executed,
            } => {
                let message = pb::DirectiveLifted {
                    department,
                    reason: (*reason).into(),
                    was_executed: *was_executed,
                };
                (event_type::LIFTED, bytes(&message))
            }
            EventKind::LiftConfirmed { document } => {
                let message = pb::DirectiveLiftConfirmed {
                    department,
                    document: document.clone(),
                };
                (event_type::LIFT_CONFIRMED, bytes(&message))
            }
        };
        Encoded {
            event_type,
            payload,
            effective_at: event.at,
            legal_basis: event.legal_basis.clone(),
        }
    }

    fn decode(recorded: &Recorded) -> Result<Event, DecodeError> {
        let (department, kind) = match recorded.envelope.event_type.as_str() {
            event_type::TRIGGERED => {
                let directive = recorded
                    .payload::<pb::DirectiveTriggered>()?
                    .directive
                    .unwrap_or_default();
                (
                    directive.department.clone(),
                    EventKind::Triggered(Box::new(directive)),
                )
            }
            event_type::RECEIVED => (
                recorded.payload::<pb::DirectiveReceived>()?.department,
                EventKind::Received,
            ),
            event_type::STARTED => (
                recorded.payload::<pb::DirectiveStarted>()?.department,
                EventKind::Started,
            ),
            event_type::EXECUTED => {
                let message: pb::DirectiveExecuted = recorded.payload()?;
                let kind = EventKind::Executed {
                    decision: message.decision.unwrap_or_default(),
                    executed_on: parse_legal_date(&message.executed_on)
                        .map_err(|fault| invalid(recorded, fault.to_string()))?,
                    check_id: message.check_id,
                    lists_basis: ListsBasis::stored(message.lists_basis, &message.lists_log_id),
                };
                (message.department, kind)
            }
            event_type::DECLINED => {
                let message: pb::DirectiveDeclined = recorded.payload()?;
                (
                    message.department,
                    EventKind::Declined {
                        grounds: message.grounds,
                    },
                )
            }
            event_type::SUSPENDED => {
                let message: pb::DirectiveSuspended = recorded.payload()?;
                let kind = match message.listing_lost {
                    true => EventKind::Withheld,
                    false => EventKind::Suspended,
                };
                (message.department, kind)
            }
            event_type::RESUMED => {
                let message: pb::DirectiveResumed = recorded.payload()?;
                let stage = stage(message.state()).ok_or_else(|| {
                    invalid(recorded, "a resumed directive has no stage".to_owned())
                })?;
                (message.department, EventKind::Resumed { stage })
            }
            event_type::LIFTED => {
                let message: pb::DirectiveLifted = recorded.payload()?;
                let kind = EventKind::Lifted {
                    reason: message.reason(),
                    was_executed: message.was_executed,
                };
                (message.department, kind)
            }
            event_type::LIFT_CONFIRMED => {
                let message: pb::DirectiveLiftConfirmed = recorded.payload()?;
                (
                    message.department,
                    EventKind::LiftConfirmed {
                        document: message.document,
                    },
                )
            }
            other => {
                return Err(invalid(
                    recorded,
                    format!("{other} is no event of a directive"),
                ));
            }
        };
        let legal_basis = recorded
            .envelope
            .legal_basis
            .as_ref()
            .map(|basis| LegalBasisRef {
                id: basis.id.clone(),
                version: basis.version,
            });
        Ok(Event {
            department,
            at: recorded.effective_at,
            legal_basis,
            kind,
        })
    }
}

impl Codec for Correction {
    fn encode(opening: &Opening) -> Encoded {
        let (check_id, directive_id) = match &opening.stale {
            Stale::Check { check_id } => (check_id.clone(), String::new()),
            Stale::Execution { directive_id } => (String::new(), directive_id.clone()),
        };
        let message = pb::CorrectionOpened {
            department: opening.department.clone(),
            entry_id: opening.entry_id.clone(),
            check_id,
            directive_id,
            initiator: opening.initiator.clone(),
        };
        Encoded {
            event_type: event_type::CORRECTION_OPENED,
            payload: bytes(&message),
            effective_at: opening.at,
            legal_basis: None,
        }
    }

    fn decode(recorded: &Recorded) -> Result<Opening, DecodeError> {
        let message: pb::CorrectionOpened = recorded.payload()?;
        let stale = if message.directive_id.is_empty() {
            Stale::Check {
                check_id: message.check_id,
            }
        } else {
            Stale::Execution {
                directive_id: message.directive_id,
            }
        };
        Ok(Opening {
            department: message.department,
            initiator: message.initiator,
            entry_id: message.entry_id,
            stale,
            at: recorded.effective_at,
        })
    }
}

impl Codec for Decision {
    fn encode(event: &decision::Event) -> Encoded {
        let decision = event.body.decision.as_ref();
        let basis = decision.and_then(|decision| decision.legal_basis.as_ref());
        Encoded {
            event_type: event_type::DECISION_ASSESSED,
            payload: bytes(&event.body),
            effective_at: event.at,
            legal_basis: basis.map(|basis| LegalBasisRef::new(basis.id.clone(), basis.version)),
        }
    }

    fn decode(recorded: &Recorded) -> Result<decision::Event, DecodeError> {
        Ok(decision::Event {
            at: recorded.effective_at,
            body: recorded.payload()?,
        })
    }
}

fn stage(state: pb::DirectiveState) -> Option<Stage> {
    [
        Stage::Triggered,
        Stage::Received,
        Stage::Executing,
        Stage::Executed,
        Stage::Declined,
    ]
    .into_iter()
    .find(|stage| stage.to_proto() == state)
}

fn bytes(message: &impl Message) -> Bytes {
    message.encode_to_vec().into()
}

fn invalid(recorded: &Recorded, reason: String) -> DecodeError {
    DecodeError {
        log: recorded.log,
        shard: recorded.shard,
        position: recorded.position,
        reason,
    }
}
