//! What takes several commands, one after the other: a listing, a directive.
//! A case outlives the process: its next life goes on where it stood.

use std::sync::Arc;

use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::sanctions::v1 as sanctions;
use uuid::Uuid;

use super::request::{Reply, Request, Who, basis, check, document, new_id, penalty};
use super::round::Round;

/// Dates of the load.
#[derive(Debug, Clone)]
pub struct Dates {
    /// A day that is over everywhere.
    pub past: String,
    /// A day far ahead.
    pub ahead: String,
}

/// The listing of a subject.
#[derive(Debug)]
pub struct Listing {
    subject: String,
    number: String,
    dates: Dates,
    record_id: String,
    entry_id: String,
    step: u8,
    pending: Option<Uuid>,
}

impl Listing {
    /// The listing number `n`.
    pub fn new(n: usize, dates: &Dates) -> Self {
        Self {
            subject: format!("name-region:LISTED {n}|US"),
            number: format!("listed {n}"),
            dates: dates.clone(),
            record_id: String::new(),
            entry_id: String::new(),
            step: 0,
            pending: None,
        }
    }

    /// True if it is listed.
    pub fn done(&self) -> bool {
        self.step == 5
    }

    /// Goes on until it is listed or the process dies.
    pub async fn run(mut self, round: Arc<Round>) -> Self {
        while !self.done() {
            let next = self.next();
            let Some(reply) = step(&round, &mut self.pending, next).await else {
                break;
            };
            match self.step {
                0 => self.record_id = reply.made,
                1 => self.entry_id = reply.made,
                _ => {}
            }
            self.step += 1;
        }
        self
    }

    fn next(&self) -> (Who, Request) {
        let command_id = new_id();
        let entry_id = self.entry_id.clone();
        match self.step {
            0 => (
                Who::MarketSystem,
                penalty(&self.subject, &self.number, &self.dates.past),
            ),
            1 => {
                let request = lists::NominateRequest {
                    command_id,
                    subject: self.subject.clone(),
                    list_type: "serious-violation".to_owned(),
                    ground_record_id: self.record_id.clone(),
                    criterion: "serious violation established by a final decision".to_owned(),
                    legal_basis: basis("tally-credit-regulations/20"),
                    term_from: self.dates.past.clone(),
                    term_until: self.dates.ahead.clone(),
                };
                (Who::MarketFirst, Request::Nominate(request))
            }
            2 => {
                let served_on = self.dates.past.clone();
                let proof_of_service = document("service");
                let request = lists::NotifyRequest {
                    command_id,
                    entry_id,
                    served_on,
                    proof_of_service,
                };
                (Who::MarketFirst, Request::Notify(request))
            }
            3 => {
                let request = lists::RepresentRequest {
                    command_id,
                    entry_id,
                    document: None,
                    waived: true,
                };
                (Who::MarketFirst, Request::Represent(request))
            }
            _ => {
                let request = lists::ListRequest {
                    command_id,
                    entry_id,
                    decision: document("listing"),
                };
                (Who::MarketSecond, Request::List(request))
            }
        }
    }
}

/// A directive at the department that answers it.
#[derive(Debug)]
pub struct Answering {
    directive_id: String,
    subject: String,
    system: Who,
    officer: Who,
    executed_on: String,
    check_id: String,
    step: u8,
    pending: Option<Uuid>,
}

impl Answering {
    /// A directive that was received.
    pub fn new(directive: &sanctions::Directive, system: Who, officer: Who, dates: &Dates) -> Self {
        Self {
            directive_id: directive.directive_id.clone(),
            subject: directive.subject.clone(),
            system,
            officer,
            executed_on: dates.past.clone(),
            check_id: String::new(),
            step: 0,
            pending: None,
        }
    }

    /// True if it is executed.
    pub fn done(&self) -> bool {
        self.step == 3
    }

    /// Goes on until it is executed or the process dies.
    pub async fn run(mut self, round: Arc<Round>) -> Self {
        while !self.done() {
            let next = self.next();
            if step(&round, &mut self.pending, next).await.is_none() {
                break;
            }
            self.step += 1;
        }
        self
    }

    fn next(&mut self) -> (Who, Request) {
        let directive_id = self.directive_id.clone();
        match self.step {
            0 => {
                let request = sanctions::AcknowledgeRequest {
                    command_id: new_id(),
                    directive_id,
                };
                (self.system, Request::Acknowledge(request))
            }
            1 => {
                let asked = check(&self.subject, &self.directive_id);
                // Asked again with another id while the first is pending, it
                // would name a check that was never made.
                if self.pending.is_none() {
                    self.check_id = asked.id().to_string();
                }
                (self.system, asked)
            }
            _ => {
                let request = sanctions::ExecuteRequest {
                    command_id: new_id(),
                    directive_id,
                    decision: document("decision"),
                    executed_on: self.executed_on.clone(),
                    check_id: self.check_id.clone(),
                };
                (self.officer, Request::Execute(request))
            }
        }
    }
}

/// Sends the command that is pending, or the next one; nothing if the process died.
async fn step(round: &Round, pending: &mut Option<Uuid>, next: (Who, Request)) -> Option<Reply> {
    let id = *pending.get_or_insert_with(|| round.ledger.write(next.0, next.1));
    let reply = match round.ledger.reply(id) {
        // Answered when the unknown ones were retried.
        Some(reply) => reply,
        None => round.perform(id).await?,
    };
    *pending = None;
    Some(reply)
}
