//! Events to commands: mirrors of links, and what records propose to officers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tally_domain::policy::ListPolarity;
use tally_eventlog::aggregate::{Aggregate, Codec};
use tally_eventlog::consumer::{Lost, Poison, ProcessManager, ReactError, Settled, ViewRows};
use tally_eventlog::event::Recorded;
use tally_eventlog::execute::{ExecuteError, LoadError, Task};
use tally_eventlog::ids::Cause;
use tally_eventlog::shard::Shard;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::lists::v1 as pb;
use tally_service::{Deps, Policy, process_context, process_key};
use uuid::Uuid;

use crate::SELF;
use crate::codec::{collection_event_type, event_type};
use crate::entry::{self, Entry};
use crate::file::{self, FileError};
use crate::link::{self, Link};
use crate::projection::{SUBJECT_VIEW, row};

/// How long a reader waits for the pack that an event was judged by; the
/// reader of the catalogue may be behind it.
const PACK_WAIT: Duration = Duration::from_secs(2);

/// Records read at a time where the own views are behind the own log.
const TAIL_BATCH: usize = 512;

/// Guarantees that a link stands on the streams of both identifiers, also
/// after a crash between the two.
pub struct LinkMirror(pub Deps);

#[async_trait]
impl ProcessManager for LinkMirror {
    async fn react(
        &self,
        event: &Recorded,
        _rows: &ViewRows,
        cause: Cause,
    ) -> Result<(), ReactError> {
        let kind = event.envelope.event_type.as_str();
        if !matches!(
            kind,
            event_type::IDENTIFIER_LINKED | event_type::IDENTIFIER_UNLINKED
        ) {
            return Ok(());
        }
        mirror(&self.0, event, cause).await
    }

    async fn settle(&self, _: &Lost, _: bool) -> Result<Vec<Settled>, ReactError> {
        // It reads the role's own log, which is restored together with its views.
        Ok(Vec::new())
    }
}

/// Repeats on the other identifier's stream what was decided on this one. On
/// a mirror itself it does nothing.
///
/// # Errors
///
/// [`ReactError`]: whether to try again.
pub async fn mirror(deps: &Deps, event: &Recorded, cause: Cause) -> Result<(), ReactError> {
    let subject = event.envelope.subject.clone();
    let decided = Link::decode(event).map_err(Poison::from)?;
    let (fact, other) = match decided.fact {
        link::Fact::Linked {
            linked_subject,
            evidence,
            department,
        } => (
            link::Fact::Linked {
                linked_subject: subject.clone(),
                evidence,
                department,
            },
            linked_subject,
        ),
        link::Fact::Unlinked {
            linked_subject,
            reason,
        } => (
            link::Fact::Unlinked {
                linked_subject: subject.clone(),
                reason,
            },
            linked_subject,
        ),
    };
    // Officers decide on the stream of the subject that comes first; an answer
    // to a mirror could revive what was taken back meanwhile.
    if other < subject {
        return Ok(());
    }
    let id = cause.derived_id(0);
    let task = Task::<Link> {
        stream_id: link::stream_id(&other, &subject).to_string(),
        subject: other,
        command: link::Command::Mirror(link::Event {
            at: decided.at,
            basis: decided.basis,
            fact,
        }),
        key: process_key(id),
        context: process_context(event, id),
        note: Bytes::new(),
        fresh: false,
        guards: Vec::new(),
    };
    deps.executor.execute(deps.log, task).await.map_err(retry)?;
    Ok(())
}

/// Proposes to remove a subject from red lists when a serious record about it
/// arrives, and to look at an entry whose ground was withdrawn. A rule proposes;
/// an officer decides.
pub struct Proposals {
    deps: Deps,
    /// How far the own views are known to be, per shard.
    projected: Vec<AtomicU64>,
}

