//! The corrections of a department, in pages.

use prost::Message as _;
use tally_domain::department::DepartmentId;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::{EventStore, prefix_end};
use tally_proto::tally::sanctions::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::{page, store_fault};
use uuid::Uuid;

use crate::projection::{Side, correction_row, corrections_of};
use crate::view;

/// Which part of whose corrections.
#[derive(Debug)]
pub struct Page {
    side: Side,
    department: String,
    size: usize,
    after: Option<Place>,
}

/// Where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    shard: Shard,
    at: jiff::Timestamp,
    id: Uuid,
}

impl Page {
    /// Reads a request. `caller` is the department that asks; the operator is
    /// none, and names one.
    ///
    /// # Errors
    ///
    /// Every fault of the request; or it is about another department.
    pub fn decode(
        request: &pb::ListCorrectionsRequest,
        caller: Option<&DepartmentId>,
        shards: u16,
    ) -> Result<Self, Fault> {
        let mut faults = Faults::default();
        let department = whose(caller, &request.department, "sanctions.corrections")?;
        if department.is_empty() {
            let message = "say whose corrections: the code of a department";
            faults.add("department", "FIELD_REQUIRED", message);
        }
        let side = faults.choice("side", request.side, pb::CorrectionSide::as_str_name);
        let side = side.map(|side| match side {
            pb::CorrectionSide::Listed => Side::Listed,
            pb::CorrectionSide::Told | pb::CorrectionSide::Unspecified => Side::Told,
        });
        let size = page::size(&mut faults, request.page_size, "corrections");
        let after = page::token(&mut faults, &request.page_token, |token| {
            Place::parse(token).filter(|place| place.shard.0 < shards)
        });
        let (Some(side), true) = (side, faults.is_empty()) else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        Ok(Self {
            side,
            department,
            size,
            after,
        })
    }

    /// Reads the page.
    ///
    /// # Errors
    ///
    /// The store cannot be read: retry.
    pub async fn read(self, store: &dyn EventStore) -> Result<pb::ListCorrectionsResponse, Fault> {
        let range = corrections_of(self.side, &self.department);
        let end = prefix_end(&range);
        let first = self.after.map_or(Shard(0), |place| place.shard);
        let mut corrections: Vec<pb::Correction> = Vec::new();
        let mut last = None;
        for shard in store.shards().all().filter(|shard| *shard >= first) {
            let from = match self.after {
                Some(place) if place.shard == shard => place.key_after(self.side, &self.department),
                _ => range.clone(),
            };
            // One more than fits says whether there is another page.
            let wanted = self.size + 1 - corrections.len();
            let rows = store
                .scan(view::CORRECTION, shard, &from, end.as_deref(), wanted)
                .await
                .map_err(store_fault)?;
            for (_, value) in rows {
                if corrections.len() == self.size {
                    let next_page_token = last.map_or_else(String::new, Place::to_token);
                    return Ok(pb::ListCorrectionsResponse {
                        corrections,
                        next_page_token,
                    });
                }
                let row = pb::CorrectionRow::decode(value).map_err(Fault::internal)?;
                let correction = row.correction.unwrap_or_default();
                last = Place::of(shard, &correction);
                corrections.push(correction);
            }
        }
        Ok(pb::ListCorrectionsResponse {
            corrections,
            next_page_token: String::new(),
        })
    }
}

/// Whose a report is to be: a department's own, or the one that the operator
/// names, who may name none.
///
/// # Errors
///
/// A department asks for another's: only the operator may.
pub fn whose(
    caller: Option<&DepartmentId>,
    asked: &str,
    right: &'static str,
) -> Result<String, Fault> {
    match caller {
        Some(own) if asked.is_empty() || asked == own.as_str() => Ok(own.to_string()),
        Some(_) => Err(Fault::permission(
            right,
            "a department sees its own only; leave the department out",
        )),
        None => Ok(asked.to_owned()),
    }
}

impl Place {
    fn of(shard: Shard, correction: &pb::Correction) -> Option<Self> {
        let opened_at = correction.opened_at.as_ref();
        Some(Self {
            shard,
            at: opened_at.and_then(tally_eventlog::event::from_proto_time)?,
            id: correction.correction_id.parse().ok()?,
        })
    }

    /// The first key behind it. Built from the caller's own department, so that
    /// no token leads to the corrections of another.
    fn key_after(self, side: Side, department: &str) -> Vec<u8> {
        let mut key = correction_row(side, department, self.at, &self.id.to_string());
        key.push(0);
        key
    }

    fn to_token(self) -> String {
        format!("{}.{}.{}", self.shard.0, self.at.as_nanosecond(), self.id)
    }

    fn parse(token: &str) -> Option<Self> {
        let mut parts = token.split('.');
        let (shard, at, id) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            shard: Shard(shard.parse().ok()?),
            at: jiff::Timestamp::from_nanosecond(at.parse().ok()?).ok()?,
            id: id.parse().ok()?,
        })
        .filter(|_| parts.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_that_nobody_knows_is_not_taken_for_one() {
        let request = |side| pb::ListCorrectionsRequest {
            side,
            department: "a department".to_owned(),
            ..pb::ListCorrectionsRequest::default()
        };
        let side = |number| Page::decode(&request(number), None, 8).map(|page| page.side);
        assert!(matches!(side(0), Ok(Side::Told)));
        assert!(matches!(side(2), Ok(Side::Listed)));
        let fault = side(9).expect_err("refused").to_string();
        assert!(
            fault.contains("side: 9 is none of CORRECTION_SIDE_TOLD, "),
            "{fault}"
        );
    }
}
