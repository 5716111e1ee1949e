//! The store's tables, and what `meta` says of the store.

use jiff::SignedDuration;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tally_eventlog::encoding::{LOGS_MAX, head_checksum};
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, ShardCount};
use uuid::Uuid;

use crate::connect::Connector;
use crate::logs::{Log, Logs, shard_column};
use crate::options::{MigrateOptions, OpenError, StoreInfo};

/// What of `meta` is there as long as what was loaded is not settled.
const UNFINISHED: &str = "unfinished";

/// The tables of a schema, step by step; step n leads from format n to n + 1.
pub(crate) struct Tables {
    pub(crate) steps: &'static [&'static str],
    /// Tables by which a schema is known to be one of these.
    pub(crate) signs: &'static [&'static str],
}

/// The tables of a store.
pub(crate) const STORE: Tables = Tables {
    steps: &[
        include_str!("../../../migrations/postgres/store/0001_event_store.sql"),
        include_str!("../../../migrations/postgres/store/0002_former_log_id.sql"),
    ],
    signs: &["meta", "shard_head", "event"],
};

/// What opening settled.
pub(crate) struct Opened {
    pub(crate) logs: Logs,
    pub(crate) epoch: u64,
    pub(crate) ahead: Option<SignedDuration>,
}

impl Tables {
    pub(crate) const fn known(&self) -> u64 {
        self.steps.len() as u64
    }

    /// Creates the tables, or brings them to this version's format. Whoever comes
    /// second waits for the first, and finds its work done.
    ///
    /// `first` is what `meta` says from the creation on.
    pub(crate) async fn migrate(
        &self,
        connection: &mut PgConnection,
        schema: &str,
        first: &[(&str, String)],
    ) -> Result<(), OpenError> {
        // A step over a large table takes as long as it takes.
        sqlx::raw_sql("SET statement_timeout = 0")
            .execute(&mut *connection)
            .await?;
        loop {
            let mut step = connection.begin().await?;
            lock(&mut step, schema).await?;
            let found = self.format(&mut step, schema).await?;
            let next = usize::try_from(found).unwrap_or(usize::MAX);
            let Some(text) = self.steps.get(next) else {
                return Ok(());
            };
            if found == 0 {
                create_schema(&mut step, schema).await?;
            }
            sqlx::raw_sql(*text).execute(&mut *step).await?;
            if found == 0 {
                for (key, value) in first {
                    set(&mut step, key, value).await?;
                }
            }
            set(&mut step, "format", &(found + 1).to_string()).await?;
            step.commit().await?;
        }
    }

    /// Checks that the schema has this version's format.
    pub(crate) async fn verify(
        &self,
        connection: &mut PgConnection,
        schema: &str,
    ) -> Result<(), OpenError> {
        let (schema, known) = (schema.to_owned(), self.known());
        match self.format(connection, &schema).await? {
            0 => Err(OpenError::Missing { schema }),
            found if found < known => Err(OpenError::OlderFormat {
                schema,
                found,
                known,
            }),
            _ => Ok(()),
        }
    }

    /// Format of the schema; 0 for an empty one, or none.
    async fn format(&self, connection: &mut PgConnection, schema: &str) -> Result<u64, OpenError> {
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT relname::text FROM pg_class \
             WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p')",
        )
        .bind(schema)
        .fetch_all(&mut *connection)
        .await?;
        if tables.is_empty() {
            return Ok(0);
        }
        let not_a_store = || OpenError::NotAStore {
            schema: schema.to_owned(),
        };
        let has = |name: &&str| tables.iter().any(|table| table == *name);
        if !self.signs.iter().all(has) {
            return Err(not_a_store());
        }
        let found: u64 = get(connection, "format")
            .await?
            .and_then(|text| text.parse().ok())
            .ok_or_else(not_a_store)?;
        if found > self.known() {
            return Err(OpenError::NewerFormat {
                schema: schema.to_owned(),
                found,
                known: self.known(),
            });
        }
        Ok(found)
    }
}

