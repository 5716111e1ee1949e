//! The timer of lists: an entry whose last day is over expires.

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
use tally_service::{CommandScope, Deps, process_key};

use crate::entry::{Command, Entry};
use crate::process::retry;
use crate::projection::TIMER_VIEW;

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
        let Some(policy) = self.0.catalogue.try_active() else {
            return Err(ReactError::Retry {
                reason: "no policy pack is here yet".to_owned(),
            });
        };
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
