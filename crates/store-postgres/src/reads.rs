//! Reads, each one short statement or transaction on a connection of its own.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, PgConnection, Row as _};
use tally_eventlog::append::{Append, AppendError, Appended, Checkpoint, CommandKey, RowKey};
use tally_eventlog::encoding::stream_key;
use tally_eventlog::event::{StoredRecord, StreamName};
use tally_eventlog::sequence::{Head, Remembered, command_ref};
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use tally_eventlog::store::{EventStore, FormerId, LogSource, Row, StoreError, ViewSnapshot};
use tokio::sync::watch;
use uuid::Uuid;

use crate::heads::heads;
use crate::load::{self, CHECKPOINT, read_checkpoint, uuid_of};
use crate::logs::{shard_column, shard_of};
use crate::renewal::former;
use crate::shelf::bytes;
use crate::store::{PostgresStore, append};
use crate::streams::histories;

/// Commands forgotten in one statement, so that nobody waits long for its rows.
const FORGET_ROWS: i64 = 1_000;

#[async_trait]
impl LogSource for PostgresStore {
    fn shards(&self) -> ShardCount {
        self.logs.shards
    }

    async fn read(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.log(log, shard)?;
        let in_memory = || self.tail.read(log, shard, from, limit);
        if let Some(records) = in_memory()
            && records.len() == limit
        {
            return Ok(records);
        }
        if self.knows_of(log, shard, from, limit) {
            return self.read_stored(log, shard, from, limit).await;
        }
        // Less than was asked for says that the head is reached, and readers date
        // what they know by it. Only the database knows what others have appended.
        self.follow.catch_up().await?;
        match in_memory() {
            Some(records) => Ok(records),
            None => self.read_stored(log, shard, from, limit).await,
        }
    }

    async fn read_durable(
        &self,
        log: LogName,
        shard: Shard,
        from: u64,
        limit: usize,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        self.log(log, shard)?;
        if !self.knows_of(log, shard, from, limit) {
            self.follow.catch_up().await?;
        }
        self.read_stored(log, shard, from, limit).await
    }

    async fn heads(&self, log: LogName) -> Result<Vec<Head>, StoreError> {
        let log = *self.log(log, Shard(0))?;
        let logs = self.logs.clone();
        self.on(move |pool| async move { heads(&mut *pool.acquire().await?, &log, &logs).await })
            .await
    }

    async fn former_ids(&self, log: LogName) -> Result<Vec<FormerId>, StoreError> {
        let number = self.log(log, Shard(0))?.number;
        self.on(move |pool| former(pool, number)).await
    }

