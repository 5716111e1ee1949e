//! Several processes on one store.

mod common;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use common::{LOG, Process, SHARD, Schema, append, command, event, position, stream};
use tally_eventlog::append::{
    Append, AppendError, Checkpoint, CheckpointMove, ExpectedVersion, Outcome, StreamAppend,
};
use tally_eventlog::conformance::TestClock;
use tally_eventlog::event::{Recorded, StreamName};
use tally_eventlog::group::GroupOptions;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::{EventStore as _, LogSource as _};
use tally_store_postgres::{Limits, PostgresOptions, PostgresStore};
use uuid::Uuid;

/// Longer than any test: what is noticed sooner was not noticed by polling.
const NEVER: Duration = Duration::from_secs(3_600);

/// Ends what hangs.
async fn bounded<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work)
        .await
        .expect("it hangs")
}

/// The payloads of a shard's first records, read as they come.
async fn follow(store: Arc<PostgresStore>, shard: Shard, size: u64) -> Vec<Uuid> {
    let mut sizes = store.watch(LOG, shard);
    let mut ids = Vec::new();
    let mut told = 0;
    while (ids.len() as u64) < size {
        let next = ids.len() as u64;
        let now = *sizes
            .wait_for(|size| *size > next)
            .await
            .expect("the store is open");
        assert!(now >= told, "a size went back from {told} to {now}");
        told = now;
        // A connection may have been cut; then the same is read again.
        let records = match store.read(LOG, shard, next, 7).await {
            Ok(records) => records,
            Err(error) if error.to_string().contains("missing") => panic!("{error}"),
            Err(_) => continue,
        };
        assert!(!records.is_empty(), "{next} of {now} cannot be read");
        for record in records {
            assert_eq!(record.position, ids.len() as u64, "a gap in shard {shard}");
            let recorded = Recorded::decode(LOG, &record).expect("a record");
            ids.push(Uuid::from_slice(&recorded.envelope.payload).expect("an id"));
        }
    }
    ids
}

async fn append_from_both(listen: bool, poll_interval: Duration) {
    const WRITERS: u64 = 6;
    const APPENDS: u64 = 40;
    let schema = Schema::with_store().await;
    let options = || PostgresOptions {
        listen,
        poll_interval,
        // Readers change between memory and database.
        group: GroupOptions {
            tail_records_max: 9,
            batch_appends_max: 5,
            ..GroupOptions::default()
        },
        ..schema.options()
    };
    let processes = [
        Process::start(options()).await,
        Process::start(options()).await,
    ];
    let total = 2 * WRITERS * APPENDS / 4;
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for process in &processes {
        let store = &process.store;
        for shard in store.shards().all() {
            readers.push(process.spawn(follow(store.clone(), shard, total)));
        }
        for _ in 0..WRITERS {
            let store = store.clone();
            writers.push(process.spawn(async move {
                let mut written = Vec::new();
                for n in 0..APPENDS {
                    let id = Uuid::now_v7();
                    let shard = Shard((n % 4) as u16);
                    // A stream of its own, and one that all of them append to.
                    let mut one = Append {
                        shard,
                        ..command(id)
                    };
                    if n % 8 < 4 {
                        one.streams = vec![StreamAppend {
                            stream: StreamName::new("shared", shard.to_string()),
                            expected: ExpectedVersion::Any,
                            events: vec![event(id)],
                        }];
                    }
                    append(&store, one).await;
                    written.push(id);
                }
                written
            }));
        }
    }
    let mut written = BTreeSet::new();
    for writer in writers {
        written.extend(bounded(writer).await.expect("nothing is refused"));
    }
    let mut read = Vec::new();
    for reader in readers {
        read.push(bounded(reader).await.expect("no reader finds a gap"));
    }
    let (one, other) = read.split_at(4);
    assert_eq!(one, other, "both read the same");
    let found: Vec<Uuid> = one.concat();
    assert_eq!(found.len(), written.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), written);
    for shard in processes[0].store.shards().all() {
        let shared = StreamName::new("shared", shard.to_string());
        let history = processes[1]
            .store
            .read_streams(LOG, &[shared])
            .await
            .expect("it reads");
        assert_eq!(history[0].len() as u64, 2 * WRITERS * APPENDS / 8);
    }
}

#[tokio::test]
async fn both_append_to_the_same_shards() {
    append_from_both(true, NEVER).await;
}

#[tokio::test]
async fn both_append_to_the_same_shards_and_only_poll() {
    append_from_both(false, Duration::from_millis(20)).await;
}

