//! Connections that are cut, and a database that is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgConnection;
use tally_eventlog::append::{AppendError, Appended, Outcome};
use tally_eventlog::conformance::TestClock;
use tally_eventlog::store::{EventStore as _, LogSource as _};
use tally_store_postgres::{Limits, PostgresOptions, PostgresStore};
use uuid::Uuid;

use crate::common::proxy::{Proxy, Way};
use crate::common::{LOG, Process, SHARD, Schema, append, command, position, stream};

fn outcome(answer: Result<Appended, AppendError>) -> Outcome {
    match answer {
        Err(AppendError::Unavailable { outcome, .. }) => outcome,
        other => panic!("{other:?}"),
    }
}

/// Waits until a session of the store is in a state, and ends it.
async fn end_session(server: &mut PgConnection, schema: &Schema, state: &str) {
    loop {
        let ended: Option<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 \
             AND (state = $2 OR wait_event = $2)",
        )
        .bind(format!("tally {}", schema.database.schema))
        .bind(state)
        .fetch_optional(&mut *server)
        .await
        .expect("it is asked");
        if ended == Some(true) {
            return;
        }
    }
}

#[tokio::test]
async fn a_connection_cut_before_the_commit_applies_nothing() {
    let schema = Schema::with_store().await;
    let clock = Arc::new(TestClock::default());
    let process = Process::start(PostgresOptions {
        clock: clock.clone(),
        ..schema.options()
    });
    let process = process.await;
    let store = process.store.clone();
    let mut server = schema.connect().await;
    let id = Uuid::now_v7();
    let mut stall = clock.stall();
    let caller = tokio::spawn({
        let store = store.clone();
        async move { store.append(vec![command(id)]).await.remove(0) }
    });
    stall.reached().await;
    end_session(&mut server, &schema, "idle in transaction").await;
    drop(stall);
    assert_eq!(
        outcome(caller.await.expect("no panic")),
        Outcome::NotApplied
    );
    let again = append(&store, command(id)).await;
    assert_eq!((again.repeated, position(&again)), (false, 0));
}

