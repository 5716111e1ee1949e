//! Schemas of every kind, and what opening and migrating say of them.

use bytes::Bytes;
use jiff::SignedDuration;
use tally_eventlog::append::{AppendError, Checkpoint, CheckpointMove, Outcome, RowKey, ViewWrite};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{EventStore as _, LogSource as _};
use tally_store_postgres::{Database, MigrateOptions, OpenError, PostgresOptions, PostgresStore};
use uuid::Uuid;

use crate::common::proxy::{Proxy, Way};
use crate::common::{LOG, SHARD, Schema, append, command, position, stream};
use crate::refusal;

#[tokio::test]
async fn reopening_keeps_everything() {
    let schema = Schema::with_store().await;
    let store = schema.open().await;
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
        epoch: u64::MAX,
        hint: Some(u64::MAX),
    };
    let mut first = command(id);
    first.views.push(ViewWrite {
        row: key.clone(),
        value: Some(Bytes::from_static(b"v")),
    });
    first.checkpoint = Some(CheckpointMove {
        consumer: "it's a test",
        shard: Shard(2),
        from: 0,
        to: to.clone(),
    });
    let appended = append(&store, first).await;
    let records = store.read(LOG, SHARD, 0, 10).await.expect("it reads");
    let heads = store.heads(LOG).await.expect("heads");
    let (epoch, log_id) = (store.epoch(), store.log_id(LOG));
    store.close().await;

    let store = schema.open().await;
    assert_eq!(store.epoch(), epoch + 1);
    assert_eq!(store.log_id(LOG), log_id);
    assert_eq!(
        store.read(LOG, SHARD, 0, 10).await.expect("it reads"),
        records
    );
    assert_eq!(store.heads(LOG).await.expect("heads"), heads);
    let history = store.read_streams(LOG, &[stream(id)]).await;
    assert_eq!(history.expect("it reads"), [records]);
    let rows = store.rows(std::slice::from_ref(&key)).await.expect("rows");
    assert_eq!(rows, [Some(Bytes::from_static(b"v"))]);
    let checkpoints = store.checkpoints("it's a test").await.expect("checkpoints");
    assert_eq!(checkpoints, [None, None, Some(to.clone()), None]);
    let snapshot = store.snapshot("it's a test", &["test.view"]).await;
    let snapshot = snapshot.expect("a snapshot");
    assert_eq!(snapshot.checkpoints, [(Shard(2), to)]);
    assert_eq!(snapshot.rows, [(key, Bytes::from_static(b"v"))]);
    let again = append(&store, command(id)).await;
    assert!(again.repeated);
    assert_eq!((again.last, again.note), (appended.last, appended.note));
}

#[tokio::test]
async fn a_closed_store_answers_no_append() {
    let schema = Schema::with_store().await;
    let store = schema.open().await;
    append(&store, command(Uuid::now_v7())).await;
    store.close().await;
    store.close().await;
    let outcomes = store.append(vec![command(Uuid::now_v7())]).await;
    assert!(matches!(
        outcomes[..],
        [Err(AppendError::Unavailable {
            outcome: Outcome::NotApplied,
            ..
        })]
    ));
    assert!(store.forget_commands(Uuid::max()).await.is_err());
    assert!(store.read(LOG, SHARD, 0, 10).await.is_err());
}

#[tokio::test]
async fn what_others_append_while_a_store_opens_is_no_damage() {
    let schema = Schema::with_store().await;
    let other = schema.open().await;
    append(&other, command(Uuid::now_v7())).await;
    let proxy = Proxy::start().await;
    // It has the heads, and is about to look at the last records.
    let reached = proxy.halt_before("SELECT e.id, e.leaf, e.record FROM event e");
    let opening = tokio::spawn(PostgresStore::open(PostgresOptions {
        database: proxy.to(&schema),
        ..schema.options()
    }));
    reached.await;
    append(&other, command(Uuid::now_v7())).await;
    proxy.set(Way::Open);
    let store = opening.await.expect("no panic").expect("it opens");
    let next = append(&store, command(Uuid::now_v7())).await;
    assert_eq!(position(&next), 2, "it builds on what the other appended");
}

#[tokio::test]
async fn an_unknown_log_or_shard_fails_alone() {
    use tally_eventlog::append::Append;

    let schema = Schema::with_store().await;
    let store = schema.open().await;
    let elsewhere = Append {
        shard: Shard(4),
        ..command(Uuid::now_v7())
    };
    let unknown = Append {
        log: LogName("other"),
        ..command(Uuid::now_v7())
    };
    let appends = vec![
        command(Uuid::now_v7()),
        unknown,
        elsewhere,
        command(Uuid::now_v7()),
    ];
    let outcomes = store.append(appends).await;
    let held: Vec<bool> = outcomes.iter().map(Result::is_ok).collect();
    assert_eq!(held, [true, false, false, true]);
    assert!(store.read(LogName("other"), SHARD, 0, 1).await.is_err());
}

#[tokio::test]
async fn a_schema_without_a_store_says_how_to_get_one() {
    let schema = Schema::new();
    let missing = refusal(schema.options()).await;
    assert!(matches!(missing, OpenError::Missing { .. }), "{missing}");
    assert!(missing.to_string().contains("tally migrate"), "{missing}");
    let info = PostgresStore::inspect(&schema.database)
        .await
        .expect("it is asked");
    assert_eq!(info, None);

    let name = &schema.database.schema;
    schema
        .run(&format!("CREATE SCHEMA {name}; CREATE TABLE x (y int)"))
        .await;
    for refused in [
        refusal(schema.options()).await,
        PostgresStore::migrate(&schema.database, &Schema::migrate_options())
            .await
            .expect_err("it is something else's"),
    ] {
        assert!(matches!(refused, OpenError::NotAStore { .. }), "{refused}");
    }
}

