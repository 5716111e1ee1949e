use std::time::Duration;

use bytes::Bytes;
use futures::{TryStream, TryStreamExt as _};
use tally_eventlog::append::{Append, CommandKey, ExpectedVersion, StreamAppend};
use tally_eventlog::clock::{Clock, SystemClock};
use tally_eventlog::event::{EventContext, NewEvent};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::memory::MemoryStore;
use tally_eventlog::pb::Actor;
use tally_eventlog::shard::ShardCount;

use super::*;

const LOG: LogName = LogName("collection");

/// Tells of the records about one subject, and where it is in between.
struct About(&'static str);

#[derive(Debug, Clone, PartialEq)]
enum Told {
    Item(String, ShardCursor),
    Checkpoint(ShardCursor),
}

impl Told {
    fn cursor(&self) -> ShardCursor {
        match self {
            Told::Item(_, cursor) | Told::Checkpoint(cursor) => cursor.clone(),
        }
    }
}

impl Selection for About {
    type Item = Told;

    async fn items(&mut self, records: Vec<Recorded>) -> Result<Vec<(u64, Told)>, Fault> {
        let told = records.iter().filter(|it| it.envelope.subject == self.0);
        let item = |it: &Recorded| {
            let told = Told::Item(it.envelope.stream_id.clone(), Mark::of(it).cursor());
            (it.position, told)
        };
        Ok(told.map(item).collect())
    }

    fn checkpoint(&mut self, at: &Mark) -> Option<Told> {
        Some(Told::Checkpoint(at.cursor()))
    }
}

async fn store() -> Arc<MemoryStore> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let shards = ShardCount::new(2).expect("in range");
    let options = GroupOptions::default();
    Arc::new(MemoryStore::open(&[LOG], shards, clock, options, None))
}

/// Appends so many records about a subject to a shard, a stream each.
async fn append(store: &MemoryStore, shard: u16, subject: &str, count: usize) {
    let id = Uuid::now_v7();
    let context = Arc::new(EventContext {
        actor: Actor::default(),
        pack_version: String::new(),
        command_id: id,
        causation_id: id,
        correlation_id: id,
        traceparent: String::new(),
    });
    let stream = |n: usize| StreamAppend {
        stream: StreamName::new("record", format!("{subject} {id} {n}")),
        expected: ExpectedVersion::NoStream,
        events: vec![NewEvent {
            event_id: Uuid::now_v7(),
            event_type: "test",
            subject: subject.to_owned(),
            payload: Bytes::new(),
            effective_at: Timestamp::UNIX_EPOCH,
            context: context.clone(),
            legal_basis: None,
        }],
    };
    let append = Append {
        streams: (0..count).map(stream).collect(),
        command: Some(CommandKey {
            department: String::new(),
            id,
            digest: [0; 32],
        }),
        ..Append::to(LOG, Shard(shard))
    };
    for result in store.append(vec![append]).await {
        result.expect("appended");
    }
}

async fn told(store: &Arc<MemoryStore>, cursor: Option<&Cursor>) -> Vec<Told> {
    let source: Arc<dyn LogSource> = store.clone();
    let items = follow(source, LOG, About("a"), cursor, true).await;
    let items = items.expect("a cursor of this log");
    items.try_collect().await.expect("no fault")
}

async fn cursor_after(store: &MemoryStore, told: &[Told]) -> Cursor {
    let heads = store.heads(LOG).await.expect("read");
    let mut shards: HashMap<u32, ShardCursor> = HashMap::new();
    for cursor in told.iter().map(Told::cursor) {
        shards.insert(cursor.shard, cursor);
    }
    Cursor {
        log_id: uuid_bytes(heads[0].log_id),
        shards: shards.into_values().collect(),
    }
}

fn items(told: &[Told]) -> usize {
    told.iter()
        .filter(|it| matches!(it, Told::Item(..)))
        .count()
}

