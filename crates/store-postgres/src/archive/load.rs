//! Fills a schema that is empty, in one transaction: a process that dies in the middle
//! leaves it as it was.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use sqlx::PgConnection;
use tally_eventlog::archive::{
    ArchiveError, Found, LogPart, Part, Parts, RowPart, StoreFacts, Target, counted, other_shards,
};
use tally_eventlog::encoding::{encode_result, event_id, head_checksum, stream_key};
use tally_eventlog::event::{Recorded, StoredRecord};
use tally_eventlog::sequence::{CommandRef, Remembered};
use tally_eventlog::shard::{LogName, Shard};

use super::patient;
use super::rest::{set_clock, write_checkpoints};
use crate::connect::Connector;
use crate::load::uuid_of;
use crate::logs::shard_column;
use crate::months::{Month, month_of};
use crate::options::{Database, Limits, OpenError};
use crate::partitions::attach;
use crate::schema;

/// The rows of `stream`, from the records; a stream that lacks one gives no number.
const STREAMS: &str = "\
    INSERT INTO stream (key, version, first_month, last_month) \
    SELECT stream, CASE WHEN count(*) = max(version) + 1 THEN max(version) END, min(month), max(month) \
    FROM event GROUP BY stream";

/// A store that is to be filled.
pub struct PostgresTarget {
    schema: String,
    connection: PgConnection,
}

impl PostgresTarget {
    /// The store in a schema, which was migrated to this version.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; it says what to do.
    pub async fn open(database: &Database) -> Result<Self, OpenError> {
        let connector = Connector::new(database, &Limits::default())?;
        let mut connection = connector.connect_writer().await?;
        let schema = connector.schema;
        schema::STORE.verify(&mut connection, &schema).await?;
        patient(&mut connection).await?;
        Ok(Self { schema, connection })
    }

    async fn look(&mut self, facts: &StoreFacts) -> Result<Found, OpenError> {
        let info = schema::read_info(&mut self.connection, &self.schema).await?;
        let mut found = Found::default();
        if info.shards != facts.shards {
            found.misfits.push(other_shards(info.shards, facts.shards));
        }
        let counts: (i64, i64, i64, i64) = sqlx::query_as(
            "SELECT (SELECT coalesce(sum(size), 0)::bigint FROM shard_head), \
                (SELECT count(*) FROM command), \
                (SELECT count(*) FROM checkpoint WHERE next IS NOT NULL), \
                (SELECT count(*) FROM view_row)",
        )
        .fetch_one(&mut self.connection)
        .await?;
        found.used = info.epoch > 0;
        found.there = counted(&[
            ("records", counts.0),
            ("remembered commands", counts.1),
            ("checkpoints", counts.2),
            ("rows of views", counts.3),
            // Whoever opened it knows its logs by the ids that they had then.
            (
                "openings by a process of the role",
                info.epoch.cast_signed(),
            ),
        ]);
        Ok(found)
    }

    async fn fill(&mut self, parts: &mut dyn Parts) -> Result<(), ArchiveError> {
        let schema = self.schema.clone();
        schema::lock(&mut self.connection, &schema)
            .await
            .map_err(ArchiveError::store)?;
        // Nobody may read the ids of the logs before they are settled.
        let text = "LOCK TABLE meta, log, shard_head IN ACCESS EXCLUSIVE MODE; \
                    SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on";
        run(&mut self.connection, text).await?;
        let mut filling = Filling::default();
        while let Some(part) = parts.next()? {
            if let Part::Store(facts) = &part {
                let found = self.look(facts).await.map_err(ArchiveError::store)?;
                found.refuse(&format!("schema `{schema}`"))?;
            }
            filling.take(&mut self.connection, part).await?;
        }
        filling.finish(&mut self.connection).await?;
        let marked = schema::begin_unfinished(&mut self.connection).await;
        marked.map_err(ArchiveError::store)
    }
}

#[async_trait]
impl Target for PostgresTarget {
    async fn found(&mut self, facts: &StoreFacts) -> Result<Found, ArchiveError> {
        self.look(facts).await.map_err(ArchiveError::store)
    }

    async fn load(&mut self, parts: &mut dyn Parts) -> Result<(), ArchiveError> {
        run(&mut self.connection, "BEGIN").await?;
        let filled = self.fill(parts).await;
        let end = if filled.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = run(&mut self.connection, end).await;
        filled?;
        ended
    }
}

async fn run(connection: &mut PgConnection, text: &'static str) -> Result<(), ArchiveError> {
    let done = sqlx::raw_sql(text).execute(connection).await;
    done.map(|_| ()).map_err(ArchiveError::store)
}

