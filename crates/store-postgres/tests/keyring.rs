//! The cases of key stores on Postgres, and what erasing means there.

mod common;

use std::path::Path;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use common::own::OwnDatabase;
use sqlx::{PgConnection, Row as _};
use tally_eventlog::append::Outcome;
use tally_eventlog::sealing::conformance::Fixture;
use tally_eventlog::sealing::{KeyById, KeyStore, PseudonymKind, PseudonymRow, StreamKeyRow};
use tally_store_postgres::{Database, Limits, OpenError, PostgresKeyStore};
use tokio::sync::Mutex;
use uuid::Uuid;

/// A key ring, in a schema of its own.
struct Ring {
    own: Arc<OwnDatabase>,
    database: Database,
}

/// The database of the rings whose tests run now. An erasure waits for older
/// transactions of the same database, of which these tests have none that last.
static SHARED: Mutex<Weak<OwnDatabase>> = Mutex::const_new(Weak::new());

impl Ring {
    async fn create() -> Self {
        let own = {
            let mut shared = SHARED.lock().await;
            let own = match shared.upgrade() {
                Some(own) => own,
                None => Arc::new(OwnDatabase::create().await),
            };
            *shared = Arc::downgrade(&own);
            own
        };
        Self::create_in(own).await
    }

    /// Where a transaction is left open.
    async fn create_alone() -> Self {
        Self::create_in(Arc::new(OwnDatabase::create().await)).await
    }

    async fn create_in(own: Arc<OwnDatabase>) -> Self {
        let schema = format!("ring_{}", Uuid::new_v4().simple());
        let database = Database {
            schema,
            ..own.database.clone()
        };
        PostgresKeyStore::migrate(&database)
            .await
            .expect("it is created");
        Self { own, database }
    }

    async fn store(&self) -> PostgresKeyStore {
        PostgresKeyStore::open(&self.database, &Limits::default())
            .await
            .expect("it opens")
    }

    async fn server(&self) -> PgConnection {
        self.own.as_superuser(&self.database.schema).await
    }
}

/// Blocks of zeros only make the search longer.
const BLOCK: usize = 256;

#[async_trait]
impl Fixture for Ring {
    async fn open(&self) -> Arc<dyn KeyStore> {
        Arc::new(self.store().await)
    }

    /// The files of all tables and indexes as they are on disk; where the server is
    /// elsewhere, the rows.
    async fn stored_bytes(&self) -> Vec<u8> {
        let mut server = self.server().await;
        sqlx::raw_sql("CHECKPOINT")
            .execute(&mut server)
            .await
            .expect("it may");
        let rows = sqlx::query(
            "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(c.oid) \
             FROM pg_class c WHERE c.relkind IN ('r', 'i', 't') \
                AND (c.relnamespace = current_schema()::regnamespace \
                OR c.oid IN (SELECT reltoastrelid FROM pg_class \
                    WHERE relnamespace = current_schema()::regnamespace))",
        )
        .fetch_all(&mut server)
        .await
        .expect("they are listed");
        let mut bytes = Vec::new();
        for row in &rows {
            let path: &str = row.get(0);
            let Ok(file) = std::fs::read(Path::new(path)) else {
                return rows_as_bytes(&mut server).await;
            };
            let filled = |block: &&[u8]| block.iter().any(|byte| *byte != 0);
            bytes.extend(file.chunks(BLOCK).filter(filled).flatten());
        }
        bytes
    }
}

async fn rows_as_bytes(server: &mut PgConnection) -> Vec<u8> {
    let rows = sqlx::query(
        "SELECT lookup || uuid_send(key_id) || wrapped FROM data_key \
         UNION ALL SELECT lookup || uuid_send(id) || wrapped FROM pseudonym \
         UNION ALL SELECT uuid_send(key_id) FROM erased_key \
         UNION ALL SELECT value FROM master_check",
    );
    let rows = rows.fetch_all(server).await.expect("they are read");
    rows.iter()
        .flat_map(|row| row.get::<Vec<u8>, _>(0))
        .collect()
}

tally_eventlog::key_store_conformance!(Ring::create().await);

fn key(number: u8) -> StreamKeyRow {
    StreamKeyRow {
        lookup: [number; 32],
        key_id: Uuid::from_bytes([number; 16]),
        wrapped: vec![number; 73],
    }
}

fn holds(bytes: &[u8], number: u8) -> bool {
    bytes.windows(73).any(|window| window == [number; 73])
}

#[tokio::test]
async fn an_erasure_that_a_reader_holds_up_is_reported_and_finished_by_repeating() {
    let ring = Ring::create_alone().await;
    let store = ring.store().await;
    store
        .insert_stream_keys(&[key(1), key(2)])
        .await
        .expect("inserted");
    let mut reader = ring.server().await;
    // Any table will do: what it may still read is decided for the whole database.
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM meta")
        .execute(&mut reader)
        .await
        .expect("it reads");
    let error = store.erase_stream_key(&[1; 32]).await.expect_err("held up");
    assert_eq!(error.outcome, Outcome::Unknown);
    let found = store
        .stream_keys_by_id(&[key(1).key_id])
        .await
        .expect("found");
    assert_eq!(
        found,
        [KeyById::Erased(key(1).key_id)],
        "nobody gets it any more"
    );
    if in_files(&ring).await {
        assert!(holds(&ring.stored_bytes().await, 1), "and yet it is there");
    }
    sqlx::raw_sql("ROLLBACK")
        .execute(&mut reader)
        .await
        .expect("it ends");
    assert!(!store.erase_stream_key(&[1; 32]).await.expect("finished"));
    let bytes = ring.stored_bytes().await;
    assert!(!holds(&bytes, 1) && holds(&bytes, 2));
}

