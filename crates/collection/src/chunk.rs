//! Records on their way into the log, between judging and their answers.

use std::sync::Arc;

use tally_domain::date::LegalDate;
use tally_eventlog::append::CommandKey;
use tally_eventlog::event::EventContext;
use tally_eventlog::execute::Task;
use tally_eventlog::pb as log_pb;
use uuid::Uuid;

use crate::answer::Refused;
use crate::quarantine::keep::Keep;
use crate::quarantine::places::Waits;
use crate::record::Record;
use crate::refusals::RowIdentity;

/// Records on their way, in the order of their requests.
pub(crate) struct Chunk {
    pub(crate) entries: Vec<Entry>,
    pub(crate) tasks: Vec<Task<Record>>,
    pub(crate) common: Common,
}

/// A record on its way.
pub(crate) struct Entry {
    /// The command, as it was named.
    pub command_id: String,
    /// Its id, if that is in order.
    pub id: Option<Uuid>,
    /// What tells it from others, where its id is in order.
    pub identity: Option<RowIdentity>,
    /// Id of the catalogue item; empty if the catalogue has none of that name.
    pub record_type: String,
    /// The task's record, or why there is no task.
    pub judged: Result<Uuid, Refusal>,
    /// The place in quarantine that it is handed in again from.
    pub place: Option<Waits>,
    /// What is kept if it is refused.
    pub keep: Option<Keep>,
}

/// What is wrong, and the command if its id is in order: it may have been
/// applied before the policy changed.
pub(crate) type Refusal = (Refused, Option<CommandKey>);

/// What the events of a chunk have in common.
pub(crate) struct Common {
    /// Who pushed them.
    pub actor: log_pb::Actor,
    /// The legal day on which they were judged.
    pub today: LegalDate,
    /// Version of the pack by which.
    pub pack_version: String,
    /// Trace context of the call.
    pub traceparent: String,
}

impl Common {
    /// What those of one command have.
    pub fn context(&self, command_id: Uuid) -> Arc<EventContext> {
        Arc::new(EventContext {
            actor: self.actor.clone(),
            pack_version: self.pack_version.clone(),
            command_id,
            causation_id: command_id,
            correlation_id: command_id,
            traceparent: self.traceparent.clone(),
        })
    }
}
