//! The items as JSON: names as in the contracts, numbers as numbers, and of an
//! enumeration the part that tells its values apart.

use serde_json::{Value, json};
use tally_eventlog::pb::DocumentRef;
use tally_proto::tally::{
    collection::v1 as collection, feedback::v1 as feedback, lists::v1 as lists,
};

use super::{Published, Told};

impl Published for lists::FollowPublicationsResponse {
    fn told(&self) -> Option<Told> {
        use lists::ListPublicationKind::{Checkpoint, Unspecified};
        let kind = self.kind();
        if matches!(kind, Checkpoint | Unspecified) {
            return None;
        }
        let mut data = json!({
            "entry_id": self.entry_id,
            "pack_version": self.pack_version,
        });
        if let Some(entry) = &self.entry {
            data["entry"] = entry_to_json(entry);
        }
        if self.end() != lists::PublicationEnd::Unspecified {
            data["end"] = short(self.end().as_str_name(), "PUBLICATION_END_").into();
        }
        Some(Told {
            what: what(kind.as_str_name(), "LIST_PUBLICATION_KIND_"),
            id: self.entry_id.clone(),
            log_id: self.log_id.clone(),
            cursor: self.cursor.clone(),
            recorded_at: self.recorded_at,
            data,
        })
    }
}

fn entry_to_json(entry: &lists::PublishedEntry) -> Value {
    let basis = entry.legal_basis.clone().unwrap_or_default();
    json!({
        "subject": entry.subject,
        "list_type": entry.list_type,
        "red": entry.red,
        "department": entry.department,
        "term_from": entry.term_from,
        "term_until": entry.term_until,
        "decision_number": entry.decision_number,
        "ground_document_number": entry.ground_document_number,
        "legal_basis": { "id": basis.id, "version": basis.version },
        "display_until": entry.display_until,
    })
}

impl Published for collection::FollowRegistrationsResponse {
    fn told(&self) -> Option<Told> {
        use collection::PublicationKind::{Checkpoint, Unspecified};
        let kind = self.kind();
        if matches!(kind, Checkpoint | Unspecified) {
            return None;
        }
        let mut data = json!({
            "record_id": self.record_id,
            "pack_version": self.pack_version,
        });
        if let Some(record) = &self.record {
            data["record"] = record_to_json(record);
        }
        Some(Told {
            what: what(kind.as_str_name(), "PUBLICATION_KIND_"),
            id: self.record_id.clone(),
            log_id: self.log_id.clone(),
            cursor: self.cursor.clone(),
            recorded_at: self.recorded_at,
            data,
        })
    }
}

fn record_to_json(record: &collection::PublishedRecord) -> Value {
    let field =
        |field: &collection::PublishedField| json!({ "name": field.name, "value": field.value });
    json!({
        "subject": record.subject,
        "record_type": record.record_type,
        "department": record.department,
        "document_number": record.document_number,
        "decided_on": record.decided_on,
        "valid_from": record.valid_from,
        "valid_until": record.valid_until,
        "fields": record.fields.iter().map(field).collect::<Vec<_>>(),
        "display_until": record.display_until,
    })
}

impl Published for feedback::StreamFeedbackResponse {
    fn told(&self) -> Option<Told> {
        let state = self.state();
        if state == feedback::FeedbackState::Unspecified {
            return None;
        }
        let mut data = json!({
            "directive_id": self.directive_id,
            "subject": self.subject,
            "department": self.department,
        });
        if self.outcome() != feedback::ReportedOutcome::Unspecified {
            data["outcome"] = short(self.outcome().as_str_name(), "REPORTED_OUTCOME_").into();
        }
        if let Some(document) = &self.document {
            data["document"] = document_to_json(document);
        }
        Some(Told {
            what: what(state.as_str_name(), "FEEDBACK_STATE_"),
            id: self.directive_id.clone(),
            log_id: self.log_id.clone(),
            cursor: self.cursor.clone(),
            recorded_at: self.recorded_at,
            data,
        })
    }
}

fn document_to_json(document: &DocumentRef) -> Value {
    let hex = |byte: &u8| format!("{byte:02x}");
    json!({
        "number": document.number,
        "sha256": document.sha256.iter().map(hex).collect::<String>(),
        "size_bytes": document.size_bytes,
        "address": document.address,
    })
}

fn short<'a>(name: &'a str, prefix: &str) -> &'a str {
    name.strip_prefix(prefix).unwrap_or(name)
}

/// The last part of an event's type.
fn what(name: &str, prefix: &str) -> String {
    short(name, prefix).to_lowercase().replace('_', "-")
}
