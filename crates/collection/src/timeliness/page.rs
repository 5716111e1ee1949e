//! A page of figures, read from the rows of all shards.

use std::collections::BTreeMap;

use jiff::{Span, ToSpan as _};
use prost::Message as _;
use tally_domain::date::LegalDate;
use tally_domain::policy::{Pack, RecordType};
use tally_eventlog::store::prefix_end;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::Fault;
use tally_service::{Deps, Policy, store_fault};

use super::{Place, Question, RowPlace, month_start, month_text};
use crate::figures;
use crate::projection::{SEPARATOR, TIMELINESS_VIEW};
use crate::query::each_row_between;

/// Departments looked at for one page, so that those without a row are not
/// searched without end.
const DEPARTMENTS_MAX: usize = 200;

/// The rows of one department.
type Rows = BTreeMap<RowPlace, pb::TimelinessFigures>;

impl Question {
    /// The page.
    ///
    /// # Errors
    ///
    /// The store cannot be read: retry.
    pub async fn read(
        &self,
        deps: &Deps,
        policy: &Policy,
    ) -> Result<pb::GetTimelinessResponse, Fault> {
        let mut page = pb::GetTimelinessResponse {
            totals: Some(pb::TimelinessFigures::default()),
            ..pb::GetTimelinessResponse::default()
        };
        let mut next = self.first(deps, policy).await?;
        let mut looked_at = 0;
        while let Some(department) = next {
            if looked_at == DEPARTMENTS_MAX {
                break;
            }
            looked_at += 1;
            for ((month, record_type), figures) in self.rows(deps, policy, &department).await? {
                let place = (month, record_type);
                if self.is_before(&department, &place) {
                    continue;
                }
                if page.rows.len() == self.size {
                    page.next_page_token = last_of(&page).to_token();
                    return Ok(page);
                }
                figures::add(page.totals.get_or_insert_default(), &figures);
                let (month, record_type) = place;
                let expected = self.is_expected(deps, policy, &department, &month, &record_type);
                page.rows.push(pb::Timeliness {
                    department: department.clone(),
                    silent: expected && figures::is_silent(&figures),
                    month,
                    record_type,
                    figures: Some(figures),
                });
            }
            next = self.after(deps, policy, &department).await?;
            if next.is_some() {
                let done = Place {
                    department,
                    row: None,
                };
                page.next_page_token = done.to_token();
            } else {
                page.next_page_token.clear();
            }
        }
        Ok(page)
    }

    /// True for what an earlier page has told.
    fn is_before(&self, department: &str, place: &RowPlace) -> bool {
        self.after.as_ref().is_some_and(|after| {
            after.department == department && after.row.as_ref().is_none_or(|row| place <= row)
        })
    }

    /// The first department of the page.
    async fn first(&self, deps: &Deps, policy: &Policy) -> Result<Option<String>, Fault> {
        match (&self.department, &self.after) {
            (Some(only), _) => Ok(Some(only.to_string())),
            (None, None) => self.next(deps, policy, Vec::new(), "").await,
            (
                None,
                Some(Place {
                    department,
                    row: None,
                }),
            ) => self.after(deps, policy, department).await,
            (None, Some(Place { department, .. })) => Ok(Some(department.clone())),
        }
    }

    /// The department after one.
    async fn after(
        &self,
        deps: &Deps,
        policy: &Policy,
        department: &str,
    ) -> Result<Option<String>, Fault> {
        if self.department.is_some() {
            return Ok(None);
        }
        let from = [department.as_bytes(), &[SEPARATOR + 1]].concat();
        self.next(deps, policy, from, department).await
    }

    /// The next department that is in the policy pack or has rows.
    async fn next(
        &self,
        deps: &Deps,
        policy: &Policy,
        from: Vec<u8>,
        after: &str,
    ) -> Result<Option<String>, Fault> {
        let of_pack = policy.pack.departments.keys().map(ToString::to_string);
        let mut next = of_pack.filter(|id| id.as_str() > after).min();
        for shard in deps.store.shards().all() {
            let rows = deps.store.scan(TIMELINESS_VIEW, shard, &from, None, 1);
            for (key, _) in rows.await.map_err(store_fault)? {
                let department = parts(&key)[0].clone();
                if next.as_ref().is_none_or(|next| department < *next) {
                    next = Some(department);
                }
            }
        }
        Ok(next)
    }

