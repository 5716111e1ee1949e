//! What the conformance suite cannot ask of every store: files, processes,
//! opening, damage.

#[path = "../common/mod.rs"]
mod common;
mod damage;
mod interrupted;
mod opening;
mod rows;

use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tally_store_sqlite::{OpenError, SqliteOptions, SqliteStore};
use tempfile::TempDir;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

async fn refusal(options: SqliteOptions) -> OpenError {
    SqliteStore::open(options)
        .await
        .expect_err("the store refuses")
}

/// Changes the file behind the store's back.
async fn tamper(path: &Path, statement: &'static str) {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .expect("the file opens");
    let done = sqlx::query(statement)
        .execute(&mut connection)
        .await
        .expect("the statement runs");
    let creates = statement.starts_with("CREATE");
    assert!(
        creates || done.rows_affected() > 0,
        "{statement} changes something"
    );
    connection.close().await.expect("it closes");
}
