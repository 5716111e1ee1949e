//! Bare inserts into Postgres: a batch is one statement, which commits by itself.

use std::sync::Arc;

use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;

use super::{InsertTask, Inserts, Table};
use crate::distributed::schema::Schema;
use crate::material::{Item, KeyRow, Material, ViewRow};

// The rows are those of ours, in the tables of ours.
const WRITE: &str = "\
WITH events AS (\
    INSERT INTO event (id, month, stream, version, leaf, record) \
    SELECT w.id, $1, w.stream, w.version, w.leaf, w.record \
    FROM unnest($2::bigint[], $3::uuid[], $4::bigint[], $5::bytea[], $6::bytea[]) \
        w(id, stream, version, leaf, record)\
), streams AS (\
    INSERT INTO stream (key, version, first_month, last_month) \
    SELECT w.key, w.version, $1, $1 FROM unnest($3::uuid[], $4::bigint[]) w(key, version)\
), commands AS (\
    INSERT INTO command (id, log, department, digest, result) \
    SELECT * FROM unnest($7::uuid[], $8::smallint[], $9::text[], $10::bytea[], $11::bytea[])\
), views AS (\
    INSERT INTO view_row (view, shard, key, value) \
    SELECT * FROM unnest($12::int[], $13::smallint[], $14::bytea[], $15::bytea[]) \
    ON CONFLICT (view, shard, key) DO UPDATE SET value = excluded.value\
), heads AS (\
    UPDATE shard_head h SET size = w.size, leaf = w.leaf, frontier = w.frontier, \
        recorded_at = w.recorded_at, checksum = w.checksum \
    FROM unnest($16::smallint[], $17::smallint[], $18::bigint[], $19::bytea[], $20::bytea[], \
        $21::text[], $22::bytea[]) w(log, shard, size, leaf, frontier, recorded_at, checksum) \
    WHERE h.log = w.log AND h.shard = w.shard\
), checkpoints AS (\
    INSERT INTO checkpoint (consumer, shard, next, log_id, leaf, seen_at, epoch) \
    SELECT * FROM unnest($23::text[], $24::smallint[], $25::bigint[], $26::uuid[], $27::bytea[], \
        $28::text[], $29::bigint[]) \
    ON CONFLICT (consumer, shard) DO UPDATE SET next = excluded.next, log_id = excluded.log_id, \
        leaf = excluded.leaf, seen_at = excluded.seen_at, epoch = excluded.epoch\
) SELECT 1";

const WRITE_KEYS: &str = "INSERT INTO data_key (lookup, key_id, wrapped) \
    SELECT * FROM unnest($1::bytea[], $2::uuid[], $3::bytea[])";

impl Inserts {
    /// Inserts into the event store in a schema.
    pub async fn into_schema(schema: &Schema, material: Arc<Material>) -> (Self, InsertTask) {
        if !material.items.is_empty() {
            let month = material.month;
            let partition = format!(
                "CREATE TABLE event_bare PARTITION OF event FOR VALUES FROM ({month}) TO ({})",
                month + 1
            );
            schema.run(partition).await;
        }
        let connection = schema.connect().await;
        Self::start(Store {
            connection,
            material,
        })
    }

    /// Inserts the keys into the key ring in a schema.
    pub async fn into_keyring_schema(
        schema: &Schema,
        material: Arc<Material>,
    ) -> (Self, InsertTask) {
        let connection = schema.connect().await;
        Self::start(Keys {
            connection,
            material,
        })
    }
}

struct Store {
    connection: PgConnection,
    material: Arc<Material>,
}

impl Table for Store {
    async fn commit(&mut self, batch: &[std::ops::Range<usize>]) -> Result<(), sqlx::Error> {
        let material = &self.material;
        let mut items: Vec<&Item> = batch
            .iter()
            .flat_map(|places| &material.items[places.clone()])
            .collect();
        // Neighbours in the table one after the other, as ours does it.
        items.sort_unstable_by_key(|item| item.event.id);
        let own = items.iter().flat_map(|item| &item.views);
        let mut views: Vec<&ViewRow> = own.chain(&material.views).collect();
        views.sort_unstable_by(|a, b| (a.view, a.shard, &a.key).cmp(&(b.view, b.shard, &b.key)));
        let (heads, checkpoints) = (&material.heads, &material.checkpoints);
        sqlx::query(WRITE)
            .bind(material.month)
            .bind(column(&items, |item| item.event.id))
            .bind(column(&items, |item| uuid(&item.event.stream)))
            .bind(column(&items, |item| item.event.version))
            .bind(column(&items, |item| &item.event.leaf[..]))
            .bind(column(&items, |item| &item.event.record[..]))
            .bind(column(&items, |item| uuid(&item.command.id)))
            .bind(column(&items, |item| small(item.command.log)))
            .bind(column(&items, |item| &item.command.department[..]))
            .bind(column(&items, |item| &item.command.digest[..]))
            .bind(column(&items, |item| &item.command.result[..]))
            .bind(column(&views, |row| row.view as i32))
            .bind(column(&views, |row| small(row.shard)))
            .bind(column(&views, |row| &row.key[..]))
            .bind(column(&views, |row| &row.value[..]))
            .bind(column(heads, |row| small(row.log)))
            .bind(column(heads, |row| small(row.shard)))
            .bind(column(heads, |row| row.size))
            .bind(column(heads, |row| &row.leaf[..]))
            .bind(column(heads, |row| &row.frontier[..]))
            .bind(column(heads, |row| &row.recorded_at[..]))
            .bind(column(heads, |row| &row.checksum[..]))
            .bind(column(checkpoints, |row| &row.consumer[..]))
            .bind(column(checkpoints, |row| small(row.shard)))
            .bind(column(checkpoints, |row| row.next))
            .bind(column(checkpoints, |row| uuid(&row.log_id)))
            .bind(column(checkpoints, |row| &row.leaf[..]))
            .bind(column(checkpoints, |row| &row.seen_at[..]))
            .bind(column(checkpoints, |row| row.epoch))
            .execute(&mut self.connection)
            .await
            .map(drop)
    }

    async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}

struct Keys {
    connection: PgConnection,
    material: Arc<Material>,
}

impl Table for Keys {
    async fn commit(&mut self, batch: &[std::ops::Range<usize>]) -> Result<(), sqlx::Error> {
        let items = batch
            .iter()
            .flat_map(|places| &self.material.items[places.clone()]);
        let keys: Vec<&KeyRow> = items.filter_map(|item| item.key.as_ref()).collect();
        sqlx::query(WRITE_KEYS)
            .bind(column(&keys, |key| &key.lookup[..]))
            .bind(column(&keys, |key| uuid(&key.key_id)))
            .bind(column(&keys, |key| &key.wrapped[..]))
            .execute(&mut self.connection)
            .await
            .map(drop)
    }

    async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}

fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn uuid(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).expect("16 bytes")
}

fn small(number: i64) -> i16 {
    i16::try_from(number).expect("logs and shards are few")
}
