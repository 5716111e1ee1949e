//! Opening, closing, and what is refused.

use bytes::Bytes;
use jiff::SignedDuration;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tally_eventlog::append::{AppendError, Checkpoint, CheckpointMove, Outcome, RowKey, ViewWrite};
use tally_eventlog::shard::{Shard, ShardCount};
use tally_eventlog::store::{EventStore as _, LogSource as _};
use tally_store_sqlite::{CreateOptions, OpenError, SqliteOptions, SqliteStore};
use uuid::Uuid;

use crate::common::{LOG, SHARD, append, command, open, options, stream};
use crate::{directory, refusal, tamper};

#[tokio::test]
async fn reopening_keeps_everything() {
    let directory = directory();
    let path = directory.path().join("store.db");
    let store = open(&path).await;
    let id = Uuid::now_v7();
    let key = RowKey {
        view: "test.view",
        shard: SHARD,
        key: Bytes::from_static(b"k"),
    };
    let to = Checkpoint {
        next: 7,
        log_id: Uuid::from_u128(3),
        leaf: [9; 32],
        seen_at: "2026-01-02T03:04:05.000000006Z"
            .parse()
            .expect("a timestamp"),
        epoch: store.epoch(),
        hint: Some(12),
    };
    let mut first = command(id);
    first.views.push(ViewWrite {
        row: key.clone(),
        value: Some(Bytes::from_static(b"v")),
    });
    first.checkpoint = Some(CheckpointMove {
        consumer: "test",
        shard: Shard(2),
        from: 0,
        to: to.clone(),
    });
    let appended = append(&store, first).await;
    let records = store.read(LOG, SHARD, 0, 10).await.expect("it reads");
    let heads = store.heads(LOG).await.expect("heads");
    let (epoch, log_id) = (store.epoch(), store.log_id(LOG));
    store.close().await.expect("it closes");

    let store = open(&path).await;
    assert_eq!(store.epoch(), epoch + 1);
    assert_eq!(store.log_id(LOG), log_id);
    assert_eq!(
        store.read(LOG, SHARD, 0, 10).await.expect("it reads"),
        records
    );
    assert_eq!(store.heads(LOG).await.expect("heads"), heads);
    assert_eq!(store.stored_heads(LOG).await.expect("heads"), heads);
    assert_eq!(
        store
            .read_streams(LOG, &[stream(id)])
            .await
            .expect("it reads"),
        [records]
    );
    assert_eq!(
        store.rows(std::slice::from_ref(&key)).await.expect("rows"),
        [Some(Bytes::from_static(b"v"))]
    );
    let checkpoints = store.checkpoints("test").await.expect("checkpoints");
    assert_eq!(checkpoints, [None, None, Some(to.clone()), None]);
    let snapshot = store
        .snapshot("test", &["test.view"])
        .await
        .expect("a snapshot");
    assert_eq!(snapshot.checkpoints, [(Shard(2), to)]);
    assert_eq!(snapshot.rows, [(key, Bytes::from_static(b"v"))]);
    let again = append(&store, command(id)).await;
    assert!(again.repeated);
    assert_eq!((again.last, again.note), (appended.last, appended.note));
    store.close().await.expect("it closes");
}

#[tokio::test]
async fn a_closed_store_leaves_one_file_and_answers_no_append() {
    let directory = directory();
    let path = directory.path().join("store.db");
    let store = open(&path).await;
    append(&store, command(Uuid::now_v7())).await;
    store.close().await.expect("it closes");
    store.close().await.expect("it closes again");
    let outcomes = store.append(vec![command(Uuid::now_v7())]).await;
    assert!(matches!(
        outcomes[..],
        [Err(AppendError::Unavailable {
            outcome: Outcome::NotApplied,
            ..
        })]
    ));
    assert!(store.forget_commands(Uuid::max()).await.is_err());
    assert!(!directory.path().join("store.db-wal").exists());
}

#[tokio::test]
async fn every_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let directory = directory();
    let path = directory.path().join("store.db");
    let store = open(&path).await;
    append(&store, command(Uuid::now_v7())).await;
    let keyring = directory.path().join("keyring.db");
    let keys = tally_store_sqlite::keyring::SqliteKeyStore::open(&keyring)
        .await
        .expect("it opens");
    let mut names = Vec::new();
    for file in std::fs::read_dir(directory.path()).expect("the directory") {
        let file = file.expect("an entry");
        let mode = file.metadata().expect("its rights").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
        names.push(file.file_name().to_string_lossy().into_owned());
    }
    for expected in ["store.db", "store.db-wal", "store.db.lock", "keyring.db"] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
    keys.close().await;
    store.close().await.expect("it closes");
}

