//! What the calls on an entry share: who calls about which entry, and what the
//! log and the pack say of it.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use prost::Message;
use tally_auth::Caller;
use tally_domain::date::LegalDate;
use tally_domain::policy::ListType;
use tally_eventlog::append::{Appended, CommandKey};
use tally_eventlog::execute::Task;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::repeat::or_first;
use tally_service::reply::load_fault;
use tally_service::{CommandScope, Policy, digest, execute_fault};
use tonic::Request;
use uuid::Uuid;

use super::{Lists, sight};
use crate::entry::{Command, Entry, Nomination, Officer, Rejection};

/// Longest text that officers write, in characters.
const TEXT_CHARS_MAX: usize = 2_000;

/// An officer's command on an entry, before anything is looked up.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) by: Officer,
    pub(super) scope: CommandScope,
    pub(super) entry_id: Uuid,
}

/// The entry and the time it is decided at.
pub(super) struct Case {
    pub(super) target: Target,
    pub(super) entry: Entry,
    pub(super) policy: Arc<Policy>,
    pub(super) now: Timestamp,
    pub(super) today: LegalDate,
}

/// The calling officer.
pub(super) fn officer_of<T>(request: &Request<T>) -> Result<(Caller, Officer), Fault> {
    let caller = Caller::of(request)?.clone();
    let by = Officer {
        department: caller.department()?.clone(),
        id: caller.officer()?,
    };
    Ok((caller, by))
}

/// A required text of an officer.
pub(super) fn free_text(faults: &mut Faults, field: &str, text: &str) -> Option<String> {
    faults.text(field, text, TEXT_CHARS_MAX)
}

/// An id of the mesh.
pub(super) fn uuid(faults: &mut Faults, field: &str, text: &str) -> Option<Uuid> {
    match Uuid::try_parse(text) {
        Ok(id) => Some(id),
        Err(_) => {
            faults.add(
                field,
                "ID_INVALID",
                "an id as the mesh returned it is required",
            );
            None
        }
    }
}

impl Lists {
    /// Who calls about which entry; what is wrong is added to `faults`.
    pub(super) fn target(
        &self,
        faults: &mut Faults,
        (caller, by): (Caller, Officer),
        command_id: &str,
        entry_id: &str,
    ) -> Option<Target> {
        let scope = faults.keep(CommandScope::new(&caller, command_id, &*self.deps.clock));
        let entry_id = uuid(faults, "entry_id", entry_id);
        Some(Target {
            by,
            scope: scope?,
            entry_id: entry_id?,
        })
    }

    /// Looks up what the decision needs.
    pub(super) async fn open(&self, target: Target) -> Result<Case, Fault> {
        let policy = self.deps.catalogue.active()?;
        let entry = self.load_entry(target.entry_id).await?;
        if !sight::covers(&policy.pack, &target.by.department, &entry) {
            return Err(Rejection::Unknown.into());
        }
        let now = self.deps.clock.now();
        let today = policy.today(now);
        Ok(Case {
            target,
            entry,
            policy,
            now,
            today,
        })
    }

    /// The entry as its stream tells it, never behind.
    pub(super) async fn load_entry(&self, entry_id: Uuid) -> Result<Entry, Fault> {
        let id = entry_id.to_string();
        let loaded = self
            .deps
            .executor
            .load::<Entry>(self.deps.log, &[&id])
            .await
            .map_err(load_fault)?;
        let loaded = loaded.into_iter().next().unwrap_or_default();
        if loaded.version.is_none() {
            return Err(Rejection::Unknown.into());
        }
        Ok(loaded.state)
    }

    /// The list type as it was when the subject was nominated.
    pub(super) async fn nominated_list_type(
        &self,
        nomination: &Nomination,
    ) -> Result<ListType, Fault> {
        let version = &nomination.pack_version;
        let policy = self.deps.catalogue.judged_by(version).await?;
        let list_type = policy.pack.list_type(&nomination.list_type).cloned();
        list_type.ok_or_else(|| {
            let message = format!("policy pack {version} has no list type of the nomination");
            Fault::internal(message)
        })
    }

    /// Executes an officer's command on the entry.
    pub(super) async fn execute(
        &self,
        right: &'static str,
        request: &impl Message,
        case: Case,
        command: Command,
        note: Bytes,
    ) -> Result<Appended, Fault> {
        let scope = &case.target.scope;
        let task = Task::<Entry> {
            stream_id: case.target.entry_id.to_string(),
            subject: nomination(&case.entry)?.subject.clone(),
            command,
            key: scope.key(digest(right, request)),
            context: scope.context(case.policy.version()),
            note,
            fresh: false,
            guards: Vec::new(),
        };
        let appended = self.deps.executor.execute(self.deps.log, task).await;
        appended.map_err(|error| execute_fault(error, Fault::from))
    }

    /// Identity of a command by its raw request, before anything of it is
    /// judged; nothing where the id is none.
    pub(super) fn key(
        &self,
        kind: &str,
        (caller, _): &(Caller, Officer),
        command_id: &str,
        request: &impl Message,
    ) -> Option<CommandKey> {
        let scope = CommandScope::new(caller, command_id, &*self.deps.clock).ok()?;
        Some(scope.key(digest(kind, request)))
    }

    /// The outcome, or the first result where the command had been applied before.
    pub(super) async fn or_first(
        &self,
        key: Option<CommandKey>,
        outcome: Result<Appended, Fault>,
    ) -> Result<Appended, Fault> {
        let first = |first: &Appended| Ok(first.clone());
        or_first(&self.deps, self.deps.log, key, outcome, first).await
    }
}

/// The nomination of an entry that exists.
pub(super) fn nomination(entry: &Entry) -> Result<&Nomination, Fault> {
    entry
        .nomination
        .as_ref()
        .ok_or_else(|| Rejection::Unknown.into())
}