#[tokio::test]
async fn a_command_that_the_other_applied_is_known() {
    let schema = Schema::with_store().await;
    let (one, other) = (schema.open().await, schema.open().await);
    let id = Uuid::now_v7();
    let first = append(&one, command(id)).await;
    let again = append(&other, command(id)).await;
    assert!(again.repeated);
    assert_eq!((again.last, again.note), (first.last, first.note));
    // The caller lost patience, and both have it at once.
    for round in 1..20 {
        let id = Uuid::now_v7();
        let (a, b) = tokio::join!(append(&one, command(id)), append(&other, command(id)));
        assert!(a.repeated != b.repeated, "one of them applies it");
        assert_eq!((position(&a), position(&b)), (round, round));
    }
}

#[tokio::test]
async fn one_command_for_two_shards_is_applied_once() {
    let schema = Schema::with_store().await;
    let (one, other) = (schema.open().await, schema.open().await);
    for _ in 0..20 {
        let id = Uuid::now_v7();
        let elsewhere = Append {
            shard: Shard(2),
            streams: vec![StreamAppend {
                stream: StreamName::new("elsewhere", id.to_string()),
                expected: ExpectedVersion::NoStream,
                events: vec![event(id)],
            }],
            ..command(id)
        };
        // Nothing that both lock stands between them but the command's own key.
        let (a, b) = tokio::join!(
            one.append(vec![command(id)]),
            other.append(vec![elsewhere.clone()])
        );
        let applied = [&a[0], &b[0]].map(|outcome| match outcome {
            Ok(appended) => !appended.repeated,
            Err(AppendError::Unavailable { outcome, .. }) => {
                assert_eq!(*outcome, Outcome::NotApplied);
                false
            }
            Err(other) => panic!("{other}"),
        });
        assert!(applied[0] != applied[1], "one of them applies it");
        let (a, b) = (
            append(&one, command(id)).await,
            append(&other, elsewhere).await,
        );
        assert!(a.repeated && b.repeated);
        assert_eq!((a.shard, a.last), (b.shard, b.last));
    }
}

/// Moves a checkpoint and nothing else.
fn moved(consumer: &'static str, from: u64, next: u64) -> Append {
    Append {
        checkpoint: Some(CheckpointMove {
            consumer,
            shard: SHARD,
            from,
            to: Checkpoint {
                next,
                ..Checkpoint::start(1)
            },
        }),
        ..Append::to(LOG, SHARD)
    }
}

#[tokio::test]
async fn one_of_both_moves_a_checkpoint() {
    let schema = Schema::with_store().await;
    let (one, other) = (schema.open().await, schema.open().await);
    for consumer in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        // The first time there is no row yet that could be locked.
        let mut from = 0;
        for _ in 0..5 {
            let (a, b) = (
                moved(consumer, from, from + 5),
                moved(consumer, from, from + 7),
            );
            let (a, b) = tokio::join!(one.append(vec![a]), other.append(vec![b]));
            let (set, refused) = match (&a[0], &b[0]) {
                (Ok(_), Err(refused)) => (from + 5, refused),
                (Err(refused), Ok(_)) => (from + 7, refused),
                both => panic!("{consumer}: {both:?}"),
            };
            assert!(
                matches!(refused, AppendError::CheckpointMoved { actual, .. } if *actual == set),
                "{refused}"
            );
            for store in [&one, &other] {
                let found = store.checkpoints(consumer).await.expect("it reads");
                let next = |at: &Option<Checkpoint>| at.as_ref().map(|at| at.next);
                assert_eq!(
                    found.iter().map(next).collect::<Vec<_>>(),
                    [None, Some(set), None, None]
                );
            }
            from = set;
        }
    }
}

#[tokio::test]
async fn a_read_sees_what_the_other_committed_before() {
    let schema = Schema::with_store().await;
    let alone = || PostgresOptions {
        listen: false,
        poll_interval: NEVER,
        ..schema.options()
    };
    let one = PostgresStore::open(alone()).await.expect("it opens");
    let other = PostgresStore::open(alone()).await.expect("it opens");
    for n in 0..5 {
        append(&one, command(Uuid::now_v7())).await;
        let records = other.read(LOG, SHARD, n, 10).await.expect("it reads");
        assert_eq!(records.len(), 1, "nobody told it, and nothing was polled");
        assert_eq!(*other.watch(LOG, SHARD).borrow(), n + 1);
    }
    // Also where it holds part of it in memory.
    append(&other, command(Uuid::now_v7())).await;
    append(&one, command(Uuid::now_v7())).await;
    let records = other.read(LOG, SHARD, 5, 10).await.expect("it reads");
    assert_eq!(records.len(), 2);
}

