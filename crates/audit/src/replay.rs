//! Replays records as they are, with their JSON; one batch in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, stream};
use prost::Message as _;
use tally_eventlog::event::StoredRecord;
use tally_eventlog::pb as log;
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::LogSource;
use tally_proto::tally::audit::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::log_service::{Logs, find, shard};
use tally_service::store_fault;
use tonic::Status;

use crate::json;

/// Records read at a time.
const BATCH: u64 = 256;

/// A part of a shard that is to be read.
struct Range {
    log: LogName,
    source: Arc<dyn LogSource>,
    shard: Shard,
    next: u64,
    /// The position after the last.
    end: u64,
}

/// Which records are wanted of those read.
struct Filter {
    /// Category and id.
    stream: Option<(String, String)>,
    subject: Option<String>,
}

/// A replay, as far as it is.
pub(crate) struct Replay {
    ranges: VecDeque<Range>,
    filter: Filter,
    pending: VecDeque<pb::ReplayResponse>,
}

impl Replay {
    /// Prepares a replay; `subject` is as events name it.
    ///
    /// # Errors
    ///
    /// Every fault of the message: correct the fields. The heads cannot be
    /// read: retry.
    pub(crate) async fn new(
        logs: &Logs,
        request: &pb::ReplayRequest,
        subject: Option<String>,
        mut faults: Faults,
    ) -> Result<Self, Fault> {
        let chosen = match request.log.as_str() {
            "" => logs.iter().collect(),
            name => vec![find(logs, name)?],
        };
        if request.to.is_some_and(|to| to < request.from) {
            faults.add(
                "to",
                "RANGE_REVERSED",
                "the last position is before the first",
            );
        }
        let stream = stream_name(&request.stream, &mut faults);
        for (_, source) in chosen.iter().take(1) {
            if let Some(number) = request.shard {
                shard("shard", number, source.shards(), &mut faults);
            }
        }
        if !faults.is_empty() {
            return Err(Fault::invalid(faults.into_vec()));
        }
        let mut ranges = VecDeque::new();
        for (log, source) in chosen {
            let heads = source.heads(*log).await.map_err(store_fault)?;
            for (shard, head) in source.shards().all().zip(heads) {
                let asked = request
                    .shard
                    .is_none_or(|number| number == u32::from(shard.0));
                // All about one subject is on its shard.
                let about = subject
                    .as_ref()
                    .is_none_or(|subject| source.shards().of(subject) == shard);
                let end = request
                    .to
                    .map_or(head.size(), |to| head.size().min(to.saturating_add(1)));
                if asked && about && request.from < end {
                    let source = source.clone();
                    ranges.push_back(Range {
                        log: *log,
                        source,
                        shard,
                        next: request.from,
                        end,
                    });
                }
            }
        }
        Ok(Self {
            ranges,
            filter: Filter { stream, subject },
            pending: VecDeque::new(),
        })
    }

    /// The records, by log and shard, in the order of positions.
    pub(crate) fn into_stream(
        self,
    ) -> impl Stream<Item = Result<pb::ReplayResponse, Status>> + Send {
        stream::try_unfold(self, |mut replay| async move {
            let record = replay.next().await?;
            Ok(record.map(|record| (record, replay)))
        })
    }

    async fn next(&mut self) -> Result<Option<pb::ReplayResponse>, Fault> {
        loop {
            if let Some(record) = self.pending.pop_front() {
                return Ok(Some(record));
            }
            let Some(range) = self.ranges.front_mut() else {
                return Ok(None);
            };
            let records = range.read().await?;
            if records.is_empty() {
                self.ranges.pop_front();
                continue;
            }
            let log = range.log;
            for stored in records.iter().filter(|stored| self.filter.matches(stored)) {
                self.pending.push_back(response(log, stored)?);
            }
        }
    }
}

impl Range {
    async fn read(&mut self) -> Result<Vec<StoredRecord>, Fault> {
        let wanted = self.end.saturating_sub(self.next).min(BATCH);
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let limit = usize::try_from(wanted).expect("a batch fits in memory");
        let records = self
            .source
            .read(self.log, self.shard, self.next, limit)
            .await;
        let records = records.map_err(store_fault)?;
        if let Some(last) = records.last() {
            self.next = last.position + 1;
        }
        Ok(records)
    }
}

impl Filter {
    fn matches(&self, stored: &StoredRecord) -> bool {
        if self.stream.is_none() && self.subject.is_none() {
            return true;
        }
        let envelope = log::Record::decode(stored.bytes.clone())
            .and_then(|record| log::Envelope::decode(record.envelope));
        // What cannot be read may be what is asked for: it is shown.
        let Ok(envelope) = envelope else { return true };
        let stream = self.stream.as_ref().is_none_or(|(category, id)| {
            *category == envelope.category && *id == envelope.stream_id
        });
        stream
            && self
                .subject
                .as_ref()
                .is_none_or(|subject| *subject == envelope.subject)
    }
}

fn stream_name(text: &str, faults: &mut Faults) -> Option<(String, String)> {
    if text.is_empty() {
        return None;
    }
    match text.split_once('/') {
        Some((category, id)) if !category.is_empty() && !id.is_empty() => {
            Some((category.to_owned(), id.to_owned()))
        }
        _ => {
            faults.add(
                "stream",
                "STREAM_INVALID",
                "a stream is written category/id",
            );
            None
        }
    }
}

fn response(log: LogName, stored: &StoredRecord) -> Result<pb::ReplayResponse, Fault> {
    Ok(pb::ReplayResponse {
        log: log.0.to_owned(),
        record: stored.bytes.clone(),
        leaf_hash: Bytes::copy_from_slice(&stored.leaf),
        json: json::line(log, stored).map_err(Fault::internal)?,
    })
}
