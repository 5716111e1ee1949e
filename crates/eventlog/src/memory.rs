//! The event store in memory: for tests, and for rebuilding views beside the
//! store that serves. Group commit and sequencing are those of every store;
//! only the transaction differs.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use uuid::Uuid;

use crate::BoxError;
use crate::append::{Append, AppendError, Appended, Checkpoint, CommandKey, RowKey};
use crate::clock::Clock;
use crate::event::{StoredRecord, StreamName};
use crate::group::{Backend, CommitError, GroupOptions, SpanLinker, Tail, Writer};
use crate::sequence::{CheckpointRef, Head, Loaded, Remembered, Rows, StreamRef, Wanted};
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::{EventStore, LogSource, Row, StoreError, ViewSnapshot};

/// An event store that ends with the process.
pub struct MemoryStore {
    data: Arc<Mutex<Data>>,
    shards: ShardCount,
    tail: Arc<Tail>,
    writer: Writer,
    writing: tokio::task::JoinHandle<()>,
}

impl MemoryStore {
    /// An empty store with these logs, each with a fresh id.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn open(
        logs: &[LogName],
        shards: ShardCount,
        clock: Arc<dyn Clock>,
        options: GroupOptions,
        linker: Option<SpanLinker>,
    ) -> Self {
        let data = Arc::new(Mutex::new(Data::new(logs, shards)));
        Self::on(data, shards, clock, options, linker)
    }

    /// Opens the store again on the same data, as after a crash: what the
    /// first writer had not committed is lost, and it commits no more.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn crash_and_reopen(self, clock: Arc<dyn Clock>, options: GroupOptions) -> Self {
        self.writing.abort();
        Self::on(self.data, self.shards, clock, options, None)
    }

    /// A way to make commits fail, for tests of what others do then.
    pub fn faults(&self) -> MemoryFaults {
        MemoryFaults { data: self.data.clone() }
    }

    fn on(
        data: Arc<Mutex<Data>>,
        shards: ShardCount,
        clock: Arc<dyn Clock>,
        options: GroupOptions,
        linker: Option<SpanLinker>,
    ) -> Self {
        let (tail, owner) = {
            let mut data = lock(&data);
            data.owner += 1;
            let logs: Vec<LogName> = data.logs.keys().copied().collect();
            let size = |log, shard| data.heads.get(&(log, shard)).map_or(0, Head::size);
            (Arc::new(Tail::new(&logs, shards, size, options.tail_records_max)), data.owner)
        };
        let backend = MemoryBackend { data: data.clone(), owner };
        let (writer, writing) = Writer::start(backend, tail.clone(), clock, options, linker);
        Self { data, shards, tail, writer, writing }
    }
}

/// How a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// It took no effect, and that is known.
    NotApplied,
    /// It took effect, and that is not known.
    UnknownApplied,
    /// It took no effect, and that is not known.
    UnknownNotApplied,
    /// A constraint was violated; it took no effect.
    Constraint,
}

/// Makes commits of a [`MemoryStore`] fail, for tests of what others do then.
#[derive(Clone)]
pub struct MemoryFaults {
    data: Arc<Mutex<Data>>,
}

impl MemoryFaults {
    /// What the next commits meet, in order; nothing lets one pass. Commits
    /// after the last one pass.
    pub fn script(&self, faults: impl IntoIterator<Item = Option<CommitFault>>) {
        lock(&self.data).faults.extend(faults);
    }
}

struct Data {
    logs: BTreeMap<LogName, Uuid>,
    heads: BTreeMap<(LogName, Shard), Head>,
    records: BTreeMap<(LogName, Shard), Vec<StoredRecord>>,
    /// Where the events of each stream are, by version.
    streams: BTreeMap<StreamRef, Vec<(Shard, u64)>>,
    /// By id first, so that old ones are together.
    commands: BTreeMap<(Uuid, LogName, String), Remembered>,
    checkpoints: BTreeMap<CheckpointRef, Checkpoint>,
    views: BTreeMap<RowKey, Bytes>,
    faults: VecDeque<Option<CommitFault>>,
    /// Number of the writer that may commit: the one that opened last.
    owner: u64,
}

