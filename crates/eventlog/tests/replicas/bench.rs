//! Processes that share a store and its leases.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tally_eventlog::append::{
    Append, Checkpoint, CommandKey, ExpectedVersion, RowKey, StreamAppend, ViewWrite,
};
use tally_eventlog::clock::{Clock, SystemClock};
use tally_eventlog::conformance::TestClock;
use tally_eventlog::consumer::{
    Consumer, ConsumerHandle, ConsumerOptions, Lost, Poison, ProcessManager, Progress, Projection,
    ReactError, Settled, ShardProgress, ViewRows,
};
use tally_eventlog::event::{EventContext, NewEvent, Recorded, StreamName};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::ids::Cause;
use tally_eventlog::lease::{Keeper, KeeperOptions, Lease, Leases, MemoryLeases, Standing};
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::pb;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{EventStore as _, LogSource as _, StoreError};
use tally_eventlog::timer::{Timer, TimerHandler};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

pub const LOG: LogName = LogName("shared");
const EFFECTS: LogName = LogName("effects");
const READER: &str = "shared.self";
const VIEW: &str = "shared.notes";
const DUE: &str = "shared.due";
const EVENT: &str = "tally.replicas.v1.Happened";
pub const TERM: Duration = Duration::from_secs(60);
/// For a keeper that runs by itself.
const SHORT_TERM: Duration = Duration::from_millis(600);
pub const SHARDS: [Shard; 4] = [Shard(0), Shard(1), Shard(2), Shard(3)];
/// Bound on waiting; only a test that fails waits that long.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Waits for what has to come.
pub async fn bounded<T>(work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(WAIT_MAX, work).await;
    done.expect("it comes about in time")
}

/// Leases in memory that can be away, from everybody or from whoever came first.
pub struct Flaky {
    inner: MemoryLeases,
    pub away: AtomicBool,
    pub away_from_first: AtomicBool,
    first: OnceLock<Uuid>,
}

impl Flaky {
    fn answers(&self, member: Uuid) -> Result<&MemoryLeases, StoreError> {
        let first = *self.first.get_or_init(|| member);
        let away = self.away.load(Ordering::SeqCst)
            || (first == member && self.away_from_first.load(Ordering::SeqCst));
        if away {
            return Err(StoreError::new("away"));
        }
        Ok(&self.inner)
    }
}

