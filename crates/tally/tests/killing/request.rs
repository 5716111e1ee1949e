//! The commands of the load: what is asked, by whom, and what must come of it.

use prost::Message as _;
use tally::client::Client;
use tally_proto::tally::collection::v1 as collection;
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::log::v1::{DocumentRef, Envelope, LegalBasisRef, Receipt};
use tally_proto::tally::sanctions::v1 as sanctions;
use tonic::Status;
use uuid::Uuid;

use crate::process::{MARKET, RESOURCES, TAX};

/// Who sends a command; each has a certificate of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// System of market supervision: pushes.
    MarketSystem,
    /// Officer who nominates.
    MarketFirst,
    /// Officer who lists.
    MarketSecond,
    /// System of the tax bureau: pushes, subscribes, acknowledges, checks.
    TaxSystem,
    /// Officer who executes there.
    TaxOfficer,
    /// System of public resources: subscribes, acknowledges, checks.
    ResourcesSystem,
    /// Officer who executes there.
    ResourcesOfficer,
}

impl Who {
    /// All of them.
    pub const ALL: [Who; 7] = [
        Who::MarketSystem,
        Who::MarketFirst,
        Who::MarketSecond,
        Who::TaxSystem,
        Who::TaxOfficer,
        Who::ResourcesSystem,
        Who::ResourcesOfficer,
    ];

    /// The department.
    pub fn department(self) -> &'static str {
        match self {
            Who::MarketSystem | Who::MarketFirst | Who::MarketSecond => MARKET,
            Who::TaxSystem | Who::TaxOfficer => TAX,
            Who::ResourcesSystem | Who::ResourcesOfficer => RESOURCES,
        }
    }

    /// The name in the certificate.
    pub fn urn(self) -> String {
        let department = format!("urn:tally:department:{}", self.department());
        match self {
            Who::MarketSystem | Who::TaxSystem | Who::ResourcesSystem => department,
            Who::MarketFirst => format!("{department}:officer:1"),
            Who::MarketSecond => format!("{department}:officer:2"),
            Who::TaxOfficer | Who::ResourcesOfficer => format!("{department}:officer:7"),
        }
    }
}

/// A command with its id and content.
#[derive(Debug, Clone)]
pub enum Request {
    Push(collection::PushRecordRequest),
    Nominate(lists::NominateRequest),
    Notify(lists::NotifyRequest),
    Represent(lists::RepresentRequest),
    List(lists::ListRequest),
    Acknowledge(sanctions::AcknowledgeRequest),
    Execute(sanctions::ExecuteRequest),
    Check(sanctions::CheckRequest),
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Where it is.
    pub receipt: Receipt,
    /// Id of the record or the entry that it made; empty if none.
    pub made: String,
}

impl Reply {
    /// Of an accepted record.
    pub fn of_record(accepted: collection::AcceptedRecord) -> Self {
        Self {
            receipt: accepted.receipt.expect("a receipt"),
            made: accepted.record_id,
        }
    }

    fn of(receipt: Option<Receipt>) -> Self {
        Self {
            receipt: receipt.expect("a receipt"),
            made: String::new(),
        }
    }
}

impl Request {
    /// Its id.
    pub fn id(&self) -> Uuid {
        let text = match self {
            Self::Push(request) => &request.command_id,
            Self::Nominate(request) => &request.command_id,
            Self::Notify(request) => &request.command_id,
            Self::Represent(request) => &request.command_id,
            Self::List(request) => &request.command_id,
            Self::Acknowledge(request) => &request.command_id,
            Self::Execute(request) => &request.command_id,
            Self::Check(request) => &request.check_id,
        };
        text.parse().expect("ids are made as UUIDs")
    }

    /// Sends it.
    pub async fn send(self, client: &Client) -> Result<Reply, Status> {
        Ok(match self {
            Self::Push(request) => {
                let answer = client.collection().push_record(request).await?.into_inner();
                Reply::of_record(answer.accepted.expect("an accepted record"))
            }
            Self::Nominate(request) => {
                let answer = client.lists().nominate(request).await?.into_inner();
                Reply {
                    made: answer.entry_id,
                    ..Reply::of(answer.receipt)
                }
            }
            Self::Notify(request) => {
                Reply::of(client.lists().notify(request).await?.into_inner().receipt)
            }
            Self::Represent(request) => Reply::of(
                client
                    .lists()
                    .represent(request)
                    .await?
                    .into_inner()
                    .receipt,
            ),
            Self::List(request) => {
                Reply::of(client.lists().list(request).await?.into_inner().receipt)
            }
            Self::Acknowledge(request) => Reply::of(
                client
                    .sanctions()
                    .acknowledge(request)
                    .await?
                    .into_inner()
                    .receipt,
            ),
            Self::Execute(request) => Reply::of(
                client
                    .sanctions()
                    .execute(request)
                    .await?
                    .into_inner()
                    .receipt,
            ),
            Self::Check(request) => Reply::of(
                client
                    .sanctions()
                    .check(request)
                    .await?
                    .into_inner()
                    .receipt,
            ),
        })
    }

