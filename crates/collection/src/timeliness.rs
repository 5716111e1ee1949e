//! The question for figures: per department, month and catalogue item, in pages.

mod page;

use tally_auth::{Caller, CallerKind};
use tally_domain::date::LegalDate;
use tally_domain::department::DepartmentId;
use tally_domain::policy::Pack;
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::{Faults, month_start};

pub(crate) use page::parts;

use crate::query::out_of_sight;

/// The right to ask, as the contract names it.
const RIGHT: &str = "collection.timeliness";

/// Months that one question may be about.
const MONTHS_MAX: i32 = 36;

/// A question, understood.
pub(crate) struct Question {
    /// Who asks; nothing: the operator, who sees everybody's.
    reader: Option<DepartmentId>,
    /// Nothing: every department that the reader sees.
    department: Option<DepartmentId>,
    /// First days of the months asked for, both included.
    from: LegalDate,
    to: LegalDate,
    record_type: String,
    size: usize,
    after: Option<Place>,
    /// The month that is not over yet.
    current: LegalDate,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    department: String,
    /// Month and catalogue item of the last row; nothing: the department is done.
    row: Option<RowPlace>,
}

/// Month and catalogue item.
type RowPlace = (String, String);

impl Question {
    /// Reads a question.
    ///
    /// # Errors
    ///
    /// Every fault of it; or it is about a department that the caller does not see.
    pub fn decode(
        caller: &Caller,
        request: &pb::GetTimelinessRequest,
        pack: &Pack,
        today: LegalDate,
    ) -> Result<Self, Fault> {
        let mut faults = Faults::default();
        let department = match request.department.as_str() {
            "" => None,
            text => faults.keep(DepartmentId::parse(text).map_err(|fault| fault.at("department"))),
        };
        let reader = match caller.kind {
            CallerKind::Operator => None,
            _ => Some(caller.department()?.clone()),
        };
        if let (Some(reader), Some(department)) = (&reader, &department)
            && !pack.oversees(reader, department.as_str())
        {
            return Err(out_of_sight(RIGHT, "figures"));
        }
        let current = today.first_of_month();
        let to = match request.to_month.as_str() {
            "" => Some(current),
            text => faults.month("to_month", text),
        };
        let from = match request.from_month.as_str() {
            "" => to,
            text => faults.month("from_month", text),
        };
        if let (Some(from), Some(to)) = (from, to) {
            range(from, to, &mut faults);
        }
        let size = tally_service::page::size(&mut faults, request.page_size, "rows");
        let after = tally_service::page::token(&mut faults, &request.page_token, Place::parse);
        let (Some(from), Some(to), true) = (from, to, faults.is_empty()) else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        Ok(Self {
            reader,
            department,
            from,
            to,
            record_type: request.record_type.clone(),
            size,
            after,
            current,
        })
    }
}

/// Month of a day, YYYY-MM.
pub(crate) fn month_text(day: LegalDate) -> String {
    day.strftime("%Y-%m").to_string()
}

fn range(from: LegalDate, to: LegalDate, faults: &mut Faults) {
    let number = |month: LegalDate| i32::from(month.year()) * 12 + i32::from(month.month());
    let months = number(to) - number(from) + 1;
    if months < 1 {
        let message = "the last month is before the first";
        faults.add("to_month", "DATES_REVERSED", message);
    }
    if months > MONTHS_MAX {
        let message = format!("{months} months, at most {MONTHS_MAX} are answered at once");
        faults.add("from_month", "VALUE_TOO_LARGE", message);
    }
}

impl Place {
    fn to_token(&self) -> String {
        match &self.row {
            None => self.department.clone(),
            Some((month, record_type)) => format!("{}.{month}.{record_type}", self.department),
        }
    }

    fn parse(token: &str) -> Option<Self> {
        let mut parts = token.splitn(3, '.');
        let department = DepartmentId::parse(parts.next()?).ok()?.to_string();
        let row = match (parts.next(), parts.next()) {
            (None, _) => None,
            (Some(month), Some(record_type)) => {
                month_start(month)?;
                Some((month.to_owned(), record_type.to_owned()))
            }
            (Some(_), None) => return None,
        };
        Some(Self { department, row })
    }
}

#[cfg(test)]
#[path = "timeliness_tests.rs"]
mod tests;
