//! Statements over many rows. What a statement costs in the driver outweighs
//! what a row costs in SQLite, so rows go in chunks.

use std::sync::{Arc, OnceLock};

use futures::future::join;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};

/// Rows per statement. Few sizes, so that all of them stay prepared: a chunk
/// between two sizes takes the larger, whose unbound rows are NULL and which
/// every statement here passes over.
const SIZES: [usize; 5] = [1, 4, 16, 64, 256];

/// Rows in the largest statement.
pub(crate) const ROWS_MAX: usize = 256;

/// A statement around `VALUES (?, …), (?, …), …`.
pub(crate) struct Chunked {
    before: &'static str,
    columns: usize,
    after: &'static str,
    texts: [OnceLock<Arc<str>>; SIZES.len()],
}

impl Chunked {
    pub(crate) const fn new(before: &'static str, columns: usize, after: &'static str) -> Self {
        Self {
            before,
            columns,
            after,
            texts: [const { OnceLock::new() }; SIZES.len()],
        }
    }

    fn text(&self, rows: usize) -> AssertSqlSafe<Arc<str>> {
        let size = SIZES
            .iter()
            .position(|size| rows <= *size)
            .unwrap_or(SIZES.len() - 1);
        let text = self.texts[size].get_or_init(|| {
            let row = format!("({})", vec!["?"; self.columns].join(","));
            let rows = vec![row.as_str(); SIZES[size]].join(",");
            format!("{}(VALUES {rows}){}", self.before, self.after).into()
        });
        // Only the number of question marks varies, no value is in the text.
        AssertSqlSafe(text.clone())
    }

    fn arguments<T>(
        &self,
        items: &[T],
        bind: impl Fn(&T, &mut Row) -> Result<(), sqlx::Error>,
    ) -> Result<SqliteArguments, sqlx::Error> {
        let mut row = Row(SqliteArguments::default());
        row.0.reserve(items.len() * self.columns, 0);
        for (n, item) in items.iter().enumerate() {
            bind(item, &mut row)?;
            debug_assert_eq!(row.0.len(), (n + 1) * self.columns, "one value per column");
        }
        Ok(row.0)
    }

    /// Runs the statement over all items.
    pub(crate) async fn execute<T: Sync>(
        &self,
        connection: &mut SqliteConnection,
        items: &[T],
        bind: impl Fn(&T, &mut Row) -> Result<(), sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        let mut chunks = items.chunks(ROWS_MAX);
        let mut next = self.next_arguments(&mut chunks, &bind)?;
        while let Some((rows, arguments)) = next {
            let run = sqlx::query_with(self.text(rows), arguments).execute(&mut *connection);
            // The driver runs the statement on a thread of its own: meanwhile
            // the next one's values are bound.
            let (done, following) =
                join(run, async { self.next_arguments(&mut chunks, &bind) }).await;
            done?;
            next = following?;
        }
        Ok(())
    }

    /// Runs the query over all items; `read` takes each row of the answer.
    pub(crate) async fn fetch<T: Sync>(
        &self,
        connection: &mut SqliteConnection,
        items: &[T],
        bind: impl Fn(&T, &mut Row) -> Result<(), sqlx::Error>,
        mut read: impl FnMut(SqliteRow) -> Result<(), sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        let mut chunks = items.chunks(ROWS_MAX);
        let mut next = self.next_arguments(&mut chunks, &bind)?;
        while let Some((rows, arguments)) = next {
            let run = sqlx::query_with(self.text(rows), arguments).fetch_all(&mut *connection);
            let (found, following) =
                join(run, async { self.next_arguments(&mut chunks, &bind) }).await;
            for row in found? {
                read(row)?;
            }
            next = following?;
        }
        Ok(())
    }

    /// The number of rows of the next chunk, and its values.
    fn next_arguments<T>(
        &self,
        chunks: &mut std::slice::Chunks<'_, T>,
        bind: impl Fn(&T, &mut Row) -> Result<(), sqlx::Error>,
    ) -> Result<Option<(usize, SqliteArguments)>, sqlx::Error> {
        let chunk = chunks.next();
        chunk
            .map(|chunk| Ok((chunk.len(), self.arguments(chunk, bind)?)))
            .transpose()
    }
}

/// The values of one row, in the order of the columns.
pub(crate) struct Row(SqliteArguments);

impl Row {
    pub(crate) fn add<'a>(
        &mut self,
        value: impl Encode<'a, Sqlite> + Type<Sqlite>,
    ) -> Result<(), sqlx::Error> {
        self.0.add(value).map_err(sqlx::Error::Encode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_takes_the_next_larger_statement() {
        static PAIRS: Chunked = Chunked::new("SELECT * FROM ", 2, "");
        let count = |rows| PAIRS.text(rows).0.matches("(?,?)").count();
        assert_eq!([1, 2, 5, 64, 65, 256].map(count), [1, 4, 16, 64, 256, 256]);
    }
}
