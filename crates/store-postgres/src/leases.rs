//! Leases in the role's schema, by the database's clock.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::Row as _;
use sqlx::postgres::{PgPool, PgRow};
use tally_eventlog::lease::{Lease, Leases, Standing};
use tally_eventlog::shard::Shard;
use tally_eventlog::store::StoreError;
use uuid::Uuid;

use crate::logs::{shard_column, shard_of};
use crate::store::PostgresStore;

// A lease that is new is named after a consumer whose checkpoint may be older, as
// after a move from the embedded mode: its epoch begins above that one's. The time
// is read again after a wait for the row.
const ACQUIRE: &str = "\
    INSERT INTO lease AS l (name, shard, epoch, holder, expires_at) \
    SELECT w.name, w.shard, 1 + coalesce(c.epoch, 0), $1, clock_timestamp() + $4 * interval '1 ms' \
    FROM unnest($2::text[], $3::smallint[]) w(name, shard) \
    LEFT JOIN checkpoint c ON c.consumer = w.name AND c.shard = w.shard \
    ORDER BY w.name COLLATE \"C\", w.shard \
    ON CONFLICT (name, shard) DO UPDATE SET holder = $1, \
        epoch = l.epoch + CASE WHEN l.holder = $1 THEN 0 ELSE 1 END, \
        expires_at = clock_timestamp() + $4 * interval '1 ms' \
    WHERE l.holder IS NULL OR l.holder = $1 OR l.expires_at <= clock_timestamp() \
    RETURNING name, shard, epoch";

const RENEW: &str = "\
    UPDATE lease l SET expires_at = clock_timestamp() + $5 * interval '1 ms' \
    FROM unnest($2::text[], $3::smallint[], $4::bigint[]) w(name, shard, epoch) \
    WHERE l.name = w.name AND l.shard = w.shard AND l.holder = $1 AND l.epoch = w.epoch \
    RETURNING l.name, l.shard, l.epoch";

const RELEASE: &str = "\
    UPDATE lease l SET holder = NULL, expires_at = clock_timestamp() \
    FROM unnest($2::text[], $3::smallint[], $4::bigint[]) w(name, shard, epoch) \
    WHERE l.name = w.name AND l.shard = w.shard AND l.holder = $1 AND l.epoch = w.epoch";

// The parts see the tables as they were before, so that the member itself is added.
const JOIN: &str = "\
    WITH me AS (\
        INSERT INTO lease_member (name, holder, expires_at) \
        SELECT name, $1, clock_timestamp() + $3 * interval '1 ms' FROM unnest($2::text[]) w(name) \
        ON CONFLICT (name, holder) DO UPDATE SET expires_at = excluded.expires_at\
    ), gone AS (\
        DELETE FROM lease_member WHERE name = ANY($2) AND holder <> $1 \
        AND expires_at <= clock_timestamp()\
    ) \
    SELECT name, NULL::smallint, holder FROM lease_member WHERE name = ANY($2) AND holder <> $1 \
        AND expires_at > clock_timestamp() \
    UNION ALL SELECT name, shard, holder FROM lease WHERE name = ANY($2) AND holder IS NOT NULL \
        AND expires_at > clock_timestamp()";

