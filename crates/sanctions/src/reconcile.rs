//! Finds what rested on a basis older than a suspension or an end.
//!
//! A check commits only while the reader of `lists` stands where the check
//! looked, so it can be stale only against an event that the reader has not
//! committed yet. Two sides look: the reader, at all checks recorded by then,
//! also those that are in no view yet; and the follower of the checks, at what
//! the reader has applied and at what still waits for it. Neither waits for the
//! other, and whatever one cannot see yet, the other does.

use std::collections::HashSet;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use prost::Message as _;
use tally_eventlog::aggregate::Aggregate as _;
use tally_eventlog::append::Checkpoint;
use tally_eventlog::consumer::{Poison, ReactError};
use tally_eventlog::event::{Recorded, StreamName, from_proto_time};
use tally_eventlog::execute::Task;
use tally_eventlog::ids::Cause;
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::prefix_end;
use tally_proto::tally::sanctions::v1 as pb;
use tally_service::{Deps, logs, process_context, process_key};

use crate::basis::ListsBasis;
use crate::codec::event_type;
use crate::correction::{Correction, Opening, Stale};
use crate::directive::Directive;
use crate::process::effect_error;
use crate::projection::{Told, checks_since, prefix, seen_in_force, subject_row};
use crate::{consumer, known, view};

/// Rows or records read at a time.
const BATCH: usize = 512;

/// Name under which corrections derive their command ids, from either side.
const HANDLER: &str = "sanctions.correction";

/// Something stale, and the record that it is.
struct Found {
    opening: Opening,
    cause: Cause,
    n: u32,
}

/// Finds stale checks and executions.
pub struct Reconciler {
    deps: Deps,
    /// By how much times of `lists` and those recorded here may differ.
    skew: SignedDuration,
}

impl Reconciler {
    /// On the logs and views of `deps`.
    pub fn new(deps: Deps) -> Self {
        let skew = deps.sources.clock_skew();
        Self { deps, skew }
    }

    /// After a suspension or an end of `entry`; its directives know of it
    /// already, so no execution can come later.
    ///
    /// # Errors
    ///
    /// [`ReactError`]: whether to try again.
    pub async fn after_stop(
        &self,
        event: &Recorded,
        entry: &pb::KnownEntry,
        directive_ids: &[String],
    ) -> Result<(), ReactError> {
        let mut found = Vec::new();
        let since = event.recorded_at.saturating_sub(self.skew);
        let since = since.unwrap_or(event.recorded_at);
        for shard in self.deps.store.shards().all() {
            // A check of a linked identifier is on that identifier's shard.
            self.stale_checks(shard, entry, since, &mut found).await?;
        }
        self.stale_executions(entry, directive_ids, &mut found)
            .await?;
        self.open(event, &event.envelope.subject, found).await
    }

    /// After a check that said entries are in force.
    ///
    /// # Errors
    ///
    /// [`ReactError`]: whether to try again.
    pub async fn after_check(&self, event: &Recorded, told: &[Told]) -> Result<(), ReactError> {
        let lists = self.deps.sources.of(logs::LISTS);
        let history = lists.history(logs::LISTS).await?;
        let mut looked_at = HashSet::new();
        let subjects = told.iter().map(|told| told.subject.as_str());
        for subject in subjects.filter(|subject| looked_at.insert(*subject)) {
            let of_subject = told.iter().filter(|told| told.subject == subject);
            let shard = self.deps.store.shards().of(subject);
            let had_seen = |told: &Told| {
                let basis = basis_of(&told.check);
                history.is_read_by(shard, basis.log_id, basis.records)
                    && basis.records >= history.size(shard)
            };
            if of_subject.clone().all(had_seen) {
                // The answer had seen all there is. What comes later, its reader
                // holds against this check, which is in the log by now.
                continue;
            }
            let until = event.recorded_at.saturating_add(self.skew);
            let until = until.unwrap_or(event.recorded_at);
            let row = self.known_by(subject, until).await?;
            let mut found = Vec::new();
            for Told {
                entry_id, check, ..
            } in of_subject
            {
                let entry = row.entries.iter().find(|entry| entry.entry_id == *entry_id);
                found.extend(entry.and_then(|entry| self.stale_check(event.shard, entry, check)));
            }
            self.open(event, subject, found).await?;
        }
        Ok(())
    }

