//! What the cases have in common: an owner with its relay, a bus, and processes
//! that read.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::owner::Owner;
use super::{BusFixture, LOG, SourceSetup};
use crate::append::{Append, Checkpoint, CheckpointMove};
use crate::conformance::TestClock;
use crate::conformance::bench::{CONSUMER, event};
use crate::conformance::reader::{
    Reader, SHARD, Start, WAIT_MAX, about, append_to, notes_in, options,
};
use crate::consumer::{ConsumerOptions, ProcessManager};
use crate::event::StoredRecord;
use crate::group::GroupOptions;
use crate::lease::Held;
use crate::memory::MemoryStore;
use crate::relay::{Relay, RelayHandle, RelayOptions, Transport};
use crate::shard::{Shard, ShardCount};
use crate::store::{EventStore as _, LogSource};

/// Shards of the log.
pub const SHARDS: u16 = 2;

/// Name of the owner's relay.
const RELAY: &str = "relay.conformance";

/// Subject of the events.
pub const SUBJECT: &str = "a";

/// A bus under test, with an owner.
pub struct BusBench {
    /// The bus.
    pub bus: Box<dyn BusFixture>,
    /// The owner.
    pub owner: Arc<Owner>,
    /// Clock of all processes.
    pub clock: Arc<TestClock>,
    /// Whether readers read the owner's log itself.
    pub in_process: bool,
    relay: Mutex<Option<(RelayHandle, CancellationToken)>>,
    /// Restored stores replace others whose readers must not see them end.
    former: Mutex<Vec<Arc<MemoryStore>>>,
}

impl BusBench {
    /// A bus of its own, whose relay runs.
    pub async fn open<F: BusFixture>() -> Self {
        let shards = ShardCount::new(SHARDS).expect("it is in range");
        Self::on(F::create(shards).await).await
    }

    /// A bus for a log of [`SHARDS`], whose relay runs.
    pub async fn on(bus: impl BusFixture) -> Self {
        let shards = ShardCount::new(SHARDS).expect("it is in range");
        let bus = Box::new(bus);
        let clock = Arc::new(TestClock::default());
        let store = open(shards, &clock);
        let bench = Self {
            in_process: bus.transport().await.is_none(),
            bus,
            owner: Arc::new(Owner::new(store)),
            clock,
            relay: Mutex::default(),
            former: Mutex::default(),
        };
        bench.start_relay().await;
        bench
    }

    /// Ends it.
    pub async fn end(self) {
        self.stop_relay().await;
    }

    /// Starts the owner's relay on the bus.
    pub async fn start_relay(&self) {
        if let Some(transport) = self.bus.transport().await {
            self.relay_by(transport, 1).await;
        }
    }

    /// Starts the owner's relay, after the one before it has ended.
    pub async fn relay_by(&self, transport: Arc<dyn Transport>, epoch: u64) {
        self.stop_relay().await;
        let stop = CancellationToken::new();
        let handle = self.relay(transport, epoch).start(stop.clone());
        *self.relay.lock().await = Some((handle, stop));
    }

    /// A relay of the owner's log.
    pub fn relay(&self, transport: Arc<dyn Transport>, epoch: u64) -> Relay {
        Relay {
            name: RELAY,
            log: LOG,
            store: self.owner.store(),
            transport,
            held: Held::all(epoch),
            options: RelayOptions {
                batch_records_max: 10,
                retry_pause: Duration::from_millis(1),
                retry_pause_max: Duration::from_millis(100),
                ..RelayOptions::default()
            },
        }
    }

    /// Ends the relay wherever it is, as a crash would.
    pub async fn stop_relay(&self) {
        if let Some((handle, stop)) = self.relay.lock().await.take() {
            stop.cancel();
            handle.join().await;
        }
    }

    /// Waits until the relay's checkpoint has passed so many records of the shard.
    pub async fn relayed(&self, records: u64) {
        if let Some((handle, _)) = &*self.relay.lock().await {
            let progress = handle.progress();
            let reached = progress.wait_for(SHARD, records, WAIT_MAX).await;
            assert!(reached, "the relay is at {:?}", progress.shard(SHARD));
        }
    }

