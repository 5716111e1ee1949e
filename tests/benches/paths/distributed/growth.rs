//! What an event costs as the log grows: the store of a role in Postgres, filled and measured
//! at size after size.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use jiff::Timestamp;
use tally_eventlog::append::{Append, CommandKey, ExpectedVersion, StreamAppend};
use tally_eventlog::clock::SystemClock;
use tally_eventlog::event::{EventContext, NewEvent, StreamName};
use tally_eventlog::pb::Actor;
use tally_eventlog::shard::{Shard, ShardCount};
use tally_eventlog::store::{EventStore as _, LogSource as _};
use tally_service::logs::COLLECTION as LOG;
use tally_store_postgres::{PostgresOptions, PostgresStore};
use uuid::Uuid;

use super::schema::Schema;

/// How far a log grows.
#[derive(Clone, Copy)]
pub struct Growth {
    /// Events at the first measurement.
    pub from: u64,
    /// Events at the last one.
    pub to: u64,
    /// Bytes of an event's payload.
    pub bytes: usize,
}

/// Shards of the log: the default.
const SHARDS: u16 = 16;

/// Appends that one caller brings, as a chunk of a stream does.
const CHUNK: u64 = 512;

/// Callers at once.
const CALLERS: u64 = 4;

/// Events over which an append is measured.
const APPENDED: u64 = 50_000;

/// Single records and streams that are read.
const READ: u64 = 1_000;

/// Records that are read in order.
const REPLAYED: u64 = 100_000;

/// Records that a reader asks for at a time, as the consumers do.
const BATCH: usize = 512;

/// Fills and prints a line for each size: 1, 2, 5, 10 and so on of the first.
pub async fn grow(growth: Growth) {
    let shards = ShardCount::new(SHARDS).expect("in range");
    let schema = Schema::store(&[LOG], shards).await;
    let mut log = Log {
        store: Arc::new(open(&schema).await),
        payload: payload(growth.bytes),
        size: 0,
    };
    println!(
        "{:>10} {:>12} {:>12} {:>12} {:>12} {:>10} {:>12}",
        "events", "append µs", "replay µs", "record µs", "stream µs", "open ms", "bytes/event"
    );
    for size in sizes(growth) {
        let measured = log.size.max(size.saturating_sub(APPENDED));
        log.fill(measured).await;
        let filling = Instant::now();
        log.fill(size).await;
        let append = per(filling.elapsed(), size - measured);
        let replay = log.replay().await;
        let record = log.read_records().await;
        let stream = log.read_streams().await;
        let opening = Instant::now();
        open(&schema).await.close().await;
        let opened = opening.elapsed().as_secs_f64() * 1_000.0;
        let bytes = disk(&schema).await / size;
        println!(
            "{size:>10} {append:>12.1} {replay:>12.1} {record:>12.0} {stream:>12.0} {opened:>10.0} {bytes:>12}"
        );
    }
    log.store.close().await;
}

fn sizes(growth: Growth) -> Vec<u64> {
    let mut sizes = Vec::new();
    let mut decade = growth.from;
    while decade < growth.to {
        sizes.extend([decade, 2 * decade, 5 * decade]);
        decade *= 10;
    }
    sizes.retain(|size| *size < growth.to);
    sizes.push(growth.to);
    sizes
}

fn per(took: Duration, events: u64) -> f64 {
    took.as_secs_f64() * 1e6 / events.max(1) as f64
}

/// Bytes that do not compress better than a record does: Postgres would compress them.
fn payload(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}

async fn open(schema: &Schema) -> PostgresStore {
    let shards = ShardCount::new(SHARDS).expect("in range");
    let clock = Arc::new(SystemClock::default());
    let options = PostgresOptions::new(schema.database.clone(), vec![LOG], shards, clock);
    PostgresStore::open(options).await.expect("the store opens")
}

async fn disk(schema: &Schema) -> u64 {
    let bytes: i64 = sqlx::query_scalar(
        "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class \
         WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'",
    )
    .fetch_one(&mut schema.connect().await)
    .await
    .expect("the tables are there");
    bytes.cast_unsigned()
}