impl Data {
    fn new(logs: &[LogName], shards: ShardCount) -> Self {
        let logs: BTreeMap<_, _> = logs.iter().map(|log| (*log, Uuid::new_v4())).collect();
        let heads: BTreeMap<_, _> = logs
            .iter()
            .flat_map(|(log, id)| shards.all().map(|shard| ((*log, shard), Head::empty(*id))))
            .collect();
        Self {
            records: heads.keys().map(|key| (*key, Vec::new())).collect(),
            logs,
            heads,
            streams: BTreeMap::new(),
            commands: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            views: BTreeMap::new(),
            faults: VecDeque::new(),
            owner: 0,
        }
    }

    fn load(&self, wanted: &Wanted) -> Result<Loaded, BoxError> {
        let mut loaded = Loaded::default();
        for key in &wanted.heads {
            let head = self.heads.get(key);
            let head = head.ok_or_else(|| format!("the store has no shard {}/{}", key.0, key.1))?;
            loaded.heads.insert(*key, head.clone());
        }
        for stream in &wanted.streams {
            if let Some(places) = self.streams.get(stream) {
                loaded.versions.insert(stream.clone(), places.len() as u64 - 1);
            }
        }
        for command in &wanted.commands {
            let (log, department, id) = command.clone();
            if let Some(remembered) = self.commands.get(&(id, log, department)) {
                loaded.commands.insert(command.clone(), remembered.clone());
            }
        }
        for key in &wanted.checkpoints {
            if let Some(checkpoint) = self.checkpoints.get(key) {
                loaded.checkpoints.insert(*key, checkpoint.clone());
            }
        }
        Ok(loaded)
    }

    /// What the unique keys of a database would refuse.
    fn verify_constraints(&self, rows: &Rows) -> Result<(), BoxError> {
        let mut sizes: HashMap<(LogName, Shard), u64> = HashMap::new();
        let mut versions: HashMap<(LogName, &StreamName), u64> = HashMap::new();
        for row in &rows.events {
            let place = (row.log, row.record.shard);
            let size = sizes.entry(place).or_insert_with(|| {
                self.records.get(&place).map_or(0, |records| records.len() as u64)
            });
            let version = versions.entry((row.log, &row.stream)).or_insert_with(|| {
                let places = self.streams.get(&(row.log, row.stream.clone()));
                places.map_or(0, |places| places.len() as u64)
            });
            if (row.record.position, row.version) != (*size, *version) {
                return Err(format!(
                    "event {} of {} at {}/{}/{} is not the next",
                    row.version, row.stream, place.0, place.1, row.record.position
                )
                .into());
            }
            *size += 1;
            *version += 1;
        }
        for ((log, department, id), _) in &rows.commands {
            if self.commands.contains_key(&(*id, *log, department.clone())) {
                return Err(format!("command {id} is remembered already").into());
            }
        }
        Ok(())
    }

    fn apply(&mut self, rows: &Rows) {
        for row in &rows.events {
            let place = (row.log, row.record.shard);
            self.records.entry(place).or_default().push(row.record.clone());
            let stream = self.streams.entry((row.log, row.stream.clone())).or_default();
            stream.push((row.record.shard, row.record.position));
        }
        self.heads.extend(rows.heads.iter().map(|(key, head)| (*key, head.clone())));
        for ((log, department, id), remembered) in &rows.commands {
            self.commands.insert((*id, *log, department.clone()), remembered.clone());
        }
        self.checkpoints
            .extend(rows.checkpoints.iter().map(|(key, checkpoint)| (*key, checkpoint.clone())));
        for (row, value) in &rows.views {
            match value {
                Some(value) => self.views.insert(row.clone(), value.clone()),
                None => self.views.remove(row),
            };
        }
    }
}

fn lock(data: &Mutex<Data>) -> MutexGuard<'_, Data> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

struct MemoryBackend {
    data: Arc<Mutex<Data>>,
    owner: u64,
}

impl Backend for MemoryBackend {
    async fn begin(&mut self, wanted: &Wanted) -> Result<Loaded, BoxError> {
        lock(&self.data).load(wanted)
    }