#[async_trait]
impl Leases for PostgresStore {
    async fn acquire(
        &self,
        holder: Uuid,
        wanted: &[(&'static str, Shard)],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let mut wanted = wanted.to_vec();
        // No row twice in a statement.
        wanted.sort_unstable();
        wanted.dedup();
        let (names, shards): (Vec<_>, Vec<_>) = columns(&wanted);
        let acquire = move |pool: PgPool| async move {
            let query = sqlx::query(ACQUIRE).bind(holder).bind(names).bind(shards);
            query.bind(milliseconds(term)).fetch_all(&pool).await
        };
        leases(&self.on_upkeep(acquire).await?, &wanted)
    }

    async fn renew(
        &self,
        holder: Uuid,
        held: &[Lease],
        term: Duration,
    ) -> Result<Vec<Lease>, StoreError> {
        let (places, epochs) = places(held);
        let (names, shards): (Vec<_>, Vec<_>) = columns(&places);
        let renew = move |pool: PgPool| async move {
            let query = sqlx::query(RENEW).bind(holder).bind(names).bind(shards);
            query
                .bind(epochs)
                .bind(milliseconds(term))
                .fetch_all(&pool)
                .await
        };
        leases(&self.on_upkeep(renew).await?, &places)
    }

    async fn release(&self, holder: Uuid, held: &[Lease]) -> Result<(), StoreError> {
        let (places, epochs) = places(held);
        let (names, shards): (Vec<_>, Vec<_>) = columns(&places);
        self.on_upkeep(move |pool| async move {
            let query = sqlx::query(RELEASE).bind(holder).bind(names).bind(shards);
            query.bind(epochs).execute(&pool).await.map(|_| ())
        })
        .await
    }

    async fn join(
        &self,
        member: Uuid,
        names: &[&'static str],
        term: Duration,
    ) -> Result<Vec<Standing>, StoreError> {
        let names = names.to_vec();
        self.on_upkeep(move |pool| async move {
            let query = sqlx::query(JOIN).bind(member).bind(&names);
            let rows = query.bind(milliseconds(term)).fetch_all(&pool).await?;
            let alone = Standing {
                members: BTreeSet::from([member]),
                ..Standing::default()
            };
            let mut standings = vec![alone; names.len()];
            for row in rows {
                let (name, holder): (&str, Uuid) = (row.try_get(0)?, row.try_get(2)?);
                let Some(at) = names.iter().position(|of| *of == name) else {
                    continue;
                };
                let Standing { members, held } = &mut standings[at];
                match row.try_get::<Option<i16>, _>(1)? {
                    None => drop(members.insert(holder)),
                    Some(shard) => drop(held.insert(shard_of(shard)?, holder)),
                }
            }
            Ok::<_, sqlx::Error>(standings)
        })
        .await
    }

    async fn leave(&self, member: Uuid, names: &[&'static str]) -> Result<(), StoreError> {
        let names = names.to_vec();
        self.on_upkeep(move |pool| async move {
            sqlx::query("DELETE FROM lease_member WHERE name = ANY($1) AND holder = $2")
                .bind(names)
                .bind(member)
                .execute(&pool)
                .await
                .map(|_| ())
        })
        .await
    }
}

type Place = (&'static str, Shard);

/// In the order in which everybody locks them.
fn places(held: &[Lease]) -> (Vec<Place>, Vec<i64>) {
    let mut held = held.to_vec();
    held.sort_unstable();
    held.iter()
        .map(|lease| ((lease.name, lease.shard), lease.epoch.cast_signed()))
        .unzip()
}

fn columns(places: &[Place]) -> (Vec<&'static str>, Vec<i16>) {
    let column = |(name, shard): &Place| (*name, shard_column(*shard));
    places.iter().map(column).unzip()
}

fn milliseconds(term: Duration) -> i64 {
    i64::try_from(term.as_millis()).unwrap_or(i64::MAX)
}

/// Reads rows of name, shard and epoch; the name becomes the constant by which it
/// was asked for.
fn leases(rows: &[PgRow], asked: &[Place]) -> Result<Vec<Lease>, StoreError> {
    let read = |row: &PgRow| -> Result<Option<Lease>, sqlx::Error> {
        let (found, shard): (&str, Shard) = (row.try_get(0)?, shard_of(row.try_get(1)?)?);
        let epoch = row.try_get::<i64, _>(2)?.cast_unsigned();
        let same = |(name, at): &&Place| *name == found && *at == shard;
        let place = asked.iter().find(same);
        Ok(place.map(|(name, shard)| Lease {
            name,
            shard: *shard,
            epoch,
        }))
    };
    rows.iter()
        .filter_map(|row| read(row).transpose())
        .collect::<Result<_, _>>()
        .map_err(StoreError::new)
}