    /// The rows of a department, with those that are due and empty.
    async fn rows(&self, deps: &Deps, policy: &Policy, department: &str) -> Result<Rows, Fault> {
        let mut sums = Rows::new();
        let reader = self.reader.as_ref();
        if reader.is_some_and(|reader| !policy.pack.oversees(reader, department)) {
            return Ok(sums);
        }
        for record_type in policy.pack.record_types.values() {
            for month in months(self.from, self.to) {
                let asked = self.asks_for(&record_type.id);
                let month = month_text(month);
                if asked && self.is_expected(deps, policy, department, &month, &record_type.id) {
                    sums.insert((month, record_type.id.clone()), Default::default());
                }
            }
        }
        let key = |month| {
            [
                department.as_bytes(),
                &[SEPARATOR],
                month_text(month).as_bytes(),
            ]
            .concat()
        };
        let (from, end) = (key(self.from), prefix_end(&key(self.to)));
        for shard in deps.store.shards().all() {
            let range = (&from[..], end.as_deref());
            each_row_between(deps, TIMELINESS_VIEW, shard, range, |key, value| {
                let [_, month, record_type] = parts(key);
                if self.asks_for(&record_type) {
                    let row = pb::TimelinessRow::decode(value).map_err(Fault::internal)?;
                    let sum = sums.entry((month, record_type)).or_default();
                    figures::add(sum, &row.figures.unwrap_or_default());
                }
                Ok(())
            })
            .await?;
        }
        Ok(sums)
    }

    fn asks_for(&self, record_type: &str) -> bool {
        self.record_type.is_empty() || self.record_type == record_type
    }

    /// True if the policy pack has a department report an item in a month that
    /// is over: items that are reported by the month, since the first whole
    /// month in which they could be.
    fn is_expected(
        &self,
        deps: &Deps,
        policy: &Policy,
        department: &str,
        month: &str,
        record_type: &str,
    ) -> bool {
        let (Some(item), Some(month)) = (policy.pack.record_type(record_type), month_start(month))
        else {
            return false;
        };
        asks(&policy.pack, department, record_type)
            && month < self.current
            && month >= first_whole_month(deps, policy, item, department)
            && ends_after(policy, item, month)
    }
}

/// True if a pack has a department report an item by the month.
fn asks(pack: &Pack, department: &str, record_type: &str) -> bool {
    pack.record_type(record_type).is_some_and(|item| {
        let reports = item.reporters.iter().any(|one| one.as_str() == department);
        reports && item.due_day_of_month.is_some()
    })
}

/// True if the item can be reported until the end of a month.
fn ends_after(policy: &Policy, item: &RecordType, month: LegalDate) -> bool {
    let basis = policy.pack.legal_basis(&item.legal_basis);
    let until = basis.and_then(|basis| basis.in_force.until);
    until.is_none_or(|until| until >= month.last_of_month())
}

/// The first month that a department had to report an item in from its first day on.
fn first_whole_month(
    deps: &Deps,
    policy: &Policy,
    item: &RecordType,
    department: &str,
) -> LegalDate {
    let since = deps
        .catalogue
        .said_since(|pack| asks(pack, department, &item.id));
    let open = since.map(|at| policy.today(at));
    let basis = policy.pack.legal_basis(&item.legal_basis);
    let in_force = basis.map(|basis| basis.in_force.from);
    let days = [open, item.collected_from, in_force];
    let first = days.into_iter().flatten().max().unwrap_or(LegalDate::MIN);
    match first.day() {
        1 => first,
        _ => next_month(first.first_of_month()),
    }
}

/// Department, month and catalogue item of a key.
pub(crate) fn parts(key: &[u8]) -> [String; 3] {
    let mut parts = key.splitn(3, |byte| *byte == SEPARATOR);
    [(); 3].map(|()| String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned())
}

fn last_of(page: &pb::GetTimelinessResponse) -> Place {
    page.rows.last().map_or_else(
        || Place {
            department: String::new(),
            row: None,
        },
        |row| Place {
            department: row.department.clone(),
            row: Some((row.month.clone(), row.record_type.clone())),
        },
    )
}

fn next_month(first: LegalDate) -> LegalDate {
    first.checked_add(1.month()).unwrap_or(LegalDate::MAX)
}

fn months(from: LegalDate, to: LegalDate) -> impl Iterator<Item = LegalDate> {
    from.series(Span::new().months(1))
        .take_while(move |month| *month <= to)
}