/// Creates a store, or brings it to this version: tables, and logs that it lacks.
pub(crate) async fn migrate(
    connector: &Connector,
    options: &MigrateOptions,
) -> Result<StoreInfo, OpenError> {
    let mut connection = connector.connect().await?;
    let mut first = vec![
        ("shards", options.shards.get().to_string()),
        ("epoch", "0".to_owned()),
    ];
    if let Some(ahead) = options.test_clock {
        first.push(("ahead", ahead.to_string()));
    }
    let schema = &connector.schema;
    STORE.migrate(&mut connection, schema, &first).await?;
    let mut settling = connection.begin().await?;
    lock(&mut settling, schema).await?;
    let info = read_info(&mut settling, schema).await?;
    verify_shards(&info, options.shards)?;
    if info.ahead.is_none() && options.test_clock.is_some() {
        return Err(OpenError::ClockFixed);
    }
    for name in &options.logs {
        if find_log(&mut settling, *name).await?.is_none() {
            add_log(&mut settling, *name, options.shards).await?;
        }
    }
    settling.commit().await?;
    connection.close().await?;
    Ok(info)
}

/// Checks that the store is the one asked for, and counts the opening.
pub(crate) async fn open(
    connection: &mut PgConnection,
    schema: &str,
    names: &[LogName],
    shards: ShardCount,
) -> Result<Opened, OpenError> {
    let (info, logs) = look_up(connection, schema, names).await?;
    verify_shards(&info, shards)?;
    let epoch: Option<i64> = sqlx::query_scalar(
        "UPDATE meta SET value = (value::bigint + 1)::text WHERE key = 'epoch' \
            AND NOT EXISTS (SELECT 1 FROM meta WHERE key = $1) \
         RETURNING value::bigint",
    )
    .bind(UNFINISHED)
    .fetch_optional(connection)
    .await?;
    let unfinished = || OpenError::Unfinished {
        schema: schema.to_owned(),
    };
    let epoch = epoch.ok_or_else(unfinished)?;
    Ok(Opened {
        logs,
        epoch: epoch.cast_unsigned(),
        ahead: info.ahead,
    })
}

/// What a store of this version says of itself, and those of its logs.
async fn look_up(
    connection: &mut PgConnection,
    schema: &str,
    names: &[LogName],
) -> Result<(StoreInfo, Logs), OpenError> {
    STORE.verify(connection, schema).await?;
    let info = read_info(connection, schema).await?;
    let mut all = Vec::with_capacity(names.len());
    let mut missing = Vec::new();
    for name in names {
        match find_log(connection, *name).await? {
            Some(log) => all.push(log),
            None => missing.push(format!("`{name}`")),
        }
    }
    if !missing.is_empty() {
        return Err(OpenError::MissingLogs {
            names: missing.join(", "),
        });
    }
    let shards = info.shards;
    Ok((info, Logs { shards, all }))
}

/// Those logs of a store of this version.
pub(crate) async fn logs(
    connection: &mut PgConnection,
    schema: &str,
    names: &[LogName],
) -> Result<Logs, OpenError> {
    let found = look_up(connection, schema, names).await?;
    Ok(found.1)
}

