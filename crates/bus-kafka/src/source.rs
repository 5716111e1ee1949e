//! Reads the log of another role from its topic, and from its owner what the
//! topic lacks.
//!
//! One consumer per process and log. Each shard that somebody follows has a
//! *lane*: a *pump* takes what comes on its partition into the lane's feed, no
//! faster than readers take it out. The owner is asked for its heads once a
//! while, one call for all shards: only that tells whether a reader has seen all,
//! and whether the log still is the one that was read.

mod lane;
mod pump;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rdkafka::Message as _;
use rdkafka::consumer::StreamConsumer;
use tally_eventlog::clock::Clock;
use tally_eventlog::event::StoredRecord;
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{FormerId, LogHistory, LogSource, Remote, StoreError};
use tally_eventlog::throttle::Throttle;
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::context::{Told, tell};
use crate::message::Arrived;
use crate::options::{KafkaOptions, OptionsError, SourceOptions, client};
use crate::topics::log_topic;
use lane::Lane;

/// How long whoever cannot go on waits before it tries again.
const REST: Duration = Duration::from_millis(100);

/// A log of another role, over Kafka.
pub struct KafkaSource {
    inner: Arc<Inner>,
    _stop: DropGuard,
}

/// Shared with the tasks.
struct Inner {
    log: LogName,
    topic: String,
    owner: Arc<dyn LogSource>,
    clock: Arc<dyn Clock>,
    options: SourceOptions,
    consumer: Elsewhere<Arc<StreamConsumer<Told>>>,
    lanes: Vec<Arc<Lane>>,
    /// One question to the owner at a time, so that answers come in order.
    asking: Mutex<()>,
    /// Somebody has begun to follow.
    followed: Notify,
    runtime: Handle,
    stop: CancellationToken,
}

impl KafkaSource {
    /// Opens a log whose owner can be asked, and whose topic [`prepare_topic`]
    /// has found. It ends when it is dropped.
    ///
    /// [`prepare_topic`]: crate::prepare_topic
    ///
    /// # Errors
    ///
    /// [`OptionsError`]: correct the setting.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn open(
        kafka: &KafkaOptions,
        log: LogName,
        owner: Arc<dyn LogSource>,
        clock: Arc<dyn Clock>,
        options: SourceOptions,
    ) -> Result<Self, OptionsError> {
        let consumer: StreamConsumer<Told> = kafka
            .consumer(&options)?
            .create_with_context(Told)
            .map_err(client)?;
        let stop = CancellationToken::new();
        let lanes = owner.shards().all().map(|shard| Arc::new(Lane::new(shard)));
        let inner = Arc::new(Inner {
            log,
            topic: log_topic(kafka, log),
            lanes: lanes.collect(),
            owner,
            clock,
            options,
            consumer: Elsewhere(Some(Arc::new(consumer))),
            asking: Mutex::default(),
            followed: Notify::new(),
            runtime: Handle::current(),
            stop: stop.clone(),
        });
        let (asking, serving) = (inner.clone(), inner.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            asking.ask_forever().await;
        }));
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            serving.serve_events().await;
        }));
        Ok(Self {
            inner,
            _stop: stop.drop_guard(),
        })
    }

    /// The most records of a shard that were held at once for its readers.
    ///
    /// # Panics
    ///
    /// If there is no such shard.
    pub fn held_max(&self, shard: Shard) -> usize {
        self.inner.lane(shard).held_max()
    }
}

impl Inner {
    fn lane(&self, shard: Shard) -> &Arc<Lane> {
        &self.lanes[usize::from(shard.0)]
    }

    async fn ask_forever(&self) {
        loop {
            if self.lanes.iter().any(|lane| lane.is_followed()) {
                self.ask().await;
                // Whoever begins to follow wants to know at once.
                let _ = tokio::time::timeout(self.options.poll, self.followed.notified()).await;
            } else {
                self.followed.notified().await;
            }
        }
    }

    /// Asks the owner for its heads, and tells all lanes.
    async fn ask(&self) {
        let _turn = self.asking.lock().await;
        let ends: Vec<u64> = self.lanes.iter().map(|lane| lane.end()).collect();
        let asked_at = self.clock.wall();
        match self.bounded(self.owner.heads(self.log)).await {
            Ok(heads) => {
                for ((lane, head), end) in self.lanes.iter().zip(&heads).zip(ends) {
                    lane.owner_says(head, asked_at, end, self.options.stalled_after);
                }
            }
            Err(error) => self.complain("the owner of the log cannot be asked", &error.to_string()),
        }
    }

