//! The aggregate of a record: what a department's decision says about a
//! subject. One stream per natural key (department, document number, subject,
//! type), so that the same record met again is the same stream.

use std::sync::Arc;

use jiff::Timestamp;
use tally_domain::date::LegalDate;
use tally_domain::department::DepartmentId;
use tally_domain::document::DocumentNumber;
use tally_domain::fault::FieldFault;
use tally_domain::legal::LegalBasisRef;
use tally_domain::policy::Pack;
use tally_eventlog::aggregate::Aggregate;
use tally_proto::tally::collection::v1 as pb;
use tally_proto::tally::log::v1::DocumentRef;
use tally_rpc::{Fault, fault};

use crate::amend::{RIGHT_CORRECT, RIGHT_WITHDRAW};

/// What is known of a record.
#[derive(Debug, Clone, Default)]
pub struct Record {
    accepted: Option<Arc<Accepted>>,
    corrected: Option<Arc<Corrected>>,
    corrections: u32,
    withdrawn: bool,
}

/// What is asked of a record.
#[derive(Debug, Clone)]
pub enum Command {
    /// Accept it as pushed. The service has judged it by the policy pack.
    Accept(Arc<Accepted>),
    /// Replace its content.
    Correct(Arc<Corrected>),
    /// Take it out of use.
    Withdraw {
        /// Department that asks.
        department: String,
        /// When; from then on it is not displayed, shared or used.
        at: Timestamp,
        /// The legal day of that.
        on: LegalDate,
        /// Why.
        reason: String,
        /// The decision that revokes the first one.
        document: DocumentRef,
    },
}

/// What happened to a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It was accepted.
    Accepted(Arc<Accepted>),
    /// Its department corrected it.
    Corrected(Arc<Corrected>),
    /// Its department withdrew it.
    Withdrawn(Arc<Withdrawn>),
}

/// A record as it was pushed and sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct Accepted {
    /// Department that pushed it.
    pub department: String,
    /// Whom it is about, as text.
    pub subject: String,
    /// The legal basis it rests on.
    pub legal_basis: LegalBasisRef,
    /// First moment of the first day it holds.
    pub effective_at: Timestamp,
    /// What is stored.
    pub body: pb::RecordAccepted,
}

/// A correction: the whole content anew.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrected {
    /// Department that asks.
    pub department: String,
    /// Whom it is about, as text.
    pub subject: String,
    /// The legal basis it rests on.
    pub legal_basis: LegalBasisRef,
    /// First moment of the first day it holds.
    pub effective_at: Timestamp,
    /// What is stored.
    pub body: pb::RecordCorrected,
}

/// A withdrawal.
#[derive(Debug, Clone, PartialEq)]
pub struct Withdrawn {
    /// The legal basis that the record rested on.
    pub legal_basis: LegalBasisRef,
    /// When.
    pub at: Timestamp,
    /// What is stored.
    pub body: pb::RecordWithdrawn,
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// The record exists and says something else: correct it instead.
    ExistsDifferent {
        /// What differs: paths in the record.
        fields: Vec<String>,
    },
    /// The record was withdrawn; a new decision has a new document number.
    Withdrawn,
    /// There is no such record.
    Unknown,
    /// Another department pushed it; ask that one.
    OtherDepartment {
        /// The right that was claimed.
        right: &'static str,
    },
    /// A correction would make it another record: withdraw it and push that one.
    OtherRecord {
        /// What differs: paths in the record.
        fields: Vec<String>,
    },
    /// The correction says what the record says already.
    NothingChanged,
}

/// The right to see a record, as the contract names it.
pub const RIGHT_GET: &str = "collection.get";
impl Record {
    /// True if it was ever accepted.
    pub fn exists(&self) -> bool {
        self.accepted.is_some()
    }

    /// True once it was withdrawn.
    pub fn is_withdrawn(&self) -> bool {
        self.withdrawn
    }

    /// Number of its corrections.
    pub fn corrections(&self) -> u32 {
        self.corrections
    }

    /// The record as it was first accepted.
    pub fn accepted(&self) -> Option<&Accepted> {
        self.accepted.as_deref()
    }

