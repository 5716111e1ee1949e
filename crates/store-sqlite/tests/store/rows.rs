//! Batches of many rows, and failures that stay alone.

use bytes::Bytes;
use jiff::Timestamp;
use tally_eventlog::append::{Append, AppendError, Outcome, RowKey, ViewWrite};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::shard::{LogName, Shard};
use tally_eventlog::store::{EventStore as _, LogSource as _};
use tally_store_sqlite::SqliteStore;
use uuid::Uuid;

use crate::common::{LOG, SHARD, append, command, open, options, stream};
use crate::{directory, tamper};

#[tokio::test]
async fn an_unknown_log_or_shard_fails_alone() {
    let directory = directory();
    let store = open(&directory.path().join("store.db")).await;
    let outcomes = store
        .append(vec![
            command(Uuid::now_v7()),
            Append::to(LogName("other"), SHARD),
            Append {
                shard: Shard(4),
                ..command(Uuid::now_v7())
            },
            command(Uuid::now_v7()),
        ])
        .await;
    let positions: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            outcome
                .as_ref()
                .ok()
                .and_then(|done| done.last)
                .map(|last| last.position)
        })
        .collect();
    assert_eq!(positions, [Some(0), None, None, Some(1)]);
    assert!(store.read(LogName("other"), SHARD, 0, 1).await.is_err());
}

#[tokio::test]
async fn a_constraint_fails_one_append_of_a_batch() {
    let directory = directory();
    let path = directory.path().join("store.db");
    let store = open(&path).await;
    let [first, broken, last] = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    append(&store, command(first)).await;
    // A row that the rules know nothing of: a bug would look like this.
    tamper(
        &path,
        "CREATE TRIGGER bug BEFORE INSERT ON command WHEN new.department = 'bug' \
         BEGIN SELECT raise(ABORT, 'bug'); END",
    )
    .await;
    let mut bug = command(broken);
    bug.command.as_mut().expect("a command").department = "bug".to_owned();
    let outcomes = store.append(vec![bug, command(last)]).await;
    assert!(matches!(
        outcomes[..],
        [
            Err(AppendError::Unavailable {
                outcome: Outcome::NotApplied,
                ..
            }),
            Ok(_)
        ]
    ));
    let streams = store
        .read_streams(LOG, &[stream(broken), stream(last)])
        .await
        .expect("it reads");
    assert_eq!(streams.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(store.heads(LOG).await.expect("heads")[1].size(), 2);
}

#[tokio::test]
async fn many_rows_are_written_found_and_deleted() {
    let directory = directory();
    let mut few = options(&directory.path().join("store.db"));
    few.group = GroupOptions {
        tail_records_max: 8,
        ..GroupOptions::default()
    };
    let store = SqliteStore::open(few).await.expect("it opens");
    let ids: Vec<Uuid> = (0..700).map(|_| Uuid::now_v7()).collect();
    let key = |n: u32| RowKey {
        view: "test.view",
        shard: SHARD,
        key: Bytes::copy_from_slice(&n.to_be_bytes()),
    };
    let mut writes = Append::to(LOG, SHARD);
    writes.views = (0..700)
        .map(|n| ViewWrite {
            row: key(n),
            value: Some(Bytes::copy_from_slice(&n.to_le_bytes())),
        })
        .collect();
    let mut batch: Vec<Append> = ids.iter().map(|id| command(*id)).collect();
    batch.push(writes);
    assert!(store.append(batch).await.iter().all(Result::is_ok));
    assert_eq!(
        store
            .read(LOG, SHARD, 0, 1_000)
            .await
            .expect("it reads")
            .len(),
        700
    );
    assert_eq!(
        store
            .read(LOG, SHARD, 690, 1_000)
            .await
            .expect("it reads")
            .len(),
        10
    );
    let streams: Vec<_> = ids.iter().map(|id| stream(*id)).collect();
    let found = store.read_streams(LOG, &streams).await.expect("it reads");
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(n, records)| records.len() == 1 && records[0].position == n as u64)
    );
    let again = store
        .append(ids.iter().map(|id| command(*id)).collect())
        .await;
    assert!(
        again
            .iter()
            .all(|outcome| outcome.as_ref().is_ok_and(|appended| appended.repeated))
    );

    let mut deletes = Append::to(LOG, SHARD);
    deletes.views = (0..690)
        .map(|n| ViewWrite {
            row: key(n),
            value: None,
        })
        .collect();
    append(&store, deletes).await;
    let keys: Vec<_> = (0..700).map(key).collect();
    let rows = store.rows(&keys).await.expect("rows");
    assert_eq!(rows.iter().filter(|row| row.is_some()).count(), 10);
    let scanned = store
        .scan("test.view", SHARD, &[], Some(&695_u32.to_be_bytes()), 3)
        .await;
    let scanned: Vec<Bytes> = scanned
        .expect("a scan")
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(
        scanned,
        [690_u32, 691, 692].map(|n| Bytes::copy_from_slice(&n.to_be_bytes()))
    );
    assert_eq!(
        store
            .scan("test.view", SHARD, &[], None, 100)
            .await
            .expect("a scan")
            .len(),
        10
    );
    assert_eq!(
        store
            .scan("no.view", SHARD, &[], None, 100)
            .await
            .expect("a scan")
            .len(),
        0
    );
}

#[tokio::test]
async fn old_commands_are_forgotten_in_chunks() {
    let directory = directory();
    let store = open(&directory.path().join("store.db")).await;
    let at = |second| Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, second, 0));
    let old: Vec<Append> = (0..1_500).map(|n| command(at(1_000 + n))).collect();
    let keys: Vec<_> = old
        .iter()
        .filter_map(|append| append.command.clone())
        .collect();
    assert!(store.append(old).await.iter().all(Result::is_ok));
    let boundary = Timestamp::from_second(1_000 + 1_400).expect("a timestamp");
    let boundary = tally_eventlog::ids::first_at(boundary);
    assert_eq!(
        store
            .forget_commands(boundary)
            .await
            .expect("they are forgotten"),
        1_400
    );
    let left = store.remembered(LOG, &keys).await.expect("it reads");
    assert_eq!(left.iter().filter(|found| found.is_some()).count(), 100);
    assert!(left[1_399].is_none() && left[1_400].is_some());
}
