//! The store's tables, and what `meta` says of the store.

use std::path::Path;

use jiff::SignedDuration;
use sqlx::SqliteConnection;
use tally_eventlog::sequence::Head;
use tally_eventlog::shard::{LogName, Shard, ShardCount};
use uuid::Uuid;

use crate::known::{Log, Logs};
use crate::options::{CreateOptions, OpenError, StoreInfo};
use crate::write::insert_heads;
use tally_eventlog::encoding::LOGS_MAX;

/// One step per format; step n leads from format n to n + 1.
const MIGRATIONS: [&str; 3] = [
    include_str!("../../../migrations/sqlite/store/0001_event_store.sql"),
    include_str!("../../../migrations/sqlite/store/0002_checkpoint_hint.sql"),
    include_str!("../../../migrations/sqlite/store/0003_former_log_id.sql"),
];

/// Key in `meta` under which it is kept that the content goes on elsewhere.
const EXPORTED: &str = "exported";

/// What opening settled.
pub(crate) struct Opened {
    pub(crate) logs: Logs,
    pub(crate) epoch: u64,
    pub(crate) ahead: Option<SignedDuration>,
}

/// What the opener asks for.
pub(crate) struct Wish<'a> {
    pub(crate) path: &'a Path,
    pub(crate) logs: &'a [LogName],
    pub(crate) shards: ShardCount,
    pub(crate) create: Option<&'a CreateOptions>,
}

/// Brings the tables to this version's format, checks that the store is the
/// one asked for, and counts the opening. In the caller's transaction.
pub(crate) async fn prepare(
    connection: &mut SqliteConnection,
    wish: &Wish<'_>,
) -> Result<Opened, OpenError> {
    let found = format(connection, wish.path).await?;
    match (found, wish.create) {
        (0, None) => {
            return Err(OpenError::Missing {
                path: wish.path.to_owned(),
            });
        }
        (0, Some(create)) => {
            create_tables(connection).await?;
            set_facts(connection, wish.shards, create.test_clock).await?;
        }
        (found, _) => {
            if let Some(at) = retired(connection).await? {
                let path = wish.path.to_owned();
                return Err(OpenError::Exported { path, at });
            }
            migrate(connection, found).await?;
        }
    }
    let info = read_info(connection, wish.path).await?;
    if info.shards != wish.shards {
        return Err(OpenError::ShardCount {
            found: info.shards.get(),
            asked: wish.shards.get(),
        });
    }
    if info.ahead.is_none()
        && wish
            .create
            .is_some_and(|create| create.test_clock.is_some())
    {
        return Err(OpenError::ClockFixed);
    }
    let epoch = info.epoch + 1;
    set(connection, "epoch", &epoch.to_string()).await?;
    let mut all = Vec::with_capacity(wish.logs.len());
    for name in wish.logs {
        all.push(open_log(connection, *name, wish.shards).await?);
    }
    Ok(Opened {
        logs: Logs {
            shards: wish.shards,
            all,
        },
        epoch,
        ahead: info.ahead,
    })
}

/// Makes the tables of a store in an empty file.
pub(crate) async fn create_tables(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    migrate(connection, 0).await?;
    Ok(set(connection, "epoch", "0").await?)
}

/// Settles what is settled when a store is created.
pub(crate) async fn set_facts(
    connection: &mut SqliteConnection,
    shards: ShardCount,
    ahead: Option<SignedDuration>,
) -> Result<(), sqlx::Error> {
    set(connection, "shards", &shards.get().to_string()).await?;
    match ahead {
        Some(ahead) => set_ahead(connection, ahead).await,
        None => Ok(()),
    }
}