#[async_trait]
impl ProcessManager for Proposals {
    async fn react(
        &self,
        event: &Recorded,
        _rows: &ViewRows,
        cause: Cause,
    ) -> Result<(), ReactError> {
        // Most shards of a mesh that is being filled have no entry yet.
        if *self.deps.store.watch(self.deps.log, event.shard).borrow() == 0 {
            return Ok(());
        }
        let (entries, command) = match event.envelope.event_type.as_str() {
            collection_event_type::RECORD_ACCEPTED => {
                let Some(command) = self.removal(event).await? else {
                    return Ok(());
                };
                (self.red_entries(event).await?, command)
            }
            collection_event_type::RECORD_WITHDRAWN => {
                let command = entry::Command::WithdrawGround {
                    record_id: event.envelope.stream_id.clone(),
                    at: event.recorded_at,
                };
                (self.grounded_entries(event).await?, command)
            }
            _ => return Ok(()),
        };
        let tasks = entries.into_iter().map(|(entry_id, subject)| {
            let id = cause.derived_id(effect_number(&entry_id));
            Task::<Entry> {
                stream_id: entry_id,
                subject,
                command: command.clone(),
                key: process_key(id),
                context: process_context(event, id),
                note: Bytes::new(),
                fresh: false,
                guards: Vec::new(),
            }
        });
        for result in self
            .deps
            .executor
            .execute_many(self.deps.log, tasks.collect())
            .await
        {
            result.map_err(retry)?;
        }
        Ok(())
    }

    async fn settle(&self, _: &Lost, _: bool) -> Result<Vec<Settled>, ReactError> {
        // What it proposed lies before an officer, who decides on the record as it is.
        Ok(Vec::new())
    }
}

impl Proposals {
    /// For the log of `deps`.
    pub fn new(deps: Deps) -> Self {
        let projected = deps
            .store
            .shards()
            .all()
            .map(|_| AtomicU64::new(0))
            .collect();
        Self { deps, projected }
    }

    async fn policy(&self, version: &str) -> Result<Arc<Policy>, ReactError> {
        let policy = self
            .deps
            .catalogue
            .wait_for_version(version, PACK_WAIT)
            .await;
        policy.ok_or_else(|| ReactError::Retry {
            reason: format!("policy pack {version} is not here yet"),
        })
    }

    /// What an accepted record proposes, if it is a serious one.
    async fn removal(&self, event: &Recorded) -> Result<Option<entry::Command>, ReactError> {
        let accepted: collection::RecordAccepted = event.payload().map_err(Poison::from)?;
        let content = accepted
            .content
            .ok_or_else(|| Poison::new("the record has no content"))?;
        let policy = self.policy(&event.envelope.pack_version).await?;
        let record_type = policy.pack.record_type(&content.record_type);
        if !record_type.is_some_and(|record_type| record_type.serious) {
            return Ok(None);
        }
        Ok(Some(entry::Command::ProposeRemoval {
            record_id: event.envelope.stream_id.clone(),
            record_type: content.record_type,
            at: event.recorded_at,
        }))
    }

    /// Entries that rest on the record, whose subject is theirs too. Whoever
    /// nominates or lists later finds the withdrawal in the view.
    async fn grounded_entries(
        &self,
        event: &Recorded,
    ) -> Result<Vec<(String, String)>, ReactError> {
        let subject = &event.envelope.subject;
        let mut candidates = self.not_yet_projected(event.shard, subject).await?;
        let key = row(SUBJECT_VIEW, event.shard, subject);
        let known = self.deps.store.rows(&[key]).await?.pop().flatten();
        let known: pb::SubjectRow = file::decode(known)?.unwrap_or_default();
        let known = known.entry_ids.into_iter();
        candidates.extend(known.map(|id| (id, subject.clone())));
        let rests_on_it = |entry: &Entry| {
            entry
                .nomination
                .as_ref()
                .is_some_and(|nomination| nomination.ground_record_id == event.envelope.stream_id)
        };
        let loaded = self.load(candidates).await?.into_iter();
        Ok(loaded
            .filter(|(_, entry)| rests_on_it(entry))
            .map(|(candidate, _)| candidate)
            .collect())
    }

    /// Candidates with their state, each once.
    async fn load(
        &self,
        mut candidates: Vec<(String, String)>,
    ) -> Result<Vec<((String, String), Entry)>, ReactError> {
        candidates.sort_unstable();
        candidates.dedup();
        let ids: Vec<&str> = candidates.iter().map(|(id, _)| id.as_str()).collect();
        let loaded = self.deps.executor.load(self.deps.log, &ids).await;
        let states = loaded.map_err(load_error)?.into_iter();
        let states: Vec<Entry> = states.map(|loaded| loaded.state).collect();
        Ok(candidates.into_iter().zip(states).collect())
    }