#[tokio::test]
async fn a_second_opening_is_refused_and_names_the_process() {
    let directory = directory();
    let path = directory.path().join("store.db");
    let store = open(&path).await;
    let refused = refusal(options(&path)).await;
    assert!(
        matches!(refused, OpenError::InUse { pid: Some(pid), .. } if pid == std::process::id())
    );
    assert!(refused.to_string().contains("stop it first"), "{refused}");
    let info = SqliteStore::inspect(&path)
        .await
        .expect("it can be inspected")
        .expect("a store");
    assert_eq!((info.shards.get(), info.epoch, info.ahead), (4, 1, None));
    store.close().await.expect("it closes");
    open(&path).await.close().await.expect("it closes");
}

#[tokio::test]
async fn another_number_of_shards_is_refused() {
    let directory = directory();
    let path = directory.path().join("store.db");
    open(&path).await.close().await.expect("it closes");
    let eight = ShardCount::new(8).expect("in range");
    let refused = refusal(SqliteOptions {
        shards: eight,
        ..options(&path)
    })
    .await;
    assert!(
        matches!(refused, OpenError::ShardCount { found: 4, asked: 8 }),
        "{refused}"
    );
    // The refusal left the store as it was.
    let store = open(&path).await;
    assert_eq!(store.epoch(), 2);
}

#[tokio::test]
async fn what_is_not_a_store_of_this_version_is_refused() {
    let directory = directory();
    let path = directory.path().join("store.db");
    let missing = refusal(SqliteOptions {
        create: None,
        ..options(&path)
    })
    .await;
    assert!(matches!(missing, OpenError::Missing { .. }), "{missing}");
    assert!(!path.exists());
    open(&path).await.close().await.expect("it closes");
    tamper(&path, "UPDATE meta SET value = '4' WHERE key = 'format'").await;
    let newer = refusal(options(&path)).await;
    assert!(
        matches!(newer, OpenError::NewerFormat { found: 4, known: 3 }),
        "{newer}"
    );
    let other = directory.path().join("other.db");
    let create = SqliteConnectOptions::new()
        .filename(&other)
        .create_if_missing(true);
    let mut connection = create.connect().await.expect("the file opens");
    sqlx::query("CREATE TABLE x (y)")
        .execute(&mut connection)
        .await
        .expect("a table");
    connection.close().await.expect("it closes");
    let refused = refusal(options(&other)).await;
    assert!(matches!(refused, OpenError::NotAStore { .. }), "{refused}");
}

#[tokio::test]
async fn a_store_of_the_first_format_is_taken_over() {
    let directory = directory();
    let path = directory.path().join("store.db");
    let store = open(&path).await;
    let moves = |from, epoch, hint| CheckpointMove {
        consumer: "test",
        shard: SHARD,
        from,
        to: Checkpoint {
            next: from + 1,
            hint,
            ..Checkpoint::start(epoch)
        },
    };
    let mut first = command(Uuid::now_v7());
    first.checkpoint = Some(moves(0, store.epoch(), None));
    append(&store, first).await;
    store.close().await.expect("it closes");
    let first_format = "DROP TABLE former_log_id; \
                        ALTER TABLE checkpoint DROP COLUMN hint; \
                        UPDATE meta SET value = '1' WHERE key = 'format'";
    tamper(&path, first_format).await;
    let store = open(&path).await;
    let mut second = command(Uuid::now_v7());
    second.checkpoint = Some(moves(1, store.epoch(), Some(12)));
    append(&store, second).await;
    let checkpoints = store.checkpoints("test").await.expect("it reads");
    let kept = checkpoints[usize::from(SHARD.0)].as_ref();
    assert_eq!(kept.map(|at| (at.next, at.hint)), Some((2, Some(12))));
}

#[tokio::test]
async fn a_movable_clock_is_settled_at_creation() {
    let directory = directory();
    let path = directory.path().join("store.db");
    let movable = || {
        Some(CreateOptions {
            test_clock: Some(SignedDuration::from_hours(-5)),
        })
    };
    let store = SqliteStore::open(SqliteOptions {
        create: movable(),
        ..options(&path)
    })
    .await;
    let store = store.expect("it opens");
    assert_eq!(store.ahead(), Some(SignedDuration::from_hours(-5)));
    let later = SignedDuration::new(86_400, 7);
    store.keep_ahead(later).await.expect("it is kept");
    store.close().await.expect("it closes");
    let info = SqliteStore::inspect(&path)
        .await
        .expect("it can be inspected");
    assert_eq!(info.and_then(|info| info.ahead), Some(later));
    assert_eq!(open(&path).await.ahead(), Some(later));

    let plain = directory.path().join("plain.db");
    let store = open(&plain).await;
    assert!(store.keep_ahead(later).await.is_err());
    store.close().await.expect("it closes");
    let refused = refusal(SqliteOptions {
        create: movable(),
        ..options(&plain)
    })
    .await;
    assert!(matches!(refused, OpenError::ClockFixed), "{refused}");
}
