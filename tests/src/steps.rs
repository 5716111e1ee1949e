//! The steps of the main job as short calls.

use std::time::Instant;

use tally::client::{Client, command_id, token_of};
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::feedback::v1 as feedback;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::log::v1::Receipt;
use tally_proto::tally::sanctions::v1 as sanctions;

use crate::harness::{ASKING, BLACK_LISTING, COLLECTING, basis, document};
use crate::patience::{PATIENCE, PAUSE, answered};

/// A penalty record about a subject.
pub fn penalty(subject: &str, number: &str, decided_on: &str) -> collection::RecordContent {
    let field = |name: &str, value: &str| collection::Field {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    collection::RecordContent {
        subject: subject.to_owned(),
        record_type: "administrative-penalty".to_owned(),
        document_number: number.to_owned(),
        decided_on: decided_on.to_owned(),
        legal_basis: basis(COLLECTING),
        fields: vec![
            field("party_name", "Example Ltd"),
            field("penalty_category", "fine"),
        ],
        ..Default::default()
    }
}

/// Pushes a record and returns its id and receipt.
///
/// # Panics
///
/// If it is refused.
pub async fn push(client: &Client, record: collection::RecordContent) -> (String, Receipt) {
    let request = collection::PushRecordRequest {
        command_id: command_id(),
        record: Some(record),
        ..Default::default()
    };
    let pushed = answered(|| async { client.collection().push_record(request.clone()).await });
    let answer = pushed.await.expect("the record is accepted");
    let accepted = answer.accepted.expect("an accepted record");
    (accepted.record_id, accepted.receipt.expect("a receipt"))
}

/// What a black listing needs.
#[derive(Debug, Clone)]
pub struct BlackListing {
    /// Whom.
    pub subject: String,
    /// Record it rests on.
    pub ground: String,
    /// First day.
    pub from: String,
    /// Last day.
    pub until: String,
    /// Day on which the subject was told.
    pub served_on: String,
    /// Id of the list type.
    pub list_type: String,
    /// Legal basis of listing.
    pub basis: String,
}

impl BlackListing {
    /// A listing on a record, served and starting on 2026-03-02.
    pub fn today(subject: &str, ground: &str, until: &str) -> Self {
        let today = || "2026-03-02".to_owned();
        Self {
            subject: subject.to_owned(),
            ground: ground.to_owned(),
            from: today(),
            until: until.to_owned(),
            served_on: today(),
            list_type: "serious-violation".to_owned(),
            basis: BLACK_LISTING.to_owned(),
        }
    }
}

/// Nominates, notifies, takes the subject's waiver and lists, with two officers.
///
/// # Panics
///
/// If a step is refused.
pub async fn list_black(
    first: &Client,
    second: &Client,
    listing: &BlackListing,
) -> (String, Receipt) {
    let entry_id = nominate_and_hear(first, listing).await;
    let request = confirmation(&entry_id);
    let listed = answered(|| async { second.lists().list(request.clone()).await }).await;
    let listed = listed.expect("listed by a second officer");
    (entry_id, listed.receipt.expect("a receipt"))
}

/// Nominates a subject, tells it, and takes its waiver: all that comes before
/// the second officer.
///
/// # Panics
///
/// If a step is refused.
pub async fn nominate_and_hear(first: &Client, listing: &BlackListing) -> String {
    let entry_id = nominate(first, listing).await;
    let request = lists::NotifyRequest {
        command_id: command_id(),
        entry_id: entry_id.clone(),
        served_on: listing.served_on.clone(),
        proof_of_service: document("service 1"),
    };
    let notified = answered(|| async { first.lists().notify(request.clone()).await }).await;
    notified.expect("notified");
    let request = lists::RepresentRequest {
        command_id: command_id(),
        entry_id: entry_id.clone(),
        document: None,
        waived: true,
    };
    let waived = answered(|| async { first.lists().represent(request.clone()).await }).await;
    waived.expect("waived");
    entry_id
}

/// The second officer's request.
pub fn confirmation(entry_id: &str) -> lists::ListRequest {
    lists::ListRequest {
        command_id: command_id(),
        entry_id: entry_id.to_owned(),
        decision: document("listing 1"),
    }
}

/// Nominates a subject for the black list.
///
/// # Panics
///
/// If it is refused.
pub async fn nominate(officer: &Client, listing: &BlackListing) -> String {
    let request = nomination(listing);
    let nominated = answered(|| async { officer.lists().nominate(request.clone()).await }).await;
    nominated.expect("nominated").entry_id
}

/// The request of a nomination for the black list.
pub fn nomination(listing: &BlackListing) -> lists::NominateRequest {
    lists::NominateRequest {
        command_id: command_id(),
        subject: listing.subject.clone(),
        list_type: listing.list_type.clone(),
        ground_record_id: listing.ground.clone(),
        criterion: "serious violation established by a final decision".to_owned(),
        legal_basis: basis(&listing.basis),
        term_from: listing.from.clone(),
        term_until: listing.until.clone(),
    }
}

/// Accepts an objection against an entry.
///
/// # Panics
///
/// If it is refused.
pub async fn accept_objection(officer: &Client, entry_id: &str) -> Receipt {
    let request = lists::AcceptObjectionRequest {
        command_id: command_id(),
        entry_id: entry_id.to_owned(),
        objection: document("objection 1"),
    };
    let accepted = answered(|| async { officer.lists().accept_objection(request.clone()).await });
    let answer = accepted.await.expect("the objection is accepted");
    answer.receipt.expect("a receipt")
}

/// A check for procurement.
pub fn question(subject: &str) -> sanctions::CheckRequest {
    sanctions::CheckRequest {
        check_id: command_id(),
        subject: subject.to_owned(),
        purpose: "procurement".to_owned(),
        case_number: "case 1".to_owned(),
        legal_basis: basis(ASKING),
        at_least: None,
    }
}

/// Asks once.
///
/// # Panics
///
/// If it is refused.
pub async fn check_once(
    client: &Client,
    request: sanctions::CheckRequest,
) -> sanctions::CheckResponse {
    let answer = client.sanctions().check(request).await;
    answer.expect("the check is answered").into_inner()
}

/// Asks, and asks again, as a client is told to, while what is known is too old.
///
/// # Panics
///
/// If it is refused, or stays so.
pub async fn check(client: &Client, request: sanctions::CheckRequest) -> sanctions::CheckResponse {
    check_while(client, request, &["READER_BEHIND"]).await
}

/// Asks once, having seen at least a receipt of `lists`.
///
/// # Panics
///
/// If it is refused.
pub async fn check_once_after(
    client: &Client,
    subject: &str,
    receipt: &Receipt,
) -> sanctions::CheckResponse {
    check_once(client, question_after(subject, receipt)).await
}

/// The same, and asks again, as a client is told to, while that is not known yet, or what
/// is known is too old.
///
/// # Panics
///
/// If it is refused, or stays so.
pub async fn check_after(
    client: &Client,
    subject: &str,
    receipt: &Receipt,
) -> sanctions::CheckResponse {
    let request = question_after(subject, receipt);
    check_while(client, request, &["TOKEN_NOT_REACHED", "READER_BEHIND"]).await
}

fn question_after(subject: &str, receipt: &Receipt) -> sanctions::CheckRequest {
    sanctions::CheckRequest {
        at_least: Some(token_of(receipt)),
        ..question(subject)
    }
}

/// Asks under a new id for as long as the answer is one of these.
async fn check_while(
    client: &Client,
    request: sanctions::CheckRequest,
    passing: &[&str],
) -> sanctions::CheckResponse {
    let began = Instant::now();
    loop {
        let request = sanctions::CheckRequest {
            check_id: command_id(),
            ..request.clone()
        };
        let answer = answered(|| async { client.sanctions().check(request.clone()).await });
        let answer = answer.await.expect("the check is answered");
        if !passing.contains(&answer.undetermined_reason.as_str()) {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "{answer:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// All that is in a department's mailbox now.
///
/// # Panics
///
/// If the stream fails.
pub async fn mailbox(client: &Client) -> Vec<sanctions::SubscribeResponse> {
    let request = sanctions::SubscribeRequest {
        cursor: None,
        until_head: true,
    };
    let subscribed = answered(|| async { client.sanctions().subscribe(request.clone()).await });
    let mut stream = subscribed.await.expect("subscribed");
    let mut items = Vec::new();
    while let Some(item) = stream.message().await.expect("the stream goes on") {
        items.push(item);
    }
    items
}

/// Acknowledges a directive, and executes it by an officer.
///
/// # Panics
///
/// If it is refused.
pub async fn execute(client: &Client, officer: &Client, directive_id: &str, on: &str) {
    let request = sanctions::AcknowledgeRequest {
        command_id: command_id(),
        directive_id: directive_id.to_owned(),
    };
    let acknowledged = answered(|| async { client.sanctions().acknowledge(request.clone()).await });
    acknowledged.await.expect("acknowledged");
    let request = sanctions::ExecuteRequest {
        command_id: command_id(),
        directive_id: directive_id.to_owned(),
        decision: document("decision 1"),
        executed_on: on.to_owned(),
        check_id: String::new(),
    };
    let executed = answered(|| async { officer.sanctions().execute(request.clone()).await });
    executed.await.expect("executed");
}

/// Reports on a directive that was executed.
///
/// # Panics
///
/// If it is refused.
pub async fn report(client: &Client, directive_id: &str, done_on: &str) -> Receipt {
    let request = feedback::ReportRequest {
        command_id: command_id(),
        directive_id: directive_id.to_owned(),
        outcome: feedback::ReportedOutcome::Executed.into(),
        document: document("decision 1"),
        done_on: done_on.to_owned(),
        ..Default::default()
    };
    let reported = answered(|| async { client.feedback().report(request.clone()).await }).await;
    let reported = reported.expect("reported");
    reported.receipt.expect("a receipt")
}