    /// Its content as corrected last.
    pub fn content(&self) -> Option<&pb::StoredContent> {
        match &self.corrected {
            Some(corrected) => corrected.body.content.as_ref(),
            None => self.accepted.as_ref()?.body.content.as_ref(),
        }
    }

    /// The legal basis it rests on, as corrected last.
    pub fn legal_basis(&self) -> Option<&LegalBasisRef> {
        match &self.corrected {
            Some(corrected) => Some(&corrected.legal_basis),
            None => Some(&self.accepted.as_ref()?.legal_basis),
        }
    }

    /// Refuses a department that may not see the record.
    ///
    /// # Errors
    ///
    /// [`Rejection::Unknown`], as if there were none.
    pub fn seen_by(&self, pack: &Pack, reader: &DepartmentId) -> Result<(), Rejection> {
        let (Some(accepted), Some(content)) = (self.accepted.as_deref(), self.content()) else {
            return Err(Rejection::Unknown);
        };
        let is_owner = reader.as_str() == accepted.department;
        let is_shared = pack.may_read_record(&content.record_type, &accepted.department, reader);
        if !is_shared || self.withdrawn && !is_owner {
            return Err(Rejection::Unknown);
        }
        Ok(())
    }

    /// The record, for a department that wants to change it.
    ///
    /// # Errors
    ///
    /// [`Rejection::Unknown`]; [`Rejection::OtherDepartment`] for every
    /// department but the one that pushed it.
    pub fn owned_by(&self, department: &str, right: &'static str) -> Result<&Accepted, Rejection> {
        let accepted = self.accepted.as_deref().ok_or(Rejection::Unknown)?;
        if accepted.department != department {
            return Err(Rejection::OtherDepartment { right });
        }
        Ok(accepted)
    }

    fn accept(&self, pushed: &Arc<Accepted>) -> Result<Vec<Event>, Rejection> {
        if self.accepted.is_none() {
            return Ok(vec![Event::Accepted(pushed.clone())]);
        }
        if self.withdrawn {
            return Err(Rejection::Withdrawn);
        }
        let fields = self.differences(pushed.body.content.as_ref(), &pushed.legal_basis);
        if fields.is_empty() {
            return Ok(Vec::new());
        }
        Err(Rejection::ExistsDifferent { fields })
    }

    fn correct(&self, corrected: &Arc<Corrected>) -> Result<Vec<Event>, Rejection> {
        let accepted = self.owned_by(&corrected.department, RIGHT_CORRECT)?;
        if self.withdrawn {
            return Err(Rejection::Withdrawn);
        }
        let content = corrected.body.content.as_ref();
        let mut fields = Vec::new();
        if accepted.subject != corrected.subject {
            fields.push("record.subject".to_owned());
        }
        if let (Some(held), Some(content)) = (self.content(), content) {
            if held.record_type != content.record_type {
                fields.push("record.record_type".to_owned());
            }
            if !same_number(&held.document_number, &content.document_number) {
                fields.push("record.document_number".to_owned());
            }
        }
        if !fields.is_empty() {
            return Err(Rejection::OtherRecord { fields });
        }
        if self.differences(content, &corrected.legal_basis).is_empty() {
            return Err(Rejection::NothingChanged);
        }
        Ok(vec![Event::Corrected(corrected.clone())])
    }

    /// What `content` says otherwise than the record: paths of fields. Sealed
    /// values are compared as sealed: equal text of one stream seals equal.
    fn differences(
        &self,
        content: Option<&pb::StoredContent>,
        basis: &LegalBasisRef,
    ) -> Vec<String> {
        let (Some(held), Some(content)) = (self.content(), content) else {
            return vec!["record".to_owned()];
        };
        let mut fields: Vec<String> = [
            ("decided_on", held.decided_on != content.decided_on),
            ("valid_from", held.valid_from != content.valid_from),
            ("valid_until", held.valid_until != content.valid_until),
            ("legal_basis", self.legal_basis() != Some(basis)),
            ("check_id", held.check_id != content.check_id),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(field, _)| format!("record.{field}"))
        .collect();
        for field in &held.fields {
            if named(content, &field.name) != Some(field) {
                fields.push(format!("record.fields.{}", field.name));
            }
        }
        for field in &content.fields {
            if named(held, &field.name).is_none() {
                fields.push(format!("record.fields.{}", field.name));
            }
        }
        fields
    }
}

