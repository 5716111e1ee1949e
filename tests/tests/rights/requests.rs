//! For every call a request that is in order, about the fixtures.

use serde_json::{Value, json};
use tally::client::command_id;
use tally_tests::harness::{COMPANY, OTHER_COMPANY};

use crate::cast::{ADDRESSEE, ANYONE, Facts, INITIATOR, LIST_TYPE, LISTING, content};

/// Linked with the other company before the calls.
pub const THIRD_COMPANY: &str = "cn-uscc:91440300192317458F";

/// The messages of a call, and for calls whose answers are narrowed what the
/// answer shows to whoever has the competence.
pub struct Cell {
    /// What is sent.
    pub messages: Vec<Value>,
    /// A text of the fixture in the answer.
    pub marker: Option<String>,
}

/// The request of a call.
///
/// # Panics
///
/// If the call has none: give it one, so that its rule is tested.
#[rustfmt::skip]
pub fn cell(method: &str, facts: &Facts) -> Cell {
    let id = command_id();
    let record = serde_record();
    let Facts { record_id, entry_id, directive_id, quarantine_id } = facts;
    let document = json!({"number": "document 1"});
    let basis = |id: &str| json!({"id": id, "version": 1});
    let on_entry = |more: Value| merged(json!({"command_id": id, "entry_id": entry_id}), more);
    let on_directive = |more: Value| merged(json!({"command_id": id, "directive_id": directive_id}), more);
    let decided = || on_entry(json!({"decision": document, "reason": "because"}));
    let question = json!({
        "check_id": id, "subject": COMPANY, "purpose": "tender", "case_number": "case 1",
        "legal_basis": basis("tally-credit-regulations/18"),
    });
    let to_the_head = json!({"until_head": true});
    let mut marker = None;
    let message = match method {
        "tally.audit.v1.AuditService.AsOf" => {
            marker = Some(entry_id.clone());
            json!({"on": "2026-03-02", "subject": COMPANY})
        }
        "tally.audit.v1.AuditService.Rebuild" => json!({}),
        "tally.audit.v1.AuditService.Replay" => json!({"log": "lists"}),
        "tally.audit.v1.AuditService.Verify" => json!({}),
        "tally.catalog.v1.CatalogService.GetPolicyPack" => json!({}),
        "tally.catalog.v1.CatalogService.LoadPolicyPack" => json!({"start": {"command_id": id}}),
        "tally.collection.v1.CollectionService.CorrectRecord" => {
            json!({"command_id": id, "record_id": record_id, "record": record("order 1"), "reason": "because"})
        }
        "tally.collection.v1.CollectionService.FollowPublications"
        | "tally.collection.v1.CollectionService.FollowRegistrations"
        | "tally.lists.v1.ListsService.FollowPublications" => to_the_head,
        "tally.collection.v1.CollectionService.GetTimeliness" => json!({"department": INITIATOR}),
        "tally.collection.v1.CollectionService.GetCounts" => json!({"department": INITIATOR}),
        "tally.collection.v1.CollectionService.DiscardQuarantined" => {
            json!({"command_id": id, "quarantine_id": quarantine_id, "reason": "because"})
        }
        "tally.collection.v1.CollectionService.GetQuarantineCounts" => json!({"department": INITIATOR}),
        "tally.collection.v1.CollectionService.GetQuarantined" => {
            json!({"quarantine_id": quarantine_id})
        }
        "tally.collection.v1.CollectionService.ListQuarantine" => {
            marker = Some(quarantine_id.clone());
            json!({})
        }
        "tally.collection.v1.CollectionService.GetRecord" => json!({"record_id": record_id}),
        "tally.collection.v1.CollectionService.PushRecord"
        | "tally.collection.v1.CollectionService.PushRecords" => {
            json!({"command_id": id, "record": record(&format!("order of {method}"))})
        }
        "tally.collection.v1.CollectionService.WithdrawRecord" => {
            json!({"command_id": id, "record_id": record_id, "reason": "because", "document": document})
        }
        "tally.feedback.v1.FeedbackService.AcceptReport" => on_directive(json!({})),
        "tally.feedback.v1.FeedbackService.GetFeedback" => json!({"directive_id": directive_id}),
        "tally.feedback.v1.FeedbackService.GetStatistics" => {
            marker = Some(ADDRESSEE.to_owned());
            json!({})
        }
        "tally.feedback.v1.FeedbackService.Report" => {
            on_directive(json!({"outcome": "REPORTED_OUTCOME_IN_PROGRESS"}))
        }
        "tally.feedback.v1.FeedbackService.ReturnReport" => on_directive(json!({"reason": "because"})),
        "tally.feedback.v1.FeedbackService.StreamFeedback" => {
            marker = Some(directive_id.clone());
            to_the_head
        }
        "tally.lists.v1.ListsService.AcceptObjection" => on_entry(json!({"objection": document})),
        "tally.lists.v1.ListsService.CorrectOut"
        | "tally.lists.v1.ListsService.Remove"
        | "tally.lists.v1.ListsService.Uphold" => decided(),
        "tally.lists.v1.ListsService.Drop" => on_entry(json!({"reason": "because"})),
        "tally.lists.v1.ListsService.GetEntry" => json!({"entry_id": entry_id}),
        "tally.lists.v1.ListsService.GetSubjectEntries" => {
            marker = Some(entry_id.clone());
            json!({"subject": COMPANY})
        }
        "tally.lists.v1.ListsService.LinkIdentifiers" => json!({
            "command_id": id, "subject": COMPANY, "linked_subject": THIRD_COMPANY,
            "evidence": document, "legal_basis": basis(ANYONE),
        }),
        "tally.lists.v1.ListsService.List" => on_entry(json!({"decision": document})),
        "tally.lists.v1.ListsService.Nominate" => json!({
            "command_id": id, "subject": COMPANY, "list_type": LIST_TYPE,
            "ground_record_id": record_id, "criterion": "because", "legal_basis": basis(LISTING),
            "term_from": "2026-03-02", "term_until": "2027-03-01",
        }),
        "tally.lists.v1.ListsService.Notify" => {
            on_entry(json!({"served_on": "2026-03-02", "proof_of_service": document}))
        }
        "tally.lists.v1.ListsService.Represent" => on_entry(json!({"waived": true})),
        "tally.lists.v1.ListsService.RequestRemoval" => {
            on_entry(json!({"document": document, "reason": "because"}))
        }
        "tally.lists.v1.ListsService.UnlinkIdentifiers" => json!({
            "command_id": id, "subject": OTHER_COMPANY, "linked_subject": THIRD_COMPANY,
            "reason": "because",
        }),
        "tally.log.v1.LogService.GetHeads" => json!({"log": "lists"}),
        "tally.log.v1.LogService.ReadLog" => json!({"log": "lists"}),
        "tally.node.v1.NodeService.AdvanceClock" => json!({"to": "2026-03-02T01:00:00Z"}),
        "tally.node.v1.NodeService.GetParked" | "tally.node.v1.NodeService.ReplayParked" => {
            json!({"consumer": "sanctions.lists", "subject": COMPANY})
        }
        "tally.node.v1.NodeService.GetStatus" => json!({}),
        "tally.node.v1.NodeService.ListParked" => json!({}),
        "tally.node.v1.NodeService.Reconcile" => json!({}),
        "tally.node.v1.NodeService.PauseReader" => {
            json!({"consumer": "lists.self", "paused": false})
        }
        "tally.sanctions.v1.SanctionsService.Acknowledge"
        | "tally.sanctions.v1.SanctionsService.ConfirmLift"
        | "tally.sanctions.v1.SanctionsService.Start" => on_directive(json!({})),
        "tally.sanctions.v1.SanctionsService.Check" => question,
        "tally.sanctions.v1.SanctionsService.CheckMany" => json!({"check": question}),
        "tally.sanctions.v1.SanctionsService.Decline" => {
            on_directive(json!({"grounds": "because", "legal_basis": basis(ANYONE)}))
        }
        "tally.sanctions.v1.SanctionsService.Execute" => {
            on_directive(json!({"decision": document, "executed_on": "2026-03-02"}))
        }
        "tally.sanctions.v1.SanctionsService.GetDecisionCounts"
        | "tally.sanctions.v1.SanctionsService.ListDecisions" => json!({"department": INITIATOR}),
        "tally.sanctions.v1.SanctionsService.GetDirective" => json!({"directive_id": directive_id}),
        "tally.sanctions.v1.SanctionsService.GetReceiptKeys" => json!({}),
        "tally.sanctions.v1.SanctionsService.GetSignedReceipt" => json!({"check_id": id}),
        "tally.sanctions.v1.SanctionsService.ListCorrections" => json!({"department": INITIATOR}),
        "tally.sanctions.v1.SanctionsService.Subscribe" => to_the_head,
        other => panic!("{other} has no cell: write a request for it here, so that its rule is tested"),
    };
    Cell { messages: vec![message], marker }
}

/// The record as JSON, by the number of its document.
fn serde_record() -> impl Fn(&str) -> Value {
    |number| {
        let content = content(number);
        let fields = content.fields.iter();
        let basis = content.legal_basis.clone().unwrap_or_default();
        json!({
            "subject": content.subject, "record_type": content.record_type,
            "document_number": content.document_number, "decided_on": content.decided_on,
            "legal_basis": {"id": basis.id, "version": basis.version},
            "fields": fields
                .map(|field| json!({"name": field.name, "value": field.value}))
                .collect::<Vec<_>>(),
        })
    }
}

fn merged(mut base: Value, more: Value) -> Value {
    if let (Some(base), Value::Object(more)) = (base.as_object_mut(), more) {
        base.extend(more);
    }
    base
}