    /// Live red entries of the record's subject and of identifiers linked to
    /// it, with the subject of each.
    async fn red_entries(&self, event: &Recorded) -> Result<Vec<(String, String)>, ReactError> {
        let subject = &event.envelope.subject;
        let mut candidates = self.not_yet_projected(event.shard, subject).await?;
        let rows = file::subject_rows(&self.deps, None, subject)
            .await
            .map_err(file_error)?;
        for (subject, row) in rows {
            candidates.extend(row.entry_ids.into_iter().map(|id| (id, subject.clone())));
        }
        let mut red = Vec::new();
        for (candidate, entry) in self.load(candidates).await? {
            let Some(nomination) = entry.nomination.filter(|_| entry.state.is_live()) else {
                continue;
            };
            let policy = self.policy(&nomination.pack_version).await?;
            let list_type = policy.pack.list_type(&nomination.list_type);
            if list_type.is_some_and(|list_type| list_type.polarity == ListPolarity::Red) {
                red.push(candidate);
            }
        }
        Ok(red)
    }

    /// Entries of a subject that the log holds and the views may not hold yet.
    /// Read before the views, so that none is missed between the two.
    async fn not_yet_projected(
        &self,
        shard: Shard,
        subject: &str,
    ) -> Result<Vec<(String, String)>, ReactError> {
        let (store, log) = (&self.deps.store, self.deps.log);
        let mut found = Vec::new();
        let size = *store.watch(log, shard).borrow();
        let mut next = self.projected(shard, size).await?;
        loop {
            let records = store.read(log, shard, next, TAIL_BATCH).await?;
            for stored in &records {
                let recorded = Recorded::decode(log, stored).map_err(Poison::from)?;
                let envelope = recorded.envelope;
                if envelope.category == Entry::CATEGORY && envelope.subject == subject {
                    found.push((envelope.stream_id, envelope.subject));
                }
                next = stored.position + 1;
            }
            if records.len() < TAIL_BATCH {
                return Ok(found);
            }
        }
    }

    /// How far the own views are, asked of the store only if what is known is
    /// less than `size`.
    async fn projected(&self, shard: Shard, size: u64) -> Result<u64, ReactError> {
        let known = &self.projected[usize::from(shard.0)];
        let at_least = known.load(Ordering::Relaxed);
        if at_least >= size {
            return Ok(at_least);
        }
        let checkpoints = self.deps.store.checkpoints(SELF).await?;
        let checkpoint = checkpoints.into_iter().nth(usize::from(shard.0)).flatten();
        let next = checkpoint.map_or(0, |checkpoint| checkpoint.next);
        known.store(next, Ordering::Relaxed);
        Ok(next)
    }
}

/// Number of an entry's effect among those of one cause. By the entry and not
/// by its place in a list, which may be another when the effect is drawn again.
fn effect_number(entry_id: &str) -> u32 {
    let id = Uuid::try_parse(entry_id).unwrap_or_default();
    u32::from_be_bytes(id.as_bytes()[..4].try_into().expect("4 of 16 bytes"))
}

/// What the mesh's own commands meet: never a business refusal, so that all
/// there is to do is to try again.
pub(crate) fn retry<R: std::fmt::Debug>(error: ExecuteError<R>) -> ReactError {
    match error {
        ExecuteError::Decode(error) => Poison::from(error).into(),
        error => ReactError::Retry {
            reason: error.to_string(),
        },
    }
}

pub(crate) fn load_error(error: LoadError) -> ReactError {
    match error {
        LoadError::Store(error) => error.into(),
        LoadError::Decode(error) => Poison::from(error).into(),
    }
}

fn file_error(error: FileError) -> ReactError {
    match error {
        FileError::Row(poison) => poison.into(),
        error => ReactError::Retry {
            reason: error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_keeps_its_number() {
        let (one, other) = (Uuid::from_u128(1 << 96), Uuid::from_u128(2 << 96));
        assert_eq!(effect_number(&one.to_string()), 1);
        assert_eq!(effect_number(&other.to_string()), 2);
    }
}
