//! A consumer for cases: a projection that writes down what it was given, in
//! order, and a process manager that fans out and can be made to break off.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::TestClock;
use super::bench::{Bench, CONSUMER, LOG, OTHER, VIEW, event, name, row};
use crate::append::ExpectedVersion::Any;
use crate::append::{Append, CommandKey, RowKey, StreamAppend};
use crate::consumer::{
    Consumer, ConsumerHandle, ConsumerOptions, Lost, Poison, ProcessManager, Projection,
    ReactError, Replayed, Settled, ShardProgress, ViewRows,
};
use crate::event::{NewEvent, Recorded};
use crate::ids::Cause;
use crate::lease::Held;
use crate::shard::{LogName, Shard};
use crate::store::{EventStore, LogSource};

/// The shard that readers' cases are about.
pub const SHARD: Shard = Shard(0);

/// Bound on waiting; only a case that fails waits that long.
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// Writes each subject's payloads down, one after the other.
#[derive(Default)]
pub struct Notes {
    /// How far it is mended: 0, nothing that starts with `poison` can be
    /// applied; 1, what is just that; 2, all.
    pub mended: AtomicU32,
}

impl Projection for Notes {
    fn views(&self) -> &'static [&'static str] {
        &[VIEW]
    }

    fn knows(&self, event_type: &str) -> bool {
        event_type == event("").event_type
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        Ok(vec![note(event.shard, &event.envelope.subject)])
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        let row = note(event.shard, &event.envelope.subject);
        let text = String::from_utf8_lossy(&event.envelope.payload);
        let before = rows.get::<String>(&row)?.unwrap_or_default();
        // Written before it is refused: what poison wrote must be undone.
        rows.put(row, &format!("{before}{text};"));
        match self.mended.load(Ordering::SeqCst) {
            0 if text.starts_with("poison") => Err(Poison::new("injected")),
            1 if text.starts_with("poison ") => Err(Poison::new("injected")),
            _ => Ok(()),
        }
    }
}

fn note(shard: Shard, subject: &str) -> RowKey {
    row(VIEW, shard, subject.as_bytes())
}

/// Number of effects of an event.
pub const FAN_OUT: u32 = 3;

/// Appends effects to another log, each on a shard of its own.
pub struct Effects {
    store: Arc<dyn EventStore>,
    /// So many effects are applied; then it hangs, as if about to crash.
    hang_after: u32,
    /// How many have been applied or found to be applied.
    pub applied: watch::Sender<u32>,
    /// How often it was called.
    pub calls: AtomicU32,
}

impl Effects {
    /// Effects on a store that hang after some.
    pub fn hanging_after(store: &Arc<dyn EventStore>, effects: u32) -> Arc<Self> {
        let applied = watch::Sender::new(0);
        Arc::new(Self {
            store: store.clone(),
            hang_after: effects,
            applied,
            calls: AtomicU32::new(0),
        })
    }

    /// Effects on a store that all come about.
    pub fn all(store: &Arc<dyn EventStore>) -> Arc<Self> {
        Self::hanging_after(store, u32::MAX)
    }
}

#[async_trait]
impl ProcessManager for Effects {
    async fn react(&self, _: &Recorded, _: &ViewRows, cause: Cause) -> Result<(), ReactError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        for n in 0..FAN_OUT {
            if *self.applied.borrow() == self.hang_after {
                std::future::pending::<()>().await;
            }
            let stream = format!("effect {n}");
            let append = Append {
                command: Some(CommandKey {
                    department: String::new(),
                    id: cause.derived_id(n),
                    digest: [0; 32],
                }),
                streams: vec![StreamAppend {
                    stream: name(&stream),
                    expected: Any,
                    events: vec![event(&format!("{}/{}", cause.shard, cause.position))],
                }],
                ..Append::to(OTHER, self.store.shards().of(&stream))
            };
            let answer = self.store.append(vec![append]).await.remove(0);
            answer.map_err(|error| ReactError::Retry {
                reason: error.to_string(),
            })?;
            self.applied.send_modify(|applied| *applied += 1);
        }
        if *self.applied.borrow() == self.hang_after {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn settle(&self, _: &Lost, _: bool) -> Result<Vec<Settled>, ReactError> {
        Ok(Vec::new())
    }
}

/// A consumer that runs.
pub struct Reader {
    handle: ConsumerHandle,
    stop: CancellationToken,
    /// Its projection.
    pub notes: Arc<Notes>,
}

/// Options that wait for nothing.
pub fn options() -> ConsumerOptions {
    ConsumerOptions {
        retry_pause: Duration::from_millis(1),
        ..ConsumerOptions::default()
    }
}

/// How a reader is started.
pub struct Start {
    /// The log that it reads.
    pub log: LogName,
    /// Where it reads from.
    pub source: Arc<dyn LogSource>,
    /// Where it writes to.
    pub store: Arc<dyn EventStore>,
    /// Its effects.
    pub process: Option<Arc<dyn ProcessManager>>,
    /// Its bounds.
    pub options: ConsumerOptions,
    /// Epoch of its lease.
    pub epoch: u64,
}

impl Start {
    /// A reader of the store under test, without effects.
    pub fn on(bench: &Bench) -> Self {
        Self {
            log: LOG,
            source: bench.store().clone(),
            store: bench.store().clone(),
            process: None,
            options: options(),
            epoch: 1,
        }
    }

