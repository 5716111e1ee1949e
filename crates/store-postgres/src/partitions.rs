//! Partitions of the event table: one a month, made before it is needed.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::months::{Month, year_and_month};

/// With it every process agrees on who changes the tables of a schema.
pub(crate) const LOCK: &str =
    "SELECT pg_advisory_xact_lock(hashtext('tally'), hashtext(current_schema()))";

/// The months that are known to have a partition.
#[derive(Debug, Default)]
pub(crate) struct Partitions {
    known: Mutex<BTreeSet<Month>>,
}

impl Partitions {
    /// True if a month has a partition for sure.
    pub(crate) fn has(&self, month: Month) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains(&month)
    }

    /// Sees to it that a month and the one after it have partitions.
    ///
    /// Not on the connection that appends: others that wait for its heads must not
    /// also wait for a change of tables. A partition is made by itself and then
    /// attached, which neither appends nor reads stand in the way of.
    pub(crate) async fn ensure(&self, pool: &PgPool, month: Month) -> Result<(), sqlx::Error> {
        let months = [month, month + 1];
        let mut change = pool.begin().await?;
        sqlx::raw_sql(LOCK).execute(&mut *change).await?;
        for month in months {
            attach(&mut change, month).await?;
        }
        change.commit().await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(months);
        Ok(())
    }
}

/// Name of a month's partition.
pub(crate) fn partition(month: Month) -> String {
    let (year, month) = year_and_month(month);
    format!("event_{year:04}_{month:02}")
}

/// Those of the months whose partition is not attached: it was taken away.
pub(crate) async fn away(
    connection: &mut PgConnection,
    months: impl IntoIterator<Item = Month>,
) -> Result<BTreeSet<Month>, sqlx::Error> {
    let attached: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = 'event'::regclass",
    )
    .fetch_all(connection)
    .await?;
    let is_away = |month: &Month| !attached.contains(&partition(*month));
    Ok(months.into_iter().filter(is_away).collect())
}

/// What to do about records of a month that was taken away.
pub(crate) fn put_back(month: Month) -> String {
    let name = partition(month);
    format!(
        "the month of table {name} was taken away; attach it again: ALTER TABLE event ATTACH \
         PARTITION \"{name}\" FOR VALUES FROM ({month}) TO ({})",
        month + 1
    )
}

/// Makes a month's partition, and attaches it.
pub(crate) async fn attach(connection: &mut PgConnection, month: Month) -> Result<(), sqlx::Error> {
    let name = partition(month);
    let parent: Option<bool> = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid AND inhparent = 'event'::regclass) \
         FROM pg_class c WHERE c.relname = $1 AND c.relnamespace = current_schema()::regnamespace",
    )
    .bind(&name)
    .fetch_optional(&mut *connection)
    .await?;
    match parent {
        Some(true) => return Ok(()),
        Some(false) => {
            return Err(sqlx::Error::Protocol(format!(
                "a record cannot be appended: {}",
                put_back(month)
            )));
        }
        None => {}
    }
    let text = format!(
        "CREATE TABLE \"{name}\" (LIKE event INCLUDING ALL);\
         ALTER TABLE event ATTACH PARTITION \"{name}\" FOR VALUES FROM ({month}) TO ({})",
        month + 1
    );
    // A number of a month, and a name made of it.
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(connection)
        .await
        .map(|_| ())
}
