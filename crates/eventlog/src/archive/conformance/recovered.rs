//! The case on what a topic still has after a backup.

use std::sync::Arc;

use uuid::Uuid;

use super::super::{Counted, Recovered, Tail, TailRecords};
use super::cases::same_records;
use super::{ArchiveFixture, append, archive, fill, setup, tempfile};
use crate::BoxError;
use crate::append::{Append, ExpectedVersion, StreamAppend};
use crate::conformance::Setup;
use crate::conformance::bench::{LOG, OTHER, bounded, command, event, name};
use crate::event::{EventContext, StoredRecord};
use crate::pb;
use crate::shard::{LogName, Shard};
use crate::store::EventStore;

/// What a topic has of a log.
struct Topic {
    log_id: Uuid,
    records: Vec<StoredRecord>,
}

impl Tail for Topic {
    fn records(
        &self,
        log: LogName,
        log_id: Uuid,
        shard: Shard,
        from: u64,
    ) -> Result<TailRecords, BoxError> {
        let there = log == LOG && log_id == self.log_id;
        let records = self.records.iter().filter(|_| there);
        let records = records.filter(|record| record.shard == shard && record.position >= from);
        let records: Vec<_> = records.cloned().map(Ok).collect();
        Ok(Box::new(records.into_iter()))
    }
}

/// A command of two events on a stream of its own.
fn commanded(setup: &Setup, n: u8) -> Append {
    let stream = format!("commanded {n}");
    let key = command("department", 2, n);
    let event = |text: &str| {
        let mut event = event(text);
        event.context = Arc::new(EventContext {
            actor: pb::Actor {
                department: "department".to_owned(),
                ..Default::default()
            },
            command_id: key.id,
            ..(*event.context).clone()
        });
        event
    };
    Append {
        command: Some(key.clone()),
        streams: vec![StreamAppend {
            stream: name(&stream),
            expected: ExpectedVersion::NoStream,
            events: vec![event("first"), event("second")],
        }],
        ..Append::to(LOG, setup.shards.of(&stream))
    }
}

async fn records(setup: &Setup, store: &Arc<dyn EventStore>) -> Vec<StoredRecord> {
    let mut all = Vec::new();
    for shard in setup.shards.all() {
        let records = store.read_durable(LOG, shard, 0, 10_000).await;
        all.extend(records.expect("it can be read"));
    }
    all
}

/// Case.
pub async fn what_a_topic_has_after_a_backup_is_recovered<F: ArchiveFixture>() {
    bounded(async {
        let (setup, dir) = (setup(), tempfile());
        let mut from = F::create().await;
        let store = from.open(&setup).await;
        fill(&setup, &store).await;
        append(&store, commanded(&setup, 0)).await;
        let kept = archive(&mut *from.source(&setup).await, &dir.join("a")).await;
        // More than goes into one part.
        for n in 1..=250 {
            append(&store, commanded(&setup, n)).await;
        }
        // What another command did on account of one, here and in the archive.
        for (n, of) in [(1, 0), (2, 100)] {
            let mut caused = commanded(&setup, 255);
            caused.command = None;
            caused.streams[0].stream = name(&format!("caused {n}"));
            caused.shard = setup.shards.of(&format!("caused {n}"));
            for event in &mut caused.streams[0].events {
                event.context = commanded(&setup, of).streams[0].events[0].context.clone();
            }
            append(&store, caused).await;
        }
        let heads = store.heads(LOG).await.expect("it can be read");
        let topic = Arc::new(Topic {
            log_id: heads[0].log_id,
            records: records(&setup, &store).await,
        });

        let mut to = F::create().await;
        let parts = kept.parts(&[LOG, OTHER]).expect("it has them");
        let mut parts = Counted::new(Recovered::new(parts, topic));
        let mut target = to.target(&setup).await;
        target.load(&mut parts).await.expect("it loads");
        drop(target);
        let content = parts.finish().expect("it verifies");
        assert_eq!(content.logs[&LOG].records(), 200 + 253 * 2);
        assert_eq!(content.commands.items, 41 + 251);
        let again = to.open(&setup).await;
        same_records(&setup, &store, &again).await;
        for n in [0, 1, 100, 250] {
            let answer = again.append(vec![commanded(&setup, n)]).await.remove(0);
            let answer = answer.expect("it was applied");
            let first = store.append(vec![commanded(&setup, n)]).await.remove(0);
            let first = first.expect("it was applied");
            assert!(answer.repeated && first.repeated, "{answer:?}");
            assert_eq!(answer.log_id, first.log_id);
            // Which of two shards it names where its events are on both is open.
            if n != 100 {
                assert_eq!(answer.last, first.last);
            }
        }
        append(&again, commanded(&setup, 251)).await;
    })
    .await;
}
