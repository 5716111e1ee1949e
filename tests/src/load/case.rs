//! What officers decide about one organisation, from the nomination to the decision
//! on an objection.

use std::sync::PoisonError;
use std::time::Instant;

use tally::client::command_id;
use tally_proto::tally::lists::v1 as lists;
use tonic::Status;

use super::{Cast, Shared, is_lost};
use crate::harness::{BlackListing, confirmation, document, nomination};
use crate::patience::{PATIENCE, PAUSE};

/// What becomes of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Course {
    /// Nobody objects.
    Stands,
    /// An objection is accepted and not decided.
    Suspended,
    /// It is decided to the subject's cost.
    Upheld,
    /// It is decided that the listing was wrong.
    CorrectedOut,
}

impl Course {
    const ALL: [Self; 4] = [
        Self::Suspended,
        Self::Stands,
        Self::CorrectedOut,
        Self::Upheld,
    ];

    /// One after the other, for ever.
    pub(super) fn in_turn() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().cycle()
    }
}

/// What officers decided about a subject, under ids that stay the same.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) listing: BlackListing,
    pub(super) course: Course,
    /// Of the nomination, the notification, the representation, the listing, the
    /// objection and the decision on it.
    commands: [String; 6],
}

impl Cast {
    pub(super) async fn list(&self, shared: &Shared, subject: &str, course: Course) {
        let ground = self
            .push(shared, subject, &format!("ground {subject}"))
            .await;
        let case = Case {
            listing: BlackListing::today(subject, &ground, "2027-03-01"),
            course,
            commands: [(); 6].map(|()| command_id()),
        };
        let began = Instant::now();
        let entry_id = loop {
            match self.decide(shared, &case).await {
                Ok(entry_id) => break entry_id,
                Err(status) => {
                    let restored = shared.restored.load(std::sync::atomic::Ordering::SeqCst);
                    assert!(restored && is_lost(&status), "{status:?}");
                    assert!(began.elapsed() < PATIENCE, "never decided: {status:?}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        };
        let mut ledger = shared.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        ledger
            .entries
            .insert(entry_id, (subject.to_owned(), course));
        ledger.cases.push(case);
    }

    /// Sends the commands of a case, one after the other.
    pub(super) async fn decide(&self, shared: &Shared, case: &Case) -> Result<String, Status> {
        let entry_id = self.list_by(shared, case).await?;
        let [.., objection, decision] = case.commands.clone();
        if case.course == Course::Stands {
            return Ok(entry_id);
        }
        let request = lists::AcceptObjectionRequest {
            command_id: objection,
            entry_id: entry_id.clone(),
            objection: document("objection 1"),
        };
        let accept = || async { self.third.lists().accept_objection(request.clone()).await };
        shared.insist("accept an objection", accept).await?;
        let reason = "looked at once more".to_owned();
        match case.course {
            Course::Stands | Course::Suspended => {}
            Course::Upheld => {
                let request = lists::UpholdRequest {
                    command_id: decision,
                    entry_id: entry_id.clone(),
                    decision: document("decision 1"),
                    reason,
                };
                let uphold = || async { self.fourth.lists().uphold(request.clone()).await };
                shared.insist("uphold", uphold).await?;
            }
            Course::CorrectedOut => {
                let request = lists::CorrectOutRequest {
                    command_id: decision,
                    entry_id: entry_id.clone(),
                    decision: document("decision 1"),
                    reason,
                };
                let correct = || async { self.fourth.lists().correct_out(request.clone()).await };
                shared.insist("correct out", correct).await?;
            }
        }
        Ok(entry_id)
    }

    /// The commands until it is listed.
    async fn list_by(&self, shared: &Shared, case: &Case) -> Result<String, Status> {
        let [nominate, notify, represent, list, ..] = case.commands.clone();
        let (first, second) = (&self.first, &self.second);
        let request = lists::NominateRequest {
            command_id: nominate,
            ..nomination(&case.listing)
        };
        let nominated = shared
            .insist("nominate", || async {
                first.lists().nominate(request.clone()).await
            })
            .await?;
        let entry_id = nominated.entry_id;
        let request = lists::NotifyRequest {
            command_id: notify,
            entry_id: entry_id.clone(),
            served_on: case.listing.served_on.clone(),
            proof_of_service: document("service 1"),
        };
        let notified = shared
            .insist("notify", || async {
                first.lists().notify(request.clone()).await
            })
            .await?;
        assert!(
            !notified.representation_until.is_empty(),
            "each answer says it, also of a repeat"
        );
        let request = lists::RepresentRequest {
            command_id: represent,
            entry_id: entry_id.clone(),
            document: None,
            waived: true,
        };
        shared
            .insist("represent", || async {
                first.lists().represent(request.clone()).await
            })
            .await?;
        let request = lists::ListRequest {
            command_id: list,
            ..confirmation(&entry_id)
        };
        shared
            .insist("list", || async {
                second.lists().list(request.clone()).await
            })
            .await?;
        Ok(entry_id)
    }
}
