//! The steps of each operation as calls.

use jiff::civil::Date;
use tally_proto::tally::collection::v1::{PushRecordRequest, RecordContent};
use tally_proto::tally::lists::v1 as lists;
use tally_proto::tally::log::v1::{DocumentRef, LegalBasisRef};
use tally_proto::tally::sanctions::v1::CheckRequest;
use tokio::time::Instant;

use super::cast::{Cast, Desk};
use super::ledger::{Kind, ListedEntry};
use super::office::{Command, Office};
use super::script::{Ending, Listing};
use crate::demo::world::Dept;

/// The first officer.
const NOMINATES: usize = 0;
/// Never the first one.
const LISTS: usize = 1;
/// Neither of these two.
const ACCEPTS: usize = 2;
/// Nor this one.
const DECIDES: usize = 3;

/// Everything that a run's operations need.
pub struct Running {
    /// Connections.
    pub cast: Cast,
    /// Ledger and measurements.
    pub office: Office,
    /// The day it is.
    pub today: Date,
}

/// A document by its number.
pub fn document(number: String) -> Option<DocumentRef> {
    Some(DocumentRef {
        number,
        ..DocumentRef::default()
    })
}

impl Running {
    /// Pushes a record, and returns its id if it is acknowledged.
    pub async fn push(
        &self,
        dept: Dept,
        record: &RecordContent,
        intended: Instant,
    ) -> Option<String> {
        let desk = self.cast.desk(dept);
        let command = Command {
            kind: Kind::Push,
            department: &desk.id,
            subject: &record.subject,
            intended,
        };
        let system = desk.system();
        let request = |command_id| PushRecordRequest {
            command_id,
            record: Some(record.clone()),
            ..PushRecordRequest::default()
        };
        let attempt = |id| async { system.collection().push_record(request(id)).await };
        let pushed = self.office.send(command, attempt, |answer| {
            let accepted = answer.accepted.unwrap_or_default();
            (accepted.receipt, accepted.record_id)
        });
        pushed.await.map(|done| done.made)
    }

    /// Asks before a decision.
    pub async fn check(
        &self,
        dept: Dept,
        subject: &str,
        purpose: &str,
        basis: &LegalBasisRef,
        intended: Instant,
    ) {
        let desk = self.cast.desk(dept);
        let command = Command {
            kind: Kind::Check,
            department: &desk.id,
            subject,
            intended,
        };
        let system = desk.system();
        let request = |check_id| CheckRequest {
            check_id,
            subject: subject.to_owned(),
            purpose: purpose.to_owned(),
            case_number: "simulated".to_owned(),
            legal_basis: Some(basis.clone()),
            at_least: None,
        };
        let attempt = |id| async { system.sanctions().check(request(id)).await };
        let checked = self
            .office
            .send(command, attempt, |answer| (answer.receipt, String::new()));
        checked.await;
    }

    /// Lists a subject, from the record that grounds it to the second officer; the
    /// entry, if every step is acknowledged.
    pub async fn list(&self, listing: &Listing, intended: Instant) -> Option<String> {
        let ground = self
            .push(listing.initiator, &listing.ground, intended)
            .await?;
        let desk = self.cast.desk(listing.initiator);
        let steps = Steps {
            office: &self.office,
            desk,
            subject: &listing.subject,
        };
        let entry = steps.nominate(listing, &ground).await?;
        if !listing.red {
            steps.hear(&entry, self.today).await?;
        }
        steps.confirm(listing, &entry).await?;
        self.office
            .meter
            .acknowledged(Kind::Listing, intended.elapsed());
        Some(entry)
    }

    /// What some entries meet within the run.
    pub async fn end(&self, listing: &Listing, entry: &str, ending: Ending, intended: Instant) {
        let steps = Steps {
            office: &self.office,
            desk: self.cast.desk(listing.initiator),
            subject: &listing.subject,
        };
        match ending {
            Ending::Upheld => steps.object(entry, true, intended).await,
            Ending::CorrectedOut => steps.object(entry, false, intended).await,
            Ending::Removed => steps.remove(entry, listing.red, intended).await,
        };
    }
}

/// The steps of officers of one department about one subject. Each begins when
/// the one before is acknowledged.
struct Steps<'a> {
    office: &'a Office,
    desk: &'a Desk,
    subject: &'a str,
}