/// True if the tests can read the server's files.
async fn in_files(ring: &Ring) -> bool {
    let mut server = ring.server().await;
    let row = sqlx::query("SELECT current_setting('data_directory')");
    let row = row.fetch_one(&mut server).await.expect("it is told");
    std::fs::read_dir(row.get::<&str, _>(0)).is_ok()
}

#[tokio::test]
async fn a_pseudonym_whose_wiping_was_interrupted_is_wiped_by_the_next_erasure() {
    let ring = Ring::create().await;
    let store = ring.store().await;
    let person = |number: u8| PseudonymRow {
        kind: PseudonymKind::Person,
        lookup: [number; 32],
        id: Uuid::from_bytes([number; 16]),
        wrapped: vec![number; 73],
    };
    store
        .insert_pseudonyms(&[person(3), person(4)])
        .await
        .expect("inserted");
    // The process died between the two steps.
    let mut server = ring.server().await;
    sqlx::raw_sql(
        "WITH gone AS (DELETE FROM pseudonym WHERE get_byte(lookup, 0) = 3 \
             RETURNING tableoid::regclass::text AS partition) \
         INSERT INTO to_wipe SELECT partition FROM gone",
    )
    .execute(&mut server)
    .await
    .expect("deleted");
    if in_files(&ring).await {
        assert!(
            holds(&ring.stored_bytes().await, 3),
            "it is deleted and there"
        );
    }
    let repeated = store
        .erase_pseudonym(PseudonymKind::Person, person(3).id)
        .await;
    assert!(!repeated.expect("finished"));
    let bytes = ring.stored_bytes().await;
    assert!(!holds(&bytes, 3) && holds(&bytes, 4));
}

#[tokio::test]
async fn no_statistics_sample_the_rows() {
    let ring = Ring::create().await;
    let store = ring.store().await;
    let rows: Vec<StreamKeyRow> = (1..200).map(key).collect();
    store.insert_stream_keys(&rows).await.expect("inserted");
    let mut server = ring.server().await;
    sqlx::raw_sql("ANALYZE")
        .execute(&mut server)
        .await
        .expect("analyzed");
    let row = sqlx::query(
        "SELECT count(*) FILTER (WHERE c.reltuples > 0), count(s.starelid) \
         FROM pg_class c LEFT JOIN pg_statistic s ON s.starelid = c.oid \
         WHERE c.relnamespace = current_schema()::regnamespace",
    );
    let row = row.fetch_one(&mut server).await.expect("they are counted");
    let (analyzed, sampled): (i64, i64) = (row.get(0), row.get(1));
    assert!(
        analyzed > 10,
        "{analyzed} tables and indexes were looked at"
    );
    assert_eq!(sampled, 0);
}

#[tokio::test]
async fn many_may_migrate_at_once_and_another_version_is_refused() {
    let ring = Ring::create().await;
    let empty = Database {
        schema: format!("empty_{}", Uuid::new_v4().simple()),
        ..ring.database.clone()
    };
    let missing = PostgresKeyStore::open(&empty, &Limits::default()).await;
    let missing = missing.map(drop).expect_err("there is none");
    assert!(missing.to_string().contains("tally migrate"), "{missing}");
    let migrations = (0..4).map(|_| PostgresKeyStore::migrate(&empty));
    for done in futures::future::join_all(migrations).await {
        done.expect("each finds the work of the first");
    }
    let opened = PostgresKeyStore::open(&empty, &Limits::default()).await;
    opened.map(drop).expect("it opens");
    ring.store().await;
    let mut server = ring.server().await;
    sqlx::raw_sql("UPDATE meta SET value = '99' WHERE key = 'format'")
        .execute(&mut server)
        .await
        .expect("changed");
    let newer = PostgresKeyStore::open(&ring.database, &Limits::default()).await;
    assert!(matches!(
        newer,
        Err(OpenError::NewerFormat { found: 99, .. })
    ));
}

#[tokio::test]
async fn a_closed_store_changes_nothing() {
    let ring = Ring::create().await;
    let store = ring.store().await;
    store.close().await;
    let error = store
        .insert_stream_keys(&[key(1)])
        .await
        .expect_err("closed");
    assert_eq!(error.outcome, Outcome::NotApplied);
    assert_eq!(
        ring.store()
            .await
            .stream_keys(&[[1; 32]])
            .await
            .expect("read"),
        []
    );
}

#[tokio::test]
async fn what_nobody_polls_holds_no_connection() {
    let ring = Ring::create().await;
    let store = ring.store().await;
    let rows = [key(1)];
    // More of them than there are connections.
    let mut resting: Vec<_> = (0..8).map(|_| store.insert_stream_keys(&rows)).collect();
    for insert in &mut resting {
        assert!(futures::poll!(insert).is_pending());
    }
    let other = store.insert_stream_keys(&[key(2)]).await;
    assert_eq!(other.expect("a connection came back"), [key(2)]);
    for insert in resting {
        assert_eq!(insert.await.expect("done meanwhile"), rows);
    }
}

#[tokio::test]
async fn a_key_ring_goes_on_elsewhere() {
    let rings = [
        Ring::create().await,
        Ring::create().await,
        Ring::create().await,
    ];
    let [from, to, foreign] = &rings;
    let (from, to, foreign) = (from.store().await, to.store().await, foreign.store().await);
    tally_eventlog::archive::conformance::a_key_ring_goes_on_elsewhere(from, to, foreign).await;
}