    /// Holds the relay, or lets it go on. In process, where there is none, the
    /// reader is held.
    pub async fn hold_relay(&self, held: bool, reader: &Reader) {
        let relay = self.relay.lock().await;
        let progress = match &*relay {
            Some((handle, _)) => handle.progress(),
            None => reader.handle().progress(),
        };
        match held {
            true => progress.pause(),
            false => progress.unpause(),
        }
    }

    /// Sets the relay's checkpoint on the shard back to the beginning.
    pub async fn forget_what_was_relayed(&self) {
        self.stop_relay().await;
        let store = self.owner.store();
        let all = store.checkpoints(RELAY).await.expect("it can be read");
        if let Some(at) = &all[usize::from(SHARD.0)] {
            move_checkpoint(&store, RELAY, at.next, Checkpoint::start(1)).await;
        }
        self.start_relay().await;
    }

    /// Appends events with these texts to the shard.
    pub async fn put(&self, texts: impl IntoIterator<Item = u64>) {
        let events = texts
            .into_iter()
            .map(|text| append_to(SHARD, about(SUBJECT, &text.to_string())));
        self.append(events.collect()).await;
    }

    /// Appends.
    pub async fn append(&self, appends: Vec<Append>) {
        for answer in self.owner.store().append(appends).await {
            answer.expect("every append holds");
        }
    }

    /// Restores the owner from a backup that has so many records of each shard.
    /// Its relay has to be started again.
    pub async fn restore(&self, records: usize) {
        self.stop_relay().await;
        let before = self.owner.store();
        let clock = self.clock.clone();
        let restored = before.restored(records, clock, GroupOptions::default());
        self.owner.replace(Arc::new(restored));
        self.former.lock().await.push(before);
    }

    /// Restores the owner again, from a backup of before it was restored first.
    pub async fn restore_from_the_first(&self, records: usize) {
        self.stop_relay().await;
        let first = self.former.lock().await.first().cloned();
        let first = first.expect("it was restored before");
        let clock = self.clock.clone();
        let restored = first.restored(records, clock, GroupOptions::default());
        self.owner.replace(Arc::new(restored));
    }

    /// The owner's records of a shard.
    pub async fn records(&self, shard: Shard) -> Vec<StoredRecord> {
        let read = self.owner.store().read(LOG, shard, 0, usize::MAX).await;
        read.expect("the store can be read")
    }

    /// Another process that reads the log.
    pub async fn process(&self) -> Process {
        self.process_with(|_| {}).await
    }

    /// The same, with other bounds.
    pub async fn process_with(&self, change: impl FnOnce(&mut SourceSetup)) -> Process {
        let store = open(self.owner.shards(), &self.clock);
        self.process_on(store, change).await
    }

    /// A process that starts again on what it has stored.
    pub async fn process_on(
        &self,
        store: Arc<MemoryStore>,
        change: impl FnOnce(&mut SourceSetup),
    ) -> Process {
        let mut setup = SourceSetup {
            owner: self.owner.clone(),
            clock: self.clock.clone(),
            poll: Duration::from_millis(20),
            // Longer than any case: what is not about a stall must not need one.
            stalled_after: Duration::from_secs(600),
            records_max: 1_000,
        };
        change(&mut setup);
        Process {
            source: self.bus.source(setup).await,
            store,
            clock: self.clock.clone(),
        }
    }

    /// Waits until whoever asks the owner has asked it, and has taken in what
    /// it said. In process, that is each read.
    pub async fn owner_is_asked(&self) {
        self.owner.is_asked(self.in_process).await;
    }
}

/// A process that reads the log.
pub struct Process {
    /// The log as it finds it.
    pub source: Arc<dyn LogSource>,
    /// Its own store.
    pub store: Arc<MemoryStore>,
    clock: Arc<TestClock>,
}

impl Process {
    /// Starts its reader.
    pub fn reader(&self) -> Reader {
        self.reader_with(None)
    }

