//! Records lie in a partition a month, and are read as if they did not.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use tally_eventlog::append::{Append, ExpectedVersion, StreamAppend};
use tally_eventlog::archive::{Content, Source as _};
use tally_eventlog::conformance::TestClock;
use tally_eventlog::event::StreamName;
use tally_eventlog::group::GroupOptions;
use tally_eventlog::store::{EventStore as _, LogSource as _};
use tally_store_postgres::{PostgresOptions, PostgresSnapshot, PostgresStore};
use uuid::Uuid;

use crate::common::{LOG, SHARD, Schema, append, command, event, position, stream};

fn time(text: &str) -> Timestamp {
    text.parse().expect("a timestamp")
}

async fn open(schema: &Schema, clock: &Arc<TestClock>) -> PostgresStore {
    let options = PostgresOptions {
        clock: clock.clone(),
        // Everything is read from the database.
        group: GroupOptions {
            tail_records_max: 1,
            ..GroupOptions::default()
        },
        poll_interval: Duration::from_secs(3_600),
        listen: false,
        ..schema.options()
    };
    PostgresStore::open(options).await.expect("it opens")
}

/// An append to one and the same stream.
fn long_lived() -> Append {
    Append {
        streams: vec![StreamAppend {
            stream: StreamName::new("record", "long-lived"),
            expected: ExpectedVersion::Any,
            events: vec![event(Uuid::now_v7())],
        }],
        ..Append::to(LOG, SHARD)
    }
}

async fn positions(store: &PostgresStore, from: u64, limit: usize) -> Vec<u64> {
    let records = store.read_durable(LOG, SHARD, from, limit).await;
    let records = records.expect("it reads");
    records.iter().map(|record| record.position).collect()
}