/// Checks that the store has this version's format; changes nothing.
pub(crate) async fn verify_format(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<(), OpenError> {
    let known = MIGRATIONS.len() as u64;
    match format(connection, path).await? {
        0 => Err(OpenError::Missing {
            path: path.to_owned(),
        }),
        found if found < known => Err(OpenError::OlderFormat { found, known }),
        _ => Ok(()),
    }
}

/// Writes down that the content goes on elsewhere. The first time counts.
pub(crate) async fn retire(
    connection: &mut SqliteConnection,
    at: jiff::Timestamp,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR IGNORE INTO meta (key, value) VALUES (?, ?)")
        .bind(EXPORTED)
        .bind(at.to_string())
        .execute(connection)
        .await
        .map(|_| ())
}

/// When that was; nothing if it was not.
pub(crate) async fn retired(
    connection: &mut SqliteConnection,
) -> Result<Option<String>, sqlx::Error> {
    get(connection, EXPORTED).await
}

/// Reads what the store says of itself; nothing where no store was created yet.
pub(crate) async fn inspect(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<Option<StoreInfo>, OpenError> {
    match format(connection, path).await? {
        0 => Ok(None),
        _ => read_info(connection, path).await.map(Some),
    }
}

/// Keeps the distance of the movable clock.
pub(crate) async fn set_ahead(
    connection: &mut SqliteConnection,
    ahead: SignedDuration,
) -> Result<(), sqlx::Error> {
    set(connection, "ahead", &ahead.to_string()).await
}

/// Format of the store; 0 for an empty file.
async fn format(connection: &mut SqliteConnection, path: &Path) -> Result<u64, OpenError> {
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'")
            .fetch_all(&mut *connection)
            .await?;
    if tables.is_empty() {
        return Ok(0);
    }
    let not_a_store = || OpenError::NotAStore {
        path: path.to_owned(),
    };
    if !["meta", "shard_head", "event"]
        .iter()
        .all(|name| tables.iter().any(|table| table == name))
    {
        return Err(not_a_store());
    }
    let found: u64 = get(connection, "format")
        .await?
        .and_then(|text| text.parse().ok())
        .ok_or_else(not_a_store)?;
    let known = MIGRATIONS.len() as u64;
    if found > known {
        return Err(OpenError::NewerFormat { found, known });
    }
    Ok(found)
}

async fn migrate(connection: &mut SqliteConnection, found: u64) -> Result<(), OpenError> {
    let done = usize::try_from(found).unwrap_or(MIGRATIONS.len());
    for step in MIGRATIONS.iter().skip(done) {
        sqlx::raw_sql(*step).execute(&mut *connection).await?;
    }
    if done < MIGRATIONS.len() {
        set(connection, "format", &MIGRATIONS.len().to_string()).await?;
    }
    Ok(())
}

pub(crate) async fn read_info(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<StoreInfo, OpenError> {
    let damaged = |what: &str| OpenError::Damaged {
        what: format!("meta in {}: {what}", path.display()),
    };
    let shards = get(connection, "shards").await?;
    let shards = shards.and_then(|text| ShardCount::new(text.parse().ok()?).ok());
    let epoch = get(connection, "epoch").await?;
    let ahead = match get(connection, "ahead").await? {
        Some(text) => Some(
            text.parse()
                .map_err(|_| damaged("the clock's distance is not one"))?,
        ),
        None => None,
    };
    Ok(StoreInfo {
        shards: shards.ok_or_else(|| damaged("no number of shards"))?,
        epoch: epoch
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| damaged("no epoch"))?,
        ahead,
    })
}

/// Finds the log, or adds it with a new id and the heads of its empty shards.
async fn open_log(
    connection: &mut SqliteConnection,
    name: LogName,
    shards: ShardCount,
) -> Result<Log, OpenError> {
    let found: Option<(u8, Vec<u8>)> =
        sqlx::query_as("SELECT number, log_id FROM log WHERE name = ?")
            .bind(name.0)
            .fetch_optional(&mut *connection)
            .await?;
    if let Some((number, id)) = found {
        let id = Uuid::from_slice(&id).map_err(|error| OpenError::Damaged {
            what: format!("id of {name}: {error}"),
        })?;
        return Ok(Log { name, number, id });
    }
    let id = Uuid::new_v4();
    let number = add_log(connection, name, id).await?;
    let head = Head::empty(id);
    let heads: Vec<(u8, Shard, &Head)> = shards.all().map(|shard| (number, shard, &head)).collect();
    insert_heads(connection, &heads).await?;
    Ok(Log { name, number, id })
}

/// Adds a log, still without heads. Returns its number.
pub(crate) async fn add_log(
    connection: &mut SqliteConnection,
    name: LogName,
    id: Uuid,
) -> Result<u8, OpenError> {
    let number: i64 = sqlx::query_scalar("SELECT coalesce(max(number) + 1, 0) FROM log")
        .fetch_one(&mut *connection)
        .await?;
    let number = u8::try_from(number)
        .ok()
        .filter(|number| *number < LOGS_MAX)
        .ok_or(OpenError::TooManyLogs)?;
    sqlx::query("INSERT INTO log (number, name, log_id) VALUES (?, ?, ?)")
        .bind(number)
        .bind(name.0)
        .bind(id.as_bytes().as_slice())
        .execute(connection)
        .await?;
    Ok(number)
}

async fn get(connection: &mut SqliteConnection, key: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar("SELECT value FROM meta WHERE key = ?")
        .bind(key)
        .fetch_optional(connection)
        .await
}

async fn set(connection: &mut SqliteConnection, key: &str, value: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)")
        .bind(key)
        .bind(value)
        .execute(connection)
        .await
        .map(|_| ())
}