#[tokio::test]
async fn a_session_that_ends_at_the_commit_leaves_the_outcome_open() {
    let schema = Schema::with_store().await;
    let store = Arc::new(schema.open().await);
    // A deferred constraint is looked at by COMMIT only, and here waits there.
    schema
        .run(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 PERFORM pg_advisory_xact_lock_shared(hashtext(current_schema())); RETURN NULL; END $$; \
             CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON stream DEFERRABLE INITIALLY DEFERRED \
                 FOR EACH ROW EXECUTE FUNCTION wait()",
        )
        .await;
    let mut server = schema.connect().await;
    sqlx::raw_sql("SELECT pg_advisory_lock(hashtext(current_schema()))")
        .execute(&mut server)
        .await
        .expect("locked");
    let id = Uuid::now_v7();
    let caller = tokio::spawn({
        let store = store.clone();
        async move { store.append(vec![command(id)]).await.remove(0) }
    });
    end_session(&mut server, &schema, "advisory").await;
    assert_eq!(outcome(caller.await.expect("no panic")), Outcome::Unknown);
    sqlx::raw_sql("SELECT pg_advisory_unlock_all()")
        .execute(&mut server)
        .await
        .expect("unlocked");
    assert_eq!(*store.watch(LOG, SHARD).borrow(), 0, "it had no effect");
    let again = append(&store, command(id)).await;
    assert_eq!((again.repeated, position(&again)), (false, 0));
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_out() {
    let schema = Schema::with_store().await;
    let proxy = Proxy::start().await;
    let store = PostgresStore::open(PostgresOptions {
        database: proxy.to(&schema),
        // Nobody but the writer tells readers.
        listen: false,
        poll_interval: Duration::from_secs(3_600),
        ..schema.options()
    });
    let store = store.await.expect("it opens");
    append(&store, command(Uuid::now_v7())).await;
    proxy.swallow_the_next_commit();
    let id = Uuid::now_v7();
    let lost = store.append(vec![command(id)]).await.remove(0);
    assert_eq!(outcome(lost), Outcome::Unknown);
    assert_eq!(
        *store.watch(LOG, SHARD).borrow(),
        2,
        "readers are told though nobody appends again"
    );
    let again = append(&store, command(id)).await;
    assert_eq!((again.repeated, position(&again)), (true, 1));
    assert_eq!(position(&append(&store, command(Uuid::now_v7())).await), 2);
    assert_eq!(
        store.read(LOG, SHARD, 0, 9).await.expect("it reads").len(),
        3
    );
}

#[tokio::test]
async fn a_refusal_at_the_commit_takes_no_position() {
    let schema = Schema::with_store().await;
    let store = schema.open().await;
    append(&store, command(Uuid::now_v7())).await;
    schema
        .run(
            "CREATE TABLE parent (id int PRIMARY KEY); \
             CREATE TABLE child (id int REFERENCES parent DEFERRABLE INITIALLY DEFERRED); \
             CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                 INSERT INTO child VALUES (1); RETURN NULL; END $$; \
             CREATE TRIGGER fails AFTER INSERT ON stream FOR EACH ROW EXECUTE FUNCTION fail()",
        )
        .await;
    let failed = store.append(vec![command(Uuid::now_v7())]).await.remove(0);
    assert_eq!(outcome(failed), Outcome::NotApplied);
    schema.run("DROP TRIGGER fails ON stream").await;
    assert_eq!(position(&append(&store, command(Uuid::now_v7())).await), 1);
    let records = store
        .read_durable(LOG, SHARD, 0, 9)
        .await
        .expect("it reads");
    assert_eq!(records.len(), 2, "neither gap nor reuse");
}

#[tokio::test]
async fn a_constraint_fails_one_append_of_a_batch() {
    let schema = Schema::with_store().await;
    let store = schema.open().await;
    let [broken, last] = [Uuid::now_v7(), Uuid::now_v7()];
    schema
        .run("ALTER TABLE command ADD CHECK (department <> 'bug')")
        .await;
    let mut bug = command(broken);
    bug.command.as_mut().expect("a command").department = "bug".to_owned();
    let mut outcomes = store.append(vec![bug, command(last)]).await;
    assert_eq!(position(outcomes[1].as_ref().expect("its neighbour")), 0);
    assert_eq!(outcome(outcomes.remove(0)), Outcome::NotApplied);
    let streams = [stream(broken), stream(last)];
    let found = store.read_streams(LOG, &streams).await.expect("it reads");
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn a_database_that_is_away_is_said_so_at_once_and_found_again() {
    let schema = Schema::with_store().await;
    let proxy = Proxy::start().await;
    let limits = Limits {
        connect_timeout: Duration::from_secs(2),
        statement_timeout: Duration::from_secs(2),
        ..Limits::default()
    };
    let store = PostgresStore::open(PostgresOptions {
        database: proxy.to(&schema),
        limits,
        poll_interval: Duration::from_millis(50),
        ..schema.options()
    });
    let store = store.await.expect("it opens");
    append(&store, command(Uuid::now_v7())).await;
    let mut size = 1;
    for way in [Way::Cut, Way::Hangs, Way::Cut] {
        proxy.set(way);
        let begun = Instant::now();
        let refused = store.append(vec![command(Uuid::now_v7())]).await.remove(0);
        assert_eq!(outcome(refused), Outcome::NotApplied, "{way:?}");
        store.heads(LOG).await.expect_err("it cannot be read");
        // The grace beyond the database's own time is 2 s, for each of both. No claim
        // about speed: who hangs is never through.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(40), "{way:?}: {took:?}");
        proxy.set(Way::Open);
        let appended = append_when_back(&store).await;
        assert_eq!(position(&appended), size, "{way:?}");
        size += 1;
        while store.heads(LOG).await.is_err() {}
    }
    // A pooled connection of before the cut may still be met.
    let back = async {
        loop {
            if let Ok(records) = store.read_durable(LOG, SHARD, 0, 9).await {
                return records;
            }
        }
    };
    let records = tokio::time::timeout(Duration::from_secs(30), back).await;
    let records = records.expect("it reads again");
    assert_eq!(records.len() as u64, size);
}

/// What is on its way when the database comes back may still fail.
async fn append_when_back(store: &PostgresStore) -> Appended {
    let id = Uuid::now_v7();
    loop {
        match store.append(vec![command(id)]).await.remove(0) {
            Ok(appended) => return appended,
            Err(error) => assert_eq!(outcome(Err(error)), Outcome::NotApplied),
        }
    }
}

#[tokio::test]
async fn a_restart_of_the_server_is_not_noticed_by_who_comes_after_it() {
    let schema = Schema::with_store().await;
    let store = schema.open().await;
    append(&store, command(Uuid::now_v7())).await;
    let mut server = schema.connect().await;
    // All sessions end, as by a restart, and new ones are welcome.
    sqlx::query(
        "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = $1",
    )
    .bind(format!("tally {}", schema.database.schema))
    .execute(&mut server)
    .await
    .expect("they are ended");
    assert_eq!(position(&append(&store, command(Uuid::now_v7())).await), 1);
}