#[tokio::test]
async fn who_listens_hears_at_once_also_after_its_connection_was_cut() {
    let schema = Schema::with_store().await;
    let listening = PostgresOptions {
        poll_interval: NEVER,
        ..schema.options()
    };
    let one = schema.open().await;
    let other = PostgresStore::open(listening).await.expect("it opens");
    let mut size = other.watch(LOG, SHARD);
    let mut server = schema.connect().await;
    let name = format!("tally {}", schema.database.schema);
    for round in 1..=3 {
        append(&one, command(Uuid::now_v7())).await;
        bounded(size.wait_for(|size| *size == 2 * round - 1))
            .await
            .expect("open");
        let cut: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name = $1 AND query LIKE 'LISTEN%'",
        )
        .bind(&name)
        .fetch_one(&mut server)
        .await
        .expect("they are ended");
        // Whoever began to listen only now makes up for it by looking.
        assert!(cut <= 2, "{cut} listened");
        append(&one, command(Uuid::now_v7())).await;
        bounded(size.wait_for(|size| *size == 2 * round))
            .await
            .expect("open");
    }
}

#[tokio::test]
async fn a_process_that_hangs_lets_go() {
    let schema = Schema::with_store().await;
    let clock = Arc::new(TestClock::default());
    let process = Process::start(PostgresOptions {
        clock: clock.clone(),
        limits: Limits {
            transaction_idle_max: Duration::from_secs(2),
            ..Limits::default()
        },
        ..schema.options()
    });
    let process = process.await;
    let hanging = process.store.clone();
    let other = schema.open().await;
    let mut stall = clock.stall();
    let id = Uuid::now_v7();
    let held = tokio::spawn({
        let store = hanging.clone();
        async move { store.append(vec![command(id)]).await.remove(0) }
    });
    stall.reached().await;
    // It holds the lock of the shard, and goes on only when the other is through.
    let through = bounded(append(&other, command(Uuid::now_v7()))).await;
    assert_eq!(position(&through), 0);
    drop(stall);
    let late = held
        .await
        .expect("no panic")
        .expect_err("its transaction is over");
    assert!(
        matches!(
            late,
            AppendError::Unavailable {
                outcome: Outcome::NotApplied,
                ..
            }
        ),
        "{late}"
    );
    let again = append(&hanging, command(id)).await;
    assert_eq!((again.repeated, position(&again)), (false, 1));
    let found = hanging
        .read_streams(LOG, &[stream(id)])
        .await
        .expect("it reads");
    assert_eq!(found[0].len(), 1);
}

/// Appends until it is acknowledged, as a caller does that retries.
async fn insist(store: &PostgresStore, append: &Append) -> u64 {
    loop {
        match store.append(vec![append.clone()]).await.remove(0) {
            Ok(appended) => return position(&appended),
            Err(AppendError::Unavailable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn sessions_are_cut_under_load_and_everything_is_applied_once() {
    const WRITERS: usize = 6;
    const APPENDS: usize = 40;
    const TOTAL: usize = 2 * WRITERS * APPENDS;
    let schema = Schema::with_store().await;
    let processes = [
        Process::start(schema.options()).await,
        Process::start(schema.options()).await,
    ];
    let acknowledged = Arc::new(tokio::sync::watch::Sender::new(0));
    let mut readers = Vec::new();
    let mut writers = Vec::new();
    for process in &processes {
        readers.push(process.spawn(follow(process.store.clone(), SHARD, TOTAL as u64)));
        for _ in 0..WRITERS {
            let (store, acknowledged) = (process.store.clone(), acknowledged.clone());
            writers.push(process.spawn(async move {
                let mut places = Vec::new();
                for _ in 0..APPENDS {
                    let id = Uuid::now_v7();
                    places.push((insist(&store, &command(id)).await, id));
                    acknowledged.send_modify(|count| *count += 1);
                }
                places
            }));
        }
    }
    // Cut again and again, while appends are on their way.
    let mut server = schema.connect().await;
    let mut progress = acknowledged.subscribe();
    let mut cut = 0;
    for round in 1..TOTAL / 24 {
        bounded(progress.wait_for(|count| *count >= 24 * round))
            .await
            .expect("counted");
        let ended: i64 = sqlx::query_scalar(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name = $1",
        )
        .bind(format!("tally {}", schema.database.schema))
        .fetch_one(&mut server)
        .await
        .expect("they are ended");
        cut += ended;
    }
    assert!(cut >= 20, "only {cut} sessions were cut");
    let mut places = Vec::new();
    for writer in writers {
        places.extend(bounded(writer).await.expect("no panic"));
    }
    places.sort_unstable();
    let positions: Vec<u64> = places.iter().map(|(position, _)| *position).collect();
    assert_eq!(
        positions,
        (0..TOTAL as u64).collect::<Vec<_>>(),
        "each has its own"
    );
    let ids: Vec<Uuid> = places.into_iter().map(|(_, id)| id).collect();
    for reader in readers {
        assert_eq!(bounded(reader).await.expect("no gap"), ids);
    }
}
