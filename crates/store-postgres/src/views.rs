//! Numbers of views. A name that was given one keeps it, so that it can be kept
//! in memory; names are given outside of the transaction that first writes to the
//! view, because that one may yet fail.

use std::collections::{BTreeSet, HashMap};
use std::sync::{PoisonError, RwLock};

use sqlx::postgres::PgPool;

/// What is known of the names.
#[derive(Debug, Default)]
pub(crate) struct ViewNames {
    known: RwLock<HashMap<String, i32>>,
}

impl ViewNames {
    /// Number of a view, if it is known here.
    pub(crate) fn get(&self, name: &str) -> Option<i32> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(name).copied()
    }

    /// Finds the numbers of those names that are not known here.
    pub(crate) async fn find(
        &self,
        pool: &PgPool,
        names: impl IntoIterator<Item = &'static str>,
    ) -> Result<(), sqlx::Error> {
        let unknown = self.unknown(names);
        if unknown.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query_as("SELECT name, number FROM view_name WHERE name = ANY($1)")
            .bind(unknown)
            .fetch_all(pool)
            .await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(rows);
        Ok(())
    }

    /// The same, and gives numbers to names that have none.
    pub(crate) async fn give(
        &self,
        pool: &PgPool,
        names: impl IntoIterator<Item = &'static str>,
    ) -> Result<(), sqlx::Error> {
        let unknown = self.unknown(names);
        if unknown.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO view_name (name) SELECT name FROM unnest($1::text[]) w(name) \
             ORDER BY name ON CONFLICT (name) DO NOTHING",
        )
        .bind(&unknown)
        .execute(pool)
        .await?;
        self.find(pool, unknown).await
    }

    fn unknown(&self, names: impl IntoIterator<Item = &'static str>) -> Vec<&'static str> {
        let names: BTreeSet<&'static str> = names.into_iter().collect();
        let unknown = |name: &&'static str| self.get(name).is_none();
        names.into_iter().filter(unknown).collect()
    }
}