struct Log {
    store: Arc<PostgresStore>,
    payload: Vec<u8>,
    size: u64,
}

impl Log {
    /// Appends until it has so many events, each of a stream and a command of its own.
    async fn fill(&mut self, size: u64) {
        while self.size < size {
            let until = size.min(self.size + CALLERS * CHUNK);
            let chunks = (self.size..until).step_by(CHUNK as usize);
            let appending = chunks.map(|from| self.append(from..until.min(from + CHUNK)));
            join_all(appending).await;
            self.size = until;
        }
    }

    async fn append(&self, numbers: Range<u64>) {
        let appends = numbers.map(|n| self.command(n)).collect();
        for outcome in self.store.append(appends).await {
            outcome.expect("it commits");
        }
    }

    fn command(&self, n: u64) -> Append {
        let id = Uuid::now_v7();
        let event = NewEvent {
            event_id: id,
            event_type: "tally.bench.v1.Grown",
            subject: subject(n),
            payload: Bytes::copy_from_slice(&self.payload),
            effective_at: Timestamp::UNIX_EPOCH,
            context: Arc::new(EventContext {
                actor: Actor::default(),
                pack_version: "1".to_owned(),
                command_id: id,
                causation_id: id,
                correlation_id: id,
                traceparent: String::new(),
            }),
            legal_basis: None,
        };
        let stream = StreamAppend {
            stream: stream(n),
            expected: ExpectedVersion::NoStream,
            events: vec![event],
        };
        let key = CommandKey {
            department: "d".to_owned(),
            id,
            digest: [1; 32],
        };
        Append {
            command: Some(key),
            streams: vec![stream],
            ..Append::to(LOG, self.store.shards().of(&subject(n)))
        }
    }

    /// Microseconds a record, read in order from places spread over the log.
    async fn replay(&self) -> f64 {
        let heads = self.heads().await;
        let (mut read, mut took) = (0, Duration::ZERO);
        let of_shard = REPLAYED / u64::from(SHARDS);
        for (shard, size) in heads {
            let mut next = size / 3;
            let until = size.min(next + of_shard);
            let reading = Instant::now();
            while next < until {
                let limit = BATCH.min((until - next) as usize);
                let more = self.store.read_durable(LOG, shard, next, limit).await;
                next += more.expect("it can be read").len() as u64;
            }
            took += reading.elapsed();
            read += until - size / 3;
        }
        per(took, read)
    }

    /// Microseconds for one record anywhere in the log.
    async fn read_records(&self) -> f64 {
        let heads = self.heads().await;
        let reading = Instant::now();
        for n in 0..READ {
            let (shard, size) = heads[(n % u64::from(SHARDS)) as usize];
            let position = spread(n) % size;
            let found = self.store.read_durable(LOG, shard, position, 1).await;
            assert_eq!(found.expect("it can be read").len(), 1);
        }
        per(reading.elapsed(), READ)
    }

    /// Microseconds for the history of one stream, as a command loads it.
    async fn read_streams(&self) -> f64 {
        let reading = Instant::now();
        for n in 0..READ {
            let name = stream(spread(n) % self.size);
            let found = self.store.read_streams(LOG, &[name]).await;
            assert_eq!(found.expect("it can be read")[0].len(), 1);
        }
        per(reading.elapsed(), READ)
    }

    async fn heads(&self) -> Vec<(Shard, u64)> {
        let heads = self.store.heads(LOG).await.expect("it can be read");
        let sizes = heads.iter().map(|head| head.size());
        self.store.shards().all().zip(sizes).collect()
    }
}

fn subject(n: u64) -> String {
    format!("subject {}", n % 100_003)
}

fn stream(n: u64) -> StreamName {
    StreamName::new("record", Uuid::from_u128(n.into()).to_string())
}

/// Numbers all over, the same in each run.
fn spread(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8
}