#[async_trait]
impl Leases for Flaky {
    async fn acquire(
        &self,
        holder: Uuid,
        wanted: &[(&'static str, Shard)],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        self.answers(holder)?.acquire(holder, wanted, term).await
    }

    async fn renew(
        &self,
        holder: Uuid,
        held: &[Lease],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        self.answers(holder)?.renew(holder, held, term).await
    }

    async fn release(&self, holder: Uuid, held: &[Lease]) -> Result<(), StoreError> {
        self.answers(holder)?.release(holder, held).await
    }

    async fn join(
        &self,
        member: Uuid,
        names: &[&'static str],
        term: Duration,
    ) -> Result<Vec<Standing>, StoreError> {
        self.answers(member)?.join(member, names, term).await
    }

    async fn leave(&self, member: Uuid, names: &[&'static str]) -> Result<(), StoreError> {
        self.answers(member)?.leave(member, names).await
    }
}

/// Where the processes meet.
pub struct Place {
    clock: Arc<TestClock>,
    began: Instant,
    passed: Mutex<Duration>,
    term: Duration,
    pub store: Arc<MemoryStore>,
    pub leases: Arc<Flaky>,
    /// Lets be applied what could not be.
    pub mended: Arc<AtomicBool>,
}

impl Place {
    /// A place at which time passes when the test says so.
    pub fn new() -> Self {
        let clock = Arc::new(TestClock::default());
        Self::by(clock.clone(), clock, TERM)
    }

    /// A place with short terms, at which time passes by itself.
    pub fn in_time() -> Self {
        let system = Arc::new(SystemClock::default());
        Self::by(Arc::new(TestClock::default()), system, SHORT_TERM)
    }

    fn by(clock: Arc<TestClock>, of_leases: Arc<dyn Clock>, term: Duration) -> Self {
        let shards = ShardCount::new(4).expect("in range");
        let logs = [LOG, EFFECTS];
        let options = GroupOptions::default();
        let store = MemoryStore::open(&logs, shards, clock.clone(), options, None);
        Self {
            clock,
            began: Instant::now(),
            passed: Mutex::default(),
            term,
            store: Arc::new(store),
            leases: Arc::new(Flaky {
                inner: MemoryLeases::new(of_leases),
                away: AtomicBool::new(false),
                away_from_first: AtomicBool::new(false),
                first: OnceLock::new(),
            }),
            mended: Arc::default(),
        }
    }

    /// Lets time pass, for the store and by every process' own clock.
    pub fn pass(&self, time: Duration) {
        *self.passed.lock().expect("not poisoned") += time;
        let time = SignedDuration::try_from(time).expect("in range");
        self.clock.set(self.clock.wall() + time);
    }

    pub fn now(&self) -> Instant {
        self.began + *self.passed.lock().expect("not poisoned")
    }

    pub fn keeper(&self) -> Keeper {
        Keeper::new(self.leases.clone(), KeeperOptions { term: self.term })
    }

    /// A process that has not had a turn.
    pub fn process(&self, name: &'static str) -> Process<'_> {
        let mut keeper = self.keeper();
        let gate = watch::Sender::new(true);
        let (at_effect, _) = watch::channel(false);
        let effects = Arc::new(Effects {
            store: self.store.clone(),
            gate,
            at_effect,
            reacted: AtomicU32::new(0),
        });
        let stop = CancellationToken::new();
        let consumer = Consumer {
            name: READER,
            log: LOG,
            source: self.store.clone(),
            store: self.store.clone(),
            projection: Arc::new(Notes(self.mended.clone())),
            process: Some(effects.clone()),
            clock: self.clock.clone(),
            held: keeper.join(READER, self.store.shards()),
            options: ConsumerOptions::default(),
        };
        Process {
            name,
            place: self,
            keeper,
            handle: consumer.start(stop.clone()),
            stop,
            effects,
        }
    }

    /// Two processes that have their shares.
    pub async fn two(&self) -> [Process<'_>; 2] {
        let (mut a, mut b) = (self.process("a"), self.process("b"));
        a.turn().await;
        assert_eq!(a.held().len(), 4, "it is alone");
        b.turn().await;
        a.turn().await;
        b.turn().await;
        [a, b]
    }

    pub async fn put(&self, shard: Shard, subject: &str, text: &str) {
        let append = Append {
            streams: vec![event(subject, text)],
            ..Append::to(LOG, shard)
        };
        self.append(append).await;
    }

    async fn append(&self, append: Append) {
        let outcome = self.store.append(vec![append]).await.remove(0);
        outcome.expect("it is appended");
    }

    pub async fn notes(&self, shard: Shard, subject: &str) -> String {
        let stored = self.store.rows(&[note(shard, subject)]).await;
        let stored = stored.expect("readable").remove(0);
        let text = stored.map(|text| prost::Message::decode(text).expect("a text"));
        text.unwrap_or_default()
    }

    /// Texts of all effects.
    pub async fn effects(&self) -> Vec<Bytes> {
        let mut texts = Vec::new();
        for shard in SHARDS {
            let records = self.store.read(EFFECTS, shard, 0, 100).await;
            let records = records.expect("readable");
            texts.extend(records.into_iter().map(|record| record.bytes));
        }
        texts
    }

    async fn checkpoint(&self, shard: Shard) -> Checkpoint {
        let all = self.store.checkpoints(READER).await.expect("readable");
        let of_shard = all.into_iter().nth(usize::from(shard.0)).flatten();
        of_shard.expect("it has read")
    }

    pub async fn epoch(&self, shard: Shard) -> u64 {
        self.checkpoint(shard).await.epoch
    }

    pub async fn next(&self, shard: Shard) -> u64 {
        self.checkpoint(shard).await.next
    }

    /// Makes a row due on each shard.
    pub async fn make_due(&self) {
        for shard in SHARDS {
            let row = RowKey {
                view: DUE,
                shard,
                key: Bytes::from_static(b"row"),
            };
            let value = Some(Bytes::new());
            let append = Append {
                views: vec![ViewWrite { row, value }],
                ..Append::to(LOG, shard)
            };
            self.append(append).await;
        }
    }

    /// A timer in each process, and what tells which of them fires where.
    pub fn timers(
        &self,
        processes: [&Process<'_>; 2],
    ) -> (mpsc::UnboundedReceiver<(usize, Shard)>, DropGuard) {
        let (fired, receiver) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        for (who, process) in processes.into_iter().enumerate() {
            let timer = Timer {
                store: self.store.clone(),
                handler: Arc::new(Telling(who, fired.clone())),
                progress: process.handle.progress().clone(),
                clock: self.clock.clone(),
                interval: Duration::from_secs(3_600),
            };
            timer.start(stop.clone());
        }
        (receiver, stop.drop_guard())
    }
}

/// Tells that it fires.
struct Telling(usize, mpsc::UnboundedSender<(usize, Shard)>);

#[async_trait]
impl TimerHandler for Telling {
    fn view(&self) -> &'static str {
        DUE
    }

    fn due_before(&self, _: Timestamp) -> Vec<u8> {
        vec![0xff]
    }

    async fn fire(&self, shard: Shard, _: Bytes, _: Bytes) -> Result<(), ReactError> {
        self.1.send((self.0, shard)).expect("the test listens");
        Ok(())
    }
}

/// A process with one reader.
pub struct Process<'a> {
    name: &'static str,
    place: &'a Place,
    pub keeper: Keeper,
    pub handle: ConsumerHandle,
    pub stop: CancellationToken,
    effects: Arc<Effects>,
}

impl Process<'_> {
    /// Its keeper's turn, until what follows from it has happened.
    pub async fn turn(&mut self) {
        let turned = self.keeper.turn(self.place.now()).await;
        turned.expect("the store answers");
        let held: BTreeSet<Shard> = self.keeper.held().iter().map(|at| at.shard).collect();
        for shard in SHARDS {
            self.until(shard, |state| state.held == held.contains(&shard))
                .await;
        }
    }

    /// What runs here.
    pub fn held(&self) -> BTreeSet<Shard> {
        held(self.handle.progress())
    }

    pub async fn until(&self, shard: Shard, holds: impl FnMut(&ShardProgress) -> bool) {
        let mut states = self.handle.progress().watch(shard);
        let seen = tokio::time::timeout(WAIT_MAX, states.wait_for(holds)).await;
        let state = self.handle.progress().shard(shard);
        assert!(matches!(seen, Ok(Ok(_))), "{} is at {state:?}", self.name);
    }

    pub async fn reach(&self, shard: Shard, next: u64) {
        // Where another holds the shard, this one is told.
        self.handle.progress().wait_for(shard, next, WAIT_MAX).await;
        self.until(shard, |state| state.next == next).await;
    }

    pub async fn reach_all(&self, next: u64) {
        for shard in SHARDS {
            self.reach(shard, next).await;
        }
    }

    /// Why a shard stopped.
    pub async fn stops(&self, shard: Shard) -> &'static str {
        self.until(shard, |state| state.stopped.is_some()).await;
        let stopped = self.handle.progress().shard(shard).stopped;
        stopped.expect("it was seen stopped").reason
    }

    /// From now on it stands still before its next effect.
    pub fn stands_still(&self) {
        self.effects.at_effect.send_replace(false);
        self.effects.gate.send_replace(false);
    }

    /// Waits until it stands still.
    pub async fn is_at_an_effect(&self) {
        let mut at_effect = self.effects.at_effect.subscribe();
        let reached = bounded(at_effect.wait_for(|at| *at)).await;
        reached.expect("it is here");
    }

    pub fn goes_on(&self) {
        self.effects.gate.send_replace(true);
    }

    /// How often it has reacted to an event.
    pub fn reacted(&self) -> u32 {
        self.effects.reacted.load(Ordering::SeqCst)
    }

    /// Ends in order.
    pub async fn end(mut self) {
        self.stop.cancel();
        self.handle.join().await;
        let given = self.keeper.give_back().await;
        given.expect("the store answers");
    }

    /// Lets its keeper keep time by itself.
    pub fn keep(self) -> Kept {
        let keeping = self.keeper.start(self.stop.clone());
        Kept {
            handle: self.handle,
            stop: self.stop,
            keeping,
        }
    }
}

/// A process that keeps time by itself.
pub struct Kept {
    handle: ConsumerHandle,
    stop: CancellationToken,
    keeping: tokio::task::JoinHandle<()>,
}

impl Kept {
    /// Waits until it holds so many shards.
    pub async fn holds(&self, shards: usize) {
        let progress = self.handle.progress();
        let mut states: Vec<_> = SHARDS.map(|shard| progress.watch(shard)).into();
        let reached = async {
            while held(progress).len() != shards {
                let changes = states.iter_mut().map(|state| Box::pin(state.changed()));
                let (changed, ..) = futures::future::select_all(changes).await;
                changed.expect("it is here");
            }
        };
        bounded(reached).await;
    }

    /// Ends in order.
    pub async fn end(self) {
        self.stop.cancel();
        self.handle.join().await;
        self.keeping.await.expect("no panic");
    }
}

fn held(progress: &Progress) -> BTreeSet<Shard> {
    let held = |shard: &Shard| progress.with(*shard, |state| state.held);
    SHARDS.into_iter().filter(held).collect()
}

/// Writes texts down, one after the other.
struct Notes(Arc<AtomicBool>);

impl Projection for Notes {
    fn views(&self) -> &'static [&'static str] {
        &[VIEW]
    }

    fn knows(&self, event_type: &str) -> bool {
        event_type == EVENT
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        Ok(vec![note(event.shard, &event.envelope.subject)])
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        let text = String::from_utf8_lossy(&event.envelope.payload);
        if text == "poison" && !self.0.load(Ordering::SeqCst) {
            return Err(Poison::new("injected"));
        }
        let row = note(event.shard, &event.envelope.subject);
        let before = rows.get::<String>(&row)?.unwrap_or_default();
        rows.put(row, &format!("{before}{text};"));
        Ok(())
    }
}

fn note(shard: Shard, subject: &str) -> RowKey {
    RowKey {
        view: VIEW,
        shard,
        key: Bytes::copy_from_slice(subject.as_bytes()),
    }
}

/// Appends one effect per event, and can be made to stand still before it.
struct Effects {
    store: Arc<MemoryStore>,
    gate: watch::Sender<bool>,
    at_effect: watch::Sender<bool>,
    reacted: AtomicU32,
}

#[async_trait]
impl ProcessManager for Effects {
    async fn react(&self, _: &Recorded, _: &ViewRows, cause: Cause) -> Result<(), ReactError> {
        let mut gate = self.gate.subscribe();
        if !*gate.borrow() {
            self.at_effect.send_replace(true);
        }
        let _ = gate.wait_for(|open| *open).await;
        let append = Append {
            command: Some(CommandKey {
                department: String::new(),
                id: cause.derived_id(0),
                digest: [0; 32],
            }),
            streams: vec![event("effect", "done")],
            ..Append::to(EFFECTS, cause.shard)
        };
        let outcome = self.store.append(vec![append]).await.remove(0);
        outcome.map_err(|error| ReactError::Retry {
            reason: error.to_string(),
        })?;
        self.reacted.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    async fn settle(&self, _: &Lost, _: bool) -> Result<Vec<Settled>, ReactError> {
        Ok(Vec::new())
    }
}

fn event(subject: &str, text: &str) -> StreamAppend {
    let context = EventContext {
        actor: pb::Actor::default(),
        pack_version: String::new(),
        command_id: Uuid::nil(),
        causation_id: Uuid::nil(),
        correlation_id: Uuid::nil(),
        traceparent: String::new(),
    };
    let event = NewEvent {
        event_id: Uuid::new_v4(),
        event_type: EVENT,
        subject: subject.to_owned(),
        payload: Bytes::copy_from_slice(text.as_bytes()),
        effective_at: Timestamp::UNIX_EPOCH,
        context: Arc::new(context),
        legal_basis: None,
    };
    StreamAppend {
        stream: StreamName::new("replicas", subject),
        expected: ExpectedVersion::Any,
        events: vec![event],
    }
}
