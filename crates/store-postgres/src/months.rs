//! In which months, and so in which partitions, a shard's records are.
//!
//! Records of a shard are never older than those before them, so that the months
//! of a shard follow each other. A month that a shard has reached stays; only a
//! later one may be missing here, because another process appended it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sqlx::{PgConnection, Row as _};
use tally_eventlog::sequence::Rows;
use tally_eventlog::shard::{LogName, Shard};

use crate::logs::{Logs, shard_column, shard_of};

/// 12 * year + month of the year from 0, in UTC.
pub(crate) type Month = i32;

/// The month of a record.
pub(crate) fn month_of(at: Timestamp) -> Month {
    let date = TimeZone::UTC.to_datetime(at).date();
    Month::from(date.year()) * 12 + Month::from(date.month()) - 1
}

/// A month's year, and its number from 1.
pub(crate) fn year_and_month(month: Month) -> (Month, Month) {
    (month.div_euclid(12), month.rem_euclid(12) + 1)
}

type Place = (LogName, Shard);

/// A month that a shard reaches: where, and with which position.
pub(crate) type Reached = (Place, Month, u64);

/// What is known of the shards' months.
#[derive(Debug, Default)]
pub(crate) struct Months {
    // By the first position in each month.
    known: RwLock<HashMap<Place, BTreeMap<u64, Month>>>,
}

impl Months {
    /// Reads all months of all logs, or of one shard.
    pub(crate) async fn load(
        &self,
        connection: &mut PgConnection,
        logs: &Logs,
        only: Option<Place>,
    ) -> Result<(), sqlx::Error> {
        let number = only.map(|(log, _)| logs.number(log)).transpose()?;
        let rows = sqlx::query(
            "SELECT log, shard, month, first_position FROM shard_month \
             WHERE ($1::smallint IS NULL OR log = $1) AND ($2::smallint IS NULL OR shard = $2)",
        )
        .bind(number.map(i16::from))
        .bind(only.map(|(_, shard)| shard_column(shard)))
        .fetch_all(connection)
        .await?;
        for row in rows {
            let Some(log) = logs.numbered(row.try_get(0)?) else {
                continue;
            };
            let place = (log.name, shard_of(row.try_get(1)?)?);
            let first: i64 = row.try_get(3)?;
            self.add([(place, row.try_get(2)?, first.cast_unsigned())]);
        }
        Ok(())
    }

    /// The month of a position, and the first position of the month after it.
    pub(crate) fn of(&self, place: Place, position: u64) -> Option<(Month, u64)> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let months = known.get(&place)?;
        let (_, month) = months.range(..=position).next_back()?;
        let after = (Bound::Excluded(position), Bound::Unbounded);
        let until = months
            .range(after)
            .next()
            .map_or(u64::MAX, |(first, _)| *first);
        Some((*month, until))
    }

    /// The months that the rows reach and that are not known of their shards.
    pub(crate) fn reached(&self, rows: &Rows) -> Vec<Reached> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut new = Vec::new();
        let mut seen = BTreeSet::new();
        for row in &rows.events {
            let place = (row.log, row.record.shard);
            let month = month_of(row.recorded_at);
            let last = known.get(&place).and_then(|months| months.last_key_value());
            if last.is_none_or(|(_, last)| *last < month) && seen.insert((place, month)) {
                new.push((place, month, row.record.position));
            }
        }
        new
    }

    /// Takes over months that were committed.
    pub(crate) fn add(&self, reached: impl IntoIterator<Item = Reached>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for (place, month, first) in reached {
            let months = known.entry(place).or_default();
            // Another process may have reached it before, at an earlier position.
            let before = months.iter().find(|(_, known)| **known == month);
            let before = before.map_or(u64::MAX, |(first, _)| *first);
            if first < before {
                months.remove(&before);
                months.insert(first, month);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = (LogName("lists"), Shard(3));

    #[test]
    fn months_follow_each_other_over_the_year() {
        let month = |text: &str| month_of(text.parse().expect("a timestamp"));
        let december = month("2026-12-31T23:59:59.999999999Z");
        assert_eq!(month("2027-01-01T00:00:00Z"), december + 1);
        assert_eq!(year_and_month(december), (2026, 12));
        assert_eq!(year_and_month(december + 1), (2027, 1));
        let early = month("-000001-12-31T00:00:00Z");
        assert_eq!(year_and_month(early), (-1, 12));
        assert_eq!(month("0000-01-01T00:00:00Z"), early + 1);
    }

    #[test]
    fn a_position_is_in_the_month_that_began_before_it() {
        let months = Months::default();
        assert_eq!(months.of(PLACE, 0), None);
        months.add([(PLACE, 7, 0), (PLACE, 9, 5)]);
        months.add([(PLACE, 9, 6)]);
        // As far as this process knew it had begun the month after that.
        months.add([(PLACE, 12, 20)]);
        months.add([(PLACE, 12, 11)]);
        assert_eq!(months.of(PLACE, 4), Some((7, 5)));
        assert_eq!(months.of(PLACE, 5), Some((9, 11)));
        assert_eq!(months.of(PLACE, 11), Some((12, u64::MAX)));
        assert_eq!(months.of((LogName("lists"), Shard(4)), 5), None);
    }
}
