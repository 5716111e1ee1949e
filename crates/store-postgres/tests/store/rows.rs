//! Batches of many rows, and reads that nobody waits for.

use std::time::Duration;

use jiff::Timestamp;
use tally_eventlog::append::Append;
use tally_eventlog::lease::Leases as _;
use tally_eventlog::store::{EventStore as _, LogSource as _};
use uuid::Uuid;

use crate::common::own::OwnDatabase;
use crate::common::{LOG, SHARD, Schema, append, command, stream};
use tally_store_postgres::{PostgresOptions, PostgresStore};

#[tokio::test]
async fn old_commands_are_forgotten_in_chunks() {
    let schema = Schema::with_store().await;
    let (store, other) = (schema.open().await, schema.open().await);
    let at = |second| Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, second, 0));
    let old: Vec<Append> = (0..2_500).map(|n| command(at(1_000 + n))).collect();
    let keys: Vec<_> = old
        .iter()
        .filter_map(|append| append.command.clone())
        .collect();
    assert!(store.append(old).await.iter().all(Result::is_ok));
    let boundary = Timestamp::from_second(1_000 + 2_400).expect("a timestamp");
    let boundary = tally_eventlog::ids::first_at(boundary);
    // Both processes do it when the day is over.
    let (one, two) = tokio::join!(
        store.forget_commands(boundary),
        other.forget_commands(boundary)
    );
    assert_eq!(one.expect("forgotten") + two.expect("forgotten"), 2_400);
    let left = store.remembered(LOG, &keys).await.expect("it reads");
    assert_eq!(left.iter().filter(|found| found.is_some()).count(), 100);
    assert!(left[2_399].is_none() && left[2_400].is_some());
}

#[tokio::test]
async fn reads_that_nobody_polls_hold_no_connection() {
    let schema = Schema::with_store().await;
    let store = schema.open().await;
    append(&store, command(Uuid::now_v7())).await;
    let streams = [stream(Uuid::nil())];
    // More of them than there are connections.
    let mut resting: Vec<_> = (0..8).map(|_| store.read_streams(LOG, &streams)).collect();
    let mut reads: Vec<_> = (0..8)
        .map(|_| store.read_durable(LOG, SHARD, 0, 9))
        .collect();
    for read in &mut resting {
        assert!(futures::poll!(read).is_pending());
    }
    for read in &mut reads {
        assert!(futures::poll!(read).is_pending());
    }
    let histories = store.read_streams(LOG, &streams).await;
    assert_eq!(histories.expect("a connection was free"), [[]]);
    for read in reads {
        assert_eq!(read.await.expect("done meanwhile").len(), 1);
    }
    for read in resting {
        read.await.expect("done meanwhile");
    }
}

#[tokio::test]
async fn a_role_that_may_do_nothing_else_suffices() {
    let own = OwnDatabase::create().await;
    PostgresStore::migrate(&own.database, &Schema::migrate_options())
        .await
        .expect("it owns the database");
    let clock = std::sync::Arc::new(tally_eventlog::clock::SystemClock::default());
    let options = Schema::migrate_options();
    let options = PostgresOptions::new(own.database.clone(), options.logs, options.shards, clock);
    let store = PostgresStore::open(options).await.expect("it opens");
    append(&store, command(Uuid::now_v7())).await;
    assert_eq!(
        store
            .read_durable(LOG, SHARD, 0, 9)
            .await
            .expect("it reads")
            .len(),
        1
    );
}

#[tokio::test]
async fn long_reads_hold_up_neither_leases_nor_the_tail() {
    let schema = Schema::with_store().await;
    let (store, other) = (schema.open().await, schema.open().await);
    // All connections for reading wait for a table.
    let mut server = schema.connect().await;
    sqlx::raw_sql("BEGIN; LOCK TABLE view_name")
        .execute(&mut server)
        .await
        .expect("locked");
    let mut waiting: Vec<_> = (0..8)
        .map(|_| store.scan("test.view", SHARD, &[], None, 1))
        .collect();
    for read in &mut waiting {
        assert!(futures::poll!(read).is_pending());
    }
    append(&other, command(Uuid::now_v7())).await;
    let mut size = store.watch(LOG, SHARD);
    size.wait_for(|size| *size == 1).await.expect("it is open");
    let wanted = [("test", SHARD)];
    let lease = store.acquire(Uuid::nil(), &wanted, Duration::from_secs(9));
    assert_eq!(lease.await.expect("it answers").len(), 1);
    append(&store, command(Uuid::now_v7())).await;
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut server)
        .await
        .expect("let go");
    for read in waiting {
        assert!(read.await.expect("it reads").is_empty());
    }
}