    /// Starts it.
    pub fn reader(self, bench: &Bench) -> Reader {
        self.reader_by(bench.clock.clone())
    }

    /// Starts it by this clock.
    pub fn reader_by(self, clock: Arc<TestClock>) -> Reader {
        let notes = Arc::new(Notes::default());
        let stop = CancellationToken::new();
        let consumer = Consumer {
            name: CONSUMER,
            log: self.log,
            source: self.source,
            store: self.store,
            projection: notes.clone(),
            process: self.process,
            clock,
            held: Held::all(self.epoch),
            options: self.options,
        };
        Reader {
            handle: consumer.start(stop.clone()),
            stop,
            notes,
        }
    }
}

impl Reader {
    /// Waits until it has applied so many records of the shard.
    pub async fn reaches(&self, next: u64) {
        let reached = self.handle.progress().wait_for(SHARD, next, WAIT_MAX).await;
        assert!(reached, "it is at {:?}", self.state());
    }

    /// Waits until it has stopped, and returns the reason.
    pub async fn stops(&self) -> String {
        self.until(|state| state.stopped.is_some()).await;
        let stopped = self.state().stopped.expect("it was seen stopped");
        assert!(!stopped.message.is_empty());
        stopped.reason.to_owned()
    }

    /// Waits for a state of the shard.
    pub async fn until(&self, holds: impl FnMut(&ShardProgress) -> bool) {
        let mut states = self.handle.progress().watch(SHARD);
        let seen = tokio::time::timeout(WAIT_MAX, states.wait_for(holds)).await;
        assert!(matches!(seen, Ok(Ok(_))), "it is at {:?}", self.state());
    }

    /// The shard's state.
    pub fn state(&self) -> ShardProgress {
        self.handle.progress().shard(SHARD)
    }

    /// Parked subjects of the shard, with the number of their events.
    pub fn parked(&self) -> Vec<(String, usize)> {
        let mut parked: Vec<_> = self.state().parked.into_iter().collect();
        parked.sort();
        parked
    }

    /// Tries a subject's parked events again.
    pub async fn replay(&self, subject: &str) -> Replayed {
        let replayed = self.handle.parked().replay(subject).await;
        replayed.expect("the reader runs")
    }

    /// How far it is.
    pub fn handle(&self) -> &ConsumerHandle {
        &self.handle
    }

    /// Ends it, and lets go of the store.
    pub async fn end(self) {
        self.stop.cancel();
        self.handle.join().await;
    }
}

/// An event about a subject.
pub fn about(subject: &str, text: &str) -> NewEvent {
    NewEvent {
        subject: subject.to_owned(),
        ..event(text)
    }
}

/// Appends events to the shard, each to the stream of its subject.
pub async fn put(bench: &Bench, events: impl IntoIterator<Item = NewEvent>) {
    let one = |event| append_to(SHARD, event);
    bench
        .append_all(events.into_iter().map(one).collect())
        .await;
}

/// An append of an event to the stream of its subject.
pub fn append_to(shard: Shard, event: NewEvent) -> Append {
    Append {
        streams: vec![StreamAppend {
            stream: name(&event.subject),
            expected: Any,
            events: vec![event],
        }],
        ..Append::to(LOG, shard)
    }
}

/// What was written down of a subject.
pub async fn notes(bench: &Bench, subject: &str) -> String {
    notes_in(&**bench.store(), SHARD, subject).await
}

/// What was written down of a subject in a store.
pub async fn notes_in(store: &dyn EventStore, shard: Shard, subject: &str) -> String {
    let stored = store.rows(&[note(shard, subject)]).await;
    let stored = stored.expect("the store can be read").remove(0);
    stored.map_or_else(String::new, |value| {
        prost::Message::decode(value).expect("what was stored can be decoded")
    })
}