#[tokio::test]
async fn a_store_of_another_version_is_refused() {
    let schema = Schema::with_store().await;
    schema
        .run("UPDATE meta SET value = '99' WHERE key = 'format'")
        .await;
    for newer in [
        refusal(schema.options()).await,
        PostgresStore::migrate(&schema.database, &Schema::migrate_options())
            .await
            .expect_err("it is newer"),
    ] {
        assert!(
            matches!(newer, OpenError::NewerFormat { found: 99, .. }),
            "{newer}"
        );
        assert!(
            newer.to_string().contains("older than the store"),
            "{newer}"
        );
    }
    schema
        .run("UPDATE meta SET value = '1' WHERE key = 'format'; DROP TABLE former_log_id")
        .await;
    let older = refusal(schema.options()).await;
    assert!(
        matches!(older, OpenError::OlderFormat { found: 1, .. }),
        "{older}"
    );
    let migrated = PostgresStore::migrate(&schema.database, &Schema::migrate_options()).await;
    migrated.expect("each step leads on");
    schema.open().await;
}

#[tokio::test]
async fn many_may_migrate_at_once() {
    let schema = Schema::new();
    let options = Schema::migrate_options();
    let migrate = || PostgresStore::migrate(&schema.database, &options);
    let done = futures::future::join_all((0..6).map(|_| migrate())).await;
    for info in done {
        let info = info.expect("each finds the work of the first");
        assert_eq!((info.shards.get(), info.epoch, info.ahead), (4, 0, None));
    }
    let store = schema.open().await;
    let id = store.log_id(LOG);
    append(&store, command(Uuid::now_v7())).await;
    // Again, with a log more, while the store is open.
    let more = MigrateOptions {
        logs: vec![LOG, LogName("lists-access")],
        ..Schema::migrate_options()
    };
    let access = || PostgresOptions {
        logs: more.logs.clone(),
        ..schema.options()
    };
    let refused = refusal(access()).await;
    assert!(
        refused.to_string().contains("no log `lists-access`"),
        "{refused}"
    );
    PostgresStore::migrate(&schema.database, &more)
        .await
        .expect("it is added");
    append(&store, command(Uuid::now_v7())).await;
    let store = PostgresStore::open(access()).await.expect("it opens");
    assert_eq!(store.log_id(LOG), id);
    assert_eq!(store.heads(LOG).await.expect("heads")[1].size(), 2);
    assert_eq!(
        store
            .heads(LogName("lists-access"))
            .await
            .expect("heads")
            .len(),
        4
    );
}

#[tokio::test]
async fn another_number_of_shards_is_refused() {
    let schema = Schema::with_store().await;
    let eight = ShardCount::new(8).expect("in range");
    let options = PostgresOptions {
        shards: eight,
        ..schema.options()
    };
    let migrate = MigrateOptions {
        shards: eight,
        ..Schema::migrate_options()
    };
    for refused in [
        refusal(options).await,
        PostgresStore::migrate(&schema.database, &migrate)
            .await
            .expect_err("refused"),
    ] {
        assert!(
            matches!(refused, OpenError::ShardCount { found: 4, asked: 8 }),
            "{refused}"
        );
    }
}

#[tokio::test]
async fn a_movable_clock_is_settled_at_creation() {
    let movable = || MigrateOptions {
        test_clock: Some(SignedDuration::from_hours(-5)),
        ..Schema::migrate_options()
    };
    let schema = Schema::new();
    let info = PostgresStore::migrate(&schema.database, &movable())
        .await
        .expect("created");
    assert_eq!(info.ahead, Some(SignedDuration::from_hours(-5)));
    let store = schema.open().await;
    assert_eq!(store.ahead(), info.ahead);
    let later = SignedDuration::new(86_400, 7);
    store.keep_ahead(later).await.expect("it is kept");
    let info = PostgresStore::inspect(&schema.database)
        .await
        .expect("it is asked");
    assert_eq!(info.and_then(|info| info.ahead), Some(later));
    assert_eq!(schema.open().await.ahead(), Some(later));

    let plain = Schema::with_store().await;
    assert!(plain.open().await.keep_ahead(later).await.is_err());
    let refused = PostgresStore::migrate(&plain.database, &movable()).await;
    assert!(matches!(refused, Err(OpenError::ClockFixed)), "{refused:?}");
}

#[tokio::test]
async fn a_url_or_name_that_is_none_is_refused() {
    let schema = Schema::new();
    for (url, name, sign) in [
        ("not a url", "tally_lists", "postgres://user@host/database"),
        (
            "postgres://me:secret@127.0.0.1:1/x",
            "tally_lists",
            "check that the database runs",
        ),
        (
            "postgres://127.0.0.1/x",
            "Tally",
            "`Tally` cannot be the name",
        ),
    ] {
        let database = Database {
            url: url.to_owned(),
            schema: name.to_owned(),
        };
        assert!(!format!("{database:?}").contains("secret"));
        let refused = refusal(PostgresOptions {
            database,
            ..schema.options()
        })
        .await;
        let text = format!("{refused} {refused:?}");
        assert!(text.contains(sign) && !text.contains("secret"), "{text}");
    }
}