    fn watch(&self, log: LogName, shard: Shard) -> watch::Receiver<u64> {
        self.tail.watch(log, shard)
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn append(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        append(self, appends).await
    }

    async fn read_streams(
        &self,
        log: LogName,
        streams: &[StreamName],
    ) -> Result<Vec<Vec<StoredRecord>>, StoreError> {
        self.log(log, Shard(0))?;
        let keys: Vec<Uuid> = streams
            .iter()
            .map(|stream| uuid_of(stream_key(log, stream.category, &stream.id)))
            .collect();
        let unique: Vec<Uuid> = keys
            .iter()
            .copied()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let found = self.on(|pool| histories(pool, unique)).await?;
        let records = |key| found.get(key).cloned().unwrap_or_default();
        Ok(keys.iter().map(records).collect())
    }

    async fn remembered(
        &self,
        log: LogName,
        commands: &[CommandKey],
    ) -> Result<Vec<Option<Remembered>>, StoreError> {
        self.log(log, Shard(0))?;
        let keys: Vec<_> = commands
            .iter()
            .map(|command| command_ref(log, command))
            .collect();
        let wanted = keys.iter().cloned().collect();
        let logs = self.logs.clone();
        let found = self
            .on(move |pool| async move {
                load::commands(&mut *pool.acquire().await?, &logs, &wanted).await
            })
            .await?;
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn checkpoints(
        &self,
        consumer: &'static str,
    ) -> Result<Vec<Option<Checkpoint>>, StoreError> {
        let found = self
            .on(move |pool| async move { checkpoints(&mut *pool.acquire().await?, consumer).await })
            .await?;
        let mut found: HashMap<Shard, Checkpoint> = found.into_iter().collect();
        Ok(self
            .logs
            .shards
            .all()
            .map(|shard| found.remove(&shard))
            .collect())
    }

    async fn rows(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let views = self.views.clone();
        let wanted: Vec<RowKey> = keys
            .iter()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .cloned()
            .collect();
        let found = self
            .on(move |pool| async move {
                views.find(&pool, wanted.iter().map(|key| key.view)).await?;
                let numbered = |key: RowKey| Some((views.get(key.view)?, key));
                view_rows(&pool, wanted.into_iter().filter_map(numbered).collect()).await
            })
            .await?;
        Ok(keys.iter().map(|key| found.get(key).cloned()).collect())
    }

    async fn scan(
        &self,
        view: &'static str,
        shard: Shard,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let text = match to {
            Some(_) => {
                "SELECT key, value FROM view_row WHERE view = $1 AND shard = $2 AND key >= $3 \
                 AND key < $5 ORDER BY key LIMIT $4"
            }
            None => {
                "SELECT key, value FROM view_row WHERE view = $1 AND shard = $2 AND key >= $3 \
                 ORDER BY key LIMIT $4"
            }
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let (from, to, views) = (from.to_vec(), to.map(<[u8]>::to_vec), self.views.clone());
        self.on(move |pool| async move {
            views.find(&pool, [view]).await?;
            let Some(number) = views.get(view) else {
                return Ok::<_, sqlx::Error>(Vec::new());
            };
            let rows = sqlx::query(text)
                .bind(number)
                .bind(shard_column(shard))
                .bind(from)
                .bind(limit);
            let rows = match to {
                Some(to) => rows.bind(to),
                None => rows,
            };
            let rows = rows.fetch_all(&pool).await?;
            rows.iter()
                .map(|row| Ok((bytes(row, 0)?, bytes(row, 1)?)))
                .collect()
        })
        .await
    }

    async fn snapshot(
        &self,
        consumer: &'static str,
        views: &[&'static str],
    ) -> Result<ViewSnapshot, StoreError> {
        let views: BTreeSet<&'static str> = views.iter().copied().collect();
        let pool = self.readers.clone();
        // It may be long, and is waited for as long as it takes.
        let snapshot = tally_eventlog::detached::detached(snapshot(pool, consumer, views));
        snapshot.await.map_err(StoreError::new)
    }

    async fn forget_commands(&self, older_than: Uuid) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let done = self
                .on(move |pool| async move {
                    sqlx::query(
                        // Another process that forgets the same ones is left to it.
                        "DELETE FROM command WHERE id = ANY(ARRAY(SELECT id FROM command \
                         WHERE id < $1 ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED))",
                    )
                    .bind(older_than)
                    .bind(FORGET_ROWS)
                    .execute(&pool)
                    .await
                })
                .await?;
            if done.rows_affected() == 0 {
                return Ok(forgotten);
            }
            forgotten += done.rows_affected();
        }
    }
}

impl PostgresStore {
    /// Whether there are as many records from a position on, as far as is known here: then
    /// nothing that others have appended since changes what is read.
    fn knows_of(&self, log: LogName, shard: Shard, from: u64, limit: usize) -> bool {
        let size = *self.tail.watch(log, shard).borrow();
        from.saturating_add(limit as u64) <= size
    }
}

/// Values of rows, each with the number of its view.
async fn view_rows(
    pool: &PgPool,
    wanted: Vec<(i32, RowKey)>,
) -> Result<HashMap<RowKey, Bytes>, sqlx::Error> {
    let views: Vec<i32> = wanted.iter().map(|(view, _)| *view).collect();
    let shards: Vec<i16> = wanted
        .iter()
        .map(|(_, key)| shard_column(key.shard))
        .collect();
    let keys: Vec<&[u8]> = wanted.iter().map(|(_, key)| &key.key[..]).collect();
    let rows = sqlx::query(
        "SELECT w.place, r.value \
         FROM unnest($1::int[], $2::smallint[], $3::bytea[]) WITH ORDINALITY w(view, shard, key, place) \
         JOIN view_row r ON r.view = w.view AND r.shard = w.shard AND r.key = w.key",
    )
    .bind(views)
    .bind(shards)
    .bind(keys)
    .fetch_all(pool)
    .await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let place = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or(usize::MAX);
        if let Some((_, key)) = place.checked_sub(1).and_then(|place| wanted.get(place)) {
            found.insert(key.clone(), bytes(&row, 1)?);
        }
    }
    Ok(found)
}

async fn checkpoints(
    connection: &mut PgConnection,
    consumer: &'static str,
) -> Result<Vec<(Shard, Checkpoint)>, sqlx::Error> {
    let text =
        format!("SELECT {CHECKPOINT} FROM checkpoint c WHERE c.consumer = $1 ORDER BY c.shard");
    let rows = sqlx::query(AssertSqlSafe(text))
        .bind(consumer)
        .fetch_all(connection)
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Some((_, shard, checkpoint)) = read_checkpoint(row)? {
            found.push((shard, checkpoint));
        }
    }
    Ok(found)
}

async fn snapshot(
    pool: PgPool,
    consumer: &'static str,
    views: BTreeSet<&'static str>,
) -> Result<ViewSnapshot, sqlx::Error> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    let mut reader = pool.begin_with(begin).await?;
    sqlx::raw_sql("SET LOCAL statement_timeout = 0")
        .execute(&mut *reader)
        .await?;
    let mut snapshot = ViewSnapshot {
        checkpoints: checkpoints(&mut reader, consumer).await?,
        rows: Vec::new(),
    };
    for view in views {
        let rows = sqlx::query(
            "SELECT shard, key, value FROM view_row \
             WHERE view = (SELECT number FROM view_name WHERE name = $1) ORDER BY shard, key",
        );
        for row in rows.bind(view).fetch_all(&mut *reader).await? {
            let key = RowKey {
                view,
                shard: shard_of(row.try_get(0)?)?,
                key: bytes(&row, 1)?,
            };
            snapshot.rows.push((key, bytes(&row, 2)?));
        }
    }
    reader.rollback().await?;
    Ok(snapshot)
}
