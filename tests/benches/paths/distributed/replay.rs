//! Records read in order from Postgres, and a bare ordered `SELECT` of the same rows.

use std::sync::Arc;

use futures::TryStreamExt as _;
use sqlx::Row as _;
use tally::client::Client;
use tally::data_dir::OPERATOR;
use tally::role::Role;
use tally_eventlog::clock::SystemClock;
use tally_eventlog::store::LogSource as _;
use tally_proto::tally::audit::v1::ReplayRequest;
use tally_proto::tally::log::v1::ReadLogRequest;
use tally_service::logs;
use tally_store_postgres::{PostgresOptions, PostgresStore};

use super::ingest::Filled;
use super::roles::postgres;
use super::schema::Schema;
use crate::meter::{Cost, Meter};
use crate::report::{Report, Turn};

/// Records that a reader asks for at a time, as the consumers do.
const BATCH: usize = 512;

/// Reads all records of the log: by the store, by `ReadLog` and by `Replay` over gRPC.
pub async fn replay(filled: &Filled, report: &mut Report) {
    let schema = filled.roles.schema(Role::Collection);
    let turns = [
        ("6a replay: store", by_store(filled, &schema).await, true),
        (
            "6b replay: ReadLog over gRPC",
            by_read_log(filled).await,
            false,
        ),
        (
            "6c replay: Replay over gRPC, as JSON",
            by_replay(filled).await,
            false,
        ),
    ];
    for (path, ours, gated) in turns {
        let bare = by_select(filled, &schema).await;
        let turn = Turn {
            count: filled.records,
            ours,
            bare,
            notes: Vec::new(),
            gated,
        };
        report.add(path, turn);
    }
}

async fn by_store(filled: &Filled, schema: &Schema) -> Cost {
    let clock = Arc::new(SystemClock::default());
    let logs = Role::Collection.logs().to_vec();
    let options = PostgresOptions::new(schema.database.clone(), logs, filled.shards, clock);
    let store = PostgresStore::open(options).await.expect("the store opens");
    let meter = Meter::with(postgres().await);
    let mut read = 0;
    for shard in filled.shards.all() {
        let mut next = 0;
        loop {
            let more = store.read(logs::COLLECTION, shard, next, BATCH).await;
            let more = more.expect("the store can be read");
            next += more.len() as u64;
            read += more.len();
            if more.len() < BATCH {
                break;
            }
        }
    }
    let took = meter.read();
    assert_eq!(read, filled.records);
    store.close().await;
    took
}

async fn by_read_log(filled: &Filled) -> Cost {
    let operator = operator(filled).await;
    let meter = Meter::start();
    let mut read = 0;
    for shard in filled.shards.all() {
        let request = ReadLogRequest {
            log: logs::COLLECTION.to_string(),
            shard: shard.0.into(),
            ..Default::default()
        };
        let records = operator.log(Role::Collection).read_log(request).await;
        let mut records = records.expect("the owner answers").into_inner();
        while records.message().await.expect("it goes on").is_some() {
            read += 1;
        }
    }
    let took = meter.read();
    assert_eq!(read, filled.records);
    Cost {
        processors: None,
        ..took
    }
}

async fn by_replay(filled: &Filled) -> Cost {
    let operator = operator(filled).await;
    let meter = Meter::start();
    let request = ReplayRequest {
        log: logs::COLLECTION.to_string(),
        ..Default::default()
    };
    let records = operator.audit_of(Role::Collection).replay(request).await;
    let mut records = records.expect("the role answers").into_inner();
    let mut read = 0;
    while records.message().await.expect("it goes on").is_some() {
        read += 1;
    }
    let took = meter.read();
    assert_eq!(read, filled.records);
    Cost {
        processors: None,
        ..took
    }
}

async fn operator(filled: &Filled) -> Client {
    let dir = filled.roles.harness.dir.path();
    let operator = Client::of_dir(dir, OPERATOR).await;
    operator.expect("the mesh answers")
}

async fn by_select(filled: &Filled, schema: &Schema) -> Cost {
    let mut connection = schema.connect().await;
    let meter = Meter::with(postgres().await);
    let mut rows =
        sqlx::query("SELECT id, leaf, record FROM event ORDER BY id").fetch(&mut connection);
    let (mut read, mut bytes) = (0, 0);
    while let Some(row) = rows.try_next().await.expect("the rows can be read") {
        let _: i64 = row.get(0);
        bytes += row.get::<&[u8], _>(1).len() + row.get::<Vec<u8>, _>(2).len();
        read += 1;
    }
    let took = meter.read();
    assert!(read == filled.records && bytes > 0);
    took
}
