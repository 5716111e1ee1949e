//! Events of a link.

use prost::Message as _;
use tally_domain::legal::LegalBasisRef;
use tally_eventlog::aggregate::{Codec, Encoded};
use tally_eventlog::event::{DecodeError, Recorded};
use tally_proto::tally::lists::v1 as pb;
use tally_service::command::stored_actor;

use super::{event_type, fault, required};
use crate::link::{Event, Fact, Link};

impl Codec for Link {
    fn encode(event: &Event) -> Encoded {
        let (event_type, payload) = match &event.fact {
            Fact::Linked {
                linked_subject,
                evidence,
                department,
            } => {
                let department = department.as_ref().map(ToString::to_string);
                let payload = pb::IdentifierLinked {
                    linked_subject: linked_subject.clone(),
                    evidence: Some(evidence.clone()),
                    department: department.unwrap_or_default(),
                };
                (event_type::IDENTIFIER_LINKED, payload.encode_to_vec())
            }
            Fact::Unlinked {
                linked_subject,
                reason,
            } => {
                let payload = pb::IdentifierUnlinked {
                    linked_subject: linked_subject.clone(),
                    reason: reason.clone(),
                };
                (event_type::IDENTIFIER_UNLINKED, payload.encode_to_vec())
            }
        };
        Encoded {
            event_type,
            payload: payload.into(),
            effective_at: event.at,
            legal_basis: event.basis.clone(),
        }
    }

    fn decode(recorded: &Recorded) -> Result<Event, DecodeError> {
        let fact = match recorded.envelope.event_type.as_str() {
            event_type::IDENTIFIER_LINKED => {
                let payload: pb::IdentifierLinked = recorded.payload()?;
                // Statements of before the payload said it.
                let of_actor = || {
                    let (department, _) = stored_actor(recorded.envelope.actor.as_ref());
                    department.parse().ok()
                };
                Fact::Linked {
                    linked_subject: payload.linked_subject,
                    evidence: required(recorded, "evidence", payload.evidence)?,
                    department: payload.department.parse().ok().or_else(of_actor),
                }
            }
            event_type::IDENTIFIER_UNLINKED => {
                let payload: pb::IdentifierUnlinked = recorded.payload()?;
                Fact::Unlinked {
                    linked_subject: payload.linked_subject,
                    reason: payload.reason,
                }
            }
            _ => {
                return Err(fault(
                    recorded,
                    "not an event of a link; a newer version wrote it",
                ));
            }
        };
        let basis = recorded.envelope.legal_basis.as_ref();
        Ok(Event {
            at: recorded.effective_at,
            basis: basis.map(|basis| LegalBasisRef::new(basis.id.clone(), basis.version)),
            fact,
        })
    }
}
