//! How a request becomes a command: who, under which id, in which trace.

use std::sync::Arc;

use prost::Message;
use sha2::{Digest as _, Sha256};
use tally_auth::{Caller, CallerKind};
use tally_domain::department::Actor;
use tally_domain::fault::FieldFault;
use tally_eventlog::append::CommandKey;
use tally_eventlog::clock::Clock;
use tally_eventlog::event::{EventContext, Recorded, actor_to_proto};
use tally_eventlog::ids::parse_command_id;
use tally_eventlog::merkle::Hash;
use tally_eventlog::pb;
use uuid::Uuid;

/// Who issues a command and under which id.
#[derive(Debug, Clone)]
pub struct CommandScope {
    /// The caller.
    pub actor: Actor,
    /// The command's id.
    pub id: Uuid,
}

impl CommandScope {
    /// Takes the id of a caller's command.
    ///
    /// # Errors
    ///
    /// The fault of the field `command_id`.
    pub fn new(caller: &Caller, command_id: &str, clock: &dyn Clock) -> Result<Self, FieldFault> {
        Self::named("command_id", caller, command_id, clock)
    }

    /// The same for a field of another name.
    ///
    /// # Errors
    ///
    /// The fault of that field.
    pub fn named(
        field: &'static str,
        caller: &Caller,
        command_id: &str,
        clock: &dyn Clock,
    ) -> Result<Self, FieldFault> {
        let id = parse_command_id(command_id, clock.wall())
            .map_err(|fault| FieldFault::new(field, fault.reason(), fault.to_string()))?;
        Ok(Self {
            actor: actor_of(caller),
            id,
        })
    }

    /// The command's identity, with the digest of its content.
    pub fn key(&self, digest: Hash) -> CommandKey {
        let department = self
            .actor
            .department
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        CommandKey {
            department,
            id: self.id,
            digest,
        }
    }

    /// What its events have in common. The command starts a chain.
    pub fn context(&self, pack_version: &str) -> Arc<EventContext> {
        Arc::new(EventContext {
            actor: actor_to_proto(&self.actor),
            pack_version: pack_version.to_owned(),
            command_id: self.id,
            causation_id: self.id,
            correlation_id: self.id,
            traceparent: tally_telemetry::traceparent_of_current(),
        })
    }
}

/// A caller as the actor of events.
pub fn actor_of(caller: &Caller) -> Actor {
    match (caller.kind, &caller.department, caller.officer) {
        (CallerKind::Officer, Some(department), Some(officer)) => {
            Actor::officer(department.clone(), officer)
        }
        (CallerKind::System, Some(department), _) => Actor::system(department.clone()),
        (CallerKind::Operator, ..) => Actor::operator(),
        _ => Actor::process(),
    }
}

/// Hash of a command's content. Personal values in it must be sealed already:
/// a hash of a name could be found by trying names.
pub fn digest(kind: &str, content: &impl Message) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(kind.as_bytes());
    hasher.update([0]);
    hasher.update(content.encode_to_vec());
    hasher.finalize().into()
}

/// What the events of an effect have in common: the mesh acts, the chain and
/// the trace go on.
pub fn process_context(cause: &Recorded, command_id: Uuid) -> Arc<EventContext> {
    let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).unwrap_or_default();
    let current = tally_telemetry::traceparent_of_current();
    Arc::new(EventContext {
        actor: actor_to_proto(&Actor::process()),
        pack_version: cause.envelope.pack_version.clone(),
        command_id,
        causation_id: uuid(&cause.envelope.event_id),
        correlation_id: uuid(&cause.envelope.correlation_id),
        traceparent: if current.is_empty() {
            cause.envelope.traceparent.clone()
        } else {
            current
        },
    })
}

/// Context of what the mesh does by itself, on account of no single event.
pub fn self_context(pack_version: &str, command_id: Uuid) -> Arc<EventContext> {
    Arc::new(EventContext {
        actor: actor_to_proto(&Actor::process()),
        pack_version: pack_version.to_owned(),
        command_id,
        causation_id: command_id,
        correlation_id: command_id,
        traceparent: tally_telemetry::traceparent_of_current(),
    })
}

/// Identity of an effect: its id says all, so that its digest is of the id.
pub fn process_key(command_id: Uuid) -> CommandKey {
    CommandKey {
        department: String::new(),
        id: command_id,
        digest: Sha256::digest(command_id.as_bytes()).into(),
    }
}

/// An actor as it was stored, opened to what decisions need: department and officer.
pub fn stored_actor(actor: Option<&pb::Actor>) -> (String, Option<Uuid>) {
    actor.map_or((String::new(), None), |actor| {
        (
            actor.department.clone(),
            Uuid::from_slice(&actor.officer).ok(),
        )
    })
}
