//! Deleting rows, and getting their bytes out of the files.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tally_eventlog::sealing::{KeyStoreError, Lookup, PseudonymKind};
use uuid::Uuid;

use super::Connection;
use super::rows::kind_number;

/// Pause before it is looked again whether older transactions have ended.
const PAUSE: Duration = Duration::from_millis(50);

/// How often: together some seconds.
const TRIES: usize = 60;

/// Deletes a stream's key, keeps its id, and notes where its bytes still are.
pub(super) async fn key(
    connection: &mut PgConnection,
    lookup: &Lookup,
) -> Result<bool, sqlx::Error> {
    let deleted = sqlx::query(
        "WITH gone AS (DELETE FROM data_key WHERE lookup = $1 \
             RETURNING key_id, tableoid::regclass::text AS partition), \
         noted AS (INSERT INTO to_wipe SELECT partition FROM gone ON CONFLICT DO NOTHING) \
         INSERT INTO erased_key SELECT key_id FROM gone ON CONFLICT DO NOTHING",
    )
    .bind(&lookup[..])
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected() > 0)
}

/// Deletes a pseudonym, and notes where its bytes still are.
pub(super) async fn pseudonym(
    connection: &mut PgConnection,
    kind: PseudonymKind,
    id: Uuid,
) -> Result<bool, sqlx::Error> {
    let found: i64 = sqlx::query_scalar(
        "WITH gone AS (DELETE FROM pseudonym WHERE id = $1 AND kind = $2 \
             RETURNING tableoid::regclass::text AS partition), \
         noted AS (INSERT INTO to_wipe SELECT partition FROM gone ON CONFLICT DO NOTHING) \
         SELECT count(*) FROM gone",
    )
    .bind(id)
    .bind(kind_number(kind))
    .fetch_one(connection)
    .await?;
    Ok(found > 0)
}

impl Connection {
    /// Writes the partitions anew that hold erased bytes, also those that an erasure
    /// before had noted and not got to. An error means that it is to be repeated.
    pub(super) async fn wipe(&self) -> Result<(), KeyStoreError> {
        for _ in 0..TRIES {
            let noted = self.read(async |connection| {
                let noted = sqlx::query_scalar("SELECT partition FROM to_wipe ORDER BY partition");
                noted.fetch_all(connection).await
            });
            let noted: Vec<String> = noted.await.map_err(open)?;
            let mut held_up = false;
            for partition in noted {
                let wiped = self.write(async |connection| rewrite(connection, &partition).await);
                held_up |= !wiped.await.map_err(open)?;
            }
            if !held_up {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(KeyStoreError::unknown(
            "an older transaction of the same database keeps erased bytes; end it, then repeat",
        ))
    }
}

/// Whatever went wrong, the row is deleted and its bytes may be there.
fn open(error: KeyStoreError) -> KeyStoreError {
    KeyStoreError::unknown(error.source)
}

/// Writes a partition and its indexes into new files. False: rows that were deleted
/// would have to be copied along, because an older transaction might still read them.
async fn rewrite(connection: &mut PgConnection, partition: &str) -> Result<bool, sqlx::Error> {
    let mut rewriting = connection.begin().await?;
    // An index that is built counts all rows that it finds, also those that have to
    // stay for others. Once it finds none, there is nobody they have to stay for, and
    // nobody will come; what CLUSTER itself found would be known too late. The name
    // is one that the database gave; a partition's key has it as a prefix.
    let text = format!(
        "LOCK TABLE \"{partition}\" IN ACCESS EXCLUSIVE MODE; REINDEX INDEX \"{partition}_pkey\""
    );
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(&mut *rewriting)
        .await?;
    let text = format!(
        "SELECT (SELECT reltuples::bigint FROM pg_class WHERE oid = '\"{partition}_pkey\"'::regclass) \
         > (SELECT count(*) FROM \"{partition}\")"
    );
    let held_up: bool = sqlx::query_scalar(AssertSqlSafe(text))
        .fetch_one(&mut *rewriting)
        .await?;
    if held_up {
        rewriting.rollback().await?;
        return Ok(false);
    }
    let text = format!("CLUSTER \"{partition}\" USING \"{partition}_pkey\"");
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(&mut *rewriting)
        .await?;
    sqlx::query("DELETE FROM to_wipe WHERE partition = $1")
        .bind(partition)
        .execute(&mut *rewriting)
        .await?;
    rewriting.commit().await?;
    Ok(true)
}
