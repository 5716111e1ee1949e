//! What departments told sanctions of their directives: reports must agree.

use prost::Message as _;
use tally_eventlog::append::RowKey;
use tally_eventlog::consumer::{Poison, Projection, ViewRows};
use tally_eventlog::event::Recorded;
use tally_eventlog::shard::Shard;
use tally_proto::tally::feedback::v1 as pb;
use tally_proto::tally::sanctions::v1 as sanctions;

use crate::feedback::{Answered, Stage};
use crate::process::event_type;

/// View of directives, from the log of sanctions.
pub const DIRECTIVE_VIEW: &str = "feedback.directive";

/// View `feedback.directive`.
#[derive(Debug)]
pub struct DirectiveProjection;

impl Projection for DirectiveProjection {
    fn views(&self) -> &'static [&'static str] {
        &[DIRECTIVE_VIEW]
    }

    fn knows(&self, event_type: &str) -> bool {
        event_type::ALL.contains(&event_type)
    }

    fn reads(&self, event: &Recorded) -> Result<Vec<RowKey>, Poison> {
        let key = || directive_row(event.shard, &event.envelope.stream_id);
        Ok(stage(event).map(|_| key()).into_iter().collect())
    }

    fn apply(&self, event: &Recorded, rows: &mut ViewRows) -> Result<(), Poison> {
        let key = directive_row(event.shard, &event.envelope.stream_id);
        if event.envelope.event_type == event_type::TRIGGERED {
            let triggered: sanctions::DirectiveTriggered = event.payload()?;
            let directive = triggered.directive.unwrap_or_default();
            let row = pb::DirectiveRow {
                stage: pb::DirectiveStage::Unspecified.into(),
                standing: directive.standing,
            };
            rows.put(key, &row);
        } else if let Some(stage) = stage(event) {
            let row: Option<pb::DirectiveRow> = rows.get(&key)?;
            let mut row = row.ok_or_else(|| Poison::new("the directive was never made"))?;
            row.set_stage(stage);
            rows.put(key, &row);
        }
        Ok(())
    }
}

/// Where an answer of the department brings a directive. A suspension and what
/// follows it change nothing of what the department has done.
fn stage(event: &Recorded) -> Option<pb::DirectiveStage> {
    match event.envelope.event_type.as_str() {
        event_type::RECEIVED => Some(pb::DirectiveStage::Received),
        event_type::STARTED => Some(pb::DirectiveStage::Started),
        event_type::EXECUTED => Some(pb::DirectiveStage::Executed),
        event_type::DECLINED => Some(pb::DirectiveStage::Declined),
        _ => None,
    }
}

/// Row of a directive.
pub fn directive_row(shard: Shard, directive_id: &str) -> RowKey {
    RowKey {
        view: DIRECTIVE_VIEW,
        shard,
        key: bytes::Bytes::copy_from_slice(directive_id.as_bytes()),
    }
}

/// What a row says; a directive without one is unanswered.
///
/// # Errors
///
/// [`Poison`]: the row cannot be decoded; rebuild the views.
pub fn answered(row: Option<bytes::Bytes>) -> Result<Answered, Poison> {
    let row = row.map_or_else(|| Ok(pb::DirectiveRow::default()), pb::DirectiveRow::decode);
    let row = row.map_err(|error| Poison::new(format!("a row of {DIRECTIVE_VIEW}: {error}")))?;
    let stage = match row.stage() {
        pb::DirectiveStage::Unspecified => Stage::Unanswered,
        pb::DirectiveStage::Received => Stage::Received,
        pb::DirectiveStage::Started => Stage::Started,
        pb::DirectiveStage::Executed => Stage::Executed,
        pb::DirectiveStage::Declined => Stage::Declined,
    };
    Ok(Answered {
        stage,
        standing: row.standing,
    })
}
