//! Takes what comes on a partition into its lane.

use std::sync::Arc;

use rdkafka::consumer::Consumer as _;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};
use tally_eventlog::event::StoredRecord;
use tally_eventlog::page::Page;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::lane::{Lane, Rejoin};
use super::{Elsewhere, Inner, REST};
use crate::context::{Told, tell};
use crate::feed::{Offered, Seen};
use crate::message::Arrived;

/// Records asked of the owner at once, and about how many bytes of them: an answer has
/// to come within the bound on it.
const FILL: usize = 512;
const FILL_BYTES: usize = 1 << 20;

type Queue = Elsewhere<StreamPartitionQueue<Told>>;

pub(super) struct Pump {
    inner: Arc<Inner>,
    lane: Arc<Lane>,
    /// Where to begin in the topic.
    begin: Offset,
    /// Id of a log that is known not to be the owner's.
    foreign: Option<Uuid>,
    page: Page,
}

impl Pump {
    pub(super) fn new(inner: Arc<Inner>, lane: Arc<Lane>, hint: Option<u64>) -> Self {
        let hint = hint.and_then(|offset| i64::try_from(offset).ok());
        Self {
            begin: hint.map_or(Offset::Beginning, Offset::Offset),
            inner,
            lane,
            foreign: None,
            page: Page::new(FILL, FILL_BYTES),
        }
    }

    /// Runs until nobody follows.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let lane = self.lane.clone();
        // The one before may not have given the partition back yet.
        let _turn = lane.turn.lock().await;
        stop.run_until_cancelled(self.pump()).await;
        // What is gone anyway need not be given back.
        let _ = self.unassign();
    }

    async fn pump(&mut self) {
        loop {
            match self.assign() {
                Ok(()) => {
                    self.serve().await;
                    self.begin = Offset::Beginning;
                    if let Err(error) = self.unassign() {
                        tell(&error, "giving a partition back");
                    }
                }
                Err(error) => tell(&error, "taking a partition"),
            }
            tokio::time::sleep(REST).await;
        }
    }

    fn partition(&self) -> i32 {
        i32::from(self.lane.shard.0)
    }

    // Both wait for librdkafka's own thread, for a moment; to let another task
    // wait would let them overtake each other.
    fn assign(&self) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.inner.topic, self.partition(), self.begin)?;
        self.inner.consumer().incremental_assign(&list)
    }

    fn unassign(&self) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.inner.topic, self.partition());
        self.inner.consumer().incremental_unassign(&list)
    }

    fn split(&self) -> Queue {
        let consumer = self.inner.consumer();
        Elsewhere(consumer.split_partition_queue(&self.inner.topic, self.partition()))
    }

    /// Takes messages until the topic must be taken anew.
    async fn serve(&mut self) {
        let mut queue = self.split();
        loop {
            let (refill, rejoin) = self.lane.asked();
            match rejoin {
                Some(Rejoin::Topic) => return,
                Some(Rejoin::Queue) => {
                    // The former one takes its waker along when it goes.
                    drop(queue.0.take());
                    queue = self.split();
                }
                None => {}
            }
            if refill {
                self.fill(None).await;
            }
            let Some(messages) = &queue.0 else {
                return;
            };
            if !self.has_room() {
                self.lane.woken().await;
                continue;
            }
            tokio::select! {
                message = messages.recv() => match message {
                    Ok(message) => self.arrived(&message).await,
                    Err(error) => self.failed(&error).await,
                },
                () = self.lane.woken() => {}
            }
        }
    }

    fn has_room(&self) -> bool {
        let options = &self.inner.options;
        self.lane.has_room(options.records_max, options.bytes_max)
    }

    async fn failed(&self, error: &KafkaError) {
        tell(error, "reading a partition");
        if let KafkaError::MessageConsumption(
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition,
        ) = error
        {
            self.lane.rejoin(Rejoin::Topic);
        }
        tokio::time::sleep(REST).await;
    }

    async fn arrived(&mut self, message: &BorrowedMessage<'_>) {
        let Some(arrived) = Arrived::of(message) else {
            return self.passed_over("a message is none of a relay's").await;
        };
        match self.lane.seen(arrived.position, &arrived.leaf) {
            Seen::New => {}
            Seen::Duplicate => return,
            Seen::Suspect => {
                let reason = format!("{}/{}", self.lane.shard, arrived.position);
                return self
                    .inner
                    .complain("a record came again as another", &reason);
            }
        }
        match arrived.record(self.lane.shard) {
            Some((record, log_id)) => self.deliver(record, log_id, arrived.offset_after).await,
            None => {
                self.passed_over("a message is not what its headers say")
                    .await
            }
        }
    }

    /// What cannot be used may have been a record: the owner has it.
    async fn passed_over(&mut self, what: &'static str) {
        self.inner
            .complain(what, &format!("shard {}", self.lane.shard));
        self.fill(None).await;
    }

    async fn deliver(&mut self, record: StoredRecord, log_id: Uuid, offset_after: u64) {
        let (mut asked, mut filled) = (false, false);
        loop {
            match self.lane.offer(record.clone(), log_id, offset_after) {
                Offered::Delivered | Offered::Duplicate => return,
                Offered::Gap(missing) if !filled => {
                    filled = true;
                    self.fill(Some(missing.end)).await;
                }
                // The owner ends before what the topic has of its log.
                Offered::Gap(_) => return self.lane.doubt(),
                Offered::Foreign if !asked && self.foreign != Some(log_id) => {
                    asked = true;
                    self.inner.ask().await;
                }
                Offered::Foreign => {
                    self.foreign = Some(log_id);
                    if self.lane.is_behind() {
                        self.fill(None).await;
                    }
                    return;
                }
            }
        }
    }

    /// Takes what the owner has, up to a position or to its end.
    async fn fill(&mut self, until: Option<u64>) {
        let (inner, lane) = (self.inner.clone(), self.lane.clone());
        loop {
            while !self.has_room() {
                lane.woken().await;
            }
            let (from, generation) = lane.wanted();
            let wanted = until.unwrap_or(u64::MAX).saturating_sub(from);
            let limit = usize::try_from(wanted).unwrap_or(usize::MAX);
            let limit = limit.min(self.page.limit());
            if limit == 0 {
                return;
            }
            let read = inner.owner.read(inner.log, lane.shard, from, limit);
            match inner.bounded(read).await {
                Ok(records) => {
                    self.page.took(&records);
                    let ends = records.len() < limit;
                    if !lane.fill(generation, records) || ends {
                        return;
                    }
                }
                Err(error) => {
                    self.page.failed();
                    inner.complain("a gap cannot be filled", &error.to_string());
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}
