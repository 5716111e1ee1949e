//! The steps of the main job as short calls.

use std::time::{Duration, Instant};

use tally::client::{Client, command_id, token_of};
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::feedback::v1 as feedback;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::log::v1::Receipt;
use tally_proto::tally::sanctions::v1 as sanctions;

use crate::harness::{ASKING, BLACK_LISTING, COLLECTING, basis, document};

/// Within this whoever was away is back, and what it has is known.
const KNOWN_WITHIN: Duration = Duration::from_secs(30);

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
    let answer = client
        .collection()
        .push_record(request)
        .await
        .expect("the record is accepted")
        .into_inner();
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
    let listed = second
        .lists()
        .list(confirmation(&entry_id))
        .await
        .expect("listed by a second officer")
        .into_inner();
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
    first.lists().notify(request).await.expect("notified");
    let request = lists::RepresentRequest {
        command_id: command_id(),
        entry_id: entry_id.clone(),
        document: None,
        waived: true,
    };
    first.lists().represent(request).await.expect("waived");
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
    officer
        .lists()
        .nominate(request)
        .await
        .expect("nominated")
        .into_inner()
        .entry_id
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
    let answer = officer
        .lists()
        .accept_objection(request)
        .await
        .expect("the objection is accepted");
    answer.into_inner().receipt.expect("a receipt")
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
    let request = sanctions::CheckRequest {
        at_least: Some(token_of(receipt)),
        ..question(subject)
    };
    let answer = client.sanctions().check(request).await;
    answer.expect("the check is answered").into_inner()
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
    let began = Instant::now();
    loop {
        let answer = check_once_after(client, subject, receipt).await;
        match answer.undetermined_reason.as_str() {
            "TOKEN_NOT_REACHED" | "READER_BEHIND" => {}
            _ => return answer,
        }
        assert!(began.elapsed() < KNOWN_WITHIN, "{subject}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
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
    let mut stream = client
        .sanctions()
        .subscribe(request)
        .await
        .expect("subscribed")
        .into_inner();
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
    let acknowledged = client.sanctions().acknowledge(request).await;
    acknowledged.expect("acknowledged");
    let request = sanctions::ExecuteRequest {
        command_id: command_id(),
        directive_id: directive_id.to_owned(),
        decision: document("decision 1"),
        executed_on: on.to_owned(),
        check_id: String::new(),
    };
    let executed = officer.sanctions().execute(request).await;
    executed.expect("executed");
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
    client
        .feedback()
        .report(request)
        .await
        .expect("reported")
        .into_inner()
        .receipt
        .expect("a receipt")
}