    /// Starts its reader, with effects.
    pub fn reader_with(&self, process: Option<Arc<dyn ProcessManager>>) -> Reader {
        let options = ConsumerOptions {
            idle_checkpoint: Some(Duration::from_millis(5)),
            ..options()
        };
        let start = Start {
            log: LOG,
            source: self.source.clone(),
            store: self.store.clone(),
            process,
            options,
            epoch: 1,
        };
        start.reader_by(self.clock.clone())
    }

    /// Its reader's checkpoint on the shard.
    pub async fn checkpoint(&self) -> Option<Checkpoint> {
        let all = self.store.checkpoints(CONSUMER).await;
        all.expect("it can be read")
            .swap_remove(usize::from(SHARD.0))
    }

    /// Puts its reader's checkpoint after these records.
    pub async fn has_read(&self, records: &[StoredRecord], hint: Option<u64>) {
        let last = records.last().expect("it has read some");
        let to = Checkpoint {
            next: last.position + 1,
            log_id: crate::conformance::bench::decode(LOG, last).log_id,
            leaf: last.leaf,
            hint,
            ..Checkpoint::start(1)
        };
        move_checkpoint(&self.store, CONSUMER, 0, to).await;
    }

    /// Asserts that its reader has applied exactly these texts, in order.
    pub async fn has_applied(&self, texts: impl IntoIterator<Item = u64>) {
        let expected: String = texts.into_iter().map(|text| format!("{text};")).collect();
        assert_eq!(notes_in(&*self.store, SHARD, SUBJECT).await, expected);
    }

    /// Reads so many records of the shard as a follower would that has none.
    pub async fn follow(&self, records: usize) -> Vec<StoredRecord> {
        if let Some(remote) = self.source.remote() {
            remote.follow(LOG, SHARD, 0, None);
        }
        let mut grown = self.source.watch(LOG, SHARD);
        let mut all: Vec<StoredRecord> = Vec::new();
        let reading = async {
            while all.len() < records {
                grown.borrow_and_update();
                let from = all.len() as u64;
                let more = self.source.read(LOG, SHARD, from, 7).await;
                let more = more.expect("it can be read");
                if more.is_empty() {
                    grown.changed().await.expect("the source is here");
                }
                all.extend(more);
            }
        };
        let waited = tokio::time::timeout(WAIT_MAX, reading).await;
        assert!(waited.is_ok(), "only {} of {records} came", all.len());
        if let Some(remote) = self.source.remote() {
            remote.unfollow(LOG, SHARD);
        }
        all
    }
}

/// Waits for a value, and lets go of it: while one is held, nobody can send.
pub async fn reaches<T>(receiver: &mut watch::Receiver<T>, holds: impl FnMut(&T) -> bool) {
    let waiting = tokio::time::timeout(WAIT_MAX, receiver.wait_for(holds));
    let reached = waiting.await.is_ok_and(|reached| reached.is_ok());
    assert!(reached, "waited in vain");
}

/// An event of so many bytes, with this trace context.
pub fn traced(bytes: usize, traceparent: &str) -> Append {
    let mut event = event(&"x".repeat(bytes));
    let context = crate::event::EventContext {
        traceparent: traceparent.to_owned(),
        ..(*event.context).clone()
    };
    event.context = Arc::new(context);
    append_to(SHARD, event)
}

fn open(shards: ShardCount, clock: &Arc<TestClock>) -> Arc<MemoryStore> {
    let options = GroupOptions::default();
    let store = MemoryStore::open(&[LOG], shards, clock.clone(), options, None);
    Arc::new(store)
}

async fn move_checkpoint(store: &MemoryStore, consumer: &'static str, from: u64, to: Checkpoint) {
    let append = Append {
        checkpoint: Some(CheckpointMove {
            consumer,
            shard: SHARD,
            from,
            to,
        }),
        ..Append::to(LOG, SHARD)
    };
    for answer in store.append(vec![append]).await {
        answer.expect("nobody else moves it");
    }
}
