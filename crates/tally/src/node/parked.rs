//! Parked subjects of this process: listed, looked at, tried again.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use tally_eventlog::consumer::{
    ConsumerHandle, ParkedRecord, ParkedSubject, ParkedSubjects, ReplayError, Replayed,
};
use tally_eventlog::event::to_proto_time;
use tally_eventlog::shard::Shard;
use tally_proto::tally::node::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::{page, store_fault};

/// How long a call waits for its reader, which replays at the head of its log.
const REPLAY_WAIT: Duration = Duration::from_secs(30);

/// When to ask a reader again that was busy.
const REPLAY_RETRY: Duration = Duration::from_secs(5);

/// What is parked in this process, by consumer.
pub struct Parked {
    readers: BTreeMap<&'static str, ParkedSubjects>,
    replay_wait: Duration,
}

/// Where a page of subjects ended.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    consumer: String,
    shard: Shard,
    subject: String,
}

impl Parked {
    /// Of these consumers.
    pub fn of(consumers: &[ConsumerHandle]) -> Self {
        let parked = consumers.iter().map(ConsumerHandle::parked);
        Self {
            readers: parked.map(|of| (of.consumer(), of.clone())).collect(),
            replay_wait: REPLAY_WAIT,
        }
    }

    /// Parked subjects, in pages.
    ///
    /// # Errors
    ///
    /// Every fault of the request; or the store cannot be read: retry.
    pub async fn list(
        &self,
        request: &pb::ListParkedRequest,
    ) -> Result<pb::ListParkedResponse, Fault> {
        let mut faults = Faults::default();
        let size = page::size(&mut faults, request.page_size, "subjects");
        let after = page::token(&mut faults, &request.page_token, Place::parse);
        if !faults.is_empty() {
            return Err(Fault::invalid(faults.into_vec()));
        }
        if !request.consumer.is_empty() {
            self.reader(&request.consumer)?;
        }
        let mut subjects = Vec::new();
        for (name, parked) in &self.readers {
            let before = after
                .as_ref()
                .is_some_and(|after| *name < after.consumer.as_str());
            let other = !request.consumer.is_empty() && request.consumer != *name;
            if before || other {
                continue;
            }
            let after = after.as_ref().filter(|after| after.consumer == *name);
            let after = after.map(|after| (after.shard, after.subject.as_str()));
            // One more than fits says whether there is another page.
            let wanted = size + 1 - subjects.len();
            let found = parked.list(after, wanted).await.map_err(store_fault)?;
            subjects.extend(found.into_iter().map(|one| subject_to_proto(parked, one)));
        }
        let more = subjects.len() > size;
        subjects.truncate(size);
        let last = subjects.last().filter(|_| more);
        let next_page_token = last.map_or_else(String::new, |last| Place::of(last).to_token());
        Ok(pb::ListParkedResponse {
            subjects,
            next_page_token,
        })
    }

    /// The parked events of a subject, in pages.
    ///
    /// # Errors
    ///
    /// Every fault of the request; there is no such reader; the subject is not
    /// parked; or the store cannot be read: retry.
    pub async fn get(
        &self,
        request: &pb::GetParkedRequest,
    ) -> Result<pb::GetParkedResponse, Fault> {
        let mut faults = Faults::default();
        required(&mut faults, &request.consumer, &request.subject);
        let size = page::size(&mut faults, request.page_size, "events");
        let from = page::token(&mut faults, &request.page_token, |token| {
            token.parse::<u64>().ok()?.checked_add(1)
        });
        if !faults.is_empty() {
            return Err(Fault::invalid(faults.into_vec()));
        }
        let parked = self.reader(&request.consumer)?;
        let mut events = parked
            .events(&request.subject, from.unwrap_or_default(), size + 1)
            .await
            .map_err(store_fault)?;
        if events.is_empty() && from.is_none() {
            return Err(not_parked(parked));
        }
        let more = events.len() > size;
        events.truncate(size);
        let last = events.last().filter(|_| more);
        let next_page_token =
            last.map_or_else(String::new, |last| last.parked.position.to_string());
        Ok(pb::GetParkedResponse {
            events: events.into_iter().map(event_to_proto).collect(),
            next_page_token,
        })
    }