    /// The row of a subject as it will be when the reader has applied all that
    /// was recorded by `at`.
    async fn known_by(&self, subject: &str, at: Timestamp) -> Result<pb::SubjectRow, ReactError> {
        let store = &self.deps.store;
        let shard = store.shards().of(subject);
        // The position comes before the row: what lies between is applied twice,
        // which changes nothing that is looked at here.
        let mut next = self.applied(consumer::LISTS, shard).await?;
        let row = store
            .rows(&[subject_row(shard, subject)])
            .await?
            .pop()
            .flatten();
        let mut row = row
            .map_or_else(|| Ok(pb::SubjectRow::default()), pb::SubjectRow::decode)
            .map_err(|error| Poison::new(error.to_string()))?;
        loop {
            let events = self.read(logs::LISTS, shard, next).await?;
            for event in &events {
                if event.recorded_at > at {
                    return Ok(row);
                }
                if event.envelope.subject == subject {
                    known::apply(&mut row, event)?;
                }
                next = event.position + 1;
            }
            if events.len() < BATCH {
                return Ok(row);
            }
        }
    }

    /// Only what was recorded since the stop: what is older cannot rest on a
    /// basis before it, and what was stale by an earlier stop was found then.
    async fn stale_checks(
        &self,
        shard: Shard,
        entry: &pb::KnownEntry,
        since: Timestamp,
        found: &mut Vec<Found>,
    ) -> Result<(), ReactError> {
        // The position comes before the rows, so that nothing falls between them
        // and the records after it.
        let mut next = self.applied(consumer::ACCESS, shard).await?;
        let mut from = checks_since(&entry.entry_id, since);
        let end = prefix_end(&prefix(&entry.entry_id));
        loop {
            let rows = self
                .deps
                .store
                .scan(view::CHECK, shard, &from, end.as_deref(), BATCH)
                .await?;
            for (_, value) in &rows {
                let check = pb::CheckRow::decode(value.clone())
                    .map_err(|error| Poison::new(error.to_string()))?;
                found.extend(self.stale_check(shard, entry, &check));
            }
            match rows.last() {
                Some((last, _)) if rows.len() == BATCH => {
                    from = last.to_vec();
                    from.push(0);
                }
                _ => break,
            }
        }
        loop {
            let events = self.read(logs::SANCTIONS_ACCESS, shard, next).await?;
            for event in &events {
                for Told {
                    entry_id, check, ..
                } in seen_in_force(event, self.deps.store.shards())?
                {
                    if entry_id == entry.entry_id {
                        found.extend(self.stale_check(shard, entry, &check));
                    }
                }
                next = event.position + 1;
            }
            if events.len() < BATCH {
                return Ok(());
            }
        }
    }

    fn stale_check(
        &self,
        shard: Shard,
        entry: &pb::KnownEntry,
        check: &pb::CheckRow,
    ) -> Option<Found> {
        let recorded_at = check.recorded_at.as_ref().and_then(from_proto_time)?;
        known::is_stale(entry, basis_of(check), recorded_at, self.skew).then(|| Found {
            opening: Opening {
                department: check.department.clone(),
                initiator: entry.initiator.clone(),
                entry_id: entry.entry_id.clone(),
                stale: Stale::Check {
                    check_id: check.check_id.clone(),
                },
                at: recorded_at,
            },
            cause: cause(logs::SANCTIONS_ACCESS, shard, check.position, recorded_at),
            n: check.entry_index,
        })
    }