/// Reads what the store says of itself; nothing where no store was created yet.
pub(crate) async fn inspect(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<Option<StoreInfo>, OpenError> {
    match STORE.format(connection, schema).await? {
        0 => Ok(None),
        _ => read_info(connection, schema).await.map(Some),
    }
}

/// Keeps the distance of the movable clock.
pub(crate) async fn set_ahead(
    connection: &mut PgConnection,
    ahead: SignedDuration,
) -> Result<(), sqlx::Error> {
    set(connection, "ahead", &ahead.to_string()).await
}

/// Says that what was loaded is yet to be read back and settled: nobody opens it before.
pub(crate) async fn begin_unfinished(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    set(connection, UNFINISHED, "loaded").await
}

/// Says that it is settled.
pub(crate) async fn end_unfinished(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("DELETE FROM meta WHERE key = $1")
        .bind(UNFINISHED)
        .execute(connection)
        .await
        .map(|_| ())
}

fn verify_shards(info: &StoreInfo, asked: ShardCount) -> Result<(), OpenError> {
    if info.shards == asked {
        return Ok(());
    }
    Err(OpenError::ShardCount {
        found: info.shards.get(),
        asked: asked.get(),
    })
}

pub(crate) async fn lock(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    // The same lock as that of the partitions.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtext('tally'), hashtext($1))")
        .bind(schema)
        .execute(connection)
        .await
        .map(|_| ())
}

async fn create_schema(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    let there: bool = sqlx::query_scalar("SELECT to_regnamespace($1) IS NOT NULL")
        .bind(schema)
        .fetch_one(&mut *connection)
        .await?;
    if !there {
        // The name was checked: it needs no escape.
        sqlx::raw_sql(AssertSqlSafe(format!("CREATE SCHEMA \"{schema}\"")))
            .execute(connection)
            .await?;
    }
    Ok(())
}

pub(crate) async fn read_info(
    connection: &mut PgConnection,
    schema: &str,
) -> Result<StoreInfo, OpenError> {
    let damaged = |what: &str| OpenError::Damaged {
        what: format!("meta in schema `{schema}`: {what}"),
    };
    let shards = get(connection, "shards").await?;
    let shards = shards.and_then(|text| ShardCount::new(text.parse().ok()?).ok());
    let number = |text: Option<String>| text.and_then(|text| text.parse().ok());
    let epoch = number(get(connection, "epoch").await?);
    let format = number(get(connection, "format").await?);
    let ahead = match get(connection, "ahead").await? {
        Some(text) => Some(
            text.parse()
                .map_err(|_| damaged("the clock's distance is not one"))?,
        ),
        None => None,
    };
    Ok(StoreInfo {
        shards: shards.ok_or_else(|| damaged("no number of shards"))?,
        epoch: epoch.ok_or_else(|| damaged("no epoch"))?,
        format: format.ok_or_else(|| damaged("no format"))?,
        ahead,
        unfinished: get(connection, UNFINISHED).await?.is_some(),
    })
}

async fn find_log(connection: &mut PgConnection, name: LogName) -> Result<Option<Log>, OpenError> {
    let found: Option<(i16, Uuid)> =
        sqlx::query_as("SELECT number, log_id FROM log WHERE name = $1")
            .bind(name.0)
            .fetch_optional(connection)
            .await?;
    let Some((number, id)) = found else {
        return Ok(None);
    };
    let number = u8::try_from(number).map_err(|_| OpenError::TooManyLogs)?;
    Ok(Some(Log { name, number, id }))
}

/// Adds a log with a new id and the heads of its empty shards.
async fn add_log(
    connection: &mut PgConnection,
    name: LogName,
    shards: ShardCount,
) -> Result<(), OpenError> {
    let number: i16 = sqlx::query_scalar("SELECT coalesce(max(number) + 1, 0)::smallint FROM log")
        .fetch_one(&mut *connection)
        .await?;
    if number >= i16::from(LOGS_MAX) {
        return Err(OpenError::TooManyLogs);
    }
    let head = Head::empty(Uuid::new_v4());
    sqlx::query("INSERT INTO log (number, name, log_id) VALUES ($1, $2, $3)")
        .bind(number)
        .bind(name.0)
        .bind(head.log_id)
        .execute(&mut *connection)
        .await?;
    let columns: Vec<i16> = shards.all().map(shard_column).collect();
    let checksums: Vec<[u8; 32]> = shards
        .all()
        .map(|shard| head_checksum(shard, &head))
        .collect();
    sqlx::query(
        "INSERT INTO shard_head (log, shard, size, leaf, frontier, recorded_at, checksum) \
         SELECT $1, w.shard, 0, $2, $3, $4, w.checksum \
         FROM unnest($5::smallint[], $6::bytea[]) w(shard, checksum)",
    )
    .bind(number)
    .bind(&head.leaf[..])
    .bind(head.frontier.to_bytes())
    .bind(head.recorded_at.to_string())
    .bind(columns)
    .bind(checksums)
    .execute(connection)
    .await?;
    Ok(())
}

async fn get(connection: &mut PgConnection, key: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT value FROM meta WHERE key = $1")
        .bind(key)
        .fetch_optional(connection)
        .await
}

async fn set(connection: &mut PgConnection, key: &str, value: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO meta (key, value) VALUES ($1, $2) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )
    .bind(key)
    .bind(value)
    .execute(connection)
    .await
    .map(|_| ())
}

#[cfg(test)]
mod tests;