    /// Tries the parked events of a subject again.
    ///
    /// # Errors
    ///
    /// Every fault of the request; there is no such reader, or it has stopped or
    /// is busy; the subject is not parked; or the store cannot be read: retry.
    pub async fn replay(
        &self,
        request: &pb::ReplayParkedRequest,
    ) -> Result<pb::ReplayParkedResponse, Fault> {
        let mut faults = Faults::default();
        required(&mut faults, &request.consumer, &request.subject);
        if !faults.is_empty() {
            return Err(Fault::invalid(faults.into_vec()));
        }
        let parked = self.reader(&request.consumer)?;
        if parked.shard_of(&request.subject).is_none() {
            return Err(not_parked(parked));
        }
        let replay = parked.replay(&request.subject);
        let Ok(replayed) = tokio::time::timeout(self.replay_wait, replay).await else {
            let message = "the reader is held, far behind, or tries something else again; \
                           it replays as soon as it has read all there is";
            return Err(Fault::unavailable("READER_BUSY", message, REPLAY_RETRY));
        };
        let replayed = replayed.map_err(|error| match error {
            ReplayError::Stopped => Fault::rejected("READER_STOPPED", error.to_string()),
            ReplayError::Elsewhere { .. } => Fault::rejected("READER_ELSEWHERE", error.to_string()),
        })?;
        let Replayed { applied, left, .. } = replayed;
        tracing::info!(
            consumer = parked.consumer(),
            applied,
            left,
            "parked events replayed"
        );
        let stopped_at = match replayed.stopped {
            Some((position, reason)) => {
                let known = parked.events(&request.subject, position, 1).await;
                let known = known.map_err(store_fault)?.pop();
                let known = known.filter(|event| event.parked.position == position);
                Some(pb::ParkedEvent {
                    position,
                    reason,
                    ..known.map(event_to_proto).unwrap_or_default()
                })
            }
            None => None,
        };
        Ok(pb::ReplayParkedResponse {
            applied: applied as u64,
            left: left as u64,
            stopped_at,
        })
    }

    fn reader(&self, consumer: &str) -> Result<&ParkedSubjects, Fault> {
        let reader = self.readers.get(consumer);
        reader.ok_or_else(|| super::unknown_reader(consumer, self.readers.keys().copied()))
    }
}

fn required(faults: &mut Faults, consumer: &str, subject: &str) {
    if consumer.is_empty() {
        let message = "name the reader, as the list of parked subjects does";
        faults.add("consumer", "FIELD_REQUIRED", message);
    }
    if subject.is_empty() {
        let message = "name the subject, as the list of parked subjects does";
        faults.add("subject", "FIELD_REQUIRED", message);
    }
}

/// The subject is not repeated: whoever types one may type a person's number.
fn not_parked(parked: &ParkedSubjects) -> Fault {
    let message = format!(
        "no event of that subject waits for `{}`; give it as the list of parked subjects does",
        parked.consumer()
    );
    Fault::not_found("SUBJECT_NOT_PARKED", message)
}

fn subject_to_proto(parked: &ParkedSubjects, one: ParkedSubject) -> pb::ParkedSubject {
    pb::ParkedSubject {
        consumer: parked.consumer().to_owned(),
        source: parked.log().to_string(),
        shard: one.shard.0.into(),
        subject: one.first.parked.subject.clone(),
        events: one.events as u64,
        first: Some(event_to_proto(one.first)),
    }
}

fn event_to_proto(event: ParkedRecord) -> pb::ParkedEvent {
    let (event_type, recorded_at) = event.recorded.unzip();
    pb::ParkedEvent {
        position: event.parked.position,
        event_type: event_type.unwrap_or_default(),
        recorded_at: recorded_at.map(to_proto_time),
        reason: event.parked.reason,
    }
}

impl Place {
    fn of(one: &pb::ParkedSubject) -> Self {
        Self {
            consumer: one.consumer.clone(),
            // Shards come from a u16.
            shard: Shard(one.shard as u16),
            subject: one.subject.clone(),
        }
    }

    fn to_token(&self) -> String {
        format!("{}/{}/{}", self.consumer, self.shard.0, self.subject)
    }

    fn parse(token: &str) -> Option<Self> {
        let mut parts = token.splitn(3, '/');
        Some(Self {
            consumer: parts.next()?.to_owned(),
            shard: Shard(parts.next()?.parse().ok()?),
            subject: parts.next()?.to_owned(),
        })
    }
}
