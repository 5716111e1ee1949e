//! The histories of streams.

use std::collections::{BTreeSet, HashMap};

use sqlx::postgres::PgPool;
use sqlx::{PgConnection, Row as _};
use tally_eventlog::event::StoredRecord;
use tally_eventlog::shard::Shard;
use uuid::Uuid;

use crate::months::Month;
use crate::partitions::{away, put_back};
use crate::shelf::read_record;

/// A stream as it was when it was looked up: its key, the version of its last record,
/// and the months of its records.
type Span = (Uuid, i64, Month, Month);

/// The records of those streams that there are, by version.
pub(crate) async fn histories(
    pool: PgPool,
    keys: Vec<Uuid>,
) -> Result<HashMap<Uuid, Vec<StoredRecord>>, sqlx::Error> {
    let mut reader = pool.acquire().await?;
    let spans: Vec<Span> = sqlx::query_as(
        "SELECT key, version, first_month, last_month FROM stream WHERE key = ANY($1)",
    )
    .bind(keys)
    .fetch_all(&mut *reader)
    .await?;
    if spans.is_empty() {
        return Ok(HashMap::new());
    }
    let months: BTreeSet<Month> = spans
        .iter()
        .flat_map(|(_, _, first, last)| *first..=*last)
        .collect();
    let keys: Vec<Uuid> = spans.iter().map(|(key, ..)| *key).collect();
    let rows = sqlx::query(
        "SELECT id, leaf, record, version, stream FROM event \
         WHERE month = ANY($1) AND stream = ANY($2)",
    )
    .bind(months.into_iter().collect::<Vec<_>>())
    .bind(keys)
    .fetch_all(&mut *reader)
    .await?;
    let mut found: HashMap<Uuid, Vec<(i64, StoredRecord)>> = HashMap::with_capacity(spans.len());
    for row in rows {
        let shard = Shard(((row.try_get::<i64, _>(0)? >> 40) & 0xffff) as u16);
        let record = read_record(&row, shard)?;
        let records = found.entry(row.try_get(4)?).or_default();
        records.push((row.try_get(3)?, record));
    }
    let mut histories = HashMap::with_capacity(spans.len());
    for span in spans {
        let mut records = found.remove(&span.0).unwrap_or_default();
        records.sort_unstable_by_key(|(version, _)| *version);
        // What was appended since is there too, unless it is in a month that was not
        // the stream's then.
        let follow = (0..).zip(&records).all(|(n, (version, _))| *version == n);
        if !follow || (records.len() as i64) <= span.1 {
            return Err(incomplete(&mut reader, &span).await);
        }
        let records = records.into_iter().map(|(_, record)| record).collect();
        histories.insert(span.0, records);
    }
    Ok(histories)
}

/// Nobody may decide on part of a history.
async fn incomplete(connection: &mut PgConnection, (_, _, first, last): &Span) -> sqlx::Error {
    let remedy = match away(connection, *first..=*last).await {
        Ok(mut months) => months.pop_first().map(put_back),
        Err(error) => return error,
    };
    let remedy = remedy.unwrap_or_else(|| "run `tally verify`".to_owned());
    sqlx::Error::Protocol(format!("records of a stream are missing; {remedy}"))
}
