//! A store whose creation was interrupted can be looked at and created again.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Executor as _};
use tally_store_sqlite::SqliteStore;

use crate::common::open;
use crate::directory;

#[tokio::test]
async fn a_first_transaction_that_was_interrupted_is_taken_back() {
    let directory = directory();
    let (dying, path) = (
        directory.path().join("dying.db"),
        directory.path().join("store.db"),
    );
    // Nothing is written ahead yet, and the cache is too small for the
    // transaction: half of it is in the file, and a journal takes it back.
    let options = SqliteConnectOptions::new()
        .filename(&dying)
        .create_if_missing(true)
        .pragma("cache_size", "1");
    let mut connection = options.connect().await.expect("it connects");
    for statement in [
        "CREATE TABLE half (bytes BLOB)",
        "DROP TABLE half",
        "BEGIN",
        "CREATE TABLE half (bytes BLOB)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) \
         INSERT INTO half SELECT zeroblob(4000) FROM n",
    ] {
        connection.execute(statement).await.expect(statement);
    }
    // What a death now would leave behind.
    std::fs::copy(&dying, &path).expect("copied");
    let journal = |name: &str| directory.path().join(format!("{name}-journal"));
    std::fs::copy(journal("dying.db"), journal("store.db")).expect("there is a journal");

    let info = SqliteStore::inspect(&path)
        .await
        .expect("it can be looked at");
    assert_eq!(info, None, "nothing of it was committed");
    let store = open(&path).await;
    assert_eq!(store.epoch(), 1);
    store.close().await.expect("it closes");
}