    /// Log of its event, and the event's type.
    pub fn event(&self) -> (&'static str, &'static str) {
        match self {
            Self::Push(_) => ("collection", "tally.collection.v1.RecordAccepted"),
            Self::Nominate(_) => ("lists", "tally.lists.v1.EntryNominated"),
            Self::Notify(_) => ("lists", "tally.lists.v1.SubjectNotified"),
            Self::Represent(_) => ("lists", "tally.lists.v1.RepresentationReceived"),
            Self::List(_) => ("lists", "tally.lists.v1.EntryListed"),
            Self::Acknowledge(_) => ("sanctions", "tally.sanctions.v1.DirectiveReceived"),
            Self::Execute(_) => ("sanctions", "tally.sanctions.v1.DirectiveExecuted"),
            Self::Check(_) => ("sanctions-access", "tally.sanctions.v1.CheckAnswered"),
        }
    }

    /// True if the event says what the command asked: the same stream or
    /// subject, the same document.
    pub fn is_told_by(&self, envelope: &Envelope) -> bool {
        let payload = envelope.payload.clone();
        match self {
            Self::Push(request) => {
                let record = request.record.as_ref().expect("a record was sent");
                let accepted = collection::RecordAccepted::decode(payload).unwrap_or_default();
                let content = accepted.content.unwrap_or_default();
                envelope.subject == record.subject
                    && content.document_number == record.document_number
            }
            Self::Nominate(request) => {
                let nominated = lists::EntryNominated::decode(payload).unwrap_or_default();
                envelope.subject == request.subject
                    && nominated.ground_record_id == request.ground_record_id
            }
            Self::Notify(request) => envelope.stream_id == request.entry_id,
            Self::Represent(request) => envelope.stream_id == request.entry_id,
            Self::List(request) => envelope.stream_id == request.entry_id,
            Self::Acknowledge(request) => envelope.stream_id == request.directive_id,
            Self::Execute(request) => {
                let executed = sanctions::DirectiveExecuted::decode(payload).unwrap_or_default();
                envelope.stream_id == request.directive_id && executed.check_id == request.check_id
            }
            Self::Check(request) => envelope.subject == request.subject,
        }
    }
}

/// A legal basis of the small pack.
pub fn basis(id: &str) -> Option<LegalBasisRef> {
    Some(LegalBasisRef {
        id: id.to_owned(),
        version: 1,
    })
}

/// A document by its number.
pub fn document(number: &str) -> Option<DocumentRef> {
    Some(DocumentRef {
        number: number.to_owned(),
        ..Default::default()
    })
}

/// A penalty record.
pub fn penalty(subject: &str, number: &str, decided_on: &str) -> Request {
    let field = |name: &str, value: &str| collection::Field {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    Request::Push(collection::PushRecordRequest {
        command_id: new_id(),
        record: Some(collection::RecordContent {
            subject: subject.to_owned(),
            record_type: "administrative-penalty".to_owned(),
            document_number: number.to_owned(),
            decided_on: decided_on.to_owned(),
            legal_basis: basis("tally-credit-regulations/12"),
            // Sealed, so that the key ring takes part in what is killed.
            fields: vec![
                field("party_name", "Example Ltd"),
                field("penalty_category", "fine"),
                field("legal_representative", "Example Person"),
            ],
            ..Default::default()
        }),
        ..Default::default()
    })
}

/// A check for procurement.
pub fn check(subject: &str, case: &str) -> Request {
    Request::Check(sanctions::CheckRequest {
        check_id: new_id(),
        subject: subject.to_owned(),
        purpose: "procurement".to_owned(),
        case_number: case.to_owned(),
        legal_basis: basis("tally-credit-regulations/18"),
        at_least: None,
    })
}

/// An id for a new command.
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}
