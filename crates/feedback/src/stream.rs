//! The province's stream: what happens to feedback, as the caller may see it.

use tally_eventlog::aggregate::Codec as _;
use tally_eventlog::event::{Recorded, to_proto_time};
use tally_proto::tally::feedback::v1 as pb;
use tally_rpc::Fault;
use tally_service::follow::{Mark, Selection};

use crate::access::Sight;
use crate::codec::outcome_to_proto;
use crate::feedback::{Change, Event, Feedback};

/// What a caller sees of feedback.
pub(crate) struct Seen(pub Sight);

impl Selection for Seen {
    type Item = pb::StreamFeedbackResponse;

    async fn items(&mut self, records: Vec<Recorded>) -> Result<Vec<(u64, Self::Item)>, Fault> {
        let mut items = Vec::new();
        for recorded in &records {
            let event = Feedback::decode(recorded).map_err(Fault::internal)?;
            let about = &event.about;
            if self.0.covers(&about.department, &about.initiator) {
                items.extend(item(recorded, event).map(|item| (recorded.position, item)));
            }
        }
        Ok(items)
    }
}

/// What the province sees of an event; nothing of those that leave the state as it is.
fn item(recorded: &Recorded, event: Event) -> Option<pb::StreamFeedbackResponse> {
    let mut outcome = pb::ReportedOutcome::Unspecified;
    let mut document = None;
    let state = match event.change {
        Change::Due(_) => pb::FeedbackState::Due,
        Change::Submitted { report, .. } => {
            outcome = outcome_to_proto(report.outcome);
            document = report.document;
            pb::FeedbackState::Submitted
        }
        Change::Accepted => pb::FeedbackState::Accepted,
        Change::Returned { .. } => pb::FeedbackState::Returned,
        Change::Escalated { .. } => pb::FeedbackState::Escalated,
        Change::Closed => pb::FeedbackState::Closed,
        Change::Suspended | Change::Resumed { .. } => return None,
    };
    let mark = Mark::of(recorded);
    Some(pb::StreamFeedbackResponse {
        log_id: mark.log_id(),
        cursor: Some(mark.cursor()),
        recorded_at: Some(to_proto_time(recorded.recorded_at)),
        state: state.into(),
        directive_id: recorded.envelope.stream_id.clone(),
        subject: recorded.envelope.subject.clone(),
        department: event.about.department,
        outcome: outcome.into(),
        document,
    })
}
