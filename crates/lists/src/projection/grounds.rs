//! Consumer `lists.collection`: records that may ground a listing.
//!
//! All records are kept, whatever their type: which types ground a list changes
//! from pack to pack, and a view must not depend on when it was built.

use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, Projection, ViewRows};
use tally_eventlog::event::Recorded;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::lists::v1 as pb;
use tally_service::command::stored_actor;

use super::{GROUND_VIEW, row};
use crate::codec::collection_event_type as event_type;

/// Projects the log of collection.
#[derive(Debug, Clone, Copy, Default)]
pub struct GroundsProjection;

impl Projection for GroundsProjection {
    fn views(&self) -> &'static [&'static str] {
        &[GROUND_VIEW]
    }

    fn knows(&self, event_type: &str) -> bool {
        event_type::OF_RECORDS.contains(&event_type) || event_type::OF_ROWS.contains(&event_type)
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        Ok(match event.envelope.event_type.as_str() {
            event_type::RECORD_CORRECTED | event_type::RECORD_WITHDRAWN => vec![key(event)],
            _ => Vec::new(),
        })
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        let ground = match event.envelope.event_type.as_str() {
            event_type::RECORD_ACCEPTED => {
                let accepted: collection::RecordAccepted = event.payload()?;
                let content = content(accepted.content)?;
                pb::GroundRow {
                    subject: event.envelope.subject.clone(),
                    record_type: content.record_type,
                    document_number: content.document_number,
                    withdrawn: false,
                    department: stored_actor(event.envelope.actor.as_ref()).0,
                }
            }
            event_type::RECORD_CORRECTED => {
                let corrected: collection::RecordCorrected = event.payload()?;
                let content = content(corrected.content)?;
                pb::GroundRow {
                    record_type: content.record_type,
                    document_number: content.document_number,
                    ..known(event, rows)?
                }
            }
            event_type::RECORD_WITHDRAWN => pb::GroundRow {
                withdrawn: true,
                ..known(event, rows)?
            },
            _ => return Ok(()),
        };
        rows.put(key(event), &ground);
        Ok(())
    }
}

fn key(event: &Recorded) -> RowKey {
    row(GROUND_VIEW, event.shard, &event.envelope.stream_id)
}

fn content(
    content: Option<collection::StoredContent>,
) -> Result<collection::StoredContent, Poison> {
    content.ok_or_else(|| Poison::new("the record has no content"))
}

fn known(event: &Recorded, rows: &ViewRows) -> Result<pb::GroundRow, Poison> {
    rows.get(&key(event))?
        .ok_or_else(|| Poison::new("the record was never accepted"))
}
