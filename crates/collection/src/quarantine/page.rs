//! The rows of a department, in pages.

use jiff::Timestamp;
use prost::Message as _;
use tally_auth::Caller;
use tally_eventlog::consumer::Progress;
use tally_eventlog::event::from_proto_time;
use tally_eventlog::shard::Shard;
use tally_eventlog::store::{EventStore, prefix_end};
use tally_proto::tally::collection::v1 as pb;
use tally_rpc::Fault;
use tally_service::field::Faults;
use tally_service::{Deps, page, store_fault};
use uuid::Uuid;

use super::calls::ROWS_ARE;
use super::view::{Place, ROW_VIEW, rows_of, rows_of_type};
use crate::query::caught_up;

/// A page of the caller's rows.
///
/// # Errors
///
/// Every fault of the request, or the views are behind the log.
pub(crate) async fn list(
    deps: &Deps,
    caller: &Caller,
    reader: &Progress,
    request: pb::ListQuarantineRequest,
) -> Result<pb::ListQuarantineResponse, Fault> {
    let store = &*deps.store;
    let page = Page::decode(
        &request,
        caller.department()?.as_str(),
        store.shards().get(),
    )?;
    caught_up(deps, reader, ROWS_ARE).await?;
    page.read(store).await
}

/// Which part of whose rows.
struct Page<'a> {
    department: &'a str,
    state: pb::QuarantineState,
    record_type: &'a str,
    size: usize,
    after: Option<Token>,
}

/// Where a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    shard: Shard,
    since: Timestamp,
    id: Uuid,
    record_type: String,
}

impl<'a> Page<'a> {
    fn decode(
        request: &'a pb::ListQuarantineRequest,
        department: &'a str,
        shards: u16,
    ) -> Result<Self, Fault> {
        let mut faults = Faults::default();
        let state = faults.choice("state", request.state, pb::QuarantineState::as_str_name);
        let size = page::size(&mut faults, request.page_size, "rows");
        let after = page::token(&mut faults, &request.page_token, |token| {
            Token::parse(token).filter(|token| token.shard.0 < shards)
        });
        let (Some(state), true) = (state, faults.is_empty()) else {
            return Err(Fault::invalid(faults.into_vec()));
        };
        Ok(Self {
            department,
            state,
            record_type: &request.record_type,
            size,
            after,
        })
    }

    fn range(&self) -> Vec<u8> {
        match self.record_type {
            "" => rows_of(self.department, self.state),
            record_type => rows_of_type(self.department, self.state, record_type),
        }
    }

    /// The first key behind a token. Built from the caller's own department, so
    /// that no token leads to the rows of another.
    fn key_after(&self, token: &Token) -> Vec<u8> {
        let place = Place {
            department: self.department,
            state: self.state,
            record_type: &token.record_type,
            since: token.since,
            id: &token.id.to_string(),
        };
        let mut key = place.key();
        key.push(0);
        key
    }

    async fn read(self, store: &dyn EventStore) -> Result<pb::ListQuarantineResponse, Fault> {
        let range = self.range();
        let end = prefix_end(&range);
        let first = self.after.as_ref().map_or(Shard(0), |token| token.shard);
        let mut answer = pb::ListQuarantineResponse::default();
        let mut last = None;
        for shard in store.shards().all().filter(|shard| *shard >= first) {
            let from = match &self.after {
                Some(token) if token.shard == shard => self.key_after(token).max(range.clone()),
                _ => range.clone(),
            };
            // One more than fits says whether there is another page.
            let wanted = self.size + 1 - answer.rows.len();
            let rows = store
                .scan(ROW_VIEW, shard, &from, end.as_deref(), wanted)
                .await
                .map_err(store_fault)?;
            for (_, value) in rows {
                if answer.rows.len() == self.size {
                    answer.next_page_token =
                        last.map_or_else(String::new, |token: Token| token.to_text());
                    return Ok(answer);
                }
                let row = pb::QuarantineRow::decode(value).map_err(Fault::internal)?;
                let row = row.row.unwrap_or_default();
                last = Token::of(shard, &row);
                answer.rows.push(row);
            }
        }
        Ok(answer)
    }
}

impl Token {
    fn of(shard: Shard, row: &pb::QuarantinedRow) -> Option<Self> {
        Some(Self {
            shard,
            since: row.quarantined_at.as_ref().and_then(from_proto_time)?,
            id: row.quarantine_id.parse().ok()?,
            record_type: row.record_type.clone(),
        })
    }

    fn to_text(&self) -> String {
        let since = self.since.as_microsecond();
        format!("{}.{since}.{}.{}", self.shard.0, self.id, self.record_type)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, '.');
        Some(Self {
            shard: Shard(parts.next()?.parse().ok()?),
            since: Timestamp::from_microsecond(parts.next()?.parse().ok()?).ok()?,
            id: parts.next()?.parse().ok()?,
            record_type: parts.next()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_that_nobody_knows_is_not_taken_for_open() {
        let request = pb::ListQuarantineRequest {
            state: 9,
            ..pb::ListQuarantineRequest::default()
        };
        let fault = Page::decode(&request, "a department", 8).err();
        let fault = fault.expect("refused").to_string();
        assert!(
            fault.contains("state: 9 is none of QUARANTINE_STATE_OPEN, "),
            "{fault}"
        );
    }

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = Token {
            shard: Shard(3),
            since: "2026-03-02T01:00:00.000001Z".parse().expect("a timestamp"),
            id: Uuid::from_u128(7),
            record_type: "a.type".to_owned(),
        };
        assert_eq!(Token::parse(&token.to_text()), Some(token));
        assert_eq!(Token::parse("3.x.y"), None);
    }
}
