//! The rows of a load as Postgres has them.

use std::collections::HashMap;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use tally_eventlog::shard::LogName;
use uuid::Uuid;

use super::{
    CheckpointRow, CommandRow, Counts, EventRow, Found, HeadRow, KeyRow, Material, ViewRow,
};
use crate::distributed::schema::Schema;

impl Counts {
    /// Counts the rows of a schema.
    pub async fn read_schema(schema: &Schema) -> Self {
        let connection = &mut schema.connect().await;
        let counts = sqlx::query_as(
            "SELECT (SELECT count(*) FROM event), (SELECT count(*) FROM command), \
             (SELECT count(*) FROM view_row)",
        );
        let (events, commands, views) = counts
            .fetch_one(connection)
            .await
            .expect("the tables are there");
        Self {
            events,
            commands,
            views,
        }
    }
}

impl Material {
    /// Reads the rows that a load on `log` has made, the first that its schema has seen.
    ///
    /// # Panics
    ///
    /// If there are not as many events and commands as there were requests.
    pub async fn read_schema(
        store: &Schema,
        keyring: &Schema,
        log: LogName,
        requests: usize,
    ) -> Self {
        let connection = &mut store.connect().await;
        let number: i16 = sqlx::query_scalar("SELECT number FROM log WHERE name = $1")
            .bind(log.0)
            .fetch_one(&mut *connection)
            .await
            .expect("the store has the log");
        let months: Vec<i32> = sqlx::query_scalar("SELECT DISTINCT month FROM event")
            .fetch_all(&mut *connection)
            .await
            .expect("the store can be read");
        let [month] = months[..] else {
            panic!("the load lies within one month, and not in {months:?}");
        };
        let found = Found {
            events: events(connection).await,
            commands: commands(connection, number).await,
            heads: heads(connection, number).await,
            checkpoints: checkpoints(connection).await,
            keys: keys(&mut keyring.connect().await).await,
        };
        let (mut material, places) = Self::of(found, requests);
        material.month = month;
        let views = "SELECT view, shard, key, value FROM view_row";
        let views = rows(connection, views, |row| ViewRow {
            view: row.get::<i32, _>(0).into(),
            shard: row.get::<i16, _>(1).into(),
            key: row.get(2),
            value: row.get(3),
        });
        for row in views.await {
            material.take_view(&places, row, |_| true);
        }
        material
    }
}

async fn rows<T>(
    connection: &mut PgConnection,
    sql: &'static str,
    read: impl Fn(&PgRow) -> T,
) -> Vec<T> {
    let rows = sqlx::query(sql).fetch_all(connection).await;
    rows.expect("the store can be read")
        .iter()
        .map(read)
        .collect()
}

fn uuid(row: &PgRow, column: usize) -> Vec<u8> {
    row.get::<Uuid, _>(column).as_bytes().to_vec()
}

async fn events(connection: &mut PgConnection) -> Vec<EventRow> {
    let sql = "SELECT id, stream, version, leaf, record FROM event";
    rows(connection, sql, |row| EventRow {
        id: row.get(0),
        stream: uuid(row, 1),
        version: row.get(2),
        leaf: row.get(3),
        record: row.get(4),
    })
    .await
}

async fn commands(connection: &mut PgConnection, number: i16) -> Vec<CommandRow> {
    let sql = "SELECT id, log, department, digest, result FROM command";
    let commands = rows(connection, sql, |row| CommandRow {
        id: uuid(row, 0),
        log: row.get::<i16, _>(1).into(),
        department: row.get(2),
        digest: row.get(3),
        result: row.get(4),
    });
    let mut commands = commands.await;
    commands.retain(|row| row.log == i64::from(number));
    commands
}

async fn heads(connection: &mut PgConnection, number: i16) -> Vec<HeadRow> {
    let sql = "SELECT log, shard, size, leaf, frontier, recorded_at, checksum FROM shard_head";
    let heads = rows(connection, sql, |row| HeadRow {
        log: row.get::<i16, _>(0).into(),
        shard: row.get::<i16, _>(1).into(),
        size: row.get(2),
        leaf: row.get(3),
        frontier: row.get(4),
        recorded_at: row.get(5),
        checksum: row.get(6),
    });
    let mut heads = heads.await;
    heads.retain(|row| row.log == i64::from(number));
    heads
}

async fn checkpoints(connection: &mut PgConnection) -> Vec<CheckpointRow> {
    let sql = "SELECT consumer, shard, next, log_id, leaf, seen_at, epoch FROM checkpoint \
               WHERE next IS NOT NULL";
    rows(connection, sql, |row| CheckpointRow {
        consumer: row.get(0),
        shard: row.get::<i16, _>(1).into(),
        next: row.get(2),
        log_id: uuid(row, 3),
        leaf: row.get(4),
        seen_at: row.get(5),
        epoch: row.get(6),
    })
    .await
}

async fn keys(connection: &mut PgConnection) -> HashMap<Vec<u8>, KeyRow> {
    let sql = "SELECT lookup, key_id, wrapped FROM data_key";
    let keys = rows(connection, sql, |row| KeyRow {
        lookup: row.get(0),
        key_id: uuid(row, 1),
        wrapped: row.get(2),
    });
    let keys = keys.await.into_iter();
    keys.map(|key| (key.key_id.clone(), key)).collect()
}
