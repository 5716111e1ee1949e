//! A memory store, archived and filled.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::data::{Data, lock};
use crate::append::RowKey;
use crate::archive::{
    ArchiveError, CheckpointPart, Found, LogPart, Part, Parts, RowPart, Sink, Source, StoreFacts,
    Target, counted, other_shards,
};
use crate::event::{Recorded, StreamName};
use crate::sequence::Head;
use crate::shard::ShardCount;

/// The content of a memory store, beside whoever works on it. What is loaded is seen
/// by a store that is opened on it afterwards.
pub struct MemoryArchive {
    pub(super) data: Arc<Mutex<Data>>,
    pub(super) shards: ShardCount,
}

#[async_trait]
impl Source for MemoryArchive {
    async fn read(&mut self, to: &mut dyn Sink) -> Result<(), ArchiveError> {
        // As of one moment: what is appended meanwhile is not in the copy.
        let data = lock(&self.data).clone();
        to.put(&Part::Store(StoreFacts {
            shards: self.shards,
            ahead: None,
        }))?;
        for (name, id) in &data.logs {
            let heads = self
                .shards
                .all()
                .map(|shard| data.heads[&(*name, shard)].clone());
            to.put(&Part::Log(LogPart {
                name: *name,
                id: *id,
                former: data.former.get(name).cloned().unwrap_or_default(),
                heads: heads.collect(),
            }))?;
        }
        for ((log, _), records) in &data.records {
            if to.wants(*log) && !records.is_empty() {
                to.put(&Part::Records(*log, records.clone()))?;
            }
        }
        let command = |((id, log, department), first): (&(_, _, String), &_)| {
            ((*log, department.clone(), *id), Clone::clone(first))
        };
        to.put(&Part::Commands(data.commands.iter().map(command).collect()))?;
        let checkpoints = data.checkpoints.iter();
        let checkpoints = checkpoints
            .map(|((consumer, shard), at)| CheckpointPart::new(consumer, *shard, at.clone()));
        to.put(&Part::Checkpoints(checkpoints.collect()))?;
        let rows = data.views.iter().map(|(row, value)| RowPart {
            view: row.view.to_owned(),
            shard: row.shard,
            key: row.key.clone(),
            value: value.clone(),
        });
        to.put(&Part::Rows(rows.collect()))
    }
}

#[async_trait]
impl Target for MemoryArchive {
    async fn found(&mut self, facts: &StoreFacts) -> Result<Found, ArchiveError> {
        let mut found = Found::default();
        if facts.shards != self.shards {
            found.misfits.push(other_shards(self.shards, facts.shards));
        }
        let data = lock(&self.data);
        let records: u64 = data.heads.values().map(Head::size).sum();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        found.there = counted(&[
            ("records", records.cast_signed()),
            ("remembered commands", count(data.commands.len())),
            ("checkpoints", count(data.checkpoints.len())),
            ("rows of views", count(data.views.len())),
        ]);
        Ok(found)
    }

    async fn load(&mut self, parts: &mut dyn Parts) -> Result<(), ArchiveError> {
        let mut data = Data::new(&[], self.shards);
        data.logs = lock(&self.data).logs.clone();
        while let Some(part) = parts.next()? {
            if let Part::Store(facts) = &part {
                self.found(facts).await?.refuse("the memory store")?;
            }
            load(&mut data, part)?;
        }
        let mut kept = lock(&self.data);
        data.owner = kept.owner;
        *kept = data;
        Ok(())
    }
}

fn load(data: &mut Data, part: Part) -> Result<(), ArchiveError> {
    match part {
        Part::Store(_) => {}
        Part::Log(log) => {
            for (shard, head) in (0..).map(crate::shard::Shard).zip(log.heads) {
                data.heads.insert((log.name, shard), head);
                data.records.insert((log.name, shard), Vec::new());
            }
            data.logs.insert(log.name, log.id);
            data.former.insert(log.name, log.former);
        }
        Part::Records(log, records) => {
            for record in records {
                let recorded = Recorded::decode(log, &record).map_err(ArchiveError::store)?;
                let envelope = recorded.envelope;
                let stream = StreamName::new(interned(&envelope.category), envelope.stream_id);
                let place = (record.shard, record.position);
                data.streams.entry((log, stream)).or_default().push(place);
                data.records
                    .entry((log, record.shard))
                    .or_default()
                    .push(record);
            }
        }
        Part::Commands(commands) => {
            let key = |((log, department, id), first)| ((id, log, department), first);
            data.commands.extend(commands.into_iter().map(key));
        }
        Part::Checkpoints(checkpoints) => {
            let entry =
                |one: CheckpointPart| ((interned(&one.consumer), one.shard), one.checkpoint);
            data.checkpoints.extend(checkpoints.into_iter().map(entry));
        }
        Part::Rows(rows) => {
            let entry = |row: RowPart| {
                let key = RowKey {
                    view: interned(&row.view),
                    shard: row.shard,
                    key: row.key,
                };
                (key, row.value)
            };
            data.views.extend(rows.into_iter().map(entry));
        }
    }
    Ok(())
}

/// Names are constants of the program everywhere else; an archive has them as text.
/// There are few, and each is kept once.
fn interned(name: &str) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name) {
        return known;
    }
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    names.insert(name);
    name
}