/// What is known of the content so far.
#[derive(Default)]
struct Filling {
    logs: HashMap<LogName, i16>,
    views: HashMap<String, i32>,
    partitions: BTreeSet<Month>,
    /// First position of each month, by log and shard.
    months: BTreeMap<(i16, i16, Month), i64>,
}

impl Filling {
    async fn take(&mut self, to: &mut PgConnection, part: Part) -> Result<(), ArchiveError> {
        match part {
            Part::Store(facts) => set_clock(to, &facts).await.map_err(ArchiveError::store),
            Part::Log(log) => self.log(to, &log).await,
            Part::Records(log, records) => self.records(to, log, &records).await,
            Part::Commands(commands) => self.commands(to, &commands).await,
            Part::Checkpoints(checkpoints) => {
                let written = write_checkpoints(to, &checkpoints).await;
                written.map_err(ArchiveError::store)
            }
            Part::Rows(rows) => self.rows(to, &rows).await.map_err(ArchiveError::store),
        }
    }

    fn number(&self, log: LogName) -> Result<i16, ArchiveError> {
        let number = self.logs.get(&log).copied();
        number.ok_or_else(|| ArchiveError::store(format!("log `{log}` was not announced")))
    }

    /// Gives a log of the schema the id and the heads of the archived one.
    async fn log(&mut self, to: &mut PgConnection, log: &LogPart) -> Result<(), ArchiveError> {
        let number: Option<i16> =
            sqlx::query_scalar("UPDATE log SET log_id = $2 WHERE name = $1 RETURNING number")
                .bind(log.name.0)
                .bind(log.id)
                .fetch_optional(&mut *to)
                .await
                .map_err(ArchiveError::store)?;
        let number = number.ok_or_else(|| {
            ArchiveError::store(format!(
                "the schema has no log `{}`: run `tally migrate`",
                log.name
            ))
        })?;
        let heads = || (0..).map(Shard).zip(&log.heads);
        let shards: Vec<i16> = heads().map(|(shard, _)| shard_column(shard)).collect();
        let sizes: Vec<i64> = heads().map(|(_, head)| head.size().cast_signed()).collect();
        let leaves: Vec<&[u8]> = heads().map(|(_, head)| &head.leaf[..]).collect();
        let frontiers: Vec<Vec<u8>> = heads().map(|(_, head)| head.frontier.to_bytes()).collect();
        let times: Vec<String> = heads()
            .map(|(_, head)| head.recorded_at.to_string())
            .collect();
        let checksums: Vec<[u8; 32]> = heads()
            .map(|(shard, head)| head_checksum(shard, head))
            .collect();
        let done = sqlx::query(
            "UPDATE shard_head h SET size = w.size, leaf = w.leaf, frontier = w.frontier, \
                recorded_at = w.recorded_at, checksum = w.checksum \
             FROM unnest($2::smallint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::text[], $7::bytea[]) \
                w(shard, size, leaf, frontier, recorded_at, checksum) \
             WHERE h.log = $1 AND h.shard = w.shard",
        )
        .bind(number)
        .bind(shards)
        .bind(sizes)
        .bind(leaves)
        .bind(frontiers)
        .bind(times)
        .bind(checksums)
        .execute(&mut *to)
        .await
        .map_err(ArchiveError::store)?;
        if done.rows_affected() != log.heads.len() as u64 {
            let text = format!("the schema lacks heads of log `{}`", log.name);
            return Err(ArchiveError::store(text));
        }
        for (nth, former) in (0i16..).zip(&log.former) {
            let sizes: Vec<i64> = former.sizes.iter().map(|size| size.cast_signed()).collect();
            let kept = sqlx::query(
                "INSERT INTO former_log_id (log, number, shard, log_id, size) \
                 SELECT $1, $2, w.shard, $3, w.size \
                 FROM unnest($4::smallint[], $5::bigint[]) w(shard, size)",
            );
            let shards: Vec<i16> = (0..)
                .map(Shard)
                .map(shard_column)
                .take(sizes.len())
                .collect();
            let kept = kept
                .bind(number)
                .bind(nth)
                .bind(former.log_id)
                .bind(shards)
                .bind(sizes);
            kept.execute(&mut *to).await.map_err(ArchiveError::store)?;
        }
        self.logs.insert(log.name, number);
        Ok(())
    }

