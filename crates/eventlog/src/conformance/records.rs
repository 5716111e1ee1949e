//! Cases on the bytes of records and what is proved over them.

use std::collections::HashSet;

use bytes::Bytes;
use jiff::SignedDuration;
use uuid::Uuid;

use super::bench::{Bench, LOG, OTHER, decode, name};
use crate::append::Append;
use crate::append::ExpectedVersion::Any;
use crate::clock::Clock as _;
use crate::cursor::resume;
use crate::event::uuid_bytes;
use crate::group::GroupOptions;
use crate::merkle::{Frontier, leaf_hash};
use crate::pb;
use crate::sequence::Head;
use crate::verify::verify_shard;

/// Enough for every shard to have some.
const STREAMS: usize = 20;

/// Some events on every shard.
async fn fill(bench: &Bench) {
    for round in 0..5 {
        let appends = (0..STREAMS).map(|n| bench.many(&format!("s{n}"), Any, 1 + (n + round) % 3));
        bench.append_all(appends.collect()).await;
    }
}

pub(super) async fn record_bytes_are_the_same_everywhere(mut bench: Bench) {
    fill(&bench).await;
    let shard = bench.shard("s1");
    let first = bench.records(LOG, shard).await;
    assert!(first.len() >= 5);
    // From memory, from the store, and from the store opened again.
    for _ in 0..2 {
        let group = GroupOptions {
            tail_records_max: 1,
            ..GroupOptions::default()
        };
        bench.reopen_with(group).await;
        assert_eq!(bench.records(LOG, shard).await, first);
    }
    for stream in (0..STREAMS).map(|n| format!("s{n}")) {
        let history = bench.store().read_streams(LOG, &[name(&stream)]).await;
        let history = history.expect("the store can be read").remove(0);
        let records = bench.records(LOG, bench.shard(&stream)).await;
        let of_stream = records
            .into_iter()
            .filter(|record| decode(LOG, record).envelope.stream_id == stream);
        assert_eq!(history, of_stream.collect::<Vec<_>>(), "{stream}");
    }
    for record in &first {
        let decoded = decode(LOG, record);
        assert_eq!(
            (decoded.shard, decoded.position),
            (record.shard, record.position)
        );
        let inside = <crate::pb::Record as prost::Message>::decode(record.bytes.clone());
        let inside = inside.expect("what was stored can be decoded");
        assert_eq!(
            (inside.shard, inside.position),
            (u32::from(shard.0), record.position)
        );
    }
}

pub(super) async fn recorded_at_never_goes_back(mut bench: Bench) {
    let shard = bench.shard("s");
    let append = || bench.one("s", Any);
    let start = bench
        .append(append())
        .await
        .expect("any version is right")
        .last;
    let start = start.expect("an event").recorded_at;
    let hour = SignedDuration::from_hours(1);
    bench.clock.set(start - hour);
    let back = bench
        .append(append())
        .await
        .expect("any version is right")
        .last;
    assert_eq!(
        back.expect("an event").recorded_at,
        start,
        "the later of now and the previous"
    );
    bench.crash().await;
    let append = || bench.one("s", Any);
    let back = bench
        .append(append())
        .await
        .expect("any version is right")
        .last;
    assert_eq!(
        back.expect("an event").recorded_at,
        start,
        "also when opened again"
    );
    let elsewhere = Append {
        log: OTHER,
        ..append()
    };
    let elsewhere = bench
        .append(elsewhere)
        .await
        .expect("any version is right")
        .last;
    assert!(
        elsewhere.expect("an event").recorded_at < start,
        "each shard has its own time"
    );
    bench.clock.set(start + hour);
    let ahead = bench
        .append(append())
        .await
        .expect("any version is right")
        .last;
    assert!(ahead.expect("an event").recorded_at > start + hour);
    assert!(ahead.expect("an event").recorded_at <= bench.clock.wall());
    let records = bench.records(LOG, shard).await;
    let times: Vec<_> = records
        .iter()
        .map(|record| decode(LOG, record).recorded_at)
        .collect();
    assert!(times.is_sorted());
    let head = &bench
        .store()
        .heads(LOG)
        .await
        .expect("the store can be read")[usize::from(shard.0)];
    assert_eq!(Some(&head.recorded_at), times.last());
}