    async fn commit(&mut self, rows: &Rows) -> Result<(), CommitError> {
        let mut data = lock(&self.data);
        if data.owner != self.owner {
            return Err(CommitError::NotApplied("the store was opened again".into()));
        }
        let fault = data.faults.pop_front().flatten();
        match fault {
            Some(CommitFault::NotApplied) => Err(CommitError::NotApplied("injected".into())),
            Some(CommitFault::Constraint) => Err(CommitError::Constraint("injected".into())),
            Some(CommitFault::UnknownNotApplied) => Err(CommitError::Unknown("injected".into())),
            Some(CommitFault::UnknownApplied) => {
                data.verify_constraints(rows).map_err(CommitError::Constraint)?;
                data.apply(rows);
                Err(CommitError::Unknown("injected".into()))
            }
            None => {
                data.verify_constraints(rows).map_err(CommitError::Constraint)?;
                data.apply(rows);
                Ok(())
            }
        }
    }

    async fn rollback(&mut self) {}
}

#[async_trait]
impl LogSource for MemoryStore {
    fn shards(&self) -> ShardCount {
        self.shards
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        if let Some(records) = self.tail.read(log, shard, from, limit) {
            return Ok(records);
        }
        let data = lock(&self.data);
        let records = data.records.get(&(log, shard));
        let records = records.ok_or_else(|| no_shard(log, shard))?;
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(records.iter().skip(from).take(limit).cloned().collect())
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        let data = lock(&self.data);
        self.shards
            .all()
            .map(|shard| data.heads.get(&(log, shard)).cloned().ok_or_else(|| no_shard(log, shard)))
            .collect()
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.tail.watch(log, shard)
    }
}

fn no_shard(log: LogName, shard: Shard) -> StoreError {
    StoreError::new(format!("the store has no shard {log}/{shard}"))
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        self.writer.append(appends).await
    }

    async fn read_streams(
        &self,
        log: LogName,
        streams: &[StreamName],
    ) -> Result<Vec<Vec<StoredRecord>>, StoreError> {
        let data = lock(&self.data);
        let record = |&(shard, position): &(Shard, u64)| {
            let records = &data.records[&(log, shard)];
            records[usize::try_from(position).expect("it is an index of a vector")].clone()
        };
        let places = |stream: &StreamName| data.streams.get(&(log, stream.clone()));
        Ok(streams
            .iter()
            .map(|stream| places(stream).into_iter().flatten().map(record).collect())
            .collect())
    }

    async fn remembered(
        &self,
        log: LogName,
        commands: &[CommandKey],
    ) -> Result<Vec<Option<Remembered>>, StoreError> {
        let data = lock(&self.data);
        Ok(commands
            .iter()
            .map(|command| (command.id, log, command.department.clone()))
            .map(|key| data.commands.get(&key).cloned())
            .collect())
    }

    async fn checkpoints(
        &self,
        consumer: &'static str,
    ) -> Result<Vec<Option<Checkpoint>>, StoreError> {
        let data = lock(&self.data);
        let of = |shard| data.checkpoints.get(&(consumer, shard)).cloned();
        Ok(self.shards.all().map(of).collect())
    }

    async fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let data = lock(&self.data);
        Ok(keys.iter().map(|key| data.views.get(key).cloned()).collect())
    }

    async fn scan(
        &self,
        view: &'static str,
        shard: Shard,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let data = lock(&self.data);
        let start = RowKey { view, shard, key: Bytes::copy_from_slice(from) };
        Ok(data
            .views
            .range((Bound::Included(start), Bound::Unbounded))
            .take_while(|(row, _)| row.view == view && row.shard == shard)
            .take_while(|(row, _)| to.is_none_or(|to| row.key.as_ref() < to))
            .take(limit)
            .map(|(row, value)| (row.key.clone(), value.clone()))
            .collect())
    }

    async fn snapshot(
        &self,
        consumer: &'static str,
        views: &[&'static str],
    ) -> Result<ViewSnapshot, StoreError> {
        let data = lock(&self.data);
        let checkpoints = data.checkpoints.iter().filter(|((name, _), _)| *name == consumer);
        let rows = data.views.iter().filter(|(row, _)| views.contains(&row.view));
        Ok(ViewSnapshot {
            checkpoints: checkpoints.map(|((_, shard), at)| (*shard, at.clone())).collect(),
            rows: rows.map(|(row, value)| (row.clone(), value.clone())).collect(),
        })
    }

    async fn forget_commands(&self, older_than: Uuid) -> Result<u64, StoreError> {
        let mut data = lock(&self.data);
        let kept = data.commands.split_off(&(older_than, LogName(""), String::new()));
        let forgotten = std::mem::replace(&mut data.commands, kept);
        Ok(forgotten.len() as u64)
    }
}