    async fn records(
        &mut self,
        to: &mut PgConnection,
        log: LogName,
        records: &[StoredRecord],
    ) -> Result<(), ArchiveError> {
        let number = self.number(log)?;
        let log_number = u8::try_from(number).map_err(ArchiveError::store)?;
        let (mut ids, mut months, mut streams) = (Vec::new(), Vec::new(), Vec::new());
        let (mut versions, mut leaves, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for record in records {
            let recorded = Recorded::decode(log, record).map_err(ArchiveError::store)?;
            let envelope = &recorded.envelope;
            let month = month_of(recorded.recorded_at);
            let place = (number, shard_column(record.shard), month);
            let position = record.position.cast_signed();
            self.months.entry(place).or_insert(position);
            ids.push(event_id(log_number, record.shard, record.position));
            months.push(month);
            streams.push(uuid_of(stream_key(
                log,
                &envelope.category,
                &envelope.stream_id,
            )));
            versions.push(envelope.version.cast_signed());
            leaves.push(&record.leaf[..]);
            bytes.push(&record.bytes[..]);
        }
        for month in months.iter().flat_map(|month| [*month, month + 1]) {
            if self.partitions.insert(month) {
                attach(to, month).await.map_err(ArchiveError::store)?;
            }
        }
        sqlx::query(
            "INSERT INTO event (id, month, stream, version, leaf, record) \
             SELECT * FROM unnest($1::bigint[], $2::int[], $3::uuid[], $4::bigint[], $5::bytea[], $6::bytea[])",
        )
        .bind(ids)
        .bind(months)
        .bind(streams)
        .bind(versions)
        .bind(leaves)
        .bind(bytes)
        .execute(to)
        .await
        .map(|_| ())
        .map_err(ArchiveError::store)
    }

    async fn commands(
        &mut self,
        to: &mut PgConnection,
        commands: &[(CommandRef, Remembered)],
    ) -> Result<(), ArchiveError> {
        let mut numbers = Vec::with_capacity(commands.len());
        for ((log, _, _), _) in commands {
            numbers.push(self.number(*log)?);
        }
        let ids: Vec<_> = commands.iter().map(|((_, _, id), _)| *id).collect();
        let departments: Vec<&str> = commands.iter().map(|((_, of, _), _)| of.as_str()).collect();
        let digests: Vec<&[u8]> = commands
            .iter()
            .map(|(_, first)| &first.digest[..])
            .collect();
        let results: Vec<Vec<u8>> = commands
            .iter()
            .map(|(_, first)| encode_result(&first.first))
            .collect();
        sqlx::query(
            "INSERT INTO command (id, log, department, digest, result) \
             SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::text[], $4::bytea[], $5::bytea[])",
        )
        .bind(ids)
        .bind(numbers)
        .bind(departments)
        .bind(digests)
        .bind(results)
        .execute(to)
        .await
        .map(|_| ())
        .map_err(ArchiveError::store)
    }

    async fn rows(&mut self, to: &mut PgConnection, rows: &[RowPart]) -> Result<(), sqlx::Error> {
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            let number = match self.views.get(&row.view) {
                Some(number) => *number,
                None => {
                    let number = sqlx::query_scalar(
                        "INSERT INTO view_name (name) VALUES ($1) \
                         ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING number",
                    )
                    .bind(&row.view)
                    .fetch_one(&mut *to)
                    .await?;
                    *self.views.entry(row.view.clone()).or_insert(number)
                }
            };
            views.push(number);
        }
        let shards: Vec<i16> = rows.iter().map(|row| shard_column(row.shard)).collect();
        let keys: Vec<&[u8]> = rows.iter().map(|row| &row.key[..]).collect();
        let values: Vec<&[u8]> = rows.iter().map(|row| &row.value[..]).collect();
        sqlx::query(
            "INSERT INTO view_row (view, shard, key, value) \
             SELECT * FROM unnest($1::int[], $2::smallint[], $3::bytea[], $4::bytea[])",
        )
        .bind(views)
        .bind(shards)
        .bind(keys)
        .bind(values)
        .execute(to)
        .await
        .map(|_| ())
    }

    /// What follows from the records.
    async fn finish(self, to: &mut PgConnection) -> Result<(), ArchiveError> {
        let months = || self.months.iter();
        let logs: Vec<i16> = months().map(|((log, _, _), _)| *log).collect();
        let shards: Vec<i16> = months().map(|((_, shard, _), _)| *shard).collect();
        let numbers: Vec<Month> = months().map(|((_, _, month), _)| *month).collect();
        let firsts: Vec<i64> = months().map(|(_, first)| *first).collect();
        sqlx::query(
            "INSERT INTO shard_month (log, shard, month, first_position) \
             SELECT * FROM unnest($1::smallint[], $2::smallint[], $3::int[], $4::bigint[])",
        )
        .bind(logs)
        .bind(shards)
        .bind(numbers)
        .bind(firsts)
        .execute(&mut *to)
        .await
        .map_err(ArchiveError::store)?;
        run(to, STREAMS).await
    }
}