pub(super) async fn merkle_root_matches_leaves(mut bench: Bench) {
    for _ in 0..3 {
        fill(&bench).await;
        let heads = bench
            .store()
            .heads(LOG)
            .await
            .expect("the store can be read");
        assert_eq!(heads.len(), bench.shards().count());
        for (shard, head) in bench.shards().zip(heads) {
            let records = bench.records(LOG, shard).await;
            let mut tree = Frontier::default();
            for record in &records {
                tree.push(record.leaf);
            }
            assert_eq!(head.frontier, tree);
            assert_eq!(head.frontier.root(), tree.root());
            assert_eq!(head.size(), records.len() as u64);
            let last = records.last().expect("every shard has records");
            assert_eq!(head.leaf, last.leaf);
            assert_eq!(head.recorded_at, decode(LOG, last).recorded_at);
        }
        bench.crash().await;
    }
    for head in bench
        .store()
        .heads(OTHER)
        .await
        .expect("the store can be read")
    {
        assert_eq!((head.size(), head.leaf), (0, [0; 32]));
    }
}

pub(super) async fn leaf_is_hash_of_bytes(mut bench: Bench) {
    fill(&bench).await;
    for _ in 0..2 {
        for shard in bench.shards() {
            let records = bench.records(LOG, shard).await;
            assert!(!records.is_empty());
            for record in records {
                assert_eq!(record.leaf, leaf_hash(&record.bytes));
            }
        }
        bench.crash().await;
    }
    let last = bench
        .append(bench.one("s0", Any))
        .await
        .expect("any version is right");
    let last = last.last.expect("an event");
    let read = bench
        .store()
        .read(LOG, bench.shard("s0"), last.position, 1)
        .await;
    let read = read.expect("the store can be read").remove(0);
    assert_eq!(read.leaf, last.leaf);
    assert_eq!(decode(LOG, &read).recorded_at, last.recorded_at);
}

pub(super) async fn log_id_is_kept(mut bench: Bench) {
    let ids = async |bench: &Bench, log| {
        let heads = bench
            .store()
            .heads(log)
            .await
            .expect("the store can be read");
        let mut ids: Vec<_> = heads.iter().map(|head| head.log_id).collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "one id for all shards");
        ids.remove(0)
    };
    let (one, other) = (ids(&bench, LOG).await, ids(&bench, OTHER).await);
    assert_ne!(one, other);
    assert!(!one.is_nil());
    let answer = bench
        .append(bench.one("s", Any))
        .await
        .expect("any version is right");
    assert_eq!(answer.log_id, one);
    let records = bench.records(LOG, bench.shard("s")).await;
    assert_eq!(decode(LOG, &records[0]).log_id, one);
    bench.crash().await;
    assert_eq!(
        (ids(&bench, LOG).await, ids(&bench, OTHER).await),
        (one, other)
    );
}

pub(super) async fn a_restored_log_has_another_id_from_there_on(mut bench: Bench) {
    let mut ids = Vec::new();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let head = bench.store().heads(LOG).await.expect("it can be read");
        ids.push(head[0].log_id);
        fill(&bench).await;
        let heads = bench.store().heads(LOG).await.expect("it can be read");
        sizes.push(heads.iter().map(Head::size).collect::<Vec<_>>());
        bench.restore().await;
    }
    fill(&bench).await;
    let former = bench.store().former_ids(LOG).await.expect("they are kept");
    let kept: Vec<Uuid> = former.iter().map(|id| id.log_id).collect();
    assert_eq!(kept, ids, "the oldest first");
    let kept: Vec<Vec<u64>> = former.iter().map(|id| id.sizes.clone()).collect();
    assert_eq!(kept, sizes);
    let heads = bench.store().heads(LOG).await.expect("it can be read");
    ids.push(heads[0].log_id);
    let distinct: HashSet<&Uuid> = ids.iter().collect();
    assert_eq!(distinct.len(), 4, "each time another one");
    for (shard, head) in bench.shards().zip(heads) {
        let place = usize::from(shard.0);
        let records = bench.records(LOG, shard).await;
        for record in &records {
            let of = sizes
                .iter()
                .take_while(|size| record.position >= size[place]);
            assert_eq!(decode(LOG, record).log_id, ids[of.count()]);
        }
        // Places of before are places still, those of a log that it never was are not.
        for record in [&records[0], records.last().expect("some")] {
            for (leaf, resumes) in [(record.leaf, true), ([7; 32], false)] {
                let cursor = pb::Cursor {
                    log_id: uuid_bytes(ids[0]),
                    shards: vec![pb::ShardCursor {
                        shard: u32::from(shard.0),
                        position: record.position,
                        leaf_hash: Bytes::copy_from_slice(&leaf),
                        ..Default::default()
                    }],
                };
                let resumed = resume(&**bench.store(), LOG, Some(&cursor)).await;
                assert_eq!(resumed.is_ok(), resumes, "{resumed:?}");
            }
        }
        let verified = verify_shard(&**bench.store(), LOG, shard, head).await;
        let (_, faults) = verified.expect("it can be read");
        assert_eq!(faults, []);
    }
}