/// The partitions that hold records, and how many.
async fn filled(schema: &Schema) -> Vec<(String, i64)> {
    let mut server = schema.connect().await;
    let rows = sqlx::query(
        "SELECT tableoid::regclass::text, count(*) FROM event GROUP BY 1 ORDER BY min(month)",
    );
    let rows = rows.fetch_all(&mut server).await.expect("they are counted");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[tokio::test]
async fn reads_go_over_the_end_of_a_month() {
    let schema = Schema::with_store().await;
    let clock = Arc::new(TestClock::default());
    let (store, other) = (open(&schema, &clock).await, open(&schema, &clock).await);
    let mut size = 0;
    for (at, appender) in [
        ("2026-11-30T23:59:59.9Z", &store),
        ("2026-12-01T00:00:00Z", &other),
        ("2027-01-31T12:00:00Z", &store),
        // A clock for tests goes anywhere.
        ("2090-06-15T12:00:00Z", &other),
        ("2090-07-01T00:00:00Z", &store),
    ] {
        clock.set(time(at));
        for _ in 0..3 {
            append(appender, long_lived()).await;
            size += 1;
        }
        for reader in [&store, &other] {
            for from in 0..=size {
                let expected: Vec<u64> = (from..size).collect();
                assert_eq!(positions(reader, from, 100).await, expected, "{at}");
                let few: Vec<u64> = expected.into_iter().take(4).collect();
                assert_eq!(positions(reader, from, 4).await, few, "{at}");
            }
        }
    }
    let name = StreamName::new("record", "long-lived");
    let again = open(&schema, &clock).await;
    for store in [&store, &other, &again] {
        let history = store
            .read_streams(LOG, &[name.clone(), stream(Uuid::nil())])
            .await;
        let history = history.expect("it reads");
        let found: Vec<u64> = history[0].iter().map(|record| record.position).collect();
        assert_eq!(found, (0..size).collect::<Vec<_>>());
        assert!(history[1].is_empty());
    }
    let months = ["2026_11", "2026_12", "2027_01", "2090_06", "2090_07"];
    let expected: Vec<_> = months
        .iter()
        .map(|month| (format!("event_{month}"), 3))
        .collect();
    assert_eq!(filled(&schema).await, expected);
}

#[tokio::test]
async fn a_batch_may_reach_two_months() {
    // Within a batch the clock stands still; the head alone can be ahead of it.
    let schema = Schema::with_store().await;
    let clock = Arc::new(TestClock::default());
    let store = open(&schema, &clock).await;
    clock.set(time("2026-12-01T00:00:00Z"));
    append(&store, long_lived()).await;
    clock.set(time("2026-11-30T00:00:00Z"));
    let elsewhere = || Append {
        shard: tally_eventlog::shard::Shard(2),
        ..command(Uuid::now_v7())
    };
    let outcomes = store
        .append(vec![elsewhere(), long_lived(), elsewhere()])
        .await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(positions(&store, 0, 10).await, [0, 1]);
    let expected = [
        ("event_2026_11".to_owned(), 2),
        ("event_2026_12".to_owned(), 2),
    ];
    assert_eq!(filled(&schema).await, expected);
}

#[tokio::test]
async fn a_time_that_a_guard_has_moved_into_the_next_month_hides_no_record() {
    use tally_eventlog::append::HeadGuard;

    let schema = Schema::with_store().await;
    let clock = Arc::new(TestClock::default());
    let store = open(&schema, &clock).await;
    clock.set(time("2026-11-30T00:00:00Z"));
    append(&store, long_lived()).await;
    // Whatever comes to the log that was relied on comes after this record, which
    // is of December, while the log's own last one is of November.
    clock.set(time("2026-12-05T00:00:00Z"));
    let relying = Append {
        log: crate::common::OTHER,
        heads: vec![HeadGuard {
            log: LOG,
            shard: SHARD,
            size: 1,
        }],
        ..command(Uuid::now_v7())
    };
    append(&store, relying).await;
    let again = open(&schema, &clock).await;
    append(&again, long_lived()).await;
    for store in [&store, &again] {
        assert_eq!(positions(store, 0, 10).await, [0, 1]);
    }
}

#[tokio::test]
async fn processes_that_reach_a_month_at_once_make_one_partition() {
    let schema = Schema::with_store().await;
    let clock = Arc::new(TestClock::default());
    let stores = [
        open(&schema, &clock).await,
        open(&schema, &clock).await,
        open(&schema, &clock).await,
    ];
    for (n, at) in (0_u64..).zip([
        "2027-01-01T00:00:00Z",
        "2028-03-01T00:00:00Z",
        "2029-05-01T00:00:00Z",
    ]) {
        clock.set(time(at));
        let appends = stores.iter().map(|store| append(store, long_lived()));
        let appended = futures::future::join_all(appends).await;
        let mut places: Vec<u64> = appended.iter().map(position).collect();
        places.sort_unstable();
        assert_eq!(places, [3 * n, 3 * n + 1, 3 * n + 2]);
    }
    assert_eq!(filled(&schema).await.len(), 3);
}

#[tokio::test]
async fn an_old_month_can_be_taken_away_and_put_back() {
    let schema = Schema::with_store().await;
    let clock = Arc::new(TestClock::default());
    let store = open(&schema, &clock).await;
    for at in [
        "2026-01-10T00:00:00Z",
        "2026-02-10T00:00:00Z",
        "2026-03-10T00:00:00Z",
    ] {
        clock.set(time(at));
        append(&store, long_lived()).await;
    }
    let heads = store.heads(LOG).await.expect("heads");
    schema
        .run("ALTER TABLE event DETACH PARTITION event_2026_01")
        .await;
    let store = open(&schema, &clock).await;
    let attach = "attach it again: ALTER TABLE event ATTACH PARTITION \"event_2026_01\"";
    let error = store
        .read_durable(LOG, SHARD, 0, 10)
        .await
        .expect_err("it is away")
        .to_string();
    assert!(error.contains("collection/1/0 is missing"), "{error}");
    assert!(error.contains(attach), "{error}");
    // Nobody decides on a part of a stream.
    let name = StreamName::new("record", "long-lived");
    let error = store.read_streams(LOG, std::slice::from_ref(&name)).await;
    let error = error.expect_err("part of it is away").to_string();
    assert!(error.contains(attach), "{error}");
    assert_eq!(positions(&store, 1, 10).await, [1, 2], "the rest is there");
    // A backup holds all records or is none.
    let logs = [LOG, crate::common::OTHER];
    let snapshot = PostgresSnapshot::open(&schema.database, &logs).await;
    let error = snapshot
        .expect("it opens")
        .read(&mut Content::default())
        .await;
    let error = error.expect_err("a month is away").to_string();
    assert!(error.contains(attach), "{error}");
    append(&store, long_lived()).await;
    let month = 12 * 2026;
    let text = format!(
        "ALTER TABLE event ATTACH PARTITION event_2026_01 FOR VALUES FROM ({month}) TO ({})",
        month + 1
    );
    schema.run(&text).await;
    assert_eq!(positions(&store, 0, 10).await, [0, 1, 2, 3]);
    assert_eq!(store.heads(LOG).await.expect("heads")[0], heads[0]);
    let history = store.read_streams(LOG, &[name]).await;
    assert_eq!(history.expect("it is whole")[0].len(), 4);
    // A month that it still appends to says what is wrong.
    schema
        .run("ALTER TABLE event DETACH PARTITION event_2026_04")
        .await;
    clock.set(time("2026-04-10T00:00:00Z"));
    let store = open(&schema, &clock).await;
    let error = store
        .append(vec![long_lived()])
        .await
        .remove(0)
        .expect_err("refused");
    assert!(error.to_string().contains("attach it again"), "{error}");
}

#[tokio::test]
async fn a_shard_that_rests_may_have_all_its_records_away() {
    let schema = Schema::with_store().await;
    let clock = Arc::new(TestClock::default());
    let store = open(&schema, &clock).await;
    clock.set(time("2026-01-10T00:00:00Z"));
    append(&store, long_lived()).await;
    schema
        .run("ALTER TABLE event DETACH PARTITION event_2026_01")
        .await;
    clock.set(time("2026-05-10T00:00:00Z"));
    let store = open(&schema, &clock).await;
    append(&store, long_lived()).await;
    assert_eq!(positions(&store, 1, 10).await, [1]);
}
