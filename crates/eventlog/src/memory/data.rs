//! What a memory store holds, and its transactions.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use uuid::Uuid;

use crate::BoxError;
use crate::append::{Checkpoint, RowKey};
use crate::event::{StoredRecord, StreamName};
use crate::group::{Backend, CommitError};
use crate::sequence::{CheckpointRef, Head, Loaded, Remembered, Rows, StreamRef, Wanted};
use crate::shard::{LogName, Shard, ShardCount};
use crate::store::FormerId;

/// How a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// It took no effect, and that is known.
    NotApplied,
    /// It took effect, and that is not known.
    UnknownApplied,
    /// It took effect, that is not known, and the next transaction cannot be
    /// opened, so that it cannot be looked up either.
    UnknownAppliedThenGone,
    /// It took no effect, and that is not known.
    UnknownNotApplied,
    /// A constraint was violated; it took no effect.
    Constraint,
}

#[derive(Clone)]
pub(super) struct Data {
    pub(super) logs: BTreeMap<LogName, Uuid>,
    /// Ids that logs had before they were restored.
    pub(super) former: BTreeMap<LogName, Vec<FormerId>>,
    pub(super) heads: BTreeMap<(LogName, Shard), Head>,
    pub(super) records: BTreeMap<(LogName, Shard), Vec<StoredRecord>>,
    /// Where the events of each stream are, by version.
    pub(super) streams: BTreeMap<StreamRef, Vec<(Shard, u64)>>,
    /// By id first, so that old ones are together.
    pub(super) commands: BTreeMap<(Uuid, LogName, String), Remembered>,
    pub(super) checkpoints: BTreeMap<CheckpointRef, Checkpoint>,
    pub(super) views: BTreeMap<RowKey, Bytes>,
    pub(super) faults: VecDeque<Option<CommitFault>>,
    /// How many transactions cannot be opened from now on.
    pub(super) unreadable: u32,
    /// Number of the writer that may commit: the one that opened last.
    pub(super) owner: u64,
}

impl Data {
    pub(super) fn new(logs: &[LogName], shards: ShardCount) -> Self {
        let logs: BTreeMap<_, _> = logs.iter().map(|log| (*log, Uuid::new_v4())).collect();
        let heads: BTreeMap<_, _> = logs
            .iter()
            .flat_map(|(log, id)| shards.all().map(|shard| ((*log, shard), Head::empty(*id))))
            .collect();
        Self {
            records: heads.keys().map(|key| (*key, Vec::new())).collect(),
            logs,
            former: BTreeMap::new(),
            heads,
            streams: BTreeMap::new(),
            commands: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            views: BTreeMap::new(),
            faults: VecDeque::new(),
            unreadable: 0,
            owner: 0,
        }
    }

    /// What a backup kept, under new ids.
    pub(super) fn restored(&self, shards: ShardCount, records_max: usize) -> Self {
        let logs: Vec<LogName> = self.logs.keys().copied().collect();
        let mut data = Self::new(&logs, shards);
        for (place, all) in &self.records {
            let kept = &all[..all.len().min(records_max)];
            if let Some(head) = data.heads.get_mut(place) {
                for record in kept {
                    head.frontier.push(record.leaf);
                    head.leaf = record.leaf;
                }
                head.recorded_at = self.heads[place].recorded_at;
            }
            data.records.insert(*place, kept.to_vec());
        }
        let kept = |log, place: &(Shard, u64)| {
            let records = &data.records[&(log, place.0)];
            usize::try_from(place.1).is_ok_and(|position| position < records.len())
        };
        for ((log, stream), places) in &self.streams {
            let places: Vec<_> = places
                .iter()
                .filter(|place| kept(*log, place))
                .copied()
                .collect();
            if !places.is_empty() {
                data.streams.insert((*log, stream.clone()), places);
            }
        }
        for (log, id) in &self.logs {
            let size = |shard| data.heads[&(*log, shard)].size();
            let ended = FormerId {
                log_id: *id,
                sizes: shards.all().map(size).collect(),
            };
            let former = self.former.get(log).into_iter().flatten().cloned();
            data.former.insert(*log, former.chain([ended]).collect());
        }
        data.views = self.views.clone();
        data.commands = self.commands.clone();
        data
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
                loaded
                    .versions
                    .insert(stream.clone(), places.len() as u64 - 1);
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
                self.records
                    .get(&place)
                    .map_or(0, |records| records.len() as u64)
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
            self.records
                .entry(place)
                .or_default()
                .push(row.record.clone());
            let stream = self
                .streams
                .entry((row.log, row.stream.clone()))
                .or_default();
            stream.push((row.record.shard, row.record.position));
        }
        self.heads
            .extend(rows.heads.iter().map(|(key, head)| (*key, head.clone())));
        for ((log, department, id), remembered) in &rows.commands {
            self.commands
                .insert((*id, *log, department.clone()), remembered.clone());
        }
        self.checkpoints.extend(
            rows.checkpoints
                .iter()
                .map(|(key, checkpoint)| (*key, checkpoint.clone())),
        );
        for (row, value) in &rows.views {
            match value {
                Some(value) => self.views.insert(row.clone(), value.clone()),
                None => self.views.remove(row),
            };
        }
    }
}

pub(super) fn lock(data: &Mutex<Data>) -> MutexGuard<'_, Data> {
    data.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct MemoryBackend {
    pub(super) data: Arc<Mutex<Data>>,
    pub(super) owner: u64,
}

impl Backend for MemoryBackend {
    async fn begin(&mut self, wanted: &Wanted) -> Result<Loaded, BoxError> {
        let mut data = lock(&self.data);
        if let Some(left) = data.unreadable.checked_sub(1) {
            data.unreadable = left;
            return Err("injected".into());
        }
        data.load(wanted)
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
            Some(fault @ (CommitFault::UnknownApplied | CommitFault::UnknownAppliedThenGone)) => {
                data.unreadable = u32::from(fault == CommitFault::UnknownAppliedThenGone);
                data.verify_constraints(rows)
                    .map_err(CommitError::Constraint)?;
                data.apply(rows);
                Err(CommitError::Unknown("injected".into()))
            }
            None => {
                data.verify_constraints(rows)
                    .map_err(CommitError::Constraint)?;
                data.apply(rows);
                Ok(())
            }
        }
    }

    async fn rollback(&mut self) {}
}