impl Steps<'_> {
    fn command(&self, kind: Kind, intended: Instant) -> Command<'_> {
        Command {
            kind,
            department: &self.desk.id,
            subject: self.subject,
            intended,
        }
    }

    fn next(&self, kind: Kind) -> Command<'_> {
        self.command(kind, Instant::now())
    }

    async fn nominate(&self, listing: &Listing, ground: &str) -> Option<String> {
        let officer = &self.desk.officers[NOMINATES];
        let request = |command_id| lists::NominateRequest {
            command_id,
            subject: listing.subject.clone(),
            list_type: listing.list_type.clone(),
            ground_record_id: ground.to_owned(),
            criterion: "simulated".to_owned(),
            legal_basis: Some(listing.basis.clone()),
            term_from: listing.from.to_string(),
            term_until: listing.until.map(|day| day.to_string()).unwrap_or_default(),
        };
        let attempt = |id| async { officer.lists().nominate(request(id)).await };
        let nominated = self
            .office
            .send(self.next(Kind::Nominate), attempt, |answer| {
                (answer.receipt, answer.entry_id)
            });
        nominated.await.map(|done| done.made)
    }

    /// The subject is told, and has nothing to say.
    async fn hear(&self, entry: &str, today: Date) -> Option<()> {
        let officer = &self.desk.officers[NOMINATES];
        let request = |command_id| lists::NotifyRequest {
            command_id,
            entry_id: entry.to_owned(),
            served_on: today.to_string(),
            proof_of_service: document(format!("service {entry}")),
        };
        let attempt = |id| async { officer.lists().notify(request(id)).await };
        let told = self
            .office
            .send(self.next(Kind::Notify), attempt, |answer| {
                (answer.receipt, String::new())
            });
        told.await?;
        let request = |command_id| lists::RepresentRequest {
            command_id,
            entry_id: entry.to_owned(),
            document: None,
            waived: true,
        };
        let attempt = |id| async { officer.lists().represent(request(id)).await };
        let heard = self
            .office
            .send(self.next(Kind::Represent), attempt, |answer| {
                (answer.receipt, String::new())
            });
        heard.await.map(drop)
    }

    async fn confirm(&self, listing: &Listing, entry: &str) -> Option<()> {
        let officer = &self.desk.officers[LISTS];
        let listed = ListedEntry {
            id: entry.to_owned(),
            list_type: listing.list_type.clone(),
            from: listing.from.to_string(),
        };
        let request = |command_id| lists::ListRequest {
            command_id,
            entry_id: entry.to_owned(),
            decision: document(format!("listing {entry}")),
        };
        let attempt = |id| async { officer.lists().list(request(id)).await };
        let command = self.next(Kind::List);
        let listed = self
            .office
            .send_about(command, Some(listed), attempt, |answer| {
                (answer.receipt, String::new())
            });
        listed.await.map(drop)
    }

    /// An objection is accepted and decided.
    async fn object(&self, entry: &str, stands: bool, intended: Instant) -> Option<()> {
        let officer = &self.desk.officers[ACCEPTS];
        let request = |command_id| lists::AcceptObjectionRequest {
            command_id,
            entry_id: entry.to_owned(),
            objection: document(format!("objection {entry}")),
        };
        let attempt = |id| async { officer.lists().accept_objection(request(id)).await };
        let command = self.command(Kind::AcceptObjection, intended);
        let accepted = self
            .office
            .send(command, attempt, |answer| (answer.receipt, String::new()));
        accepted.await?;
        let officer = &self.desk.officers[DECIDES];
        let decision = || document(format!("decision {entry}"));
        if stands {
            let request = |command_id| lists::UpholdRequest {
                command_id,
                entry_id: entry.to_owned(),
                decision: decision(),
                reason: "simulated".to_owned(),
            };
            let attempt = |id| async { officer.lists().uphold(request(id)).await };
            let upheld = self
                .office
                .send(self.next(Kind::Uphold), attempt, |answer| {
                    (answer.receipt, String::new())
                });
            return upheld.await.map(drop);
        }
        let request = |command_id| lists::CorrectOutRequest {
            command_id,
            entry_id: entry.to_owned(),
            decision: decision(),
            reason: "simulated".to_owned(),
        };
        let attempt = |id| async { officer.lists().correct_out(request(id)).await };
        let corrected = self
            .office
            .send(self.next(Kind::CorrectOut), attempt, |answer| {
                (answer.receipt, String::new())
            });
        corrected.await.map(drop)
    }

    /// Taken off its list; a red one by two officers.
    async fn remove(&self, entry: &str, red: bool, intended: Instant) -> Option<()> {
        let mut intended = intended;
        if red {
            let officer = &self.desk.officers[ACCEPTS];
            let request = |command_id| lists::RequestRemovalRequest {
                command_id,
                entry_id: entry.to_owned(),
                document: document(format!("request {entry}")),
                reason: "simulated".to_owned(),
            };
            let attempt = |id| async { officer.lists().request_removal(request(id)).await };
            let command = self.command(Kind::RequestRemoval, intended);
            let asked = self
                .office
                .send(command, attempt, |answer| (answer.receipt, String::new()));
            asked.await?;
            intended = Instant::now();
        }
        let officer = &self.desk.officers[DECIDES];
        let request = |command_id| lists::RemoveRequest {
            command_id,
            entry_id: entry.to_owned(),
            decision: document(format!("removal {entry}")),
            reason: "simulated".to_owned(),
        };
        let attempt = |id| async { officer.lists().remove(request(id)).await };
        let command = self.command(Kind::Remove, intended);
        let removed = self
            .office
            .send(command, attempt, |answer| (answer.receipt, String::new()));
        removed.await.map(drop)
    }
}
