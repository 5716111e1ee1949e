//! Events that become commands: listings become directives, suspensions and
//! ends go to all of them, and stale applications open corrections.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use prost::Message as _;
use tally_domain::subject::Subject;
use tally_eventlog::consumer::{Lost, Poison, ProcessManager, ReactError, Settled, ViewRows};
use tally_eventlog::event::Recorded;
use tally_eventlog::execute::{ExecuteError, Task};
use tally_eventlog::ids::{Cause, named_id};
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::{Deps, Policy, logs, process_context, process_key, self_context};

use crate::consumer;
use crate::directive::{Command, Directive, LiftReason};
use crate::known::event_type;
use crate::memoranda::directives_of;
use crate::projection::{entry_row, seen_in_force, subject_row};
use crate::reconcile::Reconciler;
use crate::settle::{Verdict, links_come_back, verdicts};

/// How long an event waits for the pack it was judged by, which comes by
/// another log.
const POLICY_WAIT: Duration = Duration::from_secs(5);

/// Effects of the events of lists.
pub struct ListsProcess {
    deps: Deps,
    reconciler: Reconciler,
}

impl ListsProcess {
    /// Effects on the log of `deps`.
    pub fn new(deps: Deps) -> Self {
        Self {
            reconciler: Reconciler::new(deps.clone()),
            deps,
        }
    }
}

/// The policy that an event was judged by.
///
/// # Errors
///
/// [`ReactError::Retry`]: it is not known here yet.
pub async fn policy_of(deps: &Deps, version: &str) -> Result<Arc<Policy>, ReactError> {
    let policy = deps.catalogue.wait_for_version(version, POLICY_WAIT).await;
    policy.ok_or_else(|| ReactError::Retry {
        reason: format!("policy pack {version} is not known here yet"),
    })
}

#[async_trait]
impl ProcessManager for ListsProcess {
    async fn react(
        &self,
        event: &Recorded,
        rows: &ViewRows,
        cause: Cause,
    ) -> Result<(), ReactError> {
        let event_type = event.envelope.event_type.as_str();
        let at = event.effective_at;
        let command = match event_type {
            event_type::LISTED => None,
            event_type::SUSPENDED => Some(Command::Suspend { at }),
            event_type::UPHELD => Some(Command::Resume { at }),
            event_type::CORRECTED_OUT => Some(Command::Lift {
                reason: LiftReason::CorrectedOut,
                at,
            }),
            event_type::REMOVED => Some(Command::Lift {
                reason: LiftReason::Removed,
                at,
            }),
            event_type::EXPIRED => Some(Command::Lift {
                reason: LiftReason::Expired,
                at,
            }),
            event_type::DROPPED => return self.after_drop(event, cause).await,
            _ => return Ok(()),
        };
        let subject: Subject = event
            .envelope
            .subject
            .parse()
            .map_err(|_| Poison::new("the subject of an entry cannot be read"))?;
        let row: pb::SubjectRow = rows
            .get(&subject_row(event.shard, &event.envelope.subject))?
            .unwrap_or_default();
        let entry = row
            .entries
            .iter()
            .find(|entry| entry.entry_id == event.envelope.stream_id)
            .ok_or_else(|| Poison::new("the entry was never listed"))?;
        let policy = policy_of(&self.deps, &entry.pack_version).await?;
        let directives = directives_of(&policy, &subject, entry);
        let tasks = directives.iter().enumerate().map(|(n, directive)| {
            let id = cause.derived_id(n as u32);
            let trigger = || Command::Trigger {
                directive: Box::new(directive.clone()),
                at: event.recorded_at,
            };
            Task::<Directive> {
                stream_id: directive.directive_id.clone(),
                subject: event.envelope.subject.clone(),
                command: command.clone().unwrap_or_else(trigger),
                key: process_key(id),
                context: process_context(event, id),
                note: Bytes::new(),
                fresh: command.is_none(),
                guards: Vec::new(),
            }
        });
        self.execute(tasks.collect()).await?;
        let stops = !matches!(event_type, event_type::LISTED | event_type::UPHELD);
        if stops {
            let ids: Vec<String> = directives
                .into_iter()
                .map(|directive| directive.directive_id)
                .collect();
            self.reconciler.after_stop(event, entry, &ids).await?;
        }
        Ok(())
    }