    async fn stale_executions(
        &self,
        entry: &pb::KnownEntry,
        directive_ids: &[String],
        found: &mut Vec<Found>,
    ) -> Result<(), ReactError> {
        let streams: Vec<StreamName> = directive_ids
            .iter()
            .map(|id| StreamName::new(Directive::CATEGORY, id))
            .collect();
        for record in self
            .deps
            .store
            .read_streams(logs::SANCTIONS, &streams)
            .await?
            .iter()
            .flatten()
        {
            let event = Recorded::decode(logs::SANCTIONS, record).map_err(Poison::from)?;
            if event.envelope.event_type != event_type::EXECUTED {
                continue;
            }
            let executed: pb::DirectiveExecuted = event.payload().map_err(Poison::from)?;
            let basis = ListsBasis::stored(executed.lists_basis, &executed.lists_log_id);
            if known::is_stale(entry, basis, event.recorded_at, self.skew) {
                let opening = Opening {
                    department: executed.department,
                    initiator: entry.initiator.clone(),
                    entry_id: entry.entry_id.clone(),
                    stale: Stale::Execution {
                        directive_id: event.envelope.stream_id.clone(),
                    },
                    at: self.deps.clock.now(),
                };
                let cause = cause(
                    logs::SANCTIONS,
                    event.shard,
                    event.position,
                    event.recorded_at,
                );
                found.push(Found {
                    opening,
                    cause,
                    n: 0,
                });
            }
        }
        Ok(())
    }

    async fn open(
        &self,
        event: &Recorded,
        subject: &str,
        found: Vec<Found>,
    ) -> Result<(), ReactError> {
        let now = self.deps.clock.now();
        let tasks = found.into_iter().map(|found| {
            let id = found.cause.derived_id(found.n);
            Task::<Correction> {
                stream_id: found.opening.stream_id(),
                subject: subject.to_owned(),
                command: Opening {
                    at: now,
                    ..found.opening
                },
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
            .execute_many(logs::SANCTIONS, tasks.collect())
            .await
        {
            result.map_err(effect_error)?;
        }
        Ok(())
    }

    /// Makes sure that the views of the own log hold what was recorded before `event`.
    ///
    /// # Errors
    ///
    /// [`ReactError::Retry`] until they do.
    pub async fn own_view_is_of(&self, event: &Recorded) -> Result<(), ReactError> {
        let next = self.applied(consumer::SELF, event.shard).await?;
        let waiting = self.read(logs::SANCTIONS, event.shard, next).await?;
        let before = event.recorded_at.saturating_add(self.skew);
        let before = before.unwrap_or(event.recorded_at);
        match waiting.first().filter(|first| first.recorded_at <= before) {
            None => Ok(()),
            Some(_) => Err(ReactError::Retry {
                reason: "the views of the own log are behind".to_owned(),
            }),
        }
    }

    async fn applied(&self, consumer: &'static str, shard: Shard) -> Result<u64, ReactError> {
        let checkpoints: Vec<Option<Checkpoint>> = self.deps.store.checkpoints(consumer).await?;
        let checkpoint = checkpoints.into_iter().nth(usize::from(shard.0)).flatten();
        Ok(checkpoint.map_or(0, |checkpoint| checkpoint.next))
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
    ) -> Result<Vec<Recorded>, ReactError> {
        let records = self
            .deps
            .sources
            .of(log)
            .read(log, shard, from, BATCH)
            .await?;
        let decoded = records
            .iter()
            .map(|record| Recorded::decode(log, record))
            .collect::<Result<_, _>>();
        Ok(decoded.map_err(Poison::from)?)
    }
}

fn cause(log: LogName, shard: Shard, position: u64, at: Timestamp) -> Cause {
    Cause {
        at,
        log,
        shard,
        position,
        handler: HANDLER,
    }
}

/// What an answer had seen of its entry's shard.
fn basis_of(check: &pb::CheckRow) -> ListsBasis {
    ListsBasis::stored(check.lists_basis, &check.lists_log_id)
}