    /// An answer of the owner, or an error in its stead: it must not hold up the
    /// readers for longer.
    async fn bounded<T>(
        &self,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let answered = tokio::time::timeout(self.options.owner_timeout, answer).await;
        answered.unwrap_or_else(|_| Err(StoreError::new("the owner of the log does not answer")))
    }

    /// Serves what the consumer has to say besides messages.
    async fn serve_events(&self) {
        loop {
            match self.consumer().recv().await {
                Ok(stray) => {
                    let lane = usize::try_from(stray.partition());
                    if let Some(lane) = lane.ok().and_then(|index| self.lanes.get(index)) {
                        lane.strayed(Arrived::of(&stray).map(|arrived| arrived.position));
                    }
                }
                Err(error) => {
                    tell(&error, "reading a topic");
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    fn consumer(&self) -> &Arc<StreamConsumer<Told>> {
        let consumer = self.consumer.0.as_ref();
        consumer.expect("it is taken only when it is dropped")
    }

    fn complain(&self, what: &'static str, reason: &str) {
        static THROTTLE: Throttle = Throttle::minutely();
        let log = self.log;
        if let Some(held_back) = THROTTLE.pass(&format!("{log}: {what}: {reason}")) {
            tracing::warn!(log = log.0, reason, held_back, "{what}");
        }
    }

    fn known(&self, log: LogName) -> Result<(), StoreError> {
        match log == self.log {
            true => Ok(()),
            false => Err(StoreError::new(format!(
                "log {log} does not come by the topic of {}",
                self.log
            ))),
        }
    }
}

#[async_trait]
impl LogSource for KafkaSource {
    fn shards(&self) -> ShardCount {
        self.inner.owner.shards()
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.inner.known(log)?;
        if let Some(records) = self.inner.lane(shard).take(from, limit) {
            return Ok(records);
        }
        let read = self.inner.owner.read(log, shard, from, limit);
        self.inner.bounded(read).await
    }

    async fn read_durable(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let read = self.inner.owner.read_durable(log, shard, from, limit);
        self.inner.bounded(read).await
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        self.inner.bounded(self.inner.owner.heads(log)).await
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        self.inner.bounded(self.inner.owner.former_ids(log)).await
    }

    async fn history(&self, log: LogName) -> Result<LogHistory, StoreError> {
        self.inner.bounded(self.inner.owner.history(log)).await
    }

    /// How far a followed shard can be read without asking the owner.
    fn watch(&self, _log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.inner.lane(shard).watch()
    }

    fn remote(&self) -> Option<&dyn Remote> {
        Some(self)
    }
}

impl Remote for KafkaSource {
    fn follow(&self, _log: LogName, shard: Shard, next: u64, hint: Option<u64>) {
        let lane = self.inner.lane(shard);
        let child = || self.inner.stop.child_token();
        if let Some(stop) = lane.follow(next, child) {
            let pump = pump::Pump::new(self.inner.clone(), lane.clone(), hint);
            self.inner.runtime.spawn(pump.run(stop));
        }
        self.inner.followed.notify_one();
    }

    fn unfollow(&self, _log: LogName, shard: Shard) {
        self.inner.lane(shard).unfollow();
    }

    fn hint(&self, _log: LogName, shard: Shard, next: u64) -> Option<u64> {
        self.inner.lane(shard).offset_after(next)
    }

    fn complete_at(&self, _log: LogName, shard: Shard, next: u64) -> Option<Timestamp> {
        self.inner.lane(shard).complete_at(next)
    }

    fn doubts(&self, _log: LogName, shard: Shard) -> u64 {
        self.inner.lane(shard).doubts()
    }
}

/// What waits for its threads when it is dropped, and so is dropped on one of
/// its own.
pub(crate) struct Elsewhere<T: Send + 'static>(pub(crate) Option<T>);

impl<T: Send + 'static> Drop for Elsewhere<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            std::thread::spawn(move || drop(value));
        }
    }
}