#[tokio::test]
async fn a_caller_far_from_its_items_is_told_where_it_is() {
    let store = store().await;
    append(&store, 0, "a", 1).await;
    append(&store, 0, "b", CHECKPOINT_EVERY as usize + 300).await;
    append(&store, 0, "a", 1).await;
    append(&store, 0, "b", 5).await;
    append(&store, 1, "b", 7).await;
    let told = told(&store, None).await;
    let shown: Vec<(bool, u32, u64)> = told
        .iter()
        .map(|it| {
            (
                matches!(it, Told::Item(..)),
                it.cursor().shard,
                it.cursor().position,
            )
        })
        .collect();
    let last = CHECKPOINT_EVERY + 301;
    assert_eq!(shown.len(), 5, "{shown:?}");
    assert_eq!(shown[0], (true, 0, 0));
    let (is_item, shard, position) = shown[1];
    assert!(!is_item && shard == 0, "{shown:?}");
    assert!((CHECKPOINT_EVERY..CHECKPOINT_EVERY + BATCH as u64).contains(&position));
    assert_eq!(shown[2], (true, 0, last));
    assert_eq!(
        shown[3..],
        [(false, 0, last + 5), (false, 1, 6)],
        "at the head"
    );
}

#[tokio::test]
async fn from_its_cursor_on_nothing_comes_twice_or_is_missed() {
    let store = store().await;
    for n in 0..3 {
        append(&store, n % 2, "a", 2).await;
        append(&store, n % 2, "b", 3).await;
    }
    let all = told(&store, None).await;
    assert_eq!(items(&all), 6);
    let cursor = cursor_after(&store, &all).await;
    assert_eq!(
        told(&store, Some(&cursor)).await,
        [],
        "not even a checkpoint"
    );
    append(&store, 1, "a", 1).await;
    let more = told(&store, Some(&cursor)).await;
    assert_eq!((more.len(), items(&more)), (1, 1));
    for taken in 0..all.len() {
        let cursor = cursor_after(&store, &all[..taken]).await;
        let rest = told(&store, Some(&cursor)).await;
        assert_eq!(items(&all[..taken]) + items(&rest), 7, "after {taken}");
    }
}

/// The next that a follower is told, if there is anything to tell.
async fn next(told: &mut (impl TryStream<Ok = Told, Error = Status> + Unpin)) -> Told {
    let next = tokio::time::timeout(Duration::from_secs(20), told.try_next());
    let next = next.await.expect("it is told something");
    next.expect("no fault").expect("the store is there")
}

#[tokio::test]
async fn at_the_head_a_checkpoint_follows_the_items_and_only_items() {
    let store = store().await;
    let source: Arc<dyn LogSource> = store.clone();
    let items = follow(source, LOG, About("a"), None, false).await;
    let mut told = Box::pin(items.expect("the beginning"));
    append(&store, 0, "a", 1).await;
    append(&store, 0, "b", 3).await;
    append(&store, 1, "b", 2).await;
    let place = |told: Told| {
        let cursor = told.cursor();
        (
            matches!(told, Told::Item(..)),
            cursor.shard,
            cursor.position,
        )
    };
    assert_eq!(place(next(&mut told).await), (true, 0, 0));
    // Where it stands is past what does not concern it, on each shard.
    assert_eq!(place(next(&mut told).await), (false, 0, 3));
    assert_eq!(place(next(&mut told).await), (false, 1, 1));
    // The item is the last of its shard: a checkpoint says all the same that there is no more.
    append(&store, 1, "a", 1).await;
    assert_eq!(place(next(&mut told).await), (true, 1, 2));
    assert!(!place(next(&mut told).await).0);
    // Who is told of nothing need not hear that there is nothing.
    append(&store, 0, "b", 1).await;
    assert!(told.try_next().now_or_never().is_none());
    append(&store, 0, "a", 1).await;
    assert_eq!(place(next(&mut told).await), (true, 0, 5));
}

#[test]
fn only_the_last_change_is_told() {
    assert_eq!(last_change(&0, &[]), None);
    assert_eq!(last_change(&0, &[0, 0]), None);
    assert_eq!(last_change(&0, &[1, 1]), Some(0));
    assert_eq!(last_change(&0, &[1, 2, 2]), Some(1));
    assert_eq!(last_change(&0, &[1, 0]), Some(1));
}
