//! The timers of lists: an entry whose last day is over expires; a provisional
//! last day for a representation is fixed again when the calendar settles it.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use prost::Message as _;
use tally_domain::date::parse_legal_date;
use tally_domain::department::Actor;
use tally_eventlog::consumer::{Poison, ReactError};
use tally_eventlog::execute::Task;
use tally_eventlog::ids::timer_id;
use tally_eventlog::shard::Shard;
use tally_eventlog::timer::TimerHandler;
use tally_proto::tally::lists::v1 as pb;
use tally_service::{CommandScope, Deps, Policy, process_key, provisional};

use crate::deadline::representation_until;
use crate::entry::{Command, Entry};
use crate::process::{load_error, retry};
use crate::projection::{PROVISIONAL_VIEW, TIMER_VIEW};

/// Ends entries on the day after their last day.
pub struct ExpiryTimer(pub Deps);

#[async_trait]
impl TimerHandler for ExpiryTimer {
    fn view(&self) -> &'static str {
        TIMER_VIEW
    }

    fn due_before(&self, now: Timestamp) -> Vec<u8> {
        // Without a pack there is no time zone, and no entry either.
        let Some(policy) = self.0.catalogue.try_active() else {
            return Vec::new();
        };
        let today = policy.today(now);
        today.tomorrow().unwrap_or(today).to_string().into_bytes()
    }

    async fn fire(&self, _shard: Shard, key: Bytes, value: Bytes) -> Result<(), ReactError> {
        let row = pb::TimerRow::decode(value).map_err(|error| {
            Poison::new(format!("a row of {TIMER_VIEW} cannot be decoded: {error}"))
        })?;
        let term_until = parse_legal_date(&row.term_until).map_err(|error| {
            Poison::new(format!("a row of {TIMER_VIEW} has no last day: {error}"))
        })?;
        let policy = active(&self.0)?;
        let at = policy.start_of(term_until.tomorrow().unwrap_or(term_until));
        let today = policy.today(self.0.clock.now());
        let scope = CommandScope {
            actor: Actor::process(),
            id: timer_id(at, TIMER_VIEW, &key),
        };
        let task = Task::<Entry> {
            stream_id: row.entry_id,
            subject: row.subject,
            command: Command::Expire { today, at },
            key: process_key(scope.id),
            context: scope.context(policy.version()),
            note: Bytes::new(),
            fresh: false,
            guards: Vec::new(),
        };
        self.0
            .executor
            .execute(self.0.log, task)
            .await
            .map_err(retry)?;
        Ok(())
    }
}

/// Fixes provisional days for a representation again.
pub struct DeadlineTimer(pub Deps);

#[async_trait]
impl TimerHandler for DeadlineTimer {
    fn view(&self) -> &'static str {
        PROVISIONAL_VIEW
    }

    fn due_before(&self, _now: Timestamp) -> Vec<u8> {
        provisional::due_before(self.0.catalogue.try_active().as_deref())
    }

    async fn fire(&self, _shard: Shard, key: Bytes, value: Bytes) -> Result<(), ReactError> {
        let row = pb::ProvisionalRow::decode(value).map_err(|error| {
            Poison::new(format!(
                "a row of {PROVISIONAL_VIEW} cannot be decoded: {error}"
            ))
        })?;
        let policy = active(&self.0)?;
        let loaded = self.0.executor.load(self.0.log, &[&row.entry_id]).await;
        let loaded = loaded.map_err(load_error)?.pop().unwrap_or_default();
        let entry: Entry = loaded.state;
        let (Some(nomination), Some(notice)) = (&entry.nomination, &entry.notice) else {
            return Err(Poison::new("the entry was never notified").into());
        };
        let nominated_by = self.0.catalogue.version(&nomination.pack_version);
        let list_type = nominated_by
            .as_ref()
            .and_then(|policy| policy.pack.list_type(&nomination.list_type));
        let Some(list_type) = list_type else {
            return Err(ReactError::Retry {
                reason: format!("policy pack {} is not here yet", nomination.pack_version),
            });
        };
        let working_days = list_type.representation_working_days;
        let deadline = representation_until(&policy, &entry, notice.served_on, working_days);
        let scope = CommandScope {
            actor: Actor::process(),
            id: provisional::command_id(&policy, PROVISIONAL_VIEW, &key),
        };
        let task = Task::<Entry> {
            stream_id: row.entry_id,
            subject: row.subject,
            command: Command::FixDeadline {
                deadline,
                at: self.0.clock.now(),
            },
            key: process_key(scope.id),
            context: scope.context(policy.version()),
            note: Bytes::new(),
            fresh: false,
            guards: Vec::new(),
        };
        let appended = self.0.executor.execute(self.0.log, task).await;
        appended.map_err(retry)?;
        Ok(())
    }
}

fn active(deps: &Deps) -> Result<Arc<Policy>, ReactError> {
    deps.catalogue
        .try_active()
        .ok_or_else(|| ReactError::Retry {
            reason: "no policy pack is here yet".to_owned(),
        })
}