fn named<'a>(content: &'a pb::StoredContent, name: &str) -> Option<&'a pb::StoredField> {
    content.fields.iter().find(|field| field.name == name)
}

fn same_number(one: &str, other: &str) -> bool {
    match (DocumentNumber::parse(one), DocumentNumber::parse(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

impl Aggregate for Record {
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    const CATEGORY: &'static str = "record";

    fn decide(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Accept(pushed) => self.accept(pushed),
            Command::Correct(corrected) => self.correct(corrected),
            Command::Withdraw {
                department,
                at,
                on,
                reason,
                document,
            } => {
                let accepted = self.owned_by(department, RIGHT_WITHDRAW)?;
                if self.withdrawn {
                    return Err(Rejection::Withdrawn);
                }
                let record_type = self.content().map(|content| content.record_type.clone());
                Ok(vec![Event::Withdrawn(Arc::new(Withdrawn {
                    legal_basis: self.legal_basis().unwrap_or(&accepted.legal_basis).clone(),
                    at: *at,
                    body: pb::RecordWithdrawn {
                        reason: reason.clone(),
                        document: Some(document.clone()),
                        record_type: record_type.unwrap_or_default(),
                        withdrawn_on: on.to_string(),
                    },
                }))])
            }
        }
    }

    fn evolve(&mut self, event: &Event) {
        match event {
            Event::Accepted(accepted) => self.accepted = Some(accepted.clone()),
            Event::Corrected(corrected) => {
                self.corrected = Some(corrected.clone());
                self.corrections += 1;
            }
            Event::Withdrawn(_) => self.withdrawn = true,
        }
    }
}

impl Rejection {
    /// Stable reason.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ExistsDifferent { .. } => "RECORD_EXISTS_DIFFERENT",
            Self::Withdrawn => "RECORD_WITHDRAWN",
            Self::Unknown => "RECORD_UNKNOWN",
            Self::OtherDepartment { .. } => fault::reason::RIGHT_MISSING,
            Self::OtherRecord { .. } => "RECORD_IDENTITY_FIXED",
            Self::NothingChanged => "NOTHING_CHANGED",
        }
    }

    /// What is wrong and what to do.
    pub fn message(&self) -> String {
        match self {
            Self::ExistsDifferent { fields } => format!(
                "the record exists and says otherwise in {}; correct it instead",
                fields.join(", ")
            ),
            Self::Withdrawn => {
                "the record was withdrawn and is not used again; a new decision has a number of its own"
                    .to_owned()
            }
            Self::Unknown => "there is no record with this id".to_owned(),
            Self::OtherDepartment { right } => format!(
                "{right} is for the department that pushed the record; ask that department"
            ),
            Self::OtherRecord { fields } => format!(
                "{} would make it another record; withdraw this one and push that one",
                fields.join(", ")
            ),
            Self::NothingChanged => "the record says all of this already".to_owned(),
        }
    }

    /// The fields it is about, for a refusal that names each.
    pub fn field_faults(&self) -> Vec<FieldFault> {
        match self {
            Self::ExistsDifferent { fields } | Self::OtherRecord { fields } => fields
                .iter()
                .map(|field| FieldFault::new(field.clone(), self.reason(), self.message()))
                .collect(),
            _ => vec![FieldFault::new("record", self.reason(), self.message())],
        }
    }
}

impl From<Rejection> for Fault {
    fn from(rejection: Rejection) -> Self {
        let (reason, message) = (rejection.reason(), rejection.message());
        match rejection {
            Rejection::ExistsDifferent { fields } => {
                Fault::already_exists(reason, message).with("fields", fields.join(","))
            }
            Rejection::OtherRecord { fields } => {
                Fault::rejected(reason, message).with("fields", fields.join(","))
            }
            Rejection::Unknown => Fault::unseen(reason, RIGHT_GET, message),
            Rejection::OtherDepartment { right } => Fault::permission(right, message),
            Rejection::Withdrawn | Rejection::NothingChanged => Fault::rejected(reason, message),
        }
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