    async fn settle(&self, lost: &Lost, apply: bool) -> Result<Vec<Settled>, ReactError> {
        let mut settled = Vec::new();
        for changed in &lost.rows {
            let row = |value: &Option<Bytes>| {
                let value = value.clone().unwrap_or_default();
                pb::SubjectRow::decode(value).map_err(|error| Poison::new(error.to_string()))
            };
            let (before, now) = (row(&changed.before)?, row(&changed.now)?);
            let subject = String::from_utf8_lossy(&changed.row.key).into_owned();
            for (entry, verdict) in verdicts(&before, &now) {
                if apply {
                    self.settle_entry(lost, &subject, entry, verdict).await?;
                }
                settled.push(Settled {
                    subject: subject.clone(),
                    what: format!("entry {}: {}", entry.entry_id, verdict.explain()),
                    hold: verdict.holds(),
                });
            }
            if links_come_back(&before, &now) {
                settled.push(Settled {
                    subject,
                    what: "that two identifiers are not one organisation is lost: checks are \
                           undetermined until it was repeated, under its command id, and the \
                           subject was replayed"
                        .to_owned(),
                    hold: true,
                });
            }
        }
        Ok(settled)
    }
}

impl ListsProcess {
    /// Lifts what is left of a listing that was lost in a restore, where officers drop the
    /// entry instead of listing it again. What was never listed has no directives.
    async fn after_drop(&self, event: &Recorded, cause: Cause) -> Result<(), ReactError> {
        // What was made for the entry was made before, and is in a view of another reader.
        self.reconciler.own_view_is_of(event).await?;
        let row = entry_row(event.shard, &event.envelope.stream_id);
        let found = self.deps.store.rows(&[row]).await?.pop().flatten();
        let made = found.map(pb::EntryDirectivesRow::decode).transpose();
        let made = made.map_err(|error| Poison::new(error.to_string()))?;
        let directive_ids = made.unwrap_or_default().directive_ids;
        let tasks = directive_ids.into_iter().enumerate().map(|(n, stream_id)| {
            let id = cause.derived_id(n as u32);
            Task::<Directive> {
                stream_id,
                subject: event.envelope.subject.clone(),
                command: Command::Lift {
                    reason: LiftReason::NotListed,
                    at: event.effective_at,
                },
                key: process_key(id),
                context: process_context(event, id),
                note: Bytes::new(),
                fresh: false,
                guards: Vec::new(),
            }
        });
        self.execute(tasks.collect()).await
    }

    async fn execute(&self, tasks: Vec<Task<Directive>>) -> Result<(), ReactError> {
        let executor = &self.deps.executor;
        for result in executor.execute_many(logs::SANCTIONS, tasks).await {
            result.map_err(effect_error)?;
        }
        Ok(())
    }

    /// Suspends the directives of an entry, unless it is held.
    async fn settle_entry(
        &self,
        lost: &Lost,
        about: &str,
        entry: &pb::KnownEntry,
        verdict: Verdict,
    ) -> Result<(), ReactError> {
        let at = self.deps.clock.now();
        let command = match verdict {
            Verdict::Withhold | Verdict::WithholdAndHold => Command::Withhold { at },
            Verdict::Suspend => Command::Suspend { at },
            Verdict::Hold => return Ok(()),
        };
        let unreadable = |_| Poison::new("the subject of an entry cannot be read");
        let subject: Subject = about.parse().map_err(unreadable)?;
        let policy = policy_of(&self.deps, &entry.pack_version).await?;
        let log_id = lost.log_id.to_string();
        let tasks = directives_of(&policy, &subject, entry).into_iter();
        let tasks = tasks.map(|directive| {
            // The same when it is asked for again.
            let names = [&log_id, consumer::LISTS, &directive.directive_id];
            let id = named_id("settled", &names);
            Task::<Directive> {
                stream_id: directive.directive_id,
                subject: about.to_owned(),
                command: command.clone(),
                key: process_key(id),
                context: self_context(policy.version(), id),
                note: Bytes::new(),
                fresh: false,
                guards: Vec::new(),
            }
        });
        self.execute(tasks.collect()).await
    }
}

/// Effects of answered checks.
pub struct AccessProcess {
    deps: Deps,
    reconciler: Reconciler,
}

impl AccessProcess {
    /// Effects on the log of `deps`.
    pub fn new(deps: Deps) -> Self {
        Self {
            reconciler: Reconciler::new(deps.clone()),
            deps,
        }
    }
}

#[async_trait]
impl ProcessManager for AccessProcess {
    async fn react(&self, event: &Recorded, _: &ViewRows, _: Cause) -> Result<(), ReactError> {
        let told = seen_in_force(event, self.deps.store.shards())?;
        if told.is_empty() {
            return Ok(());
        }
        self.reconciler.after_check(event, &told).await
    }

    async fn settle(&self, _: &Lost, _: bool) -> Result<Vec<Settled>, ReactError> {
        // It reads the role's own log, which is restored together with its views.
        Ok(Vec::new())
    }
}

/// What a failed effect means for its cause.
pub fn effect_error<R: std::fmt::Debug>(error: ExecuteError<R>) -> ReactError {
    match error {
        ExecuteError::Rejected(_)
        | ExecuteError::CommandReused { .. }
        | ExecuteError::Decode(_) => Poison::new(error.to_string()).into(),
        _ => ReactError::Retry {
            reason: error.to_string(),
        },
    }
}
