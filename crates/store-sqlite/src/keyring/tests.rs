//! The conformance suite on SQLite, and what only a file can show.

use std::sync::Arc;

use sqlx::Row as _;
use tally_eventlog::append::Outcome;
use tally_eventlog::sealing::conformance::Fixture;
use tally_eventlog::sealing::{KeyRing, KeyRingError, MasterKey};
use tempfile::TempDir;

use super::*;

struct Directory(TempDir);

impl Directory {
    fn new() -> Self {
        Self(TempDir::new().expect("a directory"))
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("keyring.db")
    }

    async fn store(&self) -> SqliteKeyStore {
        SqliteKeyStore::open(self.file()).await.expect("opened")
    }
}

#[async_trait]
impl Fixture for Directory {
    async fn open(&self) -> Arc<dyn KeyStore> {
        Arc::new(self.store().await)
    }

    async fn stored_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in std::fs::read_dir(self.0.path()).expect("listed") {
            bytes.extend(std::fs::read(entry.expect("entry").path()).expect("read"));
        }
        bytes
    }
}

tally_eventlog::key_store_conformance!(Directory::new());

fn key(number: u8) -> StreamKeyRow {
    StreamKeyRow {
        lookup: [number; 32],
        key_id: Uuid::from_bytes([number; 16]),
        wrapped: vec![number; 73],
    }
}

#[tokio::test]
async fn every_connection_is_durable_and_wipes() {
    let directory = Directory::new();
    let store = directory.store().await;
    for (pragma, value) in [("synchronous", 2), ("secure_delete", 1), ("temp_store", 2)] {
        let sql = sqlx::AssertSqlSafe(format!("PRAGMA {pragma}"));
        let row = sqlx::query(sql)
            .fetch_one(&store.connections.writer)
            .await
            .expect("row");
        assert_eq!(row.get::<i64, _>(0), value, "{pragma}");
    }
    let row = sqlx::query("PRAGMA journal_mode")
        .fetch_one(&store.connections.writer)
        .await
        .expect("row");
    assert_eq!(row.get::<String, _>(0), "wal");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_any_file() {
    use std::os::unix::fs::PermissionsExt;
    let directory = Directory::new();
    let store = directory.store().await;
    store.insert_stream_keys(&[key(1)]).await.expect("inserted");
    let mut files = 0;
    for entry in std::fs::read_dir(directory.0.path()).expect("listed") {
        let metadata = entry.expect("entry").metadata().expect("metadata");
        assert_eq!(metadata.permissions().mode() & 0o077, 0);
        files += 1;
    }
    assert_eq!(files, 3, "file, log and its index");
}

#[tokio::test]
async fn an_erasure_that_a_reader_holds_up_is_reported_and_finished_by_repeating() {
    let directory = Directory::new();
    let store = directory.store().await;
    store.insert_stream_keys(&[key(1)]).await.expect("inserted");
    sqlx::query("PRAGMA busy_timeout = 0")
        .execute(&store.connections.writer)
        .await
        .expect("set");
    let mut reader = store.connections.readers.begin().await.expect("begun");
    sqlx::query("SELECT count(*) FROM data_key")
        .fetch_one(&mut *reader)
        .await
        .expect("row");
    let error = store.erase_stream_key(&[1; 32]).await.expect_err("held up");
    assert_eq!(error.outcome, Outcome::Unknown);
    reader.rollback().await.expect("ended");
    assert!(!store.erase_stream_key(&[1; 32]).await.expect("finished"));
    let bytes = directory.stored_bytes().await;
    assert!(!bytes.windows(73).any(|window| window == [1; 73]));
}

#[tokio::test]
async fn a_failure_before_the_transaction_says_that_nothing_was_changed() {
    let directory = Directory::new();
    let store = directory.store().await;
    let master = MasterKey::generate().expect("random bytes");
    let ring = KeyRing::new(Arc::new(store.clone()), master);
    ring.verify_master_key().await.expect("its first key");
    store.close().await;
    let error = ring.sealers(&["a"]).await.expect_err("closed");
    let KeyRingError::Unavailable { outcome, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*outcome, Outcome::NotApplied);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_file_that_is_no_key_ring_is_refused_by_name() {
    let directory = Directory::new();
    std::fs::write(
        directory.file(),
        "not a database, and long enough to be one".repeat(40),
    )
    .expect("written");
    let error = SqliteKeyStore::open(directory.file())
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("keyring.db"), "{error}");
}

#[tokio::test]
async fn what_nobody_polls_holds_no_connection() {
    let directory = Directory::new();
    let store = directory.store().await;
    let rows = [key(1)];
    let mut resting = store.insert_stream_keys(&rows);
    assert!(futures::poll!(&mut resting).is_pending());
    let other = store.insert_stream_keys(&[key(2)]).await;
    assert_eq!(other.expect("the connection came back"), [key(2)]);
    assert_eq!(resting.await.expect("done meanwhile"), rows);
}

#[tokio::test]
async fn a_key_ring_goes_on_elsewhere() {
    let places = [Directory::new(), Directory::new(), Directory::new()];
    let [from, to, foreign] = &places;
    let (from, to, foreign) = (from.store().await, to.store().await, foreign.store().await);
    tally_eventlog::archive::conformance::a_key_ring_goes_on_elsewhere(from, to, foreign).await;
}
